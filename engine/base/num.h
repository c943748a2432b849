#ifndef ASSAY_BASE_NUM_H
#define ASSAY_BASE_NUM_H

#include <stdint.h>

#include "base/err.h"

/* Strict numbers: parsed whole, ranged, independent of the locale; printed one canonical way. */

/* num_parse_i64 - decimal integer, optional '-', no blanks, no '+', no leading zeros but "0".
 * Returns OK, ERR_FORMAT or ERR_RANGE (naming what, the text, and the range). */
enum status num_parse_i64(const char *text, int64_t lo, int64_t hi, const char *what, int64_t *out,
                          struct err *err);

/* num_parse_size - bytes: an integer as above, not negative, alone or with KiB, MiB, GiB or TiB behind it. */
enum status num_parse_size(const char *text, int64_t lo, int64_t hi, const char *what, int64_t *out,
                           struct err *err);

/* num_parse_f64 - decimal real as JSON spells it (RFC 8259), correctly rounded, finite, in [lo, hi]. */
enum status num_parse_f64(const char *text, double lo, double hi, const char *what, double *out,
                          struct err *err);

enum { NUM_TEXT_B = 32 };

/* num_format_f64 - shortest digits that read back, laid out as ECMAScript does (RFC 8785): exponent
 * only from 1e21 up and below 1e-6, -0 as 0. x must be finite. Independent of the locale. */
void num_format_f64(double x, char out[NUM_TEXT_B]);

/* num_round - x rounded to `decimals` (0..15) decimals, ties to even, via its decimal text; the
 * value that is then printed shortest. */
double num_round(double x, int decimals);

#endif
