#include "quant/mxfp4.h"

#include <string.h>

#include "base/fmath.h"
#include "quant/block.h"

uint16_t mxfp4_image(unsigned code, unsigned scale)
{
    unsigned magnitude = code & 7;
    uint16_t sign = (uint16_t)((code & 8) << 12);
    if (magnitude == 0)
        return sign;
    // codes 1, 2, 3, 4, 5, 6, 7 are 0.5, 1, 1.5, 2, 3, 4, 6: exponent and one mantissa bit
    int exponent = magnitude == 1 ? -1 : (int)(magnitude >> 1) - 1;
    unsigned significand = magnitude > 1 && (magnitude & 1) ? 0xc0u : 0x80u;
    int field = (int)scale + exponent;
    if (field > 254)
        return sign | 0x7f80u;
    if (field < 1)
        return (uint16_t)(sign | significand >> (1 - field));
    return (uint16_t)(sign | (unsigned)field << 7 | (significand & 0x7fu));
}

bool mxfp4_decode(const uint8_t codes[MXFP4_GROUP_B], uint8_t scale, uint16_t out[MXFP4_GROUP])
{
    if (scale == MXFP4_SCALE_NAN)
        return false;
    for (unsigned i = 0; i < MXFP4_GROUP; i++) {
        uint16_t image = mxfp4_image((unsigned)codes[i / 2] >> (i % 2 * 4) & 15u, scale);
        unsigned magnitude = image & 0x7fffu;
        if (magnitude >= BF16_OPERAND_END)
            return false;
        out[i] = magnitude < BF16_OPERAND_MIN ? 0 : image;
    }
    return true;
}

void mxfp4_block_decode(const uint8_t *block, float *out)
{
    unsigned scale = block[0];
    for (unsigned i = 0; i < MXFP4_GROUP; i++) {
        unsigned code = (unsigned)block[1 + i % 16] >> (i / 16 * 4) & 15u;
        uint16_t image = code == 8 ? 0 : mxfp4_image(code, scale); // ggml's table has no -0
        out[i] = bf16_to_f32(scale == MXFP4_SCALE_NAN ? 0x7fc0u : image);
    }
}

static unsigned exponent_field(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u >> 23 & 255u;
}

/* 2^(field - 127), field 1..254 */
static float power_of_two(unsigned field)
{
    uint32_t u = (uint32_t)field << 23;
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

bool mxfp4_block_encode(const float *x, uint8_t *block)
{
    // half way between neighbouring codes; a tie goes to the smaller
    static const float middle[7] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};
    float size[MXFP4_GROUP];
    float amax = 0;
    for (unsigned i = 0; i < MXFP4_GROUP; i++) {
        float a = __builtin_fabsf(x[i]);
        size[i] = a < 0x1p-126f ? 0 : a; // subnormals: the same bytes whether the unit flushes them or not
        amax = size[i] > amax ? size[i] : amax;
    }
    unsigned field = exponent_field(amax);
    unsigned scale = field > 2 ? field - 2 : 0;
    float inverse = power_of_two(254 - scale);
    memset(block, 0, 1 + MXFP4_GROUP_B);
    block[0] = (uint8_t)scale;
    if (!all_finite(x, MXFP4_GROUP))
        return false;
    for (unsigned i = 0; i < MXFP4_GROUP; i++) {
        float a = size[i] * inverse;
        unsigned code = 0;
        for (unsigned c = 0; c < 7; c++)
            code += a > middle[c];
        code |= x[i] < 0 && code ? 8u : 0u;
        block[1 + i % 16] |= (uint8_t)(code << i / 16 * 4);
    }
    return true;
}
