#include "convert/convert_write.h"

#include <string.h>

#include "quant/mxfp4.h"

enum {
    SLAB_B = 8 << 20, // written at a time
    GROUP = 16        // rows a worker reads at a time: columns of a transposed source lie side by side
};

struct slab {
    const struct planned_tensor *t;
    const struct quant_type *from, *to;
    size_t row_b;      // as written
    size_t first, n;   // rows
    uint8_t *out;      // (n, row_b)
    uint8_t *stored;   // (workers, stored_b)
    float *values;     // (workers, values_n)
    size_t stored_b, values_n;
    size_t *bad;       // (workers) first row that cannot be written; SIZE_MAX: none
};

static bool encode_row(const struct slab *s, const uint8_t *row, float *values, uint8_t *out)
{
    size_t n = s->t->rows.n_cols;
    bool good = true;
    for (size_t i = 0; i < n / s->from->block; i++)
        s->from->decode(row + i * s->from->block_b, values + i * s->from->block);
    for (size_t i = 0; i < n / s->to->block; i++)
        good &= s->to->encode(values + i * s->to->block, out + i * s->to->block_b);
    return good;
}

/* Blocks that are already what is asked for stay as they are, bit for bit. */
static bool copy_row(const struct slab *s, const uint8_t *row, uint8_t *out)
{
    bool good = true;
    memcpy(out, row, s->row_b);
    if (s->t->quant == QUANT_MXFP4)
        for (size_t i = 0; i < s->row_b; i += s->to->block_b)
            good &= row[i] != MXFP4_SCALE_NAN;
    return good;
}

static void work(void *arg, size_t worker, size_t n_workers)
{
    struct slab *s = arg;
    const struct stored_rows *r = &s->t->rows;
    size_t end = s->first + s->n * (worker + 1) / n_workers;
    uint8_t *stored = s->stored + worker * s->stored_b;
    float *values = s->values + worker * s->values_n;
    bool same = r->quant == s->t->quant && s->to->block > 1;
    s->bad[worker] = SIZE_MAX;
    for (size_t row = s->first + s->n * worker / n_workers, n; row < end; row += n) {
        n = stored_rows_run(r, row, end - row < GROUP ? end - row : GROUP);
        stored_rows_get(r, row, n, stored);
        for (size_t i = 0; i < n; i++) {
            const uint8_t *from = stored + i * r->row_b;
            uint8_t *to = s->out + (row + i - s->first) * s->row_b;
            if (!(same ? copy_row(s, from, to) : encode_row(s, from, values, to)) && s->bad[worker] == SIZE_MAX)
                s->bad[worker] = row + i;
        }
    }
}

static enum status check_good(const struct slab *s, const struct tensors *set, size_t n_workers, struct err *err)
{
    for (size_t i = 0; i < n_workers; i++)
        if (s->bad[i] != SIZE_MAX)
            return err_set(err, ERR_RANGE, "%s: tensor '%s': row %zu: expected finite values that %s can hold, found others",
                           tensors_file_of(set, s->t->rows.t), s->t->rows.t->name, s->bad[i], s->to->name);
    return OK;
}

/* Buffers wide enough for every tensor of the plan. */
static enum status make_room(struct slab *s, const struct plan *p, size_t n_workers, struct arena *a, size_t *slab_b,
                             struct err *err)
{
    void *mem;
    enum status st;
    *slab_b = SLAB_B;
    for (size_t i = 0; i < p->n; i++) {
        const struct planned_tensor *t = &p->tensors[i];
        size_t row_b = 0;
        if (!quant_row_b(t->quant, t->rows.n_cols, &row_b))
            return err_set(err, ERR_SHAPE, "tensor '%s': rows of %zu", t->name, t->rows.n_cols);
        *slab_b = row_b > *slab_b ? row_b : *slab_b;
        s->stored_b = t->rows.row_b * GROUP > s->stored_b ? t->rows.row_b * GROUP : s->stored_b;
        s->values_n = t->rows.n_cols > s->values_n ? t->rows.n_cols : s->values_n;
    }
    s->values_n = (s->values_n + 15) & ~(size_t)15; // no worker shares a cache line
    s->stored_b = (s->stored_b + 63) & ~(size_t)63;
    if ((st = arena_alloc(a, &mem, *slab_b + GGUF_ALIGNMENT, 1, err)))
        return st;
    s->out = mem;
    if ((st = arena_alloc(a, &mem, n_workers, s->stored_b, err)))
        return st;
    s->stored = mem;
    if ((st = arena_alloc(a, &mem, n_workers * s->values_n, sizeof(float), err)))
        return st;
    s->values = mem;
    if ((st = arena_alloc(a, &mem, n_workers, sizeof(size_t), err)))
        return st;
    s->bad = mem;
    return OK;
}

static enum status write_tensor(struct slab *s, size_t slab_b, const struct tensors *set, struct pool *pool,
                                struct outfile *out, struct err *err)
{
    const struct planned_tensor *t = s->t;
    size_t at_once = slab_b / s->row_b;
    enum status st = OK;
    for (s->first = 0; s->first < t->n_rows && !st; s->first += s->n) {
        s->n = t->n_rows - s->first < at_once ? t->n_rows - s->first : at_once;
        pool_run(pool, work, s);
        size_t n_bytes = s->n * s->row_b;
        if (s->first + s->n == t->n_rows) { // the last: with the padding behind the tensor
            size_t padding = gguf_padded(t->n_rows * s->row_b) - t->n_rows * s->row_b;
            memset(s->out + n_bytes, 0, padding);
            n_bytes += padding;
        }
        if (!(st = check_good(s, set, pool_size(pool), err)))
            st = outfile_write(out, s->out, n_bytes, err);
        stored_rows_drop(&t->rows, set, s->first + s->n);
    }
    return st;
}

enum status plan_write(const struct plan *p, const struct tensors *set, struct pool *pool, struct outfile *out,
                       struct progress *progress, struct err *err)
{
    struct slab s = {.t = NULL};
    struct arena *a = NULL;
    size_t slab_b = 0;
    enum status st = arena_new(&a, 0, err);
    if (!st)
        st = make_room(&s, p, pool_size(pool), a, &slab_b, err);
    progress_stage(progress, "tensors", p->n);
    for (size_t i = 0; i < p->n && !st; i++) {
        s.t = &p->tensors[i];
        s.from = quant_type(s.t->rows.quant);
        s.to = quant_type(s.t->quant);
        (void)quant_row_b(s.t->quant, s.t->rows.n_cols, &s.row_b);
        st = write_tensor(&s, slab_b, set, pool, out, err);
        progress_step(progress, i + 1, NULL);
    }
    if (!st)
        progress_end(progress, NULL);
    arena_free(a);
    return st;
}

enum status plan_announce(const struct plan *p, struct gguf_writer *w, struct err *err)
{
    enum status st = OK;
    for (size_t i = 0; i < p->n && !st; i++)
        st = gguf_write_tensor(w, p->tensors[i].name, p->tensors[i].quant, p->tensors[i].shape, p->tensors[i].n_dims, err);
    return st;
}
