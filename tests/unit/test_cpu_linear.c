#include "cpu_test.h"

/* Matrices and their products: every instruction set and thread count against numerics.md's dot
 * product written out in cpu_test.h, odd shapes first; packing, ranges, poison, counters. */

#ifdef ASSAY_WRONG_SEGMENT_ORDER
enum { WRONG_BUILD = 1 };
#else
enum { WRONG_BUILD = 0 };
#endif

static struct matrix *new_matrix(struct backend *b, const struct matrix_source *src)
{
    struct matrix *m = NULL;
    struct err err = ERR_INIT;
    if (b->ops->matrix_new(b, &m, src, &err))
        fail_msg("%s", err.text);
    return m;
}

static bool is_scaled(enum quant q)
{
    return q == QUANT_Q8_0 || q == QUANT_Q4_0;
}

/* The operand of one weight; *scale: what multiplies its block's sum, of formats that keep it apart. */
static float source_weight(const struct matrix_source *s, size_t row, size_t k, float *scale)
{
    size_t part = 0;
    if (s->interleave) {
        part = row % s->n_parts;
        row /= s->n_parts;
    } else {
        while (row >= s->parts[part].n_rows)
            row -= s->parts[part++].n_rows;
    }
    const struct matrix_part *p = &s->parts[part];
    float v;
    if (is_scaled(s->quant)) {
        size_t block_b = s->quant == QUANT_Q8_0 ? 34 : 18;
        const uint8_t *block = p->rows.base + (row * (s->n_cols / 32) + k / 32) * block_b;
        *scale = f16_to_f32((uint16_t)(block[0] | block[1] << 8));
        if (s->quant == QUANT_Q8_0)
            return (float)(int8_t)block[2 + k % 32];
        return (float)(block[2 + k % 16] >> (k % 32 / 16 * 4) & 15) - 8.0f;
    }
    if (s->quant != QUANT_MXFP4_SPLIT && s->quant != QUANT_BF16) { // any other: fp32, rounded once
        const struct quant_type *type = quant_type(s->quant);
        size_t row_b = 0;
        float values[256];
        assert_true(quant_row_b(s->quant, s->n_cols, &row_b));
        const uint8_t *rows = p->rows.base ? p->rows.base : p->rows.ctx;
        type->decode(rows + row * row_b + k / type->block * type->block_b, values);
        v = bf16_to_f32(bf16_from_f32(values[k % type->block]));
    } else if (s->quant == QUANT_BF16) {
        const uint8_t *at = p->rows.base + (row * s->n_cols + k) * 2;
        v = bf16_to_f32((uint16_t)(at[0] | at[1] << 8));
    } else {
        size_t block = row * (s->n_cols / 32) + k / 32;
        unsigned byte = p->rows.base[block * 16 + k % 32 / 2];
        v = mxfp4_value(k % 2 ? byte >> 4 : byte & 15, p->scales.base[block]);
    }
    return fabsf(v) < 0x1p-56f ? 0.0f : v;
}

static size_t source_rows(const struct matrix_source *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_parts; i++)
        n += s->parts[i].n_rows;
    return n;
}

/* y for m rows by transcription. */
static float *expected(const struct matrix_source *s, const uint16_t *x, size_t m, const float *bias, const float *y0)
{
    size_t n = source_rows(s);
    float *y = new_mem(m * n, sizeof *y);
    float *w = new_mem(s->n_cols, sizeof *w);
    float *a = new_mem(s->n_cols, sizeof *a);
    float *d = new_mem(s->n_cols / 32 + 1, sizeof *d);
    for (size_t r = 0; r < n; r++) {
        for (size_t k = 0; k < s->n_cols; k++)
            w[k] = source_weight(s, r, k, &d[k / 32]);
        for (size_t t = 0; t < m; t++) {
            widen_row(x + t * operand_ld(s->n_cols), s->n_cols, a);
            float v = scaled_dot(a, w, is_scaled(s->quant) ? d : NULL, s->n_cols);
            if (bias)
                v = v + bias[r];
            y[t * n + r] = y0 ? y0[t * n + r] + v : v;
        }
    }
    mem_free(w);
    mem_free(a);
    mem_free(d);
    return y;
}

