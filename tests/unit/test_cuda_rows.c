/* CUDA kernels on rows against the scalar twin: norm, gated activation, router, and their faults. */
#include "cuda_test.h"

static void norm_case(struct twins *w, size_t d, size_t n, bool pick, bool bad)
{
    struct err err = ERR_INIT;
    char msg[80];
    struct step_rows s = {.seq = {0}};
    const uint32_t picks[3] = {(uint32_t)n - 1, 0, (uint32_t)n / 2};
    size_t n_out = pick ? 3 : n;
    float *x = random_floats("norm x", n * d, 3.0f);
    float *wt = random_floats("norm w", d, 1.0f);
    (void)snprintf(msg, sizeof msg, "norm d %zu n %zu pick %d bad %d", d, n, pick, bad);
    if (bad) {
        x[0] = INFINITY;
        x[(n - 1) * d] = 1e30f; // its square overflows
        if (n > 2)
            wt[d - 1] = 3e38f; // an operand out of range
    }
    step_begin(w, &s, n);
    size_t nx = twins_take(w, x, n * d * sizeof *x);
    size_t nw = twins_take(w, wt, d * sizeof *wt);
    size_t no = twins_take(w, NULL, n_out * operand_ld(d) * 2);
    for (size_t i = 0; i < 2; i++)
        check_ok(w->of[i]->ops->norm(w->of[i], w->dev[i][nx], w->dev[i][nw], 1e-5f, d, &s.rows[i], pick ? picks : NULL,
                                     n_out, 3, w->dev[i][no], &err), &err);
    twins_same(w, no, n_out * operand_ld(d) * 2, msg);
    step_end(w, &s, msg);
    if (bad)
        assert_int_equal(s.fault[1][0], 4u << 8 | FAULT_NORM);
    twins_drop(w);
    mem_free(x);
    mem_free(wt);
}

static void norms(struct twins *w)
{
    static const size_t dims[] = {1, 2, 31, 32, 33, 64, 100, 129, 1000};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        norm_case(w, dims[i], 5, false, false);
        norm_case(w, dims[i], 5, true, false);
        norm_case(w, dims[i], 1, false, false);
        norm_case(w, dims[i], 4, false, true);
    }
    norm_case(w, 2880, 60, false, false);
}

static void glu_case(struct twins *w, const struct glu *g, size_t f, bool bad)
{
    struct err err = ERR_INIT;
    char msg[80];
    struct step_rows s = {.seq = {0}};
    float *z = random_floats("glu z", 3 * 2 * f, 5.0f);
    (void)snprintf(msg, sizeof msg, "glu kind %d f %zu bad %d", (int)g->kind, f, bad);
    if (bad) {
        z[2 * f] = NAN; // row 1
        z[4 * f + 1] = 3e38f;
        z[4 * f] = 3e38f;
    }
    step_begin(w, &s, 3);
    size_t nz = twins_take(w, z, 3 * 2 * f * sizeof *z);
    size_t no = twins_take(w, NULL, 3 * operand_ld(f) * 2);
    for (size_t i = 0; i < 2; i++)
        check_ok(w->of[i]->ops->glu(w->of[i], g, w->dev[i][nz], f, &s.rows[i], 0, w->dev[i][no], &err), &err);
    twins_same(w, no, 3 * operand_ld(f) * 2, msg);
    step_end(w, &s, msg);
    twins_drop(w);
    mem_free(z);
}

static void glus(struct twins *w)
{
    static const size_t dims[] = {1, 31, 32, 33, 127, 128, 300};
    const struct glu silu = {.kind = GLU_SILU};
    const struct glu clamped = {.kind = GLU_CLAMPED, .limit = 7.0f, .alpha = 1.702f, .up_add = 1.0f};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        for (int bad = 0; bad < 2; bad++) {
            glu_case(w, &silu, dims[i], bad);
            glu_case(w, &clamped, dims[i], bad);
        }
    }
}

