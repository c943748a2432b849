/* energy - joules of prefill, of decode and of whole requests, with the idle power before and after
 * (measurement.md 10). Where there is no meter the rows are written with empty joules and the reason:
 * nothing is estimated. */

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "drive/blocks.h"
#include "drive/energy_phase.h"
#include "drive/energy_window.h"
#include "drive/rows.h"
#include "meter/meter.h"
#include "lib/stats.h"
#include "lib/tool.h"

struct args {
    const char *backend, *tile_cache;
    int64_t device_memory;
    const char *model;
    struct cli_ints contexts, batches;
    int64_t out_tok, windows, prefill_chunk, decode_max_tok, poll_ms, gpu_index;
    double window_s, idle_s;
    const char *isa, *meter, *nvml_lib, *rapl_root;
    const char *trace_out, *windows_out;
    bool draft;
};

static const struct cli_option options[] = {
    CLI_TEXT(struct args, model, CLI_INPUT, "model", 'm', "SOURCE", CLI_REQUIRED, "directory, .gguf file, or synthetic:NAME"),
    CLI_INTS(struct args, contexts, CLI_RECIPE, "contexts", 0, "N,...", "512", 1, 1 << 24, "prompt lengths (tokens)"),
    CLI_INT(struct args, out_tok, CLI_RECIPE, "out-tok", 0, "N", "64", 1, 1 << 20, "generated length of a whole request (tokens)"),
    CLI_INTS(struct args, batches, CLI_RECIPE, "batches", 'b', "N,...", "1", 1, 4096, "requests at once"),
    CLI_INT(struct args, windows, CLI_RECIPE, "windows", 0, "N", "6", 1, 10000, "windows of each kind and cell"),
    CLI_REAL(struct args, window_s, CLI_RECIPE, "window-s", 0, "S", "10", 0.01, 86400, "least length of a window (s); under 10 only with --draft"),
    CLI_REAL(struct args, idle_s, CLI_RECIPE, "idle-s", 0, "S", "60", 0.01, 86400, "length of each idle window (s); under 60 only with --draft"),
    CLI_INT(struct args, decode_max_tok, CLI_RECIPE, "decode-max-tok", 0, "N", "1024", 2, 1 << 20, "most tokens a sequence decodes before it starts again (tokens)"),
    CLI_INT(struct args, prefill_chunk, CLI_RECIPE, "prefill-chunk", 0, "N", "0", 0, 1 << 20, "most prompt tokens of one sequence in a step (0 = what a step takes)"),
    CLI_TEXT(struct args, isa, CLI_RECIPE, "isa", 0, "NAME", "auto", "instruction set: auto, scalar, avx2, avx512, avx512bf16"),
    DRIVE_BACKEND_OPTIONS(struct args, CLI_RECIPE),
    CLI_TEXT(struct args, meter, CLI_RUN, "meter", 0, "SOURCE", "auto", "auto, nvml, rapl, none, or trace:FILE (CSV of t_ns and energy_uj or power_uw)"),
    CLI_TEXT(struct args, nvml_lib, CLI_RUN, "nvml-lib", 0, "FILE", NULL, "NVML library (default: libnvidia-ml.so.1)"),
    CLI_TEXT(struct args, rapl_root, CLI_RUN, "rapl-root", 0, "DIR", NULL, "powercap tree (default: /sys/class/powercap)"),
    CLI_INT(struct args, gpu_index, CLI_RUN, "gpu-index", 0, "N", "0", 0, 255, "device of NVML"),
    CLI_INT(struct args, poll_ms, CLI_RUN, "poll-ms", 0, "MS", "50", 1, 1000, "time between readings (ms)"),
    CLI_TEXT(struct args, trace_out, CLI_OUTPUT, "trace-out", 0, "FILE", NULL, "every reading of every register (integers)"),
    CLI_TEXT(struct args, windows_out, CLI_OUTPUT, "windows-out", 0, "FILE", NULL, "every window: edges, joules, tokens (integers)"),
    CLI_FLAG(struct args, draft, CLI_RECIPE, "draft", 0, "mark the rows draft=1: short windows, for testing a pipeline"),
    CLI_END,
};

