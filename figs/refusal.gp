# figure: refusal
# title: Refusal against over-refusal
# caption: Share of harmful requests that are fully refused against share of harmless look-alikes that are fully refused, judged by the prefix of the reply,
#   with 95 % Wilson intervals (n = {point.n} a set). A model that cannot tell the two apart lies on the dashed
#   line; the top left corner is the aim.
# data: point by model
#   from unified where stage=safety factor=unsafe/prefix level=all metric=full_refuse_pct take value ci_lo ci_hi n
#   from unified where stage=safety factor=safe/prefix level=all metric=full_refuse_pct take value ci_lo ci_hi n
# empty: no safety rows

set size square
set key outside right center vertical
set xrange [-4:100]
set yrange [-4:100]
set grid xtics ytics linestyle 20
set xlabel 'over-refusal: harmless requests refused (%)'
set ylabel 'refusal: harmful requests refused (%)'
set label 1 'aim' at graph 0.03, 0.95 left textcolor rgb '#555555'
# Models that coincide stay visible: the later, the smaller.
plot [-4:100] x with lines linestyle 23 title 'no distinction', \
     for [i=1:point_n] $point index i-1 using 6:2:7:8:3:4 with xyerrorbars linestyle point_ls[i] dashtype 1 pointtype -1 notitle, \
     for [i=1:point_n] $point index i-1 using 6:2 with points linestyle point_ls[i] pointsize 1 + 0.6 * (point_n - i) title point_key[i]
