#ifndef ASSAY_DRIVE_INFER_RUN_H
#define ASSAY_DRIVE_INFER_RUN_H

#include "base/digest.h"
#include "drive/infer_request.h"

/* Run a list of requests through one session, up to n_parallel at a time, in order, each handed over
 * when the one before has left room. */

/* What one request came to. Stamps in ns of clock_ns, 0 where there was none. */
struct infer_result {
    size_t index;
    const int32_t *ids; /* generated, or the continuation that was scored; borrowed until the callback returns */
    size_t n_ids;
    size_t n_reused; /* tokens fed whose K and V were at hand */
    enum finish_reason finish;
    enum status status;
    const char *message;
    char logits_sha256[DIGEST_HEX_LEN + 1]; /* rows that produced the tokens (numerics.md); "" when it failed */
    double logprob;  /* of the continuation */
    bool is_greedy;  /* every token was the argmax */
    uint64_t t_start_ns, t_tok1_ns, t_tokn_ns, t_done_ns;
};

struct infer_hooks {
    void *ctx;
    /* each row of logits in the order of its sequence (may be NULL): a prompt position, or a token */
    enum status (*row)(void *ctx, size_t index, const struct event *e, struct err *err);
    enum status (*done)(void *ctx, const struct infer_result *r, struct err *err);
    void (*step)(void *ctx, size_t prompt_tok); /* may be NULL: after each step, before its rows: tokens fed so far */
    bool (*stop)(void *ctx); /* may be NULL: true ends the run with ERR_CANCELLED */
};

/* infer_run - requests with skip[i] are left out (skip may be NULL). A failed request is a result; only
 * what ends the session, or a failing hook, is an error. All requests are checked by the session's own
 * rules before the first step. */
enum status infer_run(struct model *m, const struct infer_list *l, const bool *skip, const struct session_options *opt,
                      const struct infer_hooks *hooks, struct err *err);

#endif
