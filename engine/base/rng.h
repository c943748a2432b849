#ifndef ASSAY_BASE_RNG_H
#define ASSAY_BASE_RNG_H

#include <stdint.h>

#include "base/err.h"

/* Philox4x32-10 (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"): counter-based,
 * so a value depends on key and counter alone, never on what was drawn before. */

/* philox4x32 - the four words of one counter. */
void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* rng_key_new - key of (seed, name): seed mixed with the first 64 bits of SHA-256(name). ERR_MEMORY, ERR_IO as
 * digest_new says. rng_key - the same where memory is not short: a failure would show as another key. */
struct rng_key {
    uint32_t seed[2];
    uint32_t name[2];
};
enum status rng_key_new(struct rng_key *out, uint64_t seed, const char *name, struct err *err);
struct rng_key rng_key(uint64_t seed, const char *name);

/* rng_u64 - 64 random bits at index i: counter = (i, name), key = seed. */
uint64_t rng_u64(const struct rng_key *k, uint64_t i);

/* rng_below - uniform integer in [0, n), n >= 1, by rejection over indices i, i + 2^32, ... . */
uint64_t rng_below(const struct rng_key *k, uint64_t i, uint64_t n);

/* rng_normal - the synthetic normal of numerics.md: sum of twelve 16-bit uniforms, in integers,
 * minus its mean (12 * 65535 / 2), times 2^-16: exact in double, sd 1 within 1e-5, |x| < 6. */
double rng_normal(const struct rng_key *k, uint64_t i);

/* Numbers by the billion, for weights that are made and not read: the same addressing by (key, index) with
 * SplitMix64 (Steele, Lea, Flood 2014, "Fast Splittable Pseudorandom Number Generators") in place of
 * Philox, at a quarter of its cost in plain C. */
uint64_t rng_bulk_key(uint64_t seed, const char *name); /* rng_u64 of rng_key at 0 */

/* rng_bulk_u64 - word i: the finaliser of SplitMix64 over key + (i + 1) * 0x9e3779b97f4a7c15. */
static inline uint64_t rng_bulk_u64(uint64_t key, uint64_t i)
{
    uint64_t z = key + (i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* rng_bulk_normal - 2^17 times a normal as rng_normal's, an integer: the twelve 16-bit parts of words
 * 3i, 3i + 1, 3i + 2, summed in pairs side by side, doubled, minus twice their mean. */
static inline int32_t rng_bulk_normal(uint64_t key, uint64_t i)
{
    const uint64_t low = 0x0000ffff0000ffffu;
    uint64_t sum = 0;
    for (uint64_t j = 3 * i; j < 3 * i + 3; j++) {
        uint64_t w = rng_bulk_u64(key, j);
        sum += (w & low) + (w >> 16 & low);
    }
    return 2 * (int32_t)((uint32_t)sum + (uint32_t)(sum >> 32)) - 12 * 65535;
}

#endif
