/* Q4_0 and Q4_1: 32 nibbles under one half scale, symmetric or above a half minimum. */
#include "quant/block.h"

void q4_0_decode(const uint8_t *block, float *out)
{
    float d = half_at(block);
    for (unsigned i = 0; i < 32; i++)
        out[i] = d * (float)(nibble(block + 2, i) - 8);
}

/* d is the first largest value over -8, so that this value itself is exact but for d's rounding. */
bool q4_0_encode(const float *x, uint8_t *block)
{
    float amax = 0;
    float largest = x[0];
    for (unsigned i = 0; i < 32; i++) {
        float a = __builtin_fabsf(x[i]);
        if (a > amax) {
            amax = a;
            largest = x[i];
        }
    }
    float d = largest / -8.0f;
    float inverse = inverse_or_0(d);
    uint16_t half = f16_from_f32(d);
    put_u16(block, half);
    if (!all_finite(x, 32) || (half & 0x7fffu) >= 0x7c00u)
        return false;
    for (unsigned i = 0; i < 16; i++) {
        int low = (int)(x[i] * inverse + 8.5f);
        int high = (int)(x[i + 16] * inverse + 8.5f);
        block[2 + i] = (uint8_t)((low < 15 ? low : 15) | (high < 15 ? high : 15) << 4);
    }
    return true;
}

void q4_1_decode(const uint8_t *block, float *out)
{
    float d = half_at(block);
    float m = half_at(block + 2);
    for (unsigned i = 0; i < 32; i++)
        out[i] = d * (float)nibble(block + 4, i) + m;
}
