#include <string.h>

#include "base/mem.h"
#include "cuda/cuda.h"

/* The CUDA backend: one arena, pinned staging, the step's rows, the vtable. */

enum { HEADROOM_B = 256 << 20 }; // left to others when the arena takes what is free

enum status cuda_take(struct cuda_backend *b, void **dev, size_t n, const char *what, struct err *err)
{
    size_t offset = 0;
    enum status s = places_take(b->places, n, what, &offset, err);
    if (!s)
        *dev = b->arena + offset;
    return s;
}

enum status cuda_alloc(struct backend *base, void **dev, size_t n, const char *what, struct err *err)
{
    struct cuda_backend *b = cuda_of(base);
    enum status s = cuda_take(b, dev, n, what, err);
    return s || n == 0 ? s : b->device->ops->fill(b->device, *dev, 0, n, err);
}

void cuda_release(struct backend *base, void *dev)
{
    struct cuda_backend *b = cuda_of(base);
    if (dev)
        places_give(b->places, (size_t)((uint8_t *)dev - b->arena));
}

enum status cuda_stage(struct cuda_backend *b, size_t *i, struct err *err)
{
    *i = b->next_stage;
    b->next_stage = (b->next_stage + 1) % STAGES;
    return b->device->ops->wait(b->device, *i, err);
}

enum status cuda_stage_sent(struct cuda_backend *b, size_t i, struct err *err)
{
    return b->device->ops->record(b->device, i, err);
}

enum status cuda_upload(struct backend *base, void *dev, const void *host, size_t n, struct err *err)
{
    struct cuda_backend *b = cuda_of(base);
    enum status s = OK;
    for (size_t at = 0; at < n && !s; at += STAGE_B) {
        size_t part = n - at < STAGE_B ? n - at : STAGE_B;
        size_t i = 0;
        if ((s = cuda_stage(b, &i, err)))
            break;
        memcpy(b->stage[i], (const uint8_t *)host + at, part);
        if (!(s = b->device->ops->copy_in(b->device, (uint8_t *)dev + at, b->stage[i], part, err)))
            s = cuda_stage_sent(b, i, err);
    }
    return s;
}

enum status cuda_download(struct backend *base, void *host, const void *dev, size_t n, struct err *err)
{
    struct cuda_backend *b = cuda_of(base);
    enum status s = OK;
    for (size_t at = 0; at < n && !s; at += STAGE_B) {
        size_t part = n - at < STAGE_B ? n - at : STAGE_B;
        size_t i = 0;
        if ((s = cuda_stage(b, &i, err)) ||
            (s = b->device->ops->copy_out(b->device, b->stage[i], (const uint8_t *)dev + at, part, err)) ||
            (s = b->device->ops->sync(b->device, err)))
            break;
        memcpy((uint8_t *)host + at, b->stage[i], part);
    }
    return s;
}

static enum status piece_b(const struct cuda_piece *p, size_t *total)
{
    size_t n;
    if (!size_mul(p->n, p->size, &n) || !size_add(n, 255, &n) || !size_add(*total, n & ~(size_t)255, total))
        return ERR_MEMORY;
    return OK;
}

enum status cuda_scratch(struct cuda_backend *b, const struct cuda_piece *pieces, size_t n, struct err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        if (piece_b(&pieces[i], &total))
            return err_set(err, ERR_MEMORY, "scratch of %zu x %zu bytes overflows", pieces[i].n, pieces[i].size);
    if (total > b->scratch_b) { // work already queued is done before work that gets the old place
        cuda_release(&b->base, b->scratch);
        b->scratch = NULL;
        b->scratch_b = 0;
        enum status s = cuda_take(b, &b->scratch, total, "operator scratch", err);
        if (s)
            return s;
        b->scratch_b = total;
        b->scratch_peak_b = total > b->scratch_peak_b ? total : b->scratch_peak_b;
    }
    total = 0;
    for (size_t i = 0; i < n; i++) {
        *pieces[i].at = (uint8_t *)b->scratch + total;
        (void)piece_b(&pieces[i], &total);
    }
    return OK;
}

