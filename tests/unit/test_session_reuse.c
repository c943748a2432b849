#include "run_support.h"

#include "base/mem.h"

/* Prefix reuse: where it starts, what it counts, what it gives up; and the promise that it changes no bit,
 * whatever joins, leaves, is cancelled or waits: random schedules against each request run alone.
 * ASSAY_SCHEDULES=N runs N of them a family (default 8). */

static const struct sampling greedy = {.temperature = 0, .top_p = 1};

enum { BLOCK = 256, STEM = 700, N_STEMS = 2 };

static struct session *new_session(struct model *m, const struct session_options *opt)
{
    struct session *s = NULL;
    struct err err = ERR_INIT;
    if (session_new(&s, m, opt, &err))
        fail_msg("%s", err.text);
    return s;
}

static uint64_t submit(struct session *s, const struct request *r)
{
    struct err err = ERR_INIT;
    uint64_t handle;
    if (session_submit(s, r, &handle, &err))
        fail_msg("%s", err.text);
    return handle;
}

/* Run what waits to the end; n_reused by order of submission from handle `first`. */
static void run_out(struct session *s, uint64_t first, size_t *n_reused)
{
    const struct event *e;
    size_t n;
    struct err err = ERR_INIT;
    while (!session_idle(s)) {
        if (session_step(s, &e, &n, &err))
            fail_msg("%s", err.text);
        for (size_t i = 0; i < n; i++)
            if (e[i].kind == EVENT_DONE) {
                assert_int_equal(e[i].status, OK);
                n_reused[e[i].handle - first] = e[i].n_reused;
            }
    }
}

static size_t reused_by(struct session *s, const struct request *r)
{
    size_t n = 0;
    run_out(s, submit(s, r), &n);
    return n;
}

/* Where reuse starts: at multiples of 256 and at ends; never past the first position whose logits are wanted. */
static void starts_where_it_may(void **state)
{
    for (size_t family = 0; family < N_FAMILIES; family++) {
        struct model *m = open_model(*state, family, "auto", 2);
        struct session_counters c;
        struct outcome *o = calloc(1, sizeof *o);
        assert_non_null(o);
        int32_t text[STEM], other[BLOCK + 1];
        random_prompt("stem", model_info(m)->vocab_size, text, STEM);
        random_prompt("other", model_info(m)->vocab_size, other, BLOCK + 1);
        struct request r = {.id = "r", .prompt = text, .n_prompt = 600, .max_tokens = 20, .sampling = greedy,
                            .ignore_stop_ids = true};
        struct session_options opt = {.n_parallel = 1, .context_tok = 2 * STEM};
        run_all(m, &opt, &r, 1, o, &c, NULL, NULL); // how it goes on after 600
        assert_int_equal(c.reused_tok, 0);          // off unless asked for
        opt.prefix_reuse = true;
        opt.kv_limit_b = 1 << 28;
        struct session *s = new_session(m, &opt);
        assert_int_equal(reused_by(s, &r), 0);
        assert_int_equal(reused_by(s, &r), 512);
        r.n_prompt = 512; // the last position must be computed for its logits
        assert_int_equal(reused_by(s, &r), 256);
        r.n_prompt = 513;
        assert_int_equal(reused_by(s, &r), 512);
        memcpy(text + 600, o->ids, 20 * sizeof *text); // the next turn begins with the answer, whose last token was not fed
        r.n_prompt = 640;
        r.max_tokens = 1;
        assert_int_equal(reused_by(s, &r), 619);
        r.n_prompt = 619;
        assert_int_equal(reused_by(s, &r), 512);
        r.n_prompt = 700;
        r.max_tokens = 0;
        assert_int_equal(reused_by(s, &r), 640); // the end of the turn before
        text[639] ^= 1;
        assert_int_equal(reused_by(s, &r), 619); // another token: an earlier end
        text[10] ^= 1;
        assert_int_equal(reused_by(s, &r), 0);
        text[10] ^= 1;
        r.all_positions = true;
        assert_int_equal(reused_by(s, &r), 0);
        r.all_positions = false;
        r.n_prompt = 300;
        r.score = text + 300;
        r.n_score = 300;
        assert_int_equal(reused_by(s, &r), 256); // logits are wanted from 299 on
        r.n_prompt = 256;
        assert_int_equal(reused_by(s, &r), 0);
        r.n_prompt = 257;
        assert_int_equal(reused_by(s, &r), 256);
        r = (struct request){.id = "r", .prompt = other, .n_prompt = BLOCK + 1, .max_tokens = 1, .sampling = greedy};
        assert_int_equal(reused_by(s, &r), 0);
        session_counters(s, &c);
        assert_int_equal(c.reused_tok, 512 + 256 + 512 + 619 + 512 + 640 + 619 + 256 + 256);
        session_free(s);
        free(o);
        model_free(m);
    }
}

