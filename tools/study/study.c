#include "study/study.h"

#include <string.h>

const struct study_files *study_files(size_t i)
{
    static const struct study_files files[STUDY_MODELS] = {
        {"latency/latency_gptoss20b_universal.csv", "memeory/memory_gptoss20b_v2.csv", "energy/energy_gptoss20b_fixed.csv"},
        {"latency/latency_qwen3-32b_universal.csv", "memeory/memory_qwen3-32b_v2.csv", "energy/energy_qwen3-32b_fixed.csv"},
        {"latency/latency_yi-34b_universal.csv", "memeory/memory_yi-34b_v2.csv", "energy/energy_yi-34b_fixed.csv"},
    };
    return &files[i];
}

const struct study_model *study_model(size_t i)
{
    static const struct study_model models[STUDY_MODELS] = {
        {"gpt-oss-20b", "openai/gpt-oss-20b", "MoE", "Community/OSS", 20.0, 3.6, 3608307264, 24, 8, 64},
        {"qwen3-32b", "Qwen/Qwen3-32B", "Dense", "Alibaba", 32.0, 32.0, 31984210944, 64, 8, 128},
        {"yi-34b", "01-ai/Yi-34B", "Dense", "01.AI", 34.0, 34.0, 33930165248, 60, 8, 128},
    };
    return &models[i];
}

static const struct study_model *by_hub_name(const char *name)
{
    for (size_t i = 0; i < STUDY_MODELS; i++)
        if (strcmp(study_model(i)->hub_name, name) == 0)
            return study_model(i);
    return NULL;
}

/* Copy a raw row and name its model. */
static enum status begin(struct table *t, const struct table *raw, size_t row, struct err *err)
{
    const struct study_model *m = by_hub_name(table_text(raw, row, "model"));
    if (!m) {
        char where[300];
        return err_set(err, ERR_FORMAT, "%s: expected a model of the study, found '%s'",
                       table_where(raw, row, where, sizeof where), table_text(raw, row, "model"));
    }
    table_copy_row(t, raw, row);
    table_set_text(t, "model_short", m->short_name);
    return OK;
}

static void latency_columns(struct table *t, const struct table *raw, size_t row)
{
    table_set_i64(t, "context_length", table_i64(raw, row, "prompt_tokens"));
    table_set_f64(t, "ttft_ms", table_f64(raw, row, "TTFT_ms"));
}

static void memory_columns(struct table *t, const struct table *raw, size_t row)
{
    const double peak = table_f64(raw, row, "peak_alloc_mb");
    table_set_f64(t, "peak_memory_mb", peak);
    table_set_f64(t, "memory_efficiency", table_f64(raw, row, "total_tokens") / peak);
}

static void energy_columns(struct table *t, const struct table *raw, size_t row)
{
    const double tok_s = table_f64(raw, row, "decode_tokens_per_second");
    table_set_f64(t, "tokens_per_watt", tok_s / table_f64(raw, row, "avg_gpu_power_watts"));
    table_set_f64(t, "energy_per_1k_joules", table_f64(raw, row, "energy_per_1k_decoded_tokens_joules"));
    table_set_f64(t, "TPOT_tokps", tok_s);
}

static enum status unify(const struct table *const *raw, size_t n, const char *schema,
                         void (*columns)(struct table *, const struct table *, size_t), struct table **out,
                         struct err *err)
{
    struct table *t = NULL;
    enum status s = table_new(&t, schema, err);
    for (size_t i = 0; i < n && s == OK; i++)
        for (size_t row = 0; row < table_n_rows(raw[i]) && s == OK; row++)
            if ((s = begin(t, raw[i], row, err)) == OK)
                columns(t, raw[i], row);
    if (s == OK)
        s = table_finish(t, err);
    if (s == OK)
        *out = t;
    else
        table_free(t);
    return s;
}

enum status study_unify_latency(const struct table *const *raw, size_t n, struct table **out, struct err *err)
{
    return unify(raw, n, "study_unified_latency", latency_columns, out, err);
}

