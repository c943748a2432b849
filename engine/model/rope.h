#ifndef ASSAY_MODEL_ROPE_H
#define ASSAY_MODEL_ROPE_H

#include <stddef.h>

#include "format/config.h"

/* rope_frequencies - w[i], i = 0..head_dim/2-1, in radians per position, by models.md 4.2: plain (each
 * pair's divided by its own number where a file has them), llama3, or YaRN (ramp ends floored and ceiled
 * only if truncate). All in the project's own double functions, so the same bits everywhere. */
void rope_frequencies(const struct rope_config *r, size_t head_dim, double *w);

/* rope_table - cos and sin (n_pos, n_pairs) of pos * w[i], times factor, each rounded once to fp32.
 * The angle is a double: an fp32 product is up to 8e-3 rad off near position 131072. */
void rope_table(const double *w, size_t n_pairs, size_t n_pos, double factor, float *cos, float *sin);

#endif
