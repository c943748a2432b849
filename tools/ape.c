/* ape - efficiency per active parameter from the unified table, with Pareto fronts (measurement.md 11);
 * or, with --compat, the published study's own efficiency file from its unified files. Parameter counts
 * come from the rows that the memory stage wrote of the shapes it ran, never from a list in here. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "study/study.h"
#include "lib/tool.h"

struct args {
    const char *unified, *bench;
    bool compat;
    const char *latency, *memory, *energy;
};

static const struct cli_option options[] = {
    CLI_TEXT(struct args, unified, CLI_INPUT, "unified", 'u', "FILE", NULL, "unified.csv"),
    CLI_TEXT(struct args, bench, CLI_INPUT, "bench", 'b', "FILE", NULL, "bench.csv: how near speeds come to the ceilings of the machine"),
    CLI_FLAG(struct args, compat, CLI_RECIPE, "compat", 0, "write the published study's efficiency file, with its own rounded parameter counts"),
    CLI_TEXT(struct args, latency, CLI_INPUT, "latency", 0, "FILE", NULL, "with --compat: the study's unified latency file"),
    CLI_TEXT(struct args, memory, CLI_INPUT, "memory", 0, "FILE", NULL, "with --compat: its unified memory file"),
    CLI_TEXT(struct args, energy, CLI_INPUT, "energy", 0, "FILE", NULL, "with --compat: its unified energy file"),
    CLI_END,
};

enum { MAX_MODELS = 64 };

struct subject {
    const char *name;
    size_t row; /* of its active_params in the unified table: arch, weights, format, device */
    int64_t active, total;
};

struct ape {
    const struct table *in;
    struct table *out;
    struct subject models[MAX_MODELS];
    size_t n_models;
};

static bool is(const struct table *t, size_t row, const char *column, const char *text)
{
    return strcmp(table_text(t, row, column), text) == 0;
}

/* Row of a figure of a model, or SIZE_MAX. level NULL: any. like: a row whose batch must be equal and, if
 * `cell`, its prompt and output too. */
static size_t find(const struct ape *a, const char *model, const char *stage, const char *metric, const char *stat,
                   const char *level, size_t like, bool cell)
{
    const struct table *t = a->in;
    for (size_t r = 0; r < table_n_rows(t); r++) {
        if (!is(t, r, "model", model) || !is(t, r, "stage", stage) || !is(t, r, "metric", metric) ||
            !is(t, r, "stat", stat) || (level && !is(t, r, "level", level)) || is(t, r, "window", "steady") != (strcmp(stage, "energy") == 0))
            continue;
        if (like != SIZE_MAX &&
            (table_i64(t, r, "batch") != table_i64(t, like, "batch") ||
             (cell && (table_i64(t, r, "in_tok") != table_i64(t, like, "in_tok") ||
                       table_i64(t, r, "out_tok") != table_i64(t, like, "out_tok")))))
            continue;
        return r;
    }
    return SIZE_MAX;
}

static enum status list_models(struct ape *a, struct err *err)
{
    const struct table *t = a->in;
    for (size_t r = 0; r < table_n_rows(t); r++) {
        const char *name = table_text(t, r, "model");
        // An ablation's level may be another directory (the same shape in bf16): a level, not a model.
        bool known = strcmp(table_text(t, r, "stage"), "ablate") == 0;
        for (size_t i = 0; i < a->n_models; i++)
            known = known || strcmp(a->models[i].name, name) == 0;
        if (known)
            continue;
        const size_t active = find(a, name, "memory", "active_params", "formula", NULL, SIZE_MAX, false);
        const size_t total = find(a, name, "memory", "total_params", "formula", NULL, SIZE_MAX, false);
        if (active == SIZE_MAX || total == SIZE_MAX || !table_has(t, active, "value") || !table_has(t, total, "value")) {
            char where[300];
            return err_set(err, ERR_FORMAT, "%s: expected memory rows active_params and total_params of '%s', found none",
                           table_where(t, r, where, sizeof where), name);
        }
        if (a->n_models == MAX_MODELS)
            return err_set(err, ERR_RANGE, "more than %d models", MAX_MODELS);
        a->models[a->n_models++] = (struct subject){
            .name = name,
            .row = active,
            .active = (int64_t)table_f64(t, active, "value"),
            .total = (int64_t)table_f64(t, total, "value"),
        };
    }
    return OK;
}

