#ifndef ASSAY_BASE_JSONPULL_H
#define ASSAY_BASE_JSONPULL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* A pull parser for JSON too big for a tree (tokenizer.json: 28 MB, 1.5 million values). As strict as
 * base/json.h: RFC 8259 grammar, valid UTF-8, no lone surrogates, at most 64 levels; keys are the
 * caller's to compare. Every failure is file:line:column, expected, found. */
struct jsonpull {
    const char *text; /* borrowed */
    size_t n, at;
    const char *name; /* of the file, for messages; borrowed */
    struct err *err;
    struct buf scratch; /* holds the last string that had escapes */
};

/* A string without its quotes, escapes resolved; may hold NUL. Borrowed from the text or from the
 * parser's scratch: valid until the next string is read. */
struct jsonpull_text {
    const char *s;
    size_t n;
};

void jsonpull_init(struct jsonpull *p, const char *text, size_t n, const char *name, struct err *err);
void jsonpull_release(struct jsonpull *p);

/* jsonpull_enter - expect open ('{' or '[').
 * jsonpull_next - after enter or an element: *more is false once the matching close was taken. first
 * is true at the first call after enter and is cleared. */
enum status jsonpull_enter(struct jsonpull *p, char open);
enum status jsonpull_next(struct jsonpull *p, char open, bool *first, bool *more);

/* jsonpull_key - a string and the ':' after it. jsonpull_string - a string value. */
enum status jsonpull_key(struct jsonpull *p, struct jsonpull_text *out);
enum status jsonpull_string(struct jsonpull *p, struct jsonpull_text *out);

/* jsonpull_int - an integer in [lo, hi]; ERR_RANGE outside, ERR_FORMAT for a fraction or exponent. */
enum status jsonpull_int(struct jsonpull *p, int64_t lo, int64_t hi, int64_t *out);

/* jsonpull_skip - check a whole value and step over it; it is text[*from, *to). */
enum status jsonpull_skip(struct jsonpull *p, size_t *from, size_t *to);

/* jsonpull_end - nothing but blanks may follow. */
enum status jsonpull_end(struct jsonpull *p);

char jsonpull_peek(struct jsonpull *p); /* next byte after blanks, 0 at the end */

/* jsonpull_fail - the sentence for position at: "name:line:column: expected X, found Y". */
enum status jsonpull_fail(const struct jsonpull *p, size_t at, enum status s, const char *expected);

/* jsonpull_where - line and column (1-based, bytes) of at. */
void jsonpull_where(const struct jsonpull *p, size_t at, size_t *line, size_t *column);

#endif
