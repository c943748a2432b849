/* unify - the result files of every stage and model as one long table, a figure a row (measurement.md
 * 15); or, with --compat, the published study's raw files as its own unified files, with the headlines
 * re-derived and corrected (design/study.md). A file that is named must be there: nothing is skipped. */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "lib/stats.h"
#include "lib/study.h"
#include "lib/tool.h"

struct args {
    struct cli_texts latency, throughput, memory, energy, accuracy, accuracy_cost, safety, ablation;
    bool compat;
    const char *study;
    const char *latency_out, *memory_out, *energy_out, *corrected_out, *headlines_out;
};

static const struct cli_option options[] = {
    CLI_TEXTS(struct args, latency, CLI_INPUT, "latency", 0, "FILE", "latency.csv; may be repeated, as all inputs"),
    CLI_TEXTS(struct args, throughput, CLI_INPUT, "throughput", 0, "FILE", "throughput.csv"),
    CLI_TEXTS(struct args, memory, CLI_INPUT, "memory", 0, "FILE", "memory.csv"),
    CLI_TEXTS(struct args, energy, CLI_INPUT, "energy", 0, "FILE", "energy.csv"),
    CLI_TEXTS(struct args, accuracy, CLI_INPUT, "accuracy", 0, "FILE", "accuracy.csv"),
    CLI_TEXTS(struct args, accuracy_cost, CLI_INPUT, "accuracy-cost", 0, "FILE", "accuracy_cost.csv"),
    CLI_TEXTS(struct args, safety, CLI_INPUT, "safety", 0, "FILE", "safety.csv"),
    CLI_TEXTS(struct args, ablation, CLI_INPUT, "ablation", 0, "FILE", "ablation.csv"),
    CLI_FLAG(struct args, compat, CLI_RECIPE, "compat", 0, "read the published study's raw files (--latency, --memory, --energy) and write its own formats"),
    CLI_TEXT(struct args, study, CLI_RUN, "study", 0, "DIR", NULL, "with --compat: results folder of the study, in place of naming its files"),
    CLI_TEXT(struct args, latency_out, CLI_OUTPUT, "latency-out", 0, "FILE", NULL, "with --compat: the study's unified latency file"),
    CLI_TEXT(struct args, memory_out, CLI_OUTPUT, "memory-out", 0, "FILE", NULL, "with --compat: its unified memory file"),
    CLI_TEXT(struct args, energy_out, CLI_OUTPUT, "energy-out", 0, "FILE", NULL, "with --compat: its unified energy file"),
    CLI_TEXT(struct args, corrected_out, CLI_OUTPUT, "corrected-out", 0, "FILE", NULL, "with --compat: every cell with its figures corrected"),
    CLI_TEXT(struct args, headlines_out, CLI_OUTPUT, "headlines-out", 0, "FILE", NULL, "with --compat: its headlines: published, re-derived, corrected"),
    CLI_END,
};

/* ---- rows ---- */

/* One figure of a wide row. */
struct figure {
    const char *column, *metric, *unit, *stat;
    const char *lo, *hi; /* columns of its interval, or NULL */
    bool headline;       /* appears as an empty row when the cell failed */
};

struct unifier {
    struct table *out;
    struct table *const *facts; /* measured tables: what an exact file does not say about its model */
    size_t n_facts;
};

static void copy_text(struct table *out, const struct table *in, size_t row, const char *from, const char *to)
{
    if (table_has(in, row, from))
        table_set_text(out, to, table_text(in, row, from));
}

static void copy_i64(struct table *out, const struct table *in, size_t row, const char *from, const char *to)
{
    if (table_has(in, row, from))
        table_set_i64(out, to, table_i64(in, row, from));
}

static void copy_f64(struct table *out, const struct table *in, size_t row, const char *from, const char *to)
{
    if (from && table_has(in, row, from))
        table_set_f64(out, to, table_f64(in, row, from));
}

/* Architecture, weights and format of a model: from the row itself, else from any measured row of the
 * same model. Accuracy and safety files hold keys and content only, yet synthetic weights must show. */
static void model_columns(struct unifier *u, const struct table *in, size_t row)
{
    static const char *const columns[] = {"arch", "weights", "weight_format"};
    const char *model = table_text(in, row, "model");
    table_set_text(u->out, "model", model);
    const struct table *from = in;
    size_t at = row;
    for (size_t f = 0; f < u->n_facts && !table_has(from, at, "arch"); f++)
        for (size_t r = 0; r < table_n_rows(u->facts[f]); r++)
            if (strcmp(table_text(u->facts[f], r, "model"), model) == 0) {
                from = u->facts[f];
                at = r;
                break;
            }
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
        copy_text(u->out, from, at, columns[c], columns[c]);
}

