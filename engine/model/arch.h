#ifndef ASSAY_MODEL_ARCH_H
#define ASSAY_MODEL_ARCH_H

#include <stddef.h>

#include "base/err.h"
#include "format/config.h"

/* An architecture is data: which tensors a layer has, of which shape, and in which order the layer's
 * operators run. bind.c reads the tables, graph.h names the operators. */

struct forward;

/* What a tensor is for, whatever a file calls it. */
enum role {
    ROLE_NONE, // ends a table
    ROLE_ATTN_NORM,
    ROLE_MLP_NORM,
    ROLE_Q,
    ROLE_K,
    ROLE_V,
    ROLE_O,
    ROLE_Q_BIAS,
    ROLE_K_BIAS,
    ROLE_V_BIAS,
    ROLE_O_BIAS,
    ROLE_Q_NORM,
    ROLE_K_NORM,
    ROLE_SINKS,
    ROLE_GATE,
    ROLE_UP,
    ROLE_DOWN,
    ROLE_ROUTER,
    ROLE_ROUTER_BIAS,
    ROLE_EXPERTS_GATE_UP,        // MXFP4 blocks, or bf16 [E, d, 2f]
    ROLE_EXPERTS_GATE_UP_SCALES, // MXFP4 only
    ROLE_EXPERTS_GATE_UP_BIAS,
    ROLE_EXPERTS_DOWN,
    ROLE_EXPERTS_DOWN_SCALES,
    ROLE_EXPERTS_DOWN_BIAS,
    ROLE_COUNT
};

/* Sizes in the symbols of models.md. */
enum dim { DIM_D, DIM_F, DIM_2F, DIM_QH, DIM_KH, DIM_H_COUNT, DIM_HEAD, DIM_E, DIM_D_BLOCKS, DIM_F_BLOCKS, DIM_16 };

enum tensor_kind { KIND_VECTOR, KIND_BF16, KIND_BYTES, KIND_SCALES };
enum condition { WHEN_ALWAYS, WHEN_BIAS };

struct tensor_spec {
    enum role role;
    const char *suffix; // behind "model.layers.N."
    enum tensor_kind kind;
    enum condition when;
    size_t n_dims;
    enum dim dims[4];
};

/* One way in which files store the feed-forward weights; the first tensor tells which it is. */
struct ffn_layout {
    const char *weight_format; // as result rows name it
    const struct tensor_spec *specs;
};

struct arch {
    const char *name;
    const struct tensor_spec *layer; // attention and norms
    const struct ffn_layout *ffn;    // specs NULL ends the list
    const char *const *stop_names;   // special tokens that end a turn, NULL-ended
    enum status (*run_layer)(struct forward *f, size_t layer, struct err *err);
};

const struct arch *arch_get(enum arch_id id);

/* arch_dim - the size a symbol stands for. */
size_t arch_dim(const struct model_config *c, enum dim d);

extern const struct arch arch_gptoss, arch_qwen3, arch_llama;

#endif
