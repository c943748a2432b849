#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "drive/bench_run.h"
#include "drive/load.h"
#include "drive/metrics.h"
#include "drive/procmem.h"

static const char proc_self[] = "/proc/self";

uint64_t bench_flop(const struct model_info *i, uint64_t n_tok, uint64_t n_logits)
{
    const uint64_t head = (uint64_t)i->vocab_size * i->d_model;
    return 2 * (i->active_params - head) * n_tok + 2 * head * n_logits;
}

static void set_reason(struct bench_sample *s, enum status status, const char *reason)
{
    s->status = status;
    (void)snprintf(s->reason, sizeof s->reason, "%.150s", reason);
}

/* Run one load; a failing request becomes the sample's status. True when there is something to read. */
static bool run(const struct bench_own *o, struct model *m, const struct load_cell *cell, struct load_result *r,
                struct bench_sample *s)
{
    struct err own = ERR_INIT;
    const enum status st = load_run(r, m, cell, o->seed, o->block, &own);
    if (st) {
        set_reason(s, st, own.text);
        return false;
    }
    for (size_t i = 0; i < r->n_requests; i++)
        if (r->requests[i].status) {
            set_reason(s, r->requests[i].status, "a request failed");
            load_result_release(r);
            return false;
        }
    memcpy(s->tokens_sha256, r->tokens_sha256, sizeof s->tokens_sha256);
    s->has_tokens = true;
    return true;
}

/* The second of two equal prompts' lengths: the first one touches the activations' memory. */
static void prefill(const struct bench_own *o, struct model *m, const struct bench_cell *c, struct bench_sample *s)
{
    const struct load_cell cell = {.name = c->name, .in_tok = c->in_tok, .out_tok = 1, .concurrency = 1, .n_requests = 2,
                                   .prefill_chunk = o->prefill_chunk, .sampling = {.temperature = 0, .top_p = 1}};
    struct load_result r;
    if (!run(o, m, &cell, &r, s))
        return;
    const struct load_request *q = &r.requests[1];
    s->ns = q->t_event_ns[0] - q->t_start_ns;
    s->n_tok = c->in_tok;
    // Both prompts are of one length, but an expert is read only where a token was routed to it: their mean.
    s->read_b = (r.after.weight_bytes_read - r.before.weight_bytes_read) / 2;
    s->flop = bench_flop(model_info(m), c->in_tok, 1);
    load_result_release(&r);
}

/* Prompts of one token make every step alike: one token of each sequence. The first step is not timed. */
static void decode(const struct bench_own *o, struct model *m, const struct bench_cell *c, struct bench_sample *s)
{
    const struct load_cell cell = {.name = c->name, .in_tok = 1, .out_tok = c->out_tok + 1, .concurrency = c->batch,
                                   .n_requests = c->batch, .prefill_chunk = o->prefill_chunk,
                                   .sampling = {.temperature = 0, .top_p = 1}};
    struct load_result r;
    if (!run(o, m, &cell, &r, s))
        return;
    struct window w;
    struct err own = ERR_INIT;
    const enum status st = window_steady(&r, c->batch, &w, &own);
    if (st || w.end_ns == w.begin_ns) {
        set_reason(s, st ? st : ERR_NUMERIC, st ? own.text : "the sequences did not overlap");
    } else {
        s->ns = w.end_ns - w.begin_ns;
        s->n_tok = window_tokens(&w, &r);
        s->read_b = (uint64_t)((double)(r.after.weight_bytes_read - r.before.weight_bytes_read) * (double)c->out_tok /
                               (double)(c->out_tok + 1));
        s->flop = bench_flop(model_info(m), s->n_tok, s->n_tok);
    }
    load_result_release(&r);
}

static enum status first_token(const struct bench_own *o, struct model *m, uint64_t begin_ns, struct bench_sample *s,
                               struct err *err)
{
    const struct load_cell cell = {.name = "first", .in_tok = 1, .out_tok = 1, .concurrency = 1, .n_requests = 1,
                                   .sampling = {.temperature = 0, .top_p = 1}};
    struct load_result r;
    if (!run(o, m, &cell, &r, s))
        return OK;
    s->ns = r.requests[0].t_event_ns[0] - begin_ns;
    s->n_tok = 1;
    load_result_release(&r);
    // Warm up: one short prompt and some steps, so that no cell's time holds what only happens once.
    const struct load_cell warm = {.name = "warm-up", .in_tok = 32, .out_tok = 4, .concurrency = 1, .n_requests = 1,
                                   .sampling = {.temperature = 0, .top_p = 1}};
    const enum status st = load_run(&r, m, &warm, o->seed, o->block, err);
    if (!st)
        load_result_release(&r);
    return st;
}

enum status bench_visit_own(const struct bench_own *o, const struct bench_cells *cells, struct bench_sample *samples,
                            enum status (*seen)(void *ctx, struct model *m, struct err *err), void *ctx, struct err *err)
{
    struct model *m = NULL;
    const struct model_options mo = {.isa = o->isa, .n_threads = o->n_threads};
    const bool own_peak = procmem_reset_peak(proc_self);
    const uint64_t begin_ns = clock_ns();
    enum status st = model_open(&m, o->source, &mo, err);
    const uint64_t loaded_ns = clock_ns();
    memset(samples, 0, cells->n * sizeof *samples);
    for (size_t i = 0; i < cells->n && !st; i++) {
        if (cells->items[i].work == BENCH_LOAD)
            samples[i].ns = loaded_ns - begin_ns;
        if (cells->items[i].work == BENCH_FIRST)
            st = first_token(o, m, begin_ns, &samples[i], err);
    }
    if (!st && seen)
        st = seen(ctx, m, err);
    for (size_t k = 0; k < cells->n && !st; k++) {
        const size_t i = cells->order[k];
        const struct bench_cell *c = &cells->items[i];
        samples[i].order_idx = k;
        if (c->work != BENCH_PREFILL && c->work != BENCH_DECODE)
            continue;
        if (c->in_tok + c->out_tok + 1 > model_info(m)->max_context_tok) {
            char reason[96];
            (void)snprintf(reason, sizeof reason, "beyond the model's context of %zu tokens", model_info(m)->max_context_tok);
            set_reason(&samples[i], ERR_UNSUPPORTED, reason);
        } else if (c->work == BENCH_PREFILL) {
            prefill(o, m, c, &samples[i]);
        } else {
            decode(o, m, c, &samples[i]);
        }
    }
    for (size_t i = 0; i < cells->n && !st; i++)
        if (cells->items[i].work == BENCH_PEAK) {
            struct procmem p;
            procmem_read(proc_self, &p);
            samples[i].peak_rss_b = own_peak ? p.peak_rss_b : -1;
            if (samples[i].peak_rss_b < 0)
                set_reason(&samples[i], ERR_UNSUPPORTED, "this kernel does not tell the peak of a part of a run");
        }
    model_free(m);
    return st;
}
