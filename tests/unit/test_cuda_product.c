/* CUDA products against the scalar twin over every stored format: linear and mixture of experts; and against
 * numerics.md written out, where the twin is not the judge. */
#include "cuda_test.h"
#include "quant/quant.h"

/* A matrix of random rows as files store it. */
struct stored {
    struct matrix_source src;
    uint8_t *data, *scales;
};

static struct stored new_stored(const char *name, enum quant q, size_t rows, size_t cols)
{
    struct stored m = {.data = NULL, .scales = NULL};
    const struct quant_type *t = quant_type(q);
    size_t row_b = 0;
    assert_true(quant_row_b(q, cols, &row_b));
    m.data = random_bytes(name, rows * row_b, 0, 255);
    if (q == QUANT_MXFP4_SPLIT)
        m.scales = random_bytes("scales", rows * cols / 32, 110, 135);
    for (size_t i = 0; i < rows * cols / t->block && t->block_b != 16; i++) {
        uint8_t *block = m.data + i * t->block_b;
        float x[32];
        for (size_t k = 0; k < t->block && t->encode; k++)
            x[k] = random_float(name, i * t->block + k);
        if (q == QUANT_MXFP4 && i % 3 == 0)
            block[0] = (uint8_t)(100 + i % 40); // else the encoder's own scales
        else if (t->encode)
            (void)t->encode(x, block);
        else { // two halves somewhere: any finite ones
            for (size_t k = 0; k < t->block_b; k++)
                block[k] &= 0x3f;
        }
    }
    for (size_t k = 0; k < cols && q == QUANT_BF16; k++) { // row 0: 2^-56, and less, which counts as 0
        m.data[2 * k] = k % 3 ? 0x7f : 0x80;
        m.data[2 * k + 1] = 0x23;
    }
    m.src = (struct matrix_source){.name = name, .quant = q, .n_cols = cols, .n_parts = 1,
                                   .parts = {PART(rows, m.data, m.scales)}};
    return m;
}

static void drop_stored(struct stored *m)
{
    mem_free(m->data);
    mem_free(m->scales);
}

static void linear_case(struct twins *w, enum quant q, size_t rows, size_t cols, size_t n, bool bias, bool add)
{
    struct err err = ERR_INIT;
    char msg[120];
    struct stored st = new_stored("linear", q, rows, cols);
    struct matrix *m[2] = {NULL, NULL};
    uint16_t *x = random_operands("linear x", n, cols);
    float *bv = random_floats("linear b", rows, 1.0f);
    float *y = random_floats("linear y", n * rows, 1.0f);
    (void)snprintf(msg, sizeof msg, "linear %s %d rows %zu cols %zu n %zu bias %d add %d", quant_type(q)->name, (int)q,
                   rows, cols, n, bias, add);
    size_t nx = twins_take(w, x, n * operand_ld(cols) * 2);
    size_t nb = twins_take(w, bv, rows * sizeof *bv);
    size_t ny = twins_take(w, add ? y : NULL, n * rows * sizeof *y);
    for (size_t i = 0; i < 2; i++) {
        check_ok(w->of[i]->ops->matrix_new(w->of[i], &m[i], &st.src, &err), &err);
        check_ok(w->of[i]->ops->linear(w->of[i], m[i], w->dev[i][nx], n, bias ? w->dev[i][nb] : NULL, add,
                                       w->dev[i][ny], &err), &err);
    }
    twins_same(w, ny, n * rows * sizeof *y, msg);
    for (size_t i = 0; i < 2; i++)
        w->of[i]->ops->matrix_free(w->of[i], m[i]);
    twins_drop(w);
    drop_stored(&st);
    mem_free(x);
    mem_free(bv);
    mem_free(y);
}