static void check_source(const struct matrix_source *s, size_t m)
{
    size_t n = source_rows(s);
    uint16_t *x = random_operands("x", m, s->n_cols);
    float *bias = random_floats("bias", n, 1.0f);
    float *y0 = random_floats("y0", m * n, 1.0f);
    float *plain = expected(s, x, m, NULL, NULL);
    float *full = expected(s, x, m, bias, y0);
    float *y = new_mem(m * n, sizeof *y);
    struct err err = ERR_INIT;
    for (const char *const *isa = cpu_isa_list(); *isa; isa++) {
        for (size_t threads = 1; threads <= 3; threads++) {
            struct backend *b = new_backend(*isa, threads);
            struct matrix *w = new_matrix(b, s);
            memset(y, 0xff, m * n * sizeof *y);
            assert_int_equal(b->ops->linear(b, w, x, m, NULL, false, y, &err), OK);
            assert_memory_equal(y, plain, m * n * sizeof *y);
            memcpy(y, y0, m * n * sizeof *y);
            assert_int_equal(b->ops->linear(b, w, x, m, bias, true, y, &err), OK);
            assert_memory_equal(y, full, m * n * sizeof *y);
            b->ops->matrix_free(b, w);
            b->ops->free(b);
        }
    }
    mem_free(x);
    mem_free(bias);
    mem_free(y0);
    mem_free(plain);
    mem_free(full);
    mem_free(y);
}

static const size_t some_rows[] = {1, 15, 16, 17, 50};
static const size_t some_m[] = {1, 2, 3, 5, 8, 17};

static void test_bf16(void **state)
{
    (void)state;
    static const size_t ks[] = {1, 31, 32, 33, 511, 512, 513, 1100, 2880};
    for (size_t i = 0; i < sizeof ks / sizeof ks[0]; i++) {
        for (size_t j = 0; j < sizeof some_rows / sizeof some_rows[0]; j++) {
            size_t n = some_rows[j];
            uint8_t *data = random_bf16("w", n, ks[i], 0.5f);
            struct matrix_source s = {.name = "w", .quant = QUANT_BF16, .n_cols = ks[i], .n_parts = 1,
                                      .parts = {PART(n, data, NULL)}};
            check_source(&s, some_m[(i + j) % 6]);
            if (ks[i] == 513 && n == 17)
                for (size_t m = 0; m < 6; m++)
                    check_source(&s, some_m[m]);
            mem_free(data);
        }
    }
}

static void test_mxfp4(void **state)
{
    (void)state;
    static const size_t ks[] = {32, 64, 96, 512, 544, 2880};
    for (size_t i = 0; i < sizeof ks / sizeof ks[0]; i++) {
        for (size_t j = 0; j < sizeof some_rows / sizeof some_rows[0]; j++) {
            size_t n = some_rows[j];
            uint8_t *blocks = random_bytes("blocks", n * ks[i] / 2, 0, 255);
            uint8_t *scales = random_bytes("scales", n * ks[i] / 32, 115, 125);
            struct matrix_source s = {.name = "w", .quant = QUANT_MXFP4_SPLIT, .n_cols = ks[i], .n_parts = 1,
                                      .parts = {PART(n, blocks, scales)}};
            check_source(&s, some_m[(i + j) % 6]);
            if (ks[i] == 544 && n == 17)
                for (size_t m = 0; m < 6; m++)
                    check_source(&s, some_m[m]);
            mem_free(blocks);
            mem_free(scales);
        }
    }
}

