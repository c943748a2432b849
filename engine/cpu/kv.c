#include <string.h>

#include "base/mem.h"
#include "cpu/cpu.h"

/* The cache's pages. One page holds 32 positions of one layer. A full layer of a sequence has a page
 * for every 32 positions; a window layer has a ring of pages whose capacity in positions is a multiple
 * of 32 and at least window + chunk, so that no position still visible to a row of the current step is
 * overwritten by a later row of it. Pages are taken when room is made and go back to a free list. */

static enum status take_page(struct kv *kv, void **out, struct err *err)
{
    void *page = kv->free_list;
    if (page) {
        memcpy(&kv->free_list, page, sizeof(void *));
        memset(page, 0, kv->page_b); // masked keys meet p = 0: what lies there must be finite
    } else {
        enum status s = cpu_alloc(kv->owner, &page, kv->page_b, "key-value cache page", err);
        if (s)
            return s;
        kv->n_reserved++;
    }
    kv->n_live++;
    *out = page;
    return OK;
}

static void return_page(struct kv *kv, void **page)
{
    memcpy(*page, &kv->free_list, sizeof(void *));
    kv->free_list = *page;
    *page = NULL;
    kv->n_live--;
}

enum status cpu_kv_new(struct backend *b, struct kv **out, const struct kv_shape *shape, struct err *err)
{
    if (shape->head_dim % 2 != 0 || shape->head_dim == 0 || shape->head_dim > SEGMENT)
        return err_set(err, ERR_SHAPE, "key-value cache: expected an even head_dim up to %d, found %zu", SEGMENT,
                       shape->head_dim);
    if (shape->n_pos == 0 || shape->n_pos > UINT32_MAX || shape->n_layers == 0 || shape->n_kv_heads == 0 ||
        shape->chunk == 0)
        return err_set(err, ERR_SHAPE,
                       "key-value cache: expected sizes, found %zu layers, %zu heads, %zu positions, chunks of %zu",
                       shape->n_layers, shape->n_kv_heads, shape->n_pos, shape->chunk);
    void *mem;
    enum status s = mem_alloc(&mem, 1, sizeof(struct kv), "key-value cache", err);
    if (s)
        return s;
    struct kv *kv = mem;
    kv->owner = cpu_of(b);
    kv->n_layers = shape->n_layers;
    kv->n_kv_heads = shape->n_kv_heads;
    kv->head_dim = shape->head_dim;
    kv->n_seqs = shape->n_seqs;
    kv->n_pos = shape->n_pos;
    kv->chunk = shape->chunk;
    size_t head_b = (kv->head_dim + kv_dim_tiles(kv) * TILE) * PAGE_POS * 2;
    if (!size_mul(head_b, kv->n_kv_heads, &kv->page_b)) {
        s = err_set(err, ERR_MEMORY, "key-value cache: %zu heads overflow", kv->n_kv_heads);
        goto fail;
    }
    s = mem_alloc(&mem, kv->n_layers, 3 * sizeof(size_t), "key-value cache layers", err);
    if (s)
        goto fail;
    kv->windows = mem;
    kv->ring = kv->windows + kv->n_layers;
    kv->first = kv->ring + kv->n_layers;
    for (size_t i = 0; i < kv->n_layers; i++) {
        size_t keep = kv->n_pos;
        kv->windows[i] = shape->windows ? shape->windows[i] : 0;
        if (kv->windows[i] && kv->windows[i] < keep && shape->chunk < keep - kv->windows[i])
            keep = kv->windows[i] + shape->chunk;
        kv->ring[i] = (keep + PAGE_POS - 1) / PAGE_POS;
        kv->first[i] = kv->seq_pages;
        kv->seq_pages += kv->ring[i];
    }
    size_t n_pages;
    if (!size_mul(kv->seq_pages, kv->n_seqs, &n_pages)) {
        s = err_set(err, ERR_MEMORY, "key-value cache: %zu sequences overflow", kv->n_seqs);
        goto fail;
    }
    s = mem_alloc(&mem, n_pages, sizeof(void *), "key-value cache page table", err);
    if (s)
        goto fail;
    kv->pages = mem;
    s = mem_alloc(&mem, kv->n_seqs, sizeof(size_t), "key-value cache sequences", err);
    if (s)
        goto fail;
    kv->held_pos = mem;
    *out = kv;
    return OK;
fail:
    cpu_kv_free(b, kv);
    return s;
}

void cpu_kv_free(struct backend *b, struct kv *kv)
{
    (void)b;
    if (!kv)
        return;
    if (kv->held_pos)
        for (size_t seq = 0; seq < kv->n_seqs; seq++)
            (void)cpu_kv_resize(kv, seq, 0, NULL);
    while (kv->free_list) {
        void *page = kv->free_list;
        memcpy(&kv->free_list, page, sizeof(void *));
        cpu_release(kv->owner, page);
    }
    mem_free(kv->held_pos);
    mem_free(kv->pages);
    mem_free(kv->windows);
    mem_free(kv);
}

static size_t pages_for(const struct kv *kv, size_t layer, size_t n_pos)
{
    size_t n = (n_pos + PAGE_POS - 1) / PAGE_POS;
    return n < kv->ring[layer] ? n : kv->ring[layer];
}

enum status cpu_kv_resize(struct kv *kv, size_t seq, size_t n_pos, struct err *err)
{
    if (seq >= kv->n_seqs)
        return err_set(err, ERR_RANGE, "key-value cache: expected a sequence below %zu, found %zu", kv->n_seqs, seq);
    if (n_pos > kv->n_pos)
        return err_set(err, ERR_CONTEXT, "key-value cache: expected at most %zu positions, found %zu", kv->n_pos,
                       n_pos);
    enum status s = OK;
    size_t target = n_pos;
    for (size_t layer = 0; layer < kv->n_layers && !s; layer++) {
        void **pages = kv->pages + seq * kv->seq_pages + kv->first[layer];
        size_t n = pages_for(kv, layer, n_pos);
        for (size_t i = pages_for(kv, layer, kv->held_pos[seq]); i < n && !s; i++)
            s = take_page(kv, &pages[i], err);
    }
    if (s) // give back what this call took
        target = kv->held_pos[seq];
    for (size_t layer = 0; layer < kv->n_layers; layer++) {
        void **pages = kv->pages + seq * kv->seq_pages + kv->first[layer];
        for (size_t i = pages_for(kv, layer, target); i < kv->ring[layer] && pages[i]; i++)
            return_page(kv, &pages[i]);
    }
    kv->held_pos[seq] = target;
    return s;
}

/* used: a position of a window layer counts while a later query can still see it; the rest of a ring
 * (room for the chunk, rounding to pages) is padding. */
void cpu_kv_count(const struct kv *kv, struct kv_bytes *out)
{
    uint64_t positions = 0;
    for (size_t seq = 0; seq < kv->n_seqs; seq++) {
        for (size_t layer = 0; layer < kv->n_layers; layer++) {
            size_t n = kv->held_pos[seq];
            size_t window = kv->windows[layer];
            positions += window && window < n ? window : n;
        }
    }
    *out = (struct kv_bytes){
        .reserved = kv->n_reserved * kv->page_b,
        .live = kv->n_live * kv->page_b,
        .used = positions * kv->n_kv_heads * kv->head_dim * 2 * sizeof(uint16_t),
    };
}
