#include "cpu_test.h"

/* The cache and attention against numerics.md written out over plain arrays of positions: groups of
 * heads, windows, rings, sinks, q and k norms, every instruction set, thread count and chunking; several
 * sequences in a step; byte counts and failures of the page allocator; faults. */

enum { T = 300 }; // past the first key block of 256

struct config {
    const char *name;
    size_t n_heads, n_kv_heads, head_dim, window;
    bool sinks, norms;
};

static const struct config configs[] = {
    {"gpt-oss window", 8, 2, 64, 16, true, false},
    {"gpt-oss full", 8, 2, 64, 0, true, false},
    {"qwen3", 4, 2, 128, 0, false, true},
    {"yi group of 7", 14, 2, 16, 0, false, false},
    {"window over two key blocks", 3, 1, 24, 100, false, false},
    {"window of one", 2, 2, 16, 1, true, false},
};
enum { N_CONFIGS = sizeof configs / sizeof configs[0] };

struct data {
    const struct config *c;
    size_t width;                 // (H + 2K) h
    float *qkv;                   // (T, width)
    float *cos, *sin;             // (T, h/2)
    float *q_norm, *k_norm;       // (h) or NULL
    float *sinks;                 // (H) or NULL
    uint16_t *q, *out;            // (T, operand_ld(H h)) expected
};

static const float eps = 1e-6f;

static void prepare_head(const struct data *d, size_t t, size_t head, float *x)
{
    size_t h = d->c->head_dim;
    memcpy(x, d->qkv + t * d->width + head * h, h * sizeof *x);
    if (head >= d->c->n_heads + d->c->n_kv_heads) // v
        goto round;
    const float *w = head < d->c->n_heads ? d->q_norm : d->k_norm;
    if (w) {
        float mean = chains_of(x, x, h) / (float)h;
        float r = sqrtf(mean + eps);
        for (size_t i = 0; i < h; i++) {
            float y = x[i] / r;
            x[i] = y * w[i];
        }
    }
    for (size_t i = 0; i < h / 2; i++) {
        float a = x[i], b = x[i + h / 2];
        float c = d->cos[t * (h / 2) + i], s = d->sin[t * (h / 2) + i];
        float bs = b * s, as = a * s;
        x[i] = fmaf(a, c, -bs);
        x[i + h / 2] = fmaf(b, c, as);
    }
round:
    for (size_t i = 0; i < h; i++)
        x[i] = bf16_to_f32(bf16_operand(x[i]));
}

// "Attention" of numerics.md for one query head; k, v (T, h), everything by absolute position
static void attend(const float *q, const float *k, const float *v, size_t h, size_t pos, size_t window, float scale,
                   const float *sink, uint16_t *out)
{
    float m = 0, l = 0, o[128] = {0};
    bool started = sink != NULL;
    if (sink) {
        m = *sink;
        l = 1.0f;
    }
    for (size_t b = 0; b <= pos; b += 256) {
        float s[256], p[256] = {0}, column[256];
        bool see[256], any = false;
        float mb = -INFINITY;
        for (size_t i = 0; i < 256; i++) {
            size_t j = b + i;
            see[i] = j <= pos && (!window || j + window > pos);
            if (!see[i])
                continue;
            any = true;
            s[i] = canonical_dot(q, k + j * h, h) * scale;
            mb = s[i] > mb ? s[i] : mb;
        }
        if (!any)
            continue;
        for (size_t i = 0; i < 256; i++)
            p[i] = see[i] ? fm_exp(s[i] - mb) : 0.0f;
        float lb = chains_of(p, NULL, 256);
        for (size_t i = 0; i < 256; i++)
            p[i] = bf16_to_f32(bf16_operand(p[i]));
        float top = started && m > mb ? m : mb;
        float ea = started ? fm_exp(m - top) : 0, eb = fm_exp(mb - top);
        for (size_t i = 0; i < h; i++) {
            for (size_t j = 0; j < 256; j++)
                column[j] = see[j] ? v[(b + j) * h + i] : 0.0f;
            float ob = canonical_dot(p, column, 256);
            float obe = ob * eb;
            o[i] = started ? fmaf(o[i], ea, obe) : ob;
        }
        float lbe = lb * eb;
        l = started ? fmaf(l, ea, lbe) : lb;
        m = top;
        started = true;
    }
    for (size_t i = 0; i < h; i++)
        out[i] = bf16_operand(o[i] / l);
}

