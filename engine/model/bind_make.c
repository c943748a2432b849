/* From the tensors of a layer to the backend's vectors and matrices, whichever way they are stored. */
#include <stdio.h>
#include <string.h>

#include "model/bind_internal.h"

enum { NAME_B = 160 };

/* Vectors: loaded as fp32, put in order, given to the backend. */
struct host {
    float *v;
    size_t n;
};

/* Appends what there is: nothing when the model has no such tensor. */
static enum status load(struct binding *b, enum role role, struct host *h)
{
    const struct tensor *t = b->find.t[role];
    float *v = NULL;
    size_t n = 0;
    size_t total;
    void *p;
    if (!t)
        return OK;
    enum status s = bind_in_file(b, t, rows_values(t, &v, &n, b->err));
    if (s)
        return s;
    tensors_drop(b->set, t);
    if (h->n == 0) {
        *h = (struct host){v, n};
        return OK;
    }
    if (!size_add(h->n, n, &total) || (s = mem_alloc(&p, total, sizeof(float), "a weight vector", b->err))) {
        mem_free(v);
        return s ? s : err_set(b->err, ERR_RANGE, "a weight vector: too long");
    }
    memcpy(p, h->v, h->n * sizeof(float));
    memcpy((float *)p + h->n, v, n * sizeof(float));
    mem_free(h->v);
    mem_free(v);
    *h = (struct host){p, total};
    return OK;
}

static enum status upload(struct binding *b, const struct host *h, float **out)
{
    struct model *m = b->m;
    const struct backend_ops *ops = m->backend->ops;
    void *dev = NULL;
    if (h->n == 0)
        return OK;
    enum status s = ops->alloc(m->backend, &dev, h->n * sizeof(float), "weight vector", b->err);
    if (s)
        return s;
    m->vectors[m->n_vectors++] = dev; // model_free releases it from here on
    m->vector_b += h->n * sizeof(float);
    if (!(s = ops->upload(m->backend, dev, h->v, h->n * sizeof(float), b->err)))
        *out = dev;
    return s;
}

enum status make_vector(struct binding *b, enum role role, float **out)
{
    struct host h = {NULL, 0};
    enum status s = load(b, role, &h);
    if (!s)
        s = upload(b, &h, out);
    mem_free(h.v);
    return s;
}

static bool pairs(const struct binding *b)
{
    return b->find.layout->llama_pairs && b->m->config.arch == ARCH_LLAMA;
}

/* Biases of q, k and v, stored apart or as one. */
static enum status make_qkv_bias(struct binding *b, struct layer *l)
{
    const struct model_config *c = &b->m->config;
    struct host h = {NULL, 0};
    enum status s;
    if (!(s = load(b, ROLE_QKV_BIAS, &h)) && !(s = load(b, ROLE_Q_BIAS, &h)) && !(s = load(b, ROLE_K_BIAS, &h)) &&
        !(s = load(b, ROLE_V_BIAS, &h))) {
        if (h.n && pairs(b))
            s = rows_unpair(h.v, (c->n_heads + c->n_kv_heads) * c->head_dim, c->head_dim, b->err);
        if (!s)
            s = upload(b, &h, &l->qkv_bias);
    }
    mem_free(h.v);
    return s;
}

/* (E, 2f) with gate and up alternating, from gate and up at strides of their own. */
static enum status upload_pairs(struct binding *b, const float *gate, const float *up, size_t stride, float **out)
{
    size_t E = b->m->config.n_experts;
    size_t f = b->m->config.n_ff;
    void *p;
    enum status s = mem_alloc(&p, E, 2 * f * sizeof(float), "a weight vector", b->err);
    if (s)
        return s;
    struct host h = {p, E * 2 * f};
    for (size_t e = 0; e < E; e++)
        for (size_t i = 0; i < f; i++) {
            h.v[(e * f + i) * 2] = gate[e * stride + i];
            h.v[(e * f + i) * 2 + 1] = up[e * stride + i];
        }
    s = upload(b, &h, out);
    mem_free(p);
    return s;
}

static enum status make_gate_up_bias(struct binding *b, struct layer *l)
{
    size_t f = b->m->config.n_ff;
    struct host gate = {NULL, 0};
    struct host up = {NULL, 0};
    enum status s;
    if (b->find.t[ROLE_EXPERTS_GATE_UP_BIAS])
        return make_vector(b, ROLE_EXPERTS_GATE_UP_BIAS, &l->gate_up_bias);
    if (b->find.t[ROLE_EXPERTS_GATE_THEN_UP_BIAS]) {
        if (!(s = load(b, ROLE_EXPERTS_GATE_THEN_UP_BIAS, &gate)))
            s = upload_pairs(b, gate.v, gate.v + f, 2 * f, &l->gate_up_bias);
    } else if (!(s = load(b, ROLE_EXPERTS_GATE_BIAS, &gate)) && !(s = load(b, ROLE_EXPERTS_UP_BIAS, &up))) {
        s = upload_pairs(b, gate.v, up.v, f, &l->gate_up_bias);
    }
    mem_free(gate.v);
    mem_free(up.v);
    return s;
}

