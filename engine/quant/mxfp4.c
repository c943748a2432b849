#include "quant/mxfp4.h"

#include <string.h>

#include "base/fmath.h"
#include "quant/quant.h"

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

static int floor_log2(float x) // x normal and positive
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return (int)(u >> 23 & 255) - 127;
}

static float power_of_two(int e) // -126 <= e <= 127
{
    uint32_t u = (uint32_t)(e + 127) << 23;
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

void mxfp4_encode(const float x[MXFP4_GROUP], uint8_t codes[MXFP4_GROUP_B], uint8_t *scale)
{
    float amax = 0;
    for (unsigned i = 0; i < MXFP4_GROUP; i++) {
        float a = x[i] < 0 ? -x[i] : x[i];
        amax = a > amax ? a : amax;
    }
    memset(codes, 0, MXFP4_GROUP_B);
    *scale = 127;
    if (!(amax > 0))
        return;
    int e = floor_log2(amax) - 2;
    *scale = (uint8_t)(e + 127);
    float inverse = power_of_two(-e);
    for (unsigned i = 0; i < MXFP4_GROUP; i++) {
        float a = (x[i] < 0 ? -x[i] : x[i]) * inverse;
        unsigned best = 0;
        for (unsigned c = 1; c < 8; c++) {
            float middle = (bf16_to_f32(mxfp4_image(c - 1, 127)) + bf16_to_f32(mxfp4_image(c, 127))) * 0.5f;
            if (a > middle || (a >= middle && c % 2 == 0))
                best = c;
        }
        unsigned code = best | (x[i] < 0 && best ? 8u : 0u);
        codes[i / 2] = (uint8_t)(codes[i / 2] | (i % 2 ? code << 4 : code));
    }
}

void mxfp4_block_decode(const uint8_t *block, float *out)
{
    unsigned scale = block[0];
    for (unsigned i = 0; i < MXFP4_GROUP; i++) {
        unsigned code = (unsigned)block[1 + i % 16] >> (i / 16 * 4) & 15u;
        out[i] = bf16_to_f32(scale == MXFP4_SCALE_NAN ? 0x7fc0u : mxfp4_image(code, scale));
    }
}
