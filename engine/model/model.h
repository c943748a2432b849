#ifndef ASSAY_MODEL_MODEL_H
#define ASSAY_MODEL_MODEL_H

#include "backend.h"
#include "base/mem.h"
#include "engine.h"
#include "format/config.h"
#include "format/tensors.h"
#include "model/arch.h"

/* The inside of struct model, for engine/model and engine/run. Pointers called dev as in backend.h. */

struct layer {
    float *attn_norm, *mlp_norm;  // dev (d)
    struct matrix *qkv;           // [(H+2K)h, d]
    struct matrix *o;             // [d, H*h]
    float *qkv_bias, *o_bias;     // dev or NULL
    float *q_norm, *k_norm;       // dev (h) or NULL
    float *sinks;                 // dev (H) or NULL
    size_t window;
    struct matrix *gate_up, *down; // dense: [2f, d] interleaved, [d, f]
    struct matrix *router;         // [E, d]
    float *router_bias;            // dev (E)
    struct matrix **expert_gate_up, **expert_down; // (E)
    float *gate_up_bias, *down_bias;               // dev (E, 2f), (E, d)
    struct moe moe;
};

struct model {
    struct arena *arena; // names, lists, layers
    struct model_config config;
    const struct arch *arch;
    struct backend *backend;
    struct tokenizer *tokenizer; // NULL when the directory has none
    bool *allowed;               // (V) ids that may be generated
    enum chat_format chat;
    struct glu glu;
    struct tensors *tensors; // open as long as the model: the table below borrows rows from it
    struct table *embed;
    struct matrix *lm_head; // of the embedding's values when tied
    float *final_norm;              // dev (d)
    struct layer *layers;
    float **vectors; // all dev vectors, for model_free
    size_t n_vectors, cap_vectors;
    uint64_t vector_b;
    uint64_t source_b; // bytes of the tensors that were used, as stored
    uint64_t decode_b; // of those that one token reads: k of E experts, one row of the embedding
    uint64_t expert_b; // of one expert, all layers together
    const char *weight_format;
    struct model_info info;
};

/* bind_weights - map m->tensors to the matrices and vectors of the model, one at a
 * time, dropping each tensor's pages when it has been taken.
 * ERR_MISSING, ERR_SHAPE, ERR_UNSUPPORTED (dtype, or a tensor that has no place), ERR_RANGE (NaN
 * scale, value out of range) with file, tensor, expected and found. On failure model_free releases. */
enum status bind_weights(struct model *m, struct err *err);

/* bind_least_b - bytes that the model's weights take in memory at the least: no tiles are smaller than the
 * blocks they are made from, F32 taken as bf16. */
uint64_t bind_least_b(const struct model *m);

#endif