/* Matrices. A slice of whole rows of a [rows, cols] tensor. */
static struct slice slice_of(const struct tensor *t, size_t from, size_t n_rows)
{
    return (struct slice){.t = t, .from = from, .n_rows = n_rows, .n_cols = t->shape[t->n_dims - 1]};
}

static struct slice whole(const struct tensor *t)
{
    return slice_of(t, 0, t->shape[0]);
}

static enum status matrix(struct binding *b, const struct slice *slices, size_t n, bool interleave, struct matrix **out)
{
    const struct tensor *t = slices[0].t;
    enum status s = bind_in_file(b, t, rows_new_matrix(b->m->backend, out, t->name, slices, n, interleave, b->err));
    for (size_t i = 0; i < n; i++)
        tensors_drop(b->set, slices[i].t);
    return s;
}

enum status make_matrix(struct binding *b, const struct tensor *t, struct matrix **out)
{
    const struct slice s = whole(t);
    return matrix(b, &s, 1, false, out);
}

static enum status make_qkv(struct binding *b, struct layer *l)
{
    const struct model_config *c = &b->m->config;
    size_t q = c->n_heads * c->head_dim;
    size_t k = c->n_kv_heads * c->head_dim;
    const struct tensor *fused = b->find.t[ROLE_QKV];
    struct slice s[3];
    if (fused) {
        s[0] = slice_of(fused, 0, q);
        s[1] = slice_of(fused, q, k);
        s[2] = slice_of(fused, q + k, k);
    } else {
        s[0] = whole(b->find.t[ROLE_Q]);
        s[1] = whole(b->find.t[ROLE_K]);
        s[2] = whole(b->find.t[ROLE_V]);
    }
    if (pairs(b)) {
        s[0].order = s[1].order = ROWS_PAIRED;
        s[0].head_dim = s[1].head_dim = c->head_dim;
    } else if (fused) {
        s[0].n_rows = q + 2 * k; // one slice is read in place as well as three
        return matrix(b, s, 1, false, &l->qkv);
    }
    return matrix(b, s, 3, false, &l->qkv);
}

static enum status make_attention(struct binding *b, struct layer *l)
{
    enum status s;
    if ((s = make_vector(b, ROLE_ATTN_NORM, &l->attn_norm)) || (s = make_qkv(b, l)) || (s = make_qkv_bias(b, l)) ||
        (s = make_vector(b, ROLE_Q_NORM, &l->q_norm)) || (s = make_vector(b, ROLE_K_NORM, &l->k_norm)) ||
        (s = make_vector(b, ROLE_SINKS, &l->sinks)) || (s = make_matrix(b, b->find.t[ROLE_O], &l->o)))
        return s;
    return make_vector(b, ROLE_O_BIAS, &l->o_bias);
}

static enum status make_dense(struct binding *b, struct layer *l)
{
    const struct tensor *fused = b->find.t[ROLE_GATE_THEN_UP];
    size_t f = b->m->config.n_ff;
    const struct slice s[2] = {fused ? slice_of(fused, 0, f) : whole(b->find.t[ROLE_GATE]),
                               fused ? slice_of(fused, f, f) : whole(b->find.t[ROLE_UP])};
    enum status st = matrix(b, s, 2, true, &l->gate_up);
    return st ? st : make_matrix(b, b->find.t[ROLE_DOWN], &l->down);
}

/* Expert e of a tensor of E matrices; rows of one that holds `per_expert` of them. */
static struct slice expert(const struct binding *b, enum role role, enum role scales, size_t e, size_t per_expert,
                           size_t from, size_t n_rows, size_t n_cols)
{
    struct slice s = {.t = b->find.t[role],
                      .scales = scales ? b->find.t[scales] : NULL,
                      .from = e * per_expert + from,
                      .n_rows = n_rows,
                      .n_cols = n_cols};
    if (b->find.spec[role]->kind == KIND_TRANSPOSED) {
        s.order = ROWS_TRANSPOSED;
        s.from = e * n_cols;
    }
    return s;
}

