#ifndef ASSAY_FORMAT_TENSORS_H
#define ASSAY_FORMAT_TENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "quant/quant.h"

/* The named tensors of a model, whatever holds them: safetensors (safetensors.h), GGUF, or nothing but a
 * generator. Shapes are in the order of models.md: [out, in] with `in` contiguous. */

enum { TENSOR_MAX_DIMS = 8 };

struct tensor {
    const char *name;
    const char *type_name; // as its file writes it: "BF16", "Q8_0"; for messages
    enum quant quant;      // QUANT_NONE: no weights by themselves (U8, I64, ...)
    size_t n_dims;         // 0: a scalar
    size_t shape[TENSOR_MAX_DIMS];
    const uint8_t *data;   // n_bytes, little-endian, any alignment; NULL: ask fill
    void (*fill)(const struct tensor *t, size_t at_b, size_t n_b, uint8_t *out); // bytes [at_b, at_b + n_b)
    const void *ctx;       // of fill
    size_t n_bytes;
    size_t file;           // it lies in, of the set's files
};

/* tensor_read - bytes [at_b, at_b + n_b) of a tensor, from wherever it is. */
void tensor_read(const struct tensor *t, size_t at_b, size_t n_b, uint8_t *out);

/* Text of a shape, "[3, 4]"; cut if it does not fit. */
enum { TENSOR_SHAPE_TEXT_B = 200 };
void tensor_shape_text(const size_t *shape, size_t n_dims, char out[TENSOR_SHAPE_TEXT_B]);

/* A set, read-only. Every tensor's bytes are known to lie inside its file. */
struct tensors;
void tensors_close(struct tensors *s); // NULL is fine

size_t tensors_count(const struct tensors *s);
const struct tensor *tensors_at(const struct tensors *s, size_t i); // by name, ascending
const struct tensor *tensors_find(const struct tensors *s, const char *name); // NULL: none

/* Base names of the files that were read, borrowed; none for a generator. */
size_t tensors_n_files(const struct tensors *s);
const char *tensors_file(const struct tensors *s, size_t i);
const char *tensors_file_of(const struct tensors *s, const struct tensor *t); // path, for messages
const char *tensors_generator(const struct tensors *s); // what wrote the weights, if it said so, or NULL

/* tensors_drop - the tensor will not be read again soon: its pages need not stay in memory.
 * tensors_drop_part - the same of bytes [at_b, at_b + n_b) of it. */
void tensors_drop(const struct tensors *s, const struct tensor *t);
void tensors_drop_part(const struct tensors *s, const struct tensor *t, size_t at_b, size_t n_b);

#endif
