#include <string.h>

#include "base/mem.h"
#include "cpu/cpu.h"

/* The cache's pages. One page holds 32 positions of one layer. A full layer of a sequence has a page
 * for every 32 positions; a window layer has a ring of pages whose capacity in positions is a multiple
 * of 32 and at least window + chunk, so that no position still visible to a row of the current step is
 * overwritten by a later row of it. Pages are taken when room is made and go back to a free list.
 *
 * Prefixes are saved by holding on to pages. A page is written only by its one holder: where room is made
 * in a page that is shared, the sequence gets a copy. So a saved ring is exact without being copied when
 * it is saved, and costs a copy only if its sequence goes on and comes round to it. */

struct kv_saved {
    struct kv_saved *next, **link; // all of a cache; *link points here
    size_t from, to;
    size_t n_pages;
    struct kv_page *pages[]; // layer after layer, each by position
};

static size_t page_end(size_t n_pos)
{
    return (n_pos + PAGE_POS - 1) / PAGE_POS;
}

static struct kv_page **ring_of(const struct kv *kv, size_t seq, size_t layer)
{
    return kv->pages + seq * kv->seq_pages + kv->first[layer];
}

static struct kv_page **slot_of(const struct kv *kv, size_t seq, size_t layer, size_t page)
{
    return ring_of(kv, seq, layer) + page % kv->ring[layer];
}

/* First position that a sequence of n_pos keeps for later queries in this layer. */
static size_t first_seen(const struct kv *kv, size_t layer, size_t n_pos)
{
    size_t window = kv->windows[layer];
    return window && window < n_pos ? n_pos - window : 0;
}

/* One more page for the free list. */
static enum status add_page(struct kv *kv, struct err *err)
{
    void *p;
    if (kv->n_reserved == kv->max_pages)
        return err_set(err, ERR_MEMORY, "key-value cache: expected to need at most %llu bytes, found more",
                       (unsigned long long)(kv->max_pages * kv->page_b));
    enum status s = mem_alloc(&p, 1, sizeof(struct kv_page), "key-value cache page", err);
    if (s)
        return s;
    struct kv_page *page = p;
    if ((s = cpu_alloc(kv->owner, &page->data, kv->page_b, "key-value cache page", err))) {
        mem_free(page);
        return s;
    }
    kv->n_reserved++;
    page->every = kv->every;
    kv->every = page;
    page->next = kv->free_list;
    kv->free_list = page;
    return OK;
}

static struct kv_page *take_page(struct kv *kv)
{
    struct kv_page *page = kv->free_list;
    kv->free_list = page->next;
    page->refs = 1;
    kv->n_live++;
    return page;
}

static void return_page(struct kv *kv, struct kv_page **slot)
{
    struct kv_page *page = *slot;
    *slot = NULL;
    if (!page || --page->refs)
        return;
    page->next = kv->free_list;
    kv->free_list = page;
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
        kv->ring[i] = page_end(keep);
        kv->first[i] = kv->seq_pages;
        kv->seq_pages += kv->ring[i];
    }
    size_t n_pages, all_b;
    if (!size_mul(kv->seq_pages, kv->n_seqs, &n_pages) || !size_mul(n_pages, kv->page_b, &all_b)) {
        s = err_set(err, ERR_MEMORY, "key-value cache: %zu sequences overflow", kv->n_seqs);
        goto fail;
    }
    kv->max_pages = shape->limit_b ? shape->limit_b / kv->page_b : n_pages;
    s = mem_alloc(&mem, n_pages, sizeof(struct kv_page *), "key-value cache page table", err);
    if (s)
        goto fail;
    kv->pages = mem;
    s = mem_alloc(&mem, kv->n_seqs, 2 * sizeof(size_t), "key-value cache sequences", err);
    if (s)
        goto fail;
    kv->held_pos = mem;
    kv->loaded_pos = kv->held_pos + kv->n_seqs;
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
    while (kv->every) {
        struct kv_page *page = kv->every;
        kv->every = page->every;
        cpu_release(kv->owner, page->data);
        mem_free(page);
    }
    mem_free(kv->held_pos);
    mem_free(kv->pages);
    mem_free(kv->windows);
    mem_free(kv);
}

static size_t pages_for(const struct kv *kv, size_t layer, size_t n_pos)
{
    size_t n = page_end(n_pos);
    return n < kv->ring[layer] ? n : kv->ring[layer];
}

