#include <math.h>
#include <string.h>

#include "cpu/cpu.h"

/* Operators on rows: RMSNorm and the gated activation of dense models. */

bool cpu_rms(const struct cpu_kernels *k, const float *x, size_t d, float eps, float *r)
{
    float mean = k->sum_squares(x, d) / (float)d;
    *r = sqrtf(mean + eps);
    return isfinite(mean);
}

struct norm {
    const struct cpu_kernels *k;
    const float *x, *w;
    float eps;
    size_t d, ld, layer;
    const struct rows *rows;
    const uint32_t *pick;
    uint16_t *out;
    float *y; // (workers, d)
};

static void norm_rows(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    struct norm *n = ctx;
    float *y = n->y + w->index * n->d;
    for (size_t i = from; i < to; i++) {
        size_t t = n->pick ? n->pick[i] : i;
        const float *x = n->x + t * n->d;
        uint16_t *out = n->out + i * n->ld;
        memset(out + n->d, 0, (n->ld - n->d) * sizeof *out);
        float r;
        bool good = cpu_rms(n->k, x, n->d, n->eps, &r);
        if (good) {
            n->k->norm_scale(x, n->w, r, n->d, y);
            good = n->k->operands(y, n->d, out);
        } else {
            memset(out, 0, n->d * sizeof *out);
        }
        if (!good)
            cpu_fault(n->rows, t, n->layer, FAULT_NORM);
    }
}

enum status cpu_norm(struct backend *base, const float *x, const float *w, float eps, size_t d,
                     const struct rows *rows, const uint32_t *pick, size_t n_out, size_t layer, uint16_t *out,
                     struct err *err)
{
    struct cpu_backend *b = cpu_of(base);
    void *y;
    const struct cpu_piece piece = {&y, pool_size(b->pool) * d, sizeof(float)};
    enum status s = cpu_scratch(b, &piece, 1, err);
    if (s)
        return s;
    struct norm n = {.k = b->kernels, .x = x, .w = w, .eps = eps, .d = d, .ld = operand_ld(d), .layer = layer,
                     .rows = rows, .pick = pick, .out = out, .y = y};
    cpu_run(b, n_out, 4 * d, norm_rows, &n);
    return OK;
}

enum { GLU_CHUNK = 2048 }; // units of one item: a long row is shared, a short one is not cut up

struct glu_call {
    const struct cpu_kernels *k;
    const struct glu *g;
    const float *z;
    size_t n_ff, ld, chunks, layer;
    const struct rows *rows;
    uint16_t *out;
};

static void glu_items(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    (void)w;
    struct glu_call *c = ctx;
    for (size_t item = from; item < to; item++) {
        size_t t = item / c->chunks;
        size_t i = item % c->chunks * GLU_CHUNK;
        size_t n = c->n_ff - i < GLU_CHUNK ? c->n_ff - i : GLU_CHUNK;
        uint16_t *out = c->out + t * c->ld;
        if (!c->k->glu(c->g, c->z + (t * c->n_ff + i) * 2, n, out + i))
            cpu_fault(c->rows, t, c->layer, FAULT_MLP);
        if (i + n == c->n_ff)
            memset(out + c->n_ff, 0, (c->ld - c->n_ff) * sizeof *out);
    }
}

enum status cpu_glu(struct backend *base, const struct glu *g, const float *z, size_t n_ff, const struct rows *rows,
                    size_t layer, uint16_t *out, struct err *err)
{
    (void)err;
    struct cpu_backend *b = cpu_of(base);
    struct glu_call c = {.k = b->kernels, .g = g, .z = z, .n_ff = n_ff, .ld = operand_ld(n_ff), .layer = layer,
                         .chunks = (n_ff + GLU_CHUNK - 1) / GLU_CHUNK, .rows = rows, .out = out};
    cpu_run(b, rows->n * c.chunks, 16 * GLU_CHUNK, glu_items, &c);
    return OK;
}