/* Experts chosen by hand make other K and V of the same tokens: nothing of it is kept, nothing is taken. */
static void forced_experts_stay_apart(void **state)
{
    struct model *m = open_model(*state, 0, "auto", 1);
    const struct model_info *info = model_info(m);
    enum { N = BLOCK + 10 };
    uint16_t *forced = calloc(info->n_layers * N * info->n_experts_used, sizeof *forced);
    assert_non_null(forced);
    for (size_t i = 0; i < info->n_layers * N; i++)
        for (size_t j = 0; j < info->n_experts_used; j++)
            forced[i * info->n_experts_used + j] = (uint16_t)j;
    int32_t prompt[N];
    random_prompt("forced", info->vocab_size, prompt, N);
    struct request r = {.id = "f", .prompt = prompt, .n_prompt = N, .max_tokens = 1, .sampling = greedy, .forced_experts = forced};
    const struct session_options opt = {.n_parallel = 1, .context_tok = 512, .prefix_reuse = true};
    struct session *s = new_session(m, &opt);
    assert_int_equal(reused_by(s, &r), 0);
    r.forced_experts = NULL;
    assert_int_equal(reused_by(s, &r), 0);
    assert_int_equal(reused_by(s, &r), BLOCK);
    r.forced_experts = forced;
    assert_int_equal(reused_by(s, &r), 0);
    session_free(s);
    free(forced);
    model_free(m);
}

/* A prompt that waits for its turn beside decoding takes over what another with the same beginning computed. */
static void waiting_prompts_catch_up(void **state)
{
    struct model *m = open_model(*state, 0, "auto", 2);
    int32_t text[STEM];
    random_prompt("stem", model_info(m)->vocab_size, text, STEM);
    const struct session_options opt = {.n_parallel = 3, .context_tok = 800, .prefill_chunk = 64, .prefix_reuse = true};
    struct request r[3] = {{.id = "a", .prompt = text + 1, .n_prompt = 2, .max_tokens = 60, .sampling = greedy, .ignore_stop_ids = true},
                           {.id = "b", .prompt = text, .n_prompt = 600, .max_tokens = 3, .sampling = greedy},
                           {.id = "c", .prompt = text, .n_prompt = 690, .max_tokens = 3, .sampling = greedy}};
    struct session *s = new_session(m, &opt);
    size_t n_reused[3];
    const struct event *e;
    size_t n;
    uint64_t first = submit(s, &r[0]);
    assert_int_equal(session_step(s, &e, &n, NULL), OK); // decodes from here on
    (void)submit(s, &r[1]);
    (void)submit(s, &r[2]);
    run_out(s, first, n_reused);
    assert_int_equal(n_reused[1], 0);
    assert_int_equal(n_reused[2], 512);
    session_free(s);
    model_free(m);
}

