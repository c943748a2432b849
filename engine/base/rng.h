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

#endif
