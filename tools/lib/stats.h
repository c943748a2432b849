#ifndef ASSAY_LIB_STATS_H
#define ASSAY_LIB_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* The statistics of measurement.md section 8. Their results are hashed, so only + - * / sqrt and
 * base/dmath are used and every sum runs over its values in the order given.
 * A percentile is named by its permille: 500 = p50, 950 = p95, 999 = p99.9. Samples are finite doubles
 * (ns, bytes, uJ up to 2^53 are exact in one). "Empty" results are NaN with a flag, never 0. */

/* ---- describing a sample (stats.c) ---- */

/* stats_sort - ascending, in place. */
void stats_sort(double *x, size_t n);

enum stats_pct { PCT_NEAREST_RANK, PCT_LINEAR };
const char *stats_pct_name(enum stats_pct m); /* "nearest_rank" "linear" */

/* stats_percentile - of a sorted sample, n >= 1, permille 1..1000.
 *   nearest rank: x[ceil(n * permille / 1000)] counted from 1, integer arithmetic: an observed value
 *   linear:       position (n-1) * permille / 1000 between neighbours (numpy's default)
 * NaN if n is 0. Sample floors are the caller's: see stats_enough. */
double stats_percentile(const double *sorted, size_t n, unsigned permille, enum stats_pct m);

/* stats_floor - fewest samples for a percentile: p50 5, p90 30, p95 60, p99 300, p99.9 3000. Any other:
 * the least n at which the maximum exceeds the percentile with 95 % chance (and the minimum stays
 * below it). stats_enough is n >= floor: below, the cell is empty and the maximum is shown. */
size_t stats_floor(unsigned permille);
bool stats_enough(size_t n, unsigned permille);

/* What every latency row reports. sd, cv, lag1, n_eff are NaN when n is too small for them. */
struct stats_summary {
    size_t n;
    double mean, sd, cv, min, max;
    double lag1;  /* lag-1 autocorrelation in the order given */
    double n_eff; /* n (1 - lag1) / (1 + lag1), held within [1, n] */
};
void stats_summarise(const double *x, size_t n, struct stats_summary *out);

double stats_mean(const double *x, size_t n);
double stats_sd(const double *x, size_t n);   /* n - 1; NaN below 2 */
double stats_lag1(const double *x, size_t n); /* sum (x_i-m)(x_i+1-m) / sum (x_i-m)^2; NaN below 3 or constant */
double stats_n_eff(size_t n, double lag1);

/* stats_median_mad - median (nearest rank) and the median of |x - median|. scratch holds n doubles. */
void stats_median_mad(const double *x, size_t n, double *scratch, double *median, double *mad);

/* stats_is_outlier - |x - median| / mad > 14.8. With mad 0, anything off the median is one. */
bool stats_is_outlier(double x, double median, double mad);

/* ---- intervals (stats_ci.c, stats_boot.c) ---- */

/* An interval; an open side is NaN. */
struct stats_interval {
    double lo, hi;
    bool lo_open, hi_open;
};

/* stats_order_interval - exact two-sided 95 % interval of a percentile from order statistics (equal
 * tails, binomial): lo = x_(l), hi = x_(u), l largest with P(Bin(n,p) < l) <= 2.5 %, u smallest with
 * P(Bin(n,p) >= u) <= 2.5 %. A side without such a rank is open (p95 upwards until n = 72, p99 until
 * 368). ci_method "order_stat". */
struct stats_interval stats_order_interval(const double *sorted, size_t n, unsigned permille);

/* stats_wilson - 95 % interval of k successes in n; open on both sides if n is 0. ci_method "wilson". */
struct stats_interval stats_wilson(uint64_t k, uint64_t n);

/* Samples in time order, cut into blocks: block b is rows [begin[b], begin[b+1]). */
struct stats_blocks {
    size_t n_blocks;
    const size_t *begin; /* (n_blocks + 1), ascending, begin[0] = 0 */
};

/* A statistic of the rows picked (indices into the caller's arrays, with repeats). */
struct stats_statistic {
    double (*of)(const void *arg, const size_t *rows, size_t n_rows);
    const void *arg;
};
/* Ready-made ones. mean, median (nearest rank): arg = struct stats_column. ratio: sum num / sum den. */
struct stats_column {
    const double *x;
    double *scratch; /* longest block x blocks, for the median (a draw can exceed n); unused by the mean */
};
struct stats_pair {
    const double *num, *den;
};
double stats_of_mean(const void *column, const size_t *rows, size_t n_rows);
double stats_of_median(const void *column, const size_t *rows, size_t n_rows);
double stats_of_ratio(const void *pair, const size_t *rows, size_t n_rows);

