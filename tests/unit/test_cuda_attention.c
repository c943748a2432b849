/* CUDA kernels of the key-value cache and of attention against the scalar twin: odd heads, windows whose
 * ring wraps, key blocks at their edges, several sequences in a step, faults. */
#include "cuda_test.h"

struct shape {
    size_t n_heads, n_kv_heads, head_dim, window;
    bool norms, sinks;
};

/* Sequences of a session, and how many rows of each the steps take. */
struct plan {
    size_t n_seqs, n_pos, chunk;
    size_t steps[8][3]; // rows of each sequence, a step a line; zeros end it
};

struct run {
    struct twins *w;
    const struct shape *v;
    struct kv *kv[2];
    size_t qn, kn, cos, sin, sinks; // numbers of the constants
    size_t held[3];
    uint64_t salt;
    char msg[120];
};

static void run_step(struct run *r, const size_t rows[3], bool bad)
{
    struct err err = ERR_INIT;
    struct twins *w = r->w;
    const struct shape *v = r->v;
    struct step_rows s;
    size_t width = (v->n_heads + 2 * v->n_kv_heads) * v->head_dim;
    size_t ld = operand_ld(v->n_heads * v->head_dim);
    size_t n = 0;
    for (size_t q = 0; q < 3; q++) {
        for (size_t i = 0; i < rows[q]; i++, n++) {
            s.seq[n] = (uint32_t)q;
            s.pos[n] = (uint32_t)(r->held[q] + i);
        }
        r->held[q] += rows[q];
        for (size_t i = 0; i < 2 && rows[q]; i++)
            check_ok(w->of[i]->ops->kv_resize(r->kv[i], q, r->held[q], &err), &err);
    }
    char name[32];
    (void)snprintf(name, sizeof name, "qkv %llu", (unsigned long long)r->salt++);
    float *qkv = random_floats(name, n * width, 2.0f);
    if (bad) {
        qkv[0] = NAN;                                           // a query
        qkv[(n - 1) * width + v->n_heads * v->head_dim] = 2e19f; // a key out of range
        qkv[n / 2 * width + width - 1] = INFINITY;               // a value
        for (size_t i = 0; i < v->head_dim && n > 3; i++) // a score that overflows, of operands that do not
            qkv[2 * width + i] = qkv[2 * width + v->n_heads * v->head_dim + i] = 1e18f;
    }
    step_begin(w, &s, n);
    size_t mark = w->n_dev;
    size_t nqkv = twins_take(w, qkv, n * width * sizeof *qkv);
    size_t nq = twins_take(w, NULL, n * ld * 2);
    size_t no = twins_take(w, NULL, n * ld * 2);
    for (size_t i = 0; i < 2; i++) {
        struct backend *b = w->of[i];
        const struct qkv_args qa = {.n_heads = v->n_heads, .n_kv_heads = v->n_kv_heads, .head_dim = v->head_dim,
                                    .q_norm = v->norms ? w->dev[i][r->qn] : NULL,
                                    .k_norm = v->norms ? w->dev[i][r->kn] : NULL, .eps = 1e-6f,
                                    .cos = w->dev[i][r->cos], .sin = w->dev[i][r->sin]};
        const struct attention_args aa = {.n_heads = v->n_heads, .n_kv_heads = v->n_kv_heads, .head_dim = v->head_dim,
                                          .sinks = v->sinks ? w->dev[i][r->sinks] : NULL, .window = v->window,
                                          .scale = (float)(1.0 / sqrt((double)v->head_dim))};
        check_ok(b->ops->qkv_store(b, r->kv[i], 1, &qa, w->dev[i][nqkv], &s.rows[i], w->dev[i][nq], &err), &err);
        check_ok(b->ops->attention(b, r->kv[i], 1, &aa, w->dev[i][nq], &s.rows[i], w->dev[i][no], &err), &err);
    }
    twins_same(w, nq, n * ld * 2, r->msg);
    twins_same(w, no, n * ld * 2, r->msg);
    step_end(w, &s, r->msg);
    if (bad)
        assert_int_equal(s.fault[1][0], 2u << 8 | FAULT_QKV);
    while (w->n_dev > mark) {
        w->n_dev--;
        for (size_t i = 0; i < 2; i++)
            w->of[i]->ops->release(w->of[i], w->dev[i][w->n_dev]);
    }
    mem_free(qkv);
}

