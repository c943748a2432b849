#ifndef ASSAY_TEXT_NFC_H
#define ASSAY_TEXT_NFC_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* nfc_needed - false when s[0..n) holds no code point from U+0300 up: then it is its own NFC. */
bool nfc_needed(const char *s, size_t n);

/* nfc - append the canonical composition of s[0..n), valid UTF-8, to out, by the data of Unicode 9.0:
 * marks that came later count as starters, later compositions are not made.
 * ERR_MEMORY; ERR_RANGE beyond 2^32-1 bytes. O(n log n) whatever the text.
 * Source: Unicode Standard Annex #15; Hangul: The Unicode Standard 3.12. */
enum status nfc(const char *s, size_t n, struct buf *out, struct err *err);

#endif