/* run_len: STATS_RUN (20) consecutive rows by default; STATS_WHOLE_BLOCK keeps resampled blocks as
 * they are (ratios per block, clusters). */
enum { STATS_DRAWS = 2000, STATS_RUN = 20, STATS_WHOLE_BLOCK = 0 };

/* stats_bootstrap - hierarchical percentile bootstrap, 95 %: draw n_blocks blocks with replacement,
 * fill each with moving runs of run_len consecutive rows of that block (a block shorter than two runs
 * uses runs of half its length), take the statistic; the interval is the 2.5 % and 97.5 % nearest
 * ranks of `draws` values. Random numbers: Philox keyed by (seed, name), so name the cell.
 * With a single block only runs are drawn: spread between blocks is then unknown and the interval is
 * a lower bound (ci_method "run_bootstrap" instead of "hier_bootstrap": stats_boot_method).
 * ERR_RANGE if there are no rows or a block is empty; ERR_NUMERIC if the statistic is not finite;
 * ERR_MEMORY. */
enum status stats_bootstrap(const struct stats_blocks *blocks, const struct stats_statistic *stat, size_t run_len,
                            size_t draws, uint64_t seed, const char *name, struct stats_interval *out, struct err *err);
const char *stats_boot_method(size_t n_blocks);

/* stats_bootstrap_median, _mean - the same for one column x (n = begin[n_blocks]), scratch inside. */
enum status stats_bootstrap_median(const double *x, const struct stats_blocks *blocks, uint64_t seed, const char *name,
                                   struct stats_interval *out, struct err *err);
enum status stats_bootstrap_mean(const double *x, const struct stats_blocks *blocks, uint64_t seed, const char *name,
                                 struct stats_interval *out, struct err *err);

/* ---- comparing (stats_ratio.c, stats_compare.c) ---- */

/* B over A, one value of each per block; the blocks are paired. */
struct stats_ratio {
    double ratio; /* geometric mean of b/a, so that A/B is its reciprocal */
    struct stats_interval ci; /* bootstrap over blocks, widened for few of them (stats_ratio.c) */
    double p;                 /* two-sided, paired t of the logarithms: for Holm over a table */
    bool different;           /* 5 blocks or more, interval excludes 1, |ratio - 1| > 2 % */
};
enum { STATS_MIN_BLOCKS = 5 }; /* fewer never carry a verdict (measurement.md 7) */
/* ERR_RANGE for n_blocks 0 or a value that is not positive. Open interval and p = 1 with one block.
 * ci_method "ratio_bootstrap". */
enum status stats_ratio_blocks(const double *a, const double *b, size_t n_blocks, size_t draws, uint64_t seed,
                               const char *name, struct stats_ratio *out, struct err *err);

/* stats_mcnemar - exact two-sided p of discordant counts b and c: min(1, 2 P(Bin(b+c, 1/2) <= min)). */
double stats_mcnemar(uint64_t b, uint64_t c);

/* stats_holm - Holm's step-down adjusted p-values, adj[i] for p[i]. ERR_MEMORY. */
enum status stats_holm(const double *p, size_t n, double *adj, struct err *err);

/* stats_early_stop - least number of requests after which t misses still prove "share of hits >=
 * permille" with confidence 99 %: min n with P(Bin(n, 1 - p) <= t) <= 1 %. */
uint64_t stats_early_stop(unsigned permille, uint64_t t);

/* ---- least squares (stats_line.c) ---- */

struct stats_line {
    size_t n;
    double slope, intercept, r2;
    struct stats_interval slope_ci; /* 95 %, Student t with n - 2 degrees; open for n < 3 */
};
/* stats_fit_line - y = intercept + slope x. ERR_RANGE for n < 2 or all x equal. r2 is 1 when every
 * residual is 0. ci_method "ols_t". */
enum status stats_fit_line(const double *x, const double *y, size_t n, struct stats_line *out, struct err *err);

/* ---- distributions (stats_dist.c) ---- */

/* stats_binom_cdf - P(Bin(n, permille/1000) <= k), to about 1e-13: terms built by their ratios outwards
 * from the mode, so nothing under- or overflows, and divided by their sum. */
double stats_binom_cdf(uint64_t n, unsigned permille, int64_t k);

/* stats_normal_cdf - to about 1e-15 absolute (Marsaglia 2004's series; exp from base/dmath). */
double stats_normal_cdf(double z);

/* stats_t_cdf, stats_t_quantile - Student's t, integer degrees >= 1 (Abramowitz & Stegun 26.7.3-4);
 * p in (0, 1). */
double stats_t_cdf(double t, size_t df);
double stats_t_quantile(double p, size_t df);

#endif
