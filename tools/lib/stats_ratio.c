#include <math.h>

#include "base/dmath.h"
#include "base/mem.h"
#include "base/rng.h"
#include "lib/stats.h"

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
        size_t n_below = 0; // draws at or below 0 (ratio 1)
        size_t n_above = 0;
        for (size_t d = 0; d < draws; d++) {
            double sum = 0;
            for (size_t i = 0; i < n_blocks; i++)
                sum += l[rng_below(&key, at++, n_blocks)];
            m[d] = sum / (double)n_blocks;
            n_below += m[d] <= 0;
            n_above += m[d] >= 0;
        }
        stats_sort(m, draws);
        r.ci = (struct stats_interval){
            .lo = dm_exp(stats_percentile(m, draws, 25, PCT_NEAREST_RANK)),
            .hi = dm_exp(stats_percentile(m, draws, 975, PCT_NEAREST_RANK)),
        };
        const size_t fewer = n_below < n_above ? n_below : n_above;
        r.p = 2.0 * (double)(fewer + 1) / (double)(draws + 1);
        r.p = r.p > 1.0 ? 1.0 : r.p;
        r.different = (r.ci.lo > 1.0 || r.ci.hi < 1.0) && fabs(r.ratio - 1.0) > 0.02;
    }
    *out = r;
done:
    mem_free(means);
    mem_free(logs);
    return s;
}
