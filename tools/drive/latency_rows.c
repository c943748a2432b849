#include "drive/latency_rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "drive/metrics.h"
#include "drive/rows.h"
#include "lib/stats.h"

struct rows_job {
    const struct latency_run *r;
    struct latency_tables *t;
    /* scratch for the values of one metric of one cell, in time order with their blocks */
    double *x, *sorted; /* (n_blocks * n_requests) */
    size_t *begin;      /* (n_blocks + 1) */
    size_t n, n_with_values;
};

static size_t frame_tok(const struct load_cell *c)
{
    return c->frame ? c->frame->before.n + c->frame->after.n : 0;
}

bool latency_fits(const struct latency_run *r, size_t cell)
{
    const struct load_cell *c = &r->cells[cell];
    return c->in_tok + c->out_tok <= model_info(r->models[r->cell_model[cell]])->max_context_tok && c->in_tok > frame_tok(c);
}

static const struct load_result *result_of(const struct latency_run *r, size_t block, size_t cell)
{
    return &r->results[block * r->n_cells + cell];
}

static size_t n_failed_of(const struct latency_run *r, size_t cell)
{
    size_t n = 0;
    for (size_t block = 0; block < r->n_blocks; block++) {
        const struct load_result *result = result_of(r, block, cell);
        for (size_t i = 0; i < result->n_requests; i++)
            n += result->requests[i].status != OK;
    }
    return n;
}

size_t latency_n_failed(const struct latency_run *r)
{
    size_t n = 0;
    for (size_t c = 0; c < r->n_cells; c++)
        n += n_failed_of(r, c);
    return n;
}

static void cell_columns(struct table *t, const struct latency_run *r, size_t cell)
{
    const struct load_cell *c = &r->cells[cell];
    drive_row(t, r->models[r->cell_model[cell]], r->draft);
    table_set_text(t, "cell_id", c->name);
    table_set_i64(t, "in_tok", (int64_t)c->in_tok);
    table_set_i64(t, "concurrency", (int64_t)c->concurrency);
}

/* Names the random numbers of an interval. */
static void key_of(const struct latency_run *r, size_t cell, const char *metric, const char *window, char out[160])
{
    (void)snprintf(out, 160, "%s/%s/%s/%s", model_info(r->models[r->cell_model[cell]])->name, r->cells[cell].name, metric,
                   window);
}

/* ---- requests.csv and events.csv ---- */

static void event_rows(struct rows_job *j, size_t block, size_t cell, size_t request)
{
    const struct load_result *result = result_of(j->r, block, cell);
    const struct load_request *q = &result->requests[request];
    struct table *t = j->t->events;
    for (size_t e = 0; e < q->n_events; e++) {
        cell_columns(t, j->r, cell);
        table_set_i64(t, "block_idx", (int64_t)block);
        table_set_i64(t, "req_idx", (int64_t)request);
        table_set_i64(t, "ev_idx", (int64_t)e);
        table_set_i64(t, "t_ns", (int64_t)(q->t_event_ns[e] - result->t_begin_ns));
        table_set_i64(t, "ev_tok", 1);
    }
}

static enum status request_rows(struct rows_job *j, size_t block, size_t cell, struct err *err)
{
    const struct load_result *result = result_of(j->r, block, cell);
    struct table *t = j->t->requests;
    struct window steady;
    enum status s = window_steady(result, j->r->cells[cell].concurrency, &steady, err);
    for (size_t i = 0; i < result->n_requests && !s; i++) {
        const struct load_request *q = &result->requests[i];
        cell_columns(t, j->r, cell);
        table_set_i64(t, "block_idx", (int64_t)block);
        table_set_i64(t, "order_idx", (int64_t)j->r->order_idx[block * j->r->n_cells + cell]);
        table_set_i64(t, "req_idx", (int64_t)i);
        table_set_i64(t, "t_start_ns", (int64_t)(q->t_start_ns - result->t_begin_ns));
        if (q->n_events) {
            table_set_i64(t, "t_tok1_ns", (int64_t)(q->t_event_ns[0] - result->t_begin_ns));
            table_set_i64(t, "t_tokn_ns", (int64_t)(q->t_event_ns[q->n_events - 1] - result->t_begin_ns));
        }
        table_set_i64(t, "t_done_ns", (int64_t)(q->t_done_ns - result->t_begin_ns));
        table_set_i64(t, "out_tok", (int64_t)q->n_events);
        table_set_text(t, "tok_src", "engine");
        table_set_text(t, "finish_reason", finish_reason_name(q->finish));
        table_set_text(t, "status", status_name(q->status));
        table_set_bool(t, "steady", window_holds(&steady, q));
        drive_digest(t, "tokens_sha256", q->tokens_sha256);
        if (j->r->want_events)
            event_rows(j, block, cell, i);
    }
    return s;
}

