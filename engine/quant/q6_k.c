/* Q6_K: 256 codes of four bits and two more elsewhere; every 16 have a signed byte as scale.
 * bytes: low bits[128], high bits[64], scales[16], d. */
#include "quant/block.h"

void q6_k_decode(const uint8_t *block, float *out)
{
    const uint8_t *high = block + 128;
    float d = half_at(block + 208);
    for (unsigned e = 0; e < 256; e++) {
        unsigned half = e / 128;
        unsigned g = e % 128 / 32;
        unsigned l = e % 32;
        int n = block[half * 64 + g % 2 * 32 + l] >> g / 2 * 4 & 15;
        n |= (high[half * 32 + l] >> 2 * g & 3) << 4;
        out[e] = d * (float)(int8_t)block[192 + e / 16] * (float)(n - 32);
    }
}
