#include "model/bind_rows.h"

#include <string.h>

#include "base/mem.h"

enum { MAX_SLICES = 3, MAX_BLOCK_B = 256, CHUNK_B = 4096 };

/* A reader's context: which tensor, and how its bytes become a row. */
struct reading {
    const struct tensor *t;
    size_t from, row_b; // first row; bytes of one as stored
    size_t n_cols, n_rows;
    enum row_order order;
    size_t head_dim;
    const struct quant_type *decode; // rows are asked for as F32
};

/* Where the engine's row r of a head lies in a file that stores rotary pairs side by side. */
static size_t paired_row(size_t r, size_t head_dim)
{
    size_t half = head_dim / 2;
    size_t in_head = r % head_dim;
    return r - in_head + in_head % half * 2 + in_head / half;
}

static void decode_row(const struct reading *x, size_t at, uint8_t *out)
{
    size_t block_b = x->decode->block_b;
    size_t out_b = x->decode->block * sizeof(float);
    uint8_t block[MAX_BLOCK_B];
    float values[MAX_BLOCK_B];
    for (size_t i = 0; i < x->n_cols / x->decode->block; i++) {
        tensor_read(x->t, at + i * block_b, block_b, block);
        x->decode->decode(block, values);
        memcpy(out + i * out_b, values, out_b);
    }
}

static void read_rows(const void *ctx, size_t row, size_t n, uint8_t *out)
{
    const struct reading *x = ctx;
    size_t out_b = x->decode ? x->n_cols * sizeof(float) : x->row_b;
    if (x->order == ROWS_STORED && !x->decode) {
        tensor_read(x->t, (x->from + row) * x->row_b, n * x->row_b, out);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        size_t r = x->order == ROWS_PAIRED ? paired_row(row + i, x->head_dim) : row + i;
        if (x->decode)
            decode_row(x, (x->from + r) * x->row_b, out + i * out_b);
        else
            tensor_read(x->t, (x->from + r) * x->row_b, x->row_b, out + i * out_b);
    }
}

/* Columns become rows: values that stand together in the file are read together. */
static void read_transposed(const void *ctx, size_t row, size_t n, uint8_t *out)
{
    const struct reading *x = ctx;
    size_t value_b = x->row_b / x->n_cols;
    size_t at = (x->from * x->n_rows + row) * value_b;
    for (size_t i = 0; i < x->n_cols; i++, at += x->n_rows * value_b)
        for (size_t r = 0; r < n; r++) {
            uint8_t *to = out + (r * x->n_cols + i) * value_b;
            if (!x->t->data)
                tensor_read(x->t, at + r * value_b, value_b, to);
            else if (value_b == 2) // a size the compiler knows
                memcpy(to, x->t->data + at + r * 2, 2);
            else
                memcpy(to, x->t->data + at + r * 4, 4);
        }
}

static enum status reader_of(struct row_reader *out, struct reading *x, const struct slice *s, const struct tensor *t,
                             size_t row_b, bool as_f32, struct err *err)
{
    *x = (struct reading){.t = t,
                       .from = s->from,
                       .row_b = row_b,
                       .n_cols = s->n_cols,
                       .n_rows = s->n_rows,
                       .order = s->order,
                       .head_dim = s->head_dim,
                       .decode = as_f32 ? quant_type(t->quant) : NULL};
    if (as_f32 && (!x->decode || !x->decode->decode || x->decode->block > MAX_BLOCK_B || s->order == ROWS_TRANSPOSED))
        return err_set(err, ERR_UNSUPPORTED, "tensor '%s': expected the type of the tensor it is joined with, found %s",
                       t->name, t->type_name);
    if (s->order == ROWS_TRANSPOSED)
        *out = (struct row_reader){.read = read_transposed, .ctx = x};
    else if (s->order == ROWS_STORED && !as_f32 && t->data)
        *out = (struct row_reader){.base = t->data + s->from * row_b};
    else
        *out = (struct row_reader){.read = read_rows, .ctx = x};
    return OK;
}

