/* The stored floats: fp32, IEEE half, bf16. All little-endian, any alignment. */
#include <string.h>

#include "base/fmath.h"
#include "quant/block.h"

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

uint16_t f16_from_f32(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000u);
    uint32_t magnitude = u & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return sign | 0x7e00u;
    if (magnitude >= 0x477ff000u) // 65520: half way from the largest half to the next power of two
        return sign | 0x7c00u;
    if (magnitude >= 0x38800000u) { // 2^-14: a normal half
        uint32_t rebiased = magnitude - (112u << 23);
        return (uint16_t)(sign | (rebiased + 0xfffu + (rebiased >> 13 & 1u)) >> 13);
    }
    uint32_t shift = 126u - (magnitude >> 23); // to units of 2^-24
    if (shift > 25u)
        return sign; // under half the smallest subnormal
    uint32_t significand = (magnitude & 0x7fffffu) | 0x800000u;
    uint32_t half = (1u << (shift - 1)) - 1u;
    return (uint16_t)(sign | (significand + half + (significand >> shift & 1u)) >> shift);
}

bool f32_encode(const float *x, uint8_t *block)
{
    memcpy(block, x, sizeof *x);
    return all_finite(x, 1);
}

bool f16_encode(const float *x, uint8_t *block)
{
    uint16_t h = f16_from_f32(*x);
    put_u16(block, h);
    return (h & 0x7c00u) != 0x7c00u;
}

/* Subnormals stay, unlike in bf16_from_f32, whose rule is for operands. */
bool bf16_encode(const float *x, uint8_t *block)
{
    uint32_t u;
    memcpy(&u, x, sizeof u);
    uint32_t rounded = (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
    put_u16(block, (uint16_t)rounded);
    return (u & 0x7f800000u) != 0x7f800000u && (rounded & 0x7f80u) != 0x7f80u;
}

void f16_decode(const uint8_t *block, float *out)
{
    *out = f16_to_f32((uint16_t)(block[0] | block[1] << 8));
}

void bf16_decode(const uint8_t *block, float *out)
{
    *out = bf16_to_f32((uint16_t)(block[0] | block[1] << 8));
}