static void router_case(struct twins *w, size_t e, size_t k, int kind)
{
    struct err err = ERR_INIT;
    char msg[80];
    enum { N = 4 };
    struct step_rows s = {.seq = {0}};
    float *l = random_floats("router", N * e, 2.0f);
    uint16_t *forced = new_mem(N * k, sizeof *forced);
    (void)snprintf(msg, sizeof msg, "router E %zu k %zu kind %d", e, k, kind);
    for (size_t i = 0; i < N * e && kind == 1; i++) // ties, and both zeros
        l[i] = i % 3 == 0 ? 0.0f : i % 3 == 1 ? -0.0f : 1.0f;
    if (kind == 2) {
        l[0] = NAN;
        l[e] = INFINITY;
        l[3 * e - 1] = -INFINITY;
    }
    for (size_t t = 0; t < N; t++) {
        for (size_t j = 0; j < k; j++)
            forced[t * k + j] = (uint16_t)((t + 3 * j) % e); // may name one twice
        if (t == 2)
            forced[t * k] = UINT16_MAX; // as computed
    }
    if (kind == 4) { // forced far below the first: exp overflows
        l[forced[0]] = -200.0f;
        l[forced[k - 1]] = 200.0f;
    }
    step_begin(w, &s, N);
    size_t nl = twins_take(w, l, N * e * sizeof *l);
    size_t nf = twins_take(w, forced, N * k * 2);
    size_t ni = twins_take(w, NULL, N * k * 2);
    size_t nw = twins_take(w, NULL, N * k * sizeof(float));
    for (size_t i = 0; i < 2; i++)
        check_ok(w->of[i]->ops->router(w->of[i], w->dev[i][nl], e, k, kind >= 3 ? w->dev[i][nf] : NULL, &s.rows[i], 7,
                                       w->dev[i][ni], w->dev[i][nw], &err), &err);
    twins_same(w, ni, N * k * 2, msg);
    twins_same(w, nw, N * k * sizeof(float), msg);
    step_end(w, &s, msg);
    twins_drop(w);
    mem_free(l);
    mem_free(forced);
}

static void routers(struct twins *w)
{
    for (int kind = 0; kind < 5; kind++) {
        router_case(w, 1, 1, kind);
        router_case(w, 4, 2, kind);
        router_case(w, 5, 5, kind);
        router_case(w, 32, 4, kind);
        router_case(w, 131, 40, kind); // more than 32 slots: chains wrap
    }
}

static void test_norm(void **state)
{
    (void)state;
    each_order(norms);
}

static void test_glu(void **state)
{
    (void)state;
    each_order(glus);
}

static void test_router(void **state)
{
    (void)state;
    each_order(routers);
}

/* An expert that does not exist is told at the end of the step, and an operator outside a step at once. */
static void test_refusals(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct twins w;
    struct step_rows s = {.seq = {0}};
    const float logits[2] = {1, 2};
    const uint16_t forced[1] = {2};
    twins_new(&w, SIM_UP, 0);
    struct backend *b = w.of[1];
    step_begin(&w, &s, 1);
    size_t nl = twins_take(&w, logits, sizeof logits);
    size_t nf = twins_take(&w, forced, sizeof forced);
    size_t ni = twins_take(&w, NULL, 2);
    size_t nw = twins_take(&w, NULL, 4);
    check_ok(b->ops->router(b, w.dev[1][nl], 2, 1, w.dev[1][nf], &s.rows[1], 0, w.dev[1][ni], w.dev[1][nw], &err), &err);
    assert_int_equal(b->ops->end(b, &s.rows[1], &err), ERR_RANGE);
    assert_string_equal(err.text, "forced expert of row 0: expected an expert of the layer, found 2");
    assert_int_equal(b->ops->router(b, w.dev[1][nl], 2, 1, NULL, &s.rows[1], 0, w.dev[1][ni], w.dev[1][nw], &err),
                     ERR_USAGE);
    assert_int_equal(b->ops->router(b, w.dev[1][nl], 2, 3, NULL, &s.rows[1], 0, w.dev[1][ni], w.dev[1][nw], &err),
                     ERR_USAGE);
    step_begin(&w, &s, 1);
    assert_int_equal(b->ops->router(b, w.dev[1][nl], 2, 3, NULL, &s.rows[1], 0, w.dev[1][ni], w.dev[1][nw], &err),
                     ERR_SHAPE);
    twins_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norm),
        cmocka_unit_test(test_glu),
        cmocka_unit_test(test_router),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
