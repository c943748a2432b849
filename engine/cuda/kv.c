#include <string.h>

#include "base/mem.h"
#include "cuda/cuda.h"

/* The cache on the device: one pool of pages (layout.h), taken whole when a session begins, so that a run
 * that has begun cannot run out. The host keeps the page table, and sends it when it has changed. */

enum { NO_PAGE = UINT32_MAX };

struct kv {
    struct cuda_backend *owner;
    size_t n_layers, n_kv_heads, head_dim, n_seqs, n_pos, chunk;
    size_t *windows; // (n_layers)
    size_t *ring;    // (n_layers) pages a sequence can hold; page of position p: p / 32 mod ring
    size_t *first;   // (n_layers) where the layer's pages begin in a sequence's
    size_t seq_pages;
    size_t page_b, n_pages;
    uint32_t *table;    // (n_seqs, seq_pages)
    uint32_t *free;     // (n_pages) stack of free pages
    size_t n_free;
    size_t *held_pos;   // (n_seqs)
    uint16_t *pool;     // dev (n_pages, page_b)
    uint32_t *table_dev; // dev (n_seqs, seq_pages)
    bool changed;       // the table, since it was sent
};

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
        kv->ring[i] = (keep + PAGE_POSITIONS - 1) / PAGE_POSITIONS;
        kv->first[i] = kv->seq_pages;
        kv->seq_pages += kv->ring[i];
    }
}

static enum status alloc_tables(struct kv *kv, struct err *err)
{
    size_t pool_b;
    void *mem;
    enum status s;
    if (!size_mul(kv->seq_pages, kv->n_seqs, &kv->n_pages) || kv->n_pages >= NO_PAGE ||
        !size_mul(kv->n_pages, kv->page_b, &pool_b))
        return err_set(err, ERR_MEMORY, "key-value cache: %zu sequences of %zu pages overflow", kv->n_seqs,
                       kv->seq_pages);
    if ((s = mem_alloc(&mem, kv->n_pages, sizeof *kv->table, "key-value cache page table", err)))
        return s;
    kv->table = mem;
    if ((s = mem_alloc(&mem, kv->n_pages, sizeof *kv->free, "key-value cache free pages", err)))
        return s;
    kv->free = mem;
    if ((s = mem_alloc(&mem, kv->n_seqs, sizeof *kv->held_pos, "key-value cache sequences", err)))
        return s;
    kv->held_pos = mem;
    if ((s = cuda_take(kv->owner, &mem, kv->n_pages * sizeof *kv->table, "key-value cache page table", err)))
        return s;
    kv->table_dev = mem;
    if ((s = cuda_take(kv->owner, &mem, pool_b, "key-value cache", err)))
        return s;
    kv->pool = mem;
    for (size_t i = 0; i < kv->n_pages; i++) {
        kv->table[i] = NO_PAGE;
        kv->free[i] = (uint32_t)(kv->n_pages - 1 - i); // page 0 is taken first
    }
    kv->n_free = kv->n_pages;
    return OK;
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
    if ((s = alloc_tables(kv, err)))
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
    mem_free(kv->free);
    mem_free(kv->table);
    mem_free(kv->windows);
    mem_free(kv);
}

static size_t pages_for(const struct kv *kv, size_t layer, size_t n_pos)
{
    size_t n = (n_pos + PAGE_POSITIONS - 1) / PAGE_POSITIONS;
    return n < kv->ring[layer] ? n : kv->ring[layer];
}

/* The pool holds every page that all sequences can hold, so a page is always there. Zeroed: masked
 * keys meet p = 0, and what lies there must be finite. */
static enum status take_page(struct kv *kv, uint32_t *page, struct err *err)
{
    const struct device *d = kv->owner->device;
    *page = kv->free[--kv->n_free];
    return d->ops->fill(kv->owner->device, (uint8_t *)kv->pool + *page * kv->page_b, 0, kv->page_b, err);
}

enum status cuda_kv_resize(struct kv *kv, size_t seq, size_t n_pos, struct err *err)
{
    enum status s = OK;
    if (seq >= kv->n_seqs)
        return err_set(err, ERR_RANGE, "key-value cache: expected a sequence below %zu, found %zu", kv->n_seqs, seq);
    if (n_pos > kv->n_pos)
        return err_set(err, ERR_CONTEXT, "key-value cache: expected at most %zu positions, found %zu", kv->n_pos,
                       n_pos);
    for (size_t layer = 0; layer < kv->n_layers && !s; layer++) {
        uint32_t *pages = kv->table + seq * kv->seq_pages + kv->first[layer];
        size_t n = pages_for(kv, layer, n_pos);
        for (size_t i = 0; i < kv->ring[layer] && !s; i++) {
            if (i < n && pages[i] == NO_PAGE) {
                s = take_page(kv, &pages[i], err);
                kv->changed = true;
            } else if (i >= n && pages[i] != NO_PAGE) {
                kv->free[kv->n_free++] = pages[i];
                pages[i] = NO_PAGE;
            }
        }
    }
    kv->held_pos[seq] = n_pos;
    return s;
}

void cuda_kv_count(const struct kv *kv, struct kv_bytes *out)
{
    uint64_t positions = 0;
    for (size_t seq = 0; seq < kv->n_seqs; seq++) {
        for (size_t layer = 0; layer < kv->n_layers; layer++) {
            size_t n = kv->held_pos[seq];
            positions += kv->windows[layer] && kv->windows[layer] < n ? kv->windows[layer] : n;
        }
    }
    *out = (struct kv_bytes){
        .reserved = kv->n_pages * kv->page_b,
        .live = (kv->n_pages - kv->n_free) * kv->page_b,
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
        s = cuda_upload(&kv->owner->base, kv->table_dev, kv->table, kv->n_pages * sizeof *kv->table, err);
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
