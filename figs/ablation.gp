# figure: ablation
# title: Ablations: decode rate relative to the baseline
# caption: Ablations, one factor at a time: decode rate of the level over decode rate of the baseline in the same blocks (right of
#   the line is faster), with 95 % intervals bootstrapped over blocks (n = {cell.n}).
# width: page
# height_cm: 11
# data: cell by model key factor+level
#   from unified where stage=ablate metric=decode_tok_s stat=ratio factor!=baseline take value ci_lo ci_hi n
# data: level by factor+level key model
#   from unified where stage=ablate metric=decode_tok_s stat=ratio factor!=baseline take value
# empty: no ablation rows

at(name) = sum [k=1:level_n] (level_key[k] eq name ? k : 0)
shift(i) = (i - (cell_n + 1) / 2.0) * 0.5 / cell_n
# The axis holds every interval and the baseline at 1.
least = 1.0
most = 1.0
stats $cell using (least = $3 < least ? $3 : least, most = $3 > most ? $3 : most, $3) nooutput
stats $cell using (valid(4) && $4 < least ? least = $4 : 0, valid(5) && $5 > most ? most = $5 : 0, $3) nooutput
set logscale x 10
set xrange [least / 1.05:most * 1.05]
set yrange [level_n + 0.6:0.4]
set ytics scale 0 ('' 1)
do for [k=1:level_n] { set ytics add (level_key[k] k) }
# A wide range has room for few labels.
if (most / least > 4) {
    set xtics (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
} else {
    set xtics ('0.5' 0.5, '0.7' 0.7, '0.8' 0.8, '0.9' 0.9, '1' 1, '1.1' 1.1, '1.25' 1.25, '1.5' 1.5, '2' 2, '3' 3, '5' 5)
}
set xlabel 'decode rate, ratio to the baseline (higher is faster)'
set arrow 1 from first 1, graph 0 to first 1, graph 1 nohead linestyle 23
plot for [i=1:cell_n] $cell index i-1 using 3:(at(strcol(2)) + shift(i)):4:5 with xerrorbars linestyle cell_ls[i] dashtype 1 pointtype -1 notitle, \
     for [i=1:cell_n] $cell index i-1 using 3:(at(strcol(2)) + shift(i)) with points linestyle cell_ls[i] title cell_key[i]