/* ---- latency.csv ---- */

static enum status gather(struct rows_job *j, size_t cell, enum metric m, bool steady, struct err *err)
{
    const struct load_cell *c = &j->r->cells[cell];
    j->n = j->n_with_values = 0;
    for (size_t block = 0; block < j->r->n_blocks; block++) {
        const struct load_result *result = result_of(j->r, block, cell);
        struct window w = window_full(result);
        enum status s = steady ? window_steady(result, c->concurrency, &w, err) : OK;
        if (s)
            return s;
        size_t from = j->n;
        for (size_t i = 0; i < result->n_requests; i++) {
            double v = metric_value(m, &result->requests[i], c);
            if (window_holds(&w, &result->requests[i]) && isfinite(v))
                j->x[j->n++] = v;
        }
        if (j->n > from)
            j->begin[j->n_with_values++] = from;
    }
    j->begin[j->n_with_values] = j->n;
    if (j->n)
        memcpy(j->sorted, j->x, j->n * sizeof *j->x);
    stats_sort(j->sorted, j->n);
    return OK;
}

static void describe(struct table *t, const struct rows_job *j)
{
    static const struct {
        unsigned permille;
        const char *column;
    } pcts[] = {{500, "p50"}, {900, "p90"}, {950, "p95"}, {990, "p99"}};
    struct stats_summary d;
    stats_summarise(j->x, j->n, &d);
    table_set_i64(t, "n", (int64_t)j->n);
    drive_real(t, "mean", d.mean);
    drive_real(t, "sd", d.sd);
    drive_real(t, "min", d.min);
    drive_real(t, "max", d.max);
    drive_real(t, "lag1", d.lag1);
    drive_real(t, "n_eff", d.n_eff);
    for (size_t i = 0; i < sizeof pcts / sizeof *pcts; i++)
        if (stats_enough(j->n, pcts[i].permille))
            drive_real(t, pcts[i].column, stats_percentile(j->sorted, j->n, pcts[i].permille, PCT_NEAREST_RANK));
    table_set_text(t, "pct_method", stats_pct_name(PCT_NEAREST_RANK));
}

static void begin_latency(struct rows_job *j, size_t cell, enum metric m, const char *window, const char *stat,
                          enum status status)
{
    struct table *t = j->t->latency;
    cell_columns(t, j->r, cell);
    table_set_i64(t, "out_tok", (int64_t)j->r->cells[cell].out_tok);
    table_set_text(t, "window", window);
    table_set_text(t, "metric", metric_name(m));
    table_set_text(t, "unit", metric_unit(m));
    table_set_text(t, "stat_ci", stat);
    table_set_text(t, "status", status_name(status));
    table_set_i64(t, "n_err", (int64_t)n_failed_of(j->r, cell));
}

