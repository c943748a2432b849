#include <math.h>
#include <stdio.h>
#include <string.h>

#include "study/study.h"

#define MIB 1048576.0

/* KV bytes of one token by formula, 16-bit K and V, every layer keeping all (models.md 5). */
static double kv_mib_per_tok(const struct study_model *m)
{
    return (double)(4 * m->n_layers * m->n_kv_heads * m->head_dim) / MIB;
}

static double true_tpot_ms(const struct table *latency, size_t row)
{
    return (table_f64(latency, row, "p50_ms") - table_f64(latency, row, "TTFT_ms")) /
           (double)(table_i64(latency, row, "gen_tokens") - 1);
}

static double kv_live_mib_per_tok(const struct table *memory, size_t row)
{
    return table_f64(memory, row, "generate_delta_alloc_mb") / table_f64(memory, row, "total_tokens");
}

/* Joules of 1000 tokens of pure decoding, if the mean power of the whole call held there too. */
static double j_per_1k_decode(const struct table *energy, size_t e, double tpot_ms)
{
    return table_f64(energy, e, "avg_gpu_power_watts") * tpot_ms; // W x ms/token = J per 1000 tokens
}

static const struct study_model *by_short_name(const char *name)
{
    for (size_t i = 0; i < STUDY_MODELS; i++)
        if (strcmp(study_model(i)->short_name, name) == 0)
            return study_model(i);
    return NULL;
}

static void corrected_row(struct table *t, const struct study_model *m, const struct table *latency, size_t l,
                          const struct table *memory, const struct table *energy)
{
    const int64_t context = table_i64(latency, l, "context_length");
    const double tpot_ms = true_tpot_ms(latency, l);
    table_row(t);
    table_set_text(t, "model", m->short_name);
    table_set_i64(t, "context_tok", context);
    table_set_i64(t, "out_tok", table_i64(latency, l, "gen_tokens"));
    table_set_i64(t, "n", 10);
    table_set_f64(t, "ttft_ms", table_f64(latency, l, "TTFT_ms"));
    table_set_f64(t, "e2e_p50_ms", table_f64(latency, l, "p50_ms"));
    table_set_f64(t, "e2e_max_ms", table_f64(latency, l, "p99_ms"));
    table_set_f64(t, "tok_s_published", table_f64(latency, l, "TPOT_tokps"));
    table_set_f64(t, "tpot_ms", tpot_ms);
    table_set_f64(t, "decode_tok_s", 1000.0 / tpot_ms);
    table_set_f64(t, "prefill_share_pct",
                  100.0 * table_f64(latency, l, "TTFT_ms") / table_f64(latency, l, "p50_ms"));
    // Memory and energy were measured at one generated length only.
    const size_t mem = study_row(memory, m->short_name, context);
    if (mem != SIZE_MAX && table_i64(memory, mem, "gen_tokens") == table_i64(latency, l, "gen_tokens")) {
        table_set_f64(t, "peak_mib", table_f64(memory, mem, "peak_alloc_mb"));
        table_set_f64(t, "kv_mib_per_tok_published", table_f64(memory, mem, "memory_per_token_alloc_mb"));
        table_set_f64(t, "kv_mib_per_tok_live", kv_live_mib_per_tok(memory, mem));
        table_set_f64(t, "kv_mib_per_tok_formula", kv_mib_per_tok(m));
    }
    const size_t e = study_row(energy, m->short_name, context);
    if (e != SIZE_MAX && table_i64(energy, e, "gen_tokens") == table_i64(latency, l, "gen_tokens")) {
        const double j_per_1k = table_f64(energy, e, "energy_per_1k_joules");
        table_set_f64(t, "j_per_1k_published", j_per_1k);
        table_set_f64(t, "j_per_1k_decode_est", j_per_1k_decode(energy, e, tpot_ms));
        table_set_f64(t, "wh_per_1k_published", j_per_1k / 3600.0);
        table_set_f64(t, "tok_per_j_published", table_f64(energy, e, "tokens_per_watt"));
    }
}

enum status study_corrected(const struct table *latency, const struct table *memory, const struct table *energy,
                            struct table **out, struct err *err)
{
    struct table *t = NULL;
    enum status s = table_new(&t, "study_corrected", err);
    for (size_t l = 0; l < table_n_rows(latency) && s == OK; l++) {
        const struct study_model *m = by_short_name(table_text(latency, l, "model_short"));
        if (!m)
            s = err_set(err, ERR_FORMAT, "latency row %zu: expected a model of the study, found '%s'", l + 1,
                        table_text(latency, l, "model_short"));
        else if (table_i64(latency, l, "gen_tokens") < 2)
            s = err_set(err, ERR_RANGE, "latency row %zu: a TPOT needs 2 generated tokens, found %lld", l + 1,
                        (long long)table_i64(latency, l, "gen_tokens"));
        else
            corrected_row(t, m, latency, l, memory, energy);
    }
    if (s == OK)
        s = table_finish(t, err);
    if (s == OK)
        *out = t;
    else
        table_free(t);
    return s;
}

/* The cell the abstract quotes: 2048 tokens in, 64 out. */
struct cell {
    double tok_s, tpot_ms, j_per_1k, j_decode, peak_mib, kv_published, kv_live;
    double ape_published;
};

