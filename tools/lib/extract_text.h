#ifndef ASSAY_LIB_EXTRACT_TEXT_H
#define ASSAY_LIB_EXTRACT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Python's string functions, as far as the scorers need them, on valid UTF-8. */

struct text_span {
    const char *at; /* borrowed */
    size_t n;
};

/* text_strip - str.strip() without arguments: the part of s[0..n) between white space. */
struct text_span text_strip(const char *s, size_t n);

/* text_starts_space, text_ends_space - first or last code point is white space; false when empty. */
bool text_starts_space(const char *s, size_t n);
bool text_ends_space(const char *s, size_t n);

/* text_n_chars - code points in s[0..n). */
size_t text_n_chars(const char *s, size_t n);

/* text_lower - append s[0..n) with A-Z as a-z. Python lowers all of Unicode: answers of our tasks
 * that differ only in the case of a non-ASCII letter would be told apart here. */
void text_lower(struct buf *out, const char *s, size_t n);

/* text_drop_punctuation - append s[0..n) without the 32 characters of Python's string.punctuation. */
void text_drop_punctuation(struct buf *out, const char *s, size_t n);

/* text_cut_at_stops - length of s[0..n) before the first stop text, applied in list order as the
 * harness does (split, keep the left part). Empty stop texts are ignored. */
size_t text_cut_at_stops(const char *s, size_t n, const char *const *stops, size_t n_stops);

#endif
