#include <string.h>

#include "base/mem.h"
#include "cpu/cpu.h"

/* Embedding rows in the form they are stored in: a step reads a handful of rows, so they are decoded
 * when asked for. */

struct table {
    const char *name;
    const struct quant_type *type;
    size_t n_rows, n_cols, row_b;
    const uint8_t *rows; // borrowed, or own
    void *own;           // (n_rows, row_b) or NULL
};

/* Rows that are not in place, made by all workers. */
struct copy {
    const struct row_reader *from;
    uint8_t *to;
    size_t row_b;
};

static void copy_rows(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    const struct copy *c = ctx;
    (void)w;
    c->from->read(c->from->ctx, from, to - from, c->to + from * c->row_b);
}

enum status cpu_table_new(struct backend *base, struct table **out, const struct matrix_source *src,
                          struct err *err)
{
    const struct matrix_part *p = &src->parts[0];
    const struct quant_type *type = quant_type(src->quant);
    size_t row_b = 0;
    size_t total_b = 0;
    if (src->n_parts != 1 || p->n_rows == 0 || src->n_cols == 0)
        return err_set(err, ERR_SHAPE, "table '%s': expected one part with a size, found %zu of %zu x %zu", src->name,
                       src->n_parts, p->n_rows, src->n_cols);
    if (!type || !type->decode || !quant_row_b(src->quant, src->n_cols, &row_b) ||
        !size_mul(p->n_rows, row_b, &total_b))
        return err_set(err, ERR_UNSUPPORTED, "table '%s': expected rows of whole blocks, found %zu columns of %s",
                       src->name, src->n_cols, type ? type->name : "an unknown type");
    void *mem;
    enum status s = mem_alloc(&mem, 1, sizeof(struct table), "table", err);
    if (s)
        return s;
    struct table *t = mem;
    *t = (struct table){.name = src->name, .type = type, .n_rows = p->n_rows, .n_cols = src->n_cols, .row_b = row_b};
    t->rows = p->rows.base;
    if (!t->rows) {
        if ((s = cpu_alloc(cpu_of(base), &t->own, total_b, src->name, err))) {
            mem_free(t);
            return s;
        }
        struct copy c = {&p->rows, t->own, row_b};
        cpu_run(cpu_of(base), p->n_rows, 4 * src->n_cols, copy_rows, &c);
        t->rows = t->own;
    }
    *out = t;
    return OK;
}

void cpu_table_free(struct backend *b, struct table *t)
{
    if (!t)
        return;
    cpu_release(cpu_of(b), t->own);
    mem_free(t);
}

size_t cpu_table_bytes(const struct table *t)
{
    return t->n_rows * t->row_b;
}

enum status cpu_embed(struct backend *base, const struct table *table, const int32_t *ids, size_t n, float *x,
                      size_t d, struct err *err)
{
    struct cpu_backend *b = cpu_of(base);
    for (size_t t = 0; t < n; t++) {
        if (ids[t] < 0 || (size_t)ids[t] >= table->n_rows)
            return err_set(err, ERR_RANGE, "token id: expected 0 to %zu, found %d", table->n_rows - 1, (int)ids[t]);
        const uint8_t *row = table->rows + (size_t)ids[t] * table->row_b;
        for (size_t k = 0; k < d; k += table->type->block)
            table->type->decode(row + k / table->type->block * table->type->block_b, x + t * d + k);
    }
    b->workers[0].weight_bytes_read += n * table->row_b;
    return OK;
}
