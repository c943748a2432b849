#include "drive/bench_rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "lib/stats.h"

/* The figures of a cell. */
enum figure { FIG_TIME, FIG_RATE, FIG_READ, FIG_FLOP, FIG_STEP, FIG_PEAK };

static const struct {
    enum bench_work work;
    enum figure figure;
    const char *metric, *unit;
    bool higher, compared; /* compared: with the peers */
} metrics[] = {
    {BENCH_LOAD, FIG_TIME, "load_ms", "ms", false, true},
    {BENCH_FIRST, FIG_TIME, "start_to_first_ms", "ms", false, true},
    {BENCH_PREFILL, FIG_RATE, "prefill_tok_s", "tok/s", true, true},
    {BENCH_PREFILL, FIG_READ, "read_gb_s", "GB/s", true, false},
    {BENCH_PREFILL, FIG_FLOP, "gflop_s", "GFLOP/s", true, false},
    {BENCH_DECODE, FIG_RATE, "decode_tok_s", "tok/s", true, true},
    {BENCH_DECODE, FIG_READ, "read_gb_s", "GB/s", true, false},
    {BENCH_DECODE, FIG_FLOP, "gflop_s", "GFLOP/s", true, false},
    {BENCH_DECODE, FIG_STEP, "step_read_mb", "MB", false, false},
    {BENCH_PEAK, FIG_PEAK, "peak_rss_mib", "MiB", false, true},
};
enum { N_FIGURES = sizeof metrics / sizeof *metrics };

/* One ratio of ours to a peer. */
struct comparison {
    size_t own, peer, cell, metric, n;
    struct stats_ratio r;
    double p; /* adjusted by Holm over the table */
};

struct rows_job {
    const struct bench_run *r;
    struct table *bench;
    double *x, *y, *sorted; /* (n_blocks) scratch */
    size_t *begin;          /* (n_blocks + 1) 0, 1, 2, ... */
    double *ceiling;        /* (n_ceilings) medians, NaN where missing */
    struct comparison *comparisons;
    size_t n_comparisons;
};

static const struct bench_sample *sample_of(const struct bench_run *r, size_t block, size_t contender, size_t cell)
{
    return &r->samples[(block * r->n_contenders + contender) * r->n_cells + cell];
}

size_t bench_n_failed(const struct bench_run *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_blocks * r->n_contenders * r->n_cells; i++)
        n += r->samples[i].status != OK && r->samples[i].status != ERR_UNSUPPORTED;
    return n;
}

/* One sample's value of a figure; NaN when it has none. */
static double value(size_t metric, const struct bench_cell *c, const struct bench_sample *s)
{
    const double ns = (double)s->ns;
    if (s->status)
        return (double)NAN;
    switch (metrics[metric].figure) {
    case FIG_TIME:
        return ns / 1e6;
    case FIG_RATE:
        return (double)s->n_tok / ns * 1e9;
    case FIG_READ:
        return s->read_b ? (double)s->read_b / ns : (double)NAN;
    case FIG_FLOP:
        return s->flop ? (double)s->flop / ns : (double)NAN;
    case FIG_STEP:
        return s->read_b ? (double)s->read_b / ((double)s->n_tok / (double)c->batch) / 1e6 : (double)NAN;
    case FIG_PEAK:
        return (double)s->peak_rss_b / 1048576.0;
    }
    return (double)NAN;
}

/* The values of all blocks in j->x; how many. */
static size_t gather(struct rows_job *j, size_t contender, size_t cell, size_t metric)
{
    size_t n = 0;
    for (size_t b = 0; b < j->r->n_blocks; b++) {
        const double v = value(metric, &j->r->cells[cell], sample_of(j->r, b, contender, cell));
        if (isfinite(v))
            j->x[n++] = v;
    }
    return n;
}

static double median(struct rows_job *j, const double *x, size_t n)
{
    memcpy(j->sorted, x, n * sizeof *x);
    stats_sort(j->sorted, n);
    return stats_percentile(j->sorted, n, 500, PCT_NEAREST_RANK);
}

