#ifndef ASSAY_LIB_RECORDS_H
#define ASSAY_LIB_RECORDS_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "lib/schema.h"

/* Rows of one JSONL file: canonical JSON objects (RFC 8785), one a line, sorted by the schema's keys.
 * A missing value is an absent key, never null. */
struct records;

enum status records_new(struct records **out, const char *schema, struct err *err);
void records_free(struct records *r); /* NULL is fine */
const struct schema *records_schema(const struct records *r);

/* records_add - take obj (also on failure) as a new row, checked against the schema: required keys,
 * types, no unknown keys unless the schema is open. Null members are removed. */
enum status records_add(struct records *r, cJSON *obj, struct err *err);

/* records_write - sorted by key, keys unique, one canonical object a line. */
enum status records_write(struct records *r, struct buf *out, struct err *err);

/* records_parse - every line an object. RECORDS_CANONICAL demands canonical bytes and order; without it
 * any JSON spelling, any order and null for absent pass (files people write, such as requests).
 * Blank lines, a torn last line and duplicate keys never pass. Messages: file:line. */
enum records_flags { RECORDS_ANY = 0, RECORDS_CANONICAL = 1 };
enum status records_parse(struct records **out, const char *schema, const char *data, size_t n, const char *name,
                          unsigned flags, struct err *err);

size_t records_count(const struct records *r);
const cJSON *records_at(const struct records *r, size_t i); /* borrowed */
size_t records_line(const struct records *r, size_t i);     /* 0 when added, not read */

/* record_check - one object against a schema; `where` names it. */
enum status record_check(const struct schema *s, const cJSON *obj, const char *where, struct err *err);

#endif