/* ---- rows ---- */

static void copy_text(struct ape *a, const char *column, size_t row)
{
    if (table_has(a->in, row, column))
        table_set_text(a->out, column, table_text(a->in, row, column));
}

static void copy_i64(struct ape *a, const char *column, size_t row)
{
    if (table_has(a->in, row, column))
        table_set_i64(a->out, column, table_i64(a->in, row, column));
}

/* Begin a row about the figure in `row` of the unified table. */
static void begin(struct ape *a, const struct subject *m, size_t row, const char *metric, const char *per,
                  const char *unit, bool higher_is_better)
{
    table_row(a->out);
    table_set_text(a->out, "model", m->name);
    copy_text(a, "arch", m->row);
    copy_text(a, "weights", m->row);
    copy_text(a, "weight_format", m->row);
    copy_text(a, "device", m->row);
    table_set_bool(a->out, "draft", table_bool(a->in, row, "draft") || table_bool(a->in, m->row, "draft"));
    table_set_i64(a->out, "active_params", m->active);
    table_set_i64(a->out, "total_params", m->total);
    if (is(a->in, row, "stage", "accuracy"))
        table_set_text(a->out, "task", table_text(a->in, row, "level"));
    copy_i64(a, "in_tok", row);
    copy_i64(a, "out_tok", row);
    copy_i64(a, "context_tok", row);
    copy_i64(a, "batch", row);
    table_set_text(a->out, "metric", metric);
    table_set_text(a->out, "per", per);
    table_set_text(a->out, "unit", unit);
    table_set_text(a->out, "better", higher_is_better ? "higher" : "lower");
    table_set_text(a->out, "front", "none");
}

/* A value that is a line in the source value: value = offset + scale * source, intervals alike. A row
 * without source value keeps the source's status. */
static void set_scaled(struct ape *a, size_t row, double offset, double scale)
{
    if (!table_has(a->in, row, "value")) {
        copy_text(a, "status", row);
        copy_text(a, "reason", row);
        return;
    }
    table_set_f64(a->out, "value", offset + scale * table_f64(a->in, row, "value"));
    if (table_has(a->in, row, "ci_lo"))
        table_set_f64(a->out, "ci_lo", offset + scale * table_f64(a->in, row, "ci_lo"));
    if (table_has(a->in, row, "ci_hi"))
        table_set_f64(a->out, "ci_hi", offset + scale * table_f64(a->in, row, "ci_hi"));
    copy_text(a, "ci_method", row);
    table_set_text(a->out, "status", "ok");
}

static void set_missing(struct ape *a, const char *status, const char *reason)
{
    table_set_text(a->out, "status", status);
    table_set_text(a->out, "reason", reason);
}

/* What a metric is divided by: billions of active and of all parameters, GiB of weights held, joules (per
 * output token for times, per item for accuracy). value NaN: row tells why, or SIZE_MAX when there is no such figure at all. */
struct divisor {
    const char *per, *suffix;
    double value;
    size_t row;
};

static void divisors(const struct ape *a, const struct subject *m, size_t row, struct divisor out[4])
{
    const struct table *t = a->in;
    const bool timed = is(t, row, "stage", "latency");
    const size_t weights = find(a, m->name, "memory", "weights_dev_mib", "value", NULL, SIZE_MAX, false);
    // Joules belong to a batch and a context (measurement.md 10): only those of the same cell, or of the
    // items of the same task, divide it.
    const size_t j = timed ? find(a, m->name, "energy", "j_per_out_tok", "mean", NULL, row, true)
                           : find(a, m->name, "accuracy_cost", "j_per_item", "mean", table_text(t, row, "level"), SIZE_MAX, false);
    out[0] = (struct divisor){"active_b", "b", (double)m->active * 1e-9, SIZE_MAX};
    out[1] = (struct divisor){"total_b", "total_b", (double)m->total * 1e-9, SIZE_MAX};
    out[2] = (struct divisor){"gib", "gib", weights == SIZE_MAX ? (double)NAN : table_f64(t, weights, "value") / 1024.0, weights};
    out[3] = (struct divisor){"j", "j", j == SIZE_MAX ? (double)NAN : table_f64(t, j, "value"), j};
}

