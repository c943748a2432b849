#include "drive/energy_phase.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "drive/load.h"

struct phase {
    struct model *model;
    struct session *session;
    struct phase_cell cell;
    int32_t *prompts;  /* (batch, in_tok) */
    uint64_t *handles; /* (batch) of the round in flight */
    int32_t *tokens;   /* (batch, room) of the round in flight */
    size_t *n_tokens;  /* (batch) */
    size_t room;       /* most tokens of one sequence */
    size_t n_rounds;   /* so far: keys the prompts */
};

const char *phase_name(enum phase_kind k)
{
    static const char *const names[N_PHASES] = {"prefill", "decode", "mixed"};
    return names[k];
}

/* Draw whole prompts once; each round then only renews their first tokens, which is enough that no two
 * share a prefix and costs nothing inside a window. */
static enum status draw(struct phase *p, size_t n, struct err *err)
{
    enum status s = OK;
    for (size_t i = 0; i < p->cell.batch && s == OK; i++)
        s = load_prompt(p->model, p->cell.seed, "energy", p->n_rounds, i, p->prompts + i * p->cell.in_tok, n, err);
    return s;
}

static enum status alloc_arrays(struct phase *p, struct err *err)
{
    size_t n_prompt;
    size_t n_out;
    void *q;
    enum status s;
    if (!size_mul(p->cell.batch, p->cell.in_tok, &n_prompt) || !size_mul(p->cell.batch, p->room, &n_out))
        return err_set(err, ERR_MEMORY, "cannot hold %zu prompts of %zu tokens", p->cell.batch, p->cell.in_tok);
    if ((s = mem_alloc(&q, n_prompt, sizeof *p->prompts, "prompts", err)) != OK)
        return s;
    p->prompts = q;
    if ((s = mem_alloc(&q, p->cell.batch, sizeof *p->handles, "handles", err)) != OK)
        return s;
    p->handles = q;
    if ((s = mem_alloc(&q, n_out, sizeof *p->tokens, "tokens", err)) != OK)
        return s;
    p->tokens = q;
    if ((s = mem_alloc(&q, p->cell.batch, sizeof *p->n_tokens, "token counts", err)) != OK)
        return s;
    p->n_tokens = q;
    return OK;
}

enum status phase_open(struct phase **out, struct model *m, const struct phase_cell *cell, struct err *err)
{
    const size_t longest = model_info(m)->max_context_tok;
    if (cell->in_tok + cell->out_tok > longest)
        return err_set(err, ERR_CONTEXT, "%zu + %zu tokens are beyond the model's context of %zu", cell->in_tok,
                       cell->out_tok, longest);
    void *q = NULL;
    enum status s = mem_alloc(&q, 1, sizeof(struct phase), "energy phase", err);
    if (s != OK)
        return s;
    struct phase *p = q;
    p->model = m;
    p->cell = *cell;
    p->room = cell->decode_max_tok > cell->out_tok ? cell->decode_max_tok : cell->out_tok;
    if (p->room > longest - cell->in_tok)
        p->room = longest - cell->in_tok;
    const struct session_options opt = {
        .n_parallel = cell->batch,
        .context_tok = cell->in_tok + p->room,
        .prefill_chunk = cell->prefill_chunk,
    };
    if ((s = alloc_arrays(p, err)) == OK && (s = draw(p, cell->in_tok, err)) == OK)
        s = session_new(&p->session, m, &opt, err);
    if (s != OK) {
        phase_close(p);
        return s;
    }
    *out = p;
    return OK;
}

void phase_close(struct phase *p)
{
    if (!p)
        return;
    session_free(p->session);
    mem_free(p->prompts);
    mem_free(p->handles);
    mem_free(p->tokens);
    mem_free(p->n_tokens);
    mem_free(p);
}

/* Hand in one request a slot. */
static enum status submit_round(struct phase *p, size_t max_tokens, struct err *err)
{
    p->n_rounds++;
    enum status s = draw(p, p->cell.in_tok < 4 ? p->cell.in_tok : 4, err);
    for (size_t i = 0; i < p->cell.batch && s == OK; i++) {
        const struct request r = {
            .id = "energy",
            .prompt = p->prompts + i * p->cell.in_tok,
            .n_prompt = p->cell.in_tok,
            .max_tokens = max_tokens,
            .sampling = {.temperature = 0, .top_p = 1},
            .ignore_stop_ids = true, // a fixed length: only equal work is compared
        };
        p->n_tokens[i] = 0;
        s = session_submit(p->session, &r, &p->handles[i], err);
    }
    return s;
}

/* One step; keeps the tokens. *n_new: tokens of this step, *n_first: of them, a sequence's first,
 * *n_done: requests that ended. */
