#ifndef ASSAY_MODEL_BIND_ROWS_H
#define ASSAY_MODEL_BIND_ROWS_H

#include <stdbool.h>

#include "backend.h"
#include "format/tensors.h"

/* From tensors as files store them to the rows a backend takes: in place where the order is already the
 * engine's, else made as the backend asks for them, a few at a time; never a copy of a matrix. */

enum row_order {
    ROWS_STORED,
    ROWS_PAIRED,    // llama in GGUF: within a head, row 2i + p becomes row p * (h/2) + i
    ROWS_TRANSPOSED // the tensor is [in, out]
};

/* Rows of a tensor that is one matrix or several, one behind the other. */
struct slice {
    const struct tensor *t;
    const struct tensor *scales; // MXFP4 in two tensors, else NULL
    size_t from;                 // TRANSPOSED: first of n_cols rows of n_rows values; else first row
    size_t n_rows, n_cols;
    enum row_order order;
    size_t head_dim; // PAIRED
};

/* rows_new_matrix - up to three slices as one matrix, stacked or interleaved (backend.h). Slices of one type
 * keep it; of several, every value is its fp32 one, rounded to bf16 by the backend. */
enum status rows_new_matrix(struct backend *b, struct matrix **out, const char *name, const struct slice *slices,
                            size_t n, bool interleave, struct err *err);

/* rows_new_table - the same for an embedding: one slice. */
enum status rows_new_table(struct backend *b, struct table **out, const struct slice *s, struct err *err);

/* rows_values - all values of a tensor of F32, BF16 or F16 as fp32, in order. The caller frees with mem_free.
 * ERR_RANGE, with the index, for one that is not finite. */
enum status rows_values(const struct tensor *t, float **out, size_t *n, struct err *err);

/* rows_unpair - put the values of a vector over rows of heads in the engine's order (ROWS_PAIRED). */
enum status rows_unpair(float *v, size_t n, size_t head_dim, struct err *err);

#endif
