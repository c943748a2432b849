#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cuda/device.h"

/* gpu_kernels DEVICE [tiny] - time per call of the products of the three models, beside the rate at which the
 * device copies its own memory: CSV on stdout. DEVICE is cuda, or cuda-sim for a dry run, whose times mean
 * nothing. Weights are random; a product's rate counts the bytes of its matrix once. */

struct shape {
    const char *what;
    enum quant quant;
    size_t rows, cols;
};

static const struct shape full[] = {
    {"gpt-oss-20b qkv", QUANT_BF16, 5120, 2880},     {"gpt-oss-20b o", QUANT_BF16, 2880, 4096},
    {"gpt-oss-20b gate+up", QUANT_MXFP4, 5760, 2880}, {"gpt-oss-20b down", QUANT_MXFP4, 2880, 2880},
    {"gpt-oss-20b head", QUANT_BF16, 201088, 2880},  {"gpt-oss-20b head", QUANT_Q8_0, 201088, 2880},
    {"Qwen3-32B gate+up", QUANT_BF16, 51200, 5120},  {"Qwen3-32B down", QUANT_BF16, 5120, 25600},
    {"Yi-34B gate+up", QUANT_BF16, 40960, 7168},     {"Yi-34B down", QUANT_BF16, 7168, 20480},
};
static const struct shape tiny[] = {{"tiny", QUANT_BF16, 64, 96}, {"tiny", QUANT_MXFP4, 64, 96}, {"tiny", QUANT_Q8_0, 64, 96}};

struct source {
    enum quant quant;
    size_t row_b;
};

/* Any bytes that are weights: exponents and scales near 1. */
static void read_rows(const void *ctx, size_t row, size_t n, uint8_t *out)
{
    const struct source *s = ctx;
    struct rng_key key = rng_key(row, "kernels");
    for (size_t i = 0; i < n * s->row_b; i += 8) {
        uint64_t v = rng_u64(&key, i);
        memcpy(out + i, &v, n * s->row_b - i < 8 ? n * s->row_b - i : 8);
    }
    for (size_t i = 0; i < n * s->row_b; i++) {
        if (s->quant == QUANT_BF16 && i % 2 == 1)
            out[i] = (uint8_t)(0x3c | (out[i] & 0x83));
        if (s->quant == QUANT_MXFP4 && i % 17 == 0)
            out[i] = 120;
        if (s->quant == QUANT_Q8_0 && i % 34 == 1)
            out[i] = 0x20;
    }
}

/* ns a call: the calls are queued, then waited for through a download. */
static enum status time_linear(struct backend *b, const struct shape *v, size_t n, size_t calls, struct err *err)
{
    struct source src = {.quant = v->quant};
    struct matrix_source ms = {.name = v->what, .quant = v->quant, .n_cols = v->cols, .n_parts = 1};
    struct matrix *m = NULL;
    void *x = NULL;
    void *y = NULL;
    float out;
    enum status s;
    if (!quant_row_b(v->quant, v->cols, &src.row_b))
        return err_set(err, ERR_SHAPE, "%s: expected whole blocks", v->what);
    ms.parts[0] = (struct matrix_part){.n_rows = v->rows, .rows = {.read = read_rows, .ctx = &src}};
    if ((s = b->ops->matrix_new(b, &m, &ms, err)) ||
        (s = b->ops->alloc(b, &x, n * operand_ld(v->cols) * sizeof(uint16_t), "x", err)) ||
        (s = b->ops->alloc(b, &y, n * v->rows * sizeof(float), "y", err)) ||
        (s = b->ops->linear(b, m, x, n, NULL, false, y, err)) || (s = b->ops->download(b, &out, y, sizeof out, err)))
        goto done;
    uint64_t from = clock_ns();
    for (size_t i = 0; i < calls && !s; i++)
        s = b->ops->linear(b, m, x, n, NULL, false, y, err);
    if (s || (s = b->ops->download(b, &out, y, sizeof out, err)))
        goto done;
    double ns = (double)(clock_ns() - from) / (double)calls;
    size_t bytes = b->ops->matrix_bytes(m);
    printf("linear,%s,%s,%zu,%zu,%zu,%zu,%zu,%.0f,%.3f\n", v->what, quant_type(v->quant)->name, v->rows, v->cols, n, calls,
           bytes, ns, (double)bytes / ns);
done:
    b->ops->matrix_free(b, m);
    b->ops->release(b, x);
    b->ops->release(b, y);
    return s;
}

/* The device's own copy: half its bytes are read, half written. */
static enum status time_copy(const char *device, size_t bytes, size_t calls, struct err *err)
{
    const struct sim_options sim = {.order = SIM_UP};
    struct device *d = NULL;
    void *p = NULL;
    enum status s = strcmp(device, "cuda") == 0 ? cuda_device_new(&d, err) : sim_device_new(&d, &sim, err);
    if (s)
        return s;
    if ((s = d->ops->alloc(d, &p, 2 * bytes, err)) || (s = d->ops->fill(d, p, 0, 2 * bytes, err)) ||
        (s = d->ops->sync(d, err)))
        goto done;
    uint64_t from = clock_ns();
    for (size_t i = 0; i < calls && !s; i++)
        s = d->ops->move(d, (uint8_t *)p + bytes, p, bytes, err);
    if (s || (s = d->ops->sync(d, err)))
        goto done;
    double ns = (double)(clock_ns() - from) / (double)calls;
    printf("copy,%s,,,,,%zu,%zu,%.0f,%.3f\n", d->ops->arch(d), calls, 2 * bytes, ns, (double)(2 * bytes) / ns);
done:
    if (p)
        d->ops->release(d, p);
    d->ops->free(d);
    return s;
}

int main(int argc, char **argv)
{
    const char *device = argc > 1 ? argv[1] : "cuda";
    bool small = argc > 2 && strcmp(argv[2], "tiny") == 0;
    const struct shape *list = small ? tiny : full;
    size_t n_shapes = small ? sizeof tiny / sizeof *tiny : sizeof full / sizeof *full;
    static const size_t batches[] = {1, 8, 64};
    struct err err = ERR_INIT;
    struct backend *b = NULL;
    printf("kernel,what,format,rows,cols,batch,calls,bytes,ns,gb_s\n");
    enum status s = time_copy(device, small ? 1 << 16 : (size_t)1 << 30, small ? 2 : 20, &err);
    if (!s)
        s = cuda_backend_new(&b, device, 8, small ? 16 << 20 : 0, &err);
    for (size_t i = 0; i < n_shapes && !s; i++)
        for (size_t k = 0; k < sizeof batches / sizeof *batches && !s; k++)
            s = time_linear(b, &list[i], batches[k], small ? 2 : 50, &err);
    if (b)
        b->ops->free(b);
    if (s)
        fprintf(stderr, "gpu_kernels: %s\n", err.text);
    return s == OK ? 0 : s == ERR_DEVICE || s == ERR_MEMORY ? 3 : 2;
}
