#include <math.h>
#include <stdio.h>
#include <string.h>

#include "run/session_internal.h"

static struct event *add_event(struct session *s, const struct job *j, enum event_kind kind, uint64_t t_ns)
{
    struct event *e = &s->events[s->n_events++];
    *e = (struct event){.kind = kind, .handle = j->handle, .token = -1, .t_ns = t_ns};
    return e;
}

static struct event *emit_end(struct session *s, struct job *j, enum finish_reason finish, enum status status,
                              const char *message)
{
    struct event *e = add_event(s, j, EVENT_DONE, 0);
    e->finish = finish;
    e->status = status;
    e->message = message;
    mem_free(j);
    return e;
}

void emit_dropped(struct session *s, struct job *j)
{
    (void)emit_end(s, j, FINISH_CANCELLED, ERR_CANCELLED, "");
}

void emit_done(struct session *s, struct slot *sl, enum finish_reason finish, enum status status)
{
    size_t at = 0;
    while (s->order[at] != sl)
        at++;
    s->n_active--;
    memmove(&s->order[at], &s->order[at + 1], (s->n_active - at) * sizeof *s->order);
    s->kv_promised -= sl->job->need_b;
    if (sl->ids && status == OK)
        prefix_keep(s->prefix, (size_t)(sl - s->slots), sl->ids, sl->n_fed);
    (void)s->m->backend->ops->kv_resize(forward_kv(s->f), (size_t)(sl - s->slots), 0, NULL); // giving back cannot fail
    emit_end(s, sl->job, finish, status, finish == FINISH_ERROR ? sl->message : "")->n_reused = sl->n_reused;
    sl->job = NULL;
}

static const char *site_name(uint32_t fault)
{
    switch ((enum fault_op)(fault & 255)) {
    case FAULT_NONE:
        break;
    case FAULT_NORM:
        return "norm";
    case FAULT_QKV:
        return "query, key and value";
    case FAULT_ATTENTION:
        return "attention";
    case FAULT_MLP:
        return "feed-forward";
    case FAULT_ROUTER:
        return "router";
    case FAULT_LOGITS:
        return "logits";
    }
    return "value";
}

/* True when a row of this slot left the range of numerics.md; then the request is over. */
static bool check_faults(struct session *s, struct slot *sl)
{
    for (size_t t = 0; t < sl->n_rows; t++) {
        uint32_t fault = s->fault[sl->first_row + t];
        if (!fault)
            continue;
        size_t layer = (fault >> 8) - 1;
        if (layer < s->m->config.n_layers)
            (void)snprintf(sl->message, sizeof sl->message,
                           "position %u: expected finite values below 2^60, found others in layer %zu, %s",
                           s->pos[sl->first_row + t], layer, site_name(fault));
        else
            (void)snprintf(sl->message, sizeof sl->message,
                           "position %u: expected finite values below 2^60, found others behind the last layer",
                           s->pos[sl->first_row + t]);
        emit_done(s, sl, FINISH_ERROR, ERR_NUMERIC);
        return true;
    }
    return false;
}

/* Does the text that grew by this token contain a stop text? Only what could still begin a match is
 * kept, so a long generation costs no more than a short one. */
static bool stop_text_found(struct session *s, struct slot *sl, int32_t token)
{
    const struct request *r = &sl->job->r;
    if (r->n_stop_texts == 0 || !s->m->tokenizer)
        return false;
    struct err ignored;
    if (tokenizer_decode(s->m->tokenizer, &token, 1, true, &sl->tail, &ignored) != OK || sl->tail.n == 0)
        return false;
    for (size_t i = 0; i < r->n_stop_texts; i++) {
        size_t len = strlen(r->stop_texts[i]);
        for (size_t at = 0; at + len <= sl->tail.n; at++)
            if (memcmp(sl->tail.data + at, r->stop_texts[i], len) == 0)
                return true;
    }
    size_t keep = sl->job->stop_tail_b;
    if (sl->tail.n > keep) {
        memmove(sl->tail.data, sl->tail.data + sl->tail.n - keep, keep);
        sl->tail.n = keep;
    }
    return false;
}

static bool is_stop_id(const struct model *m, int32_t id)
{
    for (size_t i = 0; i < m->config.n_stop_ids; i++)
        if (m->config.stop_ids[i] == id)
            return true;
    return false;
}

