#ifndef ASSAY_SYNTH_SYNTH_SHAPE_H
#define ASSAY_SYNTH_SYNTH_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* What a synthetic model is: family, shape, seed. Everything else follows from these. */
enum synth_family { SYNTH_GPTOSS, SYNTH_QWEN3, SYNTH_YI };

struct synth_shape {
    enum synth_family family;
    size_t n_layers, d_model, d_ff;
    size_t n_heads, n_kv_heads, head_dim;
    size_t vocab_size;
    size_t n_experts, n_experts_used, window; /* gpt-oss only, else 0 */
    size_t max_context_tok;
    bool dequantised; /* gpt-oss: the same experts as BF16, [in, out], as re-uploads hold them */
    bool tied; /* no lm_head: the embedding is used */
    uint64_t seed;
};

/* synth_preset - the shape of a named model ("gptoss-tiny", ...) or of a family's default ("gptoss",
 * "qwen3", "yi"). ERR_USAGE listing the names for another. */
enum status synth_preset(struct synth_shape *out, const char *name, struct err *err);

/* synth_shape_check - everything the formats and the reference programs ask of a shape: ERR_USAGE with
 * the option, what was expected and what was found. */
enum status synth_shape_check(const struct synth_shape *s, struct err *err);

/* SYNTH_GENERATOR - version of names, scales and random streams; changes whenever any byte would. */
#define SYNTH_GENERATOR "1"

#endif
