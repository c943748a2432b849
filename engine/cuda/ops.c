#include "cuda/cuda.h"

/* The operators: sizes checked, grids chosen, kernels queued. No grid and no choice here shows in a bit. */

static uint32_t site_of(size_t layer, enum fault_op op)
{
    return (uint32_t)(layer + 1) << 8 | (uint32_t)op;
}

static enum status check_step(const struct cuda_backend *b, const struct rows *rows, struct err *err)
{
    if (b->rows == rows)
        return OK;
    return err_set(err, ERR_USAGE, "operator: expected the rows that the step began with, found others");
}

static struct device_glu glu_of(const struct glu *g)
{
    return (struct device_glu){
        .limit = g->limit, .alpha = g->alpha, .up_add = g->up_add, .clamped = g->kind == GLU_CLAMPED};
}

enum status cuda_norm(struct backend *base, const float *x, const float *w, float eps, size_t d, const struct rows *rows,
                      const uint32_t *pick, size_t n_out, size_t layer, uint16_t *out, struct err *err)
{
    struct cuda_backend *b = cuda_of(base);
    enum status s = check_step(b, rows, err);
    if (s || (pick && (s = cuda_upload(base, b->pick, pick, n_out * sizeof *pick, err))))
        return s;
    return LAUNCH(b, norm, n_out, 1, .x = x, .w = w, .pick = pick ? b->pick : NULL, .out = out, .fault = b->fault,
                  .eps = eps, .d = (uint32_t)d, .ld = (uint32_t)operand_ld(d), .site = site_of(layer, FAULT_NORM));
}

