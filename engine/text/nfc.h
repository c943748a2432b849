#ifndef ASSAY_TEXT_NFC_H
#define ASSAY_TEXT_NFC_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* nfc_find - start of the first character in s[from..n) that may not be its own NFC where it stands; n: there is
 * none, and s[from..n) is its own NFC. */
size_t nfc_find(const char *s, size_t n, size_t from);

/* nfc - append the canonical composition of s[0..n), valid UTF-8, to out, by the data of Unicode 9.0:
 * marks that came later count as starters, later compositions are not made. Only the stretches that nfc_find
 * stops at are taken apart; the rest is copied.
 * ERR_MEMORY; ERR_RANGE beyond 2^30 bytes. O(n log n) whatever the text.
 * Source: Unicode Standard Annex #15; Hangul: The Unicode Standard 3.12. */
enum status nfc(const char *s, size_t n, struct buf *out, struct err *err);

#endif
