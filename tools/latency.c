/* latency - TTFT, TPOT, end-to-end time and throughput of models on the in-process engine, from one
 * stream of time stamps, in randomised complete blocks (measurement.md 2, 3, 6-8). */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "drive/blocks.h"
#include "drive/load.h"
#include "drive/metrics.h"
#include "drive/rows.h"
#include "lib/stats.h"
#include "lib/tool.h"

struct args {
    struct cli_texts models;
    struct cli_ints in_tok, out_tok, concurrency;
    int64_t blocks, requests, warmup, prefill_chunk;
    const char *isa;
    const char *requests_out, *events_out, *throughput_out;
    bool draft;
};

static const struct cli_option options[] = {
    CLI_TEXTS(struct args, models, CLI_INPUT, "model", 'm', "SOURCE", "model directory; several share every block"),
    CLI_INTS(struct args, in_tok, CLI_RECIPE, "in-tok", 0, "N,...", "128", 1, 1 << 20, "prompt lengths (tokens)"),
    CLI_INTS(struct args, out_tok, CLI_RECIPE, "out-tok", 0, "N,...", "64", 2, 1 << 20, "generated lengths (tokens)"),
    CLI_INTS(struct args, concurrency, CLI_RECIPE, "concurrency", 'c', "N,...", "1", 1, 4096, "requests in flight"),
    CLI_INT(struct args, blocks, CLI_RECIPE, "blocks", 0, "N", "5", 1, 10000, "randomised complete blocks"),
    CLI_INT(struct args, requests, CLI_RECIPE, "requests", 'n', "N", "20", 1, 1000000, "requests of each cell in a block"),
    CLI_INT(struct args, warmup, CLI_RECIPE, "warmup", 0, "N", "3", 0, 100000, "unmeasured requests of each cell before the first block (at least the concurrency, unless 0)"),
    CLI_INT(struct args, prefill_chunk, CLI_RECIPE, "prefill-chunk", 0, "N", "0", 0, 1 << 20, "most prompt tokens of one sequence in a step (0 = all)"),
    CLI_TEXT(struct args, isa, CLI_RECIPE, "isa", 0, "NAME", "auto", "instruction set: auto, scalar, avx2, avx512"),
    CLI_TEXT(struct args, requests_out, CLI_OUTPUT, "requests-out", 0, "FILE", NULL, "one row a request (integers, ns)"),
    CLI_TEXT(struct args, events_out, CLI_OUTPUT, "events-out", 0, "FILE", NULL, "one row a token (integers, ns)"),
    CLI_TEXT(struct args, throughput_out, CLI_OUTPUT, "throughput-out", 0, "FILE", NULL, "one row a cell and window"),
    CLI_FLAG(struct args, draft, CLI_RECIPE, "draft", 0, "mark the rows draft=1: short windows, for testing a pipeline"),
    CLI_END,
};

struct bench {
    struct tool *tool;
    const struct args *args;
    struct model **models;
    struct load_cell *cells; /* (n_models * grid) */
    size_t *cell_model;      /* index of a cell's model */
    char (*names)[64];
    size_t n_cells;
    struct load_result *results; /* (blocks, n_cells) */
    size_t *order_idx;           /* (blocks, n_cells) position of the cell in its block */
    struct table *latency, *throughput, *requests, *events;
};

static size_t n_blocks(const struct bench *b)
{
    return (size_t)b->args->blocks;
}

static bool cell_fits(const struct bench *b, size_t c)
{
    return b->cells[c].in_tok + b->cells[c].out_tok <= model_info(b->models[b->cell_model[c]])->max_context_tok;
}

static enum status open_models(struct bench *b, struct err *err)
{
    const struct args *a = b->args;
    void *p;
    enum status s = mem_alloc(&p, a->models.n, sizeof(struct model *), "models", err);
    if (s)
        return s;
    b->models = p;
    struct progress *pr = tool_progress(b->tool);
    progress_stage(pr, "load", a->models.n);
    for (size_t i = 0; i < a->models.n && !s; i++) {
        const struct model_options mo = {.isa = a->isa, .n_threads = tool_threads(b->tool)};
        s = drive_open_model(b->tool, a->models.items[i], &mo, &b->models[i], err);
        progress_step(pr, i + 1, NULL);
    }
    return s;
}

