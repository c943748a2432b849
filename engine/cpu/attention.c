#include <math.h>
#include <string.h>

#include "base/fmath.h"
#include "cpu/cpu.h"

/* Attention over the paged cache. All loops go by absolute position; kv_k and kv_v turn a position into
 * the page that holds it, and nothing else knows of rings. */

struct store {
    const struct cpu_kernels *k;
    const struct kv *kv;
    const struct qkv_args *a;
    const float *qkv;
    const struct rows *rows;
    uint16_t *q;
    size_t layer, ldq;
    float *head;      // (workers, head_dim)
    uint16_t *head16; // (workers, head_dim)
};

/* The half of a tile's words at (place, lane). Rows on different threads write different halves. */
static uint16_t *half_at(uint32_t *tile, size_t place, size_t lane)
{
    return (uint16_t *)tile + (place / 2 * TILE + lane) * 2 + place % 2;
}

static void write_k(const struct store *s, uint32_t *page, size_t slot, const uint16_t *v)
{
    uint32_t *tile = page + slot / TILE * (kv_k_dim(s->kv) / 2 * TILE);
    for (size_t i = 0; i < s->a->head_dim; i++)
        *half_at(tile, tile_place(s->k->order, i), slot % TILE) = v[i];
}

static void write_v(const struct store *s, uint32_t *page, size_t slot, const uint16_t *v)
{
    for (size_t i = 0; i < s->a->head_dim; i++)
        *half_at(page + i / TILE * (PAGE_POS / 2 * TILE), tile_place(s->k->order, slot), i % TILE) = v[i];
}

// items are (row, head) pairs, heads counted through q, k and v
static void store_heads(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    struct store *s = ctx;
    const struct qkv_args *a = s->a;
    size_t h = a->head_dim;
    size_t n_heads = a->n_heads + 2 * a->n_kv_heads;
    float *x = s->head + w->index * h;
    uint16_t *x16 = s->head16 + w->index * h;
    for (size_t item = from; item < to; item++) {
        size_t t = item / n_heads;
        size_t head = item % n_heads;
        size_t seq = s->rows->seq[t];
        size_t pos = s->rows->pos[t];
        bool is_v = head >= a->n_heads + a->n_kv_heads;
        bool good = true;
        memcpy(x, s->qkv + item * h, h * sizeof *x);
        if (!is_v) {
            const float *norm = head < a->n_heads ? a->q_norm : a->k_norm;
            if (norm) {
                float r;
                good = cpu_rms(s->k, x, h, a->eps, &r);
                s->k->norm_scale(x, norm, r, h, x);
            }
            s->k->rope(x, a->cos + pos * (h / 2), a->sin + pos * (h / 2), h / 2);
        }
        if (good)
            good = s->k->operands(x, h, x16);
        else
            memset(x16, 0, h * sizeof *x16);
        if (!good)
            cpu_fault(s->rows, t, s->layer, FAULT_QKV);
        if (head < a->n_heads)
            memcpy(s->q + t * s->ldq + head * h, x16, h * sizeof *x16);
        else if (is_v)
            write_v(s, kv_v(s->kv, s->layer, seq, pos, head - a->n_heads - a->n_kv_heads), pos % PAGE_POS, x16);
        else
            write_k(s, kv_k(s->kv, s->layer, seq, pos, head - a->n_heads), pos % PAGE_POS, x16);
    }
}

static enum status check_rows(const struct kv *kv, size_t n_kv_heads, size_t head_dim, const struct rows *rows,
                              struct err *err)
{
    if (n_kv_heads != kv->n_kv_heads || head_dim != kv->head_dim)
        return err_set(err, ERR_SHAPE, "attention: expected %zu heads of %zu, found %zu of %zu", kv->n_kv_heads,
                       kv->head_dim, n_kv_heads, head_dim);
    return kv_pages_check(&kv->pages, rows, err);
}

enum status cpu_qkv_store(struct backend *base, struct kv *kv, size_t layer, const struct qkv_args *a,
                          const float *qkv, const struct rows *rows, uint16_t *q, struct err *err)
{
    struct cpu_backend *b = cpu_of(base);
    enum status s = check_rows(kv, a->n_kv_heads, a->head_dim, rows, err);
    if (s)
        return s;
    size_t workers = pool_size(b->pool);
    void *head, *head16;
    const struct cpu_piece pieces[] = {
        {&head, workers * a->head_dim, sizeof(float)},
        {&head16, workers * a->head_dim, sizeof(uint16_t)},
    };
    s = cpu_scratch(b, pieces, 2, err);
    if (s)
        return s;
    struct store st = {.k = b->kernels, .kv = kv, .a = a, .qkv = qkv, .rows = rows, .q = q, .layer = layer,
                       .ldq = operand_ld(a->n_heads * a->head_dim), .head = head, .head16 = head16};
    size_t width = a->n_heads * a->head_dim;
    for (size_t t = 0; t < rows->n && st.ldq > width; t++)
        memset(q + t * st.ldq + width, 0, (st.ldq - width) * sizeof *q);
    cpu_run(b, rows->n * (a->n_heads + 2 * a->n_kv_heads), 8 * a->head_dim, store_heads, &st);
    return OK;
}

