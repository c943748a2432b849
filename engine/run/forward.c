#include "run/forward.h"

#include <math.h>
#include <string.h>

#include "model/rope.h"

/* Buffers of a step, one row a token. ld() is operand_ld. */
struct rows_buffers {
    float *x;             // (n, d) residual stream
    float *qkv;           // (n, (H+2K)h)
    float *z;             // (n, 2f) dense only
    float *router;        // (n, E)
    float *weights;       // (n, k)
    uint16_t *h;          // (n, ld d) normalised
    uint16_t *q, *attn;   // (n, ld H*h)
    uint16_t *a;          // (n, ld f) dense only
    uint16_t *ids;        // (n, k)
    uint16_t *forced;     // (n, k)
};

struct forward {
    struct model *m;
    struct backend *b;
    struct forward_shape shape;
    struct kv *kv;
    float *cos, *sin;     // dev (n_pos, h/2)
    float *logits;        // dev (n_pick, V)
    uint16_t *picked;     // dev (n_pick, ld d)
    float *host_logits;   // (n_pick, V)
    uint16_t *host_ids;   // (n, k)
    struct rows_buffers r;
    size_t cap_rows;
    uint64_t fixed_b, rows_b; // bytes of the buffers above, those of the backend
    uint64_t host_b;          // and of host_logits and host_ids
    uint64_t *hits;       // (n_layers, E)
    uint64_t expert_rows;
    // the step at hand
    const struct step *step;
    struct rows rows;
};

static enum status dev(struct forward *f, void *out, size_t n, size_t width, size_t size, const char *what,
                       uint64_t *bytes, struct err *err)
{
    size_t total;
    if (!size_mul(n, width, &total) || !size_mul(total, size, &total))
        return err_set(err, ERR_MEMORY, "cannot allocate %s: %zu x %zu x %zu bytes overflow", what, n, width, size);
    void *p = NULL;
    enum status s = f->b->ops->alloc(f->b, &p, total, what, err);
    if (s)
        return s;
    memcpy(out, &p, sizeof p); // out is the address of a pointer of any type
    *bytes += total;
    return OK;
}

static enum status new_rope(struct forward *f, struct err *err)
{
    const struct model_config *c = &f->m->config;
    size_t n_pairs = c->head_dim / 2;
    size_t n;
    void *w = NULL;
    void *cos = NULL;
    void *sin = NULL;
    const struct backend_ops *ops = f->b->ops;
    enum status s;
    if (!size_mul(f->shape.n_pos, n_pairs, &n))
        return err_set(err, ERR_MEMORY, "cannot allocate RoPE tables: %zu positions overflow", f->shape.n_pos);
    if ((s = mem_alloc(&w, n_pairs, sizeof(double), "RoPE frequencies", err)) ||
        (s = mem_alloc(&cos, n, sizeof(float), "RoPE table", err)) ||
        (s = mem_alloc(&sin, n, sizeof(float), "RoPE table", err)) ||
        (s = dev(f, &f->cos, n, 1, sizeof(float), "RoPE table", &f->fixed_b, err)) ||
        (s = dev(f, &f->sin, n, 1, sizeof(float), "RoPE table", &f->fixed_b, err)))
        goto done;
    rope_frequencies(&c->rope, c->head_dim, w);
    rope_table(w, n_pairs, f->shape.n_pos, c->rope.attention_factor, cos, sin);
    if (!(s = ops->upload(f->b, f->cos, cos, n * sizeof(float), err)))
        s = ops->upload(f->b, f->sin, sin, n * sizeof(float), err);
done:
    mem_free(w);
    mem_free(cos);
    mem_free(sin);
    return s;
}

static enum status new_logits(struct forward *f, struct err *err)
{
    size_t V = f->m->config.vocab_size;
    size_t n;
    void *p;
    enum status s;
    if (!size_mul(f->shape.n_pick, V, &n))
        return err_set(err, ERR_MEMORY, "cannot allocate logits: %zu x %zu overflow", f->shape.n_pick, V);
    if ((s = dev(f, &f->logits, n, 1, sizeof(float), "logits", &f->fixed_b, err)) ||
        (s = dev(f, &f->picked, f->shape.n_pick, operand_ld(f->m->config.d_model), sizeof(uint16_t), "picked rows",
                 &f->fixed_b, err)) ||
        (s = mem_alloc(&p, n, sizeof(float), "logits", err)))
        return s;
    f->host_logits = p;
    f->host_b += n * sizeof(float);
    return OK;
}

enum status forward_new(struct forward **out, struct model *m, const struct forward_shape *shape, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct forward), "forward pass", err);
    if (s)
        return s;
    const struct model_config *c = &m->config;
    struct forward *f = p;
    *f = (struct forward){.m = m, .b = m->backend, .shape = *shape};
    const struct kv_shape kv = {.n_layers = c->n_layers,
                                .n_kv_heads = c->n_kv_heads,
                                .head_dim = c->head_dim,
                                .n_seqs = shape->n_seqs,
                                .n_pos = shape->n_pos,
                                .chunk = shape->chunk,
                                .windows = c->windows,
                                .limit_b = shape->kv_limit_b};
    if ((s = m->backend->ops->kv_new(m->backend, &f->kv, &kv, err)) || (s = new_rope(f, err)) ||
        (s = new_logits(f, err)))
        goto fail;
    if (c->n_experts) {
        if ((s = mem_alloc(&p, c->n_layers * c->n_experts, sizeof *f->hits, "expert counters", err)))
            goto fail;
        f->hits = p;
    }
    *out = f;
    return OK;
