#ifndef ASSAY_FORMAT_LAYOUT_H
#define ASSAY_FORMAT_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "format/config.h"
#include "format/tensors.h"

/* How files of one kind name and store the tensors of all architectures, as data, and the search for them. */

/* What a tensor is for, whatever a file calls it. Several roles name the same weights stored in several
 * ways; a layer has those of one way. */
enum role {
    ROLE_NONE, // ends a table
    ROLE_EMBED,
    ROLE_FINAL_NORM,
    ROLE_HEAD, // none in a tied model
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

/* layout_dim - the size a symbol stands for. */
size_t layout_dim(const struct model_config *c, enum dim d);

enum tensor_kind {
    KIND_VECTOR,     // F32, BF16 or F16; used as fp32
    KIND_MATRIX,     // rows of any type with a decoder
    KIND_TRANSPOSED, // [in, out] matrices of F32, BF16 or F16
    KIND_CODES,      // MXFP4, 16 bytes a group; the scales are another tensor
    KIND_SCALES
};

/* Whether a model has the tensor. */
enum condition { WHEN_ALWAYS, WHEN_BIAS, WHEN_QK_NORM, WHEN_DENSE, WHEN_EXPERTS };
bool layout_has(const struct model_config *c, enum condition when);

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

/* layout_of - that whose embedding the set has; Hugging Face's when none is there. */
const struct layout *layout_of(const struct tensors *set);

/* Search of a set for the tensors of a model: each must be there, of the kind and shape that the layout and
 * the configuration say, and every tensor of the set must be asked for. */
struct layout_search {
    const struct layout *layout;
    const struct model_config *config;
    const struct tensors *set;
    const struct tensor *t[ROLE_COUNT]; // what was found last; NULL: the model has none
    const struct tensor_spec *spec[ROLE_COUNT]; // of a layer's tensors
    bool *used; // (count of the set); owned
};

/* layout_search_init - in the layout that the set is in. ERR_MISSING for an empty set. The caller releases, on
 * every path. */
enum status layout_search_init(struct layout_search *s, const struct model_config *c, const struct tensors *set,
                               struct err *err);
void layout_search_release(struct layout_search *s);

/* layout_find_layer, layout_find_ends - fill t (and spec) with the tensors of one layer, or with embedding, final
 * norm and head. ERR_MISSING, ERR_SHAPE, ERR_UNSUPPORTED (type) with file, tensor, expected and found. */
enum status layout_find_layer(struct layout_search *s, size_t layer, struct err *err);
enum status layout_find_ends(struct layout_search *s, struct err *err);

/* layout_check_all_used - ERR_UNSUPPORTED for a tensor that nobody asked for and that is not known to add
 * nothing: it means a model we do not know. */
enum status layout_check_all_used(const struct layout_search *s, struct err *err);

#endif