/* Begin a row with all that says which cell it belongs to. */
static void begin_row(struct unifier *u, const struct table *in, size_t row, const char *stage)
{
    table_row(u->out);
    model_columns(u, in, row);
    copy_text(u->out, in, row, "numerics", "numerics");
    copy_text(u->out, in, row, "device", "device");
    table_set_bool(u->out, "draft", table_bool(in, row, "draft"));
    table_set_text(u->out, "stage", stage);
    copy_i64(u->out, in, row, "in_tok", "in_tok");
    copy_i64(u->out, in, row, "out_tok", "out_tok");
    copy_i64(u->out, in, row, "context_tok", "context_tok");
    copy_i64(u->out, in, row, "batch", "batch");
    copy_i64(u->out, in, row, "concurrency", "concurrency");
    // One request in flight fills one slot, and its context ends at prompt + output.
    if (table_has(in, row, "concurrency")) {
        copy_i64(u->out, in, row, "concurrency", "batch");
        table_set_i64(u->out, "context_tok", table_i64(in, row, "in_tok") + table_i64(in, row, "out_tok"));
    }
    copy_text(u->out, in, row, "window", "window");
}

static bool row_is_ok(const struct table *in, size_t row)
{
    return !table_has(in, row, "status") || strcmp(table_text(in, row, "status"), "ok") == 0;
}

static void set_status(struct unifier *u, const struct table *in, size_t row)
{
    table_set_text(u->out, "status", row_is_ok(in, row) ? "ok" : table_text(in, row, "status"));
    copy_text(u->out, in, row, "reason", "reason");
}

static void set_figure(struct unifier *u, const struct table *in, size_t row, const struct figure *f, const char *n)
{
    table_set_text(u->out, "metric", f->metric);
    table_set_text(u->out, "unit", f->unit);
    table_set_text(u->out, "stat", f->stat);
    if (n)
        copy_i64(u->out, in, row, n, "n");
    copy_f64(u->out, in, row, f->column, "value");
    copy_f64(u->out, in, row, f->lo, "ci_lo");
    copy_f64(u->out, in, row, f->hi, "ci_hi");
    if (f->lo && table_has(in, row, f->column))
        copy_text(u->out, in, row, "ci_method", "ci_method");
}

/* A wide row as one row a figure. A figure that is empty in a good row does not exist there; in a cell
 * that failed the headline figures appear empty, with the reason. */