/* n, median with its interval, range of j->x. */
static enum status describe(struct rows_job *j, size_t n, const char *key, struct err *err)
{
    struct table *t = j->bench;
    table_set_i64(t, "n", (int64_t)n);
    const double m = median(j, j->x, n);
    drive_real(t, "min", j->sorted[0]);
    drive_real(t, "max", j->sorted[n - 1]);
    if (!stats_enough(n, 500)) {
        table_set_text(t, "reason", "below the sample floor of 5 blocks: median left empty");
        return OK;
    }
    const struct stats_blocks blocks = {.n_blocks = n, .begin = j->begin};
    struct stats_interval ci;
    const enum status s = stats_bootstrap_median(j->x, &blocks, j->r->seed, key, &ci, err);
    drive_real(t, "value", m);
    if (!s)
        drive_interval(t, &ci, stats_boot_method(n));
    return s;
}

/* ---- the machine ---- */

static void machine_columns(struct table *t, const struct bench_ceiling *c)
{
    table_row(t);
    table_set_text(t, "engine", "machine");
    table_set_text(t, "isa", c->what.isa);
    table_set_text(t, "cell", c->name);
}

static size_t gather_ceiling(struct rows_job *j, const struct bench_ceiling *c)
{
    size_t n = 0;
    for (size_t b = 0; b < j->r->n_blocks && !c->what.missing; b++)
        j->x[n++] = (double)c->work[b] / (double)c->ns[b];
    return n;
}

static enum status machine_row(struct rows_job *j, const struct bench_ceiling *c, struct err *err)
{
    struct table *t = j->bench;
    const bool read = c->what.kind == CEILING_READ;
    char device[64];
    machine_columns(t, c);
    (void)snprintf(device, sizeof device, "cpu/%s/%zut", c->what.isa, c->what.n_threads);
    table_set_text(t, "device", device);
    table_set_bool(t, "draft", j->r->draft);
    table_set_text(t, "metric", read ? "read_gb_s" : "gflop_s");
    table_set_text(t, "unit", ceiling_kind_unit(c->what.kind));
    table_set_text(t, "better", "higher");
    table_set_text(t, "status", status_name(c->what.missing ? ERR_DEVICE : OK));
    if (c->what.missing) {
        table_set_text(t, "reason", c->what.missing);
        table_set_i64(t, "n", 0);
        return OK;
    }
    return describe(j, gather_ceiling(j, c), c->name, err);
}

/* The ceiling of a kind for one of our contenders: the highest of its loops with all threads; of
 * arithmetic, the instruction set in use. SIZE_MAX when there is none. */
static size_t ceiling_for(const struct rows_job *j, const struct bench_contender *c, bool read)
{
    static const struct {
        const char *in_use, *loop;
        enum ceiling_kind kind;
    } compute[] = {{"/scalar/", "generic", CEILING_FMA_FP32}, {"/avx2/", "avx2", CEILING_FMA_FP32},
                   {"/avx512/", "avx512", CEILING_FMA_FP32}, {"/avx512bf16/", "avx512bf16", CEILING_DOT_BF16}, {"/amx/", "amx", CEILING_AMX_BF16}};
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < j->r->n_ceilings; i++) {
        const struct ceiling *w = &j->r->ceilings[i].what;
        bool fits = read && w->kind == CEILING_READ;
        for (size_t k = 0; k < sizeof compute / sizeof *compute && !read; k++)
            fits = fits || (strstr(c->facts.device, compute[k].in_use) && w->kind == compute[k].kind && strcmp(w->isa, compute[k].loop) == 0);
        if (fits && w->n_threads == j->r->n_threads && isfinite(j->ceiling[i]) && (best == SIZE_MAX || j->ceiling[i] > j->ceiling[best]))
            best = i;
    }
    return best;
}

/* ---- engines ---- */

static void cell_columns(const struct bench_run *r, struct table *t, size_t contender, size_t cell)
{
    const struct bench_contender *c = &r->contenders[contender];
    const struct bench_cell *w = &r->cells[cell];
    drive_row_of(t, &c->facts, r->draft);
    table_set_text(t, "isa", c->isa);
    table_set_text(t, "cell", w->name);
}

