#ifndef ASSAY_TEXT_UTF8_TEXT_H
#define ASSAY_TEXT_UTF8_TEXT_H

#include <stddef.h>

#include "base/buf.h"

/* utf8_lossy - append s[0..n) with each maximal invalid subsequence replaced by one U+FFFD (Unicode
 * Standard, "U+FFFD Substitution of Maximal Subparts"; as Rust, Python and WHATWG do). */
void utf8_lossy(const char *s, size_t n, struct buf *out);

#endif
