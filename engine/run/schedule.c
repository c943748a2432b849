#include <string.h>

#include "run/session_internal.h"

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t feed_of(const struct request *r)
{
    return r->n_prompt + (r->n_score ? r->n_score - 1 : 0);
}

static enum status grow(void **p, size_t n, size_t size, struct err *err)
{
    void *fresh = NULL;
    size_t bytes;
    if (!size_mul(n, size, &bytes))
        return err_set(err, ERR_MEMORY, "cannot allocate rows of a step: %zu x %zu bytes overflow", n, size);
    enum status s = mem_alloc(&fresh, bytes, 1, "rows of a step", err);
    if (s)
        return s;
    mem_free(*p);
    *p = fresh;
    return OK;
}

/* The arrays have different types; each is grown through a void pointer and put back. */
#define GROW(field, n)                                         \
    do {                                                       \
        void *grown = s->field;                                \
        enum status gs = grow(&grown, n, sizeof *s->field, err); \
        s->field = grown;                                      \
        if (gs)                                                \
            return gs;                                         \
    } while (0)

enum status schedule_reserve(struct session *s, const struct request *r, struct err *err)
{
    const struct model_config *c = &s->m->config;
    size_t per_seq = min_size(s->chunk, feed_of(r));
    size_t n = per_seq > STEP_ROWS / s->n_parallel ? STEP_ROWS : per_seq * s->n_parallel;
    n = n > s->n_parallel ? n : s->n_parallel;
    bool first_forced = r->forced_experts && !s->forced;
    if (n > s->cap_rows) {
        GROW(ids, n);
        GROW(seq, n);
        GROW(pos, n);
        GROW(fault, n);
    } else {
        n = s->cap_rows;
    }
    if (first_forced || (s->forced && n > s->cap_rows)) {
        size_t cells;
        if (!size_mul(n, c->n_layers * c->n_experts_used, &cells))
            return err_set(err, ERR_MEMORY, "cannot allocate forced experts: %zu rows overflow", n);
        GROW(forced, cells);
    }
    s->cap_rows = n;
    return forward_reserve(s->f, n, err);
}

static bool needs_logits(const struct slot *sl, size_t pos)
{
    const struct request *r = &sl->job->r;
    if (r->all_positions || pos >= sl->n_feed)
        return true;
    return r->n_score ? pos + 1 >= r->n_prompt : pos + 1 == sl->n_feed && r->max_tokens > 0;
}

static int32_t token_at(const struct slot *sl, size_t pos)
{
    const struct request *r = &sl->job->r;
    if (pos >= sl->n_feed)
        return sl->last;
    return pos < r->n_prompt ? r->prompt[pos] : r->score[pos - r->n_prompt];
}

/* A request gives (layer, prompt position, k), the step wants (layer, row, k). */
static void add_forced(struct session *s, const struct slot *sl, size_t row, size_t pos)
{
    const struct request *r = &sl->job->r;
    size_t L = s->m->config.n_layers;
    size_t k = s->m->config.n_experts_used;
    for (size_t layer = 0; layer < L; layer++) {
        uint16_t *to = s->forced + (layer * s->step.n + row) * k;
        if (r->forced_experts && pos < r->n_prompt)
            memcpy(to, r->forced_experts + (layer * r->n_prompt + pos) * k, k * sizeof *to);
        else
            to[0] = UINT16_MAX; // as computed
    }
}

/* First position whose logits are wanted, or the last that is fed: it and what follows must be computed. */
static size_t first_needed(const struct slot *sl)
{
    const struct request *r = &sl->job->r;
    return r->all_positions ? 0 : r->n_score ? r->n_prompt - 1 : sl->n_feed - 1;
}

/* Before a prompt goes on at a multiple of PREFIX_BLOCK: what others have computed meanwhile is at hand. */
static void reuse(struct session *s, struct slot *sl)
{
    if (!sl->ids || sl->n_fed % PREFIX_BLOCK != 0)
        return;
    size_t n = prefix_load(s->prefix, (size_t)(sl - s->slots), sl->ids, sl->n_fed, first_needed(sl));
    sl->n_reused += n - sl->n_fed;
    s->counters.reused_tok += n - sl->n_fed;
    sl->n_fed = n;
}

/* Pages for the rows that a sequence got. What is kept for reuse makes way: kv_promised is within the
 * limit, so room lacks only for what is kept. */
static enum status take_pages(struct session *s, const struct slot *sl, struct err *err)
{
    struct err lack;
    enum status st;
    do
        st = s->m->backend->ops->kv_resize(forward_kv(s->f), (size_t)(sl - s->slots), sl->n_fed + sl->n_rows, &lack);
    while (st == ERR_MEMORY && s->prefix && prefix_evict(s->prefix));
    return st ? err_set(err, st, "%s", lack.text) : OK;
}

static bool decodes(const struct slot *sl)
{
    return sl->n_fed >= sl->n_feed;
}

/* Up to max_rows rows of a sequence, fewer where their logits do not fit. */
static void add_rows(struct session *s, struct slot *sl, size_t max_rows)
{
    sl->first_row = s->step.n;
    sl->first_pick = s->step.n_pick;
    for (size_t i = 0; i < max_rows; i++) {
        size_t pos = sl->n_fed + i;
        if (needs_logits(sl, pos)) {
            if (s->step.n_pick == s->max_pick)
                break;
            s->pick[s->step.n_pick++] = (uint32_t)s->step.n;
        }
        s->ids[s->step.n] = token_at(sl, pos);
        s->seq[s->step.n] = (uint32_t)(sl - s->slots);
        s->pos[s->step.n] = (uint32_t)pos;
        s->fault[s->step.n++] = 0;
    }
    sl->n_rows = s->step.n - sl->first_row;
    sl->n_pick = s->step.n_pick - sl->first_pick;
}

enum status schedule_step(struct session *s, struct err *err)
{
    bool forced = false;
    s->step = (struct step){.ids = s->ids, .seq = s->seq, .pos = s->pos, .fault = s->fault, .pick = s->pick};
    for (size_t i = 0; i < s->n_active; i++)
        if (decodes(s->order[i]))
            add_rows(s, s->order[i], 1);
    size_t n_decoding = s->step.n;
    size_t end = n_decoding && s->mixed_rows < s->cap_rows - n_decoding ? n_decoding + s->mixed_rows : s->cap_rows;
    for (size_t i = 0; i < s->n_active; i++) {
        struct slot *sl = s->order[i];
        if (!decodes(sl)) {
            if (s->step.n < end)
                reuse(s, sl);
            add_rows(s, sl, min_size(min_size(sl->n_feed - sl->n_fed, s->chunk), end - s->step.n));
        }
        forced |= sl->job->r.forced_experts != NULL;
        enum status st = take_pages(s, sl, err);
        if (st)
            return st;
    }
    s->counters.decode_tok += n_decoding;
    s->counters.prefill_tok += s->step.n - n_decoding;
    for (size_t i = 0; i < s->n_active && forced; i++)
        for (size_t t = 0; t < s->order[i]->n_rows; t++)
            add_forced(s, s->order[i], s->order[i]->first_row + t, s->order[i]->n_fed + t);
    s->step.forced = forced ? s->forced : NULL;
    return OK;
}