/* One worker's buffers for the query heads of one kv head (a group). */
struct bench {
    uint8_t *q;      // (group, kv_k_dim) staged
    float *s;        // (group, KEY_BLOCK) scores
    uint16_t *p;     // (group, KEY_BLOCK)
    uint8_t *ps;     // (group, KEY_BLOCK) p staged
    float *ob;       // (group, hp) one block's output; hp = head_dim rounded up to 16
    float *o;        // (group, hp) merged output
    float *m, *l;    // (group) merged maximum and denominator
    float *mb, *lb;  // (group) one block's
    float *y;        // (h) o / l
};

struct attend {
    const struct cpu_kernels *k;
    const struct kv *kv;
    const struct attention_args *a;
    const uint16_t *q;
    const struct rows *rows;
    uint16_t *out;
    size_t layer, group, hp, ld;
    struct bench first; // worker 0's buffers; the others' follow
};

static struct bench bench_of(const struct attend *c, size_t worker)
{
    size_t g = worker * c->group;
    size_t h = c->a->head_dim;
    const struct bench *f = &c->first;
    return (struct bench){.q = f->q + g * kv_k_dim(c->kv) * c->k->staged_b,
                          .s = f->s + g * KEY_BLOCK,
                          .p = f->p + g * KEY_BLOCK,
                          .ps = f->ps + g * KEY_BLOCK * c->k->staged_b,
                          .ob = f->ob + g * c->hp,
                          .o = f->o + g * c->hp,
                          .m = f->m + g,
                          .l = f->l + g,
                          .mb = f->mb + g,
                          .lb = f->lb + g,
                          .y = f->y + worker * h};
}

/* One key block, keys [from, to) visible: s, then p, then ob, mb, lb of every head of the group. */
static bool block(const struct attend *c, const struct bench *w, size_t seq, size_t head, size_t from, size_t to)
{
    size_t base = from / KEY_BLOCK * KEY_BLOCK;
    size_t first = from / PAGE_POS * PAGE_POS;
    bool good = true;
    size_t tile_b = kv_k_dim(c->kv) * TILE * sizeof(uint16_t);
    struct dot d = {.format = TILE_BF16, .m = c->group, .tile_b = tile_b, .n_tiles = PAGE_POS / TILE, .n = kv_k_dim(c->kv),
                    .x = w->q, .ldx = kv_k_dim(c->kv), .ldc = KEY_BLOCK};
    memset(w->s, 0, c->group * KEY_BLOCK * sizeof *w->s);
    for (size_t pos = first; pos < to; pos += PAGE_POS) {
        d.w = (const uint8_t *)kv_k(c->kv, c->layer, seq, pos, head);
        d.c = w->s + (pos - base);
        c->k->dot(&d);
    }
    for (size_t i = 0; i < c->group; i++) {
        good = c->k->softmax(w->s + i * KEY_BLOCK, from - base, to - base, c->a->scale, w->p + i * KEY_BLOCK, &w->mb[i],
                             &w->lb[i]) && good;
        c->k->stage(w->p + i * KEY_BLOCK, KEY_BLOCK, w->ps + i * KEY_BLOCK * c->k->staged_b);
    }
    memset(w->ob, 0, c->group * c->hp * sizeof *w->ob);
    d = (struct dot){.format = TILE_BF16, .m = c->group, .tile_b = PAGE_POS * TILE * sizeof(uint16_t),
                     .n_tiles = c->hp / TILE, .n = PAGE_POS, .ldx = KEY_BLOCK, .c = w->ob, .ldc = c->hp};
    for (size_t pos = first; pos < to; pos += PAGE_POS) {
        d.w = (const uint8_t *)kv_v(c->kv, c->layer, seq, pos, head);
        d.x = w->ps + (pos - base) * c->k->staged_b;
        c->k->dot(&d);
    }
    return good;
}

// ref.c, choice 7
static void merge(const struct attend *c, const struct bench *w, size_t i)
{
    float n = w->m[i] > w->mb[i] ? w->m[i] : w->mb[i];
    float a = fm_exp(w->m[i] - n);
    float b = fm_exp(w->mb[i] - n);
    w->l[i] = fmaf(w->l[i], a, w->lb[i] * b);
    c->k->merge(w->o + i * c->hp, a, w->ob + i * c->hp, b, c->hp);
    w->m[i] = n;
}

