/* The stored floats: fp32, IEEE half, bf16. All little-endian, any alignment. */
#include <string.h>

#include "base/fmath.h"
#include "quant/quant.h"

void f32_decode(const uint8_t *block, float *out)
{
    memcpy(out, block, sizeof *out);
}

static float from_image(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exponent = h >> 10 & 31u;
    uint32_t mantissa = h & 0x3ffu;
    if (exponent == 31)
        return from_image(sign | 0x7f800000u | mantissa << 13);
    if (exponent == 0) {
        if (mantissa == 0)
            return from_image(sign);
        // subnormal half, normal fp32: shift the leading one into place
        uint32_t shift = 0;
        while (!(mantissa & 0x400u)) {
            mantissa <<= 1;
            shift++;
        }
        return from_image(sign | (113u - shift) << 23 | (mantissa & 0x3ffu) << 13);
    }
    return from_image(sign | (exponent + 112u) << 23 | mantissa << 13);
}

void f16_decode(const uint8_t *block, float *out)
{
    *out = f16_to_f32((uint16_t)(block[0] | block[1] << 8));
}

void bf16_decode(const uint8_t *block, float *out)
{
    *out = bf16_to_f32((uint16_t)(block[0] | block[1] << 8));
}
