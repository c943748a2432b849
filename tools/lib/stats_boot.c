#include <math.h>

#include "base/mem.h"
#include "base/rng.h"
#include "lib/stats.h"

double stats_of_mean(const void *column, const size_t *rows, size_t n_rows)
{
    const struct stats_column *c = column;
    double sum = 0;
    for (size_t i = 0; i < n_rows; i++)
        sum += c->x[rows[i]];
    return sum / (double)n_rows;
}

/* The k-th smallest (from 0) by Hoare's selection; v is permuted. The value does not depend on how. */
static double kth(double *v, size_t n, size_t k)
{
    size_t lo = 0;
    size_t hi = n - 1;
    while (lo < hi) {
        const double pivot = v[lo + (hi - lo) / 2];
        size_t i = lo;
        size_t j = hi;
        for (;;) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i >= j)
                break;
            const double t = v[i];
            v[i++] = v[j];
            v[j--] = t;
        }
        if (k <= j) // now v[lo..j] <= pivot <= v[j+1..hi]
            hi = j;
        else
            lo = j + 1;
    }
    return v[k];
}

double stats_of_median(const void *column, const size_t *rows, size_t n_rows)
{
    const struct stats_column *c = column;
    for (size_t i = 0; i < n_rows; i++)
        c->scratch[i] = c->x[rows[i]];
    return kth(c->scratch, n_rows, (n_rows + 1) / 2 - 1);
}

double stats_of_ratio(const void *pair, const size_t *rows, size_t n_rows)
{
    const struct stats_pair *p = pair;
    double num = 0;
    double den = 0;
    for (size_t i = 0; i < n_rows; i++) {
        num += p->num[rows[i]];
        den += p->den[rows[i]];
    }
    return num / den;
}

const char *stats_boot_method(size_t n_blocks)
{
    return n_blocks > 1 ? "hier_bootstrap" : "run_bootstrap";
}

/* Fill rows with one resample; *at counts the random numbers used. */
static size_t resample(const struct stats_blocks *blocks, size_t run_len, const struct rng_key *key, uint64_t *at,
                       size_t *rows)
{
    size_t n = 0;
    for (size_t b = 0; b < blocks->n_blocks; b++) {
        const size_t pick = blocks->n_blocks > 1 ? (size_t)rng_below(key, (*at)++, blocks->n_blocks) : 0;
        const size_t from = blocks->begin[pick];
        const size_t len = blocks->begin[pick + 1] - from;
        if (run_len == STATS_WHOLE_BLOCK) {
            for (size_t i = 0; i < len; i++)
                rows[n++] = from + i;
            continue;
        }
        const size_t run = 2 * run_len <= len ? run_len : (len + 1) / 2;
        for (size_t filled = 0; filled < len;) {
            const size_t start = from + (size_t)rng_below(key, (*at)++, len - run + 1);
            for (size_t i = 0; i < run && filled < len; i++, filled++)
                rows[n++] = start + i;
        }
    }
    return n;
}

enum status stats_bootstrap(const struct stats_blocks *blocks, const struct stats_statistic *stat, size_t run_len,
                            size_t draws, uint64_t seed, const char *name, struct stats_interval *out, struct err *err)
{
    if (blocks->n_blocks == 0 || draws == 0)
        return err_set(err, ERR_RANGE, "'%s': bootstrap needs blocks and draws, found %zu and %zu", name,
                       blocks->n_blocks, draws);
    size_t longest = 0;
    for (size_t b = 0; b < blocks->n_blocks; b++) {
        if (blocks->begin[b + 1] <= blocks->begin[b])
            return err_set(err, ERR_RANGE, "'%s': block %zu of the bootstrap is empty", name, b);
        if (blocks->begin[b + 1] - blocks->begin[b] > longest)
            longest = blocks->begin[b + 1] - blocks->begin[b];
    }
    void *rows = NULL;
    void *values = NULL;
    size_t n_rows;
    enum status s = OK;
    if (!size_mul(longest, blocks->n_blocks, &n_rows))
        return err_set(err, ERR_MEMORY, "'%s': bootstrap rows overflow", name);
    if ((s = mem_alloc(&rows, n_rows, sizeof(size_t), "bootstrap rows", err)) != OK ||
        (s = mem_alloc(&values, draws, sizeof(double), "bootstrap draws", err)) != OK)
        goto done;
    const struct rng_key key = rng_key(seed, name);
    double *v = values;
    uint64_t at = 0;
    for (size_t d = 0; d < draws; d++) {
        const size_t n = resample(blocks, run_len, &key, &at, rows);
        v[d] = stat->of(stat->arg, rows, n);
        if (!isfinite(v[d])) {
            s = err_set(err, ERR_NUMERIC, "'%s': the statistic of bootstrap draw %zu is not finite", name, d);
            goto done;
        }
    }
    stats_sort(v, draws);
    *out = (struct stats_interval){
        .lo = stats_percentile(v, draws, 25, PCT_NEAREST_RANK),
        .hi = stats_percentile(v, draws, 975, PCT_NEAREST_RANK),
    };
done:
    mem_free(values);
    mem_free(rows);
    return s;
}

static enum status bootstrap_column(double (*of)(const void *, const size_t *, size_t), const double *x,
                                    const struct stats_blocks *blocks, uint64_t seed, const char *name,
                                    struct stats_interval *out, struct err *err)
{
    size_t longest = 0;
    for (size_t b = 0; b < blocks->n_blocks; b++) {
        size_t len = blocks->begin[b + 1] > blocks->begin[b] ? blocks->begin[b + 1] - blocks->begin[b] : 0;
        longest = len > longest ? len : longest;
    }
    size_t n;
    void *scratch = NULL;
    if (!size_mul(longest, blocks->n_blocks, &n))
        return err_set(err, ERR_MEMORY, "'%s': bootstrap rows overflow", name);
    enum status s = mem_alloc(&scratch, n, sizeof(double), "bootstrap scratch", err);
    if (s == OK) {
        const struct stats_column column = {.x = x, .scratch = scratch};
        const struct stats_statistic stat = {.of = of, .arg = &column};
        s = stats_bootstrap(blocks, &stat, STATS_RUN, STATS_DRAWS, seed, name, out, err);
    }
    mem_free(scratch);
    return s;
}

enum status stats_bootstrap_median(const double *x, const struct stats_blocks *blocks, uint64_t seed, const char *name,
                                   struct stats_interval *out, struct err *err)
{
    return bootstrap_column(stats_of_median, x, blocks, seed, name, out, err);
}

enum status stats_bootstrap_mean(const double *x, const struct stats_blocks *blocks, uint64_t seed, const char *name,
                                 struct stats_interval *out, struct err *err)
{
    return bootstrap_column(stats_of_mean, x, blocks, seed, name, out, err);
}
