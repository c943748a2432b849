#include <string.h>

#include "base/mem.h"
#include "cpu/cpu.h"

/* The cache on the CPU: a page is a block of its own, made when it is first needed. Which page holds what
 * is decided in kv/pages.h. */

static enum status make_page(void *ctx, uint32_t page, struct err *err)
{
    struct kv *kv = ctx;
    void *p;
    enum status s;
    if (page == kv->cap_data) {
        size_t cap = page ? 2 * (size_t)page : 64;
        if ((s = mem_alloc(&p, cap, sizeof *kv->data, "key-value cache pages", err)))
            return s;
        if (page)
            memcpy(p, kv->data, page * sizeof *kv->data);
        mem_free(kv->data);
        kv->data = p;
        kv->cap_data = cap;
    }
    return cpu_alloc(kv->owner, &kv->data[page], kv->page_b, "key-value cache page", err);
}

static enum status zero_page(void *ctx, uint32_t page, struct err *err)
{
    const struct kv *kv = ctx;
    (void)err;
    memset(kv->data[page], 0, kv->page_b);
    return OK;
}

static enum status copy_page(void *ctx, uint32_t to, uint32_t from, struct err *err)
{
    const struct kv *kv = ctx;
    (void)err;
    memcpy(kv->data[to], kv->data[from], kv->page_b);
    return OK;
}

enum status cpu_kv_new(struct backend *b, struct kv **out, const struct kv_shape *shape, struct err *err)
{
    if (shape->head_dim % 2 != 0 || shape->head_dim == 0 || shape->head_dim > SEGMENT || shape->n_kv_heads == 0)
        return err_set(err, ERR_SHAPE, "key-value cache: expected heads of an even head_dim up to %d, found %zu of %zu",
                       SEGMENT, shape->n_kv_heads, shape->head_dim);
    void *mem;
    enum status s = mem_alloc(&mem, 1, sizeof(struct kv), "key-value cache", err);
    if (s)
        return s;
    struct kv *kv = mem;
    kv->owner = cpu_of(b);
    kv->n_kv_heads = shape->n_kv_heads;
    kv->head_dim = shape->head_dim;
    size_t head_b = (kv_k_dim(kv) + kv_dim_tiles(kv) * TILE) * PAGE_POS * 2;
    if (!size_mul(head_b, kv->n_kv_heads, &kv->page_b)) {
        s = err_set(err, ERR_MEMORY, "key-value cache: %zu heads overflow", kv->n_kv_heads);
        goto fail;
    }
    const struct kv_memory memory = {.ctx = kv, .make = make_page, .zero = zero_page, .copy = copy_page};
    if ((s = kv_pages_init(&kv->pages, shape, kv->page_b, &memory, err)))
        goto fail;
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
    for (uint32_t i = 0; i < kv->pages.n_made; i++)
        cpu_release(kv->owner, kv->data[i]);
    mem_free(kv->data);
    kv_pages_release(&kv->pages);
    mem_free(kv);
}

enum status cpu_kv_resize(struct kv *kv, size_t seq, size_t n_pos, struct err *err)
{
    return kv_pages_resize(&kv->pages, seq, n_pos, err);
}

uint64_t cpu_kv_need(const struct kv *kv, size_t n_pos)
{
    return kv_pages_need(&kv->pages, n_pos);
}

enum status cpu_kv_save(struct kv *kv, struct kv_saved **out, size_t seq, size_t from, size_t to, struct err *err)
{
    return kv_pages_save(&kv->pages, out, seq, from, to, err);
}

enum status cpu_kv_load(struct kv *kv, size_t seq, const struct kv_saved *saved, struct err *err)
{
    return kv_pages_load(&kv->pages, seq, saved, err);
}

void cpu_kv_drop(struct kv *kv, struct kv_saved *saved)
{
    kv_pages_drop(&kv->pages, saved);
}

void cpu_kv_count(const struct kv *kv, struct kv_bytes *out)
{
    kv_pages_count(&kv->pages, out);
}
