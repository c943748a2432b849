#include "cpu_test.h"

/* Row operators (norm, glu), the router, and the experts, against numerics.md and models.md 4.3 - 4.4
 * written out here, for every instruction set and 1 to 3 threads. */

static struct rows make_rows(size_t n, uint32_t *fault)
{
    memset(fault, 0, n * sizeof *fault);
    return (struct rows){.n = n, .fault = fault};
}

static void test_norm(void **state)
{
    (void)state;
    enum { N = 9, D = 100 };
    static const uint32_t pick[3] = {7, 0, 4};
    uint32_t fault[N];
    struct err err = ERR_INIT;
    float *w = random_floats("w", D, 1.0f);
    for (const char *const *isa = cpu_isa_list(); *isa; isa++) {
        for (size_t threads = 1; threads <= 3; threads++) {
            struct backend *b = new_backend(*isa, threads);
            struct rows rows = make_rows(N, fault);
            float *x = random_floats("x", N * D, 2.0f);
            uint16_t want[N][128] = {{0}}, out[N][128], three[3][128];
            for (size_t t = 0; t < N; t++) {
                float r = sqrtf(chains_of(x + t * D, x + t * D, D) / (float)D + 1e-5f);
                for (size_t i = 0; i < D; i++) {
                    float y = x[t * D + i] / r;
                    want[t][i] = bf16_operand(y * w[i]);
                }
            }
            memset(out, 0xee, sizeof out);
            assert_int_equal(b->ops->norm(b, x, w, 1e-5f, D, &rows, NULL, N, 3, out[0], &err), OK);
            assert_memory_equal(out, want, sizeof out);
            memset(three, 0xee, sizeof three);
            assert_int_equal(b->ops->norm(b, x, w, 1e-5f, D, &rows, pick, 3, 3, three[0], &err), OK);
            for (size_t i = 0; i < 3; i++)
                assert_memory_equal(three[i], want[pick[i]], sizeof three[i]);
            // not a number, an infinity, a sum that overflows though x / inf = 0, and a weight that is too large
            x[4 * D + 99] = NAN;
            x[5 * D + 1] = -INFINITY;
            x[6 * D + 50] = 1e25f;
            memset(&want[4], 0, 3 * sizeof want[4]);
            assert_int_equal(b->ops->norm(b, x, w, 1e-5f, D, &rows, NULL, N, 3, out[0], &err), OK);
            assert_memory_equal(out, want, sizeof out);
            for (size_t t = 0; t < N; t++)
                assert_int_equal(fault[t], t >= 4 && t <= 6 ? 4 << 8 | FAULT_NORM : 0);
            memset(fault, 0, sizeof fault);
            assert_int_equal(b->ops->norm(b, x, w, 1e-5f, D, &rows, pick, 3, 0, three[0], &err), OK);
            for (size_t t = 0; t < N; t++)
                assert_int_equal(fault[t], t == 4 ? 1 << 8 | FAULT_NORM : 0);
            mem_free(x);
            b->ops->free(b);
        }
    }
    mem_free(w);
}

static void test_glu(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 40, 2048, 2049, 5000};
    struct glu g = {.kind = GLU_SILU};
    uint32_t fault[3];
    struct err err = ERR_INIT;
    for (size_t i = 0; i < 5; i++) {
        size_t f = sizes[i], ld = operand_ld(f);
        float *z = random_floats("z", 3 * 2 * f, 3.0f);
        uint16_t *want = new_mem(3 * ld, sizeof *want);
        uint16_t *out = new_mem(3 * ld, sizeof *out);
        for (size_t j = 0; j < 3 * f; j++) {
            float silu = z[2 * j] * fm_sigmoid(z[2 * j]);
            want[j / f * ld + j % f] = bf16_operand(silu * z[2 * j + 1]);
        }
        z[2 * (f + f / 2) + 1] = INFINITY; // row 1
        want[ld + f / 2] = 0;
        for (const char *const *isa = cpu_isa_list(); *isa; isa++) {
            for (size_t threads = 1; threads <= 3; threads++) {
                struct backend *b = new_backend(*isa, threads);
                struct rows rows = make_rows(3, fault);
                memset(out, 0xee, 3 * ld * sizeof *out);
                assert_int_equal(b->ops->glu(b, &g, z, f, &rows, 7, out, &err), OK);
                assert_memory_equal(out, want, 3 * ld * sizeof *out);
                assert_int_equal(fault[0] | fault[2], 0);
                assert_int_equal(fault[1], 8 << 8 | FAULT_MLP);
                b->ops->free(b);
            }
        }
        mem_free(z);
        mem_free(want);
        mem_free(out);
    }
}

