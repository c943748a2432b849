#ifndef ASSAY_FORMAT_SAFETENSORS_H
#define ASSAY_FORMAT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

/* Reader of safetensors containers, one file or many with an index. Strict: every tensor is known to
 * lie inside its file, to have as many bytes as its shape asks for, and to share none with another,
 * and the tensors cover the data section without holes. Data need not be aligned. */

/* name in the file, bits of one element */
#define TENSOR_DTYPE_MAP(X)                                                                      \
    X(BOOL, 8) X(U8, 8) X(I8, 8) X(F8_E4M3, 8) X(F8_E5M2, 8) X(F8_E8M0, 8) X(I16, 16) X(U16, 16) \
    X(F16, 16) X(BF16, 16) X(I32, 32) X(U32, 32) X(F32, 32) X(I64, 64) X(U64, 64) X(F64, 64)     \
    X(F4, 4) X(F6_E2M3, 6) X(F6_E3M2, 6)

enum tensor_dtype {
#define X(name, bits) DTYPE_##name,
    TENSOR_DTYPE_MAP(X)
#undef X
};
const char *tensor_dtype_name(enum tensor_dtype t);

enum { TENSOR_MAX_DIMS = 8 };

struct tensor {
    const char *name;
    enum tensor_dtype dtype;
    size_t n_dims; // 0: a scalar
    size_t shape[TENSOR_MAX_DIMS];
    const uint8_t *data; // n_bytes, little-endian, any alignment
    size_t n_bytes;
    size_t shard; // file it lies in
};

/* Text of a shape, "[3, 4]"; cut if it does not fit. */
enum { TENSOR_SHAPE_TEXT_B = 200 };
void tensor_shape_text(const size_t *shape, size_t n_dims, char out[TENSOR_SHAPE_TEXT_B]);

/* One container in memory. */
struct container {
    struct tensor *tensors; // in order of their data
    size_t n;
    const char *generator; // __metadata__.generator or NULL
};

/* safetensors_parse - read the table of bytes[0..n), a whole file; tensors point into bytes, names live
 * in the arena. `name` stands for the file in messages.
 * ERR_FORMAT, ERR_RANGE, ERR_SHAPE, ERR_UNSUPPORTED (dtype) with file, tensor, expected and found. */
enum status safetensors_parse(struct container *out, struct arena *a, const uint8_t *bytes, size_t n,
                              const char *name, struct err *err);

/* All tensors of a model directory: those that model.safetensors.index.json maps, each from the file
 * the map gives it, or without an index those of model.safetensors. Names are never guessed. */
struct safetensors;

/* safetensors_open - maps the files; nothing is copied. The caller closes. */
enum status safetensors_open(struct safetensors **out, const char *dir, struct err *err);
void safetensors_close(struct safetensors *s); // NULL is fine

size_t safetensors_count(const struct safetensors *s);
const struct tensor *safetensors_at(const struct safetensors *s, size_t i); // by name, ascending
const struct tensor *safetensors_find(const struct safetensors *s, const char *name); // NULL: none

/* Base names of the files that were read: the index, if any, then the shards. Borrowed. */
size_t safetensors_n_files(const struct safetensors *s);
const char *safetensors_file(const struct safetensors *s, size_t i);
const char *safetensors_file_of(const struct safetensors *s, const struct tensor *t); // path, for messages
const char *safetensors_generator(const struct safetensors *s); // first shard's, or NULL

/* safetensors_drop - the tensor will not be read again: its pages need not stay in memory. */
void safetensors_drop(const struct safetensors *s, const struct tensor *t);

#endif
