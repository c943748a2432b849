# figure: ttft
# title: Time to first token against prompt length
# caption: Median time to first token (TTFT) against prompt length, one stream, with 95 % intervals
#   (n = {ttft.n} requests a point). Both axes are logarithmic.
# data: ttft by model key in_tok
#   from unified where stage=latency metric=ttft_ms stat=p50 concurrency=1 window=full take value ci_lo ci_hi n
# empty: no latency rows

set logscale x 2
set logscale y 10
set autoscale noextend
set offsets graph 0.03, graph 0.03, graph 0.06, graph 0.06
set xlabel 'prompt length (tokens)'
set ylabel 'TTFT, median (ms)'
plot for [i=1:ttft_n] $ttft index i-1 using 2:3:4:5 with yerrorbars linestyle ttft_ls[i] dashtype 1 pointtype -1 notitle, \
     for [i=1:ttft_n] $ttft index i-1 using 2:3 with linespoints linestyle ttft_ls[i] title ttft_key[i]
