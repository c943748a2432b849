// The bootstrap: a small stored case, its failures, and the coverage simulation of measurement.md
// section 8 at reduced size. The stated coverages are the bounds, from both sides: a resampler that
// stops respecting blocks or runs falls out of them, and so does one that widens everything.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "lib/stats.h"

static void between(const char *what, double x, double lo, double hi)
{
    print_message("# %s: %.3f\n", what, x);
    if (!(x >= lo && x <= hi))
        fail_msg("%s: found %g, expected %g to %g", what, x, lo, hi);
}

static void test_simple(void **state)
{
    (void)state;
    const double x[10] = {7, 7, 7, 7, 7, 9, 9, 9, 9, 9};
    const size_t begin[3] = {0, 5, 10};
    const struct stats_blocks blocks = {.n_blocks = 2, .begin = begin};
    struct stats_interval ci;
    struct stats_interval again;
    struct err err = ERR_INIT;
    assert_int_equal(stats_bootstrap_median(x, &blocks, 1, "t", &ci, &err), OK);
    assert_true(ci.lo == 7 && ci.hi == 9 && !ci.lo_open && !ci.hi_open);
    // One block drawn alone: nothing between blocks is seen, and nothing varies inside.
    const size_t first[2] = {0, 5};
    assert_int_equal(stats_bootstrap_mean(x, &(struct stats_blocks){1, first}, 1, "t", &ci, &err), OK);
    assert_true(ci.lo == 7 && ci.hi == 7);
    assert_string_equal(stats_boot_method(1), "run_bootstrap");
    assert_string_equal(stats_boot_method(2), "hier_bootstrap");
    // Same seed and name: same bits. Another name: other draws.
    const double y[10] = {1, 5, 2, 8, 3, 9, 4, 7, 6, 0.5};
    struct stats_interval other;
    assert_int_equal(stats_bootstrap_mean(y, &blocks, 1, "cell-a", &ci, &err), OK);
    assert_int_equal(stats_bootstrap_mean(y, &blocks, 1, "cell-a", &again, &err), OK);
    assert_int_equal(stats_bootstrap_mean(y, &blocks, 2, "cell-a", &other, &err), OK);
    assert_memory_equal(&ci, &again, sizeof ci);
    assert_true(ci.lo != other.lo || ci.hi != other.hi);
    // Sum over sum, whole blocks: only the ratios of blocks and their mixture can appear.
    const double num[10] = {2, 2, 2, 2, 2, 4, 4, 4, 4, 4};
    const double den[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const struct stats_pair pair = {.num = num, .den = den};
    const struct stats_statistic ratio = {.of = stats_of_ratio, .arg = &pair};
    assert_int_equal(stats_bootstrap(&blocks, &ratio, STATS_WHOLE_BLOCK, 400, 3, "t", &ci, &err), OK);
    assert_true(ci.lo == 2 && ci.hi == 4);
}

static void test_failures(void **state)
{
    (void)state;
    const double x[2] = {1, 2};
    const size_t empty[3] = {0, 2, 2};
    const size_t one[2] = {0, 2};
    struct stats_interval ci;
    struct err err = ERR_INIT;
    assert_int_equal(stats_bootstrap_mean(x, &(struct stats_blocks){2, empty}, 1, "t", &ci, &err), ERR_RANGE);
    assert_non_null(strstr(err.text, "block 1"));
    assert_int_equal(stats_bootstrap_mean(x, &(struct stats_blocks){0, one}, 1, "t", &ci, &err), ERR_RANGE);
    const double zero[2] = {0, 0};
    const struct stats_pair pair = {.num = x, .den = zero};
    const struct stats_statistic ratio = {.of = stats_of_ratio, .arg = &pair};
    assert_int_equal(stats_bootstrap(&(struct stats_blocks){1, one}, &ratio, 1, 10, 3, "t", &ci, &err), ERR_NUMERIC);
    for (size_t n = 1; n <= 3; n++) {
        mem_fail_after(n);
        assert_int_equal(stats_bootstrap_mean(x, &(struct stats_blocks){1, one}, 1, "t", &ci, &err), ERR_MEMORY);
    }
    mem_fail_after(0);
}

/* A percentile of the picked rows, for the plain bootstrap of tails that section 8 warns of. */
struct tail {
    const double *x;
    double *scratch;
    unsigned permille;
};
static double of_tail(const void *arg, const size_t *rows, size_t n)
{
    const struct tail *t = arg;
    for (size_t i = 0; i < n; i++)
        t->scratch[i] = t->x[rows[i]];
    stats_sort(t->scratch, n);
    return stats_percentile(t->scratch, n, t->permille, PCT_NEAREST_RANK);
}

/* Coverage of a percentile's interval. Percentiles and their intervals move with any rising function,
 * so normal samples stand for log-normal ones: same coverage, no exp. */
static double tail_coverage(size_t n, unsigned permille, double truth, size_t reps, bool exact)
{
    double x[500];
    double scratch[500];
    const size_t begin[2] = {0, n};
    const struct stats_blocks one = {.n_blocks = 1, .begin = begin};
    const struct tail tail = {.x = x, .scratch = scratch, .permille = permille};
    const struct stats_statistic stat = {.of = of_tail, .arg = &tail};
    const struct rng_key key = rng_key(permille * 1000 + n, "tail coverage");
    size_t covered = 0;
    for (size_t r = 0; r < reps; r++) {
        for (size_t i = 0; i < n; i++)
            x[i] = rng_normal(&key, r * n + i);
        struct stats_interval ci;
        if (exact) {
            stats_sort(x, n);
            ci = stats_order_interval(x, n, permille);
        } else {
            assert_int_equal(stats_bootstrap(&one, &stat, 1, 120, r, "plain", &ci, NULL), OK);
        }
        covered += (ci.lo_open || ci.lo <= truth) && (ci.hi_open || truth <= ci.hi);
    }
    return (double)covered / (double)reps;
}

static void test_tail_coverage(void **state)
{
    (void)state;
    const double p95 = 1.6448536269514722;
    const double p99 = 2.3263478740408408;
    between("plain bootstrap, p95, n=10 (stated 0.40)", tail_coverage(10, 950, p95, 500, false), 0.34, 0.46);
    between("plain bootstrap, p95, n=30 (stated 0.80)", tail_coverage(30, 950, p95, 500, false), 0.74, 0.86);
    between("plain bootstrap, p99, n=100 (stated 0.64)", tail_coverage(100, 990, p99, 300, false), 0.56, 0.72);
    between("plain bootstrap, p99, n=500 (stated 0.88)", tail_coverage(500, 990, p99, 150, false), 0.80, 0.95);
    // Nominal 95 %: at least that but for chance (4 sd), and short of "everything" where a side exists.
    between("order statistics, p95, n=10 (stated >= 0.96)", tail_coverage(10, 950, p95, 3000, true), 0.96, 1);
    between("order statistics, p95, n=100 (stated >= 0.96)", tail_coverage(100, 950, p95, 3000, true), 0.95, 0.99);
    between("order statistics, p99, n=500 (stated >= 0.96)", tail_coverage(500, 990, p99, 2000, true), 0.95, 0.99);
    between("order statistics, p50, n=100", tail_coverage(100, 500, 0, 3000, true), 0.95, 0.98);
}

/* Five runs of 100 requests, a 5 % run effect, lag-1 correlation 0.6 inside a run, cv 0.22. */
static void test_run_effect_coverage(void **state)
{
    (void)state;
    enum { RUNS = 5, PER = 100, N = RUNS * PER, REPS = 250, DRAWS = 200 };
    double x[N];
    double scratch[N];
    const size_t all[2] = {0, N};
    size_t runs[RUNS + 1];
    for (size_t b = 0; b <= RUNS; b++)
        runs[b] = b * PER;
    const struct stats_column column = {.x = x, .scratch = scratch};
    const struct stats_statistic median = {.of = stats_of_median, .arg = &column};
    const struct stats_blocks pooled = {.n_blocks = 1, .begin = all};
    const struct stats_blocks blocks = {.n_blocks = RUNS, .begin = runs};
    const struct rng_key key = rng_key(8, "run effect");
    uint64_t at = 0;
    size_t covered[3] = {0, 0, 0};
    for (size_t r = 0; r < REPS; r++) {
        for (size_t b = 0; b < RUNS; b++) {
            const double effect = 0.05 * rng_normal(&key, at++);
            double z = rng_normal(&key, at++);
            for (size_t i = 0; i < PER; i++) { // the logarithm of a latency, true median 0
                x[b * PER + i] = effect + 0.22 * z;
                z = 0.6 * z + 0.8 * rng_normal(&key, at++);
            }
        }
        struct stats_interval ci[3];
        assert_int_equal(stats_bootstrap(&pooled, &median, 1, DRAWS, r, "requests", &ci[0], NULL), OK);
        assert_int_equal(stats_bootstrap(&pooled, &median, STATS_RUN, DRAWS, r, "runs", &ci[1], NULL), OK);
        assert_int_equal(stats_bootstrap(&blocks, &median, STATS_RUN, DRAWS, r, "blocks", &ci[2], NULL), OK);
        for (size_t k = 0; k < 3; k++)
            covered[k] += ci[k].lo <= 0 && 0 <= ci[k].hi;
    }
    between("median, requests as if independent (stated 0.56)", (double)covered[0] / REPS, 0.46, 0.66);
    between("median, moving runs alone (stated 0.76)", (double)covered[1] / REPS, 0.66, 0.86);
    between("median, hierarchical (stated 0.94)", (double)covered[2] / REPS, 0.88, 0.99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_tail_coverage),
        cmocka_unit_test(test_run_effect_coverage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
