#include <string.h>

#include "base/mem.h"
#include "cpu/cpu.h"

/* The CPU backend: memory, threads, counters, and the vtable. */

struct task {
    struct cpu_backend *b;
    void (*fn)(void *, struct cpu_worker *, size_t, size_t);
    void *ctx;
    size_t n, grain;
    atomic_size_t next;
};

static void work(void *arg, size_t worker, size_t n_workers)
{
    (void)n_workers;
    struct task *t = arg;
    for (;;) {
        size_t from = atomic_fetch_add_explicit(&t->next, t->grain, memory_order_relaxed);
        if (from >= t->n)
            return;
        size_t left = t->n - from;
        t->fn(t->ctx, &t->b->workers[worker], from, from + (left < t->grain ? left : t->grain));
    }
}

enum { SHARES = 16 }; // of each worker, so that one which is late takes fewer

void cpu_run(struct cpu_backend *b, size_t n, size_t item_work,
             void (*fn)(void *, struct cpu_worker *, size_t, size_t), void *ctx)
{
    if (n == 0)
        return;
    size_t grain = b->grain / (item_work ? item_work : 1);
    size_t even = n / (SHARES * pool_size(b->pool)); // neighbouring items read neighbouring weights
    grain = grain > even ? grain : even;
    grain = grain ? grain : 1;
    if (n <= grain || pool_size(b->pool) == 1) {
        unsigned saved = pool_numeric_env_enter();
        fn(ctx, &b->workers[0], 0, n);
        pool_numeric_env_leave(saved);
        return;
    }
    struct task t = {.b = b, .fn = fn, .ctx = ctx, .n = n, .grain = grain};
    atomic_init(&t.next, 0);
    pool_run(b->pool, work, &t);
}

// Every counted block begins with its size, so that release can subtract it. Large ones are pages of their
// own: zeroing them on one thread would take longer than filling them on all.
enum { HEADER_B = 64, MAP_FROM_B = 1 << 22 };

enum status cpu_alloc(struct cpu_backend *b, void **out, size_t n_b, const char *what, struct err *err)
{
    size_t total;
    if (!size_add(n_b, HEADER_B, &total))
        return err_set(err, ERR_MEMORY, "cannot allocate %s: %zu bytes overflow", what, n_b);
    void *p;
    enum status s = total < MAP_FROM_B ? mem_alloc(&p, total, 1, what, err) : mem_map(&p, total, what, err);
    if (s)
        return s;
    *(size_t *)p = n_b;
    b->alloc_b += n_b;
    b->alloc_peak_b = b->alloc_b > b->alloc_peak_b ? b->alloc_b : b->alloc_peak_b;
    *out = (uint8_t *)p + HEADER_B;
    return OK;
}

void cpu_release(struct cpu_backend *b, void *p)
{
    if (!p)
        return;
    void *block = (uint8_t *)p - HEADER_B;
    size_t n_b = *(size_t *)block;
    b->alloc_b -= n_b;
    if (n_b + HEADER_B < MAP_FROM_B)
        mem_free(block);
    else
        mem_unmap(block, n_b + HEADER_B);
}

enum status cpu_scratch(struct cpu_backend *b, const struct cpu_piece *pieces, size_t n_pieces, struct err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < n_pieces; i++) {
        size_t n_b;
        if (!size_mul(pieces[i].n, pieces[i].size, &n_b) || !size_add(n_b, 63, &n_b) ||
            !size_add(total, n_b & ~(size_t)63, &total))
            return err_set(err, ERR_MEMORY, "scratch of %zu x %zu bytes overflows", pieces[i].n, pieces[i].size);
    }
    if (total > b->scratch_b) {
        void *p;
        enum status s = mem_alloc(&p, total, 1, "operator scratch", err);
        if (s)
            return s;
        mem_free(b->scratch);
        b->scratch = p;
        b->scratch_b = total;
    }
    uint8_t *at = b->scratch;
    for (size_t i = 0; i < n_pieces; i++) {
        *pieces[i].at = at;
        at += (pieces[i].n * pieces[i].size + 63) & ~(size_t)63;
    }
    return OK;
}

static const char *isa(const struct backend *b)
{
    return ((const struct cpu_backend *)b)->kernels->isa;
}

static size_t n_threads(const struct backend *b)
{
    return pool_size(((const struct cpu_backend *)b)->pool);
}