static float scale_of(size_t h)
{
    return (float)(1.0 / sqrt((double)h));
}

static void setup(struct data *d, const struct config *c, const char *name)
{
    size_t h = c->head_dim;
    *d = (struct data){.c = c, .width = (c->n_heads + 2 * c->n_kv_heads) * h};
    d->qkv = random_floats(name, T * d->width, 2.0f);
    d->cos = new_mem(T * h / 2, sizeof(float));
    d->sin = new_mem(T * h / 2, sizeof(float));
    for (size_t t = 0; t < T; t++)
        for (size_t i = 0; i < h / 2; i++) {
            double angle = (double)t * pow(10000.0, -2.0 * (double)i / (double)h);
            d->cos[t * (h / 2) + i] = (float)cos(angle);
            d->sin[t * (h / 2) + i] = (float)sin(angle);
        }
    if (c->norms) {
        d->q_norm = random_floats("q_norm", h, 1.0f);
        d->k_norm = random_floats("k_norm", h, 1.0f);
    }
    if (c->sinks)
        d->sinks = random_floats("sinks", c->n_heads, 1.0f);
    size_t ld = operand_ld(c->n_heads * h);
    d->q = new_mem(T * ld, sizeof(uint16_t));
    d->out = new_mem(T * ld, sizeof(uint16_t));
    float *k = new_mem(c->n_kv_heads * T * h, sizeof *k);
    float *v = new_mem(c->n_kv_heads * T * h, sizeof *v);
    for (size_t t = 0; t < T; t++)
        for (size_t head = 0; head < c->n_kv_heads; head++) {
            prepare_head(d, t, c->n_heads + head, k + (head * T + t) * h);
            prepare_head(d, t, c->n_heads + c->n_kv_heads + head, v + (head * T + t) * h);
        }
    for (size_t t = 0; t < T; t++)
        for (size_t head = 0; head < c->n_heads; head++) {
            float q[128];
            size_t kv = head / (c->n_heads / c->n_kv_heads);
            prepare_head(d, t, head, q);
            for (size_t i = 0; i < h; i++)
                d->q[t * ld + head * h + i] = bf16_operand(q[i]);
            attend(q, k + kv * T * h, v + kv * T * h, h, t, c->window, scale_of(h), d->sinks ? &d->sinks[head] : NULL,
                   d->out + t * ld + head * h);
        }
    mem_free(k);
    mem_free(v);
}

static void teardown(struct data *d)
{
    mem_free(d->qkv);
    mem_free(d->cos);
    mem_free(d->sin);
    mem_free(d->q_norm);
    mem_free(d->k_norm);
    mem_free(d->sinks);
    mem_free(d->q);
    mem_free(d->out);
}

static struct kv *new_kv(struct backend *b, const struct config *c, size_t n_seqs, size_t chunk)
{
    struct kv_shape shape = {.n_layers = 2, .n_kv_heads = c->n_kv_heads, .head_dim = c->head_dim, .n_seqs = n_seqs,
                             .n_pos = T, .chunk = chunk, .windows = (size_t[]){0, c->window}};
    struct kv *kv = NULL;
    struct err err = ERR_INIT;
    if (b->ops->kv_new(b, &kv, &shape, &err))
        fail_msg("%s", err.text);
    return kv;
}

