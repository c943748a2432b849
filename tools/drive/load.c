#include "drive/load.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"

enum status load_prompt(const struct model *m, uint64_t seed, const char *name, size_t block, size_t request,
                        int32_t *out, size_t n, struct err *err)
{
    const struct tokenizer *t = model_tokenizer(m); // NULL: every id is as good as another
    size_t n_ids = t ? tokenizer_size(t) : model_info(m)->vocab_size;
    char key[256];
    (void)snprintf(key, sizeof key, "prompt/%s/%zu/%zu", name, block, request);
    const struct rng_key k = rng_key(seed, key);
    size_t tries = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t id;
        do {
            if (tries > 1000 * (n + 1))
                return err_set(err, ERR_UNSUPPORTED, "cannot draw a prompt: the tokenizer has almost no ordinary tokens");
            id = (int32_t)rng_below(&k, tries++, n_ids);
        } while (t && (!tokenizer_has_text(t, id) || tokenizer_is_special(t, id)));
        out[i] = id;
    }
    return OK;
}

/* What the loop keeps while requests are in flight. */
struct loop {
    struct model *model;
    struct session *session;
    const struct load_cell *cell;
    uint64_t seed;
    size_t block;
    int32_t *prompts; /* (n_requests, in_tok), drawn before the clock starts */
    char (*ids)[48];  /* (n_requests) request ids */
    uint64_t *handles;
    struct digest **digests; /* (n_requests) running hash of the tokens */
    size_t n_sent, n_done;
    struct load_result *out;
};

static enum status send_next(struct loop *l, struct err *err)
{
    size_t i = l->n_sent;
    struct sampling s = l->cell->sampling;
    s.seed = l->seed;
    struct request r = {
        .id = l->ids[i],
        .prompt = l->prompts + i * l->cell->in_tok,
        .n_prompt = l->cell->in_tok,
        .max_tokens = l->cell->out_tok,
        .sampling = s,
        .ignore_stop_ids = true, // a fixed length: only equal work is compared
    };
    l->out->requests[i].t_start_ns = clock_ns();
    enum status st = session_submit(l->session, &r, &l->handles[i], err);
    if (!st)
        l->n_sent++;
    return st;
}

static size_t find(const struct loop *l, uint64_t handle)
{
    for (size_t i = l->n_sent; i-- > 0;)
        if (l->handles[i] == handle)
            return i;
    return l->n_sent;
}

