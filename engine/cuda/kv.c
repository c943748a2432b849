#include <string.h>

#include "base/mem.h"
#include "cuda/cuda.h"

/* The cache on the device: one pool of pages (layout.h), taken whole when a session begins, so that a run
 * that has begun cannot run out. The host keeps the page table by page number, and sends it when it changed.
 *
 * The rules are those of engine/cpu/kv.c: a window layer's pages are a ring with room for window + chunk;
 * prefixes are saved by holding on to pages; a page is written only by its one holder, others get a copy. */

enum { NO_PAGE = UINT32_MAX };

struct kv_saved {
    struct kv_saved *next, **link; // all of a cache; *link points here
    size_t from, to;
    size_t n_pages;
    uint32_t pages[]; // layer after layer, each by position
};

struct page {
    uint32_t refs;
    uint32_t seen; // while counting: positions that a later query can see
    bool in_seq;   // while counting
};

struct kv {
    struct cuda_backend *owner;
    size_t n_layers, n_kv_heads, head_dim, n_seqs, n_pos, chunk;
    size_t *windows; // (n_layers)
    size_t *ring;    // (n_layers) pages a sequence can hold; page of position p: p / 32 mod ring
    size_t *first;   // (n_layers) where the layer's pages begin in a sequence's
    size_t seq_pages;
    size_t page_b, n_pages;
    uint32_t *table;     // (n_seqs, seq_pages)
    struct page *pages;  // (n_pages)
    uint32_t *free;      // (n_pages) stack of free pages
    size_t n_free;
    size_t *held_pos;    // (n_seqs)
    size_t *loaded_pos;  // (n_seqs) what was loaded ends here: nothing before is there to be saved
    struct kv_saved *saved;
    uint16_t *pool;      // dev (n_pages, page_b)
    uint32_t *table_dev; // dev (n_seqs, seq_pages)
    bool changed;        // the table, since it was sent
};

static size_t page_end(size_t n_pos)
{
    return (n_pos + PAGE_POSITIONS - 1) / PAGE_POSITIONS;
}

static uint32_t *ring_of(const struct kv *kv, size_t seq, size_t layer)
{
    return kv->table + seq * kv->seq_pages + kv->first[layer];
}

static uint32_t *slot_of(const struct kv *kv, size_t seq, size_t layer, size_t page)
{
    return ring_of(kv, seq, layer) + page % kv->ring[layer];
}

// first position that a sequence of n_pos keeps for later queries in this layer
static size_t first_seen(const struct kv *kv, size_t layer, size_t n_pos)
{
    size_t window = kv->windows[layer];
    return window && window < n_pos ? n_pos - window : 0;
}

static enum status check_shape(const struct kv_shape *v, struct err *err)
{
    if (v->head_dim % 2 != 0 || v->head_dim == 0 || v->head_dim > HEAD_DIM_MAX)
        return err_set(err, ERR_SHAPE, "key-value cache: expected an even head_dim up to %d, found %zu", HEAD_DIM_MAX,
                       v->head_dim);
    if (v->n_pos == 0 || v->n_pos > INT32_MAX || v->n_layers == 0 || v->n_kv_heads == 0 || v->chunk == 0 ||
        v->n_seqs == 0)
        return err_set(err, ERR_SHAPE,
                       "key-value cache: expected sizes, found %zu layers, %zu heads, %zu positions, chunks of %zu",
                       v->n_layers, v->n_kv_heads, v->n_pos, v->chunk);
    return OK;
}

static void plan_layers(struct kv *kv, const struct kv_shape *shape)
{
    for (size_t i = 0; i < kv->n_layers; i++) {
        size_t keep = kv->n_pos;
        kv->windows[i] = shape->windows ? shape->windows[i] : 0;
        if (kv->windows[i] && kv->windows[i] < keep && shape->chunk < keep - kv->windows[i])
            keep = kv->windows[i] + shape->chunk;
        kv->ring[i] = page_end(keep);
        kv->first[i] = kv->seq_pages;
        kv->seq_pages += kv->ring[i];
    }
}

static enum status alloc_host(struct kv *kv, size_t n_slots, struct err *err)
{
    void *mem;
    enum status s;
    if ((s = mem_alloc(&mem, n_slots, sizeof *kv->table, "key-value cache page table", err)))
        return s;
    kv->table = mem;
    if ((s = mem_alloc(&mem, kv->n_pages, sizeof *kv->free, "key-value cache free pages", err)))
        return s;
    kv->free = mem;
    if ((s = mem_alloc(&mem, kv->n_pages, sizeof *kv->pages, "key-value cache pages", err)))
        return s;
    kv->pages = mem;
    if ((s = mem_alloc(&mem, kv->n_seqs, 2 * sizeof *kv->held_pos, "key-value cache sequences", err)))
        return s;
    kv->held_pos = mem;
    kv->loaded_pos = kv->held_pos + kv->n_seqs;
    for (size_t i = 0; i < n_slots; i++)
        kv->table[i] = NO_PAGE;
    for (size_t i = 0; i < kv->n_pages; i++)
        kv->free[i] = (uint32_t)(kv->n_pages - 1 - i); // page 0 is taken first
    kv->n_free = kv->n_pages;
    return OK;
}

