#ifndef ASSAY_MODEL_ARCH_H
#define ASSAY_MODEL_ARCH_H

#include <stddef.h>

#include "base/err.h"
#include "format/config.h"

/* An architecture is the order in which a layer's operators run: data, with operators as graph.h names them.
 * How files name and store its tensors is format/layout.h's. */

struct forward;

struct arch {
    const char *name;
    const char *const *stop_names; // special tokens that end a turn, NULL-ended
    enum status (*run_layer)(struct forward *f, size_t layer, struct err *err);
};

const struct arch *arch_get(enum arch_id id);

extern const struct arch arch_gptoss, arch_qwen3, arch_llama;

#endif
