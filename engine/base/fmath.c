#include "base/fmath.h"

#include <math.h>
#include <string.h>

static uint32_t image(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float from_image(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* x = n ln 2 + r, |r| <= 0.3467; Taylor to r^7 in Horner form, each step one fmaf; 2^n is added to the
 * exponent field, which is exact because the bounds keep the result normal. Adding 1.5 * 2^23 rounds
 * to an integer (ties to even) and leaves it in the low bits: no conversion whose rounding could differ. */
float fm_exp(float x)
{
    const float magic = 12582912.0f;
    float t = fmaf(x, 0x1.715476p+0f, magic);
    float n = t - magic;
    float r = fmaf(n, -0x1.62e4p-1f, x); // 15 bits: n * this is exact
    r = fmaf(n, -0x1.7f7d1cp-20f, r);
    float p = 0x1.a01a02p-13f;       // 1/7!
    p = fmaf(p, r, 0x1.6c16c2p-10f); // 1/6!
    p = fmaf(p, r, 0x1.111112p-7f);
    p = fmaf(p, r, 0x1.555556p-5f);
    p = fmaf(p, r, 0x1.555556p-3f);
    p = fmaf(p, r, 0.5f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    float y = from_image(image(p) + (image(t) << 23)); // the low 9 bits of magic are 0
    y = x < FM_EXP_MIN ? 0.0f : y;
    y = x > FM_EXP_MAX ? INFINITY : y;
    return x != x ? x : y;
}

float fm_sigmoid(float x)
{
    return 1.0f / (1.0f + fm_exp(-x));
}

uint16_t bf16_from_f32(float x)
{
    uint32_t u = image(x);
    uint32_t magnitude = u & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(u >> 16 | 0x40u); // quiet, whatever was in the low half
    if (magnitude < 0x00800000u)
        return magnitude == 0 ? (uint16_t)(u >> 16) : 0;
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

float bf16_to_f32(uint16_t b)
{
    return from_image((uint32_t)b << 16);
}

uint16_t bf16_operand(float x)
{
    uint16_t b = bf16_from_f32(x);
    return (b & 0x7fffu) < BF16_OPERAND_MIN ? 0 : b;
}
