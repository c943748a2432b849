#ifndef ASSAY_RUN_SESSION_INTERNAL_H
#define ASSAY_RUN_SESSION_INTERNAL_H

#include "base/buf.h"
#include "base/rng.h"
#include "run/forward.h"
#include "run/prefix.h"
#include "run/sampler.h"

/* What the files of a session share: session.c (life, queue, step), schedule.c (which rows a step
 * has), emit.c (what its logits mean). */

/* A step takes at most this many rows, so that activations stay bounded whatever the prompt; one pass
 * over the weights serves them all. Beside sequences that decode, and wait for the step to end, prompts
 * have MIXED_ROWS. Speed only: no result depends on it. */
enum { STEP_ROWS = 2048, MIXED_ROWS = 512, STEP_PICKS = 64, MESSAGE_B = 256 };

/* A request in the queue or in a slot. */
struct job {
    struct request r;
    uint64_t handle;
    struct rng_key key;
    uint64_t need_b;    // KV pages it holds at most
    size_t stop_tail_b; // longest stop text - 1: bytes of decoded text that a match may begin in
    bool cancelled;
    struct job *next;
};

/* One of the sequences that run. The KV cache knows it by its index. */
struct slot {
    struct job *job;      // NULL: free
    size_t n_feed;        // tokens known beforehand that are fed: prompt, and all but the last of score
    size_t n_fed;         // positions in the cache
    size_t n_out;         // tokens generated or scored
    int32_t last;         // generated last, to be fed next
    size_t n_reused;      // of n_fed, not computed
    int32_t *ids;         // (context_tok) every token of the sequence, where prefixes are reused; else NULL
    struct buf tail;      // end of the decoded text, for stop texts
    size_t first_row, n_rows; // of this step
    size_t first_pick, n_pick;
    char message[MESSAGE_B];
};

struct session {
    struct model *m;
    struct forward *f;
    struct sampler *sampler;
    size_t n_parallel, context_tok, chunk, mixed_rows, max_pick;
    struct slot *slots; // (n_parallel)
    struct slot **order; // (n_parallel) those that run, first admitted first
    size_t n_active;
    struct job *queue, **queue_end;
    size_t n_cancelled;  // of those in the queue
    uint64_t kv_limit, kv_promised;
    struct prefix *prefix; // NULL: nothing is reused
    int32_t *history;      // (n_parallel, context_tok) the slots' ids
    uint64_t next_handle;
    // the step at hand; arrays of cap_rows
    struct step step;
    size_t cap_rows;
    int32_t *ids;
    uint32_t *seq, *pos, *fault, *pick;
    uint16_t *forced; // (n_layers, cap_rows, k), when a request asked for it
    struct event *events;
    size_t n_events, cap_events;
    struct session_counters counters;
    uint64_t weight_bytes_before; // the backend's count when the session began
};

/* schedule_reserve - rows for what this request may add to a step. */
enum status schedule_reserve(struct session *s, const struct request *r, struct err *err);

/* schedule_step - fill s->step from the active slots: the pending token of each sequence that decodes, and
 * prompt chunks in order of admission while rows and logits last. Takes KV pages. */
enum status schedule_step(struct session *s, struct err *err);

/* emit_step - events of the step just run, in slot order. */
void emit_step(struct session *s, uint64_t t_ns);

/* emit_done - the request of a slot has ended: event, and slot, pages and promise become free. */
void emit_done(struct session *s, struct slot *sl, enum finish_reason finish, enum status status);

/* emit_dropped - a request that was cancelled while it waited: event, and the job is freed. */
void emit_dropped(struct session *s, struct job *j);

#endif