/* One metric by all four divisors. value = (offset + scale * source) / divisor. */
static void per_rows(struct ape *a, const struct subject *m, size_t row, const char *name, const char *after,
                     const char *unit, bool higher_is_better, double offset, double scale)
{
    struct divisor d[4];
    divisors(a, m, row, d);
    for (size_t i = 0; i < 4; i++) {
        char metric[64];
        char unit_per[64];
        (void)snprintf(metric, sizeof metric, "ape_%s_per_%s%s", name, d[i].suffix, after);
        (void)snprintf(unit_per, sizeof unit_per, "%s/%s", unit, i < 2 ? "B" : i == 2 ? "GiB" : "J");
        begin(a, m, row, metric, d[i].per, unit_per, higher_is_better);
        if (d[i].value > 0) {
            set_scaled(a, row, offset / d[i].value, scale / d[i].value);
        } else if (d[i].row != SIZE_MAX && !table_has(a->in, d[i].row, "value")) {
            copy_text(a, "status", d[i].row);
            copy_text(a, "reason", d[i].row);
        } else {
            set_missing(a, "not_measured", i == 3 ? "no joules of this cell or task" : "no weights_dev_mib of this model");
        }
    }
}

static void latency_rows(struct ape *a, const struct subject *m)
{
    const struct table *t = a->in;
    for (size_t r = 0; r < table_n_rows(t); r++) {
        if (!is(t, r, "model", m->name) || !is(t, r, "stage", "latency") || !is(t, r, "stat", "p50") ||
            !is(t, r, "window", "full"))
            continue;
        if (is(t, r, "metric", "decode_tok_s")) {
            begin(a, m, r, "decode_tok_s", "none", "tok/s", true);
            set_scaled(a, r, 0, 1);
            per_rows(a, m, r, "tok_s", "", "tok/s", true, 0, 1);
        } else if (is(t, r, "metric", "tpot_ms")) {
            per_rows(a, m, r, "tpot_ms", "", "ms", false, 0, 1);
        } else if (is(t, r, "metric", "ttft_ms") && table_i64(t, r, "in_tok") > 0) {
            per_rows(a, m, r, "ttft_ms", "_ktok", "ms/ktok", false, 0, 1000.0 / (double)table_i64(t, r, "in_tok"));
        }
    }
}

/* 100 (accuracy - chance) / (1 - chance) / A. */
static void accuracy_rows(struct ape *a, const struct subject *m)
{
    const struct table *t = a->in;
    for (size_t r = 0; r < table_n_rows(t); r++) {
        if (!is(t, r, "model", m->name) || !is(t, r, "stage", "accuracy") || !is(t, r, "factor", "task") ||
            !is(t, r, "metric", "acc_pct"))
            continue;
        const size_t c = find(a, m->name, "accuracy", "chance_pct", "value", table_text(t, r, "level"), SIZE_MAX, false);
        const double chance = c == SIZE_MAX ? (double)NAN : table_f64(t, c, "value");
        if (chance >= 0 && chance < 100) {
            per_rows(a, m, r, "acc_pp", "", "pp", true, -100.0 * chance / (100.0 - chance), 100.0 / (100.0 - chance));
        } else {
            begin(a, m, r, "ape_acc_pp_per_b", "active_b", "pp/B", true);
            set_missing(a, "not_measured", "no chance level of this task");
        }
    }
}

/* ---- how near to the machine's ceilings: rows of bench.csv ---- */