static void test_router(void **state)
{
    (void)state;
    enum { E = 6, K = 4, N = 6 };
    const float logits[N][E] = {
        {0.5f, 3.0f, -1.0f, 2.0f, 2.5f, 0.0f},      {1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f},
        {-5.0f, -4.0f, -4.0f, -9.0f, -4.0f, -1.0f}, {0.0f, -0.0f, 0.0f, 1.0f, -0.0f, 0.0f},
        {1.0f, NAN, 2.0f, 3.0f, 4.0f, 5.0f},        {1.0f, 2.0f, 3.0f, 4.0f, INFINITY, 5.0f},
    };
    const uint16_t expect[4][K] = {{1, 4, 3, 0}, {0, 1, 2, 3}, {5, 1, 2, 4}, {3, 0, 1, 2}};
    uint16_t ids[N * K], forced[N * K];
    float weights[N * K];
    uint32_t fault[N];
    struct err err = ERR_INIT;
    struct backend *b = new_backend("auto", 2);
    struct rows rows = make_rows(N, fault);
    assert_int_equal(b->ops->router(b, logits[0], E, K, NULL, &rows, 1, ids, weights, &err), OK);
    for (size_t t = 0; t < 4; t++) {
        assert_memory_equal(ids + t * K, expect[t], K * sizeof *ids);
        float e[K], sum = 0.0f;
        for (size_t j = 0; j < K; j++)
            e[j] = fm_exp(logits[t][expect[t][j]] - logits[t][expect[t][0]]);
        sum = chains_of(e, NULL, K);
        for (size_t j = 0; j < K; j++)
            assert_true(weights[t * K + j] == e[j] / sum);
        assert_int_equal(fault[t], 0);
    }
    for (size_t t = 4; t < N; t++) {
        assert_int_equal(fault[t], 2 << 8 | FAULT_ROUTER);
        for (size_t j = 0; j < K; j++) {
            assert_true(ids[t * K + j] < E);
            assert_true(weights[t * K + j] == 0.0f);
        }
    }
    // forced: the given order stays, weights come from the row's own logits; 0xffff leaves a row alone
    rows = make_rows(4, fault);
    memset(forced, 0xff, sizeof forced);
    const uint16_t mine[K] = {5, 0, 2, 1};
    memcpy(forced, mine, sizeof mine);
    assert_int_equal(b->ops->router(b, logits[0], E, K, forced, &rows, 1, ids, weights, &err), OK);
    assert_memory_equal(ids, mine, sizeof mine);
    for (size_t t = 1; t < 4; t++)
        assert_memory_equal(ids + t * K, expect[t], K * sizeof *ids);
    float e[K];
    for (size_t j = 0; j < K; j++)
        e[j] = fm_exp(logits[0][mine[j]] - logits[0][5]);
    for (size_t j = 0; j < K; j++)
        assert_true(weights[j] == e[j] / chains_of(e, NULL, K));
    forced[2] = E;
    assert_int_equal(b->ops->router(b, logits[0], E, K, forced, &rows, 1, ids, weights, &err), ERR_RANGE);
    assert_int_equal(b->ops->router(b, logits[0], E, E + 1, NULL, &rows, 1, ids, weights, &err), ERR_SHAPE);
    b->ops->free(b);
}

enum { E = 6, K = 4, D = 96, F = 164, N = 300 }; // F: tiles of 8 units with a short last one; N: two passes

struct experts {
    uint8_t *up_blocks, *up_scales; // (E, 2F, D)
    uint8_t *down;                  // (E, D, F) bf16: F is no multiple of 32
    float *up_bias, *down_bias;
    uint16_t *x; // (N, D)
    float *y0;   // (N, D)
    uint16_t *ids;
    float *weights;
    float *want; // (N, D)
};

static float up_weight(const struct experts *s, size_t e, size_t r, size_t k)
{
    size_t block = (e * 2 * F + r) * (D / 32) + k / 32;
    unsigned byte = s->up_blocks[block * 16 + k % 32 / 2];
    return mxfp4_value(k % 2 ? byte >> 4 : byte & 15, s->up_scales[block]);
}