static enum status alloc_tables(struct kv *kv, uint64_t limit_b, struct err *err)
{
    size_t n_slots;
    size_t pool_b;
    void *mem;
    enum status s;
    if (!size_mul(kv->seq_pages, kv->n_seqs, &n_slots))
        return err_set(err, ERR_MEMORY, "key-value cache: %zu sequences of %zu pages overflow", kv->n_seqs,
                       kv->seq_pages);
    kv->n_pages = limit_b ? (size_t)(limit_b / kv->page_b) : n_slots;
    if (kv->n_pages >= NO_PAGE || !size_mul(kv->n_pages, kv->page_b, &pool_b))
        return err_set(err, ERR_MEMORY, "key-value cache: %zu pages overflow", kv->n_pages);
    if ((s = cuda_take(kv->owner, &mem, pool_b, "key-value cache", err)))
        return s;
    kv->pool = mem;
    if ((s = cuda_take(kv->owner, &mem, n_slots * sizeof *kv->table, "key-value cache page table", err)))
        return s;
    kv->table_dev = mem;
    return alloc_host(kv, n_slots, err);
}

enum status cuda_kv_new(struct backend *b, struct kv **out, const struct kv_shape *shape, struct err *err)
{
    void *mem;
    enum status s = check_shape(shape, err);
    if (s || (s = mem_alloc(&mem, 1, sizeof(struct kv), "key-value cache", err)))
        return s;
    struct kv *kv = mem;
    *kv = (struct kv){.owner = cuda_of(b), .n_layers = shape->n_layers, .n_kv_heads = shape->n_kv_heads,
                      .head_dim = shape->head_dim, .n_seqs = shape->n_seqs, .n_pos = shape->n_pos,
                      .chunk = shape->chunk};
    kv->page_b = page_values((uint32_t)kv->n_kv_heads, (uint32_t)kv->head_dim) * sizeof(uint16_t);
    if ((s = mem_alloc(&mem, kv->n_layers, 3 * sizeof(size_t), "key-value cache layers", err)))
        goto fail;
    kv->windows = mem;
    kv->ring = kv->windows + kv->n_layers;
    kv->first = kv->ring + kv->n_layers;
    plan_layers(kv, shape);
    kv->changed = true;
    if ((s = alloc_tables(kv, shape->limit_b, err)))
        goto fail;
    *out = kv;
    return OK;
fail:
    cuda_kv_free(b, kv);
    return s;
}

void cuda_kv_free(struct backend *b, struct kv *kv)
{
    if (!kv)
        return;
    cuda_release(b, kv->pool);
    cuda_release(b, kv->table_dev);
    mem_free(kv->held_pos);
    mem_free(kv->pages);
    mem_free(kv->free);
    mem_free(kv->table);
    mem_free(kv->windows);
    mem_free(kv);
}

static size_t pages_for(const struct kv *kv, size_t layer, size_t n_pos)
{
    size_t n = page_end(n_pos);
    return n < kv->ring[layer] ? n : kv->ring[layer];
}

uint64_t cuda_kv_need(const struct kv *kv, size_t n_pos)
{
    uint64_t n = 0;
    for (size_t layer = 0; layer < kv->n_layers; layer++)
        n += pages_for(kv, layer, n_pos);
    return n * kv->page_b;
}

static void return_page(struct kv *kv, uint32_t *slot)
{
    uint32_t page = *slot;
    *slot = NO_PAGE;
    if (page != NO_PAGE && --kv->pages[page].refs == 0)
        kv->free[kv->n_free++] = page;
}

// the pages that positions [held, n_pos) are written to: the last of them where a ring goes round
static size_t first_written(const struct kv *kv, size_t seq, size_t layer, size_t n_pos)
{
    size_t from = kv->held_pos[seq] / PAGE_POSITIONS;
    size_t end = page_end(n_pos);
    return end - from > kv->ring[layer] ? end - kv->ring[layer] : from;
}

static enum status check_room(const struct kv *kv, size_t seq, size_t n_pos, struct err *err)
{
    size_t need = 0;
    for (size_t layer = 0; layer < kv->n_layers; layer++)
        for (size_t i = first_written(kv, seq, layer, n_pos); i < page_end(n_pos); i++) {
            uint32_t page = *slot_of(kv, seq, layer, i);
            need += page == NO_PAGE || kv->pages[page].refs > 1;
        }
    if (need <= kv->n_free)
        return OK;
    return err_set(err, ERR_MEMORY, "key-value cache: expected to need at most %zu bytes, found more",
                   kv->n_pages * kv->page_b);
}