static void run_plan(struct twins *w, const struct shape *v, const struct plan *p, bool bad)
{
    struct err err = ERR_INIT;
    struct run r = {.w = w, .v = v};
    const size_t windows[2] = {0, v->window};
    const struct kv_shape shape = {.n_layers = 2, .n_kv_heads = v->n_kv_heads, .head_dim = v->head_dim,
                                   .n_seqs = p->n_seqs, .n_pos = p->n_pos, .chunk = p->chunk, .windows = windows};
    size_t half = v->head_dim / 2;
    float *qn = random_floats("q norm", v->head_dim, 1.0f);
    float *kn = random_floats("k norm", v->head_dim, 1.0f);
    float *cos = random_floats("cos", p->n_pos * half, 0.5f); // need not be angles
    float *sin = random_floats("sin", p->n_pos * half, 0.5f);
    float *sinks = random_floats("sinks", v->n_heads, 2.0f);
    (void)snprintf(r.msg, sizeof r.msg, "H %zu K %zu h %zu window %zu norms %d sinks %d n_pos %zu chunk %zu",
                   v->n_heads, v->n_kv_heads, v->head_dim, v->window, v->norms, v->sinks, p->n_pos, p->chunk);
    for (size_t i = 0; i < 2; i++)
        check_ok(w->of[i]->ops->kv_new(w->of[i], &r.kv[i], &shape, &err), &err);
    r.qn = twins_take(w, qn, v->head_dim * sizeof *qn);
    r.kn = twins_take(w, kn, v->head_dim * sizeof *kn);
    r.cos = twins_take(w, cos, p->n_pos * half * sizeof *cos);
    r.sin = twins_take(w, sin, p->n_pos * half * sizeof *sin);
    r.sinks = twins_take(w, sinks, v->n_heads * sizeof *sinks);
    for (size_t i = 0; i < 8 && p->steps[i][0] + p->steps[i][1] + p->steps[i][2]; i++)
        run_step(&r, p->steps[i], bad && i == 0);
    for (size_t i = 0; i < 2; i++)
        check_ok(w->of[i]->ops->kv_resize(r.kv[i], 0, 0, &err), &err); // its pages are used again, and clean
    r.held[0] = 0;
    run_step(&r, (const size_t[3]){5, 0, 0}, false);
    for (size_t i = 0; i < 2; i++)
        w->of[i]->ops->kv_free(w->of[i], r.kv[i]);
    twins_drop(w);
    mem_free(qn);
    mem_free(kn);
    mem_free(cos);
    mem_free(sin);
    mem_free(sinks);
}

static void shapes(struct twins *w)
{
    static const struct shape all[] = {
        {1, 1, 2, 0, false, false},  {4, 2, 6, 0, true, false},    {9, 1, 34, 0, false, true},
        {8, 1, 64, 128, false, true}, {6, 2, 80, 5, true, true},    {3, 3, 128, 0, true, false},
        {20, 1, 8, 0, false, false},
    };
    static const struct plan one = {1, 330, 60, {{60}, {1}, {50}, {60}, {60}, {26}, {1}, {1}}}; // crosses 256
    static const struct plan three = {3, 70, 31, {{3, 0, 31}, {1, 20, 1}, {1, 1, 0}, {2, 1, 3}}};
    static const struct shape widest = {2, 1, 512, 40, false, true};
    run_plan(w, &widest, &three, false);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (i % 3 == 0)
            run_plan(w, &all[i], &one, false);
        run_plan(w, &all[i], &three, false);
        run_plan(w, &all[i], &three, true);
    }
}

static void test_shapes(void **state)
{
    (void)state;
    each_order(shapes);
}

/* Prefixes saved, loaded, continued and dropped at random: both caches say and count the same, and attention
 * over what they hold gives the same bytes. */
