#ifndef ASSAY_QUANT_MXFP4_H
#define ASSAY_QUANT_MXFP4_H

#include <stdbool.h>
#include <stdint.h>

/* MXFP4: 32 values along the input dimension share one power of two (OCP Microscaling Formats 1.0;
 * safetensors nibble order: the low nibble of byte b is value 2b, the high one 2b + 1). */

enum { MXFP4_GROUP = 32, MXFP4_GROUP_B = 16, MXFP4_SCALE_NAN = 255 };

/* mxfp4_image - bf16 of E2M1 code 0..15 (sign, 2 exponent bits, 1 mantissa bit) times 2^(scale - 127):
 * exact, subnormals included; beyond the largest bf16 it is infinite. scale 0..254. */
uint16_t mxfp4_image(unsigned code, unsigned scale);

/* mxfp4_decode - 32 bf16 operands of one group: code * 2^(scale - 127), exact; what is below 2^-56
 * becomes +0 (numerics.md: Operands).
 * Returns false for a NaN scale byte or a value of 2^60 or more; out is then undefined. */
bool mxfp4_decode(const uint8_t codes[MXFP4_GROUP_B], uint8_t scale, uint16_t out[MXFP4_GROUP]);

/* mxfp4_encode - nearest codes (ties to the even code) under scale = floor(log2 max|x|) - 2 + 127;
 * what lies beyond 6 * 2^(scale-127) becomes 6. A group of zeros has scale 127. x finite, and
 * 2^-120 <= max|x| < 2^120 or all zero.   Source: models.md 3.6 (the writers' common rule). */
void mxfp4_encode(const float x[MXFP4_GROUP], uint8_t codes[MXFP4_GROUP_B], uint8_t *scale);

#endif