static enum quant quant_of(const struct slice *s)
{
    return s->scales ? QUANT_MXFP4_SPLIT : s->t->quant;
}

/* Fills src; rows and scales are its readers' contexts. */
static enum status source_of(struct matrix_source *src, struct reading *rows, struct reading *scales, const char *name,
                             const struct slice *slices, size_t n, bool interleave, struct err *err)
{
    bool as_f32 = false;
    for (size_t i = 1; i < n; i++)
        as_f32 = as_f32 || quant_of(&slices[i]) != quant_of(&slices[0]);
    *src = (struct matrix_source){.name = name,
                                  .quant = as_f32 ? QUANT_F32 : quant_of(&slices[0]),
                                  .n_cols = slices[0].n_cols,
                                  .n_parts = n,
                                  .interleave = interleave};
    for (size_t i = 0; i < n; i++) {
        const struct slice *s = &slices[i];
        struct matrix_part *p = &src->parts[i];
        size_t row_b = 0;
        enum status st;
        p->n_rows = s->n_rows;
        if (!quant_row_b(quant_of(s), s->n_cols, &row_b))
            return err_set(err, ERR_SHAPE, "tensor '%s': expected rows of whole blocks of %s, found %zu columns",
                           s->t->name, s->t->type_name, s->n_cols);
        if ((st = reader_of(&p->rows, &rows[i], s, s->t, row_b, as_f32, err)) ||
            (s->scales && (st = reader_of(&p->scales, &scales[i], s, s->scales, s->n_cols / 32, false, err))))
            return st;
    }
    return OK;
}

enum status rows_new_matrix(struct backend *b, struct matrix **out, const char *name, const struct slice *slices,
                            size_t n, bool interleave, struct err *err)
{
    struct reading rows[MAX_SLICES];
    struct reading scales[MAX_SLICES];
    struct matrix_source src;
    enum status s = source_of(&src, rows, scales, name, slices, n, interleave, err);
    return s ? s : b->ops->matrix_new(b, out, &src, err);
}

enum status rows_new_table(struct backend *b, struct table **out, const struct slice *s, struct err *err)
{
    struct reading rows;
    struct reading scales;
    struct matrix_source src;
    enum status st = source_of(&src, &rows, &scales, s->t->name, s, 1, false, err);
    return st ? st : b->ops->table_new(b, out, &src, err);
}

static bool finite(float x)
{
    return x - x == 0; // false for infinities and NaN
}

enum status rows_values(const struct tensor *t, float **out, size_t *n, struct err *err)
{
    const struct quant_type *q = quant_type(t->quant);
    void *p;
    if (!q || q->block != 1)
        return err_set(err, ERR_UNSUPPORTED, "tensor '%s': expected F32, BF16 or F16, found %s", t->name, t->type_name);
    size_t len = t->n_bytes / q->block_b;
    enum status s = mem_alloc(&p, len, sizeof(float), "a weight vector", err);
    if (s)
        return s;
    float *v = p;
    uint8_t stored[CHUNK_B];
    for (size_t i = 0; i < len && !s; i++) {
        size_t at = i * q->block_b;
        if (at % CHUNK_B == 0)
            tensor_read(t, at, t->n_bytes - at < CHUNK_B ? t->n_bytes - at : CHUNK_B, stored);
        q->decode(stored + at % CHUNK_B, &v[i]);
        if (!finite(v[i]))
            s = err_set(err, ERR_RANGE, "tensor '%s': expected finite values, found none at index %zu", t->name, i);
    }
    if (s) {
        mem_free(v);
        return s;
    }
    *out = v;
    *n = len;
    return OK;
}

enum status rows_unpair(float *v, size_t n, size_t head_dim, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, n, sizeof(float), "a weight vector", err);
    if (s)
        return s;
    memcpy(p, v, n * sizeof(float));
    const float *from = p;
    for (size_t i = 0; i < n; i++)
        v[i] = from[paired_row(i, head_dim)];
    mem_free(p);
    return OK;
}
