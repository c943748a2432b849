#include "run_support.h"

#include "base/mem.h"

/* What a session promises: the same bits whatever runs beside a request, and one clear end for each. */

static const struct sampling greedy = {.temperature = 0, .top_p = 1};

/* A mixed lot: greedy, sampled, scored, prompts shorter and longer than the window and the segments of
 * a step. */
enum { N_REQ = 9, LONG = 90 };

struct lot {
    int32_t prompt[N_REQ][LONG];
    int32_t score[N_REQ][LONG];
    char id[N_REQ][16];
    struct request r[N_REQ];
};

static void make_lot(struct lot *l, size_t V)
{
    static const size_t n_prompt[N_REQ] = {1, 17, 33, 90, 5, 64, 31, 2, 50};
    static const size_t n_score[N_REQ] = {0, 0, 0, 0, 7, 70, 0, 1, 0};
    for (size_t i = 0; i < N_REQ; i++) {
        (void)snprintf(l->id[i], sizeof l->id[i], "r%zu", i);
        random_prompt(l->id[i], V, l->prompt[i], n_prompt[i]);
        random_prompt("continuation", V, l->score[i], n_score[i]);
        l->r[i] = (struct request){.id = l->id[i],
                                   .prompt = l->prompt[i],
                                   .n_prompt = n_prompt[i],
                                   .score = l->score[i],
                                   .n_score = n_score[i],
                                   .max_tokens = 5 + 2 * i,
                                   .sampling = greedy,
                                   .ignore_stop_ids = i % 2 == 0,
                                   .all_positions = i == 6};
        if (i % 3 == 1)
            l->r[i].sampling = (struct sampling){.temperature = 0.9, .top_p = 0.9, .top_k = 50, .seed = 5};
    }
}

static void same_bits_however_it_runs(void **state)
{
    static const struct session_options ways[] = {
        {.n_parallel = 1, .context_tok = 256, .prefill_chunk = 0}, {.n_parallel = 1, .context_tok = 256, .prefill_chunk = 7},
        {.n_parallel = 3, .context_tok = 256, .prefill_chunk = 1}, {.n_parallel = 8, .context_tok = 200, .prefill_chunk = 64},
        {.n_parallel = 9, .context_tok = 512, .prefill_chunk = 0},
    };
    for (size_t f = 0; f < N_FAMILIES; f++) {
        struct outcome *want = calloc(N_REQ, sizeof *want);
        struct outcome *got = calloc(N_REQ, sizeof *got);
        struct lot *l = calloc(1, sizeof *l);
        assert_true(want && got && l);
        for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
            struct model *m = open_model(*state, f, "auto", 1 + w % 3);
            make_lot(l, model_info(m)->vocab_size);
            run_all(m, &ways[w], l->r, N_REQ, w ? got : want, NULL, NULL, NULL);
            for (size_t i = 0; i < N_REQ && w; i++) {
                if (strcmp(got[i].sha, want[i].sha) != 0)
                    fail_msg("%s, way %zu, request %zu: other logits", families[f], w, i);
                assert_int_equal(got[i].n, want[i].n);
                assert_memory_equal(got[i].ids, want[i].ids, want[i].n * sizeof(int32_t));
                assert_true(got[i].logprob == want[i].logprob || want[i].logprob != want[i].logprob);
                assert_int_equal(got[i].finish, want[i].finish);
            }
            model_free(m);
        }
        for (size_t i = 0; i < N_REQ; i++)
            for (size_t j = 0; j < i; j++)
                assert_string_not_equal(want[i].sha, want[j].sha); // a digest that never changes proves nothing
        assert_int_equal(want[6].n_logits, 30 + want[6].n); // every position of the prompt and of the answer
        free(want);
        free(got);
        free(l);
    }
}

