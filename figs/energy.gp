# figure: energy
# title: Energy per output token
# caption: Energy per output token over the steady window, gross (filled) and net of the idle power with the model loaded (open), with
#   95 % intervals.
# data: gross key model context_tok batch
#   from unified where stage=energy metric=j_per_out_tok take value ci_lo ci_hi n
#   with unified where stage=energy metric=j_net_per_out_tok take value ci_lo ci_hi
# empty: no energy meter

# One line a cell: gross just above it, net just below.
set yrange [gross_rows - 0.5:-0.5]
set xrange [0:*]
set offsets 0, graph 0.05, 0, 0
set ytics scale 0
set xlabel 'energy per output token (J)'
cell(m, c, b) = sprintf('%s, %s tokens, batch %s', m, c, b)
plot $gross using 4:($0 - 0.12):5:6 with xerrorbars linestyle 1 dashtype 1 pointtype -1 notitle, \
     $gross using 4:($0 - 0.12):ytic(cell(strcol(1), strcol(2), strcol(3))) with points linestyle 1 title 'gross', \
     $gross using 8:($0 + 0.12):9:10 with xerrorbars linestyle 2 dashtype 1 pointtype -1 notitle, \
     $gross using 8:($0 + 0.12) with points linestyle 2 pointtype 4 title 'net of idle'