/* One step: rows (seq[i], pos[i]), all through layer 1, against what is expected of their positions. */
static void step(struct backend *b, struct kv *kv, const struct data *const *d, const uint32_t *seq,
                 const uint32_t *pos, size_t n)
{
    const struct config *c = d[0]->c;
    size_t ld = operand_ld(c->n_heads * c->head_dim);
    float *qkv = new_mem(n * d[0]->width, sizeof *qkv);
    uint16_t *q = new_mem(n * ld, sizeof *q);
    uint16_t *out = new_mem(n * ld, sizeof *out);
    uint32_t *fault = new_mem(n, sizeof *fault);
    struct err err = ERR_INIT;
    memset(q, 0xee, n * ld * sizeof *q);
    memset(out, 0xee, n * ld * sizeof *out);
    for (size_t t = 0; t < n; t++) {
        memcpy(qkv + t * d[0]->width, d[seq[t]]->qkv + pos[t] * d[0]->width, d[0]->width * sizeof *qkv);
        assert_int_equal(b->ops->kv_resize(kv, seq[t], pos[t] + 1, &err), OK);
    }
    struct rows rows = {.n = n, .seq = seq, .pos = pos, .fault = fault};
    struct qkv_args qa = {.n_heads = c->n_heads, .n_kv_heads = c->n_kv_heads, .head_dim = c->head_dim, .eps = eps,
                          .q_norm = d[0]->q_norm, .k_norm = d[0]->k_norm, .cos = d[0]->cos, .sin = d[0]->sin};
    struct attention_args aa = {.n_heads = c->n_heads, .n_kv_heads = c->n_kv_heads, .head_dim = c->head_dim,
                                .sinks = d[0]->sinks, .window = c->window, .scale = scale_of(c->head_dim)};
    assert_int_equal(b->ops->qkv_store(b, kv, 1, &qa, qkv, &rows, q, &err), OK);
    assert_int_equal(b->ops->attention(b, kv, 1, &aa, q, &rows, out, &err), OK);
    for (size_t t = 0; t < n; t++) {
        assert_int_equal(fault[t], 0);
        assert_memory_equal(q + t * ld, d[seq[t]]->q + pos[t] * ld, ld * sizeof *q);
        if (memcmp(out + t * ld, d[seq[t]]->out + pos[t] * ld, ld * sizeof *out) != 0)
            fail_msg("%s, %s, %zu threads: row %zu (sequence %u position %u) differs", c->name, b->ops->isa(b),
                     b->ops->n_threads(b), t, seq[t], pos[t]);
    }
    mem_free(qkv);
    mem_free(q);
    mem_free(out);
    mem_free(fault);
}

static void feed(struct backend *b, struct kv *kv, const struct data *d, size_t chunk)
{
    uint32_t seq[T] = {0}, pos[T];
    for (size_t t = 0; t < T; t += chunk) {
        size_t n = T - t < chunk ? T - t : chunk;
        for (size_t i = 0; i < n; i++)
            pos[i] = (uint32_t)(t + i);
        step(b, kv, &d, seq, pos, n);
    }
}

static void test_chunks(void **state)
{
    (void)state;
    static const size_t chunks[] = {1, 7, 64, T};
    for (size_t i = 0; i < N_CONFIGS; i++) {
        struct data d;
        setup(&d, &configs[i], "seq 0");
        for (const char *const *isa = cpu_isa_list(); *isa; isa++) {
            for (size_t j = 0; j < 4; j++) {
                size_t threads = 1 + (i + j) % 3;
                if (isa == cpu_isa_list() && j != i % 4)
                    continue; // the scalar twin is slow: one chunking a configuration
                struct backend *b = new_backend(*isa, threads);
                struct kv *kv = new_kv(b, &configs[i], 1, chunks[j]);
                feed(b, kv, &d, chunks[j]);
                assert_int_equal(b->ops->kv_resize(kv, 0, 0, NULL), OK);
                if (j == 1)
                    feed(b, kv, &d, chunks[j]); // pages that held something else
                b->ops->kv_free(b, kv);
                struct backend_counters count;
                b->ops->counters(b, &count);
                assert_int_equal(count.alloc_bytes, 0);
                b->ops->free(b);
            }
        }
        teardown(&d);
    }
}

// Sequences that start, advance and end at different times give what each gives alone.
static void test_strangers(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CONFIGS; i += 3) {
        struct data d[3];
        const struct data *ds[3] = {&d[0], &d[1], &d[2]};
        setup(&d[0], &configs[i], "seq 0");
        setup(&d[1], &configs[i], "seq 1");
        setup(&d[2], &configs[i], "seq 2");
        struct backend *b = new_backend("auto", 2);
        struct kv *kv = new_kv(b, &configs[i], 3, 40);
        size_t at[3] = {0, 0, 0};
        uint32_t seq[120], pos[120];
        for (size_t round = 0; round < 14; round++) {
            size_t n = 0;
            for (uint32_t s = 0; s < 3; s++) {
                size_t take = (round * 13 + s * 29) % 41; // 0..40
                for (size_t j = 0; j < take && at[s] < T; j++, n++) {
                    seq[n] = s;
                    pos[n] = (uint32_t)at[s]++;
                }
            }
            if (n)
                step(b, kv, ds, seq, pos, n);
            if (round == 6) { // sequence 1 ends, another begins in its place
                assert_int_equal(b->ops->kv_resize(kv, 1, 0, NULL), OK);
                at[1] = 0;
            }
        }
        b->ops->kv_free(b, kv);
        b->ops->free(b);
        for (size_t s = 0; s < 3; s++)
            teardown(&d[s]);
    }
}