static void expert(const struct experts *s, size_t e, const uint16_t *x, float *y)
{
    float a[F], row[D > F ? D : F], in[D];
    widen_row(x, D, in);
    for (size_t i = 0; i < F; i++) {
        float z[2];
        for (size_t h = 0; h < 2; h++) {
            for (size_t k = 0; k < D; k++)
                row[k] = up_weight(s, e, 2 * i + h, k);
            z[h] = canonical_dot(in, row, D) + s->up_bias[e * 2 * F + 2 * i + h];
        }
        float g = z[0] > 7.0f ? 7.0f : z[0];
        float u = z[1] > 7.0f ? 7.0f : z[1] < -7.0f ? -7.0f : z[1];
        float left = g * fm_sigmoid(1.702f * g);
        float right = u + 1.0f;
        a[i] = bf16_to_f32(bf16_operand(left * right));
    }
    for (size_t r = 0; r < D; r++) {
        for (size_t k = 0; k < F; k++) {
            const uint8_t *at = s->down + ((e * D + r) * F + k) * 2;
            row[k] = bf16_to_f32((uint16_t)(at[0] | at[1] << 8));
        }
        y[r] = canonical_dot(a, row, F) + s->down_bias[e * D + r];
    }
}

static int setup(void **state)
{
    static struct experts s;
    s = (struct experts){
        .up_blocks = random_bytes("blocks", E * 2 * F * D / 2, 0, 255),
        .up_scales = random_bytes("scales", E * 2 * F * D / 32, 122, 124),
        .down = random_bf16("down", E * D, F, 0.1f),
        .up_bias = random_floats("up bias", E * 2 * F, 0.5f),
        .down_bias = random_floats("down bias", E * D, 0.5f),
        .x = random_operands("x", N, D),
        .y0 = random_floats("y0", N * D, 1.0f),
        .ids = new_mem(N * K, sizeof(uint16_t)),
        .weights = random_floats("weights", N * K, 0.3f),
        .want = new_mem(N * D, sizeof(float)),
    };
    struct rng_key key = rng_key(1, "ids");
    for (size_t t = 0; t < N; t++) { // different experts, in any order; expert 5 never
        for (size_t j = 0; j < K; j++)
            s.ids[t * K + j] = (uint16_t)((rng_u64(&key, t) + (rng_u64(&key, t) % 7 < 3 ? j : K - j)) % 5);
        for (size_t i = 0; i < D; i++)
            s.want[t * D + i] = 0.0f;
        for (size_t j = 0; j < K; j++) {
            float y[D];
            expert(&s, s.ids[t * K + j], s.x + t * D, y);
            for (size_t i = 0; i < D; i++)
                s.want[t * D + i] = fmaf(s.weights[t * K + j], y[i], s.want[t * D + i]);
        }
        for (size_t i = 0; i < D; i++)
            s.want[t * D + i] = s.y0[t * D + i] + s.want[t * D + i];
    }
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    struct experts *s = *state;
    mem_free(s->up_blocks);
    mem_free(s->up_scales);
    mem_free(s->down);
    mem_free(s->up_bias);
    mem_free(s->down_bias);
    mem_free(s->x);
    mem_free(s->y0);
    mem_free(s->ids);
    mem_free(s->weights);
    mem_free(s->want);
    return 0;
}

struct loaded {
    struct matrix *up[E], *down[E];
    struct moe moe;
};

static void load(struct backend *b, const struct experts *s, struct loaded *l)
{
    struct err err = ERR_INIT;
    for (size_t e = 0; e < E; e++) {
        struct matrix_source up = {.name = "up", .quant = QUANT_MXFP4_SPLIT, .n_cols = D, .n_parts = 1,
                                   .parts = {PART(2 * F, s->up_blocks + e * 2 * F * D / 2, s->up_scales + e * 2 * F * D / 32)}};
        struct matrix_source down = {.name = "down", .quant = QUANT_BF16, .n_cols = F, .n_parts = 1,
                                     .parts = {PART(D, s->down + e * D * F * 2, NULL)}};
        assert_int_equal(b->ops->matrix_new(b, &l->up[e], &up, &err), OK);
        assert_int_equal(b->ops->matrix_new(b, &l->down[e], &down, &err), OK);
    }
    l->moe = (struct moe){.n_experts = E, .n_used = K, .gate_up = l->up, .down = l->down, .gate_up_bias = s->up_bias,
                          .down_bias = s->down_bias, .n_ff = F,
                          .glu = {.kind = GLU_CLAMPED, .limit = 7.0f, .alpha = 1.702f, .up_add = 1.0f}};
}