/* Scoring what greedy generation produced: the same rows, each token the argmax. */
static void scoring_agrees_with_generating(void **state)
{
    for (size_t f = 0; f < N_FAMILIES; f++) {
        struct model *m = open_model(*state, f, "auto", 2);
        struct outcome *o = calloc(2, sizeof *o);
        assert_non_null(o);
        int32_t prompt[40];
        random_prompt("score", model_info(m)->vocab_size, prompt, 40);
        struct request r = {.id = "a", .prompt = prompt, .n_prompt = 40, .max_tokens = 20, .sampling = greedy,
                            .ignore_stop_ids = true, .want_logprob = true};
        const struct session_options opt = {.n_parallel = 1, .context_tok = 64};
        run_all(m, &opt, &r, 1, &o[0], NULL, NULL, NULL);
        assert_int_equal(o[0].finish, FINISH_LENGTH);
        r.score = o[0].ids;
        r.n_score = 20;
        r.max_tokens = 0;
        run_all(m, &opt, &r, 1, &o[1], NULL, NULL, NULL);
        assert_int_equal(o[1].finish, FINISH_SCORED);
        assert_string_equal(o[0].sha, o[1].sha);
        assert_true(o[0].logprob == o[1].logprob && o[0].logprob < 0);
        // generation skips ids without text, scoring does not: greedy there need not be the argmax
        free(o);
        model_free(m);
    }
}

static void weights_are_read_once_a_step(void **state)
{
    struct outcome *o = calloc(8, sizeof *o);
    assert_non_null(o);
    for (size_t f = 1; f < N_FAMILIES; f++) { // dense families
        struct model *m = open_model(*state, f, "auto", 2);
        int32_t prompt[64];
        struct request r[8];
        struct session_counters one;
        struct session_counters eight;
        struct session_counters chunk;
        random_prompt("bytes", model_info(m)->vocab_size, prompt, 64);
        for (size_t i = 0; i < 8; i++)
            r[i] = (struct request){.id = "", .prompt = prompt, .n_prompt = 1 + i, .max_tokens = 12, .sampling = greedy,
                                    .ignore_stop_ids = true};
        const struct session_options opt1 = {.n_parallel = 1, .context_tok = 128};
        const struct session_options opt8 = {.n_parallel = 8, .context_tok = 128};
        run_all(m, &opt1, r, 1, o, &one, NULL, NULL);
        run_all(m, &opt8, r, 8, o, &eight, NULL, NULL);
        assert_int_equal(one.steps, 12);
        assert_int_equal(eight.steps, 12);
        assert_int_equal(eight.rows, 8 * 11 + 36);
        assert_true(one.weight_bytes_read > 0);
        assert_true(2 * eight.weight_bytes_read < 3 * one.weight_bytes_read);
        // a chunk of 64 reads each matrix once: as much as a prompt of one token, and 63 rows of the embedding
        r[0].n_prompt = 64;
        r[0].max_tokens = 1;
        run_all(m, &opt1, r, 1, o, &chunk, NULL, NULL);
        assert_int_equal(chunk.steps, 1);
        r[0].n_prompt = 1;
        run_all(m, &opt1, r, 1, o, &one, NULL, NULL);
        assert_int_equal(chunk.weight_bytes_read - one.weight_bytes_read, 63 * model_info(m)->d_model * 2);
        model_free(m);
    }
    free(o);
}

