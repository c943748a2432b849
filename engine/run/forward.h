#ifndef ASSAY_RUN_FORWARD_H
#define ASSAY_RUN_FORWARD_H

#include "model/graph.h"
#include "model/model.h"

/* One forward pass over the rows of a step: what the session schedules and the architectures order. */

struct forward;

struct forward_shape {
    size_t n_seqs;
    size_t n_pos;  // longest sequence
    size_t chunk;  // most rows of one sequence in a step
    size_t n_pick; // most rows that need logits in a step
    uint64_t kv_limit_b; // most bytes of KV pages; 0 = what n_seqs sequences of n_pos take
};

/* The rows of one step (backend.h), and which of them need logits. All arrays host. */
struct step {
    size_t n;
    const int32_t *ids;     // (n)
    const uint32_t *seq;    // (n)
    const uint32_t *pos;    // (n)
    uint32_t *fault;        // (n) zero before the step
    size_t n_pick;
    const uint32_t *pick;   // (n_pick) row numbers
    const uint16_t *forced; // (n_layers, n, k) or NULL
};

/* forward_new - KV cache, RoPE tables for n_pos positions, room for n_pick rows of logits; no room for
 * rows yet. The caller frees. */
enum status forward_new(struct forward **out, struct model *m, const struct forward_shape *shape, struct err *err);
void forward_free(struct forward *f); // NULL is fine

/* forward_reserve - make room for steps of n rows; the buffers only grow. */
enum status forward_reserve(struct forward *f, size_t n, struct err *err);

/* forward_run - run the step. Rows whose values leave the range are marked in step->fault, the others
 * are not disturbed. Returns OK, or ERR_MEMORY, which is fatal. */
enum status forward_run(struct forward *f, const struct step *step, struct err *err);

const float *forward_logits(const struct forward *f); // (n_pick, V) host, until the next run
struct kv *forward_kv(struct forward *f);
uint64_t forward_bytes(const struct forward *f);             // activations, tables and logits held
uint64_t forward_host_bytes(const struct forward *f);        // the part of them the backend does not count
const uint64_t *forward_expert_hits(const struct forward *f); // (n_layers, E), NULL if dense
uint64_t forward_expert_rows(const struct forward *f);

#endif