enum { DRAFT_MIN_UPDATES = 5 };

struct cell {
    struct phase_cell work;
    enum status status; /* of the first failure */
    char reason[160];
    uint8_t tokens_sha256[DIGEST_B];
    bool has_sha256;
    struct energy_window *windows; /* (N_PHASES, n_windows) */
};

struct idle {
    const char *kind;
    struct meter_window m;
    uint64_t t0_ns, t1_ns;
};

struct job {
    struct tool *tool;
    const struct args *args;
    struct meter *meter;
    struct model *model;
    struct cell *cells;
    size_t n_cells, n_windows, min_updates;
    struct idle idle[3]; /* empty, before, after */
};

static bool has_meter(const struct job *j)
{
    return strcmp(meter_source(j->meter), "none") != 0;
}

static void sleep_ns(uint64_t ns)
{
    const struct timespec t = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    (void)nanosleep(&t, NULL); // cut short by a signal: the loop around it asks the clock
}

static enum status interrupted(struct job *j, struct err *err)
{
    return tool_interrupted(j->tool) ? err_set(err, ERR_CANCELLED, "interrupted: nothing is written") : OK;
}

/* ---- measuring ---- */

static enum status measure_idle(struct job *j, size_t which, const char *kind, struct err *err)
{
    struct idle *d = &j->idle[which];
    const uint64_t wanted = (uint64_t)(j->args->idle_s * 1e9);
    enum status s = OK;
    d->kind = kind;
    progress_stage(tool_progress(j->tool), kind, 0);
    d->t0_ns = meter_mark(j->meter);
    for (uint64_t now = clock_ns(); now - d->t0_ns < wanted && s == OK; now = clock_ns()) {
        const uint64_t left = wanted - (now - d->t0_ns);
        sleep_ns(left < 200000000 ? left : 200000000);
        s = interrupted(j, err);
    }
    d->t1_ns = meter_mark(j->meter);
    meter_window(j->meter, d->t0_ns, d->t1_ns, j->min_updates, &d->m);
    return s;
}

static enum status measure_window(struct job *j, struct cell *c, struct phase *p, enum phase_kind kind, size_t index,
                                  struct err *err)
{
    // A random phase to the meter's own updates (measurement.md 10), at most 100 ms.
    char key[96];
    (void)snprintf(key, sizeof key, "phase/%zu/%zu/%s", c->work.in_tok, c->work.batch, phase_name(kind));
    const struct rng_key k = rng_key(tool_seed(j->tool), key);
    sleep_ns(rng_below(&k, index, 100000000));
    struct phase_result r;
    struct energy_window *w = &c->windows[(size_t)kind * j->n_windows + index];
    enum status s = phase_run(p, kind, (uint64_t)(j->args->window_s * 1e9), j->meter, &r, err);
    if (s != OK)
        return s;
    energy_window_measure(w, j->meter, &r, j->min_updates);
    if (kind == PHASE_MIXED && !c->has_sha256) {
        memcpy(c->tokens_sha256, r.tokens_sha256, sizeof r.tokens_sha256);
        c->has_sha256 = true;
    }
    return OK;
}

/* One visit of a cell in a block: a session of its own, one warm-up round, the three windows. A request
 * that fails is a row with its status, not the end. */
static enum status visit(struct job *j, struct cell *c, size_t index, struct err *err)
{
    struct phase *p = NULL;
    struct phase_result warm;
    struct err own = ERR_INIT;
    enum status s = phase_open(&p, j->model, &c->work, &own);
    if (s == OK && index == 0)
        s = phase_run(p, PHASE_MIXED, 1, j->meter, &warm, &own);
    for (size_t k = 0; k < N_PHASES && s == OK; k++) {
        s = measure_window(j, c, p, (enum phase_kind)k, index, &own);
        const enum status stop = interrupted(j, err);
        if (stop != OK) {
            phase_close(p);
            return stop;
        }
    }
    phase_close(p);
    if (s != OK && c->status == OK) {
        c->status = s == ERR_CONTEXT ? ERR_UNSUPPORTED : s;
        (void)snprintf(c->reason, sizeof c->reason, "%.150s", own.text);
    }
    return OK;
}