/* Within the limit what was used last stays; the rest makes way and no request waits for it. */
static void least_recently_used_goes_first(void **state)
{
    for (size_t family = 0; family < N_FAMILIES; family++) {
        struct model *m = open_model(*state, family, "auto", 2);
        const struct model_info *info = model_info(m);
        struct memory_bytes mem;
        uint64_t row_b = 32 * info->n_layers * info->n_kv_heads * info->head_dim * 4; // of a page in every layer
        // room for three stretches of 8 pages, and one that runs
        const struct session_options opt = {.n_parallel = 1, .context_tok = 264, .prefix_reuse = true, .kv_limit_b = 33 * row_b};
        struct session *s = new_session(m, &opt);
        int32_t text[4][BLOCK + 1];
        struct request r[4];
        for (size_t i = 0; i < 4; i++) {
            char name[8];
            (void)snprintf(name, sizeof name, "lru %zu", i);
            random_prompt(name, info->vocab_size, text[i], BLOCK + 1);
            r[i] = (struct request){.id = "lru", .prompt = text[i], .n_prompt = BLOCK + 1, .sampling = greedy};
        }
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(reused_by(s, &r[i]), 0);
        assert_int_equal(reused_by(s, &r[0]), BLOCK); // now newer than 1
        session_memory(s, &mem);
        assert_true(mem.kv_live == mem.kv_saved && mem.kv_saved > 0 && mem.kv_reserved <= mem.kv_limit);
        bool window = info->window > 0; // its states are small: a fourth fits
        assert_int_equal(reused_by(s, &r[3]), 0);
        assert_int_equal(reused_by(s, &r[0]), BLOCK);
        assert_int_equal(reused_by(s, &r[3]), BLOCK);
        assert_int_equal(reused_by(s, &r[1]), window ? BLOCK : 0);
        session_memory(s, &mem);
        assert_true(mem.kv_live == mem.kv_saved && mem.kv_reserved <= mem.kv_limit);
        session_free(s);
        model_free(m);
    }
}

/* An allocation on the way fails: a status. One that would only have kept a prefix: the same answer. */
static void survives_want_of_memory(void **state)
{
    struct model *m = open_model(*state, 0, "auto", 1);
    const struct model_info *info = model_info(m);
    struct err err = ERR_INIT;
    int32_t text[BLOCK + 30];
    const struct request r = {.id = "r", .prompt = text, .n_prompt = BLOCK + 30, .sampling = greedy};
    struct session_options opt = {.n_parallel = 1, .context_tok = 512, .prefix_reuse = true};
    random_prompt("memory", info->vocab_size, text, BLOCK + 30);
    enum status st = ERR_MEMORY;
    for (size_t i = 1; st; i += 1 + i / 20) {
        struct session *s = NULL;
        const struct event *e;
        size_t n;
        uint64_t h;
        mem_fail_after(i);
        st = session_new(&s, m, &opt, &err);
        for (size_t k = 0; k < 2 && !st; k++) {
            st = session_submit(s, &r, &h, &err);
            while (!st && !session_idle(s))
                st = session_step(s, &e, &n, &err);
        }
        mem_fail_after(0);
        assert_true(st == OK || st == ERR_MEMORY);
        session_free(s);
    }
    // all pages there are are in use, so a run allocates no more than key and job, and twice a node and its state
    opt.kv_limit_b = 9 * 32 * info->n_layers * info->n_kv_heads * info->head_dim * 4;
    struct session *s = new_session(m, &opt);
    for (size_t i = 1; i <= 7; i++) {
        uint64_t h;
        size_t n_reused;
        text[0] = (int32_t)i;
        assert_int_equal(reused_by(s, &r), 0);
        text[0] = (int32_t)(100 + i);
        mem_fail_after(i);
        st = session_submit(s, &r, &h, &err);
        if (!st)
            run_out(s, h, &n_reused);
        mem_fail_after(0);
        assert_int_equal(st, i <= 2 ? ERR_MEMORY : OK);
        assert_int_equal(reused_by(s, &r), i <= 4 ? 0 : BLOCK);
    }
    session_free(s);
    model_free(m);
}

/* ---- random schedules ---- */

enum { N_REQ = 12, MAX_PROMPT = STEM + 80, MAX_LIVE = 3 * N_REQ };

struct pool {
    struct model *m;
    int32_t stems[N_STEMS][STEM];
    int32_t prompt[N_REQ][MAX_PROMPT], score[N_REQ][32];
    char id[N_REQ][16];
    struct request r[N_REQ];
    struct outcome alone[N_REQ];
};

static size_t below(struct rng_key *k, uint64_t *draws, size_t n)
{
    return (size_t)rng_below(k, (*draws)++, n);
}

