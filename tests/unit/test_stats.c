// Statistics against stored tables: closed forms, exact rationals worked out in another language, and
// measurement.md's own numbers.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/stats.h"

static void near_to(double found, double expected, double tolerance)
{
    if (!(fabs(found - expected) <= tolerance))
        fail_msg("found %.17g, expected %.17g", found, expected);
}

static void test_percentile(void **state)
{
    (void)state;
    double x[20];
    for (size_t i = 0; i < 20; i++)
        x[19 - i] = (double)(i + 1);
    stats_sort(x, 20);
    assert_true(x[0] == 1 && x[19] == 20);
    // ceil(20 * 0.95) = 19: the double product 0.95 * 20 must not push it to 20
    assert_true(stats_percentile(x, 20, 950, PCT_NEAREST_RANK) == 19);
    assert_true(stats_percentile(x, 20, 951, PCT_NEAREST_RANK) == 20);
    assert_true(stats_percentile(x, 20, 500, PCT_NEAREST_RANK) == 10);
    assert_true(stats_percentile(x, 20, 1000, PCT_NEAREST_RANK) == 20);
    assert_true(stats_percentile(x, 20, 1, PCT_NEAREST_RANK) == 1);
    assert_true(stats_percentile(x, 10, 990, PCT_NEAREST_RANK) == 10);
    assert_true(stats_percentile(x, 1, 500, PCT_NEAREST_RANK) == 1);
    near_to(stats_percentile(x, 20, 950, PCT_LINEAR), 19.05, 1e-12); // numpy.percentile(1..20, 95)
    near_to(stats_percentile(x, 20, 500, PCT_LINEAR), 10.5, 0);
    assert_true(stats_percentile(x, 20, 1000, PCT_LINEAR) == 20);
    assert_true(isnan(stats_percentile(x, 0, 500, PCT_NEAREST_RANK)));
    assert_true(isnan(stats_percentile(x, 20, 1001, PCT_NEAREST_RANK)));
}

static void test_floors(void **state)
{
    (void)state;
    const struct {
        unsigned permille;
        size_t n;
    } table[] = {{500, 5}, {900, 30}, {950, 60}, {990, 300}, {999, 3000}, {750, 11}, {250, 11}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_true(stats_enough(table[i].n, table[i].permille));
        assert_false(stats_enough(table[i].n - 1, table[i].permille));
    }
}

static void test_describe(void **state)
{
    (void)state;
    const double x[] = {2, 4, 4, 4, 5, 5, 7, 9};
    struct stats_summary s;
    stats_summarise(x, 8, &s);
    near_to(s.mean, 5, 0);
    near_to(s.sd, 2.138089935299395, 1e-15); // sqrt(32/7)
    near_to(s.cv, 2.138089935299395 / 5, 1e-15);
    near_to(s.lag1, 13.0 / 32.0, 1e-15); // 3 + 1 + 1 + 0 + 0 + 0 + 8 over 9 + 1 + 1 + 1 + 0 + 0 + 4 + 16
    assert_true(s.min == 2 && s.max == 9);
    stats_summarise(x, 0, &s);
    assert_true(isnan(s.mean) && isnan(s.min) && isnan(s.sd));
    near_to(stats_n_eff(100, 0.6), 25, 1e-12);
    near_to(stats_n_eff(100, -0.5), 100, 0);
    near_to(stats_n_eff(10, 0.99), 1, 0);
    assert_true(isnan(stats_lag1((const double[]){1, 1, 1}, 3)));

    double scratch[8];
    double median, mad;
    stats_median_mad(x, 8, scratch, &median, &mad);
    assert_true(median == 4 && mad == 1);
    assert_false(stats_is_outlier(4 + 14.8, median, mad));
    assert_true(stats_is_outlier(4 + 14.9, median, mad));
}

static void test_binomial(void **state)
{
    (void)state;
    // Exact rationals, rounded once.
    near_to(stats_binom_cdf(10, 500, 3), 0.171875, 1e-15);
    near_to(stats_binom_cdf(100, 950, 94), 0.38400087204385897, 1e-14);
    near_to(stats_binom_cdf(1000, 990, 985), 0.08241231951608875, 1e-14);
    near_to(stats_binom_cdf(2010, 10, 10), 0.009966645801092324, 1e-14);
    near_to(stats_binom_cdf(50, 100, 0), 0.0051537752073201135, 1e-15);
    assert_true(stats_binom_cdf(5, 500, 5) == 1 && stats_binom_cdf(5, 500, -1) == 0);
    // A median of a symmetric distribution at a size whose 2^-n underflows.
    near_to(stats_binom_cdf(20001, 500, 10000), 0.5, 1e-12);
}

static void test_student(void **state)
{
    (void)state;
    const struct {
        size_t df;
        double t;
    } table[] = {{1, 12.706204736174705}, {2, 4.302652729749464},  {3, 3.1824463052837095}, {4, 2.7764451051977943},
                 {5, 2.5705818356363155}, {10, 2.228138851986275}, {30, 2.042272456301238}, {100, 1.9839715185235522}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        near_to(stats_t_quantile(0.975, table[i].df), table[i].t, 1e-11);
        near_to(stats_t_quantile(0.025, table[i].df), -table[i].t, 1e-11);
        near_to(stats_t_cdf(table[i].t, table[i].df), 0.975, 1e-13);
    }
    near_to(stats_normal_cdf(1.959963984540054), 0.975, 1e-15);
    near_to(stats_normal_cdf(-3.1), 0.000967603213218358, 1e-15);
    near_to(stats_normal_cdf(0), 0.5, 0);
    assert_true(stats_normal_cdf(-40) == 0 && stats_normal_cdf(40) == 1);
    near_to(stats_t_cdf(1.0, 1), 0.75, 1e-15); // Cauchy
    near_to(stats_t_cdf(0, 7), 0.5, 0);
    assert_true(isnan(stats_t_quantile(1.0, 3)) && isnan(stats_t_quantile(0.9, 0)));
}

