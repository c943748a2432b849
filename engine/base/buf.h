#ifndef ASSAY_BASE_BUF_H
#define ASSAY_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* A growing byte string. Always NUL-terminated once something was added, so data is a C string as
 * long as no NUL was added. A failed growth is remembered: check once, at the end, with buf_status. */
struct buf {
    char *data; /* owned; NULL while empty */
    size_t n;
    size_t cap;
    bool failed;
};

#define BUF_INIT {.data = NULL, .n = 0, .cap = 0, .failed = false}

void buf_add(struct buf *b, const void *data, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_clear(struct buf *b); /* n = 0, capacity and failure flag kept */
void buf_release(struct buf *b);

/* buf_status - OK, or ERR_MEMORY naming what when any addition failed. */
enum status buf_status(const struct buf *b, const char *what, struct err *err);

#endif
