#ifndef ASSAY_CONVERT_CONVERT_ROWS_H
#define ASSAY_CONVERT_CONVERT_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/tensors.h"
#include "quant/quant.h"

/* The rows of a tensor that is written, as the source stores them: in another order, in every second row,
 * as columns, or with MXFP4's codes and scales apart (models.md 3.6). */

enum row_order {
    ROW_ORDER_SAME,
    ROW_ORDER_PAIRED, /* rotary pairs (i, i + h/2) of each head become neighbours: row 2i + p is row p * h/2 + i */
    ROW_ORDER_EVEN,   /* gate of an interleaved gate_up */
    ROW_ORDER_ODD     /* up */
};

struct stored_rows {
    const struct tensor *t;
    const struct tensor *scales; /* of MXFP4 as safetensors have it, else NULL */
    enum row_order order;
    size_t head_dim; /* PAIRED */
    bool transposed; /* t is [E, in, out], of 2-byte values: row r is a column */
    size_t n_cols;   /* values in a row */
    enum quant quant; /* of the rows that stored_rows_get gives: scales are joined to GGUF's blocks */
    size_t row_b;
};

/* stored_rows_get - n rows from `row` on, packed. For a transposed tensor they must belong to one expert. */
void stored_rows_get(const struct stored_rows *r, size_t row, size_t n, uint8_t *out);

/* stored_rows_run - how many of the n rows from `row` on may be asked for at once. */
size_t stored_rows_run(const struct stored_rows *r, size_t row, size_t n);

/* stored_rows_drop - rows before `end` will not be read again soon. */
void stored_rows_drop(const struct stored_rows *r, const struct tensors *set, size_t end);

#endif
