#include "run_support.h"

#include "base/mem.h"

/* How requests share a session: admission by KV memory, in order; decoding never waits for prompts; what is
 * cancelled gives its pages back at every stage. */

static const struct sampling greedy = {.temperature = 0, .top_p = 1};

enum { MAX_REQ = 16, PAGE_TOK = 32 };

/* What one request has come to. */
struct fate {
    size_t n_tokens, n_done;
    size_t first_step, last_step; // of its tokens
    enum finish_reason finish;
};

struct serving {
    struct model *m;
    struct session *s;
    uint64_t handles[MAX_REQ];
    struct fate fates[MAX_REQ];
    size_t n, step;
    int32_t prompt[2048];
};

static void open_serving(struct serving *v, const struct models *ms, size_t family, const struct session_options *opt)
{
    struct err err = ERR_INIT;
    *v = (struct serving){.m = open_model(ms, family, "auto", 2)};
    random_prompt("serving", model_info(v->m)->vocab_size, v->prompt, 2048);
    if (session_new(&v->s, v->m, opt, &err))
        fail_msg("%s", err.text);
}

static void close_serving(struct serving *v)
{
    session_free(v->s);
    model_free(v->m);
}

static size_t submit(struct serving *v, size_t n_prompt, size_t max_tokens)
{
    struct err err = ERR_INIT;
    const struct request r = {.id = "s", .prompt = v->prompt + v->n, .n_prompt = n_prompt, .max_tokens = max_tokens,
                              .sampling = greedy, .ignore_stop_ids = true};
    if (session_submit(v->s, &r, &v->handles[v->n], &err))
        fail_msg("%s", err.text);
    return v->n++;
}

static void step(struct serving *v)
{
    const struct event *e;
    size_t n;
    struct err err = ERR_INIT;
    struct memory_bytes mem;
    if (session_step(v->s, &e, &n, &err))
        fail_msg("%s", err.text);
    v->step++;
    for (size_t i = 0; i < n; i++) {
        size_t r = 0;
        while (v->handles[r] != e[i].handle)
            r++;
        struct fate *f = &v->fates[r];
        if (e[i].kind == EVENT_DONE) {
            f->n_done++;
            f->finish = e[i].finish;
            continue;
        }
        f->first_step = f->n_tokens++ ? f->first_step : v->step;
        f->last_step = v->step;
    }
    session_memory(v->s, &mem);
    assert_true(mem.kv_reserved <= mem.kv_limit && mem.kv_live <= mem.kv_promised && mem.kv_promised <= mem.kv_limit);
}

static void finish(struct serving *v)
{
    struct memory_bytes mem;
    while (!session_idle(v->s))
        step(v);
    for (size_t i = 0; i < v->n; i++)
        assert_int_equal(v->fates[i].n_done, 1);
    session_memory(v->s, &mem);
    assert_true(mem.kv_live == 0 && mem.kv_promised == 0);
}

static uint64_t row_b(const struct model *m) // of a page's 32 positions in every layer
{
    const struct model_info *i = model_info(m);
    return (uint64_t)PAGE_TOK * i->n_layers * i->n_kv_heads * i->head_dim * 4;
}