/* The router picks k experts for each row and layer, and an expert that was not picked is never read. */
static void only_chosen_experts_matter(void **state)
{
    struct model *m = open_model(*state, 0, "auto", 1);
    const struct model_info *info = model_info(m);
    size_t n = info->n_layers * info->n_experts;
    uint64_t *hits = calloc(n, sizeof *hits);
    bool *keep = calloc(n, sizeof *keep);
    struct outcome *o = calloc(3, sizeof *o);
    assert_true(hits && keep && o);
    int32_t prompt[2];
    random_prompt("experts", info->vocab_size, prompt, 2);
    struct request r = {.id = "e", .prompt = prompt, .n_prompt = 1, .max_tokens = 1, .sampling = greedy};
    const struct session_options opt = {.n_parallel = 1, .context_tok = 16};
    struct session_counters c;
    run_all(m, &opt, &r, 1, &o[0], &c, hits, NULL);
    assert_int_equal(c.expert_rows, info->n_layers); // one row
    size_t spared = 0;
    for (size_t l = 0; l < info->n_layers; l++) {
        uint64_t sum = 0;
        for (size_t e = 0; e < info->n_experts; e++) {
            uint64_t h = hits[l * info->n_experts + e];
            assert_true(h <= 1); // k different experts
            sum += h;
            keep[l * info->n_experts + e] = h > 0;
            spared += h == 0;
        }
        assert_int_equal(sum, info->n_experts_used);
    }
    assert_true(spared >= info->n_layers);
    model_poison_experts(m, keep);
    run_all(m, &opt, &r, 1, &o[1], NULL, NULL, NULL);
    assert_string_equal(o[0].sha, o[1].sha);
    // and the poison is real: a chosen expert with NaN scales ends the request, not the session
    memset(keep, 0, n * sizeof *keep);
    model_poison_experts(m, keep);
    run_all(m, &opt, &r, 1, &o[2], NULL, NULL, NULL);
    assert_int_equal(o[2].finish, FINISH_ERROR);
    assert_int_equal(o[2].status, ERR_NUMERIC);
    assert_non_null(strstr(o[2].message, "layer 0"));
    free(hits);
    free(keep);
    free(o);
    model_free(m);
}

static void forced_experts_change_the_result(void **state)
{
    struct model *m = open_model(*state, 0, "auto", 1);
    const struct model_info *info = model_info(m);
    size_t k = info->n_experts_used;
    enum { N = 6 };
    uint16_t *forced = calloc(info->n_layers * N * k, sizeof *forced);
    uint64_t *hits = calloc(info->n_layers * info->n_experts, sizeof *hits);
    struct outcome *o = calloc(3, sizeof *o);
    assert_true(forced && hits && o);
    for (size_t i = 0; i < info->n_layers * N; i++)
        for (size_t j = 0; j < k; j++)
            forced[i * k + j] = (uint16_t)(j + 1); // never expert 0
    int32_t prompt[N];
    random_prompt("forced", info->vocab_size, prompt, N);
    struct request r = {.id = "f", .prompt = prompt, .n_prompt = N, .max_tokens = 1, .sampling = greedy};
    struct session_options opt = {.n_parallel = 1, .context_tok = 16};
    struct session_counters c;
    run_all(m, &opt, &r, 1, &o[0], NULL, NULL, NULL);
    r.forced_experts = forced;
    run_all(m, &opt, &r, 1, &o[1], &c, hits, NULL);
    assert_string_not_equal(o[0].sha, o[1].sha);
    for (size_t l = 0; l < info->n_layers; l++) {
        assert_int_equal(hits[l * info->n_experts], 0);
        assert_int_equal(hits[l * info->n_experts + 1], N);
    }
    opt.prefill_chunk = 4; // rows move between steps, the forced choice moves with them
    run_all(m, &opt, &r, 1, &o[2], NULL, NULL, NULL);
    assert_string_equal(o[1].sha, o[2].sha);
    free(forced);
    free(hits);
    free(o);
    model_free(m);
}