/* One row for each statistic that has an interval: the median by bootstrap, tails by order statistics. */
static enum status metric_rows(struct rows_job *j, size_t cell, enum metric m, const char *window, struct err *err)
{
    static const struct {
        unsigned permille;
        const char *name;
    } stats[] = {{500, "p50"}, {950, "p95"}, {990, "p99"}};
    enum status s = OK;
    for (size_t i = 0; i < sizeof stats / sizeof *stats && !s; i++) {
        bool enough = stats_enough(j->n, stats[i].permille);
        if (i > 0 && !enough)
            continue;
        begin_latency(j, cell, m, window, stats[i].name, OK);
        describe(j->t->latency, j);
        if (!enough) {
            table_set_text(j->t->latency, "reason", "below the sample floor: percentiles left empty");
            continue;
        }
        struct stats_interval ci = {.lo_open = true, .hi_open = true};
        const char *method = "order_stat";
        if (stats[i].permille == 500) {
            const struct stats_blocks blocks = {.n_blocks = j->n_with_values, .begin = j->begin};
            char key[160];
            key_of(j->r, cell, metric_name(m), window, key);
            method = stats_boot_method(j->n_with_values);
            s = stats_bootstrap_median(j->x, &blocks, j->r->seed, key, &ci, err);
        } else {
            ci = stats_order_interval(j->sorted, j->n, stats[i].permille);
        }
        drive_interval(j->t->latency, &ci, method);
    }
    return s;
}

/* A cell without a single value still has its row. */
static void empty_row(struct rows_job *j, size_t cell, enum status status, const char *reason)
{
    begin_latency(j, cell, METRIC_TTFT, "full", "p50", status);
    table_set_i64(j->t->latency, "n", 0);
    table_set_text(j->t->latency, "reason", reason);
}

static enum status first_failure(const struct latency_run *r, size_t cell)
{
    for (size_t block = 0; block < r->n_blocks; block++) {
        const struct load_result *result = result_of(r, block, cell);
        for (size_t i = 0; i < result->n_requests; i++)
            if (result->requests[i].status)
                return result->requests[i].status;
    }
    return OK;
}

/* ---- throughput.csv ---- */

/* Per block: tokens out, seconds, requests finished, tokens in. */
struct rates {
    double *out, *s, *req, *in;
    size_t n;
};

static void add_rate(const struct latency_run *r, size_t block, size_t cell, const struct window *w, struct rates *v)
{
    const struct load_result *result = result_of(r, block, cell);
    v->out[v->n] = (double)window_tokens(w, result);
    v->s[v->n] = (double)(w->end_ns - w->begin_ns) / 1e9;
    v->req[v->n] = v->in[v->n] = 0;
    for (size_t i = 0; i < result->n_requests; i++) {
        const struct load_request *q = &result->requests[i];
        if (!q->status && q->t_done_ns > w->begin_ns && q->t_done_ns <= w->end_ns)
            v->req[v->n]++;
        if (q->n_events && q->t_event_ns[0] > w->begin_ns && q->t_event_ns[0] <= w->end_ns)
            v->in[v->n] += (double)r->cells[cell].in_tok;
    }
    v->n++;
}

static enum status rate_row(struct rows_job *j, size_t cell, const char *window, const struct rates *v, struct err *err)
{
    struct table *t = j->t->throughput;
    double out = 0;
    double s = 0;
    double req = 0;
    double in = 0;
    for (size_t i = 0; i < v->n; i++) {
        out += v->out[i];
        s += v->s[i];
        req += v->req[i];
        in += v->in[i];
        j->begin[i] = i; // each block is one row of the resampling
    }
    j->begin[v->n] = v->n;
    cell_columns(t, j->r, cell);
    table_set_i64(t, "out_tok", (int64_t)j->r->cells[cell].out_tok);
    table_set_text(t, "status", "ok");
    table_set_text(t, "window", window);
    drive_real(t, "window_s", s);
    drive_real(t, "out_tok_s", out / s);
    drive_real(t, "total_tok_s", (out + in) / s);
    drive_real(t, "req_s", req / s);
    if (v->n < 2)
        return OK;
    const struct stats_blocks blocks = {.n_blocks = v->n, .begin = j->begin};
    const struct stats_pair pair = {.num = v->out, .den = v->s};
    const struct stats_statistic rate = {.of = stats_of_ratio, .arg = &pair};
    struct stats_interval ci;
    char key[160];
    key_of(j->r, cell, "out_tok_s", window, key);
    enum status st = stats_bootstrap(&blocks, &rate, STATS_WHOLE_BLOCK, STATS_DRAWS, j->r->seed, key, &ci, err);
    if (!st)
        drive_interval(t, &ci, stats_boot_method(v->n));
    return st;
}

