#include "cpu_test.h"

/* Pages shared between sequences and saved prefixes: whatever is saved, loaded, continued and dropped, each
 * sequence reads back what it wrote at every position that a later query can see; nothing is written by
 * two holders, nothing leaks, nothing goes beyond the limit; and the bytes of gpt-oss-20b's own shape. */

enum { N_LAYERS = 4, N_SEQS = 4, N_POS = 800, CHUNK = 70, N_SAVED = 24, HEADS = 2 };

/* One window shorter than a page, one that is no multiple of it, one whose ring never goes round. */
static const size_t windows[N_LAYERS] = {0, 16, 77, N_POS};

struct saved {
    struct kv_saved *v;
    size_t to;
    uint32_t tags[N_POS]; // of every position from 0: what a sequence must hold before it is continued
    size_t from;
};

struct world {
    struct backend *b;
    struct kv *kv;
    size_t held[N_SEQS], loaded[N_SEQS];
    uint32_t tags[N_SEQS][N_POS];
    struct saved saved[N_SAVED];
    uint32_t next_tag;
    struct rng_key key;
    uint64_t draws;
};

static size_t below(struct world *w, size_t n)
{
    return (size_t)rng_below(&w->key, w->draws++, n);
}

// A word of a position's own in each page: as good as its K and V.
static uint32_t *word(const struct kv *kv, size_t layer, size_t seq, size_t pos)
{
    return kv_v(kv, layer, seq, pos, HEADS - 1) + pos % PAGE_POS;
}

static void check(const struct world *w)
{
    for (size_t seq = 0; seq < N_SEQS; seq++)
        for (size_t layer = 0; layer < N_LAYERS; layer++) {
            size_t n = w->held[seq];
            for (size_t pos = windows[layer] && windows[layer] < n ? n - windows[layer] : 0; pos < n; pos++)
                if (*word(w->kv, layer, seq, pos) != w->tags[seq][pos] + layer)
                    fail_msg("sequence %zu of %zu, layer %zu, position %zu: other contents", seq, n, layer, pos);
        }
    struct kv_bytes n;
    w->b->ops->kv_count(w->kv, &n);
    assert_true(n.reserved <= n.limit && n.live <= n.reserved && n.saved <= n.live && n.used <= n.live);
}

static bool grow(struct world *w, size_t seq, size_t n)
{
    struct err err = ERR_INIT;
    enum status s = w->b->ops->kv_resize(w->kv, seq, w->held[seq] + n, &err);
    if (s) {
        assert_int_equal(s, ERR_MEMORY);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        size_t pos = w->held[seq]++;
        w->tags[seq][pos] = w->next_tag += N_LAYERS;
        for (size_t layer = 0; layer < N_LAYERS; layer++)
            *word(w->kv, layer, seq, pos) = w->tags[seq][pos] + (uint32_t)layer;
    }
    return true;
}

static void empty(struct world *w, size_t seq)
{
    assert_int_equal(w->b->ops->kv_resize(w->kv, seq, 0, NULL), OK);
    w->held[seq] = w->loaded[seq] = 0;
}

static void drop(struct world *w, struct saved *v)
{
    w->b->ops->kv_drop(w->kv, v->v);
    v->v = NULL;
}

/* A saved prefix that something with these tags may follow. */
static const struct saved *prefix_of(const struct world *w, const uint32_t *tags, size_t end)
{
    for (size_t i = 0; i < N_SAVED; i++) {
        const struct saved *u = &w->saved[i];
        if (u->v && u->to % PAGE_POS == 0 && u->to < end && memcmp(u->tags, tags, u->to * sizeof *tags) == 0)
            return u;
    }
    return NULL;
}

