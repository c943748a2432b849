#ifndef ASSAY_CONVERT_CONVERT_PLAN_H
#define ASSAY_CONVERT_CONVERT_PLAN_H

#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"
#include "convert/convert_rows.h"
#include "format/config.h"
#include "format/gguf.h"
#include "format/tensors.h"

/* What a GGUF file will hold, before anything is read: every tensor with its name, type, shape and where its
 * rows come from. */

struct planned_tensor {
    char name[GGUF_NAME_B];
    enum quant quant; /* as written */
    size_t n_dims, shape[GGUF_MAX_DIMS];
    size_t n_rows;
    struct stored_rows rows;
};

/* The types asked for. */
struct plan_types {
    enum quant matrices;
    enum quant head; /* output.weight, or the embedding of a tied model */
    enum quant experts;
};

struct plan {
    struct planned_tensor *tensors; /* in the arena */
    size_t n;
};

/* plan_make - of a model in any layout of format/layout.h, with the names of models.md 3.3, nothing fused.
 * Vectors and the router become F32. A matrix whose rows are no whole blocks of its type becomes BF16.
 * ERR_MISSING, ERR_SHAPE, ERR_UNSUPPORTED (a type, or a tensor that has no place) with file and tensor. */
enum status plan_make(struct plan *out, struct arena *a, const struct model_config *c, const struct tensors *set,
                      const struct plan_types *types, struct err *err);

#endif