static enum status measure_cells(struct job *j, struct err *err)
{
    void *q = NULL;
    enum status s = mem_alloc(&q, j->n_cells, sizeof(size_t), "block order", err);
    if (s != OK)
        return s;
    size_t *order = q;
    struct progress *pr = tool_progress(j->tool);
    progress_stage(pr, "measure", j->n_windows * j->n_cells);
    for (size_t b = 0; b < j->n_windows && s == OK; b++) {
        block_order(tool_seed(j->tool), b, j->n_cells, order);
        for (size_t i = 0; i < j->n_cells && s == OK; i++) {
            if (j->cells[order[i]].status == OK)
                s = visit(j, &j->cells[order[i]], b, err);
            progress_step(pr, b * j->n_cells + i + 1, NULL);
        }
    }
    mem_free(order);
    return s;
}

/* ---- rows ---- */

static double idle_w(const struct idle *d)
{
    return d->m.valid ? (double)d->m.energy_uj * 1e-6 / ((double)d->m.window_ns * 1e-9) : (double)NAN;
}

static const struct energy_window *windows_of(const struct job *j, const struct cell *c, enum phase_kind kind)
{
    return c->windows + (size_t)kind * j->n_windows;
}

/* Joules per token over the windows, with its interval. */
static enum status per_token(const struct job *j, struct table *t, const struct energy_sums *u, const double *joules,
                             const char *column, const char *lo, const char *hi, struct err *err)
{
    double value;
    struct stats_interval ci;
    const enum status s = energy_sums_per_token(u, joules, tool_seed(j->tool), column, &value, &ci, err);
    drive_real(t, column, value);
    if (!ci.lo_open)
        drive_real(t, lo, ci.lo);
    if (!ci.hi_open)
        drive_real(t, hi, ci.hi);
    return s;
}

static enum status measured_columns(const struct job *j, const struct cell *c, struct table *t, struct energy_sums *u,
                                    struct err *err)
{
    const double idle_loaded = (idle_w(&j->idle[1]) + idle_w(&j->idle[2])) / 2.0;
    drive_real(t, "idle_empty_w", idle_w(&j->idle[0]));
    drive_real(t, "idle_loaded_w", idle_loaded);
    enum status s;
    energy_sums_add_up(u, windows_of(j, c, PHASE_PREFILL), j->n_windows, idle_loaded, true);
    if ((s = per_token(j, t, u, u->joules, "j_per_in_tok", "in_ci_lo", "in_ci_hi", err)) != OK)
        return s;
    energy_sums_add_up(u, windows_of(j, c, PHASE_DECODE), j->n_windows, idle_loaded, false);
    if ((s = per_token(j, t, u, u->joules, "j_per_decode_tok", "decode_ci_lo", "decode_ci_hi", err)) != OK)
        return s;
    energy_sums_add_up(u, windows_of(j, c, PHASE_MIXED), j->n_windows, idle_loaded, false);
    table_set_i64(t, "windows_n", (int64_t)u->n);
    if (u->n == 0) {
        table_set_text(t, "status", "invalid");
        table_set_text(t, "reason", u->reason ? u->reason : "no window was measured");
        return OK;
    }
    table_set_text(t, "status", "ok");
    table_set_text(t, "reason", u->reason); // some windows were left out: why
    table_set_f64(t, "window_s", u->s);
    table_set_i64(t, "updates_n", (int64_t)u->n_updates);
    table_set_f64(t, "update_ms", (double)u->update_ns * 1e-6);
    table_set_f64(t, "edge_err_pct", 100.0 * u->edge_s / u->s);
    table_set_bool(t, "suspect", u->suspect);
    table_set_f64(t, "mean_w", u->j / u->s);
    if (u->peak_uw > 0)
        table_set_f64(t, "peak_w", (double)u->peak_uw * 1e-6);
    table_set_f64(t, "j_gross", u->j);
    drive_real(t, "j_net", u->j - idle_loaded * u->s);
    table_set_i64(t, "win_in_tok", (int64_t)u->in_tok);
    table_set_i64(t, "win_out_tok", (int64_t)u->out_tok);
    table_set_i64(t, "req_n", (int64_t)u->n_req);
    table_set_f64(t, "j_per_tok", u->j / (u->in_tok + u->out_tok));
    table_set_f64(t, "wh_per_1k_out_tok", u->j / u->out_tok / 3.6);
    table_set_f64(t, "j_per_req", u->j / u->n_req);
    if (u->j > 0)
        table_set_f64(t, "tok_per_j", u->out_tok / u->j);
    if (u->n > 1)
        table_set_text(t, "ci_method", stats_boot_method(u->n));
    if ((s = per_token(j, t, u, u->joules, "j_per_out_tok", "ci_lo", "ci_hi", err)) != OK)
        return s;
    return per_token(j, t, u, u->net, "j_net_per_out_tok", "net_ci_lo", "net_ci_hi", err);
}