/* Begin a row about the figure in `row` of the bench table. */
static void begin_bench(struct ape *a, const struct subject *m, const struct table *b, size_t row, const char *metric, const char *unit,
                        bool higher_is_better)
{
    static const char *const texts[] = {"arch", "weights", "weight_format", "device"};
    static const char *const ints[] = {"in_tok", "out_tok", "batch"};
    table_row(a->out);
    table_set_text(a->out, "model", m->name);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        table_set_text(a->out, texts[i], table_text(b, row, texts[i]));
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
        if (table_has(b, row, ints[i]))
            table_set_i64(a->out, ints[i], table_i64(b, row, ints[i]));
    table_set_i64(a->out, "context_tok", table_i64(b, row, "in_tok") + table_i64(b, row, "out_tok"));
    table_set_bool(a->out, "draft", table_bool(b, row, "draft"));
    table_set_i64(a->out, "active_params", m->active);
    table_set_i64(a->out, "total_params", m->total);
    table_set_text(a->out, "metric", metric);
    table_set_text(a->out, "per", "none");
    table_set_text(a->out, "unit", unit);
    table_set_text(a->out, "better", higher_is_better ? "higher" : "lower");
    table_set_text(a->out, "front", "none");
}

/* value and interval of a bench row times scale; NaN: there is none. */
static void set_bench(struct ape *a, const struct table *b, size_t row, double scale)
{
    if (!table_has(b, row, "value") || isnan(scale)) {
        const bool ok = is(b, row, "status", "ok");
        set_missing(a, ok ? "not_measured" : table_text(b, row, "status"), ok ? "no median, or no ceiling to hold it against" : table_text(b, row, "reason"));
        return;
    }
    table_set_f64(a->out, "value", scale * table_f64(b, row, "value"));
    if (table_has(b, row, "ci_lo"))
        table_set_f64(a->out, "ci_lo", scale * table_f64(b, row, "ci_lo"));
    if (table_has(b, row, "ci_hi"))
        table_set_f64(a->out, "ci_hi", scale * table_f64(b, row, "ci_hi"));
    table_set_text(a->out, "ci_method", table_text(b, row, "ci_method"));
    table_set_text(a->out, "status", "ok");
}

/* mbu_pct: bytes of a step x steps a second / measured bandwidth, of decoding; mfu_pct: operations a second
 * / measured multiply-adds, of prefill; and the bytes of a step themselves, counted and by formula. */
static void bench_rows(struct ape *a, const struct subject *m, const struct table *b)
{
    for (size_t r = 0; r < table_n_rows(b); r++) {
        if (!is(b, r, "engine", "assay") || !is(b, r, "model", m->name))
            continue;
        const bool decode = strncmp(table_text(b, r, "cell"), "decode/", 7) == 0;
        const double pct = table_has(b, r, "ceiling_pct") ? table_f64(b, r, "ceiling_pct") / table_f64(b, r, "value") : (double)NAN;
        if (decode && is(b, r, "metric", "read_gb_s")) {
            begin_bench(a, m, b, r, "mbu_pct", "%", true);
            set_bench(a, b, r, pct);
        } else if (!decode && is(b, r, "metric", "gflop_s")) {
            begin_bench(a, m, b, r, "mfu_pct", "%", true);
            set_bench(a, b, r, pct);
        } else if (is(b, r, "metric", "step_read_mb")) {
            begin_bench(a, m, b, r, "step_read_mb", "MB", false);
            set_bench(a, b, r, 1);
            if (!table_has(b, r, "theory"))
                continue;
            begin_bench(a, m, b, r, "step_read_theory_mb", "MB", false);
            table_set_f64(a->out, "value", table_f64(b, r, "theory"));
            table_set_text(a->out, "status", "ok");
        }
    }
}

/* ---- Pareto fronts: one point a model ---- */

struct point {
    const struct subject *model;
    size_t y_row;  /* the good: higher is better */
    size_t x_row;  /* the cost, or SIZE_MAX when it is not a figure of the table */
    double x, y;   /* NaN when missing */
};