enum status cuda_launch(struct cuda_backend *b, enum cuda_kernel k, size_t x, size_t y, const void *args, size_t args_b,
                        struct err *err)
{
    if (x == 0 || y == 0)
        return OK;
    if (x > INT32_MAX || y > UINT16_MAX)
        return err_set(err, ERR_UNSUPPORTED, "kernel %s: expected a grid up to %d x %d, found %zu x %zu",
                       cuda_kernel_name(k), INT32_MAX, UINT16_MAX, x, y);
    return b->device->ops->launch(b->device, k, x, y, args, args_b, err);
}

/* The step: seq and pos go up once, faults come down once. */
static enum status reserve_rows(struct cuda_backend *b, size_t n, struct err *err)
{
    uint32_t **all[] = {&b->seq, &b->pos, &b->fault, &b->pick};
    enum status s = OK;
    if (n <= b->cap_rows)
        return OK;
    b->cap_rows = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all && !s; i++) {
        void *p = NULL;
        cuda_release(&b->base, *all[i]);
        *all[i] = NULL;
        if (!(s = cuda_take(b, &p, n * sizeof **all[i], "rows of a step", err)))
            *all[i] = p;
    }
    if (!s)
        b->cap_rows = n;
    return s;
}

static enum status begin(struct backend *base, const struct rows *rows, struct err *err)
{
    struct cuda_backend *b = cuda_of(base);
    enum status s = reserve_rows(b, rows->n, err);
    if (s || (s = cuda_upload(base, b->seq, rows->seq, rows->n * sizeof *rows->seq, err)) ||
        (s = cuda_upload(base, b->pos, rows->pos, rows->n * sizeof *rows->pos, err)) ||
        (rows->n && (s = b->device->ops->fill(b->device, b->fault, 0, rows->n * sizeof *b->fault, err))))
        return s;
    b->rows = rows;
    return OK;
}

static enum status end(struct backend *base, const struct rows *rows, struct err *err)
{
    struct cuda_backend *b = cuda_of(base);
    uint32_t words[N_WORDS];
    void *faults = NULL;
    enum status s = mem_alloc(&faults, rows->n, sizeof *rows->fault, "faults of a step", err);
    if (s || (s = cuda_download(base, faults, b->fault, rows->n * sizeof *rows->fault, err)) ||
        (s = cuda_download(base, words, b->words, sizeof words, err)))
        goto done;
    for (size_t t = 0; t < rows->n; t++)
        rows->fault[t] = rows->fault[t] ? rows->fault[t] : ((uint32_t *)faults)[t];
    b->rows = NULL;
    if (words[WORD_ERROR])
        s = err_set(err, ERR_RANGE, "forced expert of row %u: expected an expert of the layer, found %u",
                    (unsigned)(words[WORD_ERROR] >> 16), (unsigned)(words[WORD_ERROR] & 0xffffu));
done:
    mem_free(faults);
    return s;
}

static const char *isa(const struct backend *base)
{
    const struct device *d = ((const struct cuda_backend *)base)->device;
    return d->ops->arch(d);
}

/* Threads of the host that compute: those that prepare weights have gone to rest by then. */
static size_t n_threads_computing(const struct backend *b)
{
    (void)b;
    return 1;
}

static void backend_free(struct backend *base)
{
    struct cuda_backend *b = cuda_of(base);
    if (!b)
        return;
    (void)b->device->ops->sync(b->device, NULL);
    for (size_t i = 0; i < STAGES; i++)
        if (b->stage[i])
            b->device->ops->unpin(b->device, b->stage[i]);
    if (b->arena)
        b->device->ops->release(b->device, b->arena);
    places_free(b->places);
    pool_free(b->pool);
    b->device->ops->free(b->device);
    mem_free(b);
}

/* Bytes that experts read are counted on the device, where it is known which were chosen. */
static void counters(const struct backend *base, struct backend_counters *out)
{
    union {
        const struct backend *in;
        struct cuda_backend *b; // asking the device queues a copy: not const, though nothing is changed
    } u = {.in = base};
    uint64_t chosen = 0;
    (void)cuda_download(&u.b->base, &chosen, u.b->words + WORD_BYTES_READ, sizeof chosen, NULL);
    size_t own = u.b->scratch_b;
    *out = (struct backend_counters){.weight_bytes_read = u.b->weight_bytes_read + chosen,
                                     .dots = u.b->dots,
                                     .alloc_bytes = places_used(u.b->places) - own,
                                     .alloc_peak_bytes = places_peak(u.b->places) - own,
                                     .scratch_peak_bytes = u.b->scratch_peak_b};
}

