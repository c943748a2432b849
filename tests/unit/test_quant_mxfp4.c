#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "quant/mxfp4.h"
#include "quant/quant.h"

static float from_bf16(uint16_t b)
{
    uint32_t u = (uint32_t)b << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static double power(int e)
{
    double x = 1.0;
    for (; e > 0; e--)
        x *= 2.0;
    for (; e < 0; e++)
        x *= 0.5;
    return x;
}

/* All codes under all scales against the definition, in double. */
static void decodes_every_code(void **state)
{
    (void)state;
    static const double table[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6};
    for (unsigned scale = 0; scale < 255; scale++) {
        for (unsigned code = 0; code < 16; code++) {
            uint8_t codes[16] = {0};
            uint16_t out[32];
            codes[5] = (uint8_t)(code << 4);
            codes[6] = (uint8_t)code;
            double want = table[code] * power((int)scale - 127);
            double size = want < 0 ? -want : want;
            bool fits = size < power(60);
            assert_int_equal(mxfp4_decode(codes, (uint8_t)scale, out), fits);
            if (!fits)
                continue;
            if (size < power(-56))
                want = 0;
            assert_true((double)from_bf16(out[11]) == want); // the high nibble is the odd input
            assert_true((double)from_bf16(out[12]) == want);
            assert_int_equal(out[0], 0);
        }
    }
    uint8_t zeros[16] = {0};
    uint16_t out[32];
    assert_false(mxfp4_decode(zeros, 255, out));
}

/* Where bf16 itself ends. */
static void images_at_the_ends(void **state)
{
    (void)state;
    assert_int_equal(mxfp4_image(1, 0), 0x0020);  // 2^-128: subnormal, exact
    assert_int_equal(mxfp4_image(3, 0), 0x0060);  // 1.5 * 2^-127
    assert_int_equal(mxfp4_image(15, 253), 0xff80); // -6 * 2^126 = -1.5 * 2^128: infinite
    assert_int_equal(mxfp4_image(2, 254), 0x7f00);         // 2^127
    assert_int_equal(mxfp4_image(8, 200), 0x8000);         // -0
}

static void encodes_back(void **state)
{
    (void)state;
    uint8_t block[17] = {120};
    uint8_t back[17];
    float x[32];
    for (unsigned i = 0; i < 16; i++)
        block[1 + i] = (uint8_t)(i | (15 - i) << 4);
    block[1 + 8] = 0x70; // -0 is written as +0
    block[1 + 7] = 0x07;
    mxfp4_block_decode(block, x);
    assert_true(mxfp4_block_encode(x, back));
    assert_memory_equal(block, back, 17);
    memset(x, 0, sizeof x);
    assert_true(mxfp4_block_encode(x, back));
    assert_int_equal(back[0], 0);
    x[3] = -7.9f; // beyond 6: clips
    x[20] = 2.5f; // tie between 2 (code 4) and 3 (code 5)
    assert_true(mxfp4_block_encode(x, back));
    assert_int_equal(back[0], 127);
    assert_int_equal(back[1 + 3], 15);
    assert_int_equal(back[1 + 4] >> 4, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(decodes_every_code), cmocka_unit_test(images_at_the_ends), cmocka_unit_test(encodes_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