static void expect_bytes(struct backend *b, const struct kv *kv, uint64_t reserved, uint64_t live, uint64_t used)
{
    struct kv_bytes n;
    struct backend_counters c;
    b->ops->kv_count(kv, &n);
    b->ops->counters(b, &c);
    assert_int_equal(n.reserved, reserved);
    assert_int_equal(n.live, live);
    assert_int_equal(n.used, used);
    assert_int_equal(c.alloc_bytes, reserved);
}

// A page of 2 heads of 64 is 32 positions x 512 bytes. Layers: full, window 16 with chunk 20 (2 pages).
static void test_bytes(void **state)
{
    (void)state;
    const uint64_t page = 32 * 512;
    struct err err = ERR_INIT;
    struct backend *b = new_backend("auto", 1);
    struct kv *kv = new_kv(b, &configs[0], 2, 20);
    expect_bytes(b, kv, 0, 0, 0);
    assert_int_equal(b->ops->kv_resize(kv, 0, 1, &err), OK);
    expect_bytes(b, kv, 2 * page, 2 * page, 2 * 512);
    assert_int_equal(b->ops->kv_resize(kv, 0, 32, &err), OK);
    expect_bytes(b, kv, 2 * page, 2 * page, (32 + 16) * 512);
    assert_int_equal(b->ops->kv_resize(kv, 0, 33, &err), OK);
    expect_bytes(b, kv, 4 * page, 4 * page, (33 + 16) * 512);
    assert_int_equal(b->ops->kv_resize(kv, 0, T, &err), OK);
    expect_bytes(b, kv, 12 * page, 12 * page, (T + 16) * 512);
    assert_int_equal(b->ops->kv_resize(kv, 0, 40, &err), OK); // shrinking gives pages back
    expect_bytes(b, kv, 12 * page, 4 * page, (40 + 16) * 512);
    assert_int_equal(b->ops->kv_resize(kv, 1, 100, &err), OK); // and they are used again
    expect_bytes(b, kv, 12 * page, 10 * page, (40 + 16 + 100 + 16) * 512);
    assert_int_equal(b->ops->kv_resize(kv, 0, 0, &err), OK);
    assert_int_equal(b->ops->kv_resize(kv, 1, 0, &err), OK);
    expect_bytes(b, kv, 12 * page, 0, 0);
    assert_int_equal(b->ops->kv_resize(kv, 0, T + 1, &err), ERR_CONTEXT);
    assert_int_equal(b->ops->kv_resize(kv, 2, 1, &err), ERR_RANGE);
    b->ops->kv_free(b, kv);
    struct backend_counters c;
    b->ops->counters(b, &c);
    assert_int_equal(c.alloc_bytes, 0);
    assert_int_equal(c.alloc_peak_bytes, 12 * page);
    b->ops->free(b);
}