// Scales at and beyond both ends of what may be applied after the sum, in one matrix and alone.
static void test_mxfp4_extremes(void **state)
{
    (void)state;
    static const unsigned ends[][2] = {{72, 72}, {187, 187}, {71, 73}, {0, 130}, {72, 187}, {0, 1}};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        uint8_t *blocks = random_bytes("blocks", 20 * 64 / 2, 0, 255);
        uint8_t *scales = random_bytes("scales", 20 * 2, 0, 1);
        for (size_t b = 0; b < 40; b++) {
            scales[b] = (uint8_t)ends[i][scales[b]];
            for (size_t j = 0; j < 16 && scales[b] >= 185; j++)
                blocks[b * 16 + j] &= 0x99; // codes 0, 0.5 and their negatives: below 2^60
        }
        struct matrix_source s = {.name = "w", .quant = QUANT_MXFP4_SPLIT, .n_cols = 64, .n_parts = 1,
                                  .parts = {PART(20, blocks, scales)}};
        check_source(&s, 3);
        mem_free(blocks);
        mem_free(scales);
    }
}

// Scales that keep apart: any finite half, negative and subnormal too, and every code, -128 too.
static void test_scaled(void **state)
{
    (void)state;
    static const size_t ks[] = {32, 96, 512, 544, 2880};
    for (int q4 = 0; q4 < 2; q4++) {
        for (size_t i = 0; i < sizeof ks / sizeof ks[0]; i++) {
            for (size_t j = 0; j < sizeof some_rows / sizeof some_rows[0]; j++) {
                size_t n = some_rows[j], block_b = q4 ? 18 : 34;
                uint8_t *blocks = random_bytes(q4 ? "q4" : "q8", n * ks[i] / 32 * block_b, 0, 255);
                for (size_t b = 0; b < n * ks[i] / 32; b++)
                    blocks[b * block_b + 1] &= b % 3 ? 0xa3 : 0xbb; // exponents below the largest
                struct matrix_source s = {.name = "w", .quant = q4 ? QUANT_Q4_0 : QUANT_Q8_0, .n_cols = ks[i], .n_parts = 1,
                                          .parts = {PART(n, blocks, NULL)}};
                check_source(&s, some_m[(i + j) % 6]);
                if (ks[i] == 544 && n == 50)
                    for (size_t m = 0; m < 6; m++)
                        check_source(&s, some_m[m]);
                mem_free(blocks);
            }
        }
    }
}

static void test_parts(void **state)
{
    (void)state;
    uint8_t *a = random_bf16("a", 20, 40, 1.0f);
    uint8_t *c = random_bf16("c", 20, 40, 1.0f);
    uint8_t *d = random_bf16("d", 7, 40, 1.0f);
    struct matrix_source stacked = {.name = "qkv", .quant = QUANT_BF16, .n_cols = 40, .n_parts = 3,
                                    .parts = {PART(20, a, NULL), PART(20, c, NULL), PART(7, d, NULL)}};
    check_source(&stacked, 2);
    struct matrix_source paired = {.name = "gate_up", .quant = QUANT_BF16, .n_cols = 40, .n_parts = 2,
                                   .parts = {PART(20, a, NULL), PART(20, c, NULL)}, .interleave = true};
    check_source(&paired, 2);
    struct backend *b = new_backend("scalar", 1);
    struct matrix *m = NULL;
    struct err err = ERR_INIT;
    struct matrix_source bad = {.name = "gate_up", .quant = QUANT_BF16, .n_cols = 40, .n_parts = 2,
                                .parts = {PART(20, a, NULL), PART(7, d, NULL)}, .interleave = true};
    assert_int_equal(b->ops->matrix_new(b, &m, &bad, &err), ERR_SHAPE);
    bad = (struct matrix_source){.name = "w", .quant = QUANT_MXFP4_SPLIT, .n_cols = 40, .n_parts = 1,
                                 .parts = {PART(1, a, a)}};
    assert_int_equal(b->ops->matrix_new(b, &m, &bad, &err), ERR_SHAPE);
    b->ops->free(b);
    mem_free(a);
    mem_free(c);
    mem_free(d);
}

