#include <string.h>

#include "base/clock.h"
#include "base/pool.h"
#include "run/session_internal.h"

/* A session: requests wait in a queue, take slots as they come free, and advance together, one forward
 * pass a step. Nothing is allocated between submit and done but the pages of the KV cache. */

const char *finish_reason_name(enum finish_reason r)
{
    switch (r) {
    case FINISH_STOP:
        return "stop";
    case FINISH_LENGTH:
        return "length";
    case FINISH_SCORED:
        return "scored";
    case FINISH_ERROR:
        return "error";
    case FINISH_CANCELLED:
        break;
    }
    return "cancelled";
}

static size_t chunk_of(const struct session_options *opt)
{
    return opt->prefill_chunk && opt->prefill_chunk < STEP_ROWS ? opt->prefill_chunk : STEP_ROWS;
}

static enum status new_parts(struct session *s, uint64_t limit_b, struct err *err)
{
    const struct forward_shape shape = {
        .n_seqs = s->n_parallel, .n_pos = s->context_tok, .chunk = s->chunk, .n_pick = s->max_pick, .kv_limit_b = limit_b};
    void *p;
    enum status st;
    s->cap_events = s->max_pick + 3 * s->n_parallel; // rows of logits, ends, cancelled while running and waiting
    if ((st = mem_alloc(&p, s->n_parallel, sizeof *s->slots, "slots", err)))
        return st;
    s->slots = p;
    if ((st = mem_alloc(&p, s->n_parallel, sizeof(struct slot *), "slots", err)))
        return st;
    s->order = p;
    if ((st = mem_alloc(&p, s->cap_events, sizeof *s->events, "events", err)))
        return st;
    s->events = p;
    if ((st = mem_alloc(&p, s->max_pick, sizeof *s->pick, "picked rows", err)))
        return st;
    s->pick = p;
    if ((st = sampler_new(&s->sampler, s->m->config.vocab_size, err)))
        return st;
    if ((st = forward_new(&s->f, s->m, &shape, err)))
        return st;
    struct kv_bytes kv;
    s->m->backend->ops->kv_count(forward_kv(s->f), &kv);
    s->kv_limit = kv.limit;
    return OK;
}

static enum status new_prefix(struct session *s, struct err *err)
{
    void *p;
    size_t n;
    if (!size_mul(s->n_parallel, s->context_tok, &n))
        return err_set(err, ERR_MEMORY, "cannot allocate token histories: %zu x %zu overflow", s->n_parallel, s->context_tok);
    enum status st = mem_alloc(&p, n, sizeof *s->history, "token histories", err);
    if (st)
        return st;
    s->history = p;
    return prefix_new(&s->prefix, s->m->backend, forward_kv(s->f), err);
}

enum status session_new(struct session **out, struct model *m, const struct session_options *opt, struct err *err)
{
    void *p;
    size_t context = opt->context_tok ? opt->context_tok : m->config.max_context_tok;
    if (opt->n_parallel < 1 || opt->n_parallel > STEP_ROWS)
        return err_set(err, ERR_USAGE, "parallel sequences: expected 1 to %d, found %zu", STEP_ROWS, opt->n_parallel);
    if (context > m->config.max_context_tok)
        return err_set(err, ERR_CONTEXT, "context length: expected at most %zu tokens for %s, found %zu",
                       m->config.max_context_tok, m->info.name, context);
    enum status st = mem_alloc(&p, 1, sizeof(struct session), "session", err);
    if (st)
        return st;
    struct session *s = p;
    struct backend_counters counters;
    m->backend->ops->counters(m->backend, &counters);
    *s = (struct session){.m = m,
                          .n_parallel = opt->n_parallel,
                          .context_tok = context,
                          .chunk = chunk_of(opt),
                          .mixed_rows = opt->prefill_chunk ? chunk_of(opt) : MIXED_ROWS,
                          .max_pick = opt->n_parallel - 1 + STEP_PICKS,
                          .weight_bytes_before = counters.weight_bytes_read};
    s->queue_end = &s->queue;
    unsigned env = pool_numeric_env_enter();
    st = new_parts(s, opt->kv_limit_b, err);
    if (!st && opt->prefix_reuse)
        st = new_prefix(s, err);
    pool_numeric_env_leave(env);
    if (st) {
        session_free(s);
        return st;
    }
    *out = s;
    return OK;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    for (size_t i = 0; s->slots && i < s->n_parallel; i++) {
        mem_free(s->slots[i].job);
        buf_release(&s->slots[i].tail);
    }
    while (s->queue) {
        struct job *next = s->queue->next;
        mem_free(s->queue);
        s->queue = next;
    }
    prefix_free(s->prefix);
    forward_free(s->f);
    sampler_free(s->sampler);
    mem_free(s->slots);
    mem_free(s->order);
    mem_free(s->history);
    mem_free(s->events);
    mem_free(s->ids);
    mem_free(s->seq);
    mem_free(s->pos);
    mem_free(s->fault);
    mem_free(s->pick);
    mem_free(s->forced);
    mem_free(s);
}