/* Requests that share beginnings of every length; the last third begin with another's prompt and answer. */
static void make_pool(struct pool *p, const struct models *ms, size_t family)
{
    struct rng_key k = rng_key(family, "pool");
    uint64_t draws = 0;
    const struct session_options opt = {.n_parallel = 1, .context_tok = 2 * STEM};
    p->m = open_model(ms, family, "auto", 2);
    size_t V = model_info(p->m)->vocab_size;
    random_prompt("stem 0", V, p->stems[0], STEM);
    random_prompt("stem 1", V, p->stems[1], STEM);
    memcpy(p->stems[1], p->stems[0], 300 * sizeof(int32_t)); // they part within a block
    for (size_t i = 0; i < N_REQ; i++) {
        struct request *r = &p->r[i];
        (void)snprintf(p->id[i], sizeof p->id[i], "q%zu", i);
        size_t n = 1 + below(&k, &draws, i % 4 == 3 ? 100 : STEM);
        if (i >= N_REQ * 2 / 3) {
            size_t j = i - N_REQ * 2 / 3;
            n = p->r[j].n_prompt + p->alone[j].n;
            memcpy(p->prompt[i], p->r[j].prompt, p->r[j].n_prompt * sizeof(int32_t));
            memcpy(p->prompt[i] + p->r[j].n_prompt, p->alone[j].ids, p->alone[j].n * sizeof(int32_t));
        } else {
            memcpy(p->prompt[i], p->stems[i % N_STEMS], n * sizeof(int32_t));
        }
        size_t own = below(&k, &draws, 30);
        random_prompt(p->id[i], V, p->prompt[i] + n, own);
        *r = (struct request){.id = p->id[i], .prompt = p->prompt[i], .n_prompt = n + own, .sampling = greedy,
                              .max_tokens = 1 + below(&k, &draws, 14), .ignore_stop_ids = true};
        if (i % 3 == 1)
            r->sampling = (struct sampling){.temperature = 0.9, .top_p = 0.9, .seed = i};
        if (i % 5 == 4) {
            random_prompt("continuation", V, p->score[i], 32);
            r->score = p->score[i];
            r->n_score = 1 + below(&k, &draws, 32);
        }
        r->all_positions = i == 3;
        run_all(p->m, &opt, r, 1, &p->alone[i], NULL, NULL, NULL);
    }
    model_free(p->m);
}

/* One request of a schedule. */
struct live {
    size_t request;
    uint64_t handle;
    bool done, cancelled;
    struct outcome o;
};

static void check_end(const struct pool *p, const struct live *l)
{
    const struct outcome *want = &p->alone[l->request];
    if (l->o.finish == FINISH_CANCELLED) {
        assert_true(l->cancelled);
        return;
    }
    if (strcmp(l->o.sha, want->sha) != 0)
        fail_msg("request %zu: other logits than alone", l->request);
    assert_int_equal(l->o.n, want->n);
    assert_memory_equal(l->o.ids, want->ids, want->n * sizeof(int32_t));
    assert_int_equal(l->o.finish, want->finish);
}

static void take(const struct pool *p, struct live *l, const struct event *e)
{
    uint8_t sha[DIGEST_B];
    assert_false(l->done);
    if (e->kind == EVENT_DONE) {
        l->done = true;
        l->o.finish = e->finish;
        assert_int_equal(digest_finish(l->o.d, sha, NULL), OK);
        digest_hex(sha, l->o.sha);
        digest_free(l->o.d);
        check_end(p, l);
        return;
    }
    assert_int_equal(digest_add(l->o.d, e->logits, model_info(p->m)->vocab_size * sizeof(float), NULL), OK);
    if (e->kind == EVENT_TOKEN)
        l->o.ids[l->o.n++] = e->token;
}

static uint64_t largest_need(const struct pool *p) // bytes of the longest, every layer keeping all
{
    size_t n = 0;
    const struct model_info *i = model_info(p->m);
    for (size_t k = 0; k < N_REQ; k++) {
        size_t more = p->r[k].n_score ? p->r[k].n_score : p->r[k].max_tokens;
        n = p->r[k].n_prompt + more > n ? p->r[k].n_prompt + more : n;
    }
    return (n + 31) / 32 * 32 * i->n_layers * i->n_kv_heads * i->head_dim * 4;
}