/* Three pages of 32 tokens each may be held: 1 + 1 fit together, 2 + 1 too, 2 + 2 do not. */
static void waits_for_memory(void **state)
{
    struct serving v;
    struct model *m = open_model(*state, 1, "auto", 1);
    const struct session_options opt = {.n_parallel = 4, .context_tok = 96, .kv_limit_b = 3 * row_b(m) + 100};
    model_free(m);
    open_serving(&v, *state, 1, &opt);
    size_t a = submit(&v, 30, 20);  // 49 positions: 2
    size_t b = submit(&v, 40, 10);  // 49: 2, waits for a
    size_t c = submit(&v, 3, 5);    // 7: 1 would fit beside a, and waits behind b
    size_t d = submit(&v, 20, 13);  // 32: 1, waits for a or b
    size_t e = submit(&v, 90, 6);   // 95: 3, waits for all
    size_t f = submit(&v, 1, 1);
    finish(&v);
    assert_int_equal(v.fates[a].first_step, 1);
    assert_int_equal(v.fates[a].last_step, 20);
    assert_int_equal(v.fates[b].first_step, 21); // the step after a has ended
    assert_int_equal(v.fates[c].first_step, 21);
    assert_int_equal(v.fates[d].first_step, v.fates[c].last_step + 1);
    assert_int_equal(v.fates[e].first_step, v.fates[d].last_step + 1);
    assert_int_equal(v.fates[f].first_step, v.fates[e].last_step + 1);
    for (size_t i = 0; i < v.n; i++)
        assert_int_equal(v.fates[i].finish, FINISH_LENGTH);
    close_serving(&v);
}

static void refuses_what_never_fits(void **state)
{
    struct serving v;
    struct err err = ERR_INIT;
    uint64_t h;
    struct model *m = open_model(*state, 2, "auto", 1);
    struct session_options opt = {.n_parallel = 1, .context_tok = 256, .kv_limit_b = 2 * row_b(m)};
    char found[32];
    (void)snprintf(found, sizeof found, "found %zu", (size_t)(3 * row_b(m)));
    model_free(m);
    open_serving(&v, *state, 2, &opt);
    struct request r = {.id = "big", .prompt = v.prompt, .n_prompt = 60, .max_tokens = 5, .sampling = greedy};
    assert_int_equal(session_submit(v.s, &r, &h, &err), OK); // 64 positions: the last token is not fed
    r.max_tokens = 6;
    assert_int_equal(session_check(v.s, &r, &err), ERR_MEMORY);
    assert_int_equal(session_submit(v.s, &r, &h, &err), ERR_MEMORY);
    assert_true(strstr(err.text, "'big'") && strstr(err.text, "the limit") && strstr(err.text, found) &&
                strstr(err.text, "66 tokens"));
    r = (struct request){.id = "s", .prompt = v.prompt, .n_prompt = 60, .score = v.prompt, .n_score = 6, .sampling = greedy};
    assert_int_equal(session_submit(v.s, &r, &h, &err), ERR_MEMORY);
    r.n_score = 5;
    assert_int_equal(session_submit(v.s, &r, &h, &err), OK);
    close_serving(&v);
    opt.kv_limit_b = 1; // not a page
    open_serving(&v, *state, 2, &opt);
    r = (struct request){.id = "s", .prompt = v.prompt, .n_prompt = 1, .sampling = greedy};
    assert_int_equal(session_submit(v.s, &r, &h, &err), ERR_MEMORY);
    close_serving(&v);
}

/* A sequence that decodes has a token in every step, whatever prompts come; they take no more than a chunk
 * together, and come in the order of their submission though slots were freed in another. */
static void prompts_do_not_starve_decoding(void **state)
{
    for (size_t family = 0; family < N_FAMILIES; family++) {
        struct serving v;
        struct session_counters before, after;
        const struct session_options opt = {.n_parallel = 4, .context_tok = 700, .prefill_chunk = 40};
        open_serving(&v, *state, family, &opt);
        size_t gone = submit(&v, 2, 2); // frees slot 0 while the others run
        size_t decoding = submit(&v, 2, 60);
        size_t first = submit(&v, 420, 2);
        size_t second = submit(&v, 300, 3);
        size_t third = submit(&v, 500, 1); // in slot 0, before `first` in memory, behind it in order
        while (v.fates[decoding].n_done == 0) {
            session_counters(v.s, &before);
            bool decodes = v.fates[decoding].n_tokens > 0;
            step(&v);
            session_counters(v.s, &after);
            if (decodes)
                assert_true(after.prefill_tok - before.prefill_tok <= 40);
        }
        assert_int_equal(v.fates[decoding].n_tokens, 60);
        assert_int_equal(v.fates[decoding].last_step - v.fates[decoding].first_step, 59); // not one step without
        assert_int_equal(v.fates[gone].last_step, 2);
        finish(&v);
        assert_true(v.fates[first].first_step < v.fates[second].first_step);
        assert_true(v.fates[second].first_step < v.fates[third].first_step);
        session_counters(v.s, &after);
        assert_int_equal(after.prefill_tok, 2 + 2 + 420 + 300 + 500);
        assert_int_equal(after.decode_tok, 1 + 59 + 1 + 2);
        close_serving(&v);
    }
}

