/* Q3_K: 256 codes of two bits and one more elsewhere (clear: 4 less); every 16 have a 6-bit scale, 32 of
 * them meaning none.   bytes: high bits[32], codes[64], scales[12], d. */
#include "quant/block.h"

static int scale(const uint8_t *s, unsigned j) // of values 16j..16j+15
{
    int low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
    int high = s[8 + j % 4] >> j / 4 * 2 & 3;
    return (low | high << 4) - 32;
}

void q3_k_decode(const uint8_t *block, float *out)
{
    const uint8_t *q = block + 32;
    float d = half_at(block + 108);
    for (unsigned e = 0; e < 256; e++) {
        int n = q[e / 128 * 32 + e % 32] >> e % 128 / 32 * 2 & 3;
        if (!(block[e % 32] >> e / 32 & 1))
            n -= 4;
        out[e] = d * (float)scale(block + 96, e / 16) * (float)n;
    }
}
