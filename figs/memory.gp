# figure: memory
# title: Memory by what holds it
# caption: Memory of the process at batch 1 by what holds it, per model and context length: weights, KV cache in use, peak
#   activations (peak minus weights minus live KV), and runtime. One exact reading a bar, from the engine's
#   allocator; a MiB is 1048576 bytes.
# width: page
# height_cm: 5.6
# data: stack by model key context_tok
#   from unified where stage=memory metric=weights_dev_mib batch=1 take value
#   from unified where stage=memory metric=kv_live_mib batch=1 take value
#   with unified where stage=memory metric=act_peak_mib batch=1 take value
#   with unified where stage=memory metric=runtime_mib batch=1 take value
# empty: no memory rows

set multiplot
if (format eq 'svg') set label 99 'Memory by what holds it' at screen 0.5, 0.965 center
unset title
unset key
set style data histograms
set style histogram rowstacked
set style fill solid 1.0 border linecolor rgb '#000000'
set boxwidth 0.7
set xtics rotate by 0 scale 0
set xlabel 'context (tokens)'
set ylabel 'memory (MiB)'
# One scale for all panels, so that heights can be compared.
held(c) = c eq '?' ? 0 : real(c)
top = 0
do for [l=2:|$stack|] {
    if (words($stack[l]) >= 6) {
        sum = 0
        do for [c=3:6] { sum = sum + held(word($stack[l], c)) }
        top = sum > top ? sum : top
    }
}
set yrange [0:top * 1.12]
left(i) = 0.065 + (i - 1) * 0.93 / stack_n
set tmargin at screen 0.87
set bmargin at screen 0.165
do for [i=1:stack_n] {
    if (i > 1) { unset ylabel; set format y ''; unset label 99 }
    set lmargin at screen left(i)
    set rmargin at screen left(i + 1) - 0.025
    set label 1 stack_key[i] at graph 0.04, 0.94 left
    plot $stack index i-1 using 3:xtic(2) linecolor rgb '#0072B2' fillstyle solid 0.85, \
         '' index i-1 using 4 linecolor rgb '#E69F00' fillstyle solid 0.95, \
         '' index i-1 using 5 linecolor rgb '#56B4E9' fillstyle pattern 2, \
         '' index i-1 using 6 linecolor rgb '#FFFFFF' fillstyle solid 1.0
}
# The legend belongs to all panels: an empty plot as wide as the page carries it.
unset label; unset border; unset tics; unset xlabel; unset ylabel; unset grid
set lmargin at screen 0.02
set rmargin at screen 0.98
set xrange [0:1]
set yrange [0:1]
set key at screen 0.5, 0.92 center center horizontal Left reverse samplen 2 width 2
plot 2 with dots notitle, \
     keyentry with boxes linecolor rgb '#0072B2' fillstyle solid 0.85 title 'weights', \
     keyentry with boxes linecolor rgb '#E69F00' fillstyle solid 0.95 title 'KV cache', \
     keyentry with boxes linecolor rgb '#56B4E9' fillstyle pattern 2 title 'activations', \
     keyentry with boxes linecolor rgb '#FFFFFF' fillstyle solid 1.0 title 'runtime'
unset multiplot
