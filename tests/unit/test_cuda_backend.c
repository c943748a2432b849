/* The CUDA backend around its kernels: places in the arena, refusals with the numbers, and every allocation
 * failing once without a leak or a wrong word (run under ASan too). */
#include "cuda/arena.h"
#include "cuda_test.h"

/* Random takes and gives against a map of who holds each 256 bytes. */
static void test_places(void **state)
{
    (void)state;
    enum { UNITS = 64, HELD = 24 };
    struct err err = ERR_INIT;
    struct places *p = NULL;
    struct rng_key key = rng_key(1, "places");
    uint8_t owner[UNITS] = {0}; // 0 = free
    size_t at[HELD];
    size_t units[HELD] = {0};
    size_t n_full = 0;
    assert_int_equal(places_new(&p, UNITS * 256, &err), OK);
    for (uint64_t turn = 0; turn < 4000; turn++) {
        size_t i = (size_t)rng_below(&key, 2 * turn, HELD);
        size_t n = (size_t)rng_below(&key, 2 * turn + 1, 2500);
        if (units[i]) {
            places_give(p, at[i]);
            memset(owner + at[i] / 256, 0, units[i]);
            units[i] = 0;
            continue;
        }
        size_t need = (n + (n == 0) + 255) / 256;
        size_t best = 0; // longest free run
        for (size_t u = 0, run = 0; u < UNITS; u++) {
            run = owner[u] ? 0 : run + 1;
            best = run > best ? run : best;
        }
        enum status s = places_take(p, n, "it", &at[i], &err);
        assert_int_equal(s, need <= best ? OK : ERR_MEMORY);
        n_full += s != OK;
        if (s)
            continue;
        assert_int_equal(at[i] % 256, 0);
        assert_int_equal(places_at(p, at[i]), n);
        units[i] = need;
        for (size_t u = at[i] / 256; u < at[i] / 256 + need; u++) {
            assert_true(u < UNITS && !owner[u]);
            owner[u] = 1;
        }
        size_t used = 0;
        for (size_t u = 0; u < UNITS; u++)
            used += owner[u] * 256U;
        assert_int_equal(places_used(p), used);
        assert_true(places_peak(p) >= used && places_peak(p) <= UNITS * 256);
    }
    assert_true(n_full > 100);
    assert_int_equal(places_take(p, SIZE_MAX, "it", &at[0], &err), ERR_MEMORY);
    places_free(p);
}

/* One small life of a backend: weights of two formats, an embedding, a cache, a step. */
static enum status live(struct backend *b, const uint8_t *bytes, struct err *err)
{
    const struct matrix_source src = {.name = "w", .quant = QUANT_BF16, .n_cols = 40, .n_parts = 1,
                                      .parts = {PART(9, bytes, NULL)}};
    struct matrix_source half = src; // decoded on the host, made on demand
    const struct kv_shape shape = {.n_layers = 1, .n_kv_heads = 1, .head_dim = 8, .n_seqs = 1, .n_pos = 40, .chunk = 4};
    const uint32_t zero[1] = {0};
    uint32_t fault[1] = {0};
    const struct rows rows = {.n = 1, .seq = zero, .pos = zero, .fault = fault};
    const int32_t id[1] = {3};
    struct matrix *m = NULL;
    struct matrix *h = NULL;
    struct table *t = NULL;
    struct kv *kv = NULL;
    struct kv_saved *saved = NULL;
    void *x = NULL;
    enum status s;
    half.quant = QUANT_F16;
    if ((s = b->ops->matrix_new(b, &m, &src, err)) || (s = b->ops->matrix_new(b, &h, &half, err)) ||
        (s = b->ops->table_new(b, &t, &src, err)) || (s = b->ops->kv_new(b, &kv, &shape, err)) ||
        (s = b->ops->alloc(b, &x, 4096, "x", err)) || (s = b->ops->kv_resize(kv, 0, 33, err)) ||
        (s = b->ops->kv_save(kv, &saved, 0, 0, 33, err)) || (s = b->ops->begin(b, &rows, err)) ||
        (s = b->ops->embed(b, t, id, 1, x, 40, err)) || (s = b->ops->linear(b, m, x, 1, NULL, false, x, err)))
        goto done;
    s = b->ops->end(b, &rows, err);
done:
    if (kv) {
        b->ops->kv_drop(kv, saved);
        b->ops->kv_free(b, kv);
    }
    if (t)
        b->ops->table_free(b, t);
    b->ops->matrix_free(b, m);
    b->ops->matrix_free(b, h);
    b->ops->release(b, x);
    return s;
}

static enum status live_once(const uint8_t *bytes, struct err *err)
{
    const struct sim_options opt = {.order = SIM_UP};
    struct device *d = NULL;
    struct backend *b = NULL;
    enum status s = sim_device_new(&d, &opt, err);
    if (s || (s = cuda_backend_on(&b, d, 1, 8 << 20, err)))
        return s;
    s = live(b, bytes, err);
    b->ops->free(b);
    return s;
}

static void test_failing_memory(void **state)
{
    (void)state;
    uint8_t *bytes = random_bf16("life", 9, 40, 1.0f);
    size_t n = 0;
    for (;;) {
        struct err err = ERR_INIT;
        mem_fail_after(++n);
        enum status s = live_once(bytes, &err);
        mem_fail_after(0);
        if (!s)
            break;
        assert_int_equal(s, ERR_MEMORY);
        assert_true(err.text[0] != 0);
        assert_true(n < 1000);
    }
    assert_true(n > 20); // there were allocations to fail
    mem_free(bytes);
}

static void test_refusals(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct backend *b = NULL;
    assert_int_equal(cuda_backend_new(&b, "gpu", 1, 0, &err), ERR_USAGE);
    assert_string_equal(err.text, "backend: expected 'cpu', 'cuda' or 'cuda-sim', found 'gpu'");
    assert_int_equal(cuda_backend_new(&b, "cuda-sim", 1, (uint64_t)9 << 30, &err), ERR_MEMORY);
    assert_string_equal(err.text, "device memory: expected 9663676416 bytes, found 8589934592 free of 8589934592");
    assert_int_equal(cuda_backend_new(&b, "cuda-sim", 1, 1 << 20, &err), ERR_MEMORY); // not even for staging
    check_ok(cuda_backend_new(&b, "cuda-sim", 1, 16 << 20, &err), &err);
    assert_string_equal(b->ops->name, "cuda-sim");
    assert_string_equal(b->ops->isa(b), "simt");
    b->ops->free(b);
}

/* A device that is too small says what it lacks at whichever piece does not fit. */
static void test_small_device(void **state)
{
    (void)state;
    uint8_t *bytes = random_bf16("life", 9, 40, 1.0f);
    size_t refused = 0;
    for (uint64_t memory_b = 256; memory_b < 6 << 20; memory_b += memory_b < 4 << 20 ? 256 << 10 : 512) {
        const struct sim_options opt = {.memory_b = memory_b};
        struct err err = ERR_INIT;
        struct device *d = NULL;
        struct backend *b = NULL;
        check_ok(sim_device_new(&d, &opt, &err), &err);
        enum status s = cuda_backend_on(&b, d, 1, memory_b, &err);
        if (!s) {
            s = live(b, bytes, &err);
            b->ops->free(b);
        }
        if (!s)
            break;
        refused++;
        assert_int_equal(s, ERR_MEMORY);
        assert_non_null(strstr(err.text, "device memory for "));
    }
    assert_true(refused > 10);
    mem_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_failing_memory),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_small_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