static enum status make_cells(struct bench *b, struct err *err)
{
    const struct args *a = b->args;
    size_t grid = a->in_tok.n * a->out_tok.n * a->concurrency.n;
    b->n_cells = a->models.n * grid;
    void *p;
    enum status s;
    if ((s = mem_alloc(&p, b->n_cells, sizeof *b->cells, "cells", err)))
        return s;
    b->cells = p;
    if ((s = mem_alloc(&p, b->n_cells, sizeof *b->cell_model, "cells", err)))
        return s;
    b->cell_model = p;
    if ((s = mem_alloc(&p, b->n_cells, sizeof *b->names, "cells", err)))
        return s;
    b->names = p;
    if ((s = mem_alloc(&p, b->n_cells * n_blocks(b), sizeof *b->results, "results", err)))
        return s;
    b->results = p;
    if ((s = mem_alloc(&p, b->n_cells * n_blocks(b), sizeof *b->order_idx, "order", err)))
        return s;
    b->order_idx = p;
    size_t c = 0;
    for (size_t m = 0; m < a->models.n; m++)
        for (size_t i = 0; i < a->in_tok.n; i++)
            for (size_t o = 0; o < a->out_tok.n; o++)
                for (size_t k = 0; k < a->concurrency.n; k++, c++) {
                    (void)snprintf(b->names[c], sizeof b->names[c], "%lld/%lld/%lld", (long long)a->in_tok.items[i],
                                   (long long)a->out_tok.items[o], (long long)a->concurrency.items[k]);
                    b->cell_model[c] = m;
                    b->cells[c] = (struct load_cell){
                        .name = b->names[c],
                        .in_tok = (size_t)a->in_tok.items[i],
                        .out_tok = (size_t)a->out_tok.items[o],
                        .concurrency = (size_t)a->concurrency.items[k],
                        .n_requests = (size_t)a->requests,
                        .prefill_chunk = (size_t)a->prefill_chunk,
                        .sampling = {.temperature = 0, .top_p = 1},
                    };
                }
    return OK;
}

static enum status warm_up(struct bench *b, struct err *err)
{
    struct progress *pr = tool_progress(b->tool);
    enum status s = OK;
    if (b->args->warmup == 0)
        return OK;
    progress_stage(pr, "warm-up", b->n_cells);
    for (size_t c = 0; c < b->n_cells && !s; c++) {
        if (!cell_fits(b, c))
            continue;
        struct load_cell w = b->cells[c];
        w.n_requests = (size_t)b->args->warmup > w.concurrency ? (size_t)b->args->warmup : w.concurrency;
        struct load_result r;
        s = load_run(&r, b->models[b->cell_model[c]], &w, tool_seed(b->tool), SIZE_MAX, err);
        load_result_release(&r);
        progress_step(pr, c + 1, b->names[c]);
    }
    return s;
}

static enum status run_blocks(struct bench *b, struct err *err)
{
    struct progress *pr = tool_progress(b->tool);
    void *p;
    enum status s = mem_alloc(&p, b->n_cells, sizeof(size_t), "block order", err);
    if (s)
        return s;
    size_t *order = p;
    progress_stage(pr, "measure", n_blocks(b) * b->n_cells);
    for (size_t block = 0; block < n_blocks(b) && !s; block++) {
        block_order(tool_seed(b->tool), block, b->n_cells, order);
        for (size_t i = 0; i < b->n_cells && !s; i++) {
            size_t c = order[i];
            b->order_idx[block * b->n_cells + c] = i;
            if (cell_fits(b, c))
                s = load_run(&b->results[block * b->n_cells + c], b->models[b->cell_model[c]], &b->cells[c],
                             tool_seed(b->tool), block, err);
            progress_step(pr, block * b->n_cells + i + 1, b->names[c]);
            if (tool_interrupted(b->tool))
                s = err_set(err, ERR_CANCELLED, "interrupted in block %zu of %zu: a block must be complete, nothing is written",
                            block + 1, n_blocks(b));
        }
    }
    if (!s)
        progress_end(pr, NULL);
    mem_free(order);
    return s;
}

static void cell_columns(struct table *t, const struct bench *b, size_t c)
{
    const struct load_cell *cell = &b->cells[c];
    drive_row(t, b->models[b->cell_model[c]], b->args->draft);
    table_set_text(t, "cell_id", cell->name);
    table_set_i64(t, "in_tok", (int64_t)cell->in_tok);
    table_set_i64(t, "concurrency", (int64_t)cell->concurrency);
}

