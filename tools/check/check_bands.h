#ifndef ASSAY_CHECK_CHECK_BANDS_H
#define ASSAY_CHECK_CHECK_BANDS_H

#include "check/check.h"
#include "lib/table.h"

/* Measured files against each other: keys, counts and token digests must be equal, medians must lie
 * within the band of pipelines/bands.csv (schema bands/1). */
struct bands_result {
    size_t n_rows;        /* rows with equal keys */
    size_t n_keys_differ; /* rows, counts or token digests that are not equal */
    size_t n_judged, n_outside;
    char first[300]; /* the first difference in words; else the first pair of values */
};

/* bands_read - pipelines/bands.csv: at least one band. The caller frees. */
enum status bands_read(const char *path, struct table **out, struct err *err);

/* bands_compare - bands NULL: keys only (another machine). Files that are no table have no rows.
 * ERR_FORMAT when either cannot be read. */
enum status bands_compare(const struct tree *ta, const struct tree_file *a, const struct tree *tb,
                          const struct tree_file *b, const struct table *bands, struct bands_result *out,
                          struct err *err);

#endif