static void read_f32_rows(const void *ctx, size_t row, size_t n, uint8_t *out)
{
    const uint8_t *data = ctx;
    memcpy(out, data + row * 40 * 4, n * 40 * 4);
}

// Formats without tiles of their own, rows that are not in place, GGUF's MXFP4 blocks.
static void test_stored_formats(void **state)
{
    (void)state;
    float *f = random_floats("f", 33 * 40, 1.0f);
    struct matrix_source s = {.name = "w", .quant = QUANT_F32, .n_cols = 40, .n_parts = 1,
                              .parts = {PART(33, (const uint8_t *)f, NULL)}};
    check_source(&s, 3);
    s.parts[0].rows = (struct row_reader){.read = read_f32_rows, .ctx = f};
    check_source(&s, 3);
    mem_free(f);
    uint8_t *h = random_bytes("h", 33 * 40 * 2, 0, 0x3f); // halves of small magnitude, subnormal ones too
    s = (struct matrix_source){.name = "w", .quant = QUANT_F16, .n_cols = 40, .n_parts = 1, .parts = {PART(33, h, NULL)}};
    check_source(&s, 3);
    mem_free(h);
    uint8_t *blocks = random_bytes("b", 33 * 3 * 17, 0, 255);
    for (size_t i = 0; i < 33 * 3; i++)
        blocks[i * 17] = (uint8_t)(100 + i % 20);
    s = (struct matrix_source){.name = "w", .quant = QUANT_MXFP4, .n_cols = 96, .n_parts = 1, .parts = {PART(33, blocks, NULL)}};
    check_source(&s, 3);
    blocks[17] = 40; // a scale too small for the block's sum: kept as bf16
    check_source(&s, 3);
    mem_free(blocks);
}

// Weights below 2^-56 are 0 in a product and themselves in an embedding row.
static void test_embed(void **state)
{
    (void)state;
    static const uint16_t values[] = {0x3f80, 0x0001, 0x8000, 0x237f, 0x2380, 0xa37f, 0x0080, 0x5d7f};
    for (int tiny = 0; tiny < 2; tiny++) {
        uint8_t *data = random_bf16("e", 33, 24, 1.0f);
        for (size_t i = 0; i < 8 && tiny; i++) {
            data[(17 * 24 + i) * 2] = (uint8_t)values[i];
            data[(17 * 24 + i) * 2 + 1] = (uint8_t)(values[i] >> 8);
        }
        struct matrix_source s = {.name = "embed", .quant = QUANT_BF16, .n_cols = 24, .n_parts = 1,
                                  .parts = {PART(33, data, NULL)}};
        check_source(&s, 2);
        struct backend *b = new_backend("scalar", 2);
        struct table *m = NULL;
        int32_t ids[5] = {0, 17, 32, 17, 5};
        float x[5 * 24];
        struct err err = ERR_INIT;
        assert_int_equal(b->ops->table_new(b, &m, &s, &err), OK);
        assert_int_equal(b->ops->table_bytes(m), 33 * 24 * 2);
        assert_int_equal(b->ops->embed(b, m, ids, 5, x, 24, &err), OK);
        for (size_t t = 0; t < 5; t++)
            for (size_t k = 0; k < 24; k++) {
                size_t at = ((size_t)ids[t] * 24 + k) * 2;
                float want = bf16_to_f32((uint16_t)(data[at] | data[at + 1] << 8));
                assert_memory_equal(&x[t * 24 + k], &want, sizeof want);
            }
        ids[3] = 33;
        assert_int_equal(b->ops->embed(b, m, ids, 5, x, 24, &err), ERR_RANGE);
        ids[3] = -1;
        assert_int_equal(b->ops->embed(b, m, ids, 5, x, 24, &err), ERR_RANGE);
        b->ops->table_free(b, m);
        b->ops->free(b);
        mem_free(data);
    }
}

