#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/dmath.h"
#include "base/pool.h"
#include "base/rng.h"

/* Accuracy against libm's long double, which carries 11 more bits; identity by the digest of some
 * hundred results a function. */

static double uniform(uint64_t i, double lo, double hi)
{
    struct rng_key k = rng_key(1, "dmath");
    return lo + (hi - lo) * ((double)(rng_u64(&k, i) >> 11) * 0x1p-53);
}

// distance in units of the last place of the exact value
static double ulps(double got, long double exact)
{
    int e;
    (void)frexpl(exact, &e);
    return (double)fabsl(((long double)got - exact) / ldexpl(1.0L, e - 53));
}

enum { POINTS = 20000 };

static void test_exp(void **state)
{
    (void)state;
    double worst = 0;
    for (uint64_t i = 0; i < POINTS; i++) {
        double x = i % 2 ? uniform(i, -708, 709) : uniform(i, -2, 2);
        double u = ulps(dm_exp(x), expl((long double)x));
        worst = u > worst ? u : worst;
    }
    print_message("# exp %.3f ulp\n", worst);
    assert_true(worst < 1.0);
    assert_true(dm_exp(0.0) == 1.0);
    assert_true(isinf(dm_exp(710.5)) && isinf(dm_exp(709.79)) && isinf(dm_exp((double)INFINITY)));
    assert_true(dm_exp(-709.5) == 0.0 && dm_exp(-1e300) == 0.0 && dm_exp(-708.397) == 0.0);
    assert_true(dm_exp(-708.396) > 0.0);
    assert_true(isnan(dm_exp((double)NAN)));
}

static void test_log(void **state)
{
    (void)state;
    double worst = 0;
    for (uint64_t i = 0; i < POINTS; i++) {
        double x = i % 3 == 0   ? uniform(i, 0.5, 2)
                   : i % 3 == 1 ? ldexp(uniform(i, 1, 2), (int)(i % 2000) - 1000)
                                : 1.0 + ldexp(uniform(i, -1, 1), -(int)(i % 50));
        if (x <= 0)
            continue;
        double u = ulps(dm_log(x), logl((long double)x));
        if (x != 1.0)
            worst = u > worst ? u : worst;
    }
    print_message("# log %.3f ulp\n", worst);
    assert_true(worst < 1.0);
    assert_true(dm_log(1.0) == 0.0);
    assert_true(isinf(dm_log(0.0)) && dm_log(0.0) < 0 && isinf(dm_log((double)INFINITY)));
    assert_true(isnan(dm_log(-1.0)) && isnan(dm_log((double)NAN)));
    assert_true(ulps(dm_log(0x1p-1074), logl(0x1p-1074L)) < 1.0);
    // a process with DAZ set reads a subnormal like any other
    double want = dm_log(0x1.8p-1060);
    unsigned env = pool_numeric_env_enter();
    double got = dm_log(0x1.8p-1060);
    pool_numeric_env_leave(env);
    assert_memory_equal(&got, &want, sizeof got);
}

static void test_sin_cos(void **state)
{
    (void)state;
    double worst = 0;
    for (uint64_t i = 0; i < POINTS; i++) {
        double x = uniform(i, -1, 1) * ldexp(1.0, (int)(i % 41));
        if (i % 5 == 0) // next to a multiple of pi/2, where the reduction cancels
            x = (double)((long double)(i * i % 1000003) * 1.57079632679489661923132169163975144L);
        long double exact_s = sinl((long double)x);
        long double exact_c = cosl((long double)x);
        double a = ulps(dm_sin(x), exact_s);
        double b = ulps(dm_cos(x), exact_c);
        if (exact_s != 0.0L)
            worst = a > worst ? a : worst;
        worst = b > worst ? b : worst;
    }
    print_message("# sin, cos %.3f ulp\n", worst);
    assert_true(worst < 1.0);
    assert_true(dm_sin(0.0) == 0.0 && dm_cos(0.0) == 1.0);
    assert_true(isnan(dm_sin(0x1p41)) && isnan(dm_cos((double)INFINITY)) && isnan(dm_sin((double)NAN)));
}

static void test_pow(void **state)
{
    (void)state;
    double worst = 0;
    for (uint64_t i = 0; i < POINTS; i++) {
        double x = i % 2 ? uniform(i, 1, 2e6) : uniform(i, 0.001, 3);
        double y = uniform(i + POINTS, -30, 30);
        long double exact = powl((long double)x, (long double)y);
        double u = ulps(dm_pow(x, y), exact);
        worst = u > worst ? u : worst;
    }
    print_message("# pow %.3f ulp\n", worst);
    assert_true(worst < 1.0);
    assert_true(dm_pow(2.0, 10.0) == 1024.0 && dm_pow(3.0, -1.0) == 1.0 / 3.0 && dm_pow(7.5, 0.0) == 1.0);
    assert_true(dm_pow(1.0, 1e300) == 1.0 && isinf(dm_pow(2.0, 1e300)) && dm_pow(2.0, -1e300) == 0.0);
    assert_true(dm_pow(0.0, 2.0) == 0.0 && isinf(dm_pow(0.0, -2.0)) && isnan(dm_pow(-1.0, 2.0)));
}

// The same bits on every machine, compiler and optimisation level.
static void test_digest(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    static const char expect[] = "b084a7c228fe94c049f28b780108070063e800a029d1e04279f663e190f00013";
    struct digest *d;
    assert_int_equal(digest_new(&d, &err), OK);
    for (uint64_t i = 0; i < 500; i++) {
        double v[5] = {
            dm_exp(uniform(i, -700, 700)), dm_log(uniform(i, 1e-6, 1e6)), dm_sin(uniform(i, -1e6, 1e6)),
            dm_cos(uniform(i, -1e6, 1e6)), dm_pow(uniform(i, 0.1, 1e6), uniform(i + 500, -20, 20)),
        };
        uint8_t bytes[sizeof v];
        memcpy(bytes, v, sizeof v);
        assert_int_equal(digest_add(d, bytes, sizeof bytes, &err), OK);
    }
    uint8_t out[DIGEST_B];
    char hex[DIGEST_HEX_LEN + 1];
    assert_int_equal(digest_finish(d, out, &err), OK);
    digest_hex(out, hex);
    digest_free(d);
    assert_string_equal(hex, expect);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp),     cmocka_unit_test(test_log),    cmocka_unit_test(test_sin_cos),
        cmocka_unit_test(test_pow),     cmocka_unit_test(test_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
