#ifndef ASSAY_FORMAT_GGUF_WRITE_H
#define ASSAY_FORMAT_GGUF_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "format/gguf.h"
#include "quant/quant.h"

/* The head of a GGUF v3 file (models.md 3.1): metadata, then the table of tensors. Everything is known
 * before the first byte of data, so a file is written from front to back: the head, then each tensor in
 * the order it was announced, padded to gguf_padded of its size. Keys and names are the caller's: they must be
 * unique. A failed growth is remembered and told by gguf_write_head. */
struct gguf_writer {
    struct buf kvs, infos;
    uint64_t n_kvs, n_tensors;
    size_t data_b; /* of the tensors announced so far, padded */
};

#define GGUF_WRITER_INIT {.kvs = BUF_INIT, .infos = BUF_INIT, .n_kvs = 0, .n_tensors = 0, .data_b = 0}

void gguf_writer_release(struct gguf_writer *w);

void gguf_write_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gguf_write_f32(struct gguf_writer *w, const char *key, float v);
void gguf_write_bool(struct gguf_writer *w, const char *key, bool v);
void gguf_write_str(struct gguf_writer *w, const char *key, const char *s, size_t n);

/* Arrays: an element type and count, then the values. Strings are added one by one, exactly n of them. */
void gguf_write_strs(struct gguf_writer *w, const char *key, size_t n);
void gguf_write_strs_add(struct gguf_writer *w, const char *s, size_t n);
void gguf_write_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n);
void gguf_write_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n);

/* gguf_write_kv - a key as another file has it, value and all. */
void gguf_write_kv(struct gguf_writer *w, const struct gguf_kv *kv);

/* gguf_write_tensor - announce a tensor of shape [out, in] order, rows of shape[n_dims - 1] values.
 * ERR_UNSUPPORTED for a type GGUF does not have, ERR_SHAPE for a row of no whole blocks, more than 4
 * dimensions, a name of 64 bytes or more, ERR_RANGE for a size that overflows. */
enum status gguf_write_tensor(struct gguf_writer *w, const char *name, enum quant q, const size_t *shape,
                              size_t n_dims, struct err *err);

/* gguf_padded - n_bytes rounded up to the alignment of files written here (GGUF_ALIGNMENT). */
size_t gguf_padded(size_t n_bytes);

/* gguf_write_head - append the head, padded up to the first tensor. ERR_MEMORY. */
enum status gguf_write_head(const struct gguf_writer *w, struct buf *out, struct err *err);

#endif
