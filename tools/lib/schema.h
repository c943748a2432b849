#ifndef ASSAY_LIB_SCHEMA_H
#define ASSAY_LIB_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* What a result file holds: results/schemas/NAME.json, embedded at build time so that tools work from
 * any directory. The same description drives writing, reading and verify. */

/* What must be equal when a file is made again, strongest first: the bytes (exact); the bytes, given
 * files that are not ours (external); the bytes on an equal platform (pinned); keys and counts, the
 * values within bands (measured). */
enum result_class { CLASS_EXACT, CLASS_EXTERNAL, CLASS_PINNED, CLASS_MEASURED };
const char *result_class_name(enum result_class c);
bool result_class_parse(const char *text, enum result_class *out);

enum schema_format { SCHEMA_CSV, SCHEMA_JSONL, SCHEMA_JSON, SCHEMA_BYTES };

enum column_type {
    COLUMN_INT,    /* int64, |x| < 2^53 */
    COLUMN_REAL,   /* finite double, rounded to `decimals` */
    COLUMN_TEXT,   /* UTF-8, never empty in CSV (empty = missing) */
    COLUMN_SHA256, /* 64 lower-case hex digits */
    COLUMN_ENUM,   /* one of values */
    COLUMN_BOOL,   /* JSON: true, false; CSV: 1, 0 */
    COLUMN_INTS,   /* JSON only: array of integers */
    COLUMN_TEXTS,  /* JSON only: array of strings */
    COLUMN_REALS,  /* JSON only: array of reals */
    COLUMN_JSON    /* JSON only: any value */
};

struct schema_column {
    const char *name;
    enum column_type type;
    const char *unit; /* "ns", "tok", "" */
    int decimals;     /* COLUMN_REAL */
    bool nullable;    /* CSV: may be empty; JSON: may be absent */
    int64_t min, max; /* COLUMN_INT */
    size_t n_values;
    const char *const *values; /* COLUMN_ENUM */
    const char *doc;
};

struct schema {
    const char *id;   /* "latency/1" */
    const char *name; /* "latency" */
    const char *file; /* usual file name */
    const char *title;
    enum schema_format format;
    enum result_class class;
    bool canonical;  /* false for imported files: read only, bytes kept */
    bool open;       /* JSON: keys beyond the columns are allowed */
    size_t n_columns;
    const struct schema_column *columns;
    size_t n_keys;
    const size_t *keys; /* column indices; rows are sorted by them and unique */
};

struct schema_set; /* every embedded schema, parsed */

enum status schema_set_new(struct schema_set **out, struct err *err);
void schema_set_free(struct schema_set *s);
size_t schema_set_count(const struct schema_set *s);
const struct schema *schema_set_at(const struct schema_set *s, size_t i);

/* schema_find - by name ("latency") or id ("latency/1"); borrowed from the set. ERR_UNSUPPORTED naming it. */
enum status schema_find(const struct schema_set *s, const char *name, const struct schema **out, struct err *err);

/* schema_load - one embedded schema by name or id, owned by the caller (schema_free). */
enum status schema_load(struct schema **out, const char *name, struct err *err);

/* schema_parse - from the text of a schema file; `where` names it in messages. */
enum status schema_parse(struct schema **out, const char *text, size_t n, const char *where, struct err *err);
void schema_free(struct schema *s); /* NULL is fine */

/* schema_column - index of a column, or SIZE_MAX. */
size_t schema_column(const struct schema *s, const char *name);

#endif