static void unload(struct backend *b, struct loaded *l)
{
    for (size_t e = 0; e < E; e++) {
        b->ops->matrix_free(b, l->up[e]);
        b->ops->matrix_free(b, l->down[e]);
    }
    b->ops->free(b);
}

static void test_moe(void **state)
{
    const struct experts *s = *state;
    static const size_t sizes[] = {1, 2, 3, 5, 17, 64, N};
    float *y = new_mem(N * D, sizeof *y);
    uint32_t fault[N];
    struct err err = ERR_INIT;
    for (const char *const *isa = cpu_isa_list(); *isa; isa++) {
        for (size_t threads = 1; threads <= 3; threads++) {
            struct backend *b = new_backend(*isa, threads);
            struct loaded l;
            load(b, s, &l);
            b->ops->matrix_poison(l.up[5]); // nobody chose it
            b->ops->matrix_poison(l.down[5]);
            for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                size_t n = sizes[i];
                size_t t0 = n == N ? 0 : 11 * i;
                if (n == N && isa == cpu_isa_list())
                    continue; // slow
                struct rows rows = make_rows(n, fault);
                struct backend_counters c0, c1;
                b->ops->counters(b, &c0);
                memcpy(y, s->y0 + t0 * D, n * D * sizeof *y);
                assert_int_equal(b->ops->moe(b, &l.moe, s->x + t0 * D, D, s->ids + t0 * K, s->weights + t0 * K, &rows,
                                             2, y, &err), OK);
                b->ops->counters(b, &c1);
                assert_memory_equal(y, s->want + t0 * D, n * D * sizeof *y);
                for (size_t t = 0; t < n; t++)
                    assert_int_equal(fault[t], 0);
                uint64_t bytes = 0; // each chosen expert once a pass, the others never
                for (size_t e = 0; e < E; e++) {
                    for (size_t p = 0; p < n; p += 256) {
                        bool used = false;
                        for (size_t j = p * K; j < n * K && j < (p + 256) * K; j++)
                            used = used || s->ids[t0 * K + j] == e;
                        if (used)
                            bytes += b->ops->matrix_bytes(l.up[e]) + b->ops->matrix_bytes(l.down[e]);
                    }
                }
                assert_int_equal(c1.weight_bytes_read - c0.weight_bytes_read, bytes);
                assert_int_equal(c1.dots - c0.dots, n * K * (2 * F + D));
            }
            unload(b, &l);
        }
    }
    mem_free(y);
}

// A poisoned expert marks the rows that chose it and no other row.
static void test_moe_fault(void **state)
{
    const struct experts *s = *state;
    enum { ROWS = 20 };
    float y[ROWS * D];
    uint32_t fault[ROWS];
    struct err err = ERR_INIT;
    for (const char *const *isa = cpu_isa_list(); *isa; isa++) {
        struct backend *b = new_backend(*isa, 2);
        struct loaded l;
        load(b, s, &l);
        b->ops->matrix_poison(l.up[2]);
        struct rows rows = make_rows(ROWS, fault);
        memcpy(y, s->y0, sizeof y);
        assert_int_equal(b->ops->moe(b, &l.moe, s->x, D, s->ids, s->weights, &rows, 2, y, &err), OK);
        size_t hit = 0;
        for (size_t t = 0; t < ROWS; t++) {
            bool chose = false;
            for (size_t j = 0; j < K; j++)
                chose = chose || s->ids[t * K + j] == 2;
            hit += chose;
            assert_int_equal(fault[t], chose ? 3 << 8 | FAULT_MLP : 0);
            if (!chose)
                assert_memory_equal(y + t * D, s->want + t * D, D * sizeof *y);
            for (size_t i = 0; i < D; i++)
                assert_true(isfinite(y[t * D + i]));
        }
        assert_in_range(hit, 1, ROWS - 1);
        unload(b, &l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norm),   cmocka_unit_test(test_glu),       cmocka_unit_test(test_router),
        cmocka_unit_test(test_moe),    cmocka_unit_test(test_moe_fault),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
