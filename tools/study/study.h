#ifndef ASSAY_STUDY_STUDY_H
#define ASSAY_STUDY_STUDY_H

#include <stddef.h>

#include "base/err.h"
#include "lib/table.h"

/* The published study "GPT-OSS-20B: A Comprehensive Deployment-Centric Analysis" (arXiv 2508.16700):
 * its raw files in, its own unified and efficiency files out, and beside them what the same data say
 * when the definitions are mended (design/study.md). Its column names are kept here and nowhere else. */

enum { STUDY_MODELS = 3 };

/* Where the study keeps the raw file of one model, relative to its results folder ("memeory" is its
 * own spelling). */
struct study_files {
    const char *latency, *memory, *energy;
};
const struct study_files *study_files(size_t i);

/* What the study and the models' public configurations state; i from 0 to STUDY_MODELS - 1. The short
 * name is also the id in its unified files. */
struct study_model {
    const char *short_name; /* "gpt-oss-20b" */
    const char *hub_name;
    const char *architecture, *organization;
    double total_params_b, active_params_b; /* the study's own rounded inputs */
    int64_t active_params;                  /* by shape (models.md 1.1) */
    int64_t n_layers, n_kv_heads, head_dim;
};
const struct study_model *study_model(size_t i);

/* study_unify_* - stack the raw tables (schemas study_latency, study_memory, study_energy) into the
 * unified ones (study_unified_*).
 * ERR_FORMAT naming file and line for a model the study does not have. The caller frees *out. */
enum status study_unify_latency(const struct table *const *raw, size_t n, struct table **out, struct err *err);
enum status study_unify_memory(const struct table *const *raw, size_t n, struct table **out, struct err *err);
enum status study_unify_energy(const struct table *const *raw, size_t n, struct table **out, struct err *err);

/* study_ape - the study's efficiency file from its three unified ones: for each model and context the
 * latency row with the fewest generated tokens, its memory and its energy row. ERR_FORMAT if a
 * row has no partner (the study skipped such cells silently). */
enum status study_ape(const struct table *latency, const struct table *memory, const struct table *energy,
                      struct table **out, struct err *err);

/* study_corrected - every latency cell with TTFT, the true TPOT = (p50 - TTFT) / (gen - 1), its inverse,
 * and, where the study measured them, KV bytes per token and joules beside their mended values. */
enum status study_corrected(const struct table *latency, const struct table *memory, const struct table *energy,
                            struct table **out, struct err *err);

/* study_headlines - the abstract's headlines: as published, from the raw files by the same definition,
 * and corrected; one row each with how. */
enum status study_headlines(const struct table *latency, const struct table *memory, const struct table *energy,
                            struct table **out, struct err *err);

/* study_row - row of a unified table with this model, context and (latency) fewest generated tokens;
 * SIZE_MAX when there is none. */
size_t study_row(const struct table *t, const char *model_short, int64_t context_tok);

#endif
