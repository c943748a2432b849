/* memory - what a model holds at each context length and batch: weights, KV cache, activations, process.
 * KV bytes come from the cache's page allocator, never from the formula; the formula stands beside
 * them (measurement.md 9). */

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "drive/load.h"
#include "drive/procmem.h"
#include "drive/rows.h"
#include "lib/stats.h"
#include "lib/tool.h"

struct args {
    const char *backend, *tile_cache;
    int64_t device_memory;
    const char *model;
    struct cli_ints contexts, batches;
    int64_t prefill_chunk;
    const char *isa;
    bool draft;
};

static const struct cli_option options[] = {
    CLI_TEXT(struct args, model, CLI_INPUT, "model", 'm', "SOURCE", CLI_REQUIRED, "directory, .gguf file, or synthetic:NAME"),
    CLI_INTS(struct args, contexts, CLI_RECIPE, "contexts", 0, "N,...", "512,1024,2048,4096", 1, 1 << 24, "context lengths (tokens); the slope needs 4"),
    CLI_INTS(struct args, batches, CLI_RECIPE, "batches", 'b', "N,...", "1", 1, 4096, "sequences held at once"),
    CLI_INT(struct args, prefill_chunk, CLI_RECIPE, "prefill-chunk", 0, "N", "0", 0, 1 << 20, "most prompt tokens of one sequence in a step (0 = what a step takes)"),
    CLI_TEXT(struct args, isa, CLI_RECIPE, "isa", 0, "NAME", "auto", "instruction set: auto, scalar, avx2, avx512, avx512bf16"),
    DRIVE_BACKEND_OPTIONS(struct args, CLI_RECIPE),
    CLI_FLAG(struct args, draft, CLI_RECIPE, "draft", 0, "mark the rows draft=1"),
    CLI_END,
};

static const char proc_self[] = "/proc/self";

/* One measured point. */
struct point {
    size_t context_tok, batch;
    enum status status;
    char reason[160];
    struct memory_bytes mem;
    struct procmem proc;
    bool peak_is_own; /* the kernel let us reset the peak before this point */
};

struct job {
    struct tool *tool;
    const struct args *args;
    struct model *model;
    struct point *points;
    size_t n_points;
};

static double mib(uint64_t bytes)
{
    return (double)bytes / 1048576.0;
}

/* Prefill every sequence to context_tok and read the allocators at the step that brings the last
 * sequence's first token: then exactly context_tok positions of each are in the cache. */
static enum status fill_and_read(struct job *j, struct point *p, int32_t *prompt, struct session *s, struct err *err)
{
    size_t n_first = 0;
    enum status st = OK;
    for (size_t i = 0; i < p->batch && !st; i++) {
        st = load_prompt(j->model, tool_seed(j->tool), "memory", p->context_tok, i, prompt + i * p->context_tok,
                         p->context_tok, err);
        const struct request r = {
            .id = "memory",
            .prompt = prompt + i * p->context_tok,
            .n_prompt = p->context_tok,
            .max_tokens = 2, // the second token keeps the sequence alive while we read
            .sampling = {.temperature = 0, .top_p = 1},
            .ignore_stop_ids = true,
        };
        uint64_t handle;
        if (!st)
            st = session_submit(s, &r, &handle, err);
    }
    while (!st && n_first < p->batch && !session_idle(s)) {
        const struct event *e;
        size_t n;
        st = session_step(s, &e, &n, err);
        for (size_t i = 0; i < n && !st; i++) {
            if (e[i].kind == EVENT_TOKEN && e[i].position == p->context_tok - 1)
                n_first++;
            if (e[i].kind == EVENT_DONE && e[i].finish == FINISH_ERROR)
                st = err_set(err, e[i].status, "%s", e[i].message);
        }
    }
    if (!st && n_first < p->batch)
        st = err_set(err, ERR_NUMERIC, "the sequences ended before their first token");
    if (!st) {
        session_memory(s, &p->mem);
        procmem_read(proc_self, &p->proc);
    }
    return st;
}

static enum status measure(struct job *j, struct point *p, struct err *err)
{
    if (p->context_tok + 2 > model_info(j->model)->max_context_tok) {
        p->status = ERR_UNSUPPORTED;
        (void)snprintf(p->reason, sizeof p->reason, "beyond the model's context of %zu tokens",
                       model_info(j->model)->max_context_tok);
        return OK;
    }
    size_t n;
    void *prompt = NULL;
    struct session *s = NULL;
    struct err own = ERR_INIT;
    p->peak_is_own = procmem_reset_peak(proc_self);
    if (!size_mul(p->context_tok, p->batch, &n))
        return err_set(err, ERR_MEMORY, "cannot hold %zu x %zu prompt tokens", p->context_tok, p->batch);
    enum status st = mem_alloc(&prompt, n, sizeof(int32_t), "prompts", &own);
    const struct session_options opt = {
        .n_parallel = p->batch,
        .context_tok = p->context_tok + 2,
        .prefill_chunk = (size_t)j->args->prefill_chunk,
    };
    if (!st)
        st = session_new(&s, j->model, &opt, &own);
    if (!st)
        st = fill_and_read(j, p, prompt, s, &own);
    session_free(s);
    mem_free(prompt);
    // Out of memory is a finding of this tool, a row like any other; a request that failed is a row too,
    // and the answer is no.
    p->status = st;
    if (st && st != ERR_MEMORY)
        tool_answer_no(j->tool);
    if (st)
        (void)snprintf(p->reason, sizeof p->reason, "%.150s", own.text);
    return OK;
}