static void raw_rows(struct bench *b, size_t block, size_t c)
{
    const struct load_result *r = &b->results[block * b->n_cells + c];
    struct window steady = {0, 0};
    (void)window_steady(r, b->cells[c].concurrency, &steady, NULL); // no memory: no steady rows, said by their absence
    for (size_t i = 0; i < r->n_requests; i++) {
        const struct load_request *q = &r->requests[i];
        struct table *t = b->requests;
        cell_columns(t, b, c);
        table_set_i64(t, "block_idx", (int64_t)block);
        table_set_i64(t, "order_idx", (int64_t)b->order_idx[block * b->n_cells + c]);
        table_set_i64(t, "req_idx", (int64_t)i);
        table_set_i64(t, "t_start_ns", (int64_t)(q->t_start_ns - r->t_begin_ns));
        if (q->n_events) {
            table_set_i64(t, "t_tok1_ns", (int64_t)(q->t_event_ns[0] - r->t_begin_ns));
            table_set_i64(t, "t_tokn_ns", (int64_t)(q->t_event_ns[q->n_events - 1] - r->t_begin_ns));
        }
        table_set_i64(t, "t_done_ns", (int64_t)(q->t_done_ns - r->t_begin_ns));
        table_set_i64(t, "out_tok", (int64_t)q->n_events);
        table_set_text(t, "tok_src", "engine");
        table_set_text(t, "finish_reason", finish_reason_name(q->finish));
        table_set_text(t, "status", status_name(q->status));
        table_set_bool(t, "steady", window_holds(&steady, q));
        drive_digest(t, "tokens_sha256", q->tokens_sha256);
        for (size_t e = 0; b->args->events_out && e < q->n_events; e++) {
            t = b->events;
            cell_columns(t, b, c);
            table_set_i64(t, "block_idx", (int64_t)block);
            table_set_i64(t, "req_idx", (int64_t)i);
            table_set_i64(t, "ev_idx", (int64_t)e);
            table_set_i64(t, "t_ns", (int64_t)(q->t_event_ns[e] - r->t_begin_ns));
            table_set_i64(t, "ev_tok", 1);
        }
    }
}

/* Values of one metric of one cell in time order with their blocks; n_err counts failed requests. */
struct sample {
    double *x, *sorted;
    size_t *begin;
    size_t n, n_err, n_blocks;
};

static void gather(const struct bench *b, size_t c, enum metric m, bool steady, struct sample *out)
{
    out->n = out->n_err = out->n_blocks = 0;
    for (size_t block = 0; block < n_blocks(b); block++) {
        const struct load_result *r = &b->results[block * b->n_cells + c];
        struct window w = window_full(r);
        if (steady)
            (void)window_steady(r, b->cells[c].concurrency, &w, NULL);
        size_t from = out->n;
        for (size_t i = 0; i < r->n_requests; i++) {
            if (r->requests[i].status) {
                out->n_err++;
                continue;
            }
            double v = metric_value(m, &r->requests[i], &b->cells[c]);
            if (window_holds(&w, &r->requests[i]) && isfinite(v))
                out->x[out->n++] = v;
        }
        if (out->n > from)
            out->begin[out->n_blocks++] = from;
    }
    out->begin[out->n_blocks] = out->n;
}

static void describe(struct table *t, const struct sample *s)
{
    static const struct {
        unsigned permille;
        const char *column;
    } pcts[] = {{500, "p50"}, {900, "p90"}, {950, "p95"}, {990, "p99"}};
    struct stats_summary d;
    stats_summarise(s->x, s->n, &d);
    table_set_i64(t, "n", (int64_t)s->n);
    table_set_i64(t, "n_err", (int64_t)s->n_err);
    drive_real(t, "mean", d.mean);
    drive_real(t, "sd", d.sd);
    drive_real(t, "min", d.min);
    drive_real(t, "max", d.max);
    drive_real(t, "lag1", d.lag1);
    drive_real(t, "n_eff", d.n_eff);
    for (size_t i = 0; i < sizeof pcts / sizeof *pcts; i++)
        if (stats_enough(s->n, pcts[i].permille))
            drive_real(t, pcts[i].column, stats_percentile(s->sorted, s->n, pcts[i].permille, PCT_NEAREST_RANK));
    table_set_text(t, "pct_method", stats_pct_name(PCT_NEAREST_RANK));
}