static void stops(void **state)
{
    struct model *m = open_model(*state, 1, "auto", 1);
    const struct model_info *info = model_info(m);
    struct outcome *o = calloc(2, sizeof *o);
    assert_non_null(o);
    int32_t prompt[8];
    random_prompt("stops", info->vocab_size, prompt, 8);
    struct request r = {.id = "s", .prompt = prompt, .n_prompt = 8, .max_tokens = 40, .sampling = greedy,
                        .ignore_stop_ids = true};
    const struct session_options opt = {.n_parallel = 1, .context_tok = 64};
    run_all(m, &opt, &r, 1, &o[0], NULL, NULL, NULL);
    assert_int_equal(o[0].n, 40);
    // a text of the answer that spans two tokens or more stops it there
    struct buf text = BUF_INIT;
    const struct tokenizer *t = model_tokenizer(m);
    size_t at[41] = {0};
    for (size_t i = 0; i < 40; i++) {
        assert_int_equal(tokenizer_decode(t, &o[0].ids[i], 1, true, &text, NULL), OK);
        at[i + 1] = text.n;
    }
    assert_true(text.n >= 12);
    char stop[6] = {0};
    memcpy(stop, text.data + text.n / 2, 5);
    size_t first = 0; // where it occurs first, and the token that completes it
    while (memcmp(text.data + first, stop, 5) != 0)
        first++;
    size_t completes = 0;
    while (at[completes] < first + 5)
        completes++;
    const char *const texts[] = {"\x01 never \x02", stop};
    if (strlen(stop) == 5) {
        r.stop_texts = texts;
        r.n_stop_texts = 2;
        run_all(m, &opt, &r, 1, &o[1], NULL, NULL, NULL);
        assert_int_equal(o[1].finish, FINISH_STOP);
        assert_int_equal(o[1].n, completes);
        assert_memory_equal(o[1].ids, o[0].ids, completes * sizeof(int32_t));
    }
    buf_release(&text);
    free(o);
    model_free(m);
}

static void refuses_what_cannot_run(void **state)
{
    struct model *m = open_model(*state, 0, "auto", 1);
    struct session *s;
    struct err err = ERR_INIT;
    struct session_options opt = {.n_parallel = 1, .context_tok = model_info(m)->max_context_tok + 1};
    assert_int_equal(session_new(&s, m, &opt, &err), ERR_CONTEXT);
    opt = (struct session_options){.n_parallel = 0, .context_tok = 8};
    assert_int_equal(session_new(&s, m, &opt, &err), ERR_USAGE);
    opt.n_parallel = 1;
    assert_int_equal(session_new(&s, m, &opt, &err), OK);
    int32_t prompt[4] = {1, 2, 3, 4};
    const struct request good = {.id = "x", .prompt = prompt, .n_prompt = 4, .max_tokens = 4, .sampling = greedy};
    static const struct sampling bad_sampling[] = {{.temperature = -1, .top_p = 1}, {.temperature = 1, .top_p = 0},
                                                   {.temperature = 1, .top_p = 1.5}, {.temperature = 1, .top_p = 1, .min_p = 2}};
    const char *const empty[] = {""};
    struct request r;
    uint64_t h;
    for (size_t i = 0; i < 4; i++) {
        r = good;
        r.sampling = bad_sampling[i];
        assert_int_equal(session_submit(s, &r, &h, &err), ERR_USAGE);
    }
    r = good, r.n_prompt = 0;
    assert_int_equal(session_submit(s, &r, &h, &err), ERR_USAGE);
    r = good, r.id = NULL;
    assert_int_equal(session_submit(s, &r, &h, &err), ERR_USAGE);
    r = good, r.stop_texts = empty, r.n_stop_texts = 1;
    assert_int_equal(session_submit(s, &r, &h, &err), ERR_USAGE);
    r = good, r.max_tokens = 5;
    assert_int_equal(session_submit(s, &r, &h, &err), ERR_CONTEXT);
    r = good, r.max_tokens = SIZE_MAX;
    assert_int_equal(session_submit(s, &r, &h, &err), ERR_CONTEXT);
    r = good, r.score = prompt, r.n_score = 4;
    assert_int_equal(session_submit(s, &r, &h, &err), OK);
    prompt[2] = (int32_t)model_info(m)->vocab_size;
    assert_int_equal(session_submit(s, &good, &h, &err), ERR_RANGE);
    prompt[2] = -1;
    assert_int_equal(session_submit(s, &good, &h, &err), ERR_RANGE);
    assert_false(session_idle(s));
    session_free(s); // with a request still queued
    model_free(m);
}

