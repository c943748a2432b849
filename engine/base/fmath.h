#ifndef ASSAY_BASE_FMATH_H
#define ASSAY_BASE_FMATH_H

#include <stdint.h>
#include <string.h>

/* The project's own fp32 functions (numerics.md): written in fmaf, + - *, compare and select, so that
 * scalar C, AVX2, AVX-512 and CUDA give the same bits. This scalar form is the definition. */

/* Outside [FM_EXP_MIN, FM_EXP_MAX] fm_exp is 0 (the result would be subnormal) or +inf. */
#define FM_EXP_MIN (-0x1.5d589ep+6f)
#define FM_EXP_MAX 0x1.62e42ep+6f
float fm_exp(float x);      /* within 1 ulp; NaN stays NaN */
float fm_sigmoid(float x);  /* 1 / (1 + fm_exp(-x)) */

/* bf16: round to nearest even on the integer image; subnormals flush to +0 first, NaN stays a NaN. */
uint16_t bf16_from_f32(float x);
float bf16_to_f32(uint16_t b);

/* bf16_from_f64 - nearest bf16, ties to even, in one rounding (a detour over fp32 would be two); results
 * below 2^-126 become +0. x finite and below 2^127. No branch: a compiler may do many at once. */
static inline uint16_t bf16_from_f64(double x)
{
    const uint64_t half = (uint64_t)1 << 44;
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    uint64_t rounded = (u & ~((uint64_t)1 << 63)) + (half - 1) + (u >> 45 & 1); // may carry into the exponent, which is right
    uint64_t image = (rounded >> 45) - ((uint64_t)(1023 - 127) << 7) + (u >> 63 << 15);
    return (uint16_t)((u >> 52 & 0x7ff) > 1023 - 127 ? image : 0);
}

/* bf16_operand - bf16_from_f32, then the operand rule of the canonical product: |x| < 2^-56 becomes
 * +0 (so does -0). The caller checks bf16_in_range of the result: |x| < 2^60 after rounding, no NaN. */
#define BF16_OPERAND_MIN 0x2380u /* 2^-56 */
#define BF16_OPERAND_END 0x5d80u /* 2^60 */
uint16_t bf16_operand(float x);
static inline int bf16_in_range(uint16_t b)
{
    return (b & 0x7fffu) < BF16_OPERAND_END;
}

#endif
