/* Q5_0 and Q5_1: as Q4_0 and Q4_1, with a fifth bit per value in 32 more bits. */
#include "quant/block.h"

static int code(const uint8_t *qh, const uint8_t *q, unsigned i)
{
    return nibble(q, i) | (qh[i / 8] >> i % 8 & 1) << 4;
}

void q5_0_decode(const uint8_t *block, float *out)
{
    float d = half_at(block);
    for (unsigned i = 0; i < 32; i++)
        out[i] = d * (float)(code(block + 2, block + 6, i) - 16);
}

void q5_1_decode(const uint8_t *block, float *out)
{
    float d = half_at(block);
    float m = half_at(block + 2);
    for (unsigned i = 0; i < 32; i++)
        out[i] = d * (float)code(block + 4, block + 8, i) + m;
}