static void linears(struct twins *w)
{
    static const enum quant whole[] = {QUANT_MXFP4_SPLIT, QUANT_MXFP4};
    static const size_t rows[] = {1, 7, 8, 9, 41};
    static const size_t odd[] = {1, 2, 31, 33, 100, 511, 513, 1100};
    for (size_t r = 0; r < 5; r++) {
        for (size_t c = 0; c < 8; c++) {
            linear_case(w, QUANT_BF16, rows[r], odd[c], 1, r % 2, c % 2);
            linear_case(w, QUANT_BF16, rows[r], odd[c], 2 + c, c % 2, r % 2);
        }
    }
    for (size_t r = 0; r < 5; r++) {
        for (size_t c = 0; c < 2; c++) {
            linear_case(w, whole[c], rows[r], 32, 1, false, false);
            linear_case(w, whole[c], rows[r], 512 + 32, 1, true, false);
            linear_case(w, whole[c], rows[r], 160, 9, false, true);
        }
    }
    linear_case(w, QUANT_MXFP4, 20, 10 * 512 + 64, 1, true, true);  // 11 segments
    linear_case(w, QUANT_BF16, 20, 18 * 512 + 3, 1, true, false);   // more segments than one block takes
    linear_case(w, QUANT_MXFP4_SPLIT, 20, 5 * 512, 17, true, false); // more than 4, eight rows at a time
    linear_case(w, QUANT_F32, 9, 70, 3, true, false); // decoded by the host
    linear_case(w, QUANT_F16, 9, 70, 1, false, true);
    linear_case(w, QUANT_Q5_1, 9, 64, 1, false, false);
    linear_case(w, QUANT_Q4_K, 9, 256, 2, false, false);
}

/* numerics.md: Q8_0 and Q4_0 keep their codes, C = fmaf(d, e + o, C). */
static float block_dot(const float *x, const uint8_t *row, enum quant q, size_t cols)
{
    const struct quant_type *t = quant_type(q);
    float total = 0.0f;
    for (size_t s = 0; s < cols; s += 512) {
        float c = 0.0f;
        for (size_t k = s; k < s + 512 && k < cols; k += 32) {
            const uint8_t *block = row + k / 32 * t->block_b;
            float e = 0.0f;
            float o = 0.0f;
            for (size_t i = 0; i < 32; i++) {
                int code = q == QUANT_Q8_0 ? (int8_t)block[2 + i] : (block[2 + i % 16] >> (i / 16 * 4) & 15) - 8;
                float *chain = i % 2 ? &o : &e;
                *chain = fmaf(x[k + i], (float)code, *chain);
            }
            c = fmaf(f16_to_f32((uint16_t)(block[0] | block[1] << 8)), e + o, c);
        }
        total = s == 0 ? c : total + c;
    }
    return total;
}

static void law_case(struct backend *b, enum quant q, size_t rows, size_t cols, size_t n)
{
    struct err err = ERR_INIT;
    struct stored st = new_stored("law", q, rows, cols);
    struct matrix *m = NULL;
    uint16_t *x = random_operands("law x", n, cols);
    float *wide = new_mem(operand_ld(cols), sizeof *wide);
    float *y = new_mem(n * rows, sizeof *y);
    void *dx = NULL;
    void *dy = NULL;
    st.data[0] = 1; // row 0, block 0: a subnormal half
    st.data[1] = 0;
    check_ok(b->ops->alloc(b, &dx, n * operand_ld(cols) * 2, "x", &err), &err);
    check_ok(b->ops->alloc(b, &dy, n * rows * sizeof *y, "y", &err), &err);
    check_ok(b->ops->upload(b, dx, x, n * operand_ld(cols) * 2, &err), &err);
    check_ok(b->ops->matrix_new(b, &m, &st.src, &err), &err);
    check_ok(b->ops->linear(b, m, dx, n, NULL, false, dy, &err), &err);
    check_ok(b->ops->download(b, y, dy, n * rows * sizeof *y, &err), &err);
    unsigned env = pool_numeric_env_enter();
    for (size_t t = 0; t < n; t++) {
        widen_row(x + t * operand_ld(cols), operand_ld(cols), wide);
        for (size_t r = 0; r < rows; r++) {
            float want = block_dot(wide, st.data + r * (cols / 32) * quant_type(q)->block_b, q, cols);
            if (memcmp(&want, &y[t * rows + r], sizeof want))
                fail_msg("%s rows %zu cols %zu n %zu: row %zu of %zu: %a, not %a", quant_type(q)->name, rows, cols, n, r,
                         t, (double)y[t * rows + r], (double)want);
        }
    }
    pool_numeric_env_leave(env);
    b->ops->matrix_free(b, m);
    b->ops->release(b, dx);
    b->ops->release(b, dy);
    drop_stored(&st);
    mem_free(x);
    mem_free(wide);
    mem_free(y);
}