static void emit_token(struct session *s, const struct slot *sl, const float *logits, size_t pos, int32_t token,
                       bool greedy, uint64_t t_ns)
{
    bool logprob = sl->job->r.n_score || sl->job->r.want_logprob;
    struct event *e = add_event(s, sl->job, EVENT_TOKEN, t_ns);
    e->position = pos;
    e->token = token;
    e->is_greedy = greedy;
    e->logits = logits;
    e->logprob = logprob ? logits_logprob(logits, s->m->config.vocab_size, token) : (double)NAN;
}

/* One row of logits that generates. True when the request is over. */
static bool generate(struct session *s, struct slot *sl, const float *logits, size_t pos, uint64_t t_ns)
{
    const struct request *r = &sl->job->r;
    const struct model *m = s->m;
    int32_t best = logits_argmax(logits, m->config.vocab_size, m->allowed);
    int32_t token = best;
    if (r->sampling.temperature > 0)
        token = sampler_draw(s->sampler, logits, m->allowed, &r->sampling, &sl->job->key, pos);
    emit_token(s, sl, logits, pos, token, token == best, t_ns);
    sl->last = token;
    if (sl->ids && pos + 1 < s->context_tok)
        sl->ids[pos + 1] = token;
    sl->n_out++;
    if ((!r->ignore_stop_ids && is_stop_id(m, token)) || stop_text_found(s, sl, token)) {
        emit_done(s, sl, FINISH_STOP, OK);
        return true;
    }
    if (sl->n_out == r->max_tokens) {
        emit_done(s, sl, FINISH_LENGTH, OK);
        return true;
    }
    return false;
}

static bool score(struct session *s, struct slot *sl, const float *logits, size_t pos, uint64_t t_ns)
{
    const struct request *r = &sl->job->r;
    int32_t token = r->score[sl->n_out++];
    bool greedy = logits_argmax(logits, s->m->config.vocab_size, NULL) == token;
    emit_token(s, sl, logits, pos, token, greedy, t_ns);
    if (sl->n_out < r->n_score)
        return false;
    emit_done(s, sl, FINISH_SCORED, OK);
    return true;
}

/* One row of logits. True when the request is over. */
static bool emit_row(struct session *s, struct slot *sl, const float *logits, size_t pos, uint64_t t_ns)
{
    const struct request *r = &sl->job->r;
    if (!logits_finite(logits, s->m->config.vocab_size)) {
        (void)snprintf(sl->message, sizeof sl->message, "position %zu: expected finite logits, found others", pos);
        emit_done(s, sl, FINISH_ERROR, ERR_NUMERIC);
        return true;
    }
    if (pos + 1 < r->n_prompt || (r->n_score == 0 && r->max_tokens == 0)) { // only here for all_positions
        struct event *e = add_event(s, sl->job, EVENT_LOGITS, t_ns);
        e->position = pos;
        e->logits = logits;
        return false;
    }
    return r->n_score ? score(s, sl, logits, pos, t_ns) : generate(s, sl, logits, pos, t_ns);
}

static void emit_slot(struct session *s, struct slot *sl, uint64_t t_ns)
{
    size_t V = s->m->config.vocab_size;
    if (check_faults(s, sl))
        return;
    size_t from = sl->n_fed;
    sl->n_fed += sl->n_rows;
    for (size_t n = (from / PREFIX_BLOCK + 1) * PREFIX_BLOCK; sl->ids && n <= sl->n_fed; n += PREFIX_BLOCK)
        prefix_keep(s->prefix, (size_t)(sl - s->slots), sl->ids, n);
    for (size_t i = 0; i < sl->n_pick; i++) {
        size_t pick = sl->first_pick + i;
        if (emit_row(s, sl, forward_logits(s->f) + pick * V, s->pos[s->pick[pick]], t_ns))
            return;
    }
    if (sl->n_fed == sl->n_feed && sl->job->r.n_score == 0 && sl->job->r.max_tokens == 0)
        emit_done(s, sl, FINISH_LENGTH, OK); // nothing was to be generated
}

void emit_step(struct session *s, uint64_t t_ns)
{
    for (size_t i = 0; i < s->n_parallel; i++)
        if (s->slots[i].job)
            emit_slot(s, &s->slots[i], t_ns);
}