static void shares(struct twins *w)
{
    enum { SAVED = 6, TURNS = 120 };
    static const struct shape v = {4, 2, 16, 40, false, true};
    struct err err = ERR_INIT;
    struct run r = {.w = w, .v = &v};
    const size_t windows[2] = {0, v.window};
    const struct kv_shape shape = {.n_layers = 2, .n_kv_heads = 2, .head_dim = 16, .n_seqs = 3, .n_pos = 300,
                                   .chunk = 20, .windows = windows, .limit_b = 11 * 32 * 2 * 16 * 2 * 2};
    struct kv_saved *saved[2][SAVED] = {{NULL}};
    size_t from[SAVED] = {0};
    size_t to[SAVED] = {0};
    struct rng_key key = rng_key(3, "shares");
    float *angles = random_floats("angles", 300 * 8, 0.5f);
    float *sinks = random_floats("sinks", 4, 2.0f);
    size_t n_full = 0;
    for (size_t i = 0; i < 2; i++)
        check_ok(w->of[i]->ops->kv_new(w->of[i], &r.kv[i], &shape, &err), &err);
    r.cos = r.sin = twins_take(w, angles, 300 * 8 * sizeof *angles);
    r.sinks = twins_take(w, sinks, 4 * sizeof *sinks);
    for (uint64_t turn = 0; turn < TURNS; turn++) {
        size_t q = (size_t)rng_below(&key, 4 * turn, 3);
        size_t k = (size_t)rng_below(&key, 4 * turn + 1, SAVED);
        size_t n = 1 + (size_t)rng_below(&key, 4 * turn + 2, 20);
        size_t what = (size_t)rng_below(&key, 4 * turn + 3, 8);
        enum status s[2] = {OK, OK};
        (void)snprintf(r.msg, sizeof r.msg, "turn %zu: %zu", (size_t)turn, what);
        if (what < 4 && r.held[q] + n <= 300) { // continue
            struct kv *const *kv = r.kv;
            for (size_t i = 0; i < 2; i++)
                s[i] = w->of[i]->ops->kv_resize(kv[i], q, r.held[q] + n, &err);
            if (!s[0])
                run_step(&r, (const size_t[3]){q == 0 ? n : 0, q == 1 ? n : 0, q == 2 ? n : 0}, false);
            n_full += s[0] == ERR_MEMORY;
        } else if (what == 4 && !saved[0][k] && r.held[q]) { // save, now and then in vain
            from[k] = n % 2 ? 0 : r.held[q] / 64 * 32;
            to[k] = r.held[q] - (r.held[q] > 30 ? n : 0);
            for (size_t i = 0; i < 2; i++)
                s[i] = w->of[i]->ops->kv_save(r.kv[i], &saved[i][k], q, from[k], to[k], &err);
        } else if (what == 5 && saved[0][k]) { // load, where it fits
            for (size_t i = 0; i < 2; i++)
                s[i] = w->of[i]->ops->kv_load(r.kv[i], q, saved[i][k], &err);
            r.held[q] = s[0] ? r.held[q] : to[k];
        } else if (what == 6) {
            for (size_t i = 0; i < 2; i++) {
                w->of[i]->ops->kv_drop(r.kv[i], saved[i][k]);
                saved[i][k] = NULL;
            }
        } else if (what == 7) {
            for (size_t i = 0; i < 2; i++)
                s[i] = w->of[i]->ops->kv_resize(r.kv[i], q, 0, &err);
            r.held[q] = 0;
        }
        assert_int_equal(s[0], s[1]);
        struct kv_bytes c[2];
        for (size_t i = 0; i < 2; i++)
            w->of[i]->ops->kv_count(r.kv[i], &c[i]);
        assert_true(c[0].live == c[1].live && c[0].used == c[1].used && c[0].saved == c[1].saved);
        assert_true(c[0].limit == c[1].limit && c[1].reserved == c[1].limit);
        assert_true(w->of[0]->ops->kv_need(r.kv[0], n) == w->of[1]->ops->kv_need(r.kv[1], n));
    }
    assert_true(n_full > 0); // the limit was met
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < SAVED; k++)
            w->of[i]->ops->kv_drop(r.kv[i], saved[i][k]);
        w->of[i]->ops->kv_free(w->of[i], r.kv[i]);
    }
    twins_drop(w);
    mem_free(angles);
    mem_free(sinks);
}

static void test_shares(void **state)
{
    (void)state;
    struct twins w;
    twins_new(&w, SIM_SHUFFLED, 5);
    shares(&w);
    twins_free(&w);
}

/* What does not fit is refused with the numbers, before anything is queued. */
static void test_refused(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct backend *b = new_cuda(SIM_UP, 0);
    struct backend_counters before;
    struct backend_counters after;
    struct kv *kv = NULL;
    struct kv_shape shape = {.n_layers = 2, .n_kv_heads = 8, .head_dim = 64, .n_seqs = 64, .n_pos = 100000, .chunk = 1};
    b->ops->counters(b, &before);
    assert_int_equal(b->ops->kv_new(b, &kv, &shape, &err), ERR_MEMORY);
    assert_non_null(strstr(err.text, "device memory for key-value cache: expected 2621440"));
    assert_non_null(strstr(err.text, "of 201326592 bytes in use"));
    b->ops->counters(b, &after);
    assert_int_equal(before.alloc_bytes, after.alloc_bytes);
    shape = (struct kv_shape){.n_layers = 1, .n_kv_heads = 1, .head_dim = 64, .n_seqs = 2, .n_pos = 40, .chunk = 1};
    check_ok(b->ops->kv_new(b, &kv, &shape, &err), &err);
    assert_int_equal(b->ops->kv_resize(kv, 2, 1, &err), ERR_RANGE);
    assert_int_equal(b->ops->kv_resize(kv, 0, 41, &err), ERR_CONTEXT);
    check_ok(b->ops->kv_resize(kv, 0, 33, &err), &err);
    struct kv_bytes n;
    b->ops->kv_count(kv, &n);
    assert_int_equal(n.used, 33 * 64 * 2 * 2);
    assert_int_equal(n.live, 2 * 32 * 64 * 2 * 2);
    assert_int_equal(n.reserved, 2 * n.live);
    b->ops->kv_free(b, kv);
    shape.head_dim = 7;
    assert_int_equal(b->ops->kv_new(b, &kv, &shape, &err), ERR_SHAPE);
    b->ops->free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_shares),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
