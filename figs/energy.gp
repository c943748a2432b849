# figure: energy
# title: Energy per output token
# caption: Energy per output token over the steady window, gross (filled) and net of the loaded idle power (open), with
#   95 % intervals.
# data: gross key model context_tok batch
#   from unified where stage=energy metric=j_per_out_tok take value ci_lo ci_hi n
#   with unified where stage=energy metric=j_net_per_out_tok take value ci_lo ci_hi
# empty: no energy meter

set autoscale noextend
set offsets 0.6, 0.6, graph 0.08, 0
set yrange [0:*]
set xtics scale 0
set ylabel 'energy per output token (J)'
set xlabel 'model, context (tokens), batch'
label(m, c, b) = sprintf("%s\n%s, %s", m, c, b)
plot $gross using 0:4:5:6 with yerrorbars linestyle 1 dashtype 1 pointtype -1 notitle, \
     $gross using 0:4:xtic(label(strcol(1), strcol(2), strcol(3))) with points linestyle 1 title 'gross', \
     $gross using ($0 + 0.15):8:9:10 with yerrorbars linestyle 2 dashtype 1 pointtype -1 notitle, \
     $gross using ($0 + 0.15):8 with points linestyle 2 pointtype 4 title 'net of idle'
