#ifndef ASSAY_QUANT_BLOCK_H
#define ASSAY_QUANT_BLOCK_H

#include <stdint.h>

#include "quant/quant.h"

/* What the block formats of this room share: little-endian halves at any address, and sub-block scales.
 * No decoder needs fmaf or an order of its own: every product here has at most 24 significant bits and is
 * exact in fp32, so a value has at most one rounding, that of its last subtraction or addition. */

static inline uint16_t u16_at(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline float half_at(const uint8_t *p)
{
    return f16_to_f32(u16_at(p));
}

static inline void put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

/* inverse_or_0 - 1 / d; 0 for a d so small that subnormal values would show (its half is 0 anyway). So
 * encoders give the same bytes with subnormals flushed and not. */
static inline float inverse_or_0(float d)
{
    return __builtin_fabsf(d) < 0x1p-100f ? 0 : 1.0f / d;
}

/* all_finite - false for a NaN or an infinity among n values. */
static inline int all_finite(const float *x, unsigned n)
{
    float sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += x[i] - x[i]; // 0, or NaN for ever
    return sum == 0;
}

/* nibble - code i of 32 in 16 bytes: low nibbles are values 0..15, high ones 16..31. */
static inline int nibble(const uint8_t *q, unsigned i)
{
    return q[i % 16] >> (i / 16 * 4) & 15;
}

#endif