/* Save the end of a sequence, or a place up to a chunk behind it. */
static void save(struct world *w, size_t seq, struct saved *v)
{
    struct err err = ERR_INIT;
    size_t back = below(w, CHUNK - PAGE_POS);
    if (w->held[seq] <= back)
        return;
    drop(w, v);
    v->to = w->held[seq] - back;
    v->to = v->to < w->loaded[seq] || below(w, 2) ? w->held[seq] : v->to;
    if (below(w, 2) && v->to - v->to % PAGE_POS >= w->loaded[seq] && v->to > 2 * PAGE_POS)
        v->to -= v->to % PAGE_POS; // where another may go on
    const struct saved *u = below(w, 4) ? prefix_of(w, w->tags[seq], v->to) : NULL;
    v->from = u ? u->to : 0;
    memcpy(v->tags, w->tags[seq], v->to * sizeof *v->tags);
    if (w->b->ops->kv_save(w->kv, &v->v, seq, v->from, v->to, &err))
        fail_msg("%s", err.text);
}

/* Load what was saved behind a sequence that holds what came before it. */
static bool load(struct world *w, const struct saved *v)
{
    struct err err = ERR_INIT;
    for (size_t seq = 0; seq < N_SEQS && v->v; seq++) {
        if (w->held[seq] != v->from || memcmp(w->tags[seq], v->tags, v->from * sizeof *v->tags) != 0)
            continue;
        if (w->b->ops->kv_load(w->kv, seq, v->v, &err))
            fail_msg("%s", err.text);
        w->held[seq] = w->loaded[seq] = v->to;
        memcpy(w->tags[seq], v->tags, v->to * sizeof *v->tags);
        return true;
    }
    return false;
}

static void random_steps(uint64_t seed, uint64_t limit_pages, size_t did[3])
{
    struct err err = ERR_INIT;
    struct world *w = new_mem(1, sizeof *w);
    w->key = rng_key(seed, "kv");
    w->b = new_backend("auto", 1);
    const uint64_t page_b = HEADS * 16 * 2 * 32 * 2;
    const struct kv_shape shape = {.n_layers = N_LAYERS, .n_kv_heads = HEADS, .head_dim = 16, .n_seqs = N_SEQS,
                                   .n_pos = N_POS, .chunk = CHUNK, .windows = windows, .limit_b = limit_pages * page_b};
    assert_int_equal(w->b->ops->kv_new(w->b, &w->kv, &shape, &err), OK);
    for (size_t step = 0; step < 6000; step++) {
        size_t seq = below(w, N_SEQS);
        struct saved *v = &w->saved[below(w, N_SAVED)];
        size_t n = 1 + below(w, CHUNK);
        size_t before = w->held[seq];
        switch (below(w, 8)) {
        case 0:
        case 1:
        case 2:
            n = n < N_POS - before ? n : N_POS - before;
            if (n && !grow(w, seq, n)) {
                did[0]++;
                assert_int_equal(w->held[seq], before);
                empty(w, seq);
            }
            break;
        case 3:
            save(w, seq, v);
            break;
        case 4:
            drop(w, v);
            break;
        case 5:
            if (below(w, 4) == 0)
                empty(w, seq);
            break;
        default:
            if (v->v && v->from && prefix_of(w, v->tags, v->from + 1))
                did[1] += load(w, prefix_of(w, v->tags, v->from + 1));
            if (load(w, v)) {
                did[1]++;
                did[2] += v->from > 0;
            }
            break;
        }
        check(w);
    }
    for (size_t seq = 0; seq < N_SEQS; seq++)
        empty(w, seq);
    struct kv_bytes n;
    w->b->ops->kv_count(w->kv, &n);
    assert_int_equal(n.saved, n.live);
    for (size_t i = 0; i < N_SAVED; i++)
        drop(w, &w->saved[i]);
    w->b->ops->kv_count(w->kv, &n);
    assert_true(n.live == 0 && n.used == 0 && n.saved == 0);
    w->b->ops->kv_free(w->b, w->kv);
    w->b->ops->free(w->b);
    mem_free(w);
}

static void test_random(void **state)
{
    (void)state;
    size_t did[3] = {0};
    for (uint64_t seed = 0; seed < 8; seed++)
        random_steps(seed, seed == 0 ? 0 : 30 * seed, did);
    assert_true(did[0] > 100 && did[1] > 500 && did[2] > 50); // refused, loaded, chained: or nothing was tested
}