uint64_t cpu_kv_need(const struct kv *kv, size_t n_pos)
{
    uint64_t n = 0;
    for (size_t layer = 0; layer < kv->n_layers; layer++)
        n += pages_for(kv, layer, n_pos);
    return n * kv->page_b;
}

static void shrink(struct kv *kv, size_t seq, size_t n_pos)
{
    for (size_t layer = 0; layer < kv->n_layers; layer++)
        for (size_t i = pages_for(kv, layer, n_pos); i < kv->ring[layer]; i++)
            return_page(kv, &ring_of(kv, seq, layer)[i]);
}

/* The pages that positions [held, n_pos) are written to: the last of them where a ring goes round. */
static size_t first_written(const struct kv *kv, size_t seq, size_t layer, size_t n_pos)
{
    size_t from = kv->held_pos[seq] / PAGE_POS;
    size_t end = page_end(n_pos);
    return end - from > kv->ring[layer] ? end - kv->ring[layer] : from;
}

static enum status reserve(struct kv *kv, size_t seq, size_t n_pos, struct err *err)
{
    uint64_t need = 0;
    for (size_t layer = 0; layer < kv->n_layers; layer++)
        for (size_t i = first_written(kv, seq, layer, n_pos); i < page_end(n_pos); i++) {
            const struct kv_page *page = *slot_of(kv, seq, layer, i);
            need += !page || page->refs > 1;
        }
    while (kv->n_reserved - kv->n_live < need) {
        enum status s = add_page(kv, err);
        if (s)
            return s;
    }
    return OK;
}

static void grow(struct kv *kv, size_t seq, size_t n_pos)
{
    for (size_t layer = 0; layer < kv->n_layers; layer++)
        for (size_t i = first_written(kv, seq, layer, n_pos); i < page_end(n_pos); i++) {
            struct kv_page **slot = slot_of(kv, seq, layer, i);
            struct kv_page *shared = *slot;
            if (shared && shared->refs == 1)
                continue;
            *slot = take_page(kv);
            if (shared) {
                memcpy((*slot)->data, shared->data, kv->page_b);
                return_page(kv, &shared);
            } else {
                memset((*slot)->data, 0, kv->page_b); // masked keys meet p = 0: what lies there must be finite
            }
        }
}

enum status cpu_kv_resize(struct kv *kv, size_t seq, size_t n_pos, struct err *err)
{
    if (seq >= kv->n_seqs)
        return err_set(err, ERR_RANGE, "key-value cache: expected a sequence below %zu, found %zu", kv->n_seqs, seq);
    if (n_pos > kv->n_pos)
        return err_set(err, ERR_CONTEXT, "key-value cache: expected at most %zu positions, found %zu", kv->n_pos,
                       n_pos);
    if (n_pos < kv->held_pos[seq]) {
        shrink(kv, seq, n_pos);
        kv->loaded_pos[seq] = 0;
    } else if (n_pos > kv->held_pos[seq]) {
        enum status s = reserve(kv, seq, n_pos, err);
        if (s)
            return s;
        grow(kv, seq, n_pos);
    }
    kv->held_pos[seq] = n_pos;
    return OK;
}

/* The pages of a layer that a saved stretch holds: [*first, return value). */
static size_t saved_pages(const struct kv *kv, size_t layer, size_t from, size_t to, size_t *first)
{
    *first = (kv->windows[layer] ? first_seen(kv, layer, to) : from) / PAGE_POS;
    return page_end(to);
}

enum status cpu_kv_save(struct kv *kv, struct kv_saved **out, size_t seq, size_t from, size_t to, struct err *err)
{
    if (seq >= kv->n_seqs || from % PAGE_POS != 0 || from >= to || to > kv->held_pos[seq] ||
        kv->held_pos[seq] - to > kv->chunk || to < kv->loaded_pos[seq])
        return err_set(err, ERR_RANGE, "key-value cache: expected to save up to the last %zu positions, found %zu to %zu",
                       kv->chunk, from, to);
    size_t n = 0;
    for (size_t layer = 0; layer < kv->n_layers; layer++) {
        size_t first;
        size_t end = saved_pages(kv, layer, from, to, &first);
        n += end - first;
    }
    void *mem;
    enum status s = mem_alloc(&mem, 1, sizeof(struct kv_saved) + n * sizeof(struct kv_page *), "saved prefix", err);
    if (s)
        return s;
    struct kv_saved *v = mem;
    *v = (struct kv_saved){.next = kv->saved, .link = &kv->saved, .from = from, .to = to};
    for (size_t layer = 0; layer < kv->n_layers; layer++) {
        size_t i;
        size_t end = saved_pages(kv, layer, from, to, &i);
        for (; i < end; i++) {
            struct kv_page *page = *slot_of(kv, seq, layer, i);
            page->refs++;
            v->pages[v->n_pages++] = page;
        }
    }
    if (v->next)
        v->next->link = &v->next;
    kv->saved = v;
    *out = v;
    return OK;
}