static enum status cell_row(const struct job *j, const struct cell *c, struct table *t, struct energy_sums *u, struct err *err)
{
    drive_row(t, j->model, j->args->draft);
    table_set_i64(t, "in_tok", (int64_t)c->work.in_tok);
    table_set_i64(t, "out_tok", (int64_t)c->work.out_tok);
    table_set_i64(t, "context_tok", (int64_t)(c->work.in_tok + c->work.out_tok));
    table_set_i64(t, "batch", (int64_t)c->work.batch);
    table_set_text(t, "energy_src", meter_source(j->meter));
    table_set_text(t, "scope", has_meter(j) ? meter_scope(j->meter) : "none");
    if (!has_meter(j)) {
        table_set_i64(t, "windows_n", 0);
        table_set_text(t, "status", "no_meter");
        table_set_text(t, "reason", "no energy meter on this machine");
        return OK;
    }
    table_set_text(t, "phase_method", "separate windows, marks between engine steps");
    if (c->has_sha256)
        drive_digest(t, "tokens_sha256", c->tokens_sha256);
    if (c->status != OK) {
        table_set_i64(t, "windows_n", 0);
        table_set_text(t, "status", status_name(c->status));
        table_set_text(t, "reason", c->reason);
        return OK;
    }
    return measured_columns(j, c, t, u, err);
}

static enum status put_rows(struct job *j, struct err *err)
{
    struct table *t = NULL;
    struct energy_sums u;
    enum status s = energy_sums_init(&u, j->n_windows, err);
    if (s == OK)
        s = table_new(&t, "energy", err);
    for (size_t c = 0; c < j->n_cells && s == OK; c++)
        s = cell_row(j, &j->cells[c], t, &u, err);
    if (s == OK)
        s = tool_put_table(j->tool, tool_out(j->tool), t, err);
    table_free(t);
    energy_sums_release(&u);
    return s;
}

static void window_row(const struct job *j, struct table *t, const char *kind, const struct cell *c, size_t index)
{
    table_row(t);
    table_set_text(t, "model", model_info(j->model)->name);
    table_set_text(t, "kind", kind);
    table_set_i64(t, "in_tok", c ? (int64_t)c->work.in_tok : 0);
    table_set_i64(t, "out_tok", c ? (int64_t)c->work.out_tok : 0);
    table_set_i64(t, "batch", c ? (int64_t)c->work.batch : 0);
    table_set_i64(t, "window_idx", (int64_t)index);
}

