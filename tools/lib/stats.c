#include "lib/stats.h"

#include <math.h>
#include <stdlib.h>

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

void stats_sort(double *x, size_t n)
{
    if (n > 1)
        qsort(x, n, sizeof *x, ascending);
}

const char *stats_pct_name(enum stats_pct m)
{
    return m == PCT_LINEAR ? "linear" : "nearest_rank";
}

double stats_percentile(const double *sorted, size_t n, unsigned permille, enum stats_pct m)
{
    if (n == 0 || permille == 0 || permille > 1000)
        return (double)NAN;
    if (m == PCT_NEAREST_RANK) {
        // In integers: 0.95 * 20 must be rank 19, whatever a double makes of 0.95.
        return sorted[(n * permille + 999) / 1000 - 1];
    }
    const size_t scaled = (n - 1) * permille;
    const size_t below = scaled / 1000;
    const double part = (double)(scaled % 1000) / 1000.0;
    if (below + 1 >= n)
        return sorted[n - 1];
    return sorted[below] + part * (sorted[below + 1] - sorted[below]);
}

size_t stats_floor(unsigned permille)
{
    switch (permille) {
    case 500:
        return 5;
    case 900:
        return 30;
    case 950:
        return 60;
    case 990:
        return 300;
    case 999:
        return 3000;
    default:
        break;
    }
    if (permille == 0 || permille >= 1000)
        return SIZE_MAX;
    // The rarer side decides: n with max(p, 1-p)^n <= 5 %.
    double p = (double)(permille > 500 ? permille : 1000 - permille) / 1000.0;
    double none = 1.0;
    size_t n = 0;
    for (; none > 0.05; n++)
        none *= p;
    return n;
}

bool stats_enough(size_t n, unsigned permille)
{
    return n >= stats_floor(permille);
}

double stats_mean(const double *x, size_t n)
{
    if (n == 0)
        return (double)NAN;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

double stats_sd(const double *x, size_t n)
{
    if (n < 2)
        return (double)NAN;
    double mean = stats_mean(x, n);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sqrt(sum / (double)(n - 1));
}

double stats_lag1(const double *x, size_t n)
{
    if (n < 3)
        return (double)NAN;
    double mean = stats_mean(x, n);
    double all = 0;
    double next = 0;
    for (size_t i = 0; i < n; i++) {
        all += (x[i] - mean) * (x[i] - mean);
        if (i + 1 < n)
            next += (x[i] - mean) * (x[i + 1] - mean);
    }
    return all > 0 ? next / all : (double)NAN;
}

double stats_n_eff(size_t n, double lag1)
{
    if (!(lag1 > -1.0 && lag1 < 1.0))
        return (double)NAN;
    double e = (double)n * (1.0 - lag1) / (1.0 + lag1);
    if (e > (double)n)
        return (double)n;
    return e < 1.0 ? 1.0 : e;
}

void stats_summarise(const double *x, size_t n, struct stats_summary *out)
{
    *out = (struct stats_summary){
        .n = n,
        .mean = stats_mean(x, n),
        .sd = stats_sd(x, n),
        .cv = (double)NAN,
        .min = (double)NAN,
        .max = (double)NAN,
        .lag1 = stats_lag1(x, n),
    };
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || x[i] < out->min)
            out->min = x[i];
        if (i == 0 || x[i] > out->max)
            out->max = x[i];
    }
    if (n >= 2 && out->mean != 0)
        out->cv = out->sd / fabs(out->mean);
    out->n_eff = stats_n_eff(n, out->lag1);
}

void stats_median_mad(const double *x, size_t n, double *scratch, double *median, double *mad)
{
    for (size_t i = 0; i < n; i++)
        scratch[i] = x[i];
    stats_sort(scratch, n);
    *median = stats_percentile(scratch, n, 500, PCT_NEAREST_RANK);
    for (size_t i = 0; i < n; i++)
        scratch[i] = fabs(x[i] - *median);
    stats_sort(scratch, n);
    *mad = stats_percentile(scratch, n, 500, PCT_NEAREST_RANK);
}

bool stats_is_outlier(double x, double median, double mad)
{
    return fabs(x - median) > 14.8 * mad;
}