/* One row for each statistic that has an interval: the median by bootstrap, tails by order statistics. */
static enum status metric_rows(struct bench *b, size_t c, enum metric m, const char *window, const struct sample *s,
                               struct err *err)
{
    static const struct {
        unsigned permille;
        const char *name;
    } stats[] = {{500, "p50"}, {950, "p95"}, {990, "p99"}};
    enum status st = OK;
    for (size_t i = 0; i < sizeof stats / sizeof *stats && !st; i++) {
        if (i > 0 && !stats_enough(s->n, stats[i].permille))
            continue;
        struct table *t = b->latency;
        cell_columns(t, b, c);
        table_set_i64(t, "out_tok", (int64_t)b->cells[c].out_tok);
        table_set_text(t, "window", window);
        table_set_text(t, "metric", metric_name(m));
        table_set_text(t, "unit", metric_unit(m));
        table_set_text(t, "status", "ok");
        table_set_text(t, "stat_ci", stats[i].name);
        describe(t, s);
        struct stats_interval ci = {.lo_open = true, .hi_open = true};
        const char *method = "order_stat";
        if (!stats_enough(s->n, stats[i].permille)) {
            table_set_text(t, "reason", "below the sample floor: percentiles left empty");
            continue;
        }
        if (stats[i].permille == 500) {
            const struct stats_blocks blocks = {.n_blocks = s->n_blocks, .begin = s->begin};
            char key[160];
            (void)snprintf(key, sizeof key, "%s/%s/%s/%s", model_info(b->models[b->cell_model[c]])->name,
                           b->cells[c].name, metric_name(m), window);
            method = stats_boot_method(s->n_blocks);
            st = stats_bootstrap_median(s->x, &blocks, tool_seed(b->tool), key, &ci, err);
        } else {
            ci = stats_order_interval(s->sorted, s->n, stats[i].permille);
        }
        drive_interval(t, &ci, method);
    }
    return st;
}

static enum status throughput_rows(struct bench *b, size_t c, bool steady, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, 4 * n_blocks(b), sizeof(double), "throughput", err);
    if (s)
        return s;
    double *tok = p;
    double *sec = tok + n_blocks(b);
    double *req = sec + n_blocks(b);
    double *in = req + n_blocks(b);
    size_t n = 0;
    double sum[4] = {0, 0, 0, 0};
    for (size_t block = 0; block < n_blocks(b) && !s; block++) {
        const struct load_result *r = &b->results[block * b->n_cells + c];
        struct window w = window_full(r);
        if (steady)
            s = window_steady(r, b->cells[c].concurrency, &w, err);
        if (s || w.end_ns <= w.begin_ns)
            continue;
        tok[n] = (double)window_tokens(&w, r);
        sec[n] = (double)(w.end_ns - w.begin_ns) / 1e9;
        req[n] = in[n] = 0;
        for (size_t i = 0; i < r->n_requests; i++) {
            const struct load_request *q = &r->requests[i];
            if (!q->status && q->t_done_ns > w.begin_ns && q->t_done_ns <= w.end_ns)
                req[n]++;
            if (q->n_events && q->t_event_ns[0] > w.begin_ns && q->t_event_ns[0] <= w.end_ns)
                in[n] += (double)b->cells[c].in_tok;
        }
        sum[0] += tok[n];
        sum[1] += sec[n];
        sum[2] += req[n];
        sum[3] += in[n];
        n++;
    }
    if (!s && n > 0) {
        struct table *t = b->throughput;
        cell_columns(t, b, c);
        table_set_i64(t, "out_tok", (int64_t)b->cells[c].out_tok);
        table_set_text(t, "status", "ok");
        table_set_text(t, "window", steady ? "steady" : "full");
        drive_real(t, "window_s", sum[1]);
        drive_real(t, "out_tok_s", sum[0] / sum[1]);
        drive_real(t, "total_tok_s", (sum[0] + sum[3]) / sum[1]);
        drive_real(t, "req_s", sum[2] / sum[1]);
        struct stats_interval ci = {.lo_open = true, .hi_open = true};
        size_t *begin = NULL;
        s = mem_alloc(&p, n + 1, sizeof *begin, "throughput", err);
        if (!s) {
            begin = p;
            for (size_t i = 0; i <= n; i++)
                begin[i] = i;
            const struct stats_blocks blocks = {.n_blocks = n, .begin = begin};
            const struct stats_pair pair = {.num = tok, .den = sec};
            const struct stats_statistic rate = {.of = stats_of_ratio, .arg = &pair};
            char key[160];
            (void)snprintf(key, sizeof key, "%s/%s/out_tok_s/%d", model_info(b->models[b->cell_model[c]])->name,
                           b->cells[c].name, steady);
            if (n > 1)
                s = stats_bootstrap(&blocks, &rate, STATS_WHOLE_BLOCK, STATS_DRAWS, tool_seed(b->tool), key, &ci, err);
            drive_interval(t, &ci, n > 1 ? stats_boot_method(n) : NULL);
        }
        mem_free(begin);
    }
    mem_free(tok);
    return s;
}