static enum status read_cell(const struct table *latency, const struct table *memory, const struct table *energy,
                             const struct study_model *m, struct cell *c, struct err *err)
{
    const size_t l = study_row(latency, m->short_name, 2048);
    const size_t mem = study_row(memory, m->short_name, 2048);
    const size_t e = study_row(energy, m->short_name, 2048);
    if (l == SIZE_MAX || mem == SIZE_MAX || e == SIZE_MAX)
        return err_set(err, ERR_FORMAT, "headlines: expected latency, memory and energy of '%s' at context 2048",
                       m->short_name);
    if (table_i64(latency, l, "gen_tokens") < 2)
        return err_set(err, ERR_RANGE, "headlines: '%s' generated fewer than 2 tokens", m->short_name);
    *c = (struct cell){
        .tok_s = table_f64(energy, e, "decode_tokens_per_second"),
        .tpot_ms = true_tpot_ms(latency, l),
        .j_per_1k = table_f64(energy, e, "energy_per_1k_joules"),
        .peak_mib = table_f64(memory, mem, "peak_alloc_mb"),
        .kv_published = table_f64(memory, mem, "memory_per_token_alloc_mb"),
        .kv_live = kv_live_mib_per_tok(memory, mem),
        .ape_published = table_f64(latency, l, "TPOT_tokps") / m->active_params_b,
    };
    c->j_decode = j_per_1k_decode(energy, e, c->tpot_ms);
    return OK;
}

static void headline(struct table *t, const char *name, const char *unit, double published, double from_csv,
                     double corrected, const char *how)
{
    table_row(t);
    table_set_text(t, "headline", name);
    table_set_text(t, "unit", unit);
    if (isfinite(published))
        table_set_f64(t, "published_value", published);
    table_set_f64(t, "from_csv", from_csv);
    table_set_f64(t, "corrected", corrected);
    table_set_text(t, "how", how);
}

static double change_pct(double ours, double theirs)
{
    return (ours / theirs - 1.0) * 100.0;
}

/* gpt-oss-20b against another model. NAN: the study prints no such figure. */
static void against(struct table *t, const struct cell *gpt, const struct cell *other, const char *name,
                    const double published[3])
{
    char text[64];
    (void)snprintf(text, sizeof text, "decode throughput against %s", name);
    headline(t, text, "pct", published[0], change_pct(gpt->tok_s, other->tok_s),
             change_pct(other->tpot_ms, gpt->tpot_ms),
             "published: tokens over total time, prefill inside; corrected: 1 / TPOT with TPOT = (p50 - TTFT) / (out - 1)");
    (void)snprintf(text, sizeof text, "energy per 1k tokens against %s", name);
    headline(t, text, "pct", published[1], change_pct(gpt->j_per_1k, other->j_per_1k),
             change_pct(gpt->j_decode, other->j_decode),
             "published: prefill inside; corrected: estimate, mean power of the call times TPOT, idle not subtracted");
    (void)snprintf(text, sizeof text, "peak device memory against %s", name);
    headline(t, text, "pct", published[2], change_pct(gpt->peak_mib, other->peak_mib),
             change_pct(gpt->peak_mib, other->peak_mib),
             "the arithmetic stands; but gpt-oss-20b ran with its MXFP4 weights expanded to bf16");
}

enum status study_headlines(const struct table *latency, const struct table *memory, const struct table *energy,
                            struct table **out, struct err *err)
{
    // What the abstract and the tables of arXiv 2508.16700 and its repository print, at 2048 in, 64 out.
    static const double published[STUDY_MODELS][3] = {{0, 0, 0}, {31.8, -25.8, -31.7}, {(double)NAN, (double)NAN, (double)NAN}};
    static const double kv_published[STUDY_MODELS] = {1.683, 0.534, 0.394};
    static const double ape_published[STUDY_MODELS] = {8.644, 0.730, 0.775};
    struct cell cells[STUDY_MODELS];
    struct table *t = NULL;
    enum status s = table_new(&t, "study_headlines", err);
    for (size_t i = 0; i < STUDY_MODELS && s == OK; i++)
        s = read_cell(latency, memory, energy, study_model(i), &cells[i], err);
    for (size_t i = 0; i < STUDY_MODELS && s == OK; i++) {
        const struct study_model *m = study_model(i);
        char text[64];
        if (i > 0)
            against(t, &cells[0], &cells[i], m->short_name, published[i]);
        (void)snprintf(text, sizeof text, "KV cache per token of %s", m->short_name);
        headline(t, text, "mib_tok", kv_published[i], cells[i].kv_published, kv_mib_per_tok(m),
                 "published: peak - weights, activations and logits inside; corrected: by formula");
        (void)snprintf(text, sizeof text, "live allocation per token of %s", m->short_name);
        headline(t, text, "mib_tok", (double)NAN, cells[i].kv_live, kv_mib_per_tok(m),
                 "the study's own column of live allocation after generate, which agrees with the formula");
        (void)snprintf(text, sizeof text, "throughput per active billion of %s", m->short_name);
        headline(t, text, "tok/s", ape_published[i], cells[i].ape_published,
                 1000.0 / cells[i].tpot_ms / ((double)m->active_params * 1e-9),
                 "published: prefill inside, rounded parameters; corrected: 1 / TPOT, parameters counted from the shapes");
    }
    if (s == OK)
        s = table_finish(t, err);
    if (s == OK)
        *out = t;
    else
        table_free(t);
    return s;
}
