#ifndef ASSAY_DRIVE_BENCH_ROWS_H
#define ASSAY_DRIVE_BENCH_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drive/bench_run.h"
#include "drive/rows.h"
#include "lib/table.h"
#include "meter/ceiling.h"

/* From the samples of a whole bench run to its two files. */

/* An engine with a model: ours with one instruction set, or a peer. */
struct bench_contender {
    const char *source;   /* the model */
    const char *isa;      /* ours: as asked for; NULL for a peer */
    const char *command;  /* of a peer; NULL for ours */
    size_t same_model;    /* first contender with this source: ours, which knows the model */
    struct drive_facts facts; /* from its visits */
    char version[96];
};

/* One probe of the machine in the run. */
struct bench_ceiling {
    struct ceiling what;
    char name[32];       /* "read/all/4s", "fma_fp32/one" */
    uint64_t *work, *ns; /* (n_blocks) */
};

struct bench_run {
    struct bench_contender *contenders; /* (n_contenders), ours before the peers of the same model */
    size_t n_contenders;
    struct bench_cell *cells;           /* (n_cells) */
    size_t n_cells, n_blocks, n_threads;
    struct bench_sample *samples;       /* (n_blocks, n_contenders, n_cells) */
    size_t *visit_idx;                  /* (n_blocks, n_contenders) */
    struct bench_ceiling *ceilings;     /* (n_ceilings) */
    size_t n_ceilings;
    bool draft;
    uint64_t seed;
};

/* bench_n_failed - samples without a value for another reason than that the cell does not fit. */
size_t bench_n_failed(const struct bench_run *r);

/* bench_rows - bench.csv and bench_runs.csv. ERR_MEMORY, or what a bootstrap refuses. The tables are the
 * caller's to free, on failure too. */
enum status bench_rows(const struct bench_run *r, struct table **bench, struct table **runs, struct err *err);

#endif
