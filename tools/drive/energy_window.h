#ifndef ASSAY_DRIVE_ENERGY_WINDOW_H
#define ASSAY_DRIVE_ENERGY_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drive/energy_phase.h"
#include "meter/meter.h"
#include "lib/stats.h"

/* What the meter says of windows of work, and sums over them. */

/* One window: its segments added up. Integers, as read. */
struct energy_window {
    bool done, valid;
    const char *reason;  /* static; "" when valid */
    uint64_t t0_ns, t1_ns; /* first and last edge */
    uint64_t ns;         /* metered: the segments alone */
    uint64_t energy_uj;  /* when valid */
    uint64_t n_updates, n_missing;
    uint64_t update_ns;  /* slowest of the segments */
    uint64_t edge_ns;    /* edge errors of the segments, added */
    uint64_t peak_uw;
    bool suspect;
    uint64_t in_tok, out_tok, n_req;
};

/* energy_window_measure - meter every segment of r. One bad segment makes the window invalid; so do
 * fewer than min_updates in all segments together (short ones need not each have them). */
void energy_window_measure(struct energy_window *w, struct meter *meter, const struct phase_result *r,
                           size_t min_updates);

/* The valid ones of some windows, as columns for sums and intervals. */
struct energy_sums {
    size_t n;                    /* valid windows */
    double *joules, *net, *tok;  /* (n) gross, gross - idle x time, tokens that divide them */
    size_t *begin;               /* (n + 1) each window a block */
    double j, s, in_tok, out_tok, n_req, edge_s;
    uint64_t n_updates, update_ns, peak_uw;
    bool suspect;
    const char *reason; /* of the first window that was not valid, or NULL */
};

/* energy_sums_init - room for n windows. ERR_MEMORY. energy_sums_release: safe after a failed init. */
enum status energy_sums_init(struct energy_sums *u, size_t n, struct err *err);
void energy_sums_release(struct energy_sums *u);

/* energy_sums_add_up - start again with these windows. idle_w NaN: net is NaN. per_input: tok is the
 * input tokens, else the output tokens. */
void energy_sums_add_up(struct energy_sums *u, const struct energy_window *windows, size_t n, double idle_w,
                        bool per_input);

/* energy_sums_per_token - sum of joules (one of u's columns) / sum of tok, with its bootstrap interval
 * over windows (open below 2). NaN when there is nothing to divide. Every field is written. */
enum status energy_sums_per_token(const struct energy_sums *u, const double *joules, uint64_t seed, const char *name,
                                  double *value, struct stats_interval *ci, struct err *err);

#endif