static void test_refusals(void **state)
{
    (void)state;
    static const size_t window[1] = {40};
    struct err err = ERR_INIT;
    struct backend *b = new_backend("auto", 1);
    struct kv *kv;
    struct kv_saved *v = NULL;
    const struct kv_shape shape = {.n_layers = 1, .n_kv_heads = 1, .head_dim = 16, .n_seqs = 2, .n_pos = 320,
                                   .chunk = 8, .windows = window};
    assert_int_equal(b->ops->kv_new(b, &kv, &shape, &err), OK);
    assert_int_equal(b->ops->kv_resize(kv, 0, 100, &err), OK);
    assert_int_equal(b->ops->kv_save(kv, &v, 0, 0, 101, &err), ERR_RANGE); // not there yet
    assert_int_equal(b->ops->kv_save(kv, &v, 0, 0, 91, &err), ERR_RANGE);  // dropped by the window
    assert_int_equal(b->ops->kv_save(kv, &v, 0, 31, 100, &err), ERR_RANGE);
    assert_int_equal(b->ops->kv_save(kv, &v, 0, 96, 96, &err), ERR_RANGE);
    assert_int_equal(b->ops->kv_save(kv, &v, 2, 0, 100, &err), ERR_RANGE);
    assert_int_equal(b->ops->kv_save(kv, &v, 0, 96, 100, &err), OK);
    assert_int_equal(b->ops->kv_load(kv, 1, v, &err), ERR_RANGE); // it holds nothing to continue
    assert_int_equal(b->ops->kv_resize(kv, 1, 96, &err), OK);
    assert_int_equal(b->ops->kv_load(kv, 1, v, &err), OK);
    b->ops->kv_drop(kv, v);
    assert_int_equal(b->ops->kv_save(kv, &v, 1, 96, 99, &err), ERR_RANGE); // before what was loaded
    b->ops->kv_drop(kv, NULL);
    b->ops->kv_free(b, kv);
    struct backend_counters c;
    b->ops->counters(b, &c);
    assert_int_equal(c.alloc_bytes, 0);
    b->ops->free(b);
}

/* Room is made for all layers or for none, also where shared pages must be copied. */
static void test_no_room(void **state)
{
    (void)state;
    static const size_t window[2] = {0, 32};
    const uint64_t page = 16 * 2 * 32 * 2;
    struct err err = ERR_INIT;
    struct backend *b = new_backend("auto", 1);
    struct kv *kv;
    struct kv_saved *v;
    struct kv_bytes n;
    const struct kv_shape shape = {.n_layers = 2, .n_kv_heads = 1, .head_dim = 16, .n_seqs = 2, .n_pos = 320,
                                   .chunk = 32, .windows = window, .limit_b = 7 * page + page / 2};
    assert_int_equal(b->ops->kv_new(b, &kv, &shape, &err), OK);
    assert_int_equal(b->ops->kv_need(kv, 1), 2 * page);
    assert_int_equal(b->ops->kv_need(kv, 320), 12 * page);
    assert_int_equal(b->ops->kv_resize(kv, 0, 80, &err), OK); // 3 + 2
    assert_int_equal(b->ops->kv_save(kv, &v, 0, 64, 80, &err), OK);
    assert_int_equal(b->ops->kv_resize(kv, 0, 97, &err), ERR_MEMORY); // two new ones and two copies; two are left
    assert_non_null(strstr(err.text, "at most"));
    b->ops->kv_count(kv, &n);
    assert_true(n.limit == 7 * page && n.live == 5 * page && n.saved == 0);
    mem_fail_after(1);
    assert_int_equal(b->ops->kv_resize(kv, 0, 96, &err), OK); // it was reserved by the call that failed
    mem_fail_after(0);
    b->ops->kv_count(kv, &n);
    assert_true(n.live == 7 * page && n.saved == 2 * page);
    b->ops->kv_drop(kv, v);
    b->ops->kv_count(kv, &n);
    assert_true(n.live == 5 * page && n.saved == 0 && n.reserved == 7 * page);
    mem_fail_after(1);
    assert_int_equal(b->ops->kv_save(kv, &v, 0, 64, 96, &err), ERR_MEMORY);
    mem_fail_after(0);
    assert_int_equal(b->ops->kv_resize(kv, 0, 128, &err), OK);
    b->ops->kv_free(b, kv);
    b->ops->free(b);
}

