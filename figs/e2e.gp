# figure: e2e
# title: End-to-end latency, one stream, longest prompt
# caption: Distribution of the end-to-end latency (from the start of the request to its last token) over requests: one stream, prompts of {raw.in_tok} tokens,
#   {raw.rows} requests in all. Steps: every request. Points: percentiles with 95 % intervals
#   ({marks.ci_method}), only where the sample floor is met (n = {marks.n} a model).
# data: raw by model key * from requests where concurrency=1 in_tok=@max status=ok
#   take t_tokn_ns t_start_ns out_tok in_tok
# maybe: marks by model key stat
#   from unified where stage=latency metric=e2e_ms concurrency=1 in_tok=@max window=full stat=p50|p90|p95|p99
#   take value ci_lo ci_hi n ci_method
# empty: no request ended with status ok

e2e_ms(tn, t0) = (tn - t0) / 1e6
share(stat) = real(substr(stat, 2, strlen(stat))) / 100
set autoscale noextend
set offsets graph 0.03, graph 0.03, 0, 0
set yrange [0:1.02]
set ytics 0, 0.25, 1 format '%.2f'
set xlabel 'end-to-end latency (ms)'
set ylabel 'share of requests'
plot for [i=1:raw_n] $raw index i-1 using (e2e_ms($2, $3)):(1) smooth cnormal with steps linestyle raw_ls[i] linewidth 0.8 notitle, \
     for [i=1:marks_n] $marks index i-1 using 3:(share(strcol(2))):4:5 with xerrorbars linestyle marks_ls[i] dashtype 1 linewidth 1.8 pointtype -1 notitle, \
     for [i=1:marks_n] $marks index i-1 using 3:(share(strcol(2))) with points linestyle marks_ls[i] notitle, \
     for [i=1:raw_n] keyentry with linespoints linestyle raw_ls[i] title raw_key[i]