static void unsupported_row(struct bench *b, size_t c)
{
    char reason[96];
    (void)snprintf(reason, sizeof reason, "beyond the model's context of %zu tokens",
                   model_info(b->models[b->cell_model[c]])->max_context_tok);
    struct table *t = b->latency;
    cell_columns(t, b, c);
    table_set_i64(t, "out_tok", (int64_t)b->cells[c].out_tok);
    table_set_text(t, "window", "full");
    table_set_text(t, "metric", metric_name(METRIC_TTFT));
    table_set_text(t, "unit", metric_unit(METRIC_TTFT));
    table_set_text(t, "stat_ci", "p50");
    table_set_i64(t, "n", 0);
    table_set_i64(t, "n_err", 0);
    table_set_text(t, "status", status_name(ERR_UNSUPPORTED));
    table_set_text(t, "reason", reason);
}

static enum status cell_rows(struct bench *b, size_t c, struct sample *s, struct err *err)
{
    enum status st = OK;
    if (!cell_fits(b, c)) {
        unsupported_row(b, c);
        return OK;
    }
    for (size_t block = 0; block < n_blocks(b); block++)
        raw_rows(b, block, c);
    for (int steady = 0; steady < 2 && !st; steady++) {
        for (int m = 0; m < N_METRICS && !st; m++) {
            gather(b, c, (enum metric)m, steady, s);
            if (s->n == 0)
                continue;
            memcpy(s->sorted, s->x, s->n * sizeof *s->x);
            stats_sort(s->sorted, s->n);
            st = metric_rows(b, c, (enum metric)m, steady ? "steady" : "full", s, err);
        }
        if (!st)
            st = throughput_rows(b, c, steady, err);
    }
    return st;
}

static enum status summarise(struct bench *b, struct err *err)
{
    size_t n = n_blocks(b) * (size_t)b->args->requests;
    void *p = NULL;
    void *q = NULL;
    struct sample s = {NULL};
    enum status st = mem_alloc(&p, 2 * n, sizeof(double), "sample", err);
    if (!st)
        st = mem_alloc(&q, n_blocks(b) + 1, sizeof(size_t), "blocks", err);
    s.x = p;
    s.sorted = p ? s.x + n : NULL;
    s.begin = q;
    for (size_t c = 0; c < b->n_cells && !st; c++)
        st = cell_rows(b, c, &s, err);
    mem_free(p);
    mem_free(q);
    return st;
}

static enum status write_tables(struct bench *b, struct err *err)
{
    const struct args *a = b->args;
    enum status s = OK;
    if (a->requests_out)
        s = tool_put_table(b->tool, a->requests_out, b->requests, err);
    if (!s && a->events_out)
        s = tool_put_table(b->tool, a->events_out, b->events, err);
    if (!s && a->throughput_out)
        s = tool_put_table(b->tool, a->throughput_out, b->throughput, err);
    return s ? s : tool_put_table(b->tool, tool_out(b->tool), b->latency, err);
}

static enum status run(struct tool *tool, const void *args, struct err *err)
{
    struct bench b = {.tool = tool, .args = args};
    enum status s = OK;
    if (b.args->models.n == 0)
        return err_set(err, ERR_USAGE, "expected --model SOURCE at least once, found none");
    tool_catch_interrupt(tool);
    if (!s)
        s = table_new(&b.latency, "latency", err);
    if (!s)
        s = table_new(&b.throughput, "throughput", err);
    if (!s)
        s = table_new(&b.requests, "requests_log", err);
    if (!s)
        s = table_new(&b.events, "events", err);
    if (!s)
        s = make_cells(&b, err);
    if (!s)
        s = open_models(&b, err);
    if (!s)
        s = warm_up(&b, err);
    if (!s)
        s = run_blocks(&b, err);
    if (!s)
        s = summarise(&b, err);
    if (!s)
        s = write_tables(&b, err);
    for (size_t i = 0; b.results && i < b.n_cells * n_blocks(&b); i++)
        load_result_release(&b.results[i]);
    for (size_t i = 0; b.models && i < b.args->models.n; i++)
        model_free(b.models[i]);
    mem_free(b.order_idx);
    mem_free(b.results);
    mem_free(b.names);
    mem_free(b.cell_model);
    mem_free(b.cells);
    mem_free(b.models);
    table_free(b.events);
    table_free(b.requests);
    table_free(b.throughput);
    table_free(b.latency);
    return s;
}

static const struct tool_def latency = {
    .name = "latency",
    .summary = "measure TTFT, TPOT, end-to-end time and throughput in randomised complete blocks",
    .options = options,
    .common = TOOL_OUT | TOOL_FORMAT | TOOL_SEED | TOOL_THREADS,
    .args_b = sizeof(struct args),
    .run = run,
};

int main(int argc, char **argv)
{
    return tool_main(&latency, argc, argv);
}
