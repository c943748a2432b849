#ifndef ASSAY_DRIVE_ROWS_H
#define ASSAY_DRIVE_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "engine.h"
#include "lib/stats.h"
#include "lib/tool.h"

/* What every command that touches a model does alike. */

/* The options that say on what a model runs, for a table over struct S with `const char *backend, *tile_cache` and
 * `int64_t device_memory`; and where they go. */
#define DRIVE_BACKEND_OPTIONS(S, role)                                                         \
    CLI_CHOICE(S, backend, role, "backend", 0, "cpu|cuda|cuda-sim", "cpu",                     \
               "what computes; cuda-sim: the CUDA kernels, run slowly by the CPU, for tests"), \
        CLI_SIZE(S, device_memory, role, "device-memory", 0, "0", 0, (int64_t)1 << 50,         \
                 "most device memory that a cuda backend takes; 0 = what is free"),                    \
        CLI_TEXT(S, tile_cache, CLI_RUN, "tile-cache", 0, "DIR", NULL,                         \
                 "keep the weights there as the CPU reads them, for the next start: as many bytes again")
#define DRIVE_BACKEND(a)                                                                     \
    .backend = (a)->backend, .device_memory_b = (uint64_t)(a)->device_memory, .tile_cache_dir = (a)->tile_cache

/* drive_open_model - model_open, then record the model and the backend in the tool's statement. */
enum status drive_open_model(struct tool *t, const char *source, const struct model_options *opt, struct model **out,
                             struct err *err);

/* drive_record_model - that recording alone, of a model opened otherwise. */
enum status drive_record_model(struct tool *t, const char *source, const struct model *m, struct err *err);

/* What a row says of the engine and model it measured, for when the model is gone. Empty and 0: unknown. */
struct drive_facts {
    char engine[64], model[256], arch[32], weights[16], weight_format[64], numerics[16], device[96];
    uint64_t weight_b, active_params, total_params, decode_weights_b, expert_b, n_experts, n_experts_used;
};
void drive_facts_of(const struct model *m, struct drive_facts *out);

/* drive_row - begin a row with the columns all measured files share (measurement.md 15): engine, model,
 * arch, weights, weight_format, weight_b, numerics, device, draft. Columns a schema lacks, and facts that
 * are unknown, are left out. */
void drive_row(struct table *t, const struct model *m, bool draft);
void drive_row_of(struct table *t, const struct drive_facts *f, bool draft);

/* drive_real, drive_interval, drive_digest - set a column unless the value is empty (NaN, open side). */
void drive_real(struct table *t, const char *column, double v);
void drive_interval(struct table *t, const struct stats_interval *ci, const char *method);
void drive_digest(struct table *t, const char *column, const uint8_t d[DIGEST_B]);

#endif