/* With no chunk given, prompts take what a step holds while nobody waits, and less beside decoding. */
static void default_chunks(void **state)
{
    struct serving v;
    const struct session_options opt = {.n_parallel = 2, .context_tok = 2000};
    open_serving(&v, *state, 2, &opt);
    size_t alone = submit(&v, 1900, 8);
    step(&v);
    assert_int_equal(v.fates[alone].n_tokens, 1);
    size_t beside = submit(&v, 1100, 1);
    finish(&v);
    assert_int_equal(v.fates[beside].first_step, 1 + 3); // 512, 512, 76
    close_serving(&v);
}

/* Waiting for a slot, waiting for memory, in its prompt, decoding: cancelled is gone, with its pages. */
static void cancels_at_every_stage(void **state)
{
    for (size_t family = 0; family < N_FAMILIES; family++) {
        struct serving v;
        struct memory_bytes mem;
        struct model *m = open_model(*state, family, "auto", 1);
        const struct session_options opt = {.n_parallel = 3, .context_tok = 256, .prefill_chunk = 16, .kv_limit_b = 12 * row_b(m)};
        model_free(m);
        open_serving(&v, *state, family, &opt);
        size_t decoding = submit(&v, 3, 100);
        size_t prefill = submit(&v, 120, 20);
        size_t memory = submit(&v, 200, 50); // does not fit beside both
        size_t slot[6];
        for (size_t i = 0; i < 6; i++)
            slot[i] = submit(&v, 2, 3);
        for (size_t i = 0; i < 3; i++)
            step(&v);
        assert_true(v.fates[decoding].n_tokens >= 2 && v.fates[prefill].n_tokens == 0);
        for (size_t i = 0; i < 6; i++)
            if (i != 4)
                session_cancel(v.s, v.handles[slot[i]]);
        session_cancel(v.s, v.handles[slot[0]]); // twice is once
        session_cancel(v.s, v.handles[decoding]);
        session_cancel(v.s, v.handles[prefill]);
        session_cancel(v.s, 0); // nobody
        step(&v);
        assert_true(v.fates[decoding].n_done == 1 && v.fates[prefill].n_done == 1);
        assert_true(v.fates[slot[0]].n_done == 1 && v.fates[slot[2]].n_done == 1); // three a step
        assert_int_equal(v.fates[slot[3]].n_done, 0);
        session_cancel(v.s, v.handles[memory]); // now in its prompt
        step(&v);
        session_memory(v.s, &mem);
        assert_int_equal(v.fates[slot[5]].n_done, 1);
        assert_int_equal(mem.kv_live, row_b(v.m)); // slot[4] alone
        finish(&v);
        for (size_t i = 0; i < v.n; i++)
            assert_int_equal(v.fates[i].finish, i == slot[4] ? FINISH_LENGTH : FINISH_CANCELLED);
        assert_int_equal(v.fates[slot[4]].n_tokens, 3);
        size_t last = submit(&v, 2, 2); // the end of the queue is still in its place
        finish(&v);
        assert_int_equal(v.fates[last].n_tokens, 2);
        close_serving(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_for_memory), cmocka_unit_test(refuses_what_never_fits),
        cmocka_unit_test(prompts_do_not_starve_decoding), cmocka_unit_test(default_chunks),
        cmocka_unit_test(cancels_at_every_stage),
    };
    return cmocka_run_group_tests(tests, small_models_setup, models_teardown);
}
