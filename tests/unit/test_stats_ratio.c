// B/A per block: geometric mean, interval, verdict, and the A/A test of measurement.md 19 in small.
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

static void near_to(double found, double expected, double tolerance)
{
    if (!(fabs(found - expected) <= tolerance))
        fail_msg("found %.17g, expected %.17g", found, expected);
}

static void test_ratio(void **state)
{
    (void)state;
    const double a[5] = {10, 11, 9, 10, 10};
    const double b[5] = {13, 14.1, 11.5, 13.2, 12.9};
    struct stats_ratio r;
    struct stats_ratio back;
    struct err err = ERR_INIT;
    assert_int_equal(stats_ratio_blocks(a, b, 5, STATS_DRAWS, 1, "t", &r, &err), OK);
    near_to(r.ratio, pow(1.3 * 14.1 / 11 * 11.5 / 9 * 1.32 * 1.29, 0.2), 1e-14);
    assert_true(r.different && r.ci.lo > 1.27 && r.ci.hi < 1.33 && r.ci.lo < r.ratio && r.ratio < r.ci.hi);
    assert_true(r.p > 0 && r.p < 1e-4);
    // Four blocks show a ratio and an interval, but carry no verdict.
    struct stats_ratio four;
    assert_int_equal(stats_ratio_blocks(a, b, 4, STATS_DRAWS, 1, "t", &four, &err), OK);
    assert_true(!four.different && four.ci.lo > 1.2 && !four.ci.lo_open);
    // The direction only turns it over.
    assert_int_equal(stats_ratio_blocks(b, a, 5, STATS_DRAWS, 1, "t", &back, &err), OK);
    near_to(r.ratio * back.ratio, 1, 1e-15);
    // Sure but small: 1 % is no difference.
    const double c[5] = {10.1, 11.11, 9.09, 10.1, 10.1};
    assert_int_equal(stats_ratio_blocks(a, c, 5, STATS_DRAWS, 1, "t", &r, &err), OK);
    assert_true(r.ci.lo > 1.0099 && !r.different);
    assert_true(r.p < 1e-6);
    // One block has no spread: no interval, no verdict.
    assert_int_equal(stats_ratio_blocks(a, b, 1, STATS_DRAWS, 1, "t", &r, &err), OK);
    assert_true(r.ci.lo_open && r.ci.hi_open && !r.different && r.p >= 1);
    near_to(r.ratio, 1.3, 1e-15);
}

static void test_bad(void **state)
{
    (void)state;
    struct stats_ratio r;
    struct err err = ERR_INIT;
    const double zero[2] = {1, 0};
    const double one[2] = {1, 1};
    assert_int_equal(stats_ratio_blocks(zero, one, 2, 10, 1, "cell", &r, &err), ERR_RANGE);
    assert_non_null(strstr(err.text, "block 1"));
    assert_int_equal(stats_ratio_blocks(one, one, 0, 10, 1, "cell", &r, &err), ERR_RANGE);
    mem_fail_after(2);
    assert_int_equal(stats_ratio_blocks(one, one, 2, 10, 1, "cell", &r, &err), ERR_MEMORY);
    mem_fail_after(0);
}

/* One engine against itself: 100 cells of 5 blocks, 4 % spread between blocks of each. At most 10 may
 * be called different. */
static void test_a_a(void **state)
{
    (void)state;
    const struct rng_key key = rng_key(11, "A/A");
    uint64_t at = 0;
    size_t different = 0;
    for (uint64_t cell = 0; cell < 100; cell++) {
        double a[5];
        double b[5];
        for (size_t i = 0; i < 5; i++) {
            a[i] = 100 + 4 * rng_normal(&key, at++);
            b[i] = 100 + 4 * rng_normal(&key, at++);
        }
        struct stats_ratio r;
        assert_int_equal(stats_ratio_blocks(a, b, 5, STATS_DRAWS, cell, "A/A", &r, NULL), OK);
        different += r.different;
    }
    print_message("# A/A: %zu of 100 called different\n", different);
    assert_true(different <= 10);
    assert_true(different >= 1); // 5 expected: a test that never cries wolf has no eyes
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ratio),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_a_a),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