static void laws(struct twins *w)
{
    static const enum quant q[] = {QUANT_Q8_0, QUANT_Q4_0};
    for (size_t i = 0; i < 2; i++) {
        law_case(w->of[1], q[i], 1, 32, 1);
        law_case(w->of[1], q[i], 9, 32 * 7, 3);
        law_case(w->of[1], q[i], 20, 512 * 5 + 96, 1);
        law_case(w->of[1], q[i], 7, 512 * 2, 9);
    }
}

/* Interleaved and stacked parts, and rows on demand, become the rows they should. */
static void read_row(const void *ctx, size_t row, size_t n, uint8_t *out)
{
    const struct stored *st = ctx;
    memcpy(out, st->data + row * st->src.n_cols * 2, n * st->src.n_cols * 2);
}

static void parts(struct twins *w)
{
    struct err err = ERR_INIT;
    struct stored a = new_stored("part a", QUANT_BF16, 5, 40);
    struct stored b = new_stored("part b", QUANT_BF16, 5, 40);
    uint16_t *x = random_operands("parts x", 1, 40);
    for (int interleave = 0; interleave < 2; interleave++) {
        struct matrix_source src = {.name = "parts", .quant = QUANT_BF16, .n_cols = 40, .n_parts = 2,
                                    .interleave = interleave};
        src.parts[0] = a.src.parts[0];
        src.parts[1] = (struct matrix_part){.n_rows = 5, .rows = {.read = read_row, .ctx = &b}};
        size_t nx = twins_take(w, x, 64 * 2);
        size_t ny = twins_take(w, NULL, 10 * sizeof(float));
        for (size_t i = 0; i < 2; i++) {
            struct matrix *m = NULL;
            check_ok(w->of[i]->ops->matrix_new(w->of[i], &m, &src, &err), &err);
            check_ok(w->of[i]->ops->linear(w->of[i], m, w->dev[i][nx], 1, NULL, false, w->dev[i][ny], &err), &err);
            w->of[i]->ops->matrix_free(w->of[i], m);
        }
        twins_same(w, ny, 10 * sizeof(float), interleave ? "interleaved" : "stacked");
        twins_drop(w);
    }
    drop_stored(&a);
    drop_stored(&b);
    mem_free(x);
}