static size_t run_schedule(struct pool *p, const struct models *ms, size_t family, uint64_t seed)
{
    static const size_t parallels[] = {1, 2, 3, 5, 8};
    static const size_t chunks[] = {0, 5, 33, 64, 255, 256, 300};
    static const size_t limits[] = {0, 2, 3, 6, 20}; // halves of the longest request
    struct rng_key k = rng_key(seed, families[family]);
    uint64_t draws = 0;
    struct err err = ERR_INIT;
    struct live *live = calloc(MAX_LIVE, sizeof *live);
    assert_non_null(live);
    p->m = open_model(ms, family, "auto", 1 + below(&k, &draws, 3));
    const struct session_options opt = {.n_parallel = parallels[below(&k, &draws, 5)], .context_tok = STEM + 200,
                                        .prefill_chunk = chunks[below(&k, &draws, 7)],
                                        .kv_limit_b = limits[below(&k, &draws, 5)] * largest_need(p) / 2,
                                        .prefix_reuse = seed % 4 != 3};
    bool cancels = below(&k, &draws, 3) > 0;
    size_t n_sent = 0, n_ended = 0, n_fed = 0, n_all = N_REQ + below(&k, &draws, N_REQ);
    struct session *s = new_session(p->m, &opt);
    struct memory_bytes mem;
    struct session_counters c;
    while (n_sent < n_all || !session_idle(s)) {
        const struct event *e;
        size_t n;
        for (size_t more = below(&k, &draws, 4); more-- && n_sent < n_all; n_sent++) {
            struct live *l = &live[n_sent];
            l->request = below(&k, &draws, N_REQ);
            l->handle = submit(s, &p->r[l->request]);
            assert_int_equal(digest_new(&l->o.d, NULL), OK);
            n_fed += p->r[l->request].n_prompt + (p->r[l->request].n_score ? p->r[l->request].n_score - 1 : 0);
        }
        if (cancels && n_sent && below(&k, &draws, 8) == 0) {
            struct live *l = &live[below(&k, &draws, n_sent)];
            l->cancelled = true;
            session_cancel(s, l->handle);
        }
        if (session_step(s, &e, &n, &err))
            fail_msg("%s", err.text);
        for (size_t i = 0; i < n; i++) {
            take(p, &live[e[i].handle - live[0].handle], &e[i]);
            n_ended += e[i].kind == EVENT_DONE;
        }
        session_memory(s, &mem);
        assert_true(mem.kv_promised <= mem.kv_limit && mem.kv_reserved <= mem.kv_limit && mem.kv_live <= mem.kv_reserved &&
                    mem.kv_live <= mem.kv_promised + mem.kv_saved && mem.kv_used <= mem.kv_live);
    }
    assert_int_equal(n_ended, n_all);
    session_counters(s, &c);
    if (!cancels)
        assert_int_equal(c.prefill_tok + c.reused_tok, n_fed); // each token once: computed or at hand
    assert_true(opt.prefix_reuse || c.reused_tok == 0);
    assert_int_equal(mem.kv_live, mem.kv_saved);
    assert_int_equal(mem.kv_promised, 0);
    session_free(s);
    model_free(p->m);
    free(live);
    return c.reused_tok;
}

static void the_same_bits_whatever_happens(void **state)
{
    const char *count = getenv("ASSAY_SCHEDULES");
    size_t n = count ? (size_t)strtoul(count, NULL, 10) : 8;
    for (size_t family = 0; family < N_FAMILIES; family++) {
        struct pool *p = calloc(1, sizeof *p);
        assert_non_null(p);
        size_t reused = 0;
        make_pool(p, *state, family);
        for (size_t seed = 0; seed < n; seed++)
            reused += run_schedule(p, *state, family, seed);
        assert_true(reused > n * 100); // or nothing was tested
        free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_where_it_may),          cmocka_unit_test(forced_experts_stay_apart),
        cmocka_unit_test(waiting_prompts_catch_up),     cmocka_unit_test(least_recently_used_goes_first),
        cmocka_unit_test(survives_want_of_memory),      cmocka_unit_test(the_same_bits_whatever_happens),
    };
    return cmocka_run_group_tests(tests, small_models_setup, models_teardown);
}
