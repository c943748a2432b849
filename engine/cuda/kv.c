#include <string.h>

#include "base/mem.h"
#include "cuda/cuda.h"

/* The cache on the device: one pool of pages (layout.h), taken whole when a session begins, so that a run
 * that has begun cannot run out. Which page holds what is decided in kv/pages.h; the table is sent when it
 * has changed. */

struct kv {
    struct cuda_backend *owner;
    struct kv_pages pages;
    size_t n_kv_heads, head_dim;
    size_t page_b;
    uint16_t *pool;      // dev (max_pages, page_b)
    uint32_t *table_dev; // dev (n_seqs, seq_pages)
};

static size_t table_b(const struct kv *kv)
{
    return kv->pages.n_seqs * kv->pages.seq_pages * sizeof *kv->pages.table;
}

static void *page_at(const struct kv *kv, uint32_t page)
{
    return (uint8_t *)kv->pool + page * kv->page_b;
}

static enum status make_page(void *ctx, uint32_t page, struct err *err)
{
    (void)ctx; // it lies in the pool
    (void)page;
    (void)err;
    return OK;
}

static enum status zero_page(void *ctx, uint32_t page, struct err *err)
{
    const struct kv *kv = ctx;
    return kv->owner->device->ops->fill(kv->owner->device, page_at(kv, page), 0, kv->page_b, err);
}

static enum status copy_page(void *ctx, uint32_t to, uint32_t from, struct err *err)
{
    const struct kv *kv = ctx;
    return kv->owner->device->ops->move(kv->owner->device, page_at(kv, to), page_at(kv, from), kv->page_b, err);
}

static enum status take_pool(struct kv *kv, struct err *err)
{
    size_t pool_b;
    void *mem;
    enum status s;
    if (!size_mul(kv->pages.max_pages, kv->page_b, &pool_b))
        return err_set(err, ERR_MEMORY, "key-value cache: %u pages overflow", (unsigned)kv->pages.max_pages);
    if ((s = cuda_take(kv->owner, &mem, table_b(kv), "key-value cache page table", err)))
        return s;
    kv->table_dev = mem;
    if ((s = cuda_take(kv->owner, &mem, pool_b, "key-value cache", err)))
        return s;
    kv->pool = mem;
    return kv_pages_make(&kv->pages, kv->pages.max_pages, err);
}

enum status cuda_kv_new(struct backend *b, struct kv **out, const struct kv_shape *shape, struct err *err)
{
    void *mem;
    if (shape->head_dim % 2 != 0 || shape->head_dim == 0 || shape->head_dim > HEAD_DIM_MAX || shape->n_kv_heads == 0 ||
        shape->n_pos > INT32_MAX)
        return err_set(err, ERR_SHAPE,
                       "key-value cache: expected heads of an even head_dim up to %d and positions below 2^31, found %zu of %zu, %zu",
                       HEAD_DIM_MAX, shape->n_kv_heads, shape->head_dim, shape->n_pos);
    enum status s = mem_alloc(&mem, 1, sizeof(struct kv), "key-value cache", err);
    if (s)
        return s;
    struct kv *kv = mem;
    kv->owner = cuda_of(b);
    kv->n_kv_heads = shape->n_kv_heads;
    kv->head_dim = shape->head_dim;
    kv->page_b = page_values((uint32_t)kv->n_kv_heads, (uint32_t)kv->head_dim) * sizeof(uint16_t);
    const struct kv_memory memory = {.ctx = kv, .make = make_page, .zero = zero_page, .copy = copy_page};
    if ((s = kv_pages_init(&kv->pages, shape, kv->page_b, &memory, err)) || (s = take_pool(kv, err))) {
        cuda_kv_free(b, kv);
        return s;
    }
    *out = kv;
    return OK;
}

void cuda_kv_free(struct backend *b, struct kv *kv)
{
    if (!kv)
        return;
    cuda_release(b, kv->pool);
    cuda_release(b, kv->table_dev);
    kv_pages_release(&kv->pages);
    mem_free(kv);
}

enum status cuda_kv_resize(struct kv *kv, size_t seq, size_t n_pos, struct err *err)
{
    return kv_pages_resize(&kv->pages, seq, n_pos, err);
}

uint64_t cuda_kv_need(const struct kv *kv, size_t n_pos)
{
    return kv_pages_need(&kv->pages, n_pos);
}

enum status cuda_kv_save(struct kv *kv, struct kv_saved **out, size_t seq, size_t from, size_t to, struct err *err)
{
    return kv_pages_save(&kv->pages, out, seq, from, to, err);
}

enum status cuda_kv_load(struct kv *kv, size_t seq, const struct kv_saved *saved, struct err *err)
{
    return kv_pages_load(&kv->pages, seq, saved, err);
}

void cuda_kv_drop(struct kv *kv, struct kv_saved *saved)
{
    kv_pages_drop(&kv->pages, saved);
}

void cuda_kv_count(const struct kv *kv, struct kv_bytes *out)
{
    kv_pages_count(&kv->pages, out);
}

enum status cuda_kv_send(struct kv *kv, struct err *err)
{
    enum status s = OK;
    if (kv->pages.changed)
        s = cuda_upload(&kv->owner->base, kv->table_dev, kv->pages.table, table_b(kv), err);
    kv->pages.changed = kv->pages.changed && s;
    return s;
}

enum status cuda_kv_use(const struct kv *kv, size_t layer, size_t n_kv_heads, size_t head_dim, const struct rows *rows,
                        struct device_kv *out, struct err *err)
{
    if (n_kv_heads != kv->n_kv_heads || head_dim != kv->head_dim)
        return err_set(err, ERR_SHAPE, "attention: expected %zu heads of %zu, found %zu of %zu", kv->n_kv_heads,
                       kv->head_dim, n_kv_heads, head_dim);
    enum status s = kv_pages_check(&kv->pages, rows, err);
    if (s)
        return s;
    *out = (struct device_kv){.pool = kv->pool,
                              .table = kv->table_dev,
                              .page_values = kv->page_b / sizeof(uint16_t),
                              .seq_pages = (uint32_t)kv->pages.seq_pages,
                              .first = (uint32_t)kv->pages.first[layer],
                              .ring = (uint32_t)kv->pages.ring[layer]};
    return OK;
}
