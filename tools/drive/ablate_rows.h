#ifndef ASSAY_DRIVE_ABLATE_ROWS_H
#define ASSAY_DRIVE_ABLATE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drive/load.h"
#include "drive/metrics.h"
#include "lib/table.h"

/* From block medians to ablation.csv: each level of each factor against the baseline (measurement.md 8). */

/* One level of one factor. */
struct ablate_variant {
    const char *factor;
    char level[48];
    struct model *model; /* NULL when it cannot run */
    struct load_cell cell;
    char reason[160];                /* why there is no model */
    double *value[N_METRICS + 1];    /* (n_blocks): median of each metric, then out_tok_s; NaN when empty */
    uint8_t tokens_sha256[DIGEST_B]; /* of block 0 */
    size_t n_err;
    enum status failed; /* of its first request that failed */
};

struct ablate_run {
    const struct ablate_variant *variants; /* (n_variants); 0 is the baseline, which has a model */
    size_t n_variants, n_blocks;
    bool draft;
    uint64_t seed;
};

/* ablate_rows - a row for each metric of each level that has a value in every block, as its baseline
 * has; one row with status and reason for a level that has none. p-values are adjusted by Holm over the
 * table. The caller frees *out, on failure too. */
enum status ablate_rows(const struct ablate_run *r, struct table **out, struct err *err);

#endif