/* Least squares of live KV bytes over context at batch 1. */
static bool kv_slope(const struct job *j, struct stats_line *out)
{
    double x[64];
    double y[64];
    size_t n = 0;
    for (size_t i = 0; i < j->n_points && n < 64; i++)
        if (j->points[i].batch == 1 && j->points[i].status == OK) {
            x[n] = (double)j->points[i].context_tok;
            y[n++] = (double)j->points[i].mem.kv_live;
        }
    return n >= 4 && stats_fit_line(x, y, n, out, NULL) == OK;
}

static void set_mib(struct table *t, const char *column, int64_t bytes)
{
    if (bytes >= 0)
        table_set_f64(t, column, mib((uint64_t)bytes));
}

static void point_row(const struct job *j, const struct point *p, struct table *t, const struct stats_line *line)
{
    const struct model_info *i = model_info(j->model);
    drive_row(t, j->model, j->args->draft);
    table_set_i64(t, "context_tok", (int64_t)p->context_tok);
    table_set_i64(t, "batch", (int64_t)p->batch);
    table_set_text(t, "status", status_name(p->status));
    table_set_text(t, "reason", p->reason);
    table_set_text(t, "mem_src", "engine allocator; /proc/self");
    table_set_i64(t, "kv_b_per_tok_full", (int64_t)i->kv_b_per_tok_full);
    table_set_i64(t, "kv_b_per_tok_window", (int64_t)i->kv_b_per_tok_window);
    set_mib(t, "weights_file_mib", (int64_t)i->weights_file_b);
    if (p->status)
        return;
    set_mib(t, "weights_dev_mib", (int64_t)p->mem.weights);
    set_mib(t, "kv_reserved_mib", (int64_t)p->mem.kv_reserved);
    set_mib(t, "kv_live_mib", (int64_t)p->mem.kv_live);
    set_mib(t, "kv_waste_mib", (int64_t)(p->mem.kv_live - p->mem.kv_used));
    set_mib(t, "act_peak_mib", (int64_t)p->mem.act_peak);
    set_mib(t, "peak_dev_mib", (int64_t)p->mem.peak);
    if (p->peak_is_own)
        set_mib(t, "peak_rss_mib", p->proc.peak_rss_b);
    set_mib(t, "pss_mib", p->proc.pss_b);
    set_mib(t, "swap_mib", p->proc.swap_b);
    set_mib(t, "runtime_mib", p->proc.rss_b - (int64_t)p->mem.total); // negative (pages not yet touched) stays empty
    if (p->batch == 1 && line) {
        table_set_f64(t, "kv_b_per_tok_meas", line->slope);
        table_set_f64(t, "kv_fit_intercept_b", line->intercept);
        table_set_f64(t, "kv_fit_r2", line->r2);
        drive_interval(t, &line->slope_ci, "ols_t");
    }
}

static enum status run(struct tool *tool, const void *args, struct err *err)
{
    struct job j = {.tool = tool, .args = args};
    struct table *t = NULL;
    const struct model_options mo = {.isa = j.args->isa, DRIVE_BACKEND(j.args), .n_threads = tool_threads(tool)};
    void *p;
    j.n_points = j.args->contexts.n * j.args->batches.n;
    enum status s = table_new(&t, "memory", err);
    if (!s)
        s = drive_open_model(tool, j.args->model, &mo, &j.model, err);
    if (!s)
        s = mem_alloc(&p, j.n_points, sizeof *j.points, "points", err);
    if (!s) {
        j.points = p;
        progress_stage(tool_progress(tool), "measure", j.n_points);
    }
    for (size_t i = 0; i < j.n_points && !s; i++) {
        j.points[i].batch = (size_t)j.args->batches.items[i / j.args->contexts.n];
        j.points[i].context_tok = (size_t)j.args->contexts.items[i % j.args->contexts.n];
        s = measure(&j, &j.points[i], err);
        progress_step(tool_progress(tool), i + 1, NULL);
    }
    if (!s) {
        struct stats_line line;
        progress_end(tool_progress(tool), NULL);
        bool fitted = kv_slope(&j, &line);
        for (size_t i = 0; i < j.n_points; i++)
            point_row(&j, &j.points[i], t, fitted ? &line : NULL);
        s = tool_put_table(tool, tool_out(tool), t, err);
    }
    mem_free(j.points);
    model_free(j.model);
    table_free(t);
    return s;
}

static const struct tool_def memory = {
    .name = "memory",
    .summary = "measure weights, KV cache, activations and process memory over context and batch",
    .options = options,
    .common = TOOL_OUT | TOOL_FORMAT | TOOL_SEED | TOOL_THREADS,
    .args_b = sizeof(struct args),
    .run = run,
};

int main(int argc, char **argv)
{
    return tool_main(&memory, argc, argv);
}
