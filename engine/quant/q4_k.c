/* Q4_K and Q5_K: 256 codes of four bits, or five; every 32 have a 6-bit scale and a 6-bit minimum under two
 * halves.   bytes: d, dmin, scales and minima[12], (Q5_K: fifth bits[32],) codes[128]. */
#include "quant/block.h"

/* The twelve bytes hold 4 whole scales, 4 whole minima, and in their spare bits the upper two of 4 more each. */
static void scale_and_min(const uint8_t *s, unsigned j, int *scale, int *min)
{
    if (j < 4) {
        *scale = s[j] & 63;
        *min = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
        *min = s[j + 4] >> 4 | s[j] >> 6 << 4;
    }
}

static void decode(const uint8_t *block, const uint8_t *q, const uint8_t *fifth, float *out)
{
    float d = half_at(block);
    float dmin = half_at(block + 2);
    for (unsigned j = 0; j < 8; j++) {
        int scale;
        int min;
        scale_and_min(block + 4, j, &scale, &min);
        for (unsigned l = 0; l < 32; l++) {
            int n = q[j / 2 * 32 + l] >> j % 2 * 4 & 15;
            if (fifth)
                n |= (fifth[l] >> j & 1) << 4;
            out[32 * j + l] = d * (float)scale * (float)n - dmin * (float)min;
        }
    }
}

void q4_k_decode(const uint8_t *block, float *out)
{
    decode(block, block + 16, NULL, out);
}

void q5_k_decode(const uint8_t *block, float *out)
{
    decode(block, block + 48, block + 16, out);
}