static void cancels(void **state)
{
    struct model *m = open_model(*state, 2, "auto", 1);
    struct session *s;
    struct err err = ERR_INIT;
    const struct session_options opt = {.n_parallel = 2, .context_tok = 64};
    const int32_t prompt[4] = {1, 2, 3, 4};
    const struct request r = {.id = "x", .prompt = prompt, .n_prompt = 4, .max_tokens = 30, .sampling = greedy,
                              .ignore_stop_ids = true};
    uint64_t h[4];
    assert_int_equal(session_new(&s, m, &opt, &err), OK);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(session_submit(s, &r, &h[i], &err), OK);
    const struct event *e;
    size_t n;
    size_t done[4] = {0};
    size_t cancelled = 0;
    session_cancel(s, h[2]); // waiting
    for (size_t step = 0; !session_idle(s); step++) {
        assert_int_equal(session_step(s, &e, &n, &err), OK);
        for (size_t i = 0; i < n; i++) {
            if (e[i].kind != EVENT_DONE)
                continue;
            done[e[i].handle - h[0]]++;
            cancelled += e[i].finish == FINISH_CANCELLED;
        }
        if (step == 5)
            session_cancel(s, h[0]); // running
    }
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(done[i], 1);
    assert_int_equal(cancelled, 2);
    struct memory_bytes mem;
    session_memory(s, &mem);
    assert_int_equal(mem.kv_live, 0); // every page came back
    assert_true(mem.weights > 0 && mem.act_peak > 0 && mem.total >= mem.weights && mem.peak >= mem.total);
    session_free(s);
    model_free(m);
}

/* Every allocation on the way may fail, and each failure is a status. */
static void survives_want_of_memory(void **state)
{
    const struct models *ms = *state;
    struct err err = ERR_INIT;
    char path[256];
    model_path(ms, 0, path);
    const struct model_options opt = {.isa = "scalar", .n_threads = 1};
    struct model *m = NULL;
    enum status st = ERR_MEMORY;
    size_t step = 1;
    for (size_t i = 1; st; i += step, step += i > 200) {
        mem_fail_after(i);
        st = model_open(&m, path, &opt, &err);
        mem_fail_after(0);
        if (st)
            assert_int_equal(st, ERR_MEMORY);
    }
    const struct session_options so = {.n_parallel = 2, .context_tok = 32};
    const int32_t prompt[4] = {1, 2, 3, 4};
    const struct request r = {.id = "x", .prompt = prompt, .n_prompt = 4, .max_tokens = 4, .sampling = greedy};
    bool finished = false;
    for (size_t i = 1; !finished; i++) {
        struct session *s = NULL;
        uint64_t h;
        const struct event *e;
        size_t n;
        mem_fail_after(i);
        st = session_new(&s, m, &so, &err);
        if (!st)
            st = session_submit(s, &r, &h, &err);
        while (!st && !session_idle(s))
            st = session_step(s, &e, &n, &err);
        mem_fail_after(0);
        finished = !st;
        if (st)
            assert_int_equal(st, ERR_MEMORY);
        session_free(s);
    }
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_however_it_runs),     cmocka_unit_test(scoring_agrees_with_generating),
        cmocka_unit_test(weights_are_read_once_a_step),  cmocka_unit_test(only_chosen_experts_matter),
        cmocka_unit_test(forced_experts_change_the_result), cmocka_unit_test(stops),
        cmocka_unit_test(refuses_what_cannot_run),       cmocka_unit_test(cancels),
        cmocka_unit_test(survives_want_of_memory),
    };
    return cmocka_run_group_tests(tests, models_setup, models_teardown);
}
