# figure: decode
# title: Decode rate against depth
# caption: Decode rate of one stream (1000 / median TPOT, prefill excluded) against the depth of the cache when
#   decoding begins, with 95 % intervals (n = {decode.n} requests a point).
# data: decode by model key in_tok
#   from unified where stage=latency metric=decode_tok_s stat=p50 concurrency=1 window=full take value ci_lo ci_hi n
# empty: no latency rows

set logscale x 2
set autoscale noextend
set offsets graph 0.03, graph 0.03, graph 0.06, 0
set yrange [0:*]
set xlabel 'tokens in the cache when decoding begins'
set ylabel 'decode rate, one stream (tokens/s)'
plot for [i=1:decode_n] $decode index i-1 using 2:3:4:5 with yerrorbars linestyle decode_ls[i] dashtype 1 pointtype -1 notitle, \
     for [i=1:decode_n] $decode index i-1 using 2:3 with linespoints linestyle decode_ls[i] title decode_key[i]