enum status cpu_kv_load(struct kv *kv, size_t seq, const struct kv_saved *saved, struct err *err)
{
    if (seq >= kv->n_seqs || kv->held_pos[seq] != saved->from)
        return err_set(err, ERR_RANGE, "key-value cache: expected a sequence of %zu positions to continue", saved->from);
    struct kv_page *const *from = saved->pages;
    for (size_t layer = 0; layer < kv->n_layers; layer++) {
        size_t i;
        size_t end = saved_pages(kv, layer, saved->from, saved->to, &i);
        for (size_t j = 0; kv->windows[layer] && j < kv->ring[layer]; j++)
            return_page(kv, &ring_of(kv, seq, layer)[j]);
        for (; i < end; i++) {
            struct kv_page *page = *from++;
            page->refs++;
            *slot_of(kv, seq, layer, i) = page;
        }
    }
    kv->held_pos[seq] = kv->loaded_pos[seq] = saved->to;
    return OK;
}

void cpu_kv_drop(struct kv *kv, struct kv_saved *saved)
{
    if (!saved)
        return;
    for (size_t i = 0; i < saved->n_pages; i++)
        return_page(kv, &saved->pages[i]);
    *saved->link = saved->next;
    if (saved->next)
        saved->next->link = saved->link;
    mem_free(saved);
}

/* Mark what a holder of the positions [from, to) sees; pages[0] is page number `base`. */
static void mark(struct kv_page *const *pages, size_t base, size_t ring, size_t from, size_t to)
{
    for (size_t i = from / PAGE_POS; i < page_end(to); i++) {
        struct kv_page *page = pages[(i - base) % ring];
        size_t at = i * PAGE_POS;
        size_t lo = at < from ? from - at : 0;
        size_t hi = to - at < PAGE_POS ? to - at : PAGE_POS;
        page->seen |= (uint32_t)(((uint64_t)1 << hi) - ((uint64_t)1 << lo));
    }
}

static void mark_all(const struct kv *kv)
{
    for (size_t i = 0; i < kv->n_seqs * kv->seq_pages; i++)
        if (kv->pages[i])
            kv->pages[i]->in_seq = true;
    for (size_t seq = 0; seq < kv->n_seqs; seq++)
        for (size_t layer = 0; layer < kv->n_layers; layer++)
            mark(ring_of(kv, seq, layer), 0, kv->ring[layer], first_seen(kv, layer, kv->held_pos[seq]),
                 kv->held_pos[seq]);
    for (const struct kv_saved *v = kv->saved; v; v = v->next) {
        struct kv_page *const *pages = v->pages;
        for (size_t layer = 0; layer < kv->n_layers; layer++) {
            size_t first;
            size_t n = saved_pages(kv, layer, v->from, v->to, &first) - first;
            mark(pages, first, n, kv->windows[layer] ? first_seen(kv, layer, v->to) : v->from, v->to);
            pages += n;
        }
    }
}

/* used: a position of a window layer counts while a later query can still see it; the rest of a ring
 * (room for the chunk, rounding to pages) is padding. What is shared counts once. */
void cpu_kv_count(const struct kv *kv, struct kv_bytes *out)
{
    uint64_t positions = 0;
    uint64_t n_saved = 0;
    for (struct kv_page *page = kv->every; page; page = page->every) {
        page->seen = 0;
        page->in_seq = false;
    }
    mark_all(kv);
    for (const struct kv_page *page = kv->every; page; page = page->every) {
        positions += (uint64_t)__builtin_popcount(page->seen);
        n_saved += page->refs && !page->in_seq;
    }
    *out = (struct kv_bytes){
        .limit = kv->max_pages * kv->page_b,
        .reserved = kv->n_reserved * kv->page_b,
        .live = kv->n_live * kv->page_b,
        .saved = n_saved * kv->page_b,
        .used = positions * kv->n_kv_heads * kv->head_dim * 2 * sizeof(uint16_t),
    };
}