static void expect_range(const struct matrix_source *s, const char *row_col, const char *found)
{
    for (size_t threads = 1; threads <= 3; threads++) {
        struct backend *b = new_backend("auto", threads);
        struct matrix *m = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(b->ops->matrix_new(b, &m, s, &err), ERR_RANGE);
        assert_non_null(strstr(err.text, s->name));
        assert_non_null(strstr(err.text, row_col));
        assert_non_null(strstr(err.text, found));
        struct backend_counters c;
        b->ops->counters(b, &c);
        assert_int_equal(c.alloc_bytes, 0);
        b->ops->free(b);
    }
}

static void test_weight_range(void **state)
{
    (void)state;
    static const uint16_t bad[] = {0x5d80, 0x7f80, 0x7fc0, 0xdd80};
    uint8_t *data = random_bf16("w", 200, 40, 1.0f);
    struct matrix_source s = {.name = "layer 3 o_proj", .quant = QUANT_BF16, .n_cols = 40, .n_parts = 1,
                              .parts = {PART(200, data, NULL)}};
    for (size_t i = 0; i < 4; i++) {
        data[(150 * 40 + 3) * 2] = data[(77 * 40 + 39) * 2] = (uint8_t)bad[i];
        data[(150 * 40 + 3) * 2 + 1] = data[(77 * 40 + 39) * 2 + 1] = (uint8_t)(bad[i] >> 8);
        expect_range(&s, "row 77 column 39", "found");
    }
    mem_free(data);
    uint8_t *blocks = random_bytes("blocks", 70 * 32, 0, 255);
    uint8_t *scales = random_bytes("scales", 70 * 2, 120, 124);
    s = (struct matrix_source){.name = "expert 2", .quant = QUANT_MXFP4_SPLIT, .n_cols = 64, .n_parts = 1,
                               .parts = {PART(70, blocks, scales)}};
    scales[60 * 2 + 1] = 255;
    expect_range(&s, "row 60 column 32", "scale byte 255");
    uint8_t *halves = random_bytes("halves", 70 * 2 * 34, 0, 63);
    struct matrix_source q = {.name = "expert 3", .quant = QUANT_Q8_0, .n_cols = 64, .n_parts = 1,
                              .parts = {PART(70, halves, NULL)}};
    halves[(60 * 2 + 1) * 34 + 1] = 0xfc; // minus infinity or NaN
    expect_range(&q, "row 60 column 32", "found");
    mem_free(halves);
    memset(blocks, 0, 70 * 32);
    expect_range(&s, "row 60 column 32", "scale byte 255");
    scales[60 * 2 + 1] = 185; // 2^58: 4 is too large, 3 is not
    blocks[(60 * 2 + 1) * 16 + 2] = 0x50;
    check_source(&s, 1);
    blocks[(60 * 2 + 1) * 16 + 2] = 0xe0;
    expect_range(&s, "row 60 column 37", "-1.15");
    scales[60 * 2 + 1] = 254; // any value is too large, zeros are not
    expect_range(&s, "row 60 column 37", "found");
    blocks[(60 * 2 + 1) * 16 + 2] = 0;
    check_source(&s, 1);
    mem_free(blocks);
    mem_free(scales);
}

