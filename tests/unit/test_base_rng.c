#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "base/rng.h"

/* Known answers of philox4x32-10 from the authors' Random123 distribution (kat_vectors). */
static void philox_known_answers(void **state)
{
    (void)state;
    static const uint32_t cases[][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
    };
    for (size_t i = 0; i < 3; i++) {
        uint32_t out[4];
        philox4x32(cases[i], cases[i] + 4, out);
        assert_memory_equal(out, cases[i] + 6, sizeof out);
    }
}

/* A value depends on seed, name and index alone; each of them matters. */
static void values_are_addressed(void **state)
{
    (void)state;
    struct rng_key k = rng_key(1, "a");
    struct rng_key again = rng_key(1, "a");
    struct rng_key seed = rng_key(2, "a");
    struct rng_key wide = rng_key((uint64_t)1 << 32 | 1, "a");
    struct rng_key name = rng_key(1, "b");
    assert_true(rng_u64(&k, 9) == rng_u64(&again, 9));
    assert_true(rng_u64(&k, 9) != rng_u64(&k, 10));
    assert_true(rng_u64(&k, 9) != rng_u64(&seed, 9));
    assert_true(rng_u64(&k, 9) != rng_u64(&wide, 9));
    assert_true(rng_u64(&k, 9) != rng_u64(&name, 9));
    assert_true(rng_u64(&k, 9) != rng_u64(&k, ((uint64_t)1 << 32) + 9));
    // SHA-256("a") begins ca978112 ca1bbdca: bytes are taken little-endian.
    assert_int_equal(k.name[0], 0x128197ca);
    assert_int_equal(k.name[1], 0xcabd1bca);
}

static void below_is_uniform(void **state)
{
    (void)state;
    struct rng_key k = rng_key(7, "die");
    int seen[6] = {0};
    for (uint64_t i = 0; i < 60000; i++) {
        uint64_t v = rng_below(&k, i, 6);
        assert_true(v < 6);
        seen[v]++;
    }
    double chi = 0;
    for (int i = 0; i < 6; i++)
        chi += (seen[i] - 10000.0) * (seen[i] - 10000.0) / 10000.0;
    assert_true(chi < 20.5); // 99.9 % of chi-square with 5 degrees; the draws are fixed, so this never flickers
    assert_int_equal(rng_below(&k, 3, 1), 0);
}

static void normals(void **state)
{
    (void)state;
    struct rng_key k = rng_key(7, "w");
    double sum = 0;
    double squares = 0;
    enum { N = 40000 };
    for (uint64_t i = 0; i < N; i++) {
        double x = rng_normal(&k, i);
        assert_true(x == rng_normal(&k, i) && fabs(x) < 6 && x * 0x1p17 == floor(x * 0x1p17));
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(sum / N) < 4 / sqrt((double)N));
    assert_true(fabs(squares / N - 1) < 4 * sqrt(2.0 / N));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers), cmocka_unit_test(values_are_addressed),
        cmocka_unit_test(below_is_uniform), cmocka_unit_test(normals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
