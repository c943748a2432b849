#include "drive/ablate_rows.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "drive/rows.h"
#include "lib/stats.h"

/* The metrics that are compared; N_METRICS stands for out_tok_s. */
static const size_t compared[] = {METRIC_TTFT, METRIC_TPOT, METRIC_E2E, METRIC_DECODE_RATE, N_METRICS};
enum { N_COMPARED = sizeof compared / sizeof *compared };

/* One metric of one variant against the baseline. */
struct comparison {
    const struct ablate_variant *v;
    size_t metric;
    struct stats_ratio r;
    double p; /* adjusted by Holm over the table */
};

static void begin_row(const struct ablate_run *r, struct table *t, const struct ablate_variant *v)
{
    drive_row(t, v->model ? v->model : r->variants[0].model, r->draft);
    table_set_text(t, "factor", v->factor);
    table_set_text(t, "level", v->level);
    table_set_text(t, "baseline", "baseline");
    table_set_i64(t, "in_tok", (int64_t)v->cell.in_tok);
    table_set_i64(t, "out_tok", (int64_t)v->cell.out_tok);
    table_set_i64(t, "concurrency", (int64_t)v->cell.concurrency);
}

static const char *name_of(size_t metric)
{
    return metric == N_METRICS ? "out_tok_s" : metric_name((enum metric)metric);
}

static const char *unit_of(size_t metric)
{
    return metric == N_METRICS ? "tok/s" : metric_unit((enum metric)metric);
}

/* Every block has a value of both. Else there is nothing to compare: requests failed, or the metric is
 * empty by definition for this level. */
static bool comparable(const struct ablate_run *r, const struct ablate_variant *v, size_t metric)
{
    for (size_t b = 0; b < r->n_blocks; b++)
        if (!(v->value[metric][b] > 0) || !(r->variants[0].value[metric][b] > 0))
            return false;
    return true;
}

static enum status compare_all(const struct ablate_run *r, struct comparison *list, size_t *n, struct err *err)
{
    for (size_t i = 0; i < r->n_variants; i++) {
        const struct ablate_variant *v = &r->variants[i];
        for (size_t k = 0; k < N_COMPARED && v->model; k++) {
            struct comparison *c = &list[*n];
            char key[160];
            if (!comparable(r, v, compared[k]))
                continue;
            *c = (struct comparison){.v = v, .metric = compared[k]};
            (void)snprintf(key, sizeof key, "%s/%s/%s", v->factor, v->level, name_of(c->metric));
            enum status s = stats_ratio_blocks(r->variants[0].value[c->metric], v->value[c->metric], r->n_blocks,
                                               STATS_DRAWS, r->seed, key, &c->r, err);
            if (s)
                return s;
            ++*n;
        }
    }
    return OK;
}

/* The whole table asks many questions at once: their p-values are adjusted together. The baseline against
 * itself is no question. */
static enum status adjust(struct comparison *list, size_t n, const struct ablate_variant *baseline, struct err *err)
{
    void *mem;
    enum status s = mem_alloc(&mem, 2 * n, sizeof(double), "p values", err);
    if (s)
        return s;
    double *p = mem;
    size_t n_asked = 0;
    for (size_t i = 0; i < n; i++)
        if (list[i].v != baseline)
            p[n_asked++] = list[i].r.p;
    s = stats_holm(p, n_asked, p + n, err);
    n_asked = 0;
    for (size_t i = 0; i < n && !s; i++)
        list[i].p = list[i].v == baseline ? 1.0 : p[n + n_asked++];
    mem_free(mem);
    return s;
}

static enum status comparison_row(const struct ablate_run *r, struct table *t, const struct comparison *c, struct err *err)
{
    size_t n_blocks = r->n_blocks;
    bool higher_is_better = strcmp(unit_of(c->metric), "tok/s") == 0;
    bool different = c->r.different && c->p <= 0.05;
    void *p;
    enum status s = mem_alloc(&p, n_blocks, sizeof(double), "block values", err);
    if (s)
        return s;
    double *sorted = p;
    memcpy(sorted, c->v->value[c->metric], n_blocks * sizeof *sorted);
    stats_sort(sorted, n_blocks);
    begin_row(r, t, c->v);
    table_set_text(t, "metric", name_of(c->metric));
    table_set_text(t, "unit", unit_of(c->metric));
    table_set_text(t, "status", "ok");
    table_set_i64(t, "n_blocks", (int64_t)n_blocks);
    table_set_i64(t, "n_err", (int64_t)c->v->n_err);
    drive_digest(t, "tokens_sha256", c->v->tokens_sha256);
    drive_real(t, "value", stats_percentile(sorted, n_blocks, 500, PCT_NEAREST_RANK));
    mem_free(p);
    drive_real(t, "ratio", c->r.ratio);
    drive_interval(t, &c->r.ci, n_blocks > 1 ? "block_bootstrap" : NULL);
    table_set_text(t, "better", !different ? "same" : (c->r.ratio > 1) == higher_is_better ? "level" : "baseline");
    return OK;
}

/* A level without any comparison still has its row, with the reason. */
static void empty_row(const struct ablate_run *r, struct table *t, const struct ablate_variant *v)
{
    const struct ablate_variant *why = v->failed ? v : &r->variants[0];
    char reason[160];
    begin_row(r, t, v);
    table_set_text(t, "metric", metric_name(METRIC_TPOT));
    table_set_text(t, "unit", metric_unit(METRIC_TPOT));
    if (!v->model) {
        table_set_text(t, "status", status_name(ERR_UNSUPPORTED));
        table_set_text(t, "reason", v->reason);
        return;
    }
    (void)snprintf(reason, sizeof reason, "%zu requests of the %s failed", why->n_err, why == v ? "level" : "baseline");
    table_set_text(t, "status", status_name(why->failed));
    table_set_text(t, "reason", reason);
    table_set_i64(t, "n_err", (int64_t)v->n_err);
}

enum status ablate_rows(const struct ablate_run *r, struct table **out, struct err *err)
{
    void *p = NULL;
    size_t n = 0;
    enum status s;
    *out = NULL;
    if ((s = table_new(out, "ablation", err)) ||
        (s = mem_alloc(&p, r->n_variants * N_COMPARED, sizeof(struct comparison), "comparisons", err)) ||
        (s = compare_all(r, p, &n, err)) || (s = adjust(p, n, r->variants, err)))
        goto done;
    const struct comparison *list = p;
    size_t at = 0;
    for (size_t i = 0; i < r->n_variants && !s; i++) {
        const struct ablate_variant *v = &r->variants[i];
        if (at == n || list[at].v != v)
            empty_row(r, *out, v);
        for (; at < n && list[at].v == v && !s; at++)
            s = comparison_row(r, *out, &list[at], err);
    }
done:
    mem_free(p);
    return s;
}