static const struct backend_ops cuda_ops = { // name: the device's
    .isa = isa,
    .n_threads = n_threads_computing,
    .free = backend_free,
    .counters = counters,
    .alloc = cuda_alloc,
    .release = cuda_release,
    .upload = cuda_upload,
    .download = cuda_download,
    .begin = begin,
    .end = end,
    .matrix_new = cuda_matrix_new,
    .matrix_free = cuda_matrix_free,
    .matrix_bytes = cuda_matrix_bytes,
    .matrix_poison = cuda_matrix_poison,
    .table_new = cuda_table_new,
    .table_free = cuda_table_free,
    .table_bytes = cuda_table_bytes,
    .kv_new = cuda_kv_new,
    .kv_free = cuda_kv_free,
    .kv_resize = cuda_kv_resize,
    .kv_need = cuda_kv_need,
    .kv_save = cuda_kv_save,
    .kv_load = cuda_kv_load,
    .kv_drop = cuda_kv_drop,
    .kv_count = cuda_kv_count,
    .embed = cuda_embed,
    .norm = cuda_norm,
    .linear = cuda_linear,
    .qkv_store = cuda_qkv_store,
    .attention = cuda_attention,
    .glu = cuda_glu,
    .router = cuda_router,
    .moe = cuda_moe,
};

/* The arena: what was asked for, or what is free but for some headroom. */
static enum status take_arena(struct cuda_backend *b, uint64_t memory_b, struct err *err)
{
    uint64_t free_b = 0;
    uint64_t total_b = 0;
    void *p = NULL;
    enum status s = b->device->ops->memory(b->device, &free_b, &total_b, err);
    if (s)
        return s;
    if (memory_b > free_b)
        return err_set(err, ERR_MEMORY, "device memory: expected %llu bytes, found %llu free of %llu",
                       (unsigned long long)memory_b, (unsigned long long)free_b, (unsigned long long)total_b);
    if (memory_b == 0)
        memory_b = free_b > 2 * (uint64_t)HEADROOM_B ? free_b - HEADROOM_B : free_b / 2;
    b->arena_b = (size_t)memory_b & ~(size_t)255;
    if ((s = places_new(&b->places, b->arena_b, err)) || (s = b->device->ops->alloc(b->device, &p, b->arena_b, err)))
        return s;
    b->arena = p;
    return OK;
}

static enum status take_stages(struct cuda_backend *b, struct err *err)
{
    enum status s = OK;
    for (size_t i = 0; i < STAGES && !s; i++) {
        void *p = NULL;
        if ((s = b->device->ops->pin(b->device, &p, STAGE_B, err)))
            break;
        b->stage[i] = p;
        if (!(s = cuda_take(b, &p, STAGE_B, "staging", err)))
            b->stage_dev[i] = p;
    }
    return s;
}

enum status cuda_backend_on(struct backend **out, struct device *d, size_t n_threads, uint64_t memory_b,
                            struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct cuda_backend), "backend", err);
    if (s) {
        d->ops->free(d);
        return s;
    }
    struct cuda_backend *b = p;
    b->ops = cuda_ops;
    b->ops.name = d->ops->name;
    b->base.ops = &b->ops;
    b->device = d;
    if (!(s = pool_new(&b->pool, n_threads, err)) && !(s = take_arena(b, memory_b, err)) && !(s = take_stages(b, err)) &&
        !(s = cuda_alloc(&b->base, &p, N_WORDS * sizeof *b->words, "counters", err))) {
        b->words = p;
        *out = &b->base;
        return OK;
    }
    backend_free(&b->base);
    return s;
}

enum status cuda_backend_new(struct backend **out, const char *name, size_t n_threads, uint64_t memory_b,
                             struct err *err)
{
    const struct sim_options sim = {.order = SIM_UP};
    struct device *d = NULL;
    enum status s;
    if (strcmp(name, "cuda") == 0)
        s = cuda_device_new(&d, err);
    else if (strcmp(name, "cuda-sim") == 0)
        s = sim_device_new(&d, &sim, err);
    else
        return err_set(err, ERR_USAGE, "backend: expected 'cpu', 'cuda' or 'cuda-sim', found '%s'", name);
    return s ? s : cuda_backend_on(out, d, n_threads, memory_b, err);
}
