#ifndef ASSAY_SYNTH_SYNTH_MODEL_H
#define ASSAY_SYNTH_SYNTH_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "synth/synth_shape.h"

/* synth_model_write - the whole model directory at path: config.json, generation_config.json,
 * tokenizer.json, tokenizer_config.json and the weights in n_shards files. The same shape, seed and
 * n_shards give the same bytes on every machine. *changed is false when path held them already.
 * ERR_USAGE, ERR_IO, ERR_MEMORY; then path is as it was. */
enum status synth_model_write(const char *path, const struct synth_shape *s, size_t n_shards, bool *changed,
                              struct err *err);

#endif