static void metric_columns(const struct bench_run *r, struct table *t, size_t contender, size_t cell, size_t metric)
{
    const struct bench_cell *w = &r->cells[cell];
    cell_columns(r, t, contender, cell);
    table_set_text(t, "engine_version", r->contenders[contender].version);
    if (w->work == BENCH_PREFILL || w->work == BENCH_DECODE) {
        table_set_i64(t, "in_tok", (int64_t)w->in_tok);
        table_set_i64(t, "out_tok", (int64_t)w->out_tok);
        table_set_i64(t, "batch", (int64_t)w->batch);
    }
    table_set_text(t, "metric", metrics[metric].metric);
    table_set_text(t, "unit", metrics[metric].unit);
    table_set_text(t, "better", metrics[metric].higher ? "higher" : "lower");
}

static double pct_of(struct rows_job *j, size_t contender, size_t cell, enum figure figure, size_t *ceiling)
{
    *ceiling = ceiling_for(j, &j->r->contenders[contender], figure == FIG_READ);
    for (size_t m = 0; m < N_FIGURES && *ceiling != SIZE_MAX; m++)
        if (metrics[m].work == j->r->cells[cell].work && metrics[m].figure == figure) {
            const size_t n = gather(j, contender, cell, m);
            if (stats_enough(n, 500))
                return 100.0 * median(j, j->x, n) / j->ceiling[*ceiling];
        }
    return (double)NAN;
}

/* MB that a step of decoding reads by formula: of E experts, k used by a token, `batch` tokens use
 * E (1 - (1 - k/E)^batch) when routing is uniform (measurement.md 11). */
static double step_theory_mb(const struct drive_facts *f, size_t batch)
{
    double unused = (double)f->n_experts;
    for (size_t i = 0; i < batch && f->n_experts; i++)
        unused *= 1.0 - (double)f->n_experts_used / (double)f->n_experts;
    const double distinct = (double)f->n_experts - unused;
    return ((double)f->decode_weights_b + (double)f->expert_b * (distinct - (double)f->n_experts_used)) / 1e6;
}

/* Which ceiling bounds the figure, and how near it is: of tokens a second the nearer one of the two. */
static void set_ceiling(struct rows_job *j, size_t contender, size_t cell, size_t metric)
{
    const enum figure f = metrics[metric].figure;
    size_t read;
    size_t flop;
    const double read_pct = f == FIG_READ || f == FIG_RATE ? pct_of(j, contender, cell, FIG_READ, &read) : (double)NAN;
    const double flop_pct = f == FIG_FLOP || f == FIG_RATE ? pct_of(j, contender, cell, FIG_FLOP, &flop) : (double)NAN;
    if (isnan(read_pct) && isnan(flop_pct))
        return;
    const bool by_read = isnan(flop_pct) || read_pct > flop_pct;
    table_set_text(j->bench, "ceiling", j->r->ceilings[by_read ? read : flop].name);
    drive_real(j->bench, "ceiling_pct", by_read ? read_pct : flop_pct);
}

static enum status metric_row(struct rows_job *j, size_t contender, size_t cell, size_t metric, struct err *err)
{
    const struct bench_contender *c = &j->r->contenders[contender];
    const struct bench_sample *first = NULL; // that has no value
    char key[400];
    for (size_t b = 0; b < j->r->n_blocks && !first; b++)
        if (sample_of(j->r, b, contender, cell)->status)
            first = sample_of(j->r, b, contender, cell);
    const size_t n = gather(j, contender, cell, metric);
    if (n == 0 && !first)
        return OK; // a figure that this engine does not give
    if (n == 0 && !metrics[metric].compared)
        return OK; // the cell's own figure is its one empty row
    metric_columns(j->r, j->bench, contender, cell, metric);
    table_set_text(j->bench, "status", status_name(n ? OK : first->status));
    if (n == 0) {
        table_set_text(j->bench, "reason", first->reason);
        table_set_i64(j->bench, "n", 0);
        return OK;
    }
    (void)snprintf(key, sizeof key, "%s/%s/%s/%s/%s", c->facts.engine, c->facts.model, c->isa ? c->isa : "", j->r->cells[cell].name,
                   metrics[metric].metric);
    const enum status s = describe(j, n, key, err);
    if (!s)
        set_ceiling(j, contender, cell, metric);
    if (metrics[metric].figure == FIG_STEP)
        drive_real(j->bench, "theory", step_theory_mb(&c->facts, j->r->cells[cell].batch));
    return s;
}

