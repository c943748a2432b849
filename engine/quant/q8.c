/* Q8_0: 32 signed bytes under one half scale. */
#include "quant/block.h"

void q8_0_decode(const uint8_t *block, float *out)
{
    float d = half_at(block);
    for (unsigned i = 0; i < 32; i++)
        out[i] = d * (float)(int8_t)block[2 + i];
}

bool q8_0_encode(const float *x, uint8_t *block)
{
    float amax = 0;
    for (unsigned i = 0; i < 32; i++) {
        float a = __builtin_fabsf(x[i]);
        amax = a > amax ? a : amax;
    }
    float d = amax / 127.0f;
    float inverse = inverse_or_0(d);
    uint16_t half = f16_from_f32(d);
    put_u16(block, half);
    if (!all_finite(x, 32) || half >= 0x7c00u)
        return false;
    for (unsigned i = 0; i < 32; i++) { // ties away from zero, as everybody who writes this format has them
        float y = x[i] * inverse;
        int q = (int)y;
        float rest = y - (float)q;
        block[2 + i] = (uint8_t)(q + (rest >= 0.5f) - (rest <= -0.5f));
    }
    return true;
}