static void test_order_interval(void **state)
{
    (void)state;
    const struct {
        size_t n;
        unsigned permille;
        size_t lo, hi; // ranks; 0 = open
    } table[] = {{5, 500, 0, 0},    {6, 500, 1, 6},      {10, 500, 2, 9},      {100, 500, 40, 61},
                 {30, 900, 23, 0},  {71, 950, 63, 0},    {72, 950, 64, 72},    {300, 950, 277, 293},
                 {367, 990, 359, 0}, {368, 990, 360, 368}, {1000, 990, 983, 997}};
    double x[1000];
    for (size_t i = 0; i < 1000; i++)
        x[i] = (double)(i + 1);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct stats_interval ci = stats_order_interval(x, table[i].n, table[i].permille);
        assert_int_equal(ci.lo_open, table[i].lo == 0);
        assert_int_equal(ci.hi_open, table[i].hi == 0);
        if (!ci.lo_open)
            near_to(ci.lo, (double)table[i].lo, 0);
        if (!ci.hi_open)
            near_to(ci.hi, (double)table[i].hi, 0);
        else
            assert_true(isnan(ci.hi));
    }
    struct stats_interval none = stats_order_interval(x, 0, 500);
    assert_true(none.lo_open && none.hi_open);
}

static void test_wilson(void **state)
{
    (void)state;
    const struct {
        uint64_t k, n;
        double lo, hi;
    } table[] = {{8, 10, 0.4901624715366418, 0.9433178485456247},
                 {0, 20, 0, 0.16112515805281938},
                 {20, 20, 1 - 0.16112515805281938, 1},
                 {250, 450, 0.5093668685715442, 0.6008037626659035}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct stats_interval ci = stats_wilson(table[i].k, table[i].n);
        near_to(ci.lo, table[i].lo, 1e-15);
        near_to(ci.hi, table[i].hi, 1e-15);
        assert_false(ci.lo_open || ci.hi_open);
    }
    assert_true(stats_wilson(0, 0).lo_open);
}

static void test_early_stop(void **state)
{
    (void)state;
    const uint64_t misses[5] = {0, 1, 2, 5, 10};
    const struct {
        unsigned permille;
        uint64_t n[5];
    } table[] = {{900, {44, 64, 81, 127, 197}}, {950, {90, 130, 165, 259, 398}}, {990, {459, 662, 838, 1307, 2010}}};
    for (size_t p = 0; p < 3; p++)
        for (size_t i = 0; i < 5; i++)
            assert_int_equal(stats_early_stop(table[p].permille, misses[i]), table[p].n[i]);
}

static void test_mcnemar_holm(void **state)
{
    (void)state;
    near_to(stats_mcnemar(1, 9), 22.0 / 1024.0, 1e-16);
    near_to(stats_mcnemar(9, 1), 22.0 / 1024.0, 1e-16);
    near_to(stats_mcnemar(5, 5), 1, 0);
    near_to(stats_mcnemar(0, 0), 1, 0);
    near_to(stats_mcnemar(0, 6), 2.0 / 64.0, 1e-16);

    const double p[4] = {0.01, 0.04, 0.03, 0.005};
    const double expected[4] = {0.03, 0.06, 0.06, 0.02};
    double adj[4];
    struct err err = ERR_INIT;
    assert_int_equal(stats_holm(p, 4, adj, &err), OK);
    for (size_t i = 0; i < 4; i++)
        near_to(adj[i], expected[i], 1e-15);
    assert_int_equal(stats_holm((const double[]){0.7, 0.9}, 2, adj, &err), OK);
    near_to(adj[0], 1, 0);
}

static void test_line(void **state)
{
    (void)state;
    const double x[4] = {512, 1024, 2048, 4096};
    const double y[4] = {51.2, 75.1, 123.4, 218.9};
    struct stats_line f;
    struct err err = ERR_INIT;
    assert_int_equal(stats_fit_line(x, y, 4, &f, &err), OK);
    near_to(f.slope, 0.04680367, 1e-8);
    near_to(f.intercept, 27.28695652, 1e-8);
    near_to(f.r2, 0.999994448596439, 1e-12);
    near_to(f.slope_ci.hi - f.slope, 0.00033550870847447954, 1e-14);
    near_to(f.slope - f.slope_ci.lo, 0.00033550870847447954, 1e-14);
    // An exact line: interval of width 0, R2 1.
    const double exact[4] = {49152.0 * 512, 49152.0 * 1024, 49152.0 * 2048, 49152.0 * 4096};
    assert_int_equal(stats_fit_line(x, exact, 4, &f, &err), OK);
    assert_true(f.slope == 49152 && f.intercept == 0 && f.r2 == 1 && f.slope_ci.lo == f.slope_ci.hi);
    assert_int_equal(stats_fit_line(x, y, 2, &f, &err), OK);
    assert_true(f.slope_ci.lo_open && f.slope_ci.hi_open);
    assert_int_equal(stats_fit_line(x, y, 1, &f, &err), ERR_RANGE);
    assert_int_equal(stats_fit_line((const double[]){3, 3}, y, 2, &f, &err), ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percentile),     cmocka_unit_test(test_floors),      cmocka_unit_test(test_describe),
        cmocka_unit_test(test_binomial),       cmocka_unit_test(test_student),     cmocka_unit_test(test_order_interval),
        cmocka_unit_test(test_wilson),         cmocka_unit_test(test_early_stop),  cmocka_unit_test(test_mcnemar_holm),
        cmocka_unit_test(test_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