static enum status check_tokens(const struct session *s, const char *what, const int32_t *v, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (v[i] < 0 || (size_t)v[i] >= s->m->config.vocab_size)
            return err_set(err, ERR_RANGE, "%s token %zu: expected an id from 0 to %zu, found %d", what, i,
                           s->m->config.vocab_size - 1, v[i]);
    return OK;
}

/* Most bytes of KV pages of a request: the token generated last is never fed. */
static uint64_t need_of(const struct session *s, const struct request *r)
{
    size_t more = r->n_score ? r->n_score - 1 : r->max_tokens ? r->max_tokens - 1 : 0;
    return s->m->backend->ops->kv_need(forward_kv(s->f), r->n_prompt + more);
}

enum status session_check(const struct session *s, const struct request *r, struct err *err)
{
    const struct sampling *p = &r->sampling;
    if (!r->id)
        return err_set(err, ERR_USAGE, "request: expected an id, found none");
    if (r->n_prompt == 0)
        return err_set(err, ERR_USAGE, "request '%.80s': expected a prompt of at least one token, found none", r->id);
    if (!(p->temperature >= 0 && p->temperature <= 1e6))
        return err_set(err, ERR_USAGE, "request '%.80s': temperature: expected 0 to 1e6, found %g", r->id, p->temperature);
    if (!(p->top_p > 0 && p->top_p <= 1))
        return err_set(err, ERR_USAGE, "request '%.80s': top_p: expected above 0 and at most 1, found %g", r->id, p->top_p);
    if (!(p->min_p >= 0 && p->min_p <= 1))
        return err_set(err, ERR_USAGE, "request '%.80s': min_p: expected 0 to 1, found %g", r->id, p->min_p);
    for (size_t i = 0; i < r->n_stop_texts; i++)
        if (!*r->stop_texts[i])
            return err_set(err, ERR_USAGE, "request '%.80s': expected stop texts that are not empty", r->id);
    size_t more = r->n_score ? r->n_score - 1 : r->max_tokens;
    size_t total;
    if (!size_add(r->n_prompt, more, &total) || total > s->context_tok)
        return err_set(err, ERR_CONTEXT, "request '%.80s': expected at most %zu tokens in all, found %zu of prompt and %zu more",
                       r->id, s->context_tok, r->n_prompt, more);
    if (need_of(s, r) > s->kv_limit)
        return err_set(err, ERR_MEMORY,
                       "request '%.80s': expected at most %llu bytes of key-value cache (the limit), found %llu for its %zu tokens",
                       r->id, (unsigned long long)s->kv_limit, (unsigned long long)need_of(s, r), total);
    enum status st = check_tokens(s, "prompt", r->prompt, r->n_prompt, err);
    return st ? st : check_tokens(s, "continuation", r->score, r->n_score, err);
}

enum status session_submit(struct session *s, const struct request *r, uint64_t *handle, struct err *err)
{
    void *p;
    struct rng_key key;
    enum status st;
    if ((st = session_check(s, r, err)) || (st = schedule_reserve(s, r, err)) ||
        (st = rng_key_new(&key, r->sampling.seed, r->id, err)) || (st = mem_alloc(&p, 1, sizeof(struct job), "request", err)))
        return st;
    struct job *j = p;
    *j = (struct job){.r = *r, .handle = ++s->next_handle, .key = key, .need_b = need_of(s, r)};
    for (size_t i = 0; i < r->n_stop_texts; i++) {
        size_t len = strlen(r->stop_texts[i]);
        j->stop_tail_b = len - 1 > j->stop_tail_b ? len - 1 : j->stop_tail_b;
    }
    *s->queue_end = j;
    s->queue_end = &j->next;
    *handle = j->handle;
    return OK;
}

void session_cancel(struct session *s, uint64_t handle)
{
    for (struct job *j = s->queue; j; j = j->next)
        if (j->handle == handle && !j->cancelled) {
            j->cancelled = true;
            s->n_cancelled++;
        }
    for (size_t i = 0; i < s->n_active; i++)
        if (s->order[i]->job->handle == handle)
            s->order[i]->job->cancelled = true;
}

