#include "convert/convert_rows.h"

#include <string.h>

#include "quant/mxfp4.h"

/* Bytes [at, at + n) of a tensor to out. */
static void copy_out(const struct tensor *t, size_t at, size_t n, uint8_t *out)
{
    if (t->data)
        memcpy(out, t->data + at, n);
    else
        t->fill(t, at, n, out);
}

/* Row of the source that becomes row r. */
static size_t source_row(const struct stored_rows *s, size_t r)
{
    switch (s->order) {
    case ROW_ORDER_SAME:
        return r;
    case ROW_ORDER_PAIRED: {
        size_t in_head = r % s->head_dim;
        return r - in_head + in_head % 2 * (s->head_dim / 2) + in_head / 2;
    }
    case ROW_ORDER_EVEN:
        return 2 * r;
    case ROW_ORDER_ODD:
        return 2 * r + 1;
    }
    return r;
}

/* Codes of a group, low nibble first, to the block GGUF has: scale, then value j beside value j + 16. */
static void join_block(const uint8_t *codes, uint8_t scale, uint8_t *block)
{
    block[0] = scale;
    for (size_t j = 0; j < MXFP4_GROUP_B; j += 2) {
        // values 2b, 2b + 1 of bytes b = j/2 and j/2 + 8
        unsigned low = codes[j / 2];
        unsigned high = codes[j / 2 + 8];
        block[1 + j] = (uint8_t)((low & 15u) | high << 4);
        block[2 + j] = (uint8_t)(low >> 4 | (high & 0xf0u));
    }
}

enum { GROUPS = 64 }; // joined at a time, on the stack

static void get_mxfp4(const struct stored_rows *s, size_t row, uint8_t *out)
{
    size_t n_groups = s->n_cols / MXFP4_GROUP;
    uint8_t codes[GROUPS * MXFP4_GROUP_B];
    uint8_t scales[GROUPS];
    for (size_t g = 0; g < n_groups; g += GROUPS) {
        size_t n = n_groups - g < GROUPS ? n_groups - g : GROUPS;
        size_t at = row * n_groups + g;
        copy_out(s->t, at * MXFP4_GROUP_B, n * MXFP4_GROUP_B, codes);
        copy_out(s->scales, at, n, scales);
        for (size_t i = 0; i < n; i++)
            join_block(codes + i * MXFP4_GROUP_B, scales[i], out + (g + i) * (1 + MXFP4_GROUP_B));
    }
}

/* Columns of one [in, out] matrix as rows. The inner loop goes along memory of the source. */
static void get_columns(const struct stored_rows *s, size_t row, size_t n, uint8_t *out)
{
    size_t n_in = s->t->shape[1];
    size_t n_out = s->t->shape[2];
    size_t from = source_row(s, row);
    size_t step = s->order == ROW_ORDER_SAME ? 1 : 2;
    size_t base = from / n_out * n_in * n_out + from % n_out;
    for (size_t i = 0; i < n_in; i++)
        for (size_t r = 0; r < n; r++)
            copy_out(s->t, (base + i * n_out + r * step) * 2, 2, out + r * s->row_b + i * 2);
}

void stored_rows_get(const struct stored_rows *s, size_t row, size_t n, uint8_t *out)
{
    if (s->transposed) {
        get_columns(s, row, n, out);
    } else if (s->scales) {
        for (size_t i = 0; i < n; i++)
            get_mxfp4(s, source_row(s, row + i), out + i * s->row_b);
    } else if (s->order == ROW_ORDER_SAME) {
        copy_out(s->t, row * s->row_b, n * s->row_b, out);
    } else {
        for (size_t i = 0; i < n; i++)
            copy_out(s->t, source_row(s, row + i) * s->row_b, s->row_b, out + i * s->row_b);
    }
}

static size_t rows_of_expert(const struct stored_rows *s)
{
    return s->order == ROW_ORDER_SAME ? s->t->shape[2] : s->t->shape[2] / 2;
}

size_t stored_rows_run(const struct stored_rows *s, size_t row, size_t n)
{
    if (!s->transposed)
        return n;
    size_t left = rows_of_expert(s) - row % rows_of_expert(s);
    return n < left ? n : left;
}

/* Whole rows up to `end` of the source; of a transposed tensor whole experts. */
void stored_rows_drop(const struct stored_rows *s, const struct tensors *set, size_t end)
{
    if (s->transposed) {
        size_t expert_b = s->t->shape[1] * s->t->shape[2] * 2;
        tensors_drop_part(set, s->t, 0, end / rows_of_expert(s) * expert_b);
        return;
    }
    size_t rows = s->order == ROW_ORDER_EVEN || s->order == ROW_ORDER_ODD ? 2 * end : end;
    if (s->scales) {
        size_t n_groups = s->n_cols / MXFP4_GROUP;
        tensors_drop_part(set, s->t, 0, rows * n_groups * MXFP4_GROUP_B);
        tensors_drop_part(set, s->scales, 0, rows * n_groups);
    } else {
        tensors_drop_part(set, s->t, 0, rows * s->row_b);
    }
}