static size_t gate_up_of(const struct binding *b, size_t e, struct slice s[2])
{
    size_t d = b->m->config.d_model;
    size_t f = b->m->config.n_ff;
    if (b->find.t[ROLE_EXPERTS_GATE_UP]) {
        s[0] = expert(b, ROLE_EXPERTS_GATE_UP, ROLE_EXPERTS_GATE_UP_SCALES, e, 2 * f, 0, 2 * f, d);
        return 1;
    }
    if (b->find.t[ROLE_EXPERTS_GATE_THEN_UP]) {
        s[0] = expert(b, ROLE_EXPERTS_GATE_THEN_UP, ROLE_NONE, e, 2 * f, 0, f, d);
        s[1] = expert(b, ROLE_EXPERTS_GATE_THEN_UP, ROLE_NONE, e, 2 * f, f, f, d);
    } else {
        s[0] = expert(b, ROLE_EXPERTS_GATE, ROLE_NONE, e, f, 0, f, d);
        s[1] = expert(b, ROLE_EXPERTS_UP, ROLE_NONE, e, f, 0, f, d);
    }
    return 2;
}

static enum status expert_matrix(struct binding *b, size_t e, const struct slice *s, size_t n, struct matrix **out)
{
    char name[NAME_B];
    (void)snprintf(name, sizeof name, "%.120s[%zu]", s[0].t->name, e);
    return bind_in_file(b, s[0].t, rows_new_matrix(b->m->backend, out, name, s, n, n == 2, b->err));
}

static void drop_all(const struct binding *b, const enum role *roles, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (b->find.t[roles[i]])
            tensors_drop(b->set, b->find.t[roles[i]]);
}

/* One kind after the other, so that the pages of one tensor are in memory, not of a layer. */
static enum status expert_matrices(struct binding *b, struct layer *l)
{
    static const enum role gate_up[] = {ROLE_EXPERTS_GATE_UP, ROLE_EXPERTS_GATE_UP_SCALES, ROLE_EXPERTS_GATE_THEN_UP,
                                        ROLE_EXPERTS_GATE, ROLE_EXPERTS_UP};
    static const enum role down[] = {ROLE_EXPERTS_DOWN, ROLE_EXPERTS_DOWN_SCALES};
    size_t E = b->m->config.n_experts;
    size_t d = b->m->config.d_model;
    size_t f = b->m->config.n_ff;
    enum status s = OK;
    struct slice slices[2];
    for (size_t e = 0; e < E && !s; e++) {
        size_t n = gate_up_of(b, e, slices);
        s = expert_matrix(b, e, slices, n, &l->expert_gate_up[e]);
    }
    drop_all(b, gate_up, sizeof gate_up / sizeof *gate_up);
    for (size_t e = 0; e < E && !s; e++) {
        slices[0] = expert(b, ROLE_EXPERTS_DOWN, ROLE_EXPERTS_DOWN_SCALES, e, d, 0, d, f);
        s = expert_matrix(b, e, slices, 1, &l->expert_down[e]);
    }
    drop_all(b, down, sizeof down / sizeof *down);
    return s;
}

static enum status make_experts(struct binding *b, struct layer *l)
{
    struct model *m = b->m;
    size_t n = m->config.n_experts;
    void *p;
    enum status s;
    if ((s = arena_alloc(m->arena, &p, n, sizeof *l->expert_gate_up, b->err)))
        return s;
    l->expert_gate_up = p;
    if ((s = arena_alloc(m->arena, &p, n, sizeof *l->expert_down, b->err)))
        return s;
    l->expert_down = p;
    if ((s = make_matrix(b, b->find.t[ROLE_ROUTER], &l->router)) || (s = make_vector(b, ROLE_ROUTER_BIAS, &l->router_bias)) ||
        (s = make_gate_up_bias(b, l)) || (s = make_vector(b, ROLE_EXPERTS_DOWN_BIAS, &l->down_bias)) ||
        (s = expert_matrices(b, l)))
        return s;
    l->moe = (struct moe){.n_experts = n,
                          .n_used = m->config.n_experts_used,
                          .gate_up = l->expert_gate_up,
                          .down = l->expert_down,
                          .gate_up_bias = l->gate_up_bias,
                          .down_bias = l->down_bias,
                          .n_ff = m->config.n_ff,
                          .glu = m->glu};
    return OK;
}

enum status make_layer(struct binding *b, struct layer *l)
{
    enum status s;
    if ((s = make_attention(b, l)) || (s = make_vector(b, ROLE_MLP_NORM, &l->mlp_norm)))
        return s;
    return b->m->config.n_experts ? make_experts(b, l) : make_dense(b, l);
}