static void test_poison(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    uint8_t *blocks = random_bytes("blocks", 20 * 2 * 34, 0, 63);
    uint8_t *scales = random_bytes("scales", 20 * 2, 120, 124);
    uint16_t *x = random_operands("x", 9, 64);
    float y[9 * 20];
    static const enum quant formats[] = {QUANT_MXFP4_SPLIT, QUANT_MXFP4_SPLIT, QUANT_Q8_0, QUANT_Q4_0, QUANT_BF16};
    for (size_t f = 0; f < 5; f++) {
        scales[3] = f == 1 ? 10 : 120; // extreme: kept as bf16
        struct matrix_source s = {.name = "w", .quant = formats[f], .n_cols = formats[f] == QUANT_BF16 ? 32 : 64,
                                  .n_parts = 1, .parts = {PART(20, blocks, scales)}};
        for (const char *const *isa = cpu_isa_list(); *isa; isa++) {
            struct backend *b = new_backend(*isa, 1);
            struct matrix *m = new_matrix(b, &s);
            b->ops->matrix_poison(m);
            assert_int_equal(b->ops->linear(b, m, x, 9, NULL, false, y, &err), OK);
            for (size_t i = 0; i < 9 * 20; i++)
                assert_true(isnan(y[i]));
            b->ops->matrix_free(b, m);
            b->ops->free(b);
        }
    }
    mem_free(blocks);
    mem_free(scales);
    mem_free(x);
}

// One call reads every tile once, whatever the number of rows; a row's bits do not depend on the others.
static void test_batch(void **state)
{
    (void)state;
    enum { K = 600, N = 40, M = 600 };
    struct err err = ERR_INIT;
    uint8_t *data = random_bf16("w", N, K, 0.1f);
    uint16_t *x = random_operands("x", M, K);
    struct matrix_source s = {.name = "w", .quant = QUANT_BF16, .n_cols = K, .n_parts = 1,
                              .parts = {PART(N, data, NULL)}};
    float *want = new_mem(M * N, sizeof *want);
    float *y = new_mem(M * N, sizeof *y);
    struct backend *b = new_backend("auto", 2);
    struct matrix *m = new_matrix(b, &s);
    for (size_t t = 0; t < M; t++)
        assert_int_equal(b->ops->linear(b, m, x + t * operand_ld(K), 1, NULL, false, want + t * N, &err), OK);
    struct backend_counters c0, c1;
    b->ops->counters(b, &c0);
    assert_int_equal(c0.weight_bytes_read, M * b->ops->matrix_bytes(m));
    assert_int_equal(c0.dots, M * N);
    for (size_t n = 1; n <= 64; n = n < 20 ? n + 1 : n + 11) {
        b->ops->counters(b, &c0);
        assert_int_equal(b->ops->linear(b, m, x, n, NULL, false, y, &err), OK);
        b->ops->counters(b, &c1);
        assert_memory_equal(y, want, n * N * sizeof *y);
        assert_int_equal(c1.weight_bytes_read - c0.weight_bytes_read, b->ops->matrix_bytes(m));
    }
    assert_int_equal(b->ops->linear(b, m, x, M, NULL, false, y, &err), OK); // two passes
    assert_memory_equal(y, want, M * N * sizeof *y);
    b->ops->counters(b, &c1);
    assert_int_equal(c1.alloc_bytes, b->ops->matrix_bytes(m));
    b->ops->matrix_free(b, m);
    b->ops->counters(b, &c1);
    assert_int_equal(c1.alloc_bytes, 0);
    b->ops->free(b);
    mem_free(data);
    mem_free(x);
    mem_free(want);
    mem_free(y);
}