static enum status take(struct loop *l, const struct event *e, struct err *err)
{
    size_t i = find(l, e->handle);
    if (i == l->n_sent)
        return err_set(err, ERR_RANGE, "event of an unknown request %llu", (unsigned long long)e->handle);
    struct load_request *r = &l->out->requests[i];
    if (e->kind == EVENT_TOKEN) {
        if (r->n_events >= l->cell->out_tok)
            return err_set(err, ERR_RANGE, "request %zu: expected %zu tokens, found more", i, l->cell->out_tok);
        l->out->stamps[i * l->cell->out_tok + r->n_events++] = e->t_ns;
        uint32_t v = (uint32_t)e->token;
        const uint8_t le[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
        return digest_add(l->digests[i], le, sizeof le, err);
    }
    if (e->kind == EVENT_DONE) {
        r->t_done_ns = clock_ns();
        r->finish = e->finish;
        r->status = e->finish == FINISH_ERROR ? e->status : OK;
        l->n_done++;
        if (l->n_sent < l->cell->n_requests)
            return send_next(l, err);
    }
    return OK;
}

static enum status run_loop(struct loop *l, struct err *err)
{
    enum status s = OK;
    l->out->t_begin_ns = clock_ns();
    while (!s && l->n_sent < l->cell->concurrency && l->n_sent < l->cell->n_requests)
        s = send_next(l, err);
    while (!s && l->n_done < l->cell->n_requests) {
        const struct event *events;
        size_t n;
        s = session_step(l->session, &events, &n, err);
        for (size_t i = 0; i < n && !s; i++)
            s = take(l, &events[i], err);
    }
    l->out->t_end_ns = clock_ns();
    return s;
}

static enum status build_prompt(struct loop *l, size_t i, struct err *err)
{
    const struct load_cell *c = l->cell;
    int32_t *out = l->prompts + i * c->in_tok;
    size_t before = c->frame ? c->frame->before.n : 0;
    size_t after = c->frame ? c->frame->after.n : 0;
    if (c->in_tok <= before + after)
        return err_set(err, ERR_UNSUPPORTED, "the chat format alone takes %zu tokens: expected more, found %zu",
                       before + after, c->in_tok);
    if (c->frame) {
        memcpy(out, c->frame->before.v, before * sizeof *out);
        if (after)
            memcpy(out + c->in_tok - after, c->frame->after.v, after * sizeof *out);
    }
    return load_prompt(l->model, l->seed, c->name, l->block, i, out + before, c->in_tok - before - after, err);
}

static enum status prepare(struct loop *l, struct err *err)
{
    const struct load_cell *c = l->cell;
    void *p;
    enum status s;
    if ((s = mem_alloc(&p, c->n_requests, sizeof *l->out->requests, "requests", err)))
        return s;
    l->out->requests = p;
    l->out->n_requests = c->n_requests;
    size_t n_stamps;
    size_t n_ids;
    if (!size_mul(c->n_requests, c->out_tok, &n_stamps) || !size_mul(c->n_requests, c->in_tok, &n_ids))
        return err_set(err, ERR_MEMORY, "cannot allocate a cell of %zu requests: too many tokens", c->n_requests);
    if ((s = mem_alloc(&p, n_stamps, sizeof *l->out->stamps, "time stamps", err)))
        return s;
    l->out->stamps = p;
    if ((s = mem_alloc(&p, n_ids, sizeof *l->prompts, "prompts", err)))
        return s;
    l->prompts = p;
    if ((s = mem_alloc(&p, c->n_requests, sizeof *l->ids, "request ids", err)))
        return s;
    l->ids = p;
    if ((s = mem_alloc(&p, c->n_requests, sizeof *l->handles, "handles", err)))
        return s;
    l->handles = p;
    if ((s = mem_alloc(&p, c->n_requests, sizeof(struct digest *), "digests", err)))
        return s;
    l->digests = p;
    for (size_t i = 0; i < c->n_requests && !s; i++) {
        l->out->requests[i].t_event_ns = l->out->stamps + i * c->out_tok;
        (void)snprintf(l->ids[i], sizeof l->ids[i], "%zu/%zu", l->block, i);
        s = digest_new(&l->digests[i], err);
        if (!s)
            s = build_prompt(l, i, err);
    }
    return s;
}

/* The counters borrow the session's hit table, which dies with it. */
static void read_counters(const struct session *s, struct session_counters *c)
{
    session_counters(s, c);
    c->expert_hits = NULL;
}

static enum status digests(struct loop *l, struct err *err)
{
    struct digest *all = NULL;
    enum status s = digest_new(&all, err);
    for (size_t i = 0; i < l->cell->n_requests && !s; i++) {
        s = digest_finish(l->digests[i], l->out->requests[i].tokens_sha256, err);
        if (!s)
            s = digest_add(all, l->out->requests[i].tokens_sha256, DIGEST_B, err);
    }
    if (!s)
        s = digest_finish(all, l->out->tokens_sha256, err);
    digest_free(all);
    return s;
}

enum status load_run(struct load_result *out, struct model *m, const struct load_cell *cell, uint64_t seed,
                     size_t block, struct err *err)
{
    *out = (struct load_result){.requests = NULL};
    struct loop l = {.model = m, .cell = cell, .seed = seed, .block = block, .out = out};
    if (cell->in_tok == 0 || cell->out_tok == 0 || cell->concurrency == 0 || cell->n_requests == 0)
        return err_set(err, ERR_USAGE, "a cell needs at least one request of one token in and one out");
    enum status s = prepare(&l, err);
    const struct session_options opt = {
        .n_parallel = cell->concurrency,
        .context_tok = cell->in_tok + cell->out_tok,
        .prefill_chunk = cell->prefill_chunk,
    };
    if (!s)
        s = session_new(&l.session, m, &opt, err);
    if (!s) {
        read_counters(l.session, &out->before);
        s = run_loop(&l, err);
        read_counters(l.session, &out->after);
        session_memory(l.session, &out->memory);
    }
    if (!s)
        s = digests(&l, err);
    session_free(l.session);
    for (size_t i = 0; l.digests && i < cell->n_requests; i++)
        digest_free(l.digests[i]);
    mem_free(l.digests);
    mem_free(l.handles);
    mem_free(l.ids);
    mem_free(l.prompts);
    if (s)
        load_result_release(out);
    return s;
}

void load_result_release(struct load_result *r)
{
    mem_free(r->requests);
    mem_free(r->stamps);
    *r = (struct load_result){.requests = NULL};
}
