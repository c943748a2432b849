#ifndef ASSAY_BASE_UTF8_H
#define ASSAY_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* UTF-8 as RFC 3629: no surrogates, no overlong forms, at most U+10FFFF. */

/* utf8_decode - code point at s[0..n), n >= 1. Returns its length 1..4, or 0 when the bytes there
 * are not valid; then *cp is the length of the maximal invalid subsequence (1..3), which decoders
 * replace by one U+FFFD. */
size_t utf8_decode(const uint8_t *s, size_t n, uint32_t *cp);

/* utf8_encode - bytes of a valid code point; returns 1..4. */
size_t utf8_encode(uint32_t cp, uint8_t out[4]);

/* utf8_valid_prefix - length of the longest valid prefix of s[0..n); n when all of it is valid. */
size_t utf8_valid_prefix(const uint8_t *s, size_t n);

#endif
