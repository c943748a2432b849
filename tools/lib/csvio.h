#ifndef ASSAY_LIB_CSVIO_H
#define ASSAY_LIB_CSVIO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* Strict RFC 4180 over libcsv. Reading takes LF or CRLF; refused with file:line:column: a BOM, NUL,
 * invalid UTF-8, a quote inside an unquoted field, an unclosed quote, a blank line, a row that is
 * shorter or longer than the header, a missing final line end. Nothing is trimmed. */

struct csv_field {
    const char *text; /* NUL-terminated, borrowed until csv_free */
    size_t n;
    size_t line, column; /* 1-based, where the field begins */
};

struct csv {
    size_t n_cols, n_rows; /* n_rows counts the header */
    const struct csv_field *fields; /* (n_rows, n_cols) */
    void *owned;
};

/* csv_parse_bytes - `name` stands for the file in messages. ERR_FORMAT, ERR_MEMORY. */
enum status csv_parse_bytes(struct csv *out, const char *data, size_t n, const char *name, struct err *err);
void csv_release(struct csv *c); /* safe on a zeroed struct */
const struct csv_field *csv_at(const struct csv *c, size_t row, size_t col);

/* csv_write_row - n fields and LF. A field is quoted only if it holds , " CR LF or an outer space, or is empty and
 * alone on its line. */
void csv_write_row(struct buf *out, const char *const *fields, size_t n);

#endif