static void window_values(const struct job *j, struct table *t, const struct energy_window *w)
{
    table_set_i64(t, "t0_ns", (int64_t)(w->t0_ns - meter_opened_ns(j->meter)));
    table_set_i64(t, "t1_ns", (int64_t)(w->t1_ns - meter_opened_ns(j->meter)));
    if (w->valid)
        table_set_i64(t, "energy_uj", (int64_t)w->energy_uj);
    table_set_i64(t, "metered_ns", (int64_t)w->ns);
    table_set_i64(t, "updates_n", (int64_t)w->n_updates);
    table_set_i64(t, "missing_n", (int64_t)w->n_missing);
    table_set_i64(t, "win_in_tok", (int64_t)w->in_tok);
    table_set_i64(t, "win_out_tok", (int64_t)w->out_tok);
    table_set_i64(t, "req_n", (int64_t)w->n_req);
    table_set_text(t, "status", w->valid ? "ok" : "invalid");
    table_set_text(t, "reason", w->reason);
}

static enum status put_windows(struct job *j, struct err *err)
{
    struct table *t = NULL;
    enum status s = table_new(&t, "energy_windows", err);
    if (s != OK)
        return s;
    for (size_t i = 0; i < 3 && has_meter(j); i++) {
        const struct idle *d = &j->idle[i];
        const struct energy_window w = {.valid = d->m.valid, .reason = d->m.reason, .energy_uj = d->m.energy_uj,
                                 .ns = d->m.window_ns, .n_updates = d->m.n_updates, .n_missing = d->m.n_missing,
                                 .t0_ns = d->t0_ns, .t1_ns = d->t1_ns};
        window_row(j, t, d->kind, NULL, 0);
        window_values(j, t, &w);
    }
    for (size_t c = 0; c < j->n_cells; c++)
        for (size_t k = 0; k < N_PHASES; k++)
            for (size_t i = 0; i < j->n_windows; i++)
                if (j->cells[c].windows[k * j->n_windows + i].done) {
                    window_row(j, t, phase_name((enum phase_kind)k), &j->cells[c], i);
                    window_values(j, t, &j->cells[c].windows[k * j->n_windows + i]);
                }
    s = tool_put_table(j->tool, j->args->windows_out, t, err);
    table_free(t);
    return s;
}

static enum status put_trace(struct job *j, struct err *err)
{
    struct table *t = NULL;
    enum status s = table_new(&t, "power_trace", err);
    for (size_t c = 0; c < meter_n_channels(j->meter) && s == OK; c++) {
        const struct meter_channel *channel = meter_channel_at(j->meter, c);
        size_t n;
        const struct meter_reading *r = meter_readings(j->meter, c, &n);
        for (size_t i = 0; i < n; i++) {
            table_row(t);
            table_set_i64(t, "t_ns", (int64_t)(r[i].t_ns - meter_opened_ns(j->meter)));
            table_set_text(t, "dev", channel->name);
            if (r[i].ok)
                table_set_i64(t, channel->kind == METER_COUNTER ? "energy_uj" : "power_uw", (int64_t)r[i].value);
            table_set_i64(t, "ok", r[i].ok);
        }
    }
    if (s == OK)
        s = tool_put_table(j->tool, j->args->trace_out, t, err);
    table_free(t);
    return s;
}

/* ---- */

static enum status check(const struct args *a, struct err *err)
{
    if (!a->draft && a->window_s < 10)
        return err_set(err, ERR_USAGE, "--window-s: expected 10 or more without --draft, found %g", a->window_s);
    if (!a->draft && a->idle_s < 60)
        return err_set(err, ERR_USAGE, "--idle-s: expected 60 or more without --draft, found %g", a->idle_s);
    return OK;
}

