#ifndef ASSAY_DRIVE_ENERGY_PHASE_H
#define ASSAY_DRIVE_ENERGY_PHASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "engine.h"
#include "meter/meter.h"

/* One kind of work, long enough for a meter (measurement.md 10): prefill alone, decode alone, or whole
 * requests. The edges are marks of the meter taken between two steps of the engine. */
enum phase_kind { PHASE_PREFILL, PHASE_DECODE, PHASE_MIXED };
enum { N_PHASES = PHASE_MIXED + 1 };
const char *phase_name(enum phase_kind k); /* "prefill" "decode" "mixed" */

struct phase_cell {
    size_t in_tok, out_tok; /* of a request; decode windows go on past out_tok, up to decode_max_tok */
    size_t batch;           /* requests at once, always all slots filled */
    size_t prefill_chunk;   /* as session_options has it */
    size_t decode_max_tok;  /* tokens one sequence may decode in a window; bounds the context */
    uint64_t seed;
};

/* Work between t0 and t1. */
struct phase_segment {
    uint64_t t0_ns, t1_ns;
    uint64_t in_tok, out_tok, n_req;
};

/* Prefill and mixed windows are one segment of rounds; a decode window is as many as its sequences need
 * to last window_ns, because the prefill between them is left out. */
enum { PHASE_MAX_SEGMENTS = 64 };
struct phase_result {
    size_t n_segments;
    struct phase_segment segments[PHASE_MAX_SEGMENTS];
    uint8_t tokens_sha256[DIGEST_B]; /* of the tokens of the first round, sequence by sequence */
};

struct phase; /* a session and the prompts of one cell */

/* phase_open - ERR_CONTEXT when in_tok + out_tok exceeds the model's length, ERR_MEMORY. Caller closes. */
enum status phase_open(struct phase **out, struct model *m, const struct phase_cell *cell, struct err *err);
void phase_close(struct phase *p); /* NULL is fine */

/* phase_run - work for at least window_ns. No two rounds share a prompt. The status of a request that
 * failed is returned with its sentence. */
enum status phase_run(struct phase *p, enum phase_kind kind, uint64_t window_ns, struct meter *meter,
                      struct phase_result *out, struct err *err);

#endif
