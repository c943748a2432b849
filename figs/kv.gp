# figure: kv
# title: KV cache held per token of context: measured and both theories
# caption: Bytes of KV cache held, divided by the context length (points: read from the engine's allocator at batch 1), against
#   two theories: every layer keeps every token (dashed), and window layers keep their window only (dotted). The
#   number in each panel is the fitted slope with its 95 % interval over {slope.n} contexts. Peak minus baseline,
#   the published study's method, is not used.
# width: page
# height_cm: 5.2
# data: held by model key context_tok
#   from unified where stage=memory metric=kv_live_mib batch=1 take value
# data: slope key model
#   from unified where stage=memory metric=kv_b_per_tok_meas take value ci_lo ci_hi n
#   from unified where stage=memory metric=kv_b_per_tok_full take value
#   from unified where stage=memory metric=kv_b_per_tok_window take value
# empty: no memory rows

# $slope: header, then a line a model: model, slope, its interval, n, full theory, windowed theory
full(i) = real(word($slope[i + 1], 6))
windowed(i) = real(word($slope[i + 1], 7))
measured(i) = real(word($slope[i + 1], 2))
top = 0
do for [i=1:slope_rows] { top = full(i) > top ? full(i) : top }
set multiplot
if (format eq 'svg') set label 99 'KV cache held per token of context' at screen 0.5, 0.965 center
unset title
unset key
set logscale x 2
set autoscale xfixmin
set autoscale xfixmax
set offsets graph 0.06, graph 0.06, 0, 0
set yrange [0:top / 1024 * 1.25]
set xlabel 'context (tokens)'
set ylabel 'KV bytes / token (KiB)'
left(i) = 0.065 + (i - 1) * 0.93 / held_n
set tmargin at screen 0.86
set bmargin at screen 0.175
do for [i=1:held_n] {
    if (i > 1) { unset ylabel; set format y ''; unset label 99 }
    set lmargin at screen left(i)
    set rmargin at screen left(i + 1) - 0.025
    set label 1 held_key[i] at graph 0.04, 0.94 left
    set label 2 sprintf('slope %.0f [%.0f, %.0f] B/token', measured(i), real(word($slope[i + 1], 3)), real(word($slope[i + 1], 4))) at graph 0.98, 0.94 right
    plot full(i) / 1024 with lines linestyle 21, \
         windowed(i) / 1024 with lines linestyle 22, \
         $held index i-1 using 2:($3 * 1024 / $2) with points linestyle held_ls[i]
}
# The legend belongs to all panels: an empty plot as wide as the page carries it.
unset label; unset border; unset tics; unset xlabel; unset ylabel; unset logscale; unset offsets; unset grid
set lmargin at screen 0.02
set rmargin at screen 0.98
set xrange [0:1]
set yrange [0:1]
set key at screen 0.5, 0.91 center center horizontal Left reverse samplen 4 width 2
plot 2 notitle, keyentry with lines linestyle 21 title 'theory, all tokens kept', \
     keyentry with lines linestyle 22 title 'theory, window layers trimmed', \
     keyentry with points linestyle 23 pointtype 7 title 'measured, each context'
unset multiplot
