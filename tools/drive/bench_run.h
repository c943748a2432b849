#ifndef ASSAY_DRIVE_BENCH_RUN_H
#define ASSAY_DRIVE_BENCH_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "engine.h"
#include "lib/tool.h"

/* One engine visited once: it loads the model, says its first token, then runs the asked cells in the
 * order given. The visit is the unit of a block, because two engines cannot hold a model of half the
 * machine's memory at once (measurement.md 7). Ours and the peers are visited in turn. */

enum bench_work {
    BENCH_LOAD,    /* start to weights ready */
    BENCH_FIRST,   /* start to the first token of a prompt of one token */
    BENCH_PREFILL, /* in_tok prompt tokens of one sequence, from an empty cache to the logits of the last */
    BENCH_DECODE,  /* out_tok tokens of each of `batch` sequences, one token of each in a step, after a first token */
    BENCH_PEAK,    /* no work: the most memory that the visit held */
};

struct bench_cell {
    enum bench_work work;
    char name[32]; /* "load" "first" "prefill/512" "decode/64/8" "peak" */
    size_t in_tok, out_tok, batch;
};

/* What one visit gave for one cell. */
struct bench_sample {
    enum status status;  /* not OK: no value, `reason` says why */
    char reason[160];
    size_t order_idx;    /* when in the visit */
    uint64_t ns, n_tok;  /* the time and the tokens of it: prompt tokens of a prefill, generated ones of a decode */
    uint64_t read_b;     /* weight bytes the engine counted in that time; 0 = not counted */
    uint64_t flop;       /* of the weight matrices (bench_flop); 0 = not counted */
    int64_t peak_rss_b;  /* PEAK; -1 = not known */
    bool has_tokens;
    uint8_t tokens_sha256[DIGEST_B];
};

struct bench_cells {
    const struct bench_cell *items;
    const size_t *order; /* (n) the order of the visit; LOAD, FIRST come first and PEAK last whatever it says */
    size_t n;
};

/* bench_flop - operations of the weight matrices for n_tok tokens of which n_logits get logits: 2 (active
 * - head) n_tok + 2 head n_logits, head = vocab_size x d_model. Attention over the context is left out. */
uint64_t bench_flop(const struct model_info *i, uint64_t n_tok, uint64_t n_logits);

struct bench_own {
    const char *source, *isa;
    size_t n_threads;
    size_t prefill_chunk;
    uint64_t seed;
    size_t block;
};

/* bench_visit_own - our engine. seen is called while the model is open (may be NULL). A cell that does
 * not fit the context, or whose request fails, is a sample with its reason; what keeps the model from
 * loading is returned. samples (n). */
enum status bench_visit_own(const struct bench_own *o, const struct bench_cells *cells, struct bench_sample *samples,
                            enum status (*seen)(void *ctx, struct model *m, struct err *err), void *ctx, struct err *err);

/* What a peer says of itself. */
struct bench_peer_name {
    char engine[64], version[96];
};

/* bench_visit_peer - another program: `sh -c COMMAND MODEL THREADS CELL...`, which does the same work in
 * the same order and prints one JSON object a line:
 *   {"engine":"llama.cpp","version":"..."}           first
 *   {"cell":"prefill/512","ns":N,"n_tok":N}          or {"cell":...,"reason":"why there is no value"}
 *   {"cell":"peak","peak_rss_b":N}
 * A peer that fails, prints anything else or leaves a cell out is no error here: the cells concerned say
 * so. Only ERR_MEMORY, or ERR_DEVICE when no process can be started. */
enum status bench_visit_peer(const char *command, const char *model, size_t n_threads, const struct bench_cells *cells,
                             struct bench_sample *samples, struct bench_peer_name *name, struct err *err);

#endif