static void wide_row(struct unifier *u, const struct table *in, size_t row, const char *stage,
                     const struct figure *figures, size_t n_figures, const char *n, const char *factor,
                     const char *level, const char *window)
{
    const bool ok = row_is_ok(in, row);
    for (size_t i = 0; i < n_figures; i++) {
        const bool has = table_has(in, row, figures[i].column);
        if (!has && (ok || !figures[i].headline))
            continue;
        begin_row(u, in, row, stage);
        if (factor) {
            table_set_text(u->out, "factor", factor);
            table_set_text(u->out, "level", level);
        }
        if (window)
            table_set_text(u->out, "window", window);
        set_figure(u, in, row, &figures[i], n);
        if (has) // what was read (a formula, say) stands, whatever became of the rest
            table_set_text(u->out, "status", "ok");
        else
            set_status(u, in, row);
    }
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- one function a stage ---- */

/* latency.csv repeats its statistics on the rows of one cell: each row counts for the statistic that
 * its interval bounds; those without an interval come from the p50 row. */
static void latency_rows(struct unifier *u, const struct table *in, size_t row)
{
    static const struct {
        const char *column;
        unsigned permille; /* of its sample floor */
        bool always;       /* has a row of its own in the file */
    } stats[] = {{"p50", 500, true}, {"p95", 950, true}, {"p99", 990, true}, {"p90", 900, false},
                 {"mean", 0, false}, {"min", 0, false}, {"max", 0, false}};
    const char *own = table_text(in, row, "stat_ci");
    const bool median = strcmp(own, "p50") == 0;
    for (size_t i = 0; i < COUNT(stats); i++) {
        const bool is_own = strcmp(stats[i].column, own) == 0;
        const bool has = table_has(in, row, stats[i].column);
        if (!is_own && (!median || (stats[i].always && has)))
            continue; // another row of the file brings it
        if (!has && !row_is_ok(in, row) && !is_own)
            continue; // the failed cell is one empty row, not seven
        if (!has && stats[i].permille == 0)
            continue;
        begin_row(u, in, row, "latency");
        const struct figure f = {.column = stats[i].column, .metric = table_text(in, row, "metric"),
                                 .unit = table_text(in, row, "unit"), .stat = stats[i].column,
                                 .lo = is_own ? "ci_lo" : NULL, .hi = is_own ? "ci_hi" : NULL};
        set_figure(u, in, row, &f, "n");
        if (has || !row_is_ok(in, row)) {
            set_status(u, in, row);
        } else {
            char reason[96];
            (void)snprintf(reason, sizeof reason, "%s needs %zu samples, found %lld", stats[i].column,
                           stats_floor(stats[i].permille), (long long)table_i64(in, row, "n"));
            table_set_text(u->out, "status", "below_floor");
            table_set_text(u->out, "reason", reason);
        }
    }
}

static void throughput_rows(struct unifier *u, const struct table *in, size_t row)
{
    static const struct figure figures[] = {
        {"out_tok_s", "out_tok_s", "tok/s", "rate", "ci_lo", "ci_hi", true},
        {"total_tok_s", "total_tok_s", "tok/s", "rate", NULL, NULL, false},
        {"req_s", "req_s", "1/s", "rate", NULL, NULL, false},
    };
    wide_row(u, in, row, "throughput", figures, COUNT(figures), NULL, NULL, NULL, NULL);
}

/* What memory.csv says of the model, not of a cell, once a model: the fitted slope, the two theories and
 * the parameter counts. */
static void model_rows(struct unifier *u, const struct table *in, size_t row)
{
    static const struct figure figures[] = {
        {"kv_b_per_tok_meas", "kv_b_per_tok_meas", "B/tok", "slope", "ci_lo", "ci_hi", false},
        {"kv_b_per_tok_full", "kv_b_per_tok_full", "B/tok", "formula", NULL, NULL, false},
        {"kv_b_per_tok_window", "kv_b_per_tok_window", "B/tok", "formula", NULL, NULL, false},
        {"active_params", "active_params", "1", "formula", NULL, NULL, false},
        {"total_params", "total_params", "1", "formula", NULL, NULL, false},
        {"weight_b", "weight_b", "B", "value", NULL, NULL, false},
    };
    for (size_t i = 0; i < COUNT(figures); i++) {
        int64_t n_points = 0; // of the fit: batch 1, good cells
        bool first = table_has(in, row, figures[i].column);
        for (size_t r = 0; r < table_n_rows(in); r++) {
            if (strcmp(table_text(in, r, "model"), table_text(in, row, "model")) != 0)
                continue;
            first = first && (r >= row || !table_has(in, r, figures[i].column));
            n_points += table_i64(in, r, "batch") == 1 && row_is_ok(in, r);
        }
        if (!first)
            continue;
        table_row(u->out);
        model_columns(u, in, row);
        copy_text(u->out, in, row, "numerics", "numerics");
        copy_text(u->out, in, row, "device", "device");
        table_set_bool(u->out, "draft", table_bool(in, row, "draft"));
        table_set_text(u->out, "stage", "memory");
        if (figures[i].lo)
            table_set_i64(u->out, "batch", 1);
        set_figure(u, in, row, &figures[i], NULL);
        if (figures[i].lo)
            table_set_i64(u->out, "n", n_points);
        table_set_text(u->out, "status", "ok");
    }
}

static void memory_rows(struct unifier *u, const struct table *in, size_t row)
{
    static const struct figure figures[] = {
        {"weights_file_mib", "weights_file_mib", "MiB", "value", NULL, NULL, false},
        {"weights_dev_mib", "weights_dev_mib", "MiB", "value", NULL, NULL, true},
        {"kv_reserved_mib", "kv_reserved_mib", "MiB", "value", NULL, NULL, false},
        {"kv_live_mib", "kv_live_mib", "MiB", "value", NULL, NULL, true},
        {"kv_waste_mib", "kv_waste_mib", "MiB", "value", NULL, NULL, false},
        {"act_peak_mib", "act_peak_mib", "MiB", "value", NULL, NULL, true},
        {"runtime_mib", "runtime_mib", "MiB", "value", NULL, NULL, false},
        {"peak_dev_mib", "peak_dev_mib", "MiB", "value", NULL, NULL, true},
        {"peak_rss_mib", "peak_rss_mib", "MiB", "value", NULL, NULL, false},
        {"pss_mib", "pss_mib", "MiB", "value", NULL, NULL, false},
        {"swap_mib", "swap_mib", "MiB", "value", NULL, NULL, false},
    };
    wide_row(u, in, row, "memory", figures, COUNT(figures), NULL, NULL, NULL, NULL);
    model_rows(u, in, row);
}

static void energy_rows(struct unifier *u, const struct table *in, size_t row)
{
    static const struct figure figures[] = {
        {"j_per_out_tok", "j_per_out_tok", "J/tok", "mean", "ci_lo", "ci_hi", true},
        {"j_net_per_out_tok", "j_net_per_out_tok", "J/tok", "mean", "net_ci_lo", "net_ci_hi", true},
        {"j_per_in_tok", "j_per_in_tok", "J/tok", "mean", "in_ci_lo", "in_ci_hi", true},
        {"j_per_decode_tok", "j_per_decode_tok", "J/tok", "mean", "decode_ci_lo", "decode_ci_hi", true},
        {"j_per_tok", "j_per_tok", "J/tok", "mean", NULL, NULL, false},
        {"j_per_req", "j_per_req", "J", "mean", NULL, NULL, false},
        {"wh_per_1k_out_tok", "wh_per_1k_out_tok", "Wh", "mean", NULL, NULL, false},
        {"tok_per_j", "tok_per_j", "tok/J", "mean", NULL, NULL, false},
        {"mean_w", "mean_w", "W", "mean", NULL, NULL, false},
        {"peak_w", "peak_w", "W", "max", NULL, NULL, false},
        {"idle_empty_w", "idle_empty_w", "W", "mean", NULL, NULL, false},
        {"idle_loaded_w", "idle_loaded_w", "W", "mean", NULL, NULL, false},
        {"edge_err_pct", "edge_err_pct", "%", "value", NULL, NULL, false},
    };
    wide_row(u, in, row, "energy", figures, COUNT(figures), "windows_n", NULL, NULL, "steady");
}

/* The row of a task's first filter and metric over all items: accuracy.csv marks it. The row itself when
 * there is none. */
static size_t headline_row(const struct table *in, size_t row)
{
    for (size_t r = 0; r < table_n_rows(in); r++)
        if (table_bool(in, r, "headline") && strcmp(table_text(in, r, "model"), table_text(in, row, "model")) == 0 &&
            strcmp(table_text(in, r, "task"), table_text(in, row, "task")) == 0 &&
            strcmp(table_text(in, r, "mode"), table_text(in, row, "mode")) == 0)
            return r;
    return row;
}

/* The headline's filter and metric stand for the task; another one is named in the level. */
static void accuracy_rows(struct unifier *u, const struct table *in, size_t row)
{
    static const struct figure figures[] = {
        {"acc_pct", "acc_pct", "%", "value", "ci_lo", "ci_hi", false},
        {"chance_pct", "chance_pct", "%", "value", NULL, NULL, false},
        {"invalid_pct", "invalid_pct", "%", "value", NULL, NULL, false},
        {"no_final_pct", "no_final_pct", "%", "value", NULL, NULL, false},
        {"error_pct", "error_pct", "%", "value", NULL, NULL, false},
        {"truncated_pct", "truncated_pct", "%", "value", NULL, NULL, false},
        {"out_tok_mean", "out_tok_mean", "tok", "mean", NULL, NULL, false},
    };
    static const char *const parts[] = {"filter", "metric"};
    const bool whole = strcmp(table_text(in, row, "subset"), "all") == 0;
    const size_t head = headline_row(in, row);
    struct buf level = BUF_INIT;
    buf_str(&level, table_text(in, row, "task"));
    if (!whole)
        buf_printf(&level, "/%s", table_text(in, row, "subset"));
    for (size_t i = 0; i < COUNT(parts); i++)
        if (strcmp(table_text(in, row, parts[i]), table_text(in, head, parts[i])) != 0)
            buf_printf(&level, " %s", table_text(in, row, parts[i]));
    wide_row(u, in, row, "accuracy", figures, COUNT(figures), "n", whole ? "task" : "subset",
             buf_status(&level, "level", NULL) ? "" : level.data, NULL); // "" is refused when the table is finished
    buf_release(&level);
}

static void accuracy_cost_rows(struct unifier *u, const struct table *in, size_t row)
{
    static const struct figure figures[] = {
        {"s_per_item", "s_per_item", "s", "mean", NULL, NULL, false},
        {"j_per_item", "j_per_item", "J", "mean", NULL, NULL, false},
        {"j_per_correct", "j_per_correct", "J", "mean", NULL, NULL, false},
    };
    wide_row(u, in, row, "accuracy_cost", figures, COUNT(figures), "n", "task", table_text(in, row, "task"), NULL);
}

static void safety_rows(struct unifier *u, const struct table *in, size_t row)
{
    static const struct figure figures[] = {
        {"full_refuse_pct", "full_refuse_pct", "%", "value", "ci_lo", "ci_hi", false},
        {"partial_pct", "partial_pct", "%", "value", NULL, NULL, false},
        {"full_comply_pct", "full_comply_pct", "%", "value", NULL, NULL, false},
        {"empty_pct", "empty_pct", "%", "value", NULL, NULL, false},
        {"truncated_pct", "truncated_pct", "%", "value", NULL, NULL, false},
        {"invalid_pct", "invalid_pct", "%", "value", NULL, NULL, false},
        {"corrected_pct", "corrected_pct", "%", "value", NULL, NULL, false},
        {"unsafe_refusal_pct", "unsafe_refusal_pct", "%", "value", NULL, NULL, false},
        {"safe_over_refusal_pct", "safe_over_refusal_pct", "%", "value", NULL, NULL, false},
        {"balanced_pct", "balanced_pct", "%", "value", NULL, NULL, false},
    };
    // The final channel is what the user reads.
    const bool reasoning = strcmp(table_text(in, row, "channel"), "reasoning") == 0;
    char factor[256];
    char level[256];
    (void)snprintf(factor, sizeof factor, "%s/%s", table_text(in, row, "set"), table_text(in, row, "scorer"));
    (void)snprintf(level, sizeof level, "%s%s", table_text(in, row, "type"), reasoning ? " reasoning" : "");
    wide_row(u, in, row, "safety", figures, COUNT(figures), "n", factor, level, NULL);
}

static void ablation_rows(struct unifier *u, const struct table *in, size_t row)
{
    const struct figure figures[] = {
        {"ratio", table_text(in, row, "metric"), "ratio", "ratio", "ci_lo", "ci_hi", true},
        {"value", table_text(in, row, "metric"), table_text(in, row, "unit"), "p50", NULL, NULL, false},
    };
    wide_row(u, in, row, "ablate", figures, COUNT(figures), "n_blocks", table_text(in, row, "factor"),
             table_text(in, row, "level"), NULL);
}

/* ---- reading, and the two modes ---- */

struct stage {
    const char *schema;
    void (*rows)(struct unifier *, const struct table *, size_t);
};

static const struct stage stages[] = {
    {"latency", latency_rows},   {"throughput", throughput_rows}, {"memory", memory_rows},
    {"energy", energy_rows},     {"ablation", ablation_rows},     {"accuracy_cost", accuracy_cost_rows},
    {"accuracy", accuracy_rows}, {"safety", safety_rows},
};
enum { N_STAGES = sizeof stages / sizeof *stages, N_MEASURED = 5 }; /* the first five know their model */

static void stage_files(const struct args *a, struct cli_texts out[N_STAGES])
{
    out[0] = a->latency;
    out[1] = a->throughput;
    out[2] = a->memory;
    out[3] = a->energy;
    out[4] = a->ablation;
    out[5] = a->accuracy_cost;
    out[6] = a->accuracy;
    out[7] = a->safety;
}

static enum status unify(struct tool *t, const struct args *a, struct err *err)
{
    struct cli_texts files[N_STAGES];
    stage_files(a, files);
    size_t n_files = 0;
    size_t n_measured = 0;
    for (size_t k = 0; k < N_STAGES; k++) {
        n_files += files[k].n;
        n_measured += k < N_MEASURED ? files[k].n : 0;
    }
    if (n_files == 0)
        return err_set(err, ERR_USAGE, "no input: name at least one result file (--latency FILE, ...)");
    void *p = NULL;
    enum status s = mem_alloc(&p, n_files, sizeof(struct table *), "tables", err);
    if (s != OK)
        return s;
    struct table **tables = p;
    struct unifier u = {.facts = tables, .n_facts = n_measured};
    size_t at = 0;
    for (size_t k = 0; k < N_STAGES && s == OK; k++)
        for (size_t i = 0; i < files[k].n && s == OK; i++, at++)
            s = tool_read_table(t, files[k].items[i], stages[k].schema, &tables[at], err);
    if (s == OK)
        s = table_new(&u.out, "unified", err);
    at = 0;
    for (size_t k = 0; k < N_STAGES && s == OK; k++)
        for (size_t i = 0; i < files[k].n; i++, at++)
            for (size_t row = 0; row < table_n_rows(tables[at]); row++)
                stages[k].rows(&u, tables[at], row);
    if (s == OK)
        s = tool_put_table(t, tool_out(t), u.out, err);
    table_free(u.out);
    for (size_t i = 0; i < n_files; i++)
        table_free(tables[i]);
    mem_free(tables);
    return s;
}

/* Read the study's raw files of one kind and stack them. files->n 0: where --study has them. */
static enum status read_study(struct tool *t, const struct args *a, const struct cli_texts *files, size_t kind,
                              struct table **out, struct err *err)
{
    static const char *const schemas[3] = {"study_latency", "study_memory", "study_energy"};
    enum status (*const stack[3])(const struct table *const *, size_t, struct table **, struct err *) = {
        study_unify_latency, study_unify_memory, study_unify_energy};
    struct table *raw[STUDY_MODELS] = {NULL};
    const size_t n = a->study ? STUDY_MODELS : files->n;
    enum status s = OK;
    if (n == 0 || n > STUDY_MODELS)
        return err_set(err, ERR_USAGE, "--compat: expected --study DIR, or 1 to %d files each of --latency, --memory and --energy",
                       STUDY_MODELS);
    for (size_t i = 0; i < n && s == OK; i++) {
        const struct study_files *f = study_files(i);
        struct buf path = BUF_INIT;
        if (a->study)
            buf_printf(&path, "%s/%s", a->study, kind == 0 ? f->latency : kind == 1 ? f->memory : f->energy);
        else
            buf_str(&path, files->items[i]);
        s = buf_status(&path, "path", err);
        if (s == OK)
            s = tool_read_table(t, path.data, schemas[kind], &raw[i], err);
        buf_release(&path);
    }
    if (s == OK)
        s = stack[kind]((const struct table *const *)raw, n, out, err);
    for (size_t i = 0; i < STUDY_MODELS; i++)
        table_free(raw[i]);
    return s;
}

static enum status put(struct tool *t, const char *path, struct table *table, struct err *err)
{
    return path ? tool_put_table(t, path, table, err) : OK;
}

static enum status compat(struct tool *t, const struct args *a, struct err *err)
{
    if (!a->latency_out && !a->memory_out && !a->energy_out && !a->corrected_out && !a->headlines_out)
        return err_set(err, ERR_USAGE, "--compat: name at least one output (--headlines-out FILE, ...)");
    if (tool_out(t))
        return err_set(err, ERR_USAGE, "--compat writes through --latency-out and its kin; --out is for our own unified file");
    struct table *latency = NULL;
    struct table *memory = NULL;
    struct table *energy = NULL;
    struct table *corrected = NULL;
    struct table *headlines = NULL;
    enum status s;
    if ((s = read_study(t, a, &a->latency, 0, &latency, err)) == OK &&
        (s = read_study(t, a, &a->memory, 1, &memory, err)) == OK &&
        (s = read_study(t, a, &a->energy, 2, &energy, err)) == OK &&
        (s = study_corrected(latency, memory, energy, &corrected, err)) == OK &&
        (s = study_headlines(latency, memory, energy, &headlines, err)) == OK &&
        (s = put(t, a->latency_out, latency, err)) == OK && (s = put(t, a->memory_out, memory, err)) == OK &&
        (s = put(t, a->energy_out, energy, err)) == OK && (s = put(t, a->corrected_out, corrected, err)) == OK)
        s = put(t, a->headlines_out, headlines, err);
    table_free(headlines);
    table_free(corrected);
    table_free(energy);
    table_free(memory);
    table_free(latency);
    return s;
}

static enum status run(struct tool *t, const void *args, struct err *err)
{
    const struct args *a = args;
    if (a->compat)
        return compat(t, a, err);
    if (a->study || a->latency_out || a->memory_out || a->energy_out || a->corrected_out || a->headlines_out)
        return err_set(err, ERR_USAGE, "--study and its outputs need --compat");
    return unify(t, a, err);
}

static const struct tool_def unify_tool = {
    .name = "unify",
    .summary = "put the results of every stage and model into one long table",
    .options = options,
    .common = TOOL_OUT | TOOL_FORMAT,
    .args_b = sizeof(struct args),
    .run = run,
};

int main(int argc, char **argv)
{
    return tool_main(&unify_tool, argc, argv);
}