enum status study_unify_memory(const struct table *const *raw, size_t n, struct table **out, struct err *err)
{
    return unify(raw, n, "study_unified_memory", memory_columns, out, err);
}

enum status study_unify_energy(const struct table *const *raw, size_t n, struct table **out, struct err *err)
{
    return unify(raw, n, "study_unified_energy", energy_columns, out, err);
}

size_t study_row(const struct table *t, const char *model_short, int64_t context_tok)
{
    size_t found = SIZE_MAX;
    for (size_t row = 0; row < table_n_rows(t); row++)
        if (strcmp(table_text(t, row, "model_short"), model_short) == 0 &&
            table_i64(t, row, "context_length") == context_tok &&
            (found == SIZE_MAX || table_i64(t, row, "gen_tokens") < table_i64(t, found, "gen_tokens")))
            found = row;
    return found;
}

/* Row of `t` for a latency row; ERR_FORMAT when the study measured no such cell. */
static enum status partner(const struct table *t, const struct table *latency, size_t row, const char *what,
                           size_t *out, struct err *err)
{
    const char *model = table_text(latency, row, "model_short");
    const int64_t context = table_i64(latency, row, "context_length");
    *out = study_row(t, model, context);
    if (*out == SIZE_MAX)
        return err_set(err, ERR_FORMAT, "%s of '%s' at context %lld: expected a row, found none", what, model,
                       (long long)context);
    return OK;
}

static void ape_row(struct table *t, const struct study_model *m, const struct table *latency, size_t l,
                    const struct table *memory, size_t mem, const struct table *energy, size_t e)
{
    const double active = m->active_params_b;
    const double ttft_ms = table_f64(latency, l, "TTFT_ms");
    const double tok_s = table_f64(latency, l, "TPOT_tokps");
    const double peak_gib = table_f64(memory, mem, "peak_alloc_mb") / 1024.0;
    const double tok_j = table_f64(energy, e, "tokens_per_watt");
    table_row(t);
    table_set_text(t, "model_id", m->short_name);
    table_set_text(t, "model_name", m->hub_name);
    table_set_text(t, "architecture", m->architecture);
    table_set_text(t, "organization", m->organization);
    table_set_i64(t, "context_length", table_i64(latency, l, "context_length"));
    table_set_f64(t, "total_params_B", m->total_params_b);
    table_set_f64(t, "active_params_B", active);
    table_set_f64(t, "ttft_ms", ttft_ms);
    table_set_f64(t, "tpot_tokps", tok_s);
    table_set_f64(t, "peak_memory_GB", peak_gib);
    table_set_f64(t, "energy_per_1k_joules", table_f64(energy, e, "energy_per_1k_joules"));
    table_set_f64(t, "tokens_per_watt", tok_j);
    table_set_f64(t, "throughput_per_activeB_tokps_per_B", tok_s / active);
    table_set_f64(t, "inv_ttft_per_activeB_tokps_per_B", 1000.0 / ttft_ms / active);
    table_set_f64(t, "tokens_per_watt_per_activeB", tok_j / active);
    table_set_f64(t, "tokens_per_GB_tokps_per_GB", tok_s / peak_gib);
}

enum status study_ape(const struct table *latency, const struct table *memory, const struct table *energy,
                      struct table **out, struct err *err)
{
    struct table *t = NULL;
    enum status s = table_new(&t, "study_ape", err);
    for (size_t l = 0; l < table_n_rows(latency) && s == OK; l++) {
        const struct study_model *m = by_hub_name(table_text(latency, l, "model"));
        if (!m || study_row(latency, m->short_name, table_i64(latency, l, "context_length")) != l)
            continue; // the study takes one generated length a context: the shortest
        size_t mem;
        size_t e;
        if ((s = partner(memory, latency, l, "memory", &mem, err)) == OK &&
            (s = partner(energy, latency, l, "energy", &e, err)) == OK)
            ape_row(t, m, latency, l, memory, mem, energy, e);
    }
    if (s == OK)
        s = table_finish(t, err);
    if (s == OK)
        *out = t;
    else
        table_free(t);
    return s;
}
