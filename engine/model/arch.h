#ifndef ASSAY_MODEL_ARCH_H
#define ASSAY_MODEL_ARCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "format/config.h"

/* An architecture is the order in which a layer's operators run; a layout is how files of one kind name
 * and store the tensors of all architectures. Both are data: bind.c reads the layouts, graph.h names the
 * operators. */

struct forward;

struct arch {
    const char *name;
    const char *const *stop_names; // special tokens that end a turn, NULL-ended
    enum status (*run_layer)(struct forward *f, size_t layer, struct err *err);
};

const struct arch *arch_get(enum arch_id id);

extern const struct arch arch_gptoss, arch_qwen3, arch_llama;

/* What a tensor is for, whatever a file calls it. Several roles name the same weights stored in several
 * ways; a layer binds those of one way. */
enum role {
    ROLE_NONE, // ends a table
    ROLE_ATTN_NORM,
    ROLE_MLP_NORM,
    ROLE_Q,
    ROLE_K,
    ROLE_V,
    ROLE_QKV, // rows of q, then k, then v
    ROLE_O,
    ROLE_Q_BIAS,
    ROLE_K_BIAS,
    ROLE_V_BIAS,
    ROLE_QKV_BIAS,
    ROLE_O_BIAS,
    ROLE_Q_NORM,
    ROLE_K_NORM,
    ROLE_SINKS,
    ROLE_GATE,
    ROLE_UP,
    ROLE_GATE_THEN_UP, // rows of gate, then up
    ROLE_DOWN,
    ROLE_ROUTER,
    ROLE_ROUTER_BIAS,
    ROLE_EXPERTS_GATE,
    ROLE_EXPERTS_UP,
    ROLE_EXPERTS_GATE_THEN_UP,
    ROLE_EXPERTS_GATE_UP, // rows of gate and up alternate
    ROLE_EXPERTS_GATE_UP_SCALES,
    ROLE_EXPERTS_DOWN,
    ROLE_EXPERTS_DOWN_SCALES,
    ROLE_EXPERTS_GATE_BIAS,
    ROLE_EXPERTS_UP_BIAS,
    ROLE_EXPERTS_GATE_THEN_UP_BIAS,
    ROLE_EXPERTS_GATE_UP_BIAS,
    ROLE_EXPERTS_DOWN_BIAS,
    ROLE_COUNT
};

/* Sizes in the symbols of models.md. */
enum dim {
    DIM_D,
    DIM_F,
    DIM_2F,
    DIM_QH,
    DIM_KH,
    DIM_QKV,
    DIM_H_COUNT,
    DIM_HEAD,
    DIM_E,
    DIM_D_BLOCKS,
    DIM_F_BLOCKS,
    DIM_16
};

/* arch_dim - the size a symbol stands for. */
size_t arch_dim(const struct model_config *c, enum dim d);

enum tensor_kind {
    KIND_VECTOR,     // F32, BF16 or F16; used as fp32
    KIND_MATRIX,     // rows of any type with a decoder
    KIND_TRANSPOSED, // [in, out] matrices of F32, BF16 or F16
    KIND_CODES,      // MXFP4, 16 bytes a group; the scales are another tensor
    KIND_SCALES
};

/* Whether a model has the tensor. */
enum condition { WHEN_ALWAYS, WHEN_BIAS, WHEN_QK_NORM, WHEN_DENSE, WHEN_EXPERTS };
bool arch_has(const struct model_config *c, enum condition when);

struct tensor_spec {
    enum role role;
    const char *suffix; // behind the layer's prefix
    enum tensor_kind kind;
    enum condition when;
    size_t n_dims;
    enum dim dims[4];
};

struct layout {
    const char *embed, *norm, *head;           // names of the ends
    const char *prefix;                        // a layer's tensors: prefix N "." suffix
    const struct tensor_spec *rest;            // what is stored in one way only
    const struct tensor_spec *const *attention; // ways to store it, NULL-ended: the one whose first tensor is there
    const struct tensor_spec *const *ffn;      // the same
    const char *const *ignored;                // ends of names that are known to add nothing, NULL-ended
    bool llama_pairs;                          // llama: rows 2i, 2i+1 of a head are a rotary pair (models.md 3.6)
};

extern const struct layout layout_hf, layout_original, layout_gguf;

#endif