/* A page of the sequence's own: fresh and zeroed (masked keys meet p = 0, and what lies there must be
 * finite), or a copy of one that others hold too. */
static enum status own_page(struct kv *kv, uint32_t *slot, struct err *err)
{
    struct device *d = kv->owner->device;
    uint32_t shared = *slot;
    if (shared != NO_PAGE && kv->pages[shared].refs == 1)
        return OK;
    *slot = kv->free[--kv->n_free];
    kv->pages[*slot].refs = 1;
    kv->changed = true;
    uint8_t *to = (uint8_t *)kv->pool + *slot * kv->page_b;
    if (shared == NO_PAGE)
        return d->ops->fill(d, to, 0, kv->page_b, err);
    enum status s = d->ops->move(d, to, (uint8_t *)kv->pool + shared * kv->page_b, kv->page_b, err);
    return_page(kv, &shared);
    return s;
}

enum status cuda_kv_resize(struct kv *kv, size_t seq, size_t n_pos, struct err *err)
{
    enum status s = OK;
    if (seq >= kv->n_seqs)
        return err_set(err, ERR_RANGE, "key-value cache: expected a sequence below %zu, found %zu", kv->n_seqs, seq);
    if (n_pos > kv->n_pos)
        return err_set(err, ERR_CONTEXT, "key-value cache: expected at most %zu positions, found %zu", kv->n_pos,
                       n_pos);
    if (n_pos > kv->held_pos[seq] && (s = check_room(kv, seq, n_pos, err)))
        return s;
    for (size_t layer = 0; layer < kv->n_layers && !s; layer++) {
        if (n_pos < kv->held_pos[seq])
            for (size_t i = pages_for(kv, layer, n_pos); i < kv->ring[layer]; i++)
                return_page(kv, &ring_of(kv, seq, layer)[i]);
        else if (n_pos > kv->held_pos[seq])
            for (size_t i = first_written(kv, seq, layer, n_pos); i < page_end(n_pos) && !s; i++)
                s = own_page(kv, slot_of(kv, seq, layer, i), err);
    }
    if (n_pos < kv->held_pos[seq])
        kv->loaded_pos[seq] = 0;
    kv->held_pos[seq] = n_pos;
    return s;
}

// the pages of a layer that a saved stretch holds: [*first, return value)
static size_t saved_pages(const struct kv *kv, size_t layer, size_t from, size_t to, size_t *first)
{
    *first = (kv->windows[layer] ? first_seen(kv, layer, to) : from) / PAGE_POSITIONS;
    return page_end(to);
}