// A window whose ring would not be shorter than the sequence keeps all; a doubled window doubles its bytes.
static void test_rings(void **state)
{
    (void)state;
    static const size_t cases[][3] = {{16, 16, 1}, {16, 17, 2}, {32, 32, 2}, {128, 1, 5}, {299, 1, 10}, {300, 64, 10}};
    struct backend *b = new_backend("auto", 1);
    for (size_t i = 0; i < 6; i++) {
        struct config c = configs[0];
        c.window = cases[i][0];
        struct kv *kv = new_kv(b, &c, 1, cases[i][1]);
        struct kv_bytes n;
        assert_int_equal(b->ops->kv_resize(kv, 0, T, NULL), OK);
        b->ops->kv_count(kv, &n);
        assert_int_equal(n.live, (10 + cases[i][2]) * 32 * 512);
        assert_int_equal(n.used, (T + cases[i][0]) * 512);
        b->ops->kv_free(b, kv);
    }
    b->ops->free(b);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct backend *b = new_backend("auto", 1);
    struct err err = ERR_INIT;
    struct kv *kv = new_kv(b, &configs[0], 2, 20);
    assert_int_equal(b->ops->kv_resize(kv, 0, 40, &err), OK);
    for (size_t i = 1; i <= 5; i++) {
        struct kv_bytes before, after;
        b->ops->kv_count(kv, &before);
        mem_fail_after(i);
        enum status s = b->ops->kv_resize(kv, 1, T, &err);
        mem_fail_after(0);
        assert_int_equal(s, ERR_MEMORY);
        b->ops->kv_count(kv, &after);
        assert_int_equal(after.live, before.live); // nothing half-taken
        assert_int_equal(after.used, before.used);
    }
    b->ops->kv_free(b, kv);
    for (size_t i = 1; i <= 4; i++) {
        struct kv_shape shape = {.n_layers = 1, .n_kv_heads = 1, .head_dim = 16, .n_seqs = 1, .n_pos = 8, .chunk = 1};
        mem_fail_after(i);
        assert_int_equal(b->ops->kv_new(b, &kv, &shape, &err), ERR_MEMORY);
        mem_fail_after(0);
    }
    struct kv_shape bad = {.n_layers = 1, .n_kv_heads = 1, .head_dim = 15, .n_seqs = 1, .n_pos = 8, .chunk = 1};
    assert_int_equal(b->ops->kv_new(b, &kv, &bad, &err), ERR_SHAPE);
    bad.head_dim = 16;
    bad.chunk = 0;
    assert_int_equal(b->ops->kv_new(b, &kv, &bad, &err), ERR_SHAPE);
    b->ops->free(b);
}

// A row whose q, k or v leaves the range is marked and its operand is 0; the others keep their bits.
static void test_faults(void **state)
{
    (void)state;
    const struct config *c = &configs[1];
    struct data d;
    setup(&d, c, "seq 0");
    size_t ld = operand_ld(c->n_heads * c->head_dim);
    static const float bad[] = {NAN, INFINITY, 0x1p60f, 1e38f};
    static const size_t where[] = {0, 8 * 64 + 5, 10 * 64 + 70, 7 * 64 + 63}; // q, k, v, q
    for (const char *const *isa = cpu_isa_list(); *isa; isa++) {
        for (size_t i = 0; i < 4; i++) {
            struct backend *b = new_backend(*isa, 2);
            struct kv *kv = new_kv(b, c, 2, 3);
            struct err err = ERR_INIT;
            uint32_t seq[3] = {0, 1, 0}, pos[3] = {0, 0, 1}, fault[3] = {0};
            float *qkv = new_mem(3 * d.width, sizeof *qkv);
            uint16_t *q = new_mem(3 * ld, sizeof *q);
            uint16_t *out = new_mem(3 * ld, sizeof *out);
            memcpy(qkv, d.qkv, d.width * sizeof *qkv);
            memcpy(qkv + d.width, d.qkv, d.width * sizeof *qkv);
            memcpy(qkv + 2 * d.width, d.qkv + d.width, d.width * sizeof *qkv);
            qkv[d.width + where[i]] = bad[i]; // sequence 1
            struct rows rows = {.n = 3, .seq = seq, .pos = pos, .fault = fault};
            struct qkv_args qa = {.n_heads = c->n_heads, .n_kv_heads = c->n_kv_heads, .head_dim = c->head_dim,
                                  .eps = eps, .cos = d.cos, .sin = d.sin};
            struct attention_args aa = {.n_heads = c->n_heads, .n_kv_heads = c->n_kv_heads, .head_dim = c->head_dim,
                                        .sinks = d.sinks, .scale = scale_of(c->head_dim)};
            assert_int_equal(b->ops->qkv_store(b, kv, 1, &qa, qkv, &rows, q, &err), ERR_RANGE); // no room made
            assert_int_equal(b->ops->kv_resize(kv, 0, 2, &err), OK);
            assert_int_equal(b->ops->kv_resize(kv, 1, 1, &err), OK);
            struct rows long_run = {.n = 4, .seq = (uint32_t[4]){0}, .pos = (uint32_t[4]){0}, .fault = fault};
            assert_int_equal(b->ops->qkv_store(b, kv, 1, &qa, qkv, &long_run, q, &err), ERR_RANGE); // chunk is 3
            assert_int_equal(b->ops->qkv_store(b, kv, 1, &qa, qkv, &rows, q, &err), OK);
            assert_int_equal(fault[0], 0);
            assert_int_equal(fault[1], 2 << 8 | FAULT_QKV);
            assert_int_equal(fault[2], 0);
            assert_int_equal(b->ops->attention(b, kv, 1, &aa, q, &rows, out, &err), OK);
            assert_int_equal(fault[1], 2 << 8 | FAULT_QKV); // the first site stays
            assert_memory_equal(out, d.out, ld * sizeof *out);
            assert_memory_equal(out + 2 * ld, d.out + ld, ld * sizeof *out);
            for (size_t j = 0; j < ld; j++)
                assert_true(bf16_in_range(out[ld + j]));
            mem_free(qkv);
            mem_free(q);
            mem_free(out);
            b->ops->kv_free(b, kv);
            b->ops->free(b);
        }
    }
    teardown(&d);
}

