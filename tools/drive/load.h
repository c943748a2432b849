#ifndef ASSAY_DRIVE_LOAD_H
#define ASSAY_DRIVE_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "drive/frame.h"
#include "engine.h"

/* The closed-loop load of the measuring commands (measurement.md 6): C requests in flight, the next
 * one leaves when one ends. One clock, one stream of stamps; every figure is derived from them later.
 *
 * Prompts are token ids drawn from (seed, name, block, request): never repeated between requests or
 * blocks, so that no prefix can be shared, and of an exact length. */

struct load_cell {
    const char *name; /* keys the prompts together with seed, block and request */
    size_t in_tok, out_tok;
    size_t concurrency;
    size_t n_requests;
    size_t prefill_chunk; /* as session_options has it */
    const struct chat_frame *frame; /* prompts are one user message of in_tok ids, markup included; NULL: bare ids */
    struct sampling sampling; /* its seed is not used: `seed` of load_run is */
};

/* One request, stamps in ns of clock_ns. */
struct load_request {
    uint64_t t_start_ns;       /* handed to the engine */
    size_t n_events;           /* tokens; each an event of one token */
    const uint64_t *t_event_ns; /* (n_events) borrowed from the result */
    uint64_t t_done_ns;
    enum finish_reason finish;
    enum status status;
    uint8_t tokens_sha256[DIGEST_B]; /* of the little-endian int32 ids generated */
};

struct load_result {
    struct load_request *requests; /* (n_requests) in order of submission */
    size_t n_requests;
    uint64_t *stamps;              /* backing store of t_event_ns */
    uint64_t t_begin_ns, t_end_ns; /* first start, last done */
    uint8_t tokens_sha256[DIGEST_B]; /* of the requests' digests, in order: binds speed to substance */
    struct session_counters before, after; /* expert_hits is NULL in both */
    struct memory_bytes memory;            /* at the end of the run */
};

/* load_run - run one cell of one block on a fresh session. A request that fails is kept with its
 * status; only a fatal engine error is returned. Caller releases with load_result_release. */
enum status load_run(struct load_result *out, struct model *m, const struct load_cell *cell, uint64_t seed,
                     size_t block, struct err *err);
void load_result_release(struct load_result *r); /* safe on a zeroed struct */

/* load_prompt - n ordinary token ids for (seed, name, block, request). Not special, with text. */
enum status load_prompt(const struct model *m, uint64_t seed, const char *name, size_t block, size_t request,
                        int32_t *out, size_t n, struct err *err);

#endif
