#include <math.h>

#include "base/dmath.h"
#include "base/mem.h"
#include "base/rng.h"
#include "lib/stats.h"

/* Rank (from 0) of the lower end among `draws` sorted means of n values. A percentile bootstrap over few
 * blocks is too narrow twice over: it divides by n, not n - 1, and knows no Student factor. So the tail
 * is Phi(-sqrt(n / (n-1)) t_0.975,n-1) instead of 2.5 % (Hesterberg 2015, "What Teachers Should Know
 * About the Bootstrap", expanded percentile interval). */
static size_t expanded_tail(size_t n, size_t draws)
{
    const double z = sqrt((double)n / (double)(n - 1)) * stats_t_quantile(0.975, n - 1);
    const double share = stats_normal_cdf(-z);
    const double rank = share * (double)draws;
    return rank >= 1.0 ? (size_t)rank - 1 : 0;
}

/* Two-sided p of mean 0 of the logarithms by Student's t. */
static double paired_p(const double *l, size_t n)
{
    const double mean = stats_mean(l, n);
    const double se = stats_sd(l, n) / sqrt((double)n);
    if (se > 0)
        return 2.0 * (1.0 - stats_t_cdf(fabs(mean) / se, n - 1));
    return mean == 0 ? 1.0 : 0.0; // blocks agree to the last bit
}

enum status stats_ratio_blocks(const double *a, const double *b, size_t n_blocks, size_t draws, uint64_t seed,
                               const char *name, struct stats_ratio *out, struct err *err)
{
    if (n_blocks == 0)
        return err_set(err, ERR_RANGE, "'%s': a ratio needs at least one pair of blocks", name);
    for (size_t i = 0; i < n_blocks; i++)
        if (!(a[i] > 0 && b[i] > 0))
            return err_set(err, ERR_RANGE, "'%s': a ratio needs positive values, found %g and %g in block %zu", name,
                           b[i], a[i], i);
    void *logs = NULL;
    void *means = NULL;
    enum status s;
    if ((s = mem_alloc(&logs, n_blocks, sizeof(double), "block ratios", err)) != OK ||
        (s = mem_alloc(&means, draws, sizeof(double), "ratio draws", err)) != OK)
        goto done;
    double *l = logs;
    double *m = means;
    for (size_t i = 0; i < n_blocks; i++)
        l[i] = dm_log(b[i] / a[i]);
    struct stats_ratio r = {
        .ratio = dm_exp(stats_mean(l, n_blocks)),
        .ci = {(double)NAN, (double)NAN, true, true},
        .p = 1.0,
    };
    if (n_blocks > 1 && draws > 0) {
        const struct rng_key key = rng_key(seed, name);
        uint64_t at = 0;
        for (size_t d = 0; d < draws; d++) {
            double sum = 0;
            for (size_t i = 0; i < n_blocks; i++)
                sum += l[rng_below(&key, at++, n_blocks)];
            m[d] = sum / (double)n_blocks;
        }
        stats_sort(m, draws);
        const size_t tail = expanded_tail(n_blocks, draws);
        r.ci = (struct stats_interval){.lo = dm_exp(m[tail]), .hi = dm_exp(m[draws - 1 - tail])};
        r.p = paired_p(l, n_blocks);
        r.different = n_blocks >= STATS_MIN_BLOCKS && (r.ci.lo > 1.0 || r.ci.hi < 1.0) && fabs(r.ratio - 1.0) > 0.02;
    }
    *out = r;
done:
    mem_free(means);
    mem_free(logs);
    return s;
}