// With 512 dims a score of operands in range can overflow: +inf alone, -inf beside a finite one.
static void test_score_overflow(void **state)
{
    (void)state;
    enum { H = 512 };
    struct config c = {"wide", 1, 1, H, 0, false, false};
    float *qkv = new_mem(3 * 3 * H, sizeof *qkv);
    float *cosines = random_floats("c", H, 0.0f), *sines = random_floats("s", H, 0.0f);
    uint16_t *q = new_mem(3 * H, sizeof *q), *out = new_mem(3 * H, sizeof *out);
    for (size_t i = 0; i < H; i++)
        cosines[i] = 1.0f; // two positions, no rotation
    for (const char *const *isa = cpu_isa_list(); *isa; isa++) {
        for (int sign = -1; sign <= 1; sign++) {
            struct backend *b = new_backend(*isa, 1);
            struct kv *kv = new_kv(b, &c, 2, 2);
            struct err err = ERR_INIT;
            uint32_t seq[3] = {0, 1, 1}, pos[3] = {0, 0, 1}, fault[3] = {0};
            for (size_t i = 0; i < 9 * H; i++)
                qkv[i] = 1.0f;
            for (size_t i = 0; i < H; i++) {
                qkv[3 * H + H + i] = sign ? 0x1.fep59f : 1.0f;          // k of sequence 1, position 0
                qkv[6 * H + i] = sign < 0 ? -0x1.fep59f : 0x1.fep59f; // q of its position 1
            }
            struct rows rows = {.n = 3, .seq = seq, .pos = pos, .fault = fault};
            struct qkv_args qa = {.n_heads = 1, .n_kv_heads = 1, .head_dim = H, .cos = cosines, .sin = sines};
            struct attention_args aa = {.n_heads = 1, .n_kv_heads = 1, .head_dim = H, .scale = scale_of(H)};
            assert_int_equal(b->ops->kv_resize(kv, 0, 1, &err), OK);
            assert_int_equal(b->ops->kv_resize(kv, 1, 2, &err), OK);
            assert_int_equal(b->ops->qkv_store(b, kv, 1, &qa, qkv, &rows, q, &err), OK);
            assert_int_equal(b->ops->attention(b, kv, 1, &aa, q, &rows, out, &err), OK);
            assert_int_equal(fault[0] | fault[1], 0);
            assert_int_equal(fault[2], sign ? 2 << 8 | FAULT_ATTENTION : 0);
            for (size_t i = 0; i < 3 * H; i++)
                assert_int_equal(out[i], i / H == 2 && sign ? 0 : 0x3f80);
            b->ops->kv_free(b, kv);
            b->ops->free(b);
        }
    }
    mem_free(qkv);
    mem_free(cosines);
    mem_free(sines);
    mem_free(q);
    mem_free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks), cmocka_unit_test(test_strangers),     cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_rings),  cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_faults),
        cmocka_unit_test(test_score_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
