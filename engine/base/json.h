#ifndef ASSAY_BASE_JSON_H
#define ASSAY_BASE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Strict JSON over cJSON (RFC 8259, I-JSON limits): cJSON builds the tree, this file decides what is
 * accepted and how it is printed. Refused with file:line:column, expected and found: duplicate keys,
 * trailing bytes, invalid UTF-8, U+0000 in a string, lone surrogates, `01`, NaN, numbers that
 * overflow, and more than 64 levels. */

/* json_parse - parse text[0..n). name stands for the file in messages. The caller deletes *out with
 * cJSON_Delete. Integers beyond 2^53-1 are ERR_RANGE. Empty input is ERR_FORMAT. */
enum status json_parse(cJSON **out, const char *text, size_t n, const char *name, struct err *err);

/* json_read_file - json_parse of a whole file. */
enum status json_read_file(cJSON **out, const char *path, struct err *err);

/* json_write_canonical - RFC 8785 (JCS): sorted keys, no spaces, shortest numbers; no final LF.
 * Keys are sorted by bytes (ours are ASCII). Returns ERR_RANGE for a non-finite number and
 * for one beyond 2^53-1 that would be spelled as an integer. */
enum status json_write_canonical(struct buf *out, const cJSON *v, struct err *err);

/* Typed look-ups in an object. `where` names file and object in messages. The required forms return
 * ERR_FORMAT when the key is absent or has another type; `_or` forms take a default for absent or null. */
const cJSON *json_get(const cJSON *obj, const char *key); /* NULL when absent */
enum status json_get_i64(const cJSON *obj, const char *key, int64_t lo, int64_t hi, const char *where,
                         int64_t *out, struct err *err);
enum status json_get_i64_or(const cJSON *obj, const char *key, int64_t dflt, int64_t lo, int64_t hi,
                            const char *where, int64_t *out, struct err *err);
enum status json_get_f64(const cJSON *obj, const char *key, double lo, double hi, const char *where,
                         double *out, struct err *err);
enum status json_get_f64_or(const cJSON *obj, const char *key, double dflt, double lo, double hi,
                            const char *where, double *out, struct err *err);
enum status json_get_str(const cJSON *obj, const char *key, const char *where, const char **out,
                         struct err *err); /* borrowed from obj */
enum status json_get_bool_or(const cJSON *obj, const char *key, bool dflt, const char *where, bool *out,
                             struct err *err);

#endif
