#ifndef ASSAY_FORMAT_GGUFCONFIG_H
#define ASSAY_FORMAT_GGUFCONFIG_H

#include "format/config.h"
#include "format/gguf.h"

/* ggufconfig_read - the model that a GGUF file's metadata describes (models.md 3.2: gpt-oss, qwen3,
 * llama). What the format leaves out comes from the tensors of the set (vocabulary size, a tied head,
 * biases, rope_freqs) or is the architecture's constant (sinks, gpt-oss's layer pattern, activation and
 * unrounded YaRN ramp). As hfconfig_parse: a key of the architecture that this reader does not know is
 * refused, never ignored.
 * ERR_MISSING, ERR_FORMAT, ERR_RANGE, ERR_UNSUPPORTED, ERR_SHAPE with file, key, expected and found.
 * out->rope.divisors lives in the arena. */
enum status ggufconfig_read(struct model_config *out, const struct gguf *g, const struct tensors *set,
                            struct arena *a, struct err *err);

#endif