static enum status step(struct phase *p, size_t *n_new, size_t *n_first, size_t *n_done, struct err *err)
{
    const struct event *events;
    size_t n;
    enum status s = session_step(p->session, &events, &n, err);
    for (size_t e = 0; e < n && s == OK; e++) {
        size_t i = 0;
        while (i < p->cell.batch && p->handles[i] != events[e].handle)
            i++;
        if (i == p->cell.batch)
            return err_set(err, ERR_RANGE, "event of an unknown request");
        if (events[e].kind == EVENT_TOKEN) {
            if (p->n_tokens[i] == p->room)
                return err_set(err, ERR_RANGE, "request %zu: expected %zu tokens, found more", i, p->room);
            *n_first += p->n_tokens[i] == 0;
            p->tokens[i * p->room + p->n_tokens[i]++] = events[e].token;
            ++*n_new;
        } else if (events[e].kind == EVENT_DONE) {
            if (events[e].finish == FINISH_ERROR)
                return err_set(err, events[e].status, "%s", events[e].message);
            ++*n_done;
        }
    }
    return s;
}

static enum status digest_round(const struct phase *p, uint8_t out[DIGEST_B], struct err *err)
{
    struct digest *d = NULL;
    enum status s = digest_new(&d, err);
    for (size_t i = 0; i < p->cell.batch; i++)
        for (size_t k = 0; k < p->n_tokens[i] && s == OK; k++) {
            const uint32_t v = (uint32_t)p->tokens[i * p->room + k];
            const uint8_t le[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
            s = digest_add(d, le, sizeof le, err);
        }
    if (s == OK)
        s = digest_finish(d, out, err);
    digest_free(d);
    return s;
}

/* Whole rounds of max_tokens each until the window is long enough. */
static enum status rounds(struct phase *p, size_t max_tokens, uint64_t window_ns, struct meter *meter,
                          struct phase_result *out, struct err *err)
{
    struct phase_segment *g = &out->segments[0];
    enum status s = OK;
    g->t0_ns = meter_mark(meter);
    do {
        size_t n_new = 0;
        size_t n_first = 0;
        size_t n_done = 0;
        s = submit_round(p, max_tokens, err);
        while (s == OK && n_done < p->cell.batch)
            s = step(p, &n_new, &n_first, &n_done, err);
        g->in_tok += p->cell.batch * p->cell.in_tok;
        g->out_tok += n_new;
        g->n_req += n_done;
        if (s == OK && out->n_segments == 0) {
            out->n_segments = 1;
            s = digest_round(p, out->tokens_sha256, err);
        }
    } while (s == OK && clock_ns() - g->t0_ns < window_ns);
    g->t1_ns = meter_mark(meter);
    return s;
}

/* Prefill every sequence, then meter the steps after all first tokens until the sequences end or the
 * time is up; what still runs is cancelled outside the window. */
static enum status decode_segment(struct phase *p, uint64_t left_ns, struct meter *meter, struct phase_segment *g,
                                  struct err *err)
{
    size_t n_new = 0;
    size_t n_first = 0;
    size_t n_done = 0;
    enum status s = submit_round(p, p->room, err);
    while (s == OK && n_first < p->cell.batch)
        s = step(p, &n_new, &n_first, &n_done, err);
    if (s != OK)
        return s;
    g->t0_ns = meter_mark(meter);
    n_new = 0;
    do {
        s = step(p, &n_new, &n_first, &n_done, err);
    } while (s == OK && n_done == 0 && clock_ns() - g->t0_ns < left_ns);
    g->t1_ns = meter_mark(meter);
    g->out_tok = n_new;
    for (size_t i = 0; i < p->cell.batch; i++)
        session_cancel(p->session, p->handles[i]);
    while (s == OK && !session_idle(p->session))
        s = step(p, &n_new, &n_first, &n_done, err);
    return s;
}

static enum status decode(struct phase *p, uint64_t window_ns, struct meter *meter, struct phase_result *out,
                          struct err *err)
{
    enum status s = OK;
    uint64_t done_ns = 0;
    while (s == OK && done_ns < window_ns && out->n_segments < PHASE_MAX_SEGMENTS) {
        struct phase_segment *g = &out->segments[out->n_segments];
        s = decode_segment(p, window_ns - done_ns, meter, g, err);
        done_ns += g->t1_ns - g->t0_ns;
        if (s == OK && out->n_segments++ == 0)
            s = digest_round(p, out->tokens_sha256, err);
    }
    return s;
}

enum status phase_run(struct phase *p, enum phase_kind kind, uint64_t window_ns, struct meter *meter,
                      struct phase_result *out, struct err *err)
{
    *out = (struct phase_result){.n_segments = 0};
    switch (kind) {
    case PHASE_PREFILL:
        return rounds(p, 1, window_ns, meter, out, err);
    case PHASE_DECODE:
        return decode(p, window_ns, meter, out, err);
    case PHASE_MIXED:
        return rounds(p, p->cell.out_tok, window_ns, meter, out, err);
    }
    return OK;
}