static enum status make_cells(struct job *j, struct err *err)
{
    const struct args *a = j->args;
    void *p = NULL;
    enum status s = mem_alloc(&p, a->contexts.n * a->batches.n, sizeof(struct cell), "cells", err);
    if (s != OK)
        return s;
    j->cells = p;
    for (size_t i = 0; i < a->contexts.n; i++)
        for (size_t b = 0; b < a->batches.n; b++) {
            struct cell *c = &j->cells[j->n_cells];
            if ((s = mem_alloc(&p, N_PHASES * j->n_windows, sizeof(struct energy_window), "windows", err)) != OK)
                return s;
            j->n_cells++;
            c->windows = p;
            c->work = (struct phase_cell){
                .in_tok = (size_t)a->contexts.items[i],
                .out_tok = (size_t)a->out_tok,
                .batch = (size_t)a->batches.items[b],
                .prefill_chunk = (size_t)a->prefill_chunk,
                .decode_max_tok = (size_t)a->decode_max_tok,
                .seed = tool_seed(j->tool),
            };
        }
    return OK;
}

static enum status open_meter(struct job *j, struct err *err)
{
    const struct args *a = j->args;
    const struct meter_spec spec = {
        .source = a->meter,
        .nvml_lib = a->nvml_lib,
        .rapl_root = a->rapl_root,
        .gpu_index = (unsigned)a->gpu_index,
        .gpu = false, // this build computes on the CPU: a GPU's counter would measure something else
        .poll_ns = (uint64_t)a->poll_ms * 1000000,
    };
    enum status s = meter_open(&j->meter, &spec, err);
    if (s == OK && strncmp(a->meter, "trace:", 6) == 0)
        s = prov_input_file(tool_prov(j->tool), a->meter + 6, err);
    return s;
}

/* Without a meter the rows say so, and so does this line, once the input is known to be good. */
static enum status measure(struct job *j, struct err *err)
{
    if (!has_meter(j)) {
        tool_warn(j->tool, "not measured: %s", meter_reason(j->meter));
        return OK;
    }
    enum status s = measure_idle(j, 1, "idle_before", err);
    if (s == OK)
        s = measure_cells(j, err);
    if (s == OK)
        s = measure_idle(j, 2, "idle_after", err);
    if (s == OK)
        progress_end(tool_progress(j->tool), NULL);
    return s;
}

static enum status run(struct tool *tool, const void *args, struct err *err)
{
    struct job j = {.tool = tool, .args = args};
    const struct model_options mo = {.isa = j.args->isa, DRIVE_BACKEND(j.args), .n_threads = tool_threads(tool)};
    j.n_windows = (size_t)j.args->windows;
    j.min_updates = j.args->draft ? DRAFT_MIN_UPDATES : METER_MIN_UPDATES;
    tool_catch_interrupt(tool);
    enum status s;
    if ((s = check(j.args, err)) == OK && (s = make_cells(&j, err)) == OK && (s = open_meter(&j, err)) == OK &&
        (!has_meter(&j) || (s = measure_idle(&j, 0, "idle_empty", err)) == OK) &&
        (s = drive_open_model(tool, j.args->model, &mo, &j.model, err)) == OK &&
        (s = measure(&j, err)) == OK && (s = meter_stop(j.meter, err)) == OK &&
        (!j.args->trace_out || (s = put_trace(&j, err)) == OK) &&
        (!j.args->windows_out || (s = put_windows(&j, err)) == OK))
        s = put_rows(&j, err);
    meter_close(j.meter);
    model_free(j.model);
    for (size_t c = 0; c < j.n_cells; c++) {
        if (s == OK && j.cells[c].status != OK && j.cells[c].status != ERR_UNSUPPORTED)
            tool_answer_no(tool); // a fault while running: a row with its status, exit 1
        mem_free(j.cells[c].windows);
    }
    mem_free(j.cells);
    return s;
}

static const struct tool_def energy_tool = {
    .name = "energy",
    .summary = "measure the joules of prefill, decode and whole requests",
    .options = options,
    .common = TOOL_OUT | TOOL_FORMAT | TOOL_SEED | TOOL_THREADS,
    .args_b = sizeof(struct args),
    .run = run,
};

int main(int argc, char **argv)
{
    return tool_main(&energy_tool, argc, argv);
}
