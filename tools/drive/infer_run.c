#include "drive/infer_run.h"

#include <string.h>

#include "base/clock.h"

/* A request in flight. */
struct flight {
    bool used;
    uint64_t handle;
    struct infer_result r;
    struct digest *digest;
    int32_t *ids; /* (cap_ids) */
    double logprob;
};

struct run {
    struct model *m;
    const struct infer_list *l;
    const bool *skip;
    const struct infer_hooks *hooks;
    struct session *session;
    struct flight *flights; /* (n_parallel) */
    size_t n_parallel;
    size_t next; /* request to hand over next */
};

static enum status send(struct run *u, struct flight *f, struct err *err)
{
    while (u->next < u->l->n && u->skip && u->skip[u->next])
        u->next++;
    if (u->next == u->l->n)
        return OK;
    size_t i = u->next++;
    f->r = (struct infer_result){.index = i, .is_greedy = true, .t_start_ns = clock_ns()};
    f->logprob = 0;
    f->used = true;
    return session_submit(u->session, &u->l->items[i].r, &f->handle, err);
}

static enum status finish(struct run *u, struct flight *f, const struct event *e, struct err *err)
{
    uint8_t d[DIGEST_B];
    struct infer_result *r = &f->r;
    enum status s = digest_finish(f->digest, d, err);
    if (s)
        return s;
    r->t_done_ns = clock_ns();
    r->finish = e->finish;
    r->n_reused = e->n_reused;
    r->status = e->status;
    r->message = e->message;
    r->ids = f->ids;
    r->logprob = f->logprob;
    if (!r->status)
        digest_hex(d, r->logits_sha256);
    if ((s = u->hooks->done(u->hooks->ctx, r, err)))
        return s;
    f->used = false;
    return send(u, f, err);
}

static enum status take(struct run *u, const struct event *e, struct err *err)
{
    struct flight *f = u->flights;
    while (!f->used || f->handle != e->handle)
        f++;
    enum status s = OK;
    switch (e->kind) {
    case EVENT_DONE:
        return finish(u, f, e, err);
    case EVENT_TOKEN:
        f->ids[f->r.n_ids++] = e->token;
        f->r.is_greedy &= e->is_greedy;
        f->logprob += u->l->items[f->r.index].r.n_score ? e->logprob : 0;
        f->r.t_tok1_ns = f->r.t_tok1_ns ? f->r.t_tok1_ns : e->t_ns;
        f->r.t_tokn_ns = e->t_ns;
        s = digest_add(f->digest, e->logits, model_info(u->m)->vocab_size * sizeof(float), err);
        break;
    case EVENT_LOGITS:
        break;
    }
    return s || !u->hooks->row ? s : u->hooks->row(u->hooks->ctx, f->r.index, e, err);
}

static enum status prepare(struct run *u, const struct session_options *opt, struct err *err)
{
    size_t cap = 1;
    void *p;
    enum status s;
    for (size_t i = 0; i < u->l->n; i++) {
        const struct request *r = &u->l->items[i].r;
        cap = r->max_tokens > cap ? r->max_tokens : cap;
        cap = r->n_score > cap ? r->n_score : cap;
    }
    if ((s = session_new(&u->session, u->m, opt, err)))
        return s;
    for (size_t i = 0; i < u->l->n; i++)
        if ((s = session_check(u->session, &u->l->items[i].r, err)))
            return s;
    if ((s = mem_alloc(&p, u->n_parallel, sizeof *u->flights, "requests in flight", err)))
        return s;
    u->flights = p;
    for (size_t i = 0; i < u->n_parallel; i++) {
        if ((s = mem_alloc(&p, cap, sizeof(int32_t), "generated ids", err)))
            return s;
        u->flights[i].ids = p;
        if ((s = digest_new(&u->flights[i].digest, err)))
            return s;
    }
    return OK;
}

static enum status loop(struct run *u, struct err *err)
{
    enum status s = OK;
    for (size_t i = 0; i < u->n_parallel && !s; i++)
        s = send(u, &u->flights[i], err);
    while (!s && !session_idle(u->session)) {
        const struct event *e;
        size_t n;
        if (u->hooks->stop && u->hooks->stop(u->hooks->ctx))
            return err_set(err, ERR_CANCELLED, "interrupted: what is finished stays in the journal");
        s = session_step(u->session, &e, &n, err);
        if (!s && u->hooks->step) {
            struct session_counters c;
            session_counters(u->session, &c);
            u->hooks->step(u->hooks->ctx, c.prefill_tok + c.reused_tok);
        }
        for (size_t i = 0; i < n && !s; i++)
            s = take(u, &e[i], err);
    }
    return s;
}

enum status infer_run(struct model *m, const struct infer_list *l, const bool *skip, const struct session_options *opt,
                      const struct infer_hooks *hooks, struct err *err)
{
    struct run u = {.m = m, .l = l, .skip = skip, .hooks = hooks, .n_parallel = opt->n_parallel};
    enum status s = prepare(&u, opt, err);
    if (!s)
        s = loop(&u, err);
    for (size_t i = 0; u.flights && i < u.n_parallel; i++) {
        mem_free(u.flights[i].ids);
        digest_free(u.flights[i].digest);
    }
    mem_free(u.flights);
    session_free(u.session);
    return s;
}