static void test_memory(void **state)
{
    (void)state;
    struct backend *b = new_backend("auto", 1);
    struct err err = ERR_INIT;
    void *p, *q;
    assert_int_equal(b->ops->alloc(b, &p, 1000, "p", &err), OK);
    assert_int_equal(b->ops->alloc(b, &q, 24, "q", &err), OK);
    assert_int_equal((uintptr_t)p % 64, 0);
    char in[24] = "abc", out[24];
    assert_int_equal(b->ops->upload(b, q, in, 24, &err), OK);
    assert_int_equal(b->ops->download(b, out, q, 24, &err), OK);
    assert_memory_equal(in, out, 24);
    struct backend_counters c;
    b->ops->counters(b, &c);
    assert_int_equal(c.alloc_bytes, 1024);
    b->ops->release(b, p);
    b->ops->counters(b, &c);
    assert_int_equal(c.alloc_bytes, 24);
    assert_int_equal(c.alloc_peak_bytes, 1024);
    mem_fail_after(1);
    assert_int_equal(b->ops->alloc(b, &p, 8, "the thing", &err), ERR_MEMORY);
    assert_non_null(strstr(err.text, "the thing"));
    assert_int_equal(b->ops->alloc(b, &p, SIZE_MAX - 8, "p", &err), ERR_MEMORY);
    b->ops->release(b, q);
    b->ops->free(b);
    for (size_t i = 1; i <= 5; i++) { // every allocation of the constructor
        mem_fail_after(i);
        enum status s = cpu_backend_new(&b, "auto", 2, &err);
        mem_fail_after(0);
        if (s == OK)
            b->ops->free(b);
        else
            assert_int_equal(s, ERR_MEMORY);
    }
}

static void test_isa(void **state)
{
    (void)state;
    struct backend *b = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(cpu_backend_new(&b, "sse9", 1, &err), ERR_USAGE);
    assert_non_null(strstr(err.text, "sse9"));
    assert_non_null(strstr(err.text, "scalar"));
    assert_int_equal(cpu_backend_new(&b, "auto", 0, &err), ERR_RANGE);
    const char *best = NULL;
    for (const char *const *isa = cpu_isa_list(); *isa; isa++) {
        b = new_backend(*isa, 2);
        assert_string_equal(b->ops->isa(b), *isa);
        assert_int_equal(b->ops->n_threads(b), 2);
        best = *isa;
        b->ops->free(b);
    }
    b = new_backend("auto", 1);
    assert_string_equal(b->ops->isa(b), best);
    assert_string_equal(b->ops->name, "cpu");
    b->ops->free(b);
}

// The scalar twin and the others agree on more than one segment; in the build that is wrong on purpose
// they must not, even for two segments, whose sums commute.
static void test_segments(void **state)
{
    (void)state;
    static const size_t ks[] = {544, 768, 2880};
    struct err err = ERR_INIT;
    for (size_t i = 0; i < 3; i++) {
        uint8_t *data = random_bf16("w", 64, ks[i], 0.1f);
        uint16_t *x = random_operands("x", 1, ks[i]);
        struct matrix_source s = {.name = "w", .quant = QUANT_BF16, .n_cols = ks[i], .n_parts = 1,
                                  .parts = {PART(64, data, NULL)}};
        float want[64], y[64];
        for (const char *const *isa = cpu_isa_list(); *isa; isa++) {
            struct backend *b = new_backend(*isa, 1);
            struct matrix *m = new_matrix(b, &s);
            assert_int_equal(b->ops->linear(b, m, x, 1, NULL, false, y, &err), OK);
            if (isa == cpu_isa_list())
                memcpy(want, y, sizeof y);
            else
                assert_int_equal(memcmp(y, want, sizeof y) != 0, WRONG_BUILD);
            b->ops->matrix_free(b, m);
            b->ops->free(b);
        }
        mem_free(data);
        mem_free(x);
    }
}

int main(void)
{
    const struct CMUnitTest wrong_build[] = {cmocka_unit_test(test_segments)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_bf16),   cmocka_unit_test(test_mxfp4),        cmocka_unit_test(test_mxfp4_extremes),
        cmocka_unit_test(test_scaled), cmocka_unit_test(test_parts), cmocka_unit_test(test_stored_formats),  cmocka_unit_test(test_embed),        cmocka_unit_test(test_weight_range),
        cmocka_unit_test(test_poison), cmocka_unit_test(test_batch),        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_isa),
    };
    if (WRONG_BUILD) // the others would fail, as they should
        return cmocka_run_group_tests(wrong_build, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
