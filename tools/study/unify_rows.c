#include "study/unify_rows.h"

#include <stdio.h>
#include <string.h>

#include "lib/stats.h"

/* One figure of a wide row. */
struct figure {
    const char *column, *metric, *unit, *stat;
    const char *lo, *hi; /* columns of its interval, or NULL */
    bool headline;       /* appears as an empty row when the cell failed */
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

/* Append to a text of n bytes in cap; what does not fit is cut. */
static void append(char *out, size_t cap, size_t *n, const char *before, const char *text)
{
    const int more = snprintf(out + *n, cap - *n, "%s%s", before, text);
    *n = more < 0 || *n + (size_t)more >= cap ? cap - 1 : *n + (size_t)more;
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
    char level[512];
    size_t n = 0;
    append(level, sizeof level, &n, "", table_text(in, row, "task"));
    if (!whole)
        append(level, sizeof level, &n, "/", table_text(in, row, "subset"));
    for (size_t i = 0; i < COUNT(parts); i++)
        if (strcmp(table_text(in, row, parts[i]), table_text(in, head, parts[i])) != 0)
            append(level, sizeof level, &n, " ", table_text(in, row, parts[i]));
    wide_row(u, in, row, "accuracy", figures, COUNT(figures), "n", whole ? "task" : "subset", level, NULL);
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

/* factor = set/scorer, level = kind of request ("all": the whole set). The final answer is what a user
 * reads; the reasoning is scored apart and says so. A second suite in one file carries its name. */
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
    const bool reasoning = strcmp(table_text(in, row, "channel"), "reasoning") == 0;
    const bool first_suite = strcmp(table_text(in, row, "suite"), table_text(in, 0, "suite")) == 0;
    char factor[256];
    char level[256];
    (void)snprintf(factor, sizeof factor, "%s%s%s/%s", first_suite ? "" : table_text(in, row, "suite"),
                   first_suite ? "" : "/", table_text(in, row, "set"), table_text(in, row, "scorer"));
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

const struct unify_stage *unify_stage(size_t i)
{
    static const struct unify_stage stages[UNIFY_N_STAGES] = {
        {"latency", latency_rows},   {"throughput", throughput_rows}, {"memory", memory_rows},
        {"energy", energy_rows},     {"ablation", ablation_rows},     {"accuracy_cost", accuracy_cost_rows},
        {"accuracy", accuracy_rows}, {"safety", safety_rows},
    };
    return &stages[i];
}
