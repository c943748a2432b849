#include "convert/convert_rows.h"

#include <string.h>

#include "quant/mxfp4.h"

/* Row of the source that becomes row r. */
static size_t source_row(const struct stored_rows *s, size_t r)
{
    size_t j = r % s->group;
    if (s->head_dim) {
        size_t in_head = j % s->head_dim;
        j = j - in_head + in_head % 2 * (s->head_dim / 2) + in_head / 2;
    }
    return r / s->group * s->stored_group + s->offset + s->step * j;
}

/* Codes of a group, low nibble first, to the block GGUF has: scale, then value j beside value j + 16. */
static void join_block(const uint8_t *codes, uint8_t scale, uint8_t *block)
{
    block[0] = scale;
    for (size_t j = 0; j < MXFP4_GROUP_B; j += 2) { // values j, j + 1 of byte j/2 and 16 + j, 17 + j of byte 8 + j/2
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
        tensor_read(s->t, at * MXFP4_GROUP_B, n * MXFP4_GROUP_B, codes);
        tensor_read(s->scales, at, n, scales);
        for (size_t i = 0; i < n; i++)
            join_block(codes + i * MXFP4_GROUP_B, scales[i], out + (g + i) * (1 + MXFP4_GROUP_B));
    }
}

/* Columns of one [in, out] matrix as rows. The inner loop goes along memory of the source. */
static void get_columns(const struct stored_rows *s, size_t row, size_t n, uint8_t *out)
{
    size_t value_b = s->row_b / s->n_cols;
    size_t from = source_row(s, row);
    size_t at = from / s->stored_group * s->n_cols * s->stored_group + from % s->stored_group;
    for (size_t i = 0; i < s->n_cols; i++, at += s->stored_group)
        for (size_t r = 0; r < n; r++) {
            uint8_t *to = out + r * s->row_b + i * value_b;
            if (s->t->data && value_b == 2) // a size the compiler knows
                memcpy(to, s->t->data + (at + r * s->step) * 2, 2);
            else
                tensor_read(s->t, (at + r * s->step) * value_b, value_b, to);
        }
}

void stored_rows_get(const struct stored_rows *s, size_t row, size_t n, uint8_t *out)
{
    if (s->transposed) {
        get_columns(s, row, n, out);
    } else if (s->step == 1 && !s->head_dim && !s->scales) {
        tensor_read(s->t, source_row(s, row) * s->row_b, n * s->row_b, out);
    } else {
        for (size_t i = 0; i < n; i++, out += s->row_b) {
            if (s->scales)
                get_mxfp4(s, source_row(s, row + i), out);
            else
                tensor_read(s->t, source_row(s, row + i) * s->row_b, s->row_b, out);
        }
    }
}

size_t stored_rows_run(const struct stored_rows *s, size_t row, size_t n)
{
    size_t left = s->group - row % s->group;
    return n < left ? n : left;
}

void stored_rows_drop(const struct stored_rows *s, const struct tensors *set, size_t end)
{
    size_t rest = s->transposed ? 0 : end % s->group; // a column is read up to the group's last byte
    if (s->head_dim)
        rest -= rest % s->head_dim;
    size_t rows = end / s->group * s->stored_group + s->step * rest;
    if (s->scales) {
        size_t n_groups = s->n_cols / MXFP4_GROUP;
        tensors_drop_part(set, s->t, 0, rows * n_groups * MXFP4_GROUP_B);
        tensors_drop_part(set, s->scales, 0, rows * n_groups);
    } else {
        tensors_drop_part(set, s->t, 0, rows * s->row_b);
    }
}
