#include "quant/mxfp4.h"

#include <string.h>

/* Magnitudes of codes 0..7 doubled, so that they are integers. */
static unsigned twice(unsigned code)
{
    code &= 7;
    return code < 4 ? code : code < 6 ? (code - 2) * 2 : (code - 4) * 4;
}

float mxfp4_code_f32(unsigned code)
{
    float v = (float)twice(code) * 0.5f;
    return code & 8 ? -v : v;
}

/* bf16 image of code * 2^(scale - 127). */
static bool decode_one(unsigned code, int scale, uint16_t *out)
{
    unsigned t = twice(code); // 0 1 2 3 4 6 8 12
    if (t == 0) {
        *out = 0;
        return true;
    }
    int top = t >= 8 ? 3 : t >= 4 ? 2 : t >= 2 ? 1 : 0;
    int exponent = top - 1 + scale - 127;
    if (exponent >= 60)
        return false;
    unsigned mantissa = ((t - (1u << top)) << 7) >> top; // exact: t has at most two bits set
    *out = exponent < -56 ? 0 : (uint16_t)((code & 8) << 12 | (unsigned)(exponent + 127) << 7 | mantissa);
    return true;
}

bool mxfp4_decode(const uint8_t codes[MXFP4_GROUP_B], uint8_t scale, uint16_t out[MXFP4_GROUP])
{
    if (scale == MXFP4_SCALE_NAN)
        return false;
    bool good = true;
    for (unsigned b = 0; b < MXFP4_GROUP_B; b++) {
        good &= decode_one(codes[b] & 15u, scale, &out[2 * b]);
        good &= decode_one(codes[b] >> 4, scale, &out[2 * b + 1]);
    }
    return good;
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
            float middle = (mxfp4_code_f32(c - 1) + mxfp4_code_f32(c)) * 0.5f;
            if (a > middle || (a >= middle && c % 2 == 0))
                best = c;
        }
        unsigned code = best | (x[i] < 0 && best ? 8u : 0u);
        codes[i / 2] = (uint8_t)(codes[i / 2] | (i % 2 ? code << 4 : code));
    }
}
