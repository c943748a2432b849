#ifndef ASSAY_LIB_CANON_H
#define ASSAY_LIB_CANON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/digest.h"
#include "base/json.h"

/* Canonical values (provenance.md 2), shared by the CSV and JSON writers. */

#define CANON_MAX_REAL 9007199254740991.0 /* beyond, JSON readers may not tell one integer from the next */

/* canon_real - x rounded to `decimals`, and to 15 significant digits where that is coarser. */
double canon_real(double x, int decimals);

bool canon_is_sha256(const char *text); /* 64 lower-case hex digits */

/* canon_hex - SHA-256 of v in canonical form (no final LF), in hex. */
enum status canon_hex(const cJSON *v, char hex[DIGEST_HEX_LEN + 1], struct err *err);

/* canon_first_difference - 1-based line and column of the first byte in which a and b differ; false
 * when they are equal. */
bool canon_first_difference(const char *a, size_t n_a, const char *b, size_t n_b, size_t *line, size_t *column);

#endif
