#ifndef ASSAY_FORMAT_SAFETENSORS_H
#define ASSAY_FORMAT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/tensors.h"

/* Reader of safetensors containers, one file or many with an index. Strict: every tensor is known to
 * lie inside its file, to have as many bytes as its shape asks for, and to share none with another,
 * and the tensors cover the data section without holes. Data need not be aligned. */

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

/* safetensors_open - all tensors of a model directory: those that model.safetensors.index.json maps, each from the file
 * the map gives it, or without an index those of model.safetensors. Names are never guessed.
 * The files are mapped; nothing is copied. */
enum status safetensors_open(struct tensors **out, const char *dir, struct err *err); // the caller closes

#endif
