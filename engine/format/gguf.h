#ifndef ASSAY_FORMAT_GGUF_H
#define ASSAY_FORMAT_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/tensors.h"
#include "quant/quant.h"

/* GGUF v3 (models.md 3.1): key-value metadata, a table of tensors, their data; little-endian. Strict: every
 * key and tensor name is unique, every length lies inside the file, each tensor starts where the one
 * before it ends (padded to the alignment), and the file ends with the last. */

/* Our own key: what made the weights, as safetensors' `__metadata__.generator`; synthetic ones say so there. */
#define GGUF_GENERATOR_KEY "assay.generator"

enum { GGUF_VERSION = 3, GGUF_ALIGNMENT = 32, GGUF_NAME_B = 64, GGUF_MAX_DIMS = 4 };

/* Types of metadata values: name, code in the file, bytes of a value (0: its length is written with it). */
#define GGUF_VALUE_MAP(X)                                                                              \
    X(U8, 0, 1) X(I8, 1, 1) X(U16, 2, 2) X(I16, 3, 2) X(U32, 4, 4) X(I32, 5, 4) X(F32, 6, 4) X(BOOL, 7, 1) \
    X(STRING, 8, 0) X(ARRAY, 9, 0) X(U64, 10, 8) X(I64, 11, 8) X(F64, 12, 8)

enum gguf_value {
#define X(name, code, size) GGUF_##name = (code),
    GGUF_VALUE_MAP(X)
#undef X
};

/* Types of tensors this program reads and writes: name (as quant.h has it), code in the file. */
#define GGUF_TENSOR_MAP(X)                                                                             \
    X(F32, 0) X(F16, 1) X(Q4_0, 2) X(Q4_1, 3) X(Q5_0, 6) X(Q5_1, 7) X(Q8_0, 8) X(Q2_K, 10) X(Q3_K, 11) \
    X(Q4_K, 12) X(Q5_K, 13) X(Q6_K, 14) X(BF16, 30) X(MXFP4, 39)

/* gguf_code - a tensor type's code in the file; false for types that GGUF has none for. */
bool gguf_code(enum quant q, uint32_t *code);

/* One key. Values stay in the file's bytes. */
struct gguf_kv {
    const char *key;
    enum gguf_value type;
    enum gguf_value element; // ARRAY: of what
    size_t n;                // STRING: bytes; ARRAY: elements; else 1
    const uint8_t *data;     // of the string, the first element, the value; any alignment
    size_t at;               // byte of the file where the key starts, for messages
};

struct gguf {
    const char *name;        // of the file, for messages
    struct gguf_kv *kvs;     // by key, ascending
    size_t n_kvs;
    struct tensor *tensors;  // in file order, shapes reversed: [out, in]
    size_t n_tensors;
    size_t alignment, data_at;
};

/* gguf_parse - read metadata and table of bytes[0..n), a whole file, which it borrows; the rest lives in
 * the arena. No data is touched. `name` stands for the file in messages.
 * ERR_FORMAT, ERR_RANGE, ERR_SHAPE, ERR_UNSUPPORTED (version, tensor type, arrays of arrays) with file,
 * byte or name, expected and found. */
enum status gguf_parse(struct gguf *out, struct arena *a, const uint8_t *bytes, size_t n, const char *name,
                       struct err *err);

/* gguf_open - map a file and, if it is the first of several (NAME-00001-of-00003.gguf), the others, as one
 * set. meta: the first file's, borrowed until tensors_close of the set. Nothing is copied.
 * ERR_MISSING for a part that is not there; ERR_FORMAT if the parts do not belong together. */
enum status gguf_open(struct tensors **out, const struct gguf **meta, const char *path, struct err *err);

const struct gguf_kv *gguf_find(const struct gguf *g, const char *key); // NULL: none
const char *gguf_value_name(enum gguf_value t);

/* Typed look-ups; *out stays as it is when the key is absent, and is ERR_FORMAT for a value of another
 * type. gguf_int takes integers of every width, gguf_real both floats; ERR_RANGE outside [lo, hi].
 * Strings are copied to the arena, NUL-terminated; ERR_FORMAT if they hold a NUL or no valid UTF-8. */
enum status gguf_int(const struct gguf *g, const char *key, int64_t lo, int64_t hi, int64_t *out, struct err *err);
enum status gguf_real(const struct gguf *g, const char *key, double lo, double hi, double *out, struct err *err);
enum status gguf_bool(const struct gguf *g, const char *key, bool *out, struct err *err);
enum status gguf_str(const struct gguf *g, const char *key, struct arena *a, const char **out, struct err *err);

/* Arrays. A string of an array is bytes of the file: no NUL at its end, nothing promised about its content. */
struct gguf_text {
    const char *s;
    size_t n;
};
enum status gguf_strs(const struct gguf *g, const char *key, struct arena *a, const struct gguf_text **out,
                      size_t *n, struct err *err);
enum status gguf_ints(const struct gguf *g, const char *key, struct arena *a, const int64_t **out, size_t *n,
                      struct err *err);

#endif