static void backend_free(struct backend *base)
{
    if (!base)
        return;
    struct cpu_backend *b = cpu_of(base);
    tile_cache_close(b->cache);
    pool_free(b->pool);
    mem_free(b->workers);
    mem_free(b->scratch);
    mem_free(b);
}

static void counters(const struct backend *base, struct backend_counters *out)
{
    const struct cpu_backend *b = (const struct cpu_backend *)base;
    *out = (struct backend_counters){
        .alloc_bytes = b->alloc_b, .alloc_peak_bytes = b->alloc_peak_b, .scratch_peak_bytes = b->scratch_b};
    for (size_t i = 0; i < pool_size(b->pool); i++) {
        out->weight_bytes_read += b->workers[i].weight_bytes_read;
        out->dots += b->workers[i].dots;
    }
}

static enum status dev_alloc(struct backend *b, void **dev, size_t n_bytes, const char *what, struct err *err)
{
    return cpu_alloc(cpu_of(b), dev, n_bytes, what, err);
}

static void dev_release(struct backend *b, void *dev)
{
    cpu_release(cpu_of(b), dev);
}

static enum status copy_in(struct backend *b, void *dev, const void *host, size_t n_bytes, struct err *err)
{
    (void)b;
    (void)err;
    if (n_bytes)
        memcpy(dev, host, n_bytes);
    return OK;
}

static enum status copy_out(struct backend *b, void *host, const void *dev, size_t n_bytes, struct err *err)
{
    return copy_in(b, host, dev, n_bytes, err);
}

/* Operators are done when they return, and write faults where they belong: a step needs nothing more. */
static enum status step_edge(struct backend *b, const struct rows *rows, struct err *err)
{
    (void)b;
    (void)rows;
    (void)err;
    return OK;
}

static const struct backend_ops cpu_ops = {
    .name = "cpu",
    .isa = isa,
    .n_threads = n_threads,
    .free = backend_free,
    .counters = counters,
    .alloc = dev_alloc,
    .release = dev_release,
    .upload = copy_in,
    .download = copy_out,
    .matrix_new = cpu_matrix_new,
    .matrix_free = cpu_matrix_free,
    .matrix_bytes = cpu_matrix_bytes,
    .matrix_poison = cpu_matrix_poison,
    .cache_open = cpu_cache_open,
    .cache_finish = cpu_cache_finish,
    .table_new = cpu_table_new,
    .table_free = cpu_table_free,
    .table_bytes = cpu_table_bytes,
    .kv_new = cpu_kv_new,
    .kv_free = cpu_kv_free,
    .kv_resize = cpu_kv_resize,
    .kv_need = cpu_kv_need,
    .kv_save = cpu_kv_save,
    .kv_load = cpu_kv_load,
    .kv_drop = cpu_kv_drop,
    .kv_count = cpu_kv_count,
    .begin = step_edge,
    .end = step_edge,
    .embed = cpu_embed,
    .norm = cpu_norm,
    .linear = cpu_linear,
    .qkv_store = cpu_qkv_store,
    .attention = cpu_attention,
    .glu = cpu_glu,
    .router = cpu_router,
    .moe = cpu_moe,
};

// About 5 us of one core: below it a second thread loses more than it gains.
enum { DEFAULT_GRAIN = 1 << 17 };

enum status cpu_backend_new(struct backend **out, const char *isa_name, size_t threads, struct err *err)
{
    const struct cpu_kernels *kernels;
    enum status s = cpu_kernels_select(&kernels, isa_name, err);
    if (s)
        return s;
    void *p;
    s = mem_alloc(&p, 1, sizeof(struct cpu_backend), "backend", err);
    if (s)
        return s;
    struct cpu_backend *b = p;
    b->base.ops = &cpu_ops;
    b->kernels = kernels;
    b->grain = DEFAULT_GRAIN;
    s = pool_new(&b->pool, threads, err);
    if (s)
        goto fail;
    s = mem_alloc(&p, threads, sizeof(struct cpu_worker), "workers", err);
    if (s)
        goto fail;
    b->workers = p;
    for (size_t i = 0; i < threads; i++)
        b->workers[i].index = i;
    *out = &b->base;
    return OK;
fail:
    backend_free(&b->base);
    return s;
}