/* gpt-oss-20b (models.md 5): 24 layers, 8 kv heads of 64, every other layer with a window of 128. */
static void test_gptoss_20b(void **state)
{
    (void)state;
    enum { L = 24, KB = 1024 };
    size_t w[L];
    for (size_t i = 0; i < L; i++)
        w[i] = i % 2 ? 0 : 128;
    struct err err = ERR_INIT;
    struct backend *b = new_backend("auto", 1);
    struct kv *kv;
    struct kv_saved *v[2];
    struct kv_bytes at[4];
    const struct kv_shape shape = {.n_layers = L, .n_kv_heads = 8, .head_dim = 64, .n_seqs = 2, .n_pos = 131072,
                                   .chunk = 64, .windows = w};
    assert_int_equal(b->ops->kv_new(b, &kv, &shape, &err), OK);
    for (size_t n = 64; n <= 256; n += 64)
        assert_int_equal(b->ops->kv_resize(kv, 0, n, &err), OK);
    b->ops->kv_count(kv, &at[0]);
    assert_int_equal(at[0].used, 12 * 2 * KB * (256 + 128));
    assert_int_equal(at[0].live, 12 * 2 * KB * (256 + 192)); // the ring has room for the chunk
    assert_int_equal(b->ops->kv_save(kv, &v[0], 0, 0, 256, &err), OK);
    b->ops->kv_count(kv, &at[1]);
    assert_int_equal(at[1].live, at[0].live); // by reference
    for (size_t n = 320; n <= 512; n += 64)
        assert_int_equal(b->ops->kv_resize(kv, 0, n, &err), OK);
    b->ops->kv_count(kv, &at[2]);
    assert_int_equal(at[2].live - at[1].live, 256 * 24576 + 3 * KB * KB); // full layers, and the saved windows
    assert_int_equal(at[2].saved, 3 * KB * KB);
    assert_int_equal(at[2].reserved, at[2].live);
    assert_int_equal(b->ops->kv_save(kv, &v[1], 0, 256, 512, &err), OK);
    assert_int_equal(b->ops->kv_resize(kv, 0, 0, &err), OK);
    b->ops->kv_count(kv, &at[3]);
    assert_int_equal(at[3].live, 512 * 24576 + 2 * 3 * KB * KB); // what is left: two blocks, two states
    assert_int_equal(at[3].saved, at[3].live);
    assert_int_equal(at[3].used, at[3].live); // and none of it is padding
    assert_int_equal(b->ops->kv_load(kv, 1, v[0], &err), OK);
    assert_int_equal(b->ops->kv_load(kv, 1, v[1], &err), OK);
    b->ops->kv_count(kv, &at[1]);
    assert_int_equal(at[1].live, at[3].live);
    assert_int_equal(at[1].saved, 3 * KB * KB); // the first state, between the two
    b->ops->kv_drop(kv, v[0]);
    b->ops->kv_drop(kv, v[1]);
    // beyond the window a token costs 24,576 bytes: no layer with a window takes part
    for (size_t n = 576; n <= 1024; n += 64)
        assert_int_equal(b->ops->kv_resize(kv, 1, n, &err), OK);
    b->ops->kv_count(kv, &at[0]);
    for (size_t n = 1088; n <= 1536; n += 64)
        assert_int_equal(b->ops->kv_resize(kv, 1, n, &err), OK);
    b->ops->kv_count(kv, &at[1]);
    assert_int_equal((at[1].live - at[0].live) / 512, 24576);
    assert_int_equal((at[1].used - at[0].used) / 512, 24576);
    assert_int_equal(b->ops->kv_need(kv, 131072), 131072ULL * 24576 + 12 * 2 * KB * 192);
    b->ops->kv_free(b, kv);
    b->ops->free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_gptoss_20b),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
