#include <math.h>
#include <string.h>

#include "base/fmath.h"
#include "cpu/cpu.h"

/* The router and the experts. Rows are grouped by expert, so each tile of an expert is read once per
 * step however many rows chose it; results go to the row's own slot, so the order in which experts and
 * tiles are worked off never shows. */

enum { MOE_PASS_ROWS = 256 };

// softmax over the chosen logits: ref.c, choice 9
static void route_weights(const float *logits, const uint16_t *ids, size_t k, float *weights)
{
    float chain[N_CHAINS] = {0};
    for (size_t j = 0; j < k; j++) {
        weights[j] = fm_exp(logits[ids[j]] - logits[ids[0]]);
        chain[j % N_CHAINS] = chain[j % N_CHAINS] + weights[j];
    }
    for (size_t half = N_CHAINS / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            chain[i] = chain[i] + chain[i + half];
    for (size_t j = 0; j < k; j++)
        weights[j] = weights[j] / chain[0];
}

static void choose(const float *logits, size_t n_experts, size_t k, uint16_t *ids)
{
    for (size_t j = 0; j < k; j++) {
        size_t best = SIZE_MAX;
        for (size_t e = 0; e < n_experts; e++) {
            bool taken = false;
            for (size_t i = 0; i < j; i++)
                taken = taken || ids[i] == e;
            if (!taken && (best == SIZE_MAX || logits[e] > logits[best]))
                best = e;
        }
        ids[j] = (uint16_t)best;
    }
}

enum status cpu_router(struct backend *b, const float *logits, size_t n_experts, size_t k, const uint16_t *forced,
                       const struct rows *rows, size_t layer, uint16_t *ids, float *weights, struct err *err)
{
    (void)b;
    if (k == 0 || k > n_experts || n_experts > UINT16_MAX)
        return err_set(err, ERR_SHAPE, "router: expected 1 to %zu experts a token, found %zu", n_experts, k);
    unsigned saved = pool_numeric_env_enter();
    enum status s = OK;
    for (size_t t = 0; t < rows->n && !s; t++) {
        const float *row = logits + t * n_experts;
        bool good = true;
        for (size_t e = 0; e < n_experts; e++)
            good = isfinite(row[e]) && good;
        if (forced && forced[t * k] != UINT16_MAX) {
            for (size_t j = 0; j < k; j++) {
                ids[t * k + j] = forced[t * k + j];
                if (forced[t * k + j] >= n_experts)
                    s = err_set(err, ERR_RANGE, "forced expert of row %zu: expected below %zu, found %u", t, n_experts,
                                (unsigned)forced[t * k + j]);
            }
        } else if (good) {
            choose(row, n_experts, k, ids + t * k);
        } else { // any valid choice: the row has ended, and weights 0 keep it out of its own sums
            for (size_t j = 0; j < k; j++)
                ids[t * k + j] = (uint16_t)j;
        }
        if (s)
            break;
        if (good) {
            route_weights(row, ids + t * k, k, weights + t * k);
            for (size_t j = 0; j < k; j++) // forced onto one far below the first, exp may overflow
                good = isfinite(weights[t * k + j]) && good;
        }
        if (!good) {
            memset(weights + t * k, 0, k * sizeof *weights);
            cpu_fault(rows, t, layer, FAULT_ROUTER);
        }
    }
    pool_numeric_env_leave(saved);
    return s;
}

/* A pass over n rows has n * k pairs (row, slot). Sorted by expert they are the order of `pair`; pairs
 * begin[e] .. begin[e+1] belong to expert e. x and act lie in that order, ys in (row, slot) order. */
struct pass {
    const struct cpu_kernels *k;
    const struct moe *m;
    const struct rows *rows;
    size_t n, d, layer;
    size_t ldx, ldf;
    size_t row0; // first row of the pass
    const uint16_t *x16;
    const uint16_t *ids;
    const float *weights;
    float *y;
    size_t *begin; // (E + 1)
    size_t *tile0; // (E + 1) first work item of an expert
    uint32_t *pair; // (n * k) row * k + slot
    float *x;      // (n * k, ldx)
    float *act;    // (n * k, ldf)
    float *ys;     // (n * k, d)
    float *total, *part; // (workers, n * k, TILE): forced ids may name one expert twice
};

static void group_rows(struct pass *p)
{
    size_t k = p->m->n_used;
    memset(p->begin, 0, (p->m->n_experts + 1) * sizeof *p->begin);
    for (size_t i = 0; i < p->n * k; i++)
        p->begin[p->ids[i] + 1]++;
    for (size_t e = 0; e < p->m->n_experts; e++)
        p->begin[e + 1] += p->begin[e];
    size_t *at = p->tile0; // not needed yet
    memcpy(at, p->begin, (p->m->n_experts + 1) * sizeof *at);
    for (size_t i = 0; i < p->n * k; i++)
        p->pair[at[p->ids[i]]++] = (uint32_t)i;
}

// work items of one phase: the tiles of every expert that has rows
static size_t count_items(struct pass *p, struct matrix *const *matrices)
{
    p->tile0[0] = 0;
    for (size_t e = 0; e < p->m->n_experts; e++)
        p->tile0[e + 1] = p->tile0[e] + (p->begin[e + 1] > p->begin[e] ? matrices[e]->n_tiles : 0);
    return p->tile0[p->m->n_experts];
}

static size_t expert_of(const struct pass *p, size_t item)
{
    size_t e = 0;
    while (p->tile0[e + 1] <= item)
        e++;
    return e;
}

static void gather(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    (void)w;
    struct pass *p = ctx;
    for (size_t i = from; i < to; i++)
        p->k->expand(p->x16 + p->pair[i] / p->m->n_used * p->ldx, p->ldx, p->x + i * p->ldx);
}

// gate_up and the activation: a tile's 16 interleaved rows are 8 units of the expert
static void up_tiles(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    struct pass *p = ctx;
    float *total = p->total + w->index * p->n * p->m->n_used * TILE;
    float *part = p->part + w->index * p->n * p->m->n_used * TILE;
    size_t f = p->m->n_ff;
    for (size_t item = from; item < to; item++) {
        size_t e = expert_of(p, item);
        size_t tile = item - p->tile0[e];
        size_t m = p->begin[e + 1] - p->begin[e];
        size_t u0 = tile * TILE / 2;
        size_t n = f - u0 < TILE / 2 ? f - u0 : TILE / 2;
        const float *bias = p->m->gate_up_bias + e * 2 * f + 2 * u0;
        cpu_product(p->k, w, p->m->gate_up[e], tile, p->x + p->begin[e] * p->ldx, p->ldx, m, total, part);
        for (size_t t = 0; t < m; t++) {
            float *z = total + t * TILE;
            uint16_t a[TILE / 2];
            for (size_t i = 0; i < 2 * n; i++)
                z[i] = z[i] + bias[i];
            if (!p->k->glu(&p->m->glu, z, n, a))
                cpu_fault(p->rows, p->row0 + p->pair[p->begin[e] + t] / p->m->n_used, p->layer, FAULT_MLP);
            p->k->expand(a, n, p->act + (p->begin[e] + t) * p->ldf + u0);
        }
    }
}

static void down_tiles(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    struct pass *p = ctx;
    float *total = p->total + w->index * p->n * p->m->n_used * TILE;
    float *part = p->part + w->index * p->n * p->m->n_used * TILE;
    for (size_t item = from; item < to; item++) {
        size_t e = expert_of(p, item);
        size_t tile = item - p->tile0[e];
        size_t m = p->begin[e + 1] - p->begin[e];
        size_t r0 = tile * TILE;
        size_t n = p->d - r0 < TILE ? p->d - r0 : TILE;
        const float *bias = p->m->down_bias + e * p->d + r0;
        cpu_product(p->k, w, p->m->down[e], tile, p->act + p->begin[e] * p->ldf, p->ldf, m, total, part);
        for (size_t t = 0; t < m; t++)
            for (size_t i = 0; i < n; i++)
                p->ys[p->pair[p->begin[e] + t] * p->d + r0 + i] = total[t * TILE + i] + bias[i];
    }
}

static void combine_rows(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    (void)w;
    struct pass *p = ctx;
    size_t k = p->m->n_used;
    for (size_t t = from; t < to; t++)
        p->k->combine(p->weights + t * k, p->ys + t * k * p->d, k, p->d, p->y + t * p->d);
}

enum status cpu_moe(struct backend *base, const struct moe *m, const uint16_t *x, size_t d, const uint16_t *ids,
                    const float *weights, const struct rows *rows, size_t layer, float *y, struct err *err)
{
    struct cpu_backend *b = cpu_of(base);
    size_t n = rows->n < MOE_PASS_ROWS ? rows->n : MOE_PASS_ROWS;
    size_t pairs = n * m->n_used;
    size_t workers = pool_size(b->pool);
    struct pass p = {.k = b->kernels, .m = m, .rows = rows, .d = d, .layer = layer, .ldx = operand_ld(d),
                     .ldf = operand_ld(m->n_ff)};
    void *begin, *tile0, *pair, *x32, *act, *ys, *total, *part;
    const struct cpu_piece pieces[] = {
        {&begin, m->n_experts + 1, sizeof(size_t)}, {&tile0, m->n_experts + 1, sizeof(size_t)},
        {&pair, pairs, sizeof(uint32_t)},           {&x32, pairs, p.ldx * sizeof(float)},
        {&act, pairs, p.ldf * sizeof(float)},       {&ys, pairs, d * sizeof(float)},
        {&total, workers * pairs, TILE * sizeof(float)}, {&part, workers * pairs, TILE * sizeof(float)},
    };
    enum status s = cpu_scratch(b, pieces, sizeof pieces / sizeof pieces[0], err);
    if (s)
        return s;
    p.begin = begin;
    p.tile0 = tile0;
    p.pair = pair;
    p.x = x32;
    p.act = act;
    p.ys = ys;
    p.total = total;
    p.part = part;
    for (p.row0 = 0; p.row0 < rows->n; p.row0 += n) {
        p.n = rows->n - p.row0 < n ? rows->n - p.row0 : n;
        p.x16 = x + p.row0 * p.ldx;
        p.ids = ids + p.row0 * m->n_used;
        p.weights = weights + p.row0 * m->n_used;
        p.y = y + p.row0 * d;
        group_rows(&p);
        memset(p.act, 0, p.n * m->n_used * p.ldf * sizeof *p.act); // the padding behind f
        size_t n_pairs = p.n * m->n_used;
        size_t rows_each = (n_pairs + m->n_experts - 1) / m->n_experts; // of one expert, on average
        cpu_run(b, n_pairs, p.ldx / 4, gather, &p);
        cpu_run(b, count_items(&p, m->gate_up), rows_each * p.ldx * TILE, up_tiles, &p);
        cpu_run(b, count_items(&p, m->down), rows_each * p.ldf * TILE, down_tiles, &p);
        cpu_run(b, p.n, d * m->n_used, combine_rows, &p);
    }
    return OK;
}
