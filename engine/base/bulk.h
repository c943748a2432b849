#ifndef ASSAY_BASE_BULK_H
#define ASSAY_BASE_BULK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Random numbers by the billion, for weights that are made and not read: addressed by (key, index) like
 * rng.h, with SplitMix64 (Steele, Lea, Flood 2014, "Fast Splittable Pseudorandom Number Generators") in
 * place of Philox, at a third of its cost in plain C. The inline forms are the definition. */

/* bulk_key - rng_u64 of the key of (seed, name) at 0. Statuses of rng_key_new. */
enum status bulk_key(uint64_t *out, uint64_t seed, const char *name, struct err *err);

#define BULK_STEP 0x9e3779b97f4a7c15u

/* bulk_word - word i: the finaliser of SplitMix64 over key + (i + 1) * BULK_STEP. */
static inline uint64_t bulk_word(uint64_t key, uint64_t i)
{
    uint64_t z = key + (i + 1) * BULK_STEP;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* bulk_normal - 2^17 times the synthetic normal of numerics.md, an integer: the twelve 16-bit parts of words
 * 3i, 3i + 1, 3i + 2, summed side by side, doubled, minus twice their mean. */
static inline int32_t bulk_normal(uint64_t key, uint64_t i)
{
    const uint64_t low = 0x0000ffff0000ffffu;
    uint64_t sum = 0;
    for (uint64_t j = 3 * i; j < 3 * i + 3; j++) {
        uint64_t w = bulk_word(key, j);
        sum += (w & low) + (w >> 16 & low);
    }
    return 2 * (int32_t)((uint32_t)sum + (uint32_t)(sum >> 32)) - 12 * 65535;
}

/* bulk_bf16 - out[j] = bf16(mean + scale * bulk_normal(from + j)), j < n, in double with one rounding to bf16. */
void bulk_bf16(uint64_t key, double mean, double scale, uint64_t from, size_t n, uint16_t *out);

/* bulk_bytes - bytes [from, from + n) of the words, each little-endian. */
void bulk_bytes(uint64_t key, uint64_t from, size_t n, uint8_t *out);

#endif