static enum status throughput_rows(struct rows_job *j, size_t cell, bool steady, struct err *err)
{
    size_t n = j->r->n_blocks;
    void *p;
    enum status s = mem_alloc(&p, 4 * n, sizeof(double), "throughput", err);
    if (s)
        return s;
    double *v = p;
    struct rates rates = {.out = v, .s = v + n, .req = v + 2 * n, .in = v + 3 * n};
    for (size_t block = 0; block < n && !s; block++) {
        const struct load_result *result = result_of(j->r, block, cell);
        struct window w = window_full(result);
        if (steady)
            s = window_steady(result, j->r->cells[cell].concurrency, &w, err);
        if (!s && w.end_ns > w.begin_ns)
            add_rate(j->r, block, cell, &w, &rates);
    }
    if (!s && rates.n)
        s = rate_row(j, cell, steady ? "steady" : "full", &rates, err);
    mem_free(p);
    return s;
}

/* ---- */

static enum status cell_rows(struct rows_job *j, size_t cell, struct err *err)
{
    enum status s = OK;
    char reason[96];
    if (!latency_fits(j->r, cell)) {
        if (j->r->cells[cell].in_tok <= frame_tok(&j->r->cells[cell]))
            (void)snprintf(reason, sizeof reason, "the chat format alone takes %zu tokens", frame_tok(&j->r->cells[cell]));
        else
            (void)snprintf(reason, sizeof reason, "beyond the model's context of %zu tokens",
                           model_info(j->r->models[j->r->cell_model[cell]])->max_context_tok);
        empty_row(j, cell, ERR_UNSUPPORTED, reason);
        return OK;
    }
    size_t n_failed = n_failed_of(j->r, cell);
    for (size_t block = 0; block < j->r->n_blocks && !s; block++)
        s = request_rows(j, block, cell, err);
    if (n_failed == j->r->n_blocks * j->r->n_requests) {
        (void)snprintf(reason, sizeof reason, "all %zu requests failed", n_failed);
        empty_row(j, cell, first_failure(j->r, cell), reason);
        return s;
    }
    for (int steady = 0; steady < 2 && !s; steady++) {
        for (int m = 0; m < N_METRICS && !s; m++) {
            s = gather(j, cell, (enum metric)m, steady, err);
            if (!s && j->n)
                s = metric_rows(j, cell, (enum metric)m, steady ? "steady" : "full", err);
        }
        if (!s)
            s = throughput_rows(j, cell, steady, err);
    }
    return s;
}

enum status latency_rows(const struct latency_run *r, struct latency_tables *out, struct err *err)
{
    struct rows_job j = {.r = r, .t = out};
    size_t n = r->n_blocks * r->n_requests;
    void *values = NULL;
    void *begin = NULL;
    *out = (struct latency_tables){.latency = NULL};
    enum status s;
    if ((s = table_new(&out->latency, "latency", err)) || (s = table_new(&out->throughput, "throughput", err)) ||
        (s = table_new(&out->requests, "requests_log", err)) || (s = table_new(&out->events, "events", err)) ||
        (s = mem_alloc(&values, 2 * n, sizeof(double), "sample", err)) ||
        (s = mem_alloc(&begin, r->n_blocks + 1, sizeof(size_t), "blocks", err)))
        goto done;
    j.x = values;
    j.sorted = j.x + n;
    j.begin = begin;
    for (size_t c = 0; c < r->n_cells && !s; c++)
        s = cell_rows(&j, c, err);
done:
    mem_free(values);
    mem_free(begin);
    return s;
}

void latency_tables_free(struct latency_tables *t)
{
    table_free(t->latency);
    table_free(t->throughput);
    table_free(t->requests);
    table_free(t->events);
}