// items are (row, kv head) pairs
static void attend_items(void *ctx, struct cpu_worker *worker, size_t from, size_t to)
{
    struct attend *c = ctx;
    struct bench w = bench_of(c, worker->index);
    size_t h = c->a->head_dim;
    for (size_t item = from; item < to; item++) {
        size_t t = item / c->a->n_kv_heads;
        size_t head = item % c->a->n_kv_heads;
        size_t at = t * c->ld + head * c->group * h;
        size_t seq = c->rows->seq[t];
        size_t end = (size_t)c->rows->pos[t] + 1;
        size_t pos = c->a->window && end > c->a->window ? end - c->a->window : 0;
        bool good = true;
        bool started = c->a->sinks != NULL;
        for (size_t i = 0; i < c->group; i++) {
            uint16_t head16[SEGMENT] = {0}; // a head may end amid 4
            memcpy(head16, c->q + at + i * h, h * sizeof *head16);
            c->k->stage(head16, kv_k_dim(c->kv), w.q + i * kv_k_dim(c->kv) * c->k->staged_b);
        }
        for (size_t i = 0; i < c->group && started; i++) {
            w.m[i] = c->a->sinks[head * c->group + i];
            w.l[i] = 1.0f;
        }
        memset(w.o, 0, c->group * c->hp * sizeof *w.o);
        worker->dots += c->group * (end - pos);
        while (pos < end) {
            size_t next = (pos / KEY_BLOCK + 1) * KEY_BLOCK;
            next = next < end ? next : end;
            good = block(c, &w, seq, head, pos, next) && good;
            worker->dots += c->group * h;
            if (started) {
                for (size_t i = 0; i < c->group; i++)
                    merge(c, &w, i);
            } else {
                memcpy(w.m, w.mb, c->group * sizeof *w.m);
                memcpy(w.l, w.lb, c->group * sizeof *w.l);
                memcpy(w.o, w.ob, c->group * c->hp * sizeof *w.o);
                started = true;
            }
            pos = next;
        }
        for (size_t i = 0; i < c->group; i++) {
            for (size_t d = 0; d < h; d++)
                w.y[d] = w.o[i * c->hp + d] / w.l[i];
            good = c->k->operands(w.y, h, c->out + at + i * h) && good;
        }
        if (!good) {
            memset(c->out + at, 0, c->group * h * sizeof *c->out);
            cpu_fault(c->rows, t, c->layer, FAULT_ATTENTION);
        }
    }
}

enum status cpu_attention(struct backend *base, const struct kv *kv, size_t layer, const struct attention_args *a,
                          const uint16_t *q, const struct rows *rows, uint16_t *out, struct err *err)
{
    struct cpu_backend *b = cpu_of(base);
    enum status s = check_rows(kv, a->n_kv_heads, a->head_dim, rows, err);
    if (s)
        return s;
    size_t width = a->n_heads * a->head_dim;
    struct attend c = {.k = b->kernels, .kv = kv, .a = a, .q = q, .rows = rows, .out = out, .layer = layer,
                       .group = a->n_heads / a->n_kv_heads, .hp = kv_dim_tiles(kv) * TILE, .ld = operand_ld(width)};
    size_t heads = pool_size(b->pool) * c.group;
    void *qs, *sc, *p, *ps, *ob, *o, *m, *l, *mb, *lb, *y;
    const struct cpu_piece pieces[] = {
        {&qs, heads * kv_k_dim(kv), c.k->staged_b}, {&sc, heads * KEY_BLOCK, sizeof(float)},
        {&p, heads * KEY_BLOCK, sizeof(uint16_t)},  {&ps, heads * KEY_BLOCK, c.k->staged_b},
        {&ob, heads * c.hp, sizeof(float)},         {&o, heads * c.hp, sizeof(float)},
        {&m, heads, sizeof(float)},                 {&l, heads, sizeof(float)},
        {&mb, heads, sizeof(float)},                {&lb, heads, sizeof(float)},
        {&y, pool_size(b->pool) * a->head_dim, sizeof(float)},
    };
    s = cpu_scratch(b, pieces, sizeof pieces / sizeof pieces[0], err);
    if (s)
        return s;
    c.first = (struct bench){.q = qs, .s = sc, .p = p, .ps = ps, .ob = ob, .o = o, .m = m, .l = l, .mb = mb, .lb = lb, .y = y};
    for (size_t t = 0; t < rows->n && c.ld > width; t++)
        memset(out + t * c.ld + width, 0, (c.ld - width) * sizeof *out);
    size_t n_keys = 0; // the longest row's
    for (size_t t = 0; t < rows->n; t++)
        n_keys = rows->pos[t] + 1U > n_keys ? rows->pos[t] + 1U : n_keys;
    n_keys = a->window && a->window < n_keys ? a->window : n_keys;
    cpu_run(b, rows->n * a->n_kv_heads, 2 * c.group * a->head_dim * n_keys, attend_items, &c);
    return OK;
}
