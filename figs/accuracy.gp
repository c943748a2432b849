# figure: accuracy
# title: Accuracy with Wilson intervals
# caption: Accuracy per task and model with 95 % Wilson intervals (n = {acc.n} items); the dashed marks are the level that
#   guessing reaches. Small random models score at chance, as they must.
# data: acc by model key level
#   from unified where stage=accuracy factor=task metric=acc_pct take value ci_lo ci_hi n
# maybe: chance by level key model
#   from unified where stage=accuracy factor=task metric=chance_pct take value
# data: task by level key model
#   from unified where stage=accuracy factor=task metric=acc_pct take value
# empty: no accuracy rows

at(name) = sum [k=1:task_n] (task_key[k] eq name ? k : 0)
shift(i) = (i - (acc_n + 1) / 2.0) * 0.6 / acc_n
set xrange [0.5:task_n + 0.5]
set yrange [-3:100]
set ylabel 'accuracy (%)'
set xtics scale 0 ('' 1)
do for [k=1:task_n] { set xtics add (task_key[k] k) }
plot for [i=1:acc_n] $acc index i-1 using (at(strcol(2)) + shift(i)):3:4:5 with yerrorbars linestyle acc_ls[i] dashtype 1 pointtype -1 notitle, \
     for [i=1:acc_n] $acc index i-1 using (at(strcol(2)) + shift(i)):3 with points linestyle acc_ls[i] title acc_key[i], \
     chance_n > 0 ? 0 : NaN with lines linestyle 23 title 'chance', \
     for [i=1:chance_n] $chance index i-1 every ::0::0 using (at(strcol(1))):3:(0.38) with xerrorbars linestyle 23 pointtype -1 notitle
