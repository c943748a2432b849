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
    size_t *item0; // (E + 1) first work item of an expert
    size_t strip_tiles; // of an item
    uint32_t *pair; // (n * k) row * k + slot
    uint8_t *x;    // (n * k, ldx) staged
    uint8_t *act;  // (n * k, ldf) staged
    float *ys;     // (n * k, d)
    struct product_room *room; // (workers)
};

static void group_rows(struct pass *p)
{
    size_t k = p->m->n_used;
    memset(p->begin, 0, (p->m->n_experts + 1) * sizeof *p->begin);
    for (size_t i = 0; i < p->n * k; i++)
        p->begin[p->ids[i] + 1]++;
    for (size_t e = 0; e < p->m->n_experts; e++)
        p->begin[e + 1] += p->begin[e];
    size_t *at = p->item0; // not needed yet
    memcpy(at, p->begin, (p->m->n_experts + 1) * sizeof *at);
    for (size_t i = 0; i < p->n * k; i++)
        p->pair[at[p->ids[i]]++] = (uint32_t)i;
}

// work items of one phase: the strips of every expert that has rows
static size_t count_items(struct pass *p, struct matrix *const *matrices)
{
    p->item0[0] = 0;
    for (size_t e = 0; e < p->m->n_experts; e++)
        p->item0[e + 1] = p->item0[e] + (p->begin[e + 1] > p->begin[e] ? cpu_strips(matrices[e], p->strip_tiles) : 0);
    return p->item0[p->m->n_experts];
}

static void gather(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    (void)w;
    struct pass *p = ctx;
    for (size_t i = from; i < to; i++)
        p->k->stage(p->x16 + p->pair[i] / p->m->n_used * p->ldx, p->ldx, p->x + i * p->ldx * p->k->staged_b);
}

/* Work item i of a phase, and which expert it belongs to. */
static struct strip item_at(const struct pass *p, struct matrix *const *matrices, size_t i, size_t *expert)
{
    *expert = 0;
    while (p->item0[*expert + 1] <= i)
        ++*expert;
    return cpu_strip(matrices[*expert], p->strip_tiles, i - p->item0[*expert]);
}

/* The items of one phase with the pairs of their experts, a block of rows at a time. */
static void run_items(const struct pass *p, struct cpu_worker *w, struct matrix *const *matrices, const uint8_t *x,
                      size_t ldx, size_t from, size_t to,
                      void (*put)(const struct pass *, const struct strip *, size_t expert, size_t pair, size_t m, float *))
{
    struct product_room *room = p->room + w->index;
    for (size_t i = from; i < to; i++) {
        size_t e, next;
        struct strip s = item_at(p, matrices, i, &e);
        if (i + 1 < to) {
            struct strip after = item_at(p, matrices, i + 1, &next);
            s.ahead = cpu_segment(after.a, after.tile, 0);
        }
        for (size_t pair = p->begin[e]; pair < p->begin[e + 1]; pair += PRODUCT_ROWS) {
            size_t m = p->begin[e + 1] - pair < PRODUCT_ROWS ? p->begin[e + 1] - pair : PRODUCT_ROWS;
            cpu_product(p->k, w, &s, x + pair * ldx * p->k->staged_b, ldx, m, room);
            put(p, &s, e, pair, m, room->total);
        }
        w->weight_bytes_read += s.n_tiles * s.a->tile_b;
    }
}

// gate_up's results through the activation: interleaved rows 2i and 2i + 1 are unit i of the expert
static void put_units(const struct pass *p, const struct strip *s, size_t expert, size_t pair, size_t m, float *z)
{
    const float *bias = p->m->gate_up_bias + expert * 2 * p->m->n_ff + s->r0;
    for (size_t j = pair; j < pair + m; j++, z += STRIP_LANES) {
        uint16_t a[STRIP_LANES / 2] = {0};
        for (size_t i = 0; i < s->n; i++)
            z[i] = z[i] + bias[i];
        if (!p->k->glu(&p->m->glu, z, s->n / 2, a))
            cpu_fault(p->rows, p->row0 + p->pair[j] / p->m->n_used, p->layer, FAULT_MLP);
        p->k->stage(a, s->n_tiles * TILE / 2, p->act + (j * p->ldf + s->r0 / 2) * p->k->staged_b);
    }
}

static void up_items(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    const struct pass *p = ctx;
    run_items(p, w, p->m->gate_up, p->x, p->ldx, from, to, put_units);
}

static void put_outputs(const struct pass *p, const struct strip *s, size_t expert, size_t pair, size_t m, float *y)
{
    const float *bias = p->m->down_bias + expert * p->d + s->r0;
    for (size_t j = pair; j < pair + m; j++, y += STRIP_LANES)
        for (size_t i = 0; i < s->n; i++)
            p->ys[p->pair[j] * p->d + s->r0 + i] = y[i] + bias[i];
}

static void down_items(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    const struct pass *p = ctx;
    run_items(p, w, p->m->down, p->act, p->ldf, from, to, put_outputs);
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
    struct pass p = {.k = b->kernels, .m = m, .rows = rows, .d = d, .layer = layer, .ldx = operand_ld(d),
                     .ldf = operand_ld(m->n_ff)};
    void *begin, *item0, *pair, *staged, *act, *ys, *room;
    const struct cpu_piece pieces[] = {
        {&begin, m->n_experts + 1, sizeof(size_t)},
        {&item0, m->n_experts + 1, sizeof(size_t)},
        {&pair, pairs, sizeof(uint32_t)},
        {&staged, pairs, p.ldx * p.k->staged_b},
        {&act, pairs, p.ldf * p.k->staged_b},
        {&ys, pairs, d * sizeof(float)},
        {&room, pool_size(b->pool), sizeof(struct product_room)},
    };
    enum status s = cpu_scratch(b, pieces, sizeof pieces / sizeof pieces[0], err);
    if (s)
        return s;
    p.begin = begin;
    p.item0 = item0;
    p.pair = pair;
    p.x = staged;
    p.act = act;
    p.ys = ys;
    p.room = room;
    for (p.row0 = 0; p.row0 < rows->n; p.row0 += n) {
        p.n = rows->n - p.row0 < n ? rows->n - p.row0 : n;
        p.x16 = x + p.row0 * p.ldx;
        p.ids = ids + p.row0 * m->n_used;
        p.weights = weights + p.row0 * m->n_used;
        p.y = y + p.row0 * d;
        group_rows(&p);
        memset(p.act, 0, p.n * m->n_used * p.ldf * p.k->staged_b); // the padding behind f
        size_t n_pairs = p.n * m->n_used;
        size_t rows_each = (n_pairs + m->n_experts - 1) / m->n_experts; // of one expert, on average
        p.strip_tiles = cpu_strip_tiles(b, m->down[0]->n_tiles * n_pairs / rows_each);
        cpu_run(b, n_pairs, p.ldx / 4, gather, &p);
        cpu_run(b, count_items(&p, m->gate_up), p.strip_tiles * rows_each * p.ldx * TILE, up_items, &p);
        cpu_run(b, count_items(&p, m->down), p.strip_tiles * rows_each * p.ldf * TILE, down_items, &p);
        cpu_run(b, p.n, d * m->n_used, combine_rows, &p);
    }
    return OK;
}
