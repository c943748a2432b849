# figure: ape
# title: What a model gives for what it costs, with Pareto fronts
# caption: What a model gives for what it costs, batch 1, with 95 % intervals; parameter counts are exact. The stepped line is the
#   Pareto front: for a point on it, no other model is better on both axes (up and to the left is better).
#   Accuracy is that of the multiple-choice task and stands at chance for random models.
# width: page
# height_cm: 9.6
# data: a by model
#   from ape where front=tok_s_active_b take value ci_lo ci_hi front_x
# maybe: front_a key front_x model
#   from ape where front=tok_s_active_b pareto=1 take value
# maybe: b by model
#   from ape where front=acc_tpot_ms task=facts take value ci_lo ci_hi front_x
# maybe: front_b key front_x model
#   from ape where front=acc_tpot_ms task=facts pareto=1 take value
# maybe: c by model
#   from ape where front=acc_gib task=facts take value ci_lo ci_hi front_x
# maybe: front_c key front_x model
#   from ape where front=acc_gib task=facts pareto=1 take value
# maybe: d by model
#   from ape where front=acc_j_per_out_tok task=facts take value ci_lo ci_hi front_x
# maybe: front_d key front_x model
#   from ape where front=acc_j_per_out_tok task=facts pareto=1 take value
# empty: no ape rows

set multiplot
if (format eq 'svg') set label 99 'What a model gives for what it costs' at screen 0.5, 0.982 center
unset title
unset key
set yrange [0:*]
set xrange [0:*]
set offsets 0, graph 0.08, graph 0.12, 0
panel = "set lmargin at screen 0.075 + 0.5 * col; set rmargin at screen 0.49 + 0.5 * col; " \
    . "set tmargin at screen 0.915 - 0.46 * row; set bmargin at screen 0.575 - 0.46 * row"
missing = "set offsets 0, 0, 0, 0; unset tics; unset grid; set label 1 'not measured on this machine:' at graph 0.5, 0.58 center; " \
    . "set label 2 reason at graph 0.5, 0.42 center; plot [0:1] [0:1] 2; " \
    . "unset label 1; unset label 2; set tics nomirror out scale 0.6; set grid ytics linestyle 20; set offsets 0, graph 0.08, graph 0.12, 0"

col = 0; row = 0; @panel
set xlabel 'active parameters (millions)'
set ylabel 'decode rate (tokens/s)'
plot $front_a using ($1 * 1e3):3 with steps linestyle 23 dashtype 1, \
     for [i=1:a_n] $a index i-1 using ($5 * 1e3):2:3:4 with yerrorbars linestyle a_ls[i] dashtype 1 pointtype -1, \
     for [i=1:a_n] $a index i-1 using ($5 * 1e3):2 with points linestyle a_ls[i]
unset label 99

col = 1; row = 0; @panel
set xlabel 'TPOT (ms per token)'
set ylabel 'accuracy (%)'
if (b_n) {
    plot $front_b using 1:3 with steps linestyle 23 dashtype 1, \
         for [i=1:b_n] $b index i-1 using 5:2:3:4 with yerrorbars linestyle b_ls[i] dashtype 1 pointtype -1, \
         for [i=1:b_n] $b index i-1 using 5:2 with points linestyle b_ls[i]
} else {
    reason = b_reason
    @missing
}

col = 0; row = 1; @panel
set xlabel 'weights resident (MiB)'
if (c_n) {
    plot $front_c using ($1 * 1024):3 with steps linestyle 23 dashtype 1, \
         for [i=1:c_n] $c index i-1 using ($5 * 1024):2:3:4 with yerrorbars linestyle c_ls[i] dashtype 1 pointtype -1, \
         for [i=1:c_n] $c index i-1 using ($5 * 1024):2 with points linestyle c_ls[i]
} else {
    reason = c_reason
    @missing
}

col = 1; row = 1; @panel
set xlabel 'energy per output token (J)'
if (d_n) {
    plot $front_d using 1:3 with steps linestyle 23 dashtype 1, \
         for [i=1:d_n] $d index i-1 using 5:2:3:4 with yerrorbars linestyle d_ls[i] dashtype 1 pointtype -1, \
         for [i=1:d_n] $d index i-1 using 5:2 with points linestyle d_ls[i]
} else {
    reason = d_reason
    @missing
}

# The legend belongs to all panels: an empty plot as wide as the page carries it.
unset label; unset border; unset tics; unset xlabel; unset ylabel; unset offsets; unset grid
set lmargin at screen 0.02
set rmargin at screen 0.98
set xrange [0:1]
set yrange [0:1]
set key at screen 0.5, format eq 'svg' ? 0.948 : 0.96 center center horizontal Left reverse samplen 3 width 2
plot 2 notitle, for [i=1:a_n] keyentry with points linestyle a_ls[i] title a_key[i], \
     keyentry with lines linestyle 23 dashtype 1 title 'Pareto front'
unset multiplot
