#ifndef ASSAY_DRIVE_METRICS_H
#define ASSAY_DRIVE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drive/load.h"

/* Metrics of one request, as measurement.md section 3 defines them, all from one stream of stamps. */
enum metric { METRIC_TTFT, METRIC_TPOT, METRIC_E2E, METRIC_NTPOT, METRIC_GAP_MAX, METRIC_DECODE_RATE, METRIC_PREFILL_RATE };
enum { N_METRICS = METRIC_PREFILL_RATE + 1 };

const char *metric_name(enum metric m); /* "ttft_ms", "decode_tok_s", ... */
const char *metric_unit(enum metric m); /* "ms", "tok/s" */

/* metric_value - NaN when the definition leaves it empty (no output, one token, failed request).
 *   TTFT t_tok1 - t_start; TPOT (t_tokN - t_tok1) / (n_out - 1); E2E t_tokN - t_start; NTPOT E2E / n_out;
 *   GAP_MAX longest time between tokens; DECODE_RATE 1000 / TPOT; PREFILL_RATE in_tok / TTFT, only
 *   when the request had the engine to itself (concurrency 1), because then TTFT is prefill time. */
double metric_value(enum metric m, const struct load_request *r, const struct load_cell *cell);

/* The steady window of a closed-loop run: from the C-th first token to the moment fewer than C requests
 * are in flight for good (ML.ENERGY's rule). begin == end when there is none. */
struct window {
    uint64_t begin_ns, end_ns;
};
struct window window_full(const struct load_result *r);
/* Returns ERR_MEMORY only. */
enum status window_steady(const struct load_result *r, size_t concurrency, struct window *out, struct err *err);

/* window_holds - the request began and ended inside. window_tokens - tokens stamped inside. */
bool window_holds(const struct window *w, const struct load_request *r);
uint64_t window_tokens(const struct window *w, const struct load_result *r);

#endif
