#include <string.h>

#include "base/mem.h"
#include "cuda/cuda.h"

/* Embedding rows in host memory: a step reads one row a token, and on a 16 GB card the table (1.16 GB for
 * gpt-oss-20b) is worth more as key-value cache. Rows are decoded to fp32 by the host into pinned memory. */

struct table {
    const struct quant_type *type;
    size_t n_rows, n_cols, row_b;
    const uint8_t *rows; // borrowed, or own
    void *own;           // host (n_rows, row_b) or NULL
};

enum status cuda_table_new(struct backend *b, struct table **out, const struct matrix_source *src, struct err *err)
{
    const struct matrix_part *p = &src->parts[0];
    const struct quant_type *type = quant_type(src->quant);
    size_t row_b = 0;
    void *mem;
    (void)b;
    if (src->n_parts != 1 || p->n_rows == 0 || src->n_cols == 0 || src->n_cols > STAGE_B / sizeof(float))
        return err_set(err, ERR_SHAPE, "table '%s': expected one part with a size, found %zu of %zu x %zu", src->name,
                       src->n_parts, p->n_rows, src->n_cols);
    if (!type || !type->decode || !quant_row_b(src->quant, src->n_cols, &row_b))
        return err_set(err, ERR_UNSUPPORTED, "table '%s': expected rows of whole blocks, found %zu columns of %s",
                       src->name, src->n_cols, type ? type->name : "an unknown type");
    enum status s = mem_alloc(&mem, 1, sizeof(struct table), "table", err);
    if (s)
        return s;
    struct table *t = mem;
    *t = (struct table){.type = type, .n_rows = p->n_rows, .n_cols = src->n_cols, .row_b = row_b, .rows = p->rows.base};
    if (!t->rows) {
        if ((s = mem_alloc(&t->own, p->n_rows, row_b, src->name, err))) {
            mem_free(t);
            return s;
        }
        p->rows.read(p->rows.ctx, 0, p->n_rows, t->own);
        t->rows = t->own;
    }
    *out = t;
    return OK;
}

void cuda_table_free(struct backend *b, struct table *t)
{
    (void)b;
    if (!t)
        return;
    mem_free(t->own);
    mem_free(t);
}

size_t cuda_table_bytes(const struct table *t)
{
    return t->n_rows * t->row_b;
}

enum status cuda_embed(struct backend *base, const struct table *table, const int32_t *ids, size_t n, float *x,
                       size_t d, struct err *err)
{
    struct cuda_backend *b = cuda_of(base);
    size_t fit = STAGE_B / (d * sizeof(float));
    enum status s = OK;
    for (size_t t = 0; t < n; t++)
        if (ids[t] < 0 || (size_t)ids[t] >= table->n_rows)
            return err_set(err, ERR_RANGE, "token id: expected 0 to %zu, found %d", table->n_rows - 1, (int)ids[t]);
    for (size_t from = 0; from < n && !s; from += fit) {
        size_t part = n - from < fit ? n - from : fit;
        size_t i = 0;
        if ((s = cuda_stage(b, &i, err)))
            break;
        float *out = (float *)(void *)b->stage[i];
        for (size_t t = 0; t < part; t++) {
            const uint8_t *row = table->rows + (size_t)ids[from + t] * table->row_b;
            for (size_t k = 0; k < d; k += table->type->block)
                table->type->decode(row + k / table->type->block * table->type->block_b, out + t * d + k);
        }
        if (!(s = b->device->ops->copy_in(b->device, x + from * d, out, part * d * sizeof *x, err)))
            s = cuda_stage_sent(b, i, err);
    }
    b->weight_bytes_read += n * table->row_b;
    return s;
}
