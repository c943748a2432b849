#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/fmath.h"

static float from_image(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static uint32_t image(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static void test_exp(void **state)
{
    (void)state;
    double worst = 0;
    for (uint32_t u = 0; u < 0x42c00000u; u += 4001) { // 0 .. 96
        for (int sign = 0; sign < 2; sign++) {
            float x = from_image(u | (uint32_t)sign << 31);
            double exact = exp((double)x);
            float y = fm_exp(x);
            if (x < FM_EXP_MIN) {
                assert_true(y == 0.0f);
            } else if (x > FM_EXP_MAX) {
                assert_true(isinf(y));
            } else {
                assert_true(isnormal(y));
                int e;
                (void)frexp(exact, &e);
                double ulp = fabs((double)y - exact) / ldexp(1.0, e - 24);
                worst = ulp > worst ? ulp : worst;
            }
        }
    }
    print_message("# exp %.3f ulp\n", worst);
    assert_true(worst < 1.0);
    assert_true(fm_exp(0.0f) == 1.0f && fm_exp(-0.0f) == 1.0f);
    // every float next to the two bounds
    for (uint32_t i = 0; i < 2000; i++) {
        float lo = fm_exp(from_image(image(FM_EXP_MIN) - i));
        assert_true(isnormal(lo) && lo < 0x1.1p-126f);
        assert_true(fm_exp(from_image(image(FM_EXP_MIN) + 1 + i)) == 0.0f);
        float hi = fm_exp(from_image(image(FM_EXP_MAX) - i));
        assert_true(isnormal(hi) && hi > 0x1.ep127f);
        assert_true(isinf(fm_exp(from_image(image(FM_EXP_MAX) + 1 + i))));
    }
    assert_true(fm_exp(-INFINITY) == 0.0f && isinf(fm_exp(INFINITY)) && isnan(fm_exp(NAN)));
    assert_true(isnan(fm_exp(from_image(0x7f800001u))) && isnan(fm_exp(from_image(0xffffffffu))));
    assert_true(fm_exp(-3e38f) == 0.0f && isinf(fm_exp(3e38f)));
}

static void test_sigmoid(void **state)
{
    (void)state;
    for (int i = -2000; i <= 2000; i++) {
        float x = (float)i * 0.05f;
        double exact = 1.0 / (1.0 + exp(-(double)x));
        assert_true(fabs((double)fm_sigmoid(x) - exact) <= 2e-7 * exact + 1e-38);
    }
    assert_true(fm_sigmoid(0.0f) == 0.5f && fm_sigmoid(200.0f) == 1.0f && fm_sigmoid(-200.0f) == 0.0f);
    assert_true(isnan(fm_sigmoid(NAN)));
}

static void test_exp_digest(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    static const char expect[] = "1314e2e97dccd7ee6a5cca3c9cb0d009c23823549f9bdde8c5f70075c20345b9";
    struct digest *d;
    assert_int_equal(digest_new(&d, &err), OK);
    for (uint32_t i = 0; i < 4000; i++) {
        float x = from_image((i * 2654435761u >> 6) % 0x06000000u + 0x3d000000u); // 0.03 .. 128
        uint32_t v[3] = {image(fm_exp(x)), image(fm_exp(-x)), image(fm_sigmoid(i & 1 ? x : -x))};
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

static void test_bf16(void **state)
{
    (void)state;
    for (uint32_t b = 0; b <= 0xffffu; b++) { // what is bf16 already stays, but for subnormals and NaN's quiet bit
        float x = bf16_to_f32((uint16_t)b);
        uint16_t r = bf16_from_f32(x);
        uint32_t magnitude = b & 0x7fffu;
        if (magnitude > 0x7f80u)
            assert_true(isnan(bf16_to_f32(r)));
        else if (magnitude != 0 && magnitude < 0x80u)
            assert_int_equal(r, 0);
        else
            assert_int_equal(r, b);
        uint16_t o = bf16_operand(x);
        if (magnitude < 0x2380u)
            assert_int_equal(o, 0);
        else
            assert_int_equal(o, r);
        assert_int_equal(bf16_in_range(r), magnitude < 0x5d80u);
    }
    // ties to even, one above and one below a tie, carry into the exponent, and into infinity
    assert_int_equal(bf16_from_f32(from_image(0x3f808000u)), 0x3f80);
    assert_int_equal(bf16_from_f32(from_image(0x3f818000u)), 0x3f82);
    assert_int_equal(bf16_from_f32(from_image(0x3f808001u)), 0x3f81);
    assert_int_equal(bf16_from_f32(from_image(0x3f807fffu)), 0x3f80);
    assert_int_equal(bf16_from_f32(from_image(0x3fffffffu)), 0x4000);
    assert_int_equal(bf16_from_f32(from_image(0xff7fffffu)), 0xff80);
    assert_int_equal(bf16_from_f32(from_image(0x007fffffu)), 0); // would round up to the first normal
    assert_int_equal(bf16_from_f32(from_image(0x807fffffu)), 0);
    assert_true(isnan(bf16_to_f32(bf16_from_f32(from_image(0x7f800001u)))));
    // the operand bounds are tested after the rounding
    assert_int_equal(bf16_operand(from_image(0x237fffffu)), 0x2380);
    assert_int_equal(bf16_operand(from_image(0x237f7fffu)), 0);
    assert_false(bf16_in_range(bf16_operand(from_image(0x5d7fffffu))));
    assert_true(bf16_in_range(bf16_operand(from_image(0x5d7f7fffu))));
    assert_false(bf16_in_range(bf16_operand(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp),
        cmocka_unit_test(test_sigmoid),
        cmocka_unit_test(test_exp_digest),
        cmocka_unit_test(test_bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