static size_t div_up(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/* One row at a time, or eight: the choice follows the number of rows and changes only speed. */
static enum status product(struct cuda_backend *b, const struct matrix *w, bool one, struct product_args *a,
                           struct err *err)
{
    const size_t threads = cuda_kernel_threads(KERNEL_product_1);
    size_t segments = segments_of(w->at.n_blocks);
    size_t most = one ? SEGMENTS_1 : SEGMENTS_8;
    a->segments_each = (uint32_t)(segments < most ? segments : most);
    a->tiles_each = (uint32_t)(threads / TILE_ROWS / a->segments_each);
    a->ldx = (uint32_t)operand_ld(w->n_cols);
    return cuda_launch(b, one ? KERNEL_product_1 : KERNEL_product_8, div_up(w->at.n_tiles, a->tiles_each) * a->max_items,
                       1, a, sizeof *a, err);
}

enum status cuda_linear(struct backend *base, const struct matrix *w, const uint16_t *x, size_t n, const float *bias,
                        bool add, float *y, struct err *err)
{
    struct cuda_backend *b = cuda_of(base);
    bool one = n == 1;
    struct product_args a = {.matrices = w->dev,
                             .x = x,
                             .bias = bias,
                             .y = y,
                             .n_rows_in = (uint32_t)n,
                             .ldy = w->at.n_rows,
                             .in_div = 1,
                             .max_items = (uint32_t)div_up(n, one ? 1 : 8),
                             .out = add ? PRODUCT_ADD : PRODUCT_STORE};
    b->weight_bytes_read += n ? w->at.bytes : 0;
    b->dots += n * w->at.n_rows;
    return product(b, w, one, &a, err);
}

enum status cuda_qkv_store(struct backend *base, struct kv *kv, size_t layer, const struct qkv_args *a, const float *qkv,
                           const struct rows *rows, uint16_t *q, struct err *err)
{
    struct cuda_backend *b = cuda_of(base);
    struct device_kv view;
    enum status s = check_step(b, rows, err);
    if (s || (s = cuda_kv_use(kv, layer, a->n_kv_heads, a->head_dim, rows, &view, err)) || (s = cuda_kv_send(kv, err)))
        return s;
    return LAUNCH(b, qkv_store, rows->n * (a->n_heads + 2 * a->n_kv_heads), 1, .kv = view, .qkv = qkv,
                  .q_norm = a->q_norm, .k_norm = a->k_norm, .cos = a->cos, .sin = a->sin, .seq = b->seq, .pos = b->pos,
                  .q = q, .fault = b->fault, .eps = a->eps, .n_heads = (uint32_t)a->n_heads,
                  .n_kv_heads = (uint32_t)a->n_kv_heads, .head_dim = (uint32_t)a->head_dim,
                  .ldq = (uint32_t)operand_ld(a->n_heads * a->head_dim), .site = site_of(layer, FAULT_QKV));
}

enum { PARTIAL_B = 64 << 20 }; // most scratch for partial results of key blocks: rows beyond it wait their turn

/* Key blocks of the row that sees most; dots are counted on the way. */
static size_t count_blocks(struct cuda_backend *b, const struct attention_args *a, const struct rows *rows)
{
    size_t most = 0;
    for (size_t t = 0; t < rows->n; t++) {
        size_t to = (size_t)rows->pos[t] + 1;
        size_t from = a->window && to > a->window ? to - a->window : 0;
        size_t n = (to - 1) / KEY_BLOCK_KEYS - from / KEY_BLOCK_KEYS + 1;
        b->dots += a->n_heads * (to - from + n * a->head_dim);
        most = n > most ? n : most;
    }
    return most;
}

enum status cuda_attention(struct backend *base, const struct kv *kv, size_t layer, const struct attention_args *a,
                           const uint16_t *q, const struct rows *rows, uint16_t *out, struct err *err)
{
    struct cuda_backend *b = cuda_of(base);
    struct device_kv view;
    void *partial = NULL;
    enum status s = check_step(b, rows, err);
    if (s || (s = cuda_kv_use(kv, layer, a->n_kv_heads, a->head_dim, rows, &view, err)))
        return s;
    size_t n_blocks = count_blocks(b, a, rows);
    size_t row_b = a->n_heads * n_blocks * (a->head_dim + 2) * sizeof(float);
    size_t chunk = row_b && PARTIAL_B / row_b ? PARTIAL_B / row_b : 1;
    chunk = chunk < rows->n ? chunk : rows->n;
    const struct cuda_piece piece = {&partial, chunk, row_b};
    if ((s = cuda_scratch(b, &piece, 1, err)))
        return s;
    struct attend_args at = {.kv = view, .q = q, .seq = b->seq, .pos = b->pos, .partial = partial, .scale = a->scale,
                             .n_blocks = (uint32_t)n_blocks, .n_heads = (uint32_t)a->n_heads,
                             .n_kv_heads = (uint32_t)a->n_kv_heads, .head_dim = (uint32_t)a->head_dim,
                             .ld = (uint32_t)operand_ld(a->n_heads * a->head_dim), .window = (uint32_t)a->window};
    struct attend_merge_args merge = {.partial = partial, .sinks = a->sinks, .pos = b->pos, .out = out,
                                      .fault = b->fault, .n_blocks = at.n_blocks, .n_heads = at.n_heads,
                                      .n_kv_heads = at.n_kv_heads, .head_dim = at.head_dim, .ld = at.ld,
                                      .window = at.window, .site = site_of(layer, FAULT_ATTENTION)};
    size_t groups = div_up(a->n_heads / a->n_kv_heads, HEADS_AT_ONCE) * a->n_kv_heads;
    for (size_t row0 = 0; row0 < rows->n && !s; row0 += chunk) {
        size_t n = rows->n - row0 < chunk ? rows->n - row0 : chunk;
        at.row0 = merge.row0 = (uint32_t)row0;
        if (!(s = cuda_launch(b, KERNEL_attend, n * n_blocks, groups, &at, sizeof at, err)))
            s = cuda_launch(b, KERNEL_attend_merge, n * a->n_kv_heads, 1, &merge, sizeof merge, err);
    }
    return s;
}

enum status cuda_glu(struct backend *base, const struct glu *g, const float *z, size_t n_ff, const struct rows *rows,
                     size_t layer, uint16_t *out, struct err *err)
{
    struct cuda_backend *b = cuda_of(base);
    enum status s = check_step(b, rows, err);
    size_t blocks = div_up(operand_ld(n_ff), cuda_kernel_threads(KERNEL_glu));
    if (s)
        return s;
    return LAUNCH(b, glu, rows->n * blocks, 1, .glu = glu_of(g), .z = z, .out = out, .fault = b->fault,
                  .n_ff = (uint32_t)n_ff, .ld = (uint32_t)operand_ld(n_ff), .blocks = (uint32_t)blocks,
                  .site = site_of(layer, FAULT_MLP));
}

enum status cuda_router(struct backend *base, const float *logits, size_t n_experts, size_t k, const uint16_t *forced,
                        const struct rows *rows, size_t layer, uint16_t *ids, float *weights, struct err *err)
{
    struct cuda_backend *b = cuda_of(base);
    enum status s = check_step(b, rows, err);
    if (s)
        return s;
    if (k == 0 || k > n_experts || n_experts > ROUTER_EXPERTS_MAX)
        return err_set(err, ERR_SHAPE, "router: expected 1 to %zu of at most %d experts a token, found %zu", n_experts,
                       ROUTER_EXPERTS_MAX, k);
    return LAUNCH(b, router, rows->n, 1, .logits = logits, .forced = forced, .ids = ids, .weights = weights,
                  .fault = b->fault, .error = b->words + WORD_ERROR, .n_experts = (uint32_t)n_experts,
                  .k = (uint32_t)k, .site = site_of(layer, FAULT_ROUTER));
}

/* Pairs by expert, gate and up with the activation, down, and the weighted sum. */
enum status cuda_moe(struct backend *base, const struct moe *m, const uint16_t *x, size_t d, const uint16_t *ids,
                     const float *weights, const struct rows *rows, size_t layer, float *y, struct err *err)
{
    struct cuda_backend *b = cuda_of(base);
    const struct device_matrix *up = NULL;
    const struct device_matrix *down = NULL;
    size_t pairs = rows->n * m->n_used;
    size_t ldf = operand_ld(m->n_ff);
    bool one = rows->n == 1;
    size_t live = m->n_experts < pairs ? m->n_experts : pairs;
    size_t max_items = one ? pairs : live + pairs / 8;
    size_t blocks = div_up(d, cuda_kernel_threads(KERNEL_combine));
    void *list, *items, *act, *ys;
    const struct cuda_piece pieces[] = {{&list, pairs, sizeof(uint32_t)},
                                        {&items, max_items, sizeof(struct item)},
                                        {&act, pairs, ldf * sizeof(uint16_t)},
                                        {&ys, pairs, d * sizeof(float)}};
    enum status s = check_step(b, rows, err);
    if (s || (s = cuda_scratch(b, pieces, 4, err)) || (s = cuda_experts(b, m->gate_up, m->n_experts, &up, err)) ||
        (s = cuda_experts(b, m->down, m->n_experts, &down, err)))
        return s;
    b->dots += pairs * (2 * m->n_ff + d);
    if ((s = LAUNCH(b, group, 1, 1, .ids = ids, .a = up, .b = down, .pairs = list, .items = items,
                    .n_items = b->words + WORD_ITEMS, .weight_bytes = (uint64_t *)(void *)(b->words + WORD_BYTES_READ),
                    .n_pairs = (uint32_t)pairs, .n_experts = (uint32_t)m->n_experts, .m_max = one ? 1 : 8)))
        return s;
    struct product_args a = {.matrices = up,
                             .items = items,
                             .n_items = b->words + WORD_ITEMS,
                             .pairs = list,
                             .x = x,
                             .bias = m->gate_up_bias,
                             .act = act,
                             .fault = b->fault,
                             .glu = glu_of(&m->glu),
                             .ldy = (uint32_t)ldf,
                             .bias_ld = (uint32_t)(2 * m->n_ff),
                             .in_div = (uint32_t)m->n_used,
                             .fault_div = (uint32_t)m->n_used,
                             .max_items = (uint32_t)max_items,
                             .out = PRODUCT_GLU,
                             .site = site_of(layer, FAULT_MLP)};
    if ((s = product(b, m->gate_up[0], one, &a, err)))
        return s;
    a.matrices = down;
    a.x = act;
    a.bias = m->down_bias;
    a.y = ys;
    a.ldy = (uint32_t)d;
    a.bias_ld = (uint32_t)d;
    a.in_div = 1;
    a.out = PRODUCT_STORE;
    if ((s = product(b, m->down[0], one, &a, err)))
        return s;
    return LAUNCH(b, combine, rows->n * blocks, 1, .weights = weights, .ys = ys, .y = y, .d = (uint32_t)d,
                  .k = (uint32_t)m->n_used, .blocks = (uint32_t)blocks);
}