/* The prompt and output length that every model was timed at at batch 1: the longest such. Row of the
 * first model's tpot there, or SIZE_MAX. */
static size_t common_cell(const struct ape *a)
{
    const struct table *t = a->in;
    size_t best = SIZE_MAX;
    for (size_t r = 0; r < table_n_rows(t); r++) {
        if (!is(t, r, "model", a->models[0].name) || !is(t, r, "stage", "latency") || !is(t, r, "metric", "tpot_ms") ||
            !is(t, r, "stat", "p50") || !is(t, r, "window", "full") || table_i64(t, r, "batch") != 1)
            continue;
        bool all = true;
        for (size_t i = 0; i < a->n_models; i++) {
            const size_t other = find(a, a->models[i].name, "latency", "tpot_ms", "p50", NULL, r, true);
            all = all && other != SIZE_MAX && table_has(t, other, "value");
        }
        if (all && (best == SIZE_MAX || table_i64(t, r, "context_tok") > table_i64(t, best, "context_tok")))
            best = r;
    }
    return best;
}

static double value_at(const struct ape *a, size_t row)
{
    return row == SIZE_MAX ? (double)NAN : table_f64(a->in, row, "value");
}

static void front_rows(struct ape *a, const char *front, const char *metric, const char *unit, const struct point *p,
                       size_t n)
{
    for (size_t i = 0; i < n; i++) {
        begin(a, p[i].model, p[i].y_row, metric, "none", unit, true);
        table_set_text(a->out, "front", front);
        if (isnan(p[i].y) || isnan(p[i].x)) {
            const size_t why = isnan(p[i].y) ? p[i].y_row : p[i].x_row;
            if (why != SIZE_MAX && !table_has(a->in, why, "value")) {
                copy_text(a, "status", why);
                copy_text(a, "reason", why);
            } else {
                set_missing(a, "not_measured", "no cost figure of this model");
            }
            continue;
        }
        bool dominated = false;
        for (size_t k = 0; k < n; k++)
            dominated = dominated || (p[k].x <= p[i].x && p[k].y >= p[i].y && (p[k].x < p[i].x || p[k].y > p[i].y));
        set_scaled(a, p[i].y_row, 0, 1);
        table_set_f64(a->out, "front_x", p[i].x);
        table_set_bool(a->out, "pareto", !dominated);
    }
}

/* Accuracy of one task against TPOT, GiB and joules. */
static void accuracy_fronts(struct ape *a, const char *task, size_t cell)
{
    static const struct {
        const char *front, *stage, *metric, *stat;
        bool at_cell;
        double scale;
    } axes[] = {
        {"acc_tpot_ms", "latency", "tpot_ms", "p50", true, 1},
        {"acc_gib", "memory", "weights_dev_mib", "value", false, 1.0 / 1024.0},
        {"acc_j_per_out_tok", "energy", "j_per_out_tok", "mean", true, 1},
    };
    for (size_t x = 0; x < sizeof axes / sizeof *axes; x++) {
        struct point points[MAX_MODELS];
        size_t n = 0;
        for (size_t i = 0; i < a->n_models; i++) {
            const struct subject *m = &a->models[i];
            const size_t y = find(a, m->name, "accuracy", "acc_pct", "value", task, SIZE_MAX, false);
            if (y == SIZE_MAX)
                continue; // this model did not take this task
            const size_t c = axes[x].at_cell && cell == SIZE_MAX
                                 ? SIZE_MAX
                                 : find(a, m->name, axes[x].stage, axes[x].metric, axes[x].stat, NULL,
                                        axes[x].at_cell ? cell : SIZE_MAX, axes[x].at_cell);
            points[n++] = (struct point){m, y, c, value_at(a, c) * axes[x].scale, value_at(a, y)};
        }
        front_rows(a, axes[x].front, "acc_pct", "%", points, n);
    }
}

