#ifndef ASSAY_DRIVE_LATENCY_ROWS_H
#define ASSAY_DRIVE_LATENCY_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drive/load.h"
#include "lib/table.h"

/* From the stamps of a whole latency run to its four files (measurement.md 3, 6, 8). */

struct latency_run {
    struct model **models;
    struct load_cell *cells; /* (n_cells) */
    size_t *cell_model;      /* (n_cells) index of a cell's model */
    size_t n_cells, n_blocks;
    size_t n_requests;           /* of a cell in a block */
    struct load_result *results; /* (n_blocks, n_cells); empty where the cell does not fit its model */
    size_t *order_idx;           /* (n_blocks, n_cells) position of the cell in its block */
    bool draft, want_events;
    uint64_t seed;
};

struct latency_tables {
    struct table *latency, *throughput, *requests, *events; /* owned */
};

/* latency_fits - the model's context holds prompt and output of the cell, and the prompt its chat markup. */
bool latency_fits(const struct latency_run *r, size_t cell);

/* latency_n_failed - requests that ended with a status. */
size_t latency_n_failed(const struct latency_run *r);

/* latency_rows - every row of every cell. A cell that does not fit, or in which every request failed, is
 * one row of latency with its status. ERR_MEMORY, or what a bootstrap refuses. The tables are the
 * caller's to free with latency_tables_free, on failure too. */
enum status latency_rows(const struct latency_run *r, struct latency_tables *out, struct err *err);
void latency_tables_free(struct latency_tables *t); /* safe on a zeroed struct */

#endif