/* ---- ratios ---- */

static enum status compare(struct rows_job *j, size_t own, size_t peer, size_t cell, size_t metric, struct err *err)
{
    size_t n = 0;
    char key[400];
    for (size_t b = 0; b < j->r->n_blocks; b++) {
        j->x[n] = value(metric, &j->r->cells[cell], sample_of(j->r, b, own, cell));
        j->y[n] = value(metric, &j->r->cells[cell], sample_of(j->r, b, peer, cell));
        n += j->x[n] > 0 && j->y[n] > 0;
    }
    if (n == 0)
        return OK;
    struct comparison *c = &j->comparisons[j->n_comparisons++];
    *c = (struct comparison){.own = own, .peer = peer, .cell = cell, .metric = metric, .n = n};
    const struct bench_contender *a = &j->r->contenders[own];
    (void)snprintf(key, sizeof key, "ratio/%s/%s/%s/%s/%s", a->facts.model, a->isa, j->r->contenders[peer].facts.engine, j->r->cells[cell].name,
                   metrics[metric].metric);
    return stats_ratio_blocks(j->y, j->x, n, STATS_DRAWS, j->r->seed, key, &c->r, err);
}

static enum status compare_all(struct rows_job *j, struct err *err)
{
    const struct bench_run *r = j->r;
    enum status s = OK;
    for (size_t own = 0; own < r->n_contenders; own++)
        for (size_t peer = 0; peer < r->n_contenders; peer++) {
            if (r->contenders[own].command || !r->contenders[peer].command ||
                r->contenders[own].same_model != r->contenders[peer].same_model)
                continue;
            for (size_t c = 0; c < r->n_cells && !s; c++)
                for (size_t m = 0; m < N_FIGURES && !s; m++)
                    if (metrics[m].compared && metrics[m].work == r->cells[c].work)
                        s = compare(j, own, peer, c, m, err);
        }
    void *mem;
    if (s || (s = mem_alloc(&mem, 2 * j->n_comparisons, sizeof(double), "p values", err)))
        return s;
    double *p = mem;
    for (size_t i = 0; i < j->n_comparisons; i++)
        p[i] = j->comparisons[i].r.p;
    s = stats_holm(p, j->n_comparisons, p + j->n_comparisons, err);
    for (size_t i = 0; i < j->n_comparisons && !s; i++)
        j->comparisons[i].p = p[j->n_comparisons + i];
    mem_free(mem);
    return s;
}

static void comparison_row(struct rows_job *j, const struct comparison *c)
{
    struct table *t = j->bench;
    char metric[64];
    const bool different = c->r.different && c->p <= 0.05;
    metric_columns(j->r, t, c->own, c->cell, c->metric);
    (void)snprintf(metric, sizeof metric, "%s_ratio", metrics[c->metric].metric);
    table_set_text(t, "metric", metric);
    table_set_text(t, "unit", "1");
    table_set_text(t, "versus", j->r->contenders[c->peer].facts.engine);
    table_set_text(t, "status", "ok");
    table_set_i64(t, "n", (int64_t)c->n);
    if (c->n < STATS_MIN_BLOCKS) {
        table_set_text(t, "reason", "below the sample floor of 5 blocks: ratio left empty");
        return;
    }
    drive_real(t, "value", c->r.ratio);
    drive_interval(t, &c->r.ci, "ratio_bootstrap");
    table_set_text(t, "verdict", !different ? "same" : (c->r.ratio > 1) == metrics[c->metric].higher ? "better" : "worse");
}

/* ---- raw rows ---- */

