#ifndef ASSAY_CONVERT_CONVERT_ROWS_H
#define ASSAY_CONVERT_CONVERT_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/tensors.h"
#include "quant/quant.h"

/* The rows of a tensor that is written, as the source stores them: a part of another tensor, every second row,
 * in another order, as columns, or with MXFP4's codes and scales apart (models.md 3.6).
 * Rows come in groups (the rows of an expert, or all of them): row j of a group is row offset + step * j of
 * the group that is stored. */
struct stored_rows {
    const struct tensor *t;
    const struct tensor *scales; /* of MXFP4 as safetensors have it, else NULL */
    size_t group, stored_group;  /* rows in a group, here and there */
    size_t offset, step;
    size_t head_dim; /* not 0: within a head, row 2i + p is row p * head_dim / 2 + i (GGUF's order for llama) */
    bool transposed; /* t is [group, in, out]: row r is a column */
    size_t n_cols;   /* values in a row */
    enum quant quant; /* of the rows that stored_rows_get gives: scales are joined to GGUF's blocks */
    size_t row_b;
};

/* stored_rows_get - n rows of one group, from `row` on, packed. */
void stored_rows_get(const struct stored_rows *r, size_t row, size_t n, uint8_t *out);

/* stored_rows_run - how many of the n rows from `row` on belong to one group. */
size_t stored_rows_run(const struct stored_rows *r, size_t row, size_t n);

/* stored_rows_drop - rows before `end` will not be read again soon: their pages need not stay in memory. */
void stored_rows_drop(const struct stored_rows *r, const struct tensors *set, size_t end);

#endif