fail:
    forward_free(f);
    return s;
}

static void release_rows(struct forward *f)
{
    void *all[] = {f->r.x, f->r.qkv,  f->r.z, f->r.router, f->r.weights, f->r.h,
                   f->r.q, f->r.attn, f->r.a, f->r.ids,    f->r.forced};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i])
            f->b->ops->release(f->b, all[i]);
    if (f->host_ids)
        f->host_b -= f->cap_rows * f->m->config.n_experts_used * sizeof *f->host_ids;
    mem_free(f->host_ids);
    f->host_ids = NULL;
    f->r = (struct rows_buffers){.x = NULL};
    f->cap_rows = 0;
    f->rows_b = 0;
}

void forward_free(struct forward *f)
{
    if (!f)
        return;
    const struct backend_ops *ops = f->b->ops;
    release_rows(f);
    void *all[] = {f->cos, f->sin, f->logits, f->picked};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i])
            ops->release(f->b, all[i]);
    if (f->kv)
        ops->kv_free(f->b, f->kv);
    mem_free(f->host_logits);
    mem_free(f->hits);
    mem_free(f);
}

enum status forward_reserve(struct forward *f, size_t n, struct err *err)
{
    if (n <= f->cap_rows)
        return OK;
    const struct model_config *c = &f->m->config;
    struct rows_buffers *r = &f->r;
    uint64_t *total = &f->rows_b;
    size_t d = c->d_model;
    size_t qh = c->n_heads * c->head_dim;
    size_t qkv = qh + 2 * c->n_kv_heads * c->head_dim;
    size_t k = c->n_experts_used;
    enum status s;
    void *p;
    release_rows(f);
    if ((s = dev(f, &r->x, n, d, sizeof *r->x, "residual stream", total, err)) ||
        (s = dev(f, &r->qkv, n, qkv, sizeof *r->qkv, "q, k, v", total, err)) ||
        (s = dev(f, &r->h, n, operand_ld(d), sizeof *r->h, "normalised rows", total, err)) ||
        (s = dev(f, &r->q, n, operand_ld(qh), sizeof *r->q, "queries", total, err)) ||
        (s = dev(f, &r->attn, n, operand_ld(qh), sizeof *r->attn, "attention output", total, err)))
        goto fail;
    if (!c->n_experts) {
        if ((s = dev(f, &r->z, n, 2 * c->n_ff, sizeof *r->z, "gate and up", total, err)) ||
            (s = dev(f, &r->a, n, operand_ld(c->n_ff), sizeof *r->a, "activations", total, err)))
            goto fail;
    } else {
        if ((s = dev(f, &r->router, n, c->n_experts, sizeof *r->router, "router logits", total, err)) ||
            (s = dev(f, &r->weights, n, k, sizeof *r->weights, "expert weights", total, err)) ||
            (s = dev(f, &r->ids, n, k, sizeof *r->ids, "expert ids", total, err)) ||
            (s = dev(f, &r->forced, n, k, sizeof *r->forced, "forced experts", total, err)) ||
            (s = mem_alloc(&p, n * k, sizeof *f->host_ids, "expert ids", err)))
            goto fail;
        f->host_ids = p;
        f->host_b += n * k * sizeof *f->host_ids;
    }
    f->cap_rows = n;
    return OK;
fail:
    release_rows(f);
    return s;
}

enum status graph_attention(struct forward *f, size_t layer, struct err *err)
{
    const struct model_config *c = &f->m->config;
    const struct layer *l = &f->m->layers[layer];
    const struct backend_ops *ops = f->b->ops;
    struct backend *b = f->b;
    struct rows_buffers *r = &f->r;
    const struct qkv_args store = {.n_heads = c->n_heads,
                                   .n_kv_heads = c->n_kv_heads,
                                   .head_dim = c->head_dim,
                                   .q_norm = l->q_norm,
                                   .k_norm = l->k_norm,
                                   .eps = (float)c->eps,
                                   .cos = f->cos,
                                   .sin = f->sin};
    const struct attention_args attend = {.n_heads = c->n_heads,
                                          .n_kv_heads = c->n_kv_heads,
                                          .head_dim = c->head_dim,
                                          .sinks = c->sinks ? l->sinks : NULL,
                                          .window = l->window,
                                          .scale = (float)(1.0 / sqrt((double)c->head_dim))};
    enum status s;
    if ((s = ops->norm(b, r->x, l->attn_norm, (float)c->eps, c->d_model, &f->rows, NULL, f->rows.n, layer, r->h, err)) ||
        (s = ops->linear(b, l->qkv, r->h, f->rows.n, l->qkv_bias, false, r->qkv, err)) ||
        (s = ops->qkv_store(b, f->kv, layer, &store, r->qkv, &f->rows, r->q, err)) ||
        (s = ops->attention(b, f->kv, layer, &attend, r->q, &f->rows, r->attn, err)))
        return s;
    return ops->linear(b, l->o, r->attn, f->rows.n, l->o_bias, true, r->x, err);
}

