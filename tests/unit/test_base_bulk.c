#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "base/bulk.h"
#include "base/fmath.h"

static uint64_t key(uint64_t seed, const char *name)
{
    uint64_t k = 0;
    assert_int_equal(bulk_key(&k, seed, name, NULL), OK);
    return k;
}

/* The first output of SplitMix64 from 0 as its authors publish it; the rest worked out in Python from the
 * definitions. */
static void bulk_known_answers(void **state)
{
    (void)state;
    assert_true(bulk_word(0, 0) == 0xe220a8397b1dcdafu);
    uint64_t k = key(7, "w");
    assert_true(k == 0x49182f97a91f7d03u);
    assert_true(bulk_word(k, 0) == 0x601cb8d129339687u && bulk_word(k, 1) == 0x777e5523f47b3782u);
    assert_true(bulk_word(k, (uint64_t)1 << 40) == 0x9645390ffef42ceau);
    assert_true(bulk_normal(k, 0) == 93668 && bulk_normal(k, 1) == 19942 && bulk_normal(k, 2) == -283370);
    assert_true(bulk_normal(k, 1000003) == 246520);
    assert_true(key(8, "w") != k && key(7, "v") != k);
}

/* Mean, variance, kurtosis (2.9 for twelve uniforms) and neighbours that have nothing to do with each other. */
static void bulk_normals(void **state)
{
    (void)state;
    enum { N = 1000000 };
    const uint64_t k = key(7, "w");
    double sum = 0;
    double squares = 0;
    double fourths = 0;
    double products = 0;
    double before = 0;
    for (uint64_t i = 0; i < N; i++) {
        double x = (double)bulk_normal(k, i) * 0x1p-17;
        assert_true(fabs(x) < 6);
        sum += x;
        squares += x * x;
        fourths += x * x * x * x;
        products += x * before;
        before = x;
    }
    assert_true(fabs(sum / N) < 4 / sqrt((double)N));
    assert_true(fabs(squares / N - 1) < 4 * sqrt(2.0 / N));
    assert_true(fabs(fourths / N - 2.9) < 4 * sqrt(96.0 / N));
    assert_true(fabs(products / N) < 4 / sqrt((double)N));
}

/* However many are asked for at once, they are those of the definition. */
static void many_are_the_same(void **state)
{
    (void)state;
    enum { N = 300 };
    const uint64_t k = key(3, "many");
    static const uint64_t from[] = {0, 1, 5, 8, 1000003, ((uint64_t)1 << 40) - 7};
    for (size_t f = 0; f < sizeof from / sizeof *from; f++) {
        for (size_t n = 0; n <= N; n += n < 40 ? 1 : 37) {
            uint16_t v[N + 1];
            uint8_t b[N + 1];
            memset(v, 0xa5, sizeof v);
            memset(b, 0xa5, sizeof b);
            bulk_bf16(k, 0.25, 0.125 * 0x1p-17, from[f], n, v);
            bulk_bytes(k, from[f], n, b);
            for (size_t i = 0; i < n; i++) {
                uint64_t at = from[f] + i;
                assert_int_equal(v[i], bf16_from_f64(0.25 + 0.125 * 0x1p-17 * (double)bulk_normal(k, at)));
                assert_int_equal(b[i], bulk_word(k, at / 8) >> at % 8 * 8 & 255);
            }
            assert_true(v[n] == 0xa5a5 && b[n] == 0xa5);
        }
    }
    uint16_t tiny[64]; // what is below 2^-126 is +0, sign and all
    bulk_bf16(k, 0, 0x1p-147, 0, 64, tiny);
    size_t zeros = 0;
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(tiny[i], bf16_from_f64(0x1p-147 * (double)bulk_normal(k, i)));
        zeros += tiny[i] == 0;
    }
    assert_true(zeros == 64);
    bulk_bf16(k, 0, 0x1p-143, 0, 64, tiny);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(tiny[i], bf16_from_f64(0x1p-143 * (double)bulk_normal(k, i)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bulk_known_answers),
        cmocka_unit_test(bulk_normals),
        cmocka_unit_test(many_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
