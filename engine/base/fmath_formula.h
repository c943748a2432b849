#ifndef ASSAY_BASE_FMATH_FORMULA_H
#define ASSAY_BASE_FMATH_FORMULA_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/fmath.h"

/* The formulas of fmath.h, once, for every compiler: fmath.c wraps them for callers in C, and CUDA kernels
 * (engine/cuda/simt.h) compile them for the device. Only fmaf, + - * /, compare, select and integers. */
#ifdef __CUDACC__
#define FM_FN static __device__ __forceinline__
#else
#define FM_FN static inline
#endif

FM_FN uint32_t fmf_image(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

FM_FN float fmf_from_image(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* x = n ln 2 + r, |r| <= 0.3467; Taylor to r^7 in Horner form, each step one fmaf; 2^n is added to the
 * exponent field, which is exact because the bounds keep the result normal. Adding 1.5 * 2^23 rounds
 * to an integer (ties to even) and leaves it in the low bits: no conversion whose rounding could differ. */
FM_FN float fmf_exp(float x)
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
    float y = fmf_from_image(fmf_image(p) + (fmf_image(t) << 23)); // the low 9 bits of magic are 0
    y = x < FM_EXP_MIN ? 0.0f : y;
    y = x > FM_EXP_MAX ? INFINITY : y;
    return x != x ? x : y;
}

FM_FN float fmf_sigmoid(float x)
{
    return 1.0f / (1.0f + fmf_exp(-x));
}

FM_FN uint16_t fmf_bf16(float x)
{
    uint32_t u = fmf_image(x);
    uint32_t magnitude = u & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(u >> 16 | 0x40u); // quiet, whatever was in the low half
    if (magnitude < 0x00800000u)
        return magnitude == 0 ? (uint16_t)(u >> 16) : 0;
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

FM_FN float fmf_from_bf16(uint32_t b)
{
    return fmf_from_image(b << 16);
}

FM_FN uint16_t fmf_operand(float x)
{
    uint16_t b = fmf_bf16(x);
    return (b & 0x7fffu) < BF16_OPERAND_MIN ? 0 : b;
}

#endif
