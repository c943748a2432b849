#include "run_support.h"

/* Experts over a whole run: several sequences, prefill in chunks and decoding. Twenty experts and few rows,
 * so that some are never chosen. (test_run_session.c looks at a single row.) */

enum { N_SEQ = 3, N_IN = 2, N_OUT = 3 };

struct sparse {
    struct models *models;
    struct model *m;
    int32_t prompt[N_SEQ][N_IN];
    char id[N_SEQ][4];
    struct request r[N_SEQ];
    struct outcome o[N_SEQ];
    uint64_t *hits;
    bool *keep;
    size_t n; /* layers x experts */
};

static void open_sparse(struct sparse *s)
{
    char path[256];
    bool changed;
    struct synth_shape shape;
    struct err err = ERR_INIT;
    (void)snprintf(path, sizeof path, "%s/sparse", s->models->dir);
    if (synth_preset(&shape, "gptoss-tiny", &err))
        fail_msg("%s", err.text);
    shape.n_experts = 20;
    shape.n_experts_used = 2;
    if (synth_model_write(path, &shape, 1, &changed, &err))
        fail_msg("%s", err.text);
    const struct model_options opt = {.isa = "auto", .n_threads = 2};
    if (model_open(&s->m, path, &opt, &err))
        fail_msg("%s", err.text);
}

static void answer(struct sparse *s, struct session_counters *c)
{
    const struct session_options opt = {.n_parallel = N_SEQ, .context_tok = 32, .prefill_chunk = 2};
    run_all(s->m, &opt, s->r, N_SEQ, s->o, c, c ? s->hits : NULL, NULL);
}

static int sparse_setup(void **state)
{
    struct sparse *s = calloc(1, sizeof *s);
    void *models = NULL;
    if (!s || models_setup(&models))
        return -1;
    s->models = models;
    open_sparse(s);
    const struct model_info *info = model_info(s->m);
    s->n = info->n_layers * info->n_experts;
    s->hits = calloc(s->n, sizeof *s->hits);
    s->keep = calloc(s->n, sizeof *s->keep);
    if (!s->hits || !s->keep)
        return -1;
    for (size_t i = 0; i < N_SEQ; i++) {
        (void)snprintf(s->id[i], sizeof s->id[i], "s%zu", i);
        random_prompt(s->id[i], info->vocab_size, s->prompt[i], N_IN);
        s->r[i] = (struct request){.id = s->id[i], .prompt = s->prompt[i], .n_prompt = N_IN, .max_tokens = N_OUT,
                                   .sampling = {.temperature = 0, .top_p = 1}, .ignore_stop_ids = true};
    }
    *state = s;
    return 0;
}

static int sparse_teardown(void **state)
{
    struct sparse *s = *state;
    void *models = s->models;
    model_free(s->m);
    free(s->hits);
    free(s->keep);
    free(s);
    return models_teardown(&models);
}

static void each_token_and_layer_hits_k(void **state)
{
    struct sparse *s = *state;
    const struct model_info *info = model_info(s->m);
    struct session_counters c;
    answer(s, &c);
    size_t rows = N_SEQ * (N_IN + N_OUT - 1); // the last token is not fed
    assert_int_equal(c.rows, rows);
    assert_int_equal(c.expert_rows, rows * info->n_layers);
    for (size_t l = 0; l < info->n_layers; l++) {
        uint64_t sum = 0;
        for (size_t e = 0; e < info->n_experts; e++) {
            uint64_t h = s->hits[l * info->n_experts + e];
            assert_true(h <= rows); // at most once a row
            sum += h;
        }
        assert_int_equal(sum, rows * info->n_experts_used);
    }
}

/* Runs first to last on one model: a poisoned expert stays so. */
static void nan_in_the_unchosen_changes_no_bit(void **state)
{
    struct sparse *s = *state;
    struct outcome *want = calloc(N_SEQ, sizeof *want);
    struct session_counters c;
    assert_non_null(want);
    answer(s, &c);
    memcpy(want, s->o, sizeof s->o);
    size_t poisoned = 0;
    size_t chosen = s->n;
    for (size_t i = 0; i < s->n; i++) {
        s->keep[i] = s->hits[i] > 0;
        poisoned += s->hits[i] == 0;
        chosen = s->hits[i] == 1 ? i : chosen;
    }
    assert_true(poisoned >= model_info(s->m)->n_layers); // else nothing is tested
    model_poison_experts(s->m, s->keep);
    answer(s, NULL);
    for (size_t i = 0; i < N_SEQ; i++) {
        assert_int_equal(s->o[i].n, N_OUT);
        assert_string_equal(s->o[i].sha, want[i].sha);
    }
    // one that a single row chose: that row's request ends, the two others keep their bits
    assert_true(chosen < s->n);
    s->keep[chosen] = false;
    model_poison_experts(s->m, s->keep);
    answer(s, NULL);
    size_t failed = 0;
    for (size_t i = 0; i < N_SEQ; i++) {
        failed += s->o[i].finish == FINISH_ERROR;
        if (s->o[i].finish == FINISH_ERROR)
            assert_int_equal(s->o[i].status, ERR_NUMERIC);
        else
            assert_string_equal(s->o[i].sha, want[i].sha);
    }
    assert_int_equal(failed, 1);
    free(want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_token_and_layer_hits_k),
        cmocka_unit_test(nan_in_the_unchosen_changes_no_bit),
    };
    return cmocka_run_group_tests(tests, sparse_setup, sparse_teardown);
}