static void run_row(const struct bench_run *r, struct table *t, size_t block, size_t contender, size_t cell)
{
    const struct bench_sample *s = sample_of(r, block, contender, cell);
    cell_columns(r, t, contender, cell);
    table_set_i64(t, "block_idx", (int64_t)block);
    table_set_i64(t, "visit_idx", (int64_t)r->visit_idx[block * r->n_contenders + contender]);
    table_set_i64(t, "order_idx", (int64_t)s->order_idx);
    table_set_text(t, "status", status_name(s->status));
    table_set_text(t, "reason", s->reason);
    const struct {
        const char *column;
        uint64_t v;
    } ints[] = {{"ns", s->ns}, {"n_tok", s->n_tok}, {"read_b", s->read_b}, {"flop", s->flop},
                {"peak_rss_b", s->peak_rss_b > 0 ? (uint64_t)s->peak_rss_b : 0}};
    for (size_t i = 0; i < sizeof ints / sizeof *ints && !s->status; i++)
        if (ints[i].v)
            table_set_i64(t, ints[i].column, (int64_t)ints[i].v);
    if (s->has_tokens && !s->status)
        drive_digest(t, "tokens_sha256", s->tokens_sha256);
}

static void machine_run_row(const struct bench_ceiling *c, struct table *t, size_t block, size_t order)
{
    machine_columns(t, c);
    table_set_i64(t, "block_idx", (int64_t)block);
    table_set_i64(t, "visit_idx", 0);
    table_set_i64(t, "order_idx", (int64_t)order);
    table_set_text(t, "status", status_name(c->what.missing ? ERR_DEVICE : OK));
    table_set_text(t, "reason", c->what.missing);
    if (c->what.missing)
        return;
    table_set_i64(t, "ns", (int64_t)c->ns[block]);
    table_set_i64(t, c->what.kind == CEILING_READ ? "read_b" : "flop", (int64_t)c->work[block]);
}

static void run_rows(const struct bench_run *r, struct table *t)
{
    for (size_t b = 0; b < r->n_blocks; b++) {
        for (size_t i = 0; i < r->n_ceilings; i++)
            machine_run_row(&r->ceilings[i], t, b, i);
        for (size_t c = 0; c < r->n_contenders; c++)
            for (size_t k = 0; k < r->n_cells; k++)
                run_row(r, t, b, c, k);
    }
}

/* ---- */

static enum status summary(struct rows_job *j, struct err *err)
{
    const struct bench_run *r = j->r;
    enum status s = OK;
    for (size_t i = 0; i < r->n_ceilings && !s; i++) {
        const size_t n = gather_ceiling(j, &r->ceilings[i]);
        j->ceiling[i] = n ? median(j, j->x, n) : (double)NAN;
        s = machine_row(j, &r->ceilings[i], err);
    }
    for (size_t c = 0; c < r->n_contenders && !s; c++)
        for (size_t k = 0; k < r->n_cells && !s; k++)
            for (size_t m = 0; m < N_FIGURES && !s; m++)
                if (metrics[m].work == r->cells[k].work)
                    s = metric_row(j, c, k, m, err);
    if (!s)
        s = compare_all(j, err);
    for (size_t i = 0; i < j->n_comparisons && !s; i++)
        comparison_row(j, &j->comparisons[i]);
    return s;
}

enum status bench_rows(const struct bench_run *r, struct table **bench, struct table **runs, struct err *err)
{
    struct rows_job j = {.r = r};
    void *scratch = NULL;
    void *begin = NULL;
    void *list = NULL;
    enum status s;
    *bench = *runs = NULL;
    if ((s = table_new(bench, "bench", err)) || (s = table_new(runs, "bench_runs", err)) ||
        (s = mem_alloc(&scratch, 3 * r->n_blocks + r->n_ceilings, sizeof(double), "sample", err)) ||
        (s = mem_alloc(&begin, r->n_blocks + 1, sizeof(size_t), "blocks", err)) ||
        (s = mem_alloc(&list, r->n_contenders * r->n_contenders * r->n_cells * 2, sizeof(struct comparison), "comparisons", err)))
        goto done;
    j.bench = *bench;
    j.x = scratch;
    j.y = j.x + r->n_blocks;
    j.sorted = j.y + r->n_blocks;
    j.ceiling = j.sorted + r->n_blocks;
    j.begin = begin;
    for (size_t b = 0; b <= r->n_blocks; b++)
        j.begin[b] = b;
    j.comparisons = list;
    run_rows(r, *runs);
    s = summary(&j, err);
done:
    mem_free(list);
    mem_free(begin);
    mem_free(scratch);
    return s;
}