enum status cuda_kv_save(struct kv *kv, struct kv_saved **out, size_t seq, size_t from, size_t to, struct err *err)
{
    if (seq >= kv->n_seqs || from % PAGE_POSITIONS != 0 || from >= to || to > kv->held_pos[seq] ||
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
    enum status s = mem_alloc(&mem, 1, sizeof(struct kv_saved) + n * sizeof(uint32_t), "saved prefix", err);
    if (s)
        return s;
    struct kv_saved *v = mem;
    *v = (struct kv_saved){.next = kv->saved, .link = &kv->saved, .from = from, .to = to};
    for (size_t layer = 0; layer < kv->n_layers; layer++) {
        size_t i;
        size_t end = saved_pages(kv, layer, from, to, &i);
        for (; i < end; i++) {
            uint32_t page = *slot_of(kv, seq, layer, i);
            kv->pages[page].refs++;
            v->pages[v->n_pages++] = page;
        }
    }
    if (v->next)
        v->next->link = &v->next;
    kv->saved = v;
    *out = v;
    return OK;
}

enum status cuda_kv_load(struct kv *kv, size_t seq, const struct kv_saved *saved, struct err *err)
{
    if (seq >= kv->n_seqs || kv->held_pos[seq] != saved->from)
        return err_set(err, ERR_RANGE, "key-value cache: expected a sequence of %zu positions to continue", saved->from);
    const uint32_t *from = saved->pages;
    for (size_t layer = 0; layer < kv->n_layers; layer++) {
        size_t i;
        size_t end = saved_pages(kv, layer, saved->from, saved->to, &i);
        for (size_t j = 0; kv->windows[layer] && j < kv->ring[layer]; j++)
            return_page(kv, &ring_of(kv, seq, layer)[j]);
        for (; i < end; i++) {
            kv->pages[*from].refs++;
            *slot_of(kv, seq, layer, i) = *from++;
        }
    }
    kv->changed = true;
    kv->held_pos[seq] = kv->loaded_pos[seq] = saved->to;
    return OK;
}

void cuda_kv_drop(struct kv *kv, struct kv_saved *saved)
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

// mark what a holder of the positions [from, to) sees; pages[0] is page number `base` of the sequence
static void mark(const struct kv *kv, const uint32_t *pages, size_t base, size_t ring, size_t from, size_t to)
{
    for (size_t i = from / PAGE_POSITIONS; i < page_end(to); i++) {
        size_t at = i * PAGE_POSITIONS;
        size_t lo = at < from ? from - at : 0;
        size_t hi = to - at < PAGE_POSITIONS ? to - at : PAGE_POSITIONS;
        kv->pages[pages[(i - base) % ring]].seen |= (uint32_t)(((uint64_t)1 << hi) - ((uint64_t)1 << lo));
    }
}

static void mark_all(const struct kv *kv)
{
    for (size_t i = 0; i < kv->n_seqs * kv->seq_pages; i++)
        if (kv->table[i] != NO_PAGE)
            kv->pages[kv->table[i]].in_seq = true;
    for (size_t seq = 0; seq < kv->n_seqs; seq++)
        for (size_t layer = 0; layer < kv->n_layers; layer++)
            mark(kv, ring_of(kv, seq, layer), 0, kv->ring[layer], first_seen(kv, layer, kv->held_pos[seq]),
                 kv->held_pos[seq]);
    for (const struct kv_saved *v = kv->saved; v; v = v->next) {
        const uint32_t *pages = v->pages;
        for (size_t layer = 0; layer < kv->n_layers; layer++) {
            size_t first;
            size_t n = saved_pages(kv, layer, v->from, v->to, &first) - first;
            mark(kv, pages, first, n, kv->windows[layer] ? first_seen(kv, layer, v->to) : v->from, v->to);
            pages += n;
        }
    }
}

void cuda_kv_count(const struct kv *kv, struct kv_bytes *out)
{
    uint64_t positions = 0;
    uint64_t n_saved = 0;
    for (size_t i = 0; i < kv->n_pages; i++) {
        kv->pages[i].seen = 0;
        kv->pages[i].in_seq = false;
    }
    mark_all(kv);
    for (size_t i = 0; i < kv->n_pages; i++) {
        positions += (uint64_t)__builtin_popcount(kv->pages[i].seen);
        n_saved += kv->pages[i].refs && !kv->pages[i].in_seq;
    }
    *out = (struct kv_bytes){
        .limit = kv->n_pages * kv->page_b,
        .reserved = kv->n_pages * kv->page_b,
        .live = (kv->n_pages - kv->n_free) * kv->page_b,
        .saved = n_saved * kv->page_b,
        .used = positions * kv->n_kv_heads * kv->head_dim * 2 * sizeof(uint16_t),
    };
}

static enum status check_rows(const struct kv *kv, size_t n_kv_heads, size_t head_dim, const struct rows *rows,
                              struct err *err)
{
    size_t run = 0;
    if (n_kv_heads != kv->n_kv_heads || head_dim != kv->head_dim)
        return err_set(err, ERR_SHAPE, "attention: expected %zu heads of %zu, found %zu of %zu", kv->n_kv_heads,
                       kv->head_dim, n_kv_heads, head_dim);
    for (size_t t = 0; t < rows->n; t++) {
        if (rows->seq[t] >= kv->n_seqs || rows->pos[t] >= kv->held_pos[rows->seq[t]])
            return err_set(err, ERR_RANGE, "row %zu: no room in the cache for position %u of sequence %u", t,
                           (unsigned)rows->pos[t], (unsigned)rows->seq[t]);
        run = t > 0 && rows->seq[t] == rows->seq[t - 1] ? run + 1 : 1;
        if (run > kv->chunk)
            return err_set(err, ERR_RANGE, "row %zu: expected at most %zu rows of sequence %u in a step", t, kv->chunk,
                           (unsigned)rows->seq[t]);
    }
    return OK;
}

enum status cuda_kv_send(struct kv *kv, struct err *err)
{
    enum status s = OK;
    if (kv->changed)
        s = cuda_upload(&kv->owner->base, kv->table_dev, kv->table,
                        kv->n_seqs * kv->seq_pages * sizeof *kv->table, err);
    kv->changed = kv->changed && s;
    return s;
}

enum status cuda_kv_use(const struct kv *kv, size_t layer, size_t n_kv_heads, size_t head_dim, const struct rows *rows,
                        struct device_kv *out, struct err *err)
{
    enum status s = check_rows(kv, n_kv_heads, head_dim, rows, err);
    if (s)
        return s;
    *out = (struct device_kv){.pool = kv->pool,
                              .table = kv->table_dev,
                              .page_values = kv->page_b / sizeof(uint16_t),
                              .seq_pages = (uint32_t)kv->seq_pages,
                              .first = (uint32_t)kv->first[layer],
                              .ring = (uint32_t)kv->ring[layer]};
    return OK;
}
