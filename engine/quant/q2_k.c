/* Q2_K: 256 two-bit codes; every 16 have a 4-bit scale and a 4-bit minimum under two halves.
 * bytes: scales[16] (low nibble scale, high minimum), codes[64], d, dmin. */
#include "quant/block.h"

void q2_k_decode(const uint8_t *block, float *out)
{
    const uint8_t *q = block + 16;
    float d = half_at(block + 80);
    float dmin = half_at(block + 82);
    for (unsigned e = 0; e < 256; e++) {
        unsigned s = block[e / 16];
        int n = q[e / 128 * 32 + e % 32] >> e % 128 / 32 * 2 & 3;
        out[e] = d * (float)(s & 15) * (float)n - dmin * (float)(s >> 4);
    }
}
