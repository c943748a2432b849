#ifndef ASSAY_BASE_FMATH_H
#define ASSAY_BASE_FMATH_H

#include <stdint.h>

/* The project's own fp32 functions (numerics.md): written in fmaf, + - *, compare and select, so that
 * scalar C, AVX2, AVX-512 and CUDA give the same bits. This scalar form is the definition. */

float fm_exp(float x);      /* 0 below -87.3 (the result would be subnormal), +inf above 88.7 */
float fm_sigmoid(float x);  /* 1 / (1 + fm_exp(-x)) */

/* bf16: round to nearest even on the integer image; subnormals flush to +0 first, NaN stays a NaN. */
uint16_t bf16_from_f32(float x);
float bf16_to_f32(uint16_t b);

/* bf16_operand - bf16_from_f32, then the operand rule of the canonical product: |x| < 2^-56 becomes
 * +0. The caller checks |x| < 2^60 (operand_in_range). */
uint16_t bf16_operand(float x);

#endif
