#ifndef ASSAY_RUN_SAMPLER_H
#define ASSAY_RUN_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rng.h"
#include "engine.h"

/* From one row of logits to a token (numerics.md: Sampling). Every choice is made on integers, so the
 * order of additions never shows. */

/* logits_finite - false if any of n values is infinite or NaN. */
bool logits_finite(const float *logits, size_t n);

/* logits_argmax - the largest of those allowed (NULL: all), lowest id on ties; -1 if none is allowed. */
int32_t logits_argmax(const float *logits, size_t n, const bool *allowed);

/* logits_logprob - (l[id] - max) - log sum_i exp(l[i] - max), in double.
 * Order: 32 chains i mod 32, then a halving tree 16, 8, 4, 2, 1. */
double logits_logprob(const float *logits, size_t n, int32_t id);

struct sampler; // scratch for one vocabulary; one thread at a time

/* sampler_new - ERR_MEMORY. The caller frees. */
enum status sampler_new(struct sampler **out, size_t vocab_size, struct err *err);
void sampler_free(struct sampler *s); // NULL is fine
uint64_t sampler_bytes(const struct sampler *s);

/* sampler_draw - q_i = rint(exp((l_i - max) / T) * 2^40) over the allowed ids, then in the order of
 * Hugging Face: top-k (ties of the k-th stay), top-p (smallest prefix by (q descending, id ascending)
 * that holds p of the mass, at least one), min-p; then the first id, ascending, whose running sum
 * exceeds a number drawn below the total.
 * The number: Philox at counter `position` (of the row in its sequence), key as rng_key makes it.
 * p->temperature > 0; at least one id allowed; logits finite. Allocates nothing. */
int32_t sampler_draw(struct sampler *s, const float *logits, const bool *allowed, const struct sampling *p,
                     const struct rng_key *key, uint64_t position);

#endif
