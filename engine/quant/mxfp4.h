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

#endif