static enum status mlp_norm(struct forward *f, size_t layer, struct err *err)
{
    const struct model_config *c = &f->m->config;
    return f->b->ops->norm(f->b, f->r.x, f->m->layers[layer].mlp_norm, (float)c->eps, c->d_model, &f->rows, NULL,
                           f->rows.n, layer, f->r.h, err);
}

enum status graph_dense(struct forward *f, size_t layer, struct err *err)
{
    const struct layer *l = &f->m->layers[layer];
    const struct backend_ops *ops = f->b->ops;
    struct rows_buffers *r = &f->r;
    enum status s;
    if ((s = mlp_norm(f, layer, err)) || (s = ops->linear(f->b, l->gate_up, r->h, f->rows.n, NULL, false, r->z, err)) ||
        (s = ops->glu(f->b, &f->m->glu, r->z, f->m->config.n_ff, &f->rows, layer, r->a, err)))
        return s;
    return ops->linear(f->b, l->down, r->a, f->rows.n, NULL, true, r->x, err);
}

/* Which experts were chosen is counted from what the router gave the experts, not from what it should. */
static enum status count_hits(struct forward *f, size_t layer, struct err *err)
{
    size_t E = f->m->config.n_experts;
    size_t n = f->rows.n * f->m->config.n_experts_used;
    enum status s = f->b->ops->download(f->b, f->host_ids, f->r.ids, n * sizeof *f->host_ids, err);
    if (s)
        return s;
    for (size_t i = 0; i < n; i++)
        if (f->host_ids[i] < E)
            f->hits[layer * E + f->host_ids[i]]++;
    f->expert_rows += f->rows.n;
    return OK;
}

enum status graph_experts(struct forward *f, size_t layer, struct err *err)
{
    const struct model_config *c = &f->m->config;
    const struct layer *l = &f->m->layers[layer];
    const struct backend_ops *ops = f->b->ops;
    struct rows_buffers *r = &f->r;
    size_t n = f->rows.n;
    const uint16_t *forced = NULL;
    enum status s;
    if (f->step->forced) {
        size_t per_layer = n * c->n_experts_used;
        if ((s = ops->upload(f->b, r->forced, f->step->forced + layer * per_layer, per_layer * sizeof *r->forced, err)))
            return s;
        forced = r->forced;
    }
    if ((s = mlp_norm(f, layer, err)) || (s = ops->linear(f->b, l->router, r->h, n, l->router_bias, false, r->router, err)) ||
        (s = ops->router(f->b, r->router, c->n_experts, c->n_experts_used, forced, &f->rows, layer, r->ids, r->weights,
                         err)) ||
        (s = count_hits(f, layer, err)))
        return s;
    return ops->moe(f->b, &l->moe, r->h, c->d_model, r->ids, r->weights, &f->rows, layer, r->x, err);
}

static enum status run_head(struct forward *f, struct err *err)
{
    const struct model_config *c = &f->m->config;
    const struct backend_ops *ops = f->b->ops;
    size_t n = f->step->n_pick;
    enum status s;
    if (n == 0)
        return OK;
    if ((s = ops->norm(f->b, f->r.x, f->m->final_norm, (float)c->eps, c->d_model, &f->rows, f->step->pick, n, c->n_layers,
                       f->picked, err)) ||
        (s = ops->linear(f->b, f->m->lm_head, f->picked, n, NULL, false, f->logits, err)))
        return s;
    return ops->download(f->b, f->host_logits, f->logits, n * c->vocab_size * sizeof(float), err);
}

enum status forward_run(struct forward *f, const struct step *step, struct err *err)
{
    enum status s = forward_reserve(f, step->n, err);
    f->step = step;
    f->rows = (struct rows){.n = step->n, .seq = step->seq, .pos = step->pos, .fault = step->fault};
    if (s || (s = f->b->ops->begin(f->b, &f->rows, err)) ||
        (s = f->b->ops->embed(f->b, f->m->embed, step->ids, step->n, f->r.x, f->m->config.d_model, err)))
        return s;
    for (size_t i = 0; i < f->m->config.n_layers; i++)
        if ((s = f->m->arch->run_layer(f, i, err)))
            return s;
    s = run_head(f, err);
    return s ? s : f->b->ops->end(f->b, &f->rows, err);
}

const float *forward_logits(const struct forward *f)
{
    return f->host_logits;
}

struct kv *forward_kv(struct forward *f)
{
    return f->kv;
}

uint64_t forward_bytes(const struct forward *f)
{
    return f->fixed_b + f->rows_b + f->host_b;
}

uint64_t forward_host_bytes(const struct forward *f)
{
    return f->host_b;
}

const uint64_t *forward_expert_hits(const struct forward *f)
{
    return f->hits;
}

uint64_t forward_expert_rows(const struct forward *f)
{
    return f->expert_rows;
}