static void fronts(struct ape *a)
{
    const struct table *t = a->in;
    const size_t cell = common_cell(a);
    for (size_t r = 0; r < table_n_rows(t); r++) { // each task once: at its first row
        if (!is(t, r, "stage", "accuracy") || !is(t, r, "factor", "task") || !is(t, r, "metric", "acc_pct"))
            continue;
        bool first = true;
        for (size_t k = 0; k < r && first; k++)
            first = !(is(t, k, "stage", "accuracy") && is(t, k, "metric", "acc_pct") &&
                      is(t, k, "level", table_text(t, r, "level")));
        if (first)
            accuracy_fronts(a, table_text(t, r, "level"), cell);
    }
    if (cell == SIZE_MAX)
        return;
    struct point points[MAX_MODELS];
    size_t n = 0;
    for (size_t i = 0; i < a->n_models; i++) {
        const size_t y = find(a, a->models[i].name, "latency", "decode_tok_s", "p50", NULL, cell, true);
        if (y != SIZE_MAX)
            points[n++] = (struct point){&a->models[i], y, SIZE_MAX, (double)a->models[i].active * 1e-9, value_at(a, y)};
    }
    front_rows(a, "tok_s_active_b", "decode_tok_s", "tok/s", points, n);
}

/* ---- */

static enum status from_unified(struct tool *t, const struct args *args, struct err *err)
{
    if (!args->unified)
        return err_set(err, ERR_USAGE, "no input: name the unified table with --unified FILE");
    struct table *in = NULL;
    struct table *bench = NULL;
    struct ape a = {.out = NULL};
    enum status s = tool_read_table(t, args->unified, "unified", &in, err);
    a.in = in;
    if (s == OK && args->bench)
        s = tool_read_table(t, args->bench, "bench", &bench, err);
    if (s == OK && table_n_rows(in) == 0)
        s = err_set(err, ERR_FORMAT, "%s: expected rows, found only a header", args->unified);
    if (s == OK && (s = list_models(&a, err)) == OK && (s = table_new(&a.out, "ape", err)) == OK) {
        for (size_t i = 0; i < a.n_models; i++) {
            latency_rows(&a, &a.models[i]);
            accuracy_rows(&a, &a.models[i]);
            if (bench)
                bench_rows(&a, &a.models[i], bench);
        }
        fronts(&a);
        s = tool_put_table(t, tool_out(t), a.out, err);
    }
    table_free(a.out);
    table_free(bench);
    table_free(in);
    return s;
}

static enum status compat(struct tool *t, const struct args *args, struct err *err)
{
    struct table *latency = NULL;
    struct table *memory = NULL;
    struct table *energy = NULL;
    struct table *out = NULL;
    enum status s;
    if (!args->latency || !args->memory || !args->energy)
        return err_set(err, ERR_USAGE, "--compat: expected --latency, --memory and --energy, the study's unified files");
    if ((s = tool_read_table(t, args->latency, "study_unified_latency", &latency, err)) == OK &&
        (s = tool_read_table(t, args->memory, "study_unified_memory", &memory, err)) == OK &&
        (s = tool_read_table(t, args->energy, "study_unified_energy", &energy, err)) == OK &&
        (s = study_ape(latency, memory, energy, &out, err)) == OK)
        s = tool_put_table(t, tool_out(t), out, err);
    table_free(out);
    table_free(energy);
    table_free(memory);
    table_free(latency);
    return s;
}

static enum status run(struct tool *t, const void *args, struct err *err)
{
    const struct args *a = args;
    if (a->compat)
        return a->unified || a->bench ? err_set(err, ERR_USAGE, "--unified, --bench and --compat exclude each other") : compat(t, a, err);
    if (a->latency || a->memory || a->energy)
        return err_set(err, ERR_USAGE, "--latency, --memory and --energy need --compat");
    return from_unified(t, a, err);
}

static const struct tool_def ape_tool = {
    .name = "ape",
    .summary = "relate speed, accuracy and energy to the parameters that are active",
    .options = options,
    .common = TOOL_OUT | TOOL_FORMAT,
    .args_b = sizeof(struct args),
    .run = run,
};

int main(int argc, char **argv)
{
    return tool_main(&ape_tool, argc, argv);
}