static void drop_cancelled(struct session *s)
{
    for (size_t i = 0; i < s->n_parallel; i++)
        if (s->slots[i].job && s->slots[i].job->cancelled)
            emit_done(s, &s->slots[i], FINISH_CANCELLED, ERR_CANCELLED);
    size_t room = s->n_parallel; // events
    for (struct job **at = &s->queue; s->n_cancelled && room && *at;) {
        struct job *j = *at;
        if (!j->cancelled) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        if (!*at)
            s->queue_end = at;
        emit_dropped(s, j);
        s->n_cancelled--;
        room--;
    }
}

static void take(struct session *s, struct slot *sl)
{
    struct job *j = s->queue;
    const struct request *r = &j->r;
    struct buf tail = sl->tail; // its memory is kept from request to request
    s->queue = j->next;
    if (!s->queue)
        s->queue_end = &s->queue;
    *sl = (struct slot){.job = j,
                        .n_feed = r->n_prompt + (r->n_score ? r->n_score - 1 : 0),
                        .tail = tail};
    buf_clear(&sl->tail);
    if (s->prefix && !r->forced_experts) { // forced experts make other K and V of the same tokens
        sl->ids = s->history + (size_t)(sl - s->slots) * s->context_tok;
        memcpy(sl->ids, r->prompt, r->n_prompt * sizeof *sl->ids);
        if (sl->n_feed > r->n_prompt)
            memcpy(sl->ids + r->n_prompt, r->score, (sl->n_feed - r->n_prompt) * sizeof *sl->ids);
    }
    s->order[s->n_active++] = sl;
    s->kv_promised += j->need_b;
}

/* Free slots take what waits, strictly in order: the first that does not fit holds up all behind it, until
 * those that run have given back enough. Alone it fits: session_check has seen to that. */
static void admit(struct session *s)
{
    for (size_t i = 0; i < s->n_parallel && s->queue && s->queue->need_b <= s->kv_limit - s->kv_promised; i++)
        if (!s->slots[i].job && !s->queue->cancelled)
            take(s, &s->slots[i]);
}

static enum status run_step(struct session *s, struct err *err)
{
    enum status st;
    if (!s->n_active)
        return OK;
    if ((st = schedule_step(s, err)) || (st = forward_run(s->f, &s->step, err)))
        return st;
    s->counters.steps++;
    s->counters.rows += s->step.n;
    emit_step(s, clock_ns());
    return OK;
}

enum status session_step(struct session *s, const struct event **events, size_t *n, struct err *err)
{
    s->n_events = 0;
    unsigned env = pool_numeric_env_enter();
    drop_cancelled(s);
    admit(s);
    enum status st = run_step(s, err);
    pool_numeric_env_leave(env);
    *events = s->events;
    *n = st ? 0 : s->n_events;
    return st;
}

bool session_idle(const struct session *s)
{
    return !s->queue && !s->n_active;
}

void session_memory(const struct session *s, struct memory_bytes *out)
{
    const struct backend_ops *ops = s->m->backend->ops;
    struct backend_counters c;
    struct kv_bytes kv;
    ops->counters(s->m->backend, &c);
    ops->kv_count(forward_kv(s->f), &kv);
    uint64_t own = sampler_bytes(s->sampler) + s->cap_rows * (3 * sizeof(uint32_t) + sizeof(int32_t));
    if (s->prefix)
        own += prefix_bytes(s->prefix) + s->n_parallel * s->context_tok * sizeof *s->history;
    uint64_t host = own + forward_host_bytes(s->f); // what the backend's allocator does not see
    *out = (struct memory_bytes){.weights = s->m->info.weights_b,
                                 .kv_limit = kv.limit,
                                 .kv_saved = kv.saved,
                                 .kv_promised = s->kv_promised,
                                 .kv_reserved = kv.reserved,
                                 .kv_live = kv.live,
                                 .kv_used = kv.used,
                                 .act_peak = forward_bytes(s->f) + own + c.scratch_peak_bytes,
                                 .total = c.alloc_bytes + host + c.scratch_peak_bytes,
                                 .peak = c.alloc_peak_bytes + host + c.scratch_peak_bytes};
}

void session_counters(const struct session *s, struct session_counters *out)
{
    struct backend_counters c;
    s->m->backend->ops->counters(s->m->backend, &c);
    *out = s->counters;
    out->weight_bytes_read = c.weight_bytes_read - s->weight_bytes_before;
    out->expert_rows = forward_expert_rows(s->f);
    out->expert_hits = forward_expert_hits(s->f);
}
