#ifndef ASSAY_LIB_TABLE_H
#define ASSAY_LIB_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "lib/schema.h"

/* Rows of one CSV file, checked against its schema, in both directions.
 *
 * Writing: table_new, then for each row table_row and setters by column name; what is not set is
 * missing. The setters return nothing: the first mistake (unknown column, wrong type, value outside
 * the schema) is kept and returned by table_finish, so a tool's code stays a list of values.
 * Reading: table_parse, then getters by row and column name; every value was checked on the way in. */
struct table;

enum status table_new(struct table **out, const char *schema, struct err *err);
void table_free(struct table *t); /* NULL is fine */
const struct schema *table_schema(const struct table *t); /* borrowed */

void table_row(struct table *t); /* begin a row */
void table_copy_row(struct table *t, const struct table *from, size_t row); /* begin a row with the columns both have */
void table_set_i64(struct table *t, const char *column, int64_t v);
void table_set_f64(struct table *t, const char *column, double v); /* rounded to the schema's decimals */
void table_set_text(struct table *t, const char *column, const char *v); /* copied; NULL or "" = missing */
void table_set_bool(struct table *t, const char *column, bool v);

/* table_finish - first kept mistake, rows complete (non-nullable columns set), sorted by key, keys
 * unique. Called by the writers; idempotent. */
enum status table_finish(struct table *t, struct err *err);
enum status table_write_csv(struct table *t, struct buf *out, struct err *err);
enum status table_write_json(struct table *t, struct buf *out, struct err *err); /* {"rows":[...],"schema":id} + LF */

/* table_parse - read CSV. Columns must be the schema's, in order (external schemas: the schema's
 * columns in any order, others ignored). TABLE_CANONICAL also demands canonical bytes: order, quoting,
 * number spelling, LF. Messages: file:line:column, expected, found. */
enum table_flags { TABLE_ANY = 0, TABLE_CANONICAL = 1 };
enum status table_parse(struct table **out, const char *schema, const char *data, size_t n, const char *name,
                        unsigned flags, struct err *err);
/* table_parse_json - read what table_write_json wrote. */
enum status table_parse_json(struct table **out, const char *schema, const char *data, size_t n, const char *name,
                             unsigned flags, struct err *err);

size_t table_n_rows(const struct table *t);
bool table_has(const struct table *t, size_t row, const char *column); /* column known and not missing */
int64_t table_i64(const struct table *t, size_t row, const char *column);     /* 0 when missing */
double table_f64(const struct table *t, size_t row, const char *column);      /* also of an int; NaN when missing */
const char *table_text(const struct table *t, size_t row, const char *column); /* as printed in the CSV; "" when missing; borrowed */
bool table_bool(const struct table *t, size_t row, const char *column);

/* table_where - "file:line" of a row that was read, for messages; borrowed. */
const char *table_where(const struct table *t, size_t row, char *out, size_t n);

#endif