static void moe_case(struct twins *w, enum quant q, size_t d, size_t f, size_t n, size_t e, size_t k, bool bad)
{
    struct err err = ERR_INIT;
    char msg[120];
    struct step_rows s = {.seq = {0}};
    struct stored up[8];
    struct stored down[8];
    struct matrix *mu[2][8];
    struct matrix *md[2][8];
    uint16_t *x = random_operands("moe x", n, d);
    float *bu = random_floats("moe bu", e * 2 * f, 1.0f);
    float *bd = random_floats("moe bd", e * d, 1.0f);
    float *y = random_floats("moe y", n * d, 1.0f);
    float *wt = random_floats("moe w", n * k, 0.5f);
    uint16_t *ids = new_mem(n * k, sizeof *ids);
    (void)snprintf(msg, sizeof msg, "moe quant %d d %zu f %zu n %zu E %zu k %zu bad %d", (int)q, d, f, n, e, k, bad);
    for (size_t i = 0; i < n * k; i++)
        ids[i] = (uint16_t)((i * 7 + i / k) % e); // some experts twice, some never
    for (size_t i = 0; i < e; i++) {
        up[i] = new_stored("up", q, 2 * f, d);
        down[i] = new_stored("down", q, d, f);
        if (i == 1 && q == QUANT_MXFP4) // extreme: this one is kept as bf16
            down[i].data[0] = 60;
    }
    if (bad)
        bu[ids[0] * 2 * f] = NAN;
    step_begin(w, &s, n);
    size_t nx = twins_take(w, x, n * operand_ld(d) * 2);
    size_t nu = twins_take(w, bu, e * 2 * f * sizeof *bu);
    size_t nd = twins_take(w, bd, e * d * sizeof *bd);
    size_t ny = twins_take(w, y, n * d * sizeof *y);
    size_t nw = twins_take(w, wt, n * k * sizeof *wt);
    size_t ni = twins_take(w, ids, n * k * sizeof *ids);
    for (size_t i = 0; i < 2; i++) {
        struct backend *b = w->of[i];
        struct moe m = {.n_experts = e, .n_used = k, .gate_up = mu[i], .down = md[i], .gate_up_bias = w->dev[i][nu],
                        .down_bias = w->dev[i][nd], .n_ff = f,
                        .glu = {.kind = GLU_CLAMPED, .limit = 7.0f, .alpha = 1.702f, .up_add = 1.0f}};
        for (size_t j = 0; j < e; j++) {
            check_ok(b->ops->matrix_new(b, &mu[i][j], &up[j].src, &err), &err);
            check_ok(b->ops->matrix_new(b, &md[i][j], &down[j].src, &err), &err);
        }
        for (size_t again = 0; again < 2; again++) // the second call finds the list of experts made
            check_ok(b->ops->moe(b, &m, w->dev[i][nx], d, w->dev[i][ni], w->dev[i][nw], &s.rows[i], 1, w->dev[i][ny],
                                 &err), &err);
    }
    twins_same(w, ny, n * d * sizeof *y, msg);
    step_end(w, &s, msg);
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < e; j++) {
            w->of[i]->ops->matrix_free(w->of[i], mu[i][j]);
            w->of[i]->ops->matrix_free(w->of[i], md[i][j]);
        }
    }
    for (size_t j = 0; j < e; j++) {
        drop_stored(&up[j]);
        drop_stored(&down[j]);
    }
    twins_drop(w);
    mem_free(x);
    mem_free(bu);
    mem_free(bd);
    mem_free(y);
    mem_free(wt);
    mem_free(ids);
}

static void moes(struct twins *w)
{
    moe_case(w, QUANT_MXFP4, 96, 64, 1, 4, 2, false);
    moe_case(w, QUANT_MXFP4, 96, 32, 19, 4, 2, false);
    moe_case(w, QUANT_MXFP4_SPLIT, 544, 96, 3, 8, 4, false);
    moe_case(w, QUANT_MXFP4_SPLIT, 64, 64, 40, 3, 1, false);
    moe_case(w, QUANT_BF16, 70, 37, 5, 3, 2, false);
    moe_case(w, QUANT_BF16, 70, 37, 1, 3, 3, true);
    moe_case(w, QUANT_BF16, 70, 37, 10, 3, 3, true);
}

/* A weight no operand can have is refused, with the words of the CPU backend. */
static void refused(struct twins *w)
{
    for (int kind = 0; kind < 3; kind++) {
        struct stored st = new_stored("bad", kind == 2 ? QUANT_MXFP4 : kind ? QUANT_F32 : QUANT_BF16, 20, 64);
        const uint32_t huge = 0x7f000000u;
        struct err err[2] = {ERR_INIT, ERR_INIT};
        struct matrix *m = NULL;
        if (kind == 0)
            st.data[(11 * 64 + 5) * 2 + 1] = 0x7f;
        else if (kind == 1)
            memcpy(st.data + (19 * 64 + 63) * 4, &huge, 4);
        else
            st.data[17 * 9] = 255;
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(w->of[i]->ops->matrix_new(w->of[i], &m, &st.src, &err[i]), ERR_RANGE);
        assert_string_equal(err[0].text, err[1].text);
        drop_stored(&st);
    }
}

static void test_linear(void **state)
{
    (void)state;
    each_order(linears);
}

static void test_law(void **state)
{
    (void)state;
    each_order(laws);
}

static void test_parts(void **state)
{
    (void)state;
    each_order(parts);
}

static void test_moe(void **state)
{
    (void)state;
    each_order(moes);
}

static void test_refused(void **state)
{
    (void)state;
    each_order(refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear), cmocka_unit_test(test_law),     cmocka_unit_test(test_parts),
        cmocka_unit_test(test_moe),    cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
