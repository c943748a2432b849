#include <stdio.h>
#include <string.h>

#include "base/fmath.h"
#include "model/model.h"

enum { NAME_B = 160 };

struct binding {
    struct model *m;
    const struct tensors *set;
    bool *used; // (count) tensors that found a place
    const struct tensor *t[ROLE_COUNT];
    struct err *err;
};

static enum status find(struct binding *b, const char *name, const struct tensor **out)
{
    const struct tensor *t = tensors_find(b->set, name);
    if (!t)
        return err_set(b->err, ERR_MISSING, "%s: expected tensor '%s' for %s, found none",
                       tensors_file_of(b->set, tensors_at(b->set, 0)), name, b->m->arch->name);
    b->used[t - tensors_at(b->set, 0)] = true;
    b->m->source_b += t->n_bytes;
    *out = t;
    return OK;
}

static bool dtype_fits(enum tensor_kind kind, const struct tensor *t)
{
    switch (kind) {
    case KIND_VECTOR:
        return t->quant == QUANT_BF16 || t->quant == QUANT_F32;
    case KIND_BF16:
        return t->quant == QUANT_BF16;
    case KIND_BYTES:
        return strcmp(t->type_name, "U8") == 0;
    case KIND_SCALES:
        return strcmp(t->type_name, "U8") == 0 || strcmp(t->type_name, "F8_E8M0") == 0; // newer files name it
    }
    return false;
}

static enum status check(const struct binding *b, const struct tensor *t, enum tensor_kind kind, const size_t *shape,
                         size_t n_dims)
{
    static const char *const wanted[] = {"BF16 or F32", "BF16", "U8", "U8 or F8_E8M0"};
    const char *file = tensors_file_of(b->set, t);
    if (!dtype_fits(kind, t))
        return err_set(b->err, ERR_UNSUPPORTED, "%s: tensor '%s': expected dtype %s, found %s", file, t->name,
                       wanted[kind], t->type_name);
    bool same = t->n_dims == n_dims;
    for (size_t i = 0; i < n_dims && same; i++)
        same = t->shape[i] == shape[i];
    if (same)
        return OK;
    char expected[TENSOR_SHAPE_TEXT_B];
    char found[TENSOR_SHAPE_TEXT_B];
    tensor_shape_text(shape, n_dims, expected);
    tensor_shape_text(t->shape, t->n_dims, found);
    return err_set(b->err, ERR_SHAPE, "%s: tensor '%s': expected shape %s, found %s", file, t->name, expected, found);
}

static enum status find_spec(struct binding *b, size_t layer, const struct tensor_spec *spec)
{
    if (spec->when == WHEN_BIAS && !b->m->config.attention_bias)
        return OK;
    char name[NAME_B];
    size_t shape[4];
    (void)snprintf(name, sizeof name, "model.layers.%zu.%s", layer, spec->suffix);
    for (size_t i = 0; i < spec->n_dims; i++)
        shape[i] = arch_dim(&b->m->config, spec->dims[i]);
    enum status s = find(b, name, &b->t[spec->role]);
    return s ? s : check(b, b->t[spec->role], spec->kind, shape, spec->n_dims);
}

static enum status find_specs(struct binding *b, size_t layer, const struct tensor_spec *specs)
{
    for (const struct tensor_spec *p = specs; p->role != ROLE_NONE; p++) {
        enum status s = find_spec(b, layer, p);
        if (s)
            return s;
    }
    return OK;
}

static float element(enum quant q, const uint8_t *data, size_t i)
{
    if (q == QUANT_F32) {
        float f;
        memcpy(&f, data + 4 * i, sizeof f);
        return f;
    }
    uint16_t u;
    memcpy(&u, data + 2 * i, sizeof u);
    return bf16_to_f32(u);
}

static bool finite(float x)
{
    return x - x == 0; // false for infinities and NaN
}

/* The values of a tensor as fp32. */
static enum status read_values(struct binding *b, const struct tensor *t, size_t n, float *out)
{
    void *p = NULL;
    enum status s = OK;
    if (!t->data) {
        if ((s = mem_alloc(&p, t->n_bytes, 1, t->name, b->err)))
            return s;
        tensor_read(t, 0, t->n_bytes, p);
    }
    const uint8_t *data = t->data ? t->data : p;
    for (size_t i = 0; i < n && !s; i++) {
        out[i] = element(t->quant, data, i);
        if (!finite(out[i]))
            s = err_set(b->err, ERR_RANGE, "%s: tensor '%s': expected finite values, found none at index %zu",
                        tensors_file_of(b->set, t), t->name, i);
    }
    mem_free(p);
    tensors_drop(b->set, t);
    return s;
}

static size_t n_values(const struct tensor *t)
{
    return t->n_bytes / (t->quant == QUANT_F32 ? 4 : 2);
}

/* The values of up to three tensors, one behind the other, as one fp32 vector of the backend. */
static enum status vector(struct binding *b, const enum role *roles, size_t n_roles, float **out)
{
    struct model *m = b->m;
    const struct backend_ops *ops = m->backend->ops;
    size_t n = 0;
    void *host = NULL;
    void *dev = NULL;
    for (size_t i = 0; i < n_roles; i++) {
        if (!b->t[roles[i]])
            return OK; // the model has none of them
        n += n_values(b->t[roles[i]]);
    }
    enum status s = mem_alloc(&host, n, sizeof(float), "a weight vector", b->err);
    if (s)
        return s;
    float *v = host;
    for (size_t i = 0; i < n_roles; i++) {
        const struct tensor *t = b->t[roles[i]];
        if ((s = read_values(b, t, n_values(t), v)))
            goto done;
        v += n_values(t);
    }
    if ((s = ops->alloc(m->backend, &dev, n * sizeof(float), "weight vector", b->err)))
        goto done;
    m->vectors[m->n_vectors++] = dev; // model_free releases it from here on
    m->vector_b += n * sizeof(float);
    if (!(s = ops->upload(m->backend, dev, host, n * sizeof(float), b->err)))
        *out = dev;
done:
    mem_free(host);
    return s;
}

static enum status vector_of(struct binding *b, enum role role, float **out)
{
    return vector(b, &role, 1, out);
}

/* Rows of row_b bytes of a tensor, from byte at_b on. */
struct tensor_rows {
    const struct tensor *t;
    size_t at_b, row_b;
};

static void read_rows(const void *ctx, size_t row, size_t n, uint8_t *out)
{
    const struct tensor_rows *x = ctx;
    tensor_read(x->t, x->at_b + row * x->row_b, n * x->row_b, out);
}

static struct row_reader reader_of(const struct tensor_rows *x)
{
    if (x->t->data)
        return (struct row_reader){.base = x->t->data + x->at_b};
    return (struct row_reader){.read = read_rows, .ctx = x};
}

/* Up to three tensors as one matrix; `rows` (n) is room for its readers. */
static struct matrix_source source_of(const struct tensor *const *t, size_t n, bool interleave, struct tensor_rows *rows)
{
    struct matrix_source src = {
        .name = t[0]->name, .quant = t[0]->quant, .n_cols = t[0]->shape[1], .n_parts = n, .interleave = interleave};
    for (size_t i = 0; i < n; i++) {
        rows[i] = (struct tensor_rows){.t = t[i], .row_b = t[i]->n_bytes / t[i]->shape[0]};
        src.parts[i] = (struct matrix_part){.n_rows = t[i]->shape[0], .rows = reader_of(&rows[i])};
    }
    return src;
}

static enum status new_matrix(struct binding *b, const struct matrix_source *src, const struct tensor *t,
                              struct matrix **out)
{
    enum status s = b->m->backend->ops->matrix_new(b->m->backend, out, src, b->err);
    if (s && b->err)
        err_prefix(b->err, "%s", tensors_file_of(b->set, t));
    return s;
}

static enum status matrix(struct binding *b, const struct tensor *const *t, size_t n, bool interleave,
                          struct matrix **out)
{
    struct tensor_rows rows[3];
    struct matrix_source src = source_of(t, n, interleave, rows);
    enum status s = new_matrix(b, &src, t[0], out);
    for (size_t i = 0; i < n; i++)
        tensors_drop(b->set, t[i]);
    return s;
}

/* Rows of one expert of a [E, in, out] tensor of 2-byte values: [out, in]. */
struct transposed {
    const struct tensor *t;
    size_t at_b;
};

static void read_transposed(const void *ctx, size_t row, size_t n, uint8_t *out)
{
    const struct transposed *x = ctx;
    size_t n_in = x->t->shape[1];
    size_t n_out = x->t->shape[2];
    for (size_t i = 0; i < n_in; i++)
        for (size_t r = 0; r < n; r++)
            tensor_read(x->t, x->at_b + (i * n_out + row + r) * 2, 2, out + (r * n_in + i) * 2);
}

/* The E matrices of one expert tensor: MXFP4 blocks with scales, or bf16 transposed. */
static enum status experts(struct binding *b, enum role role, enum role scale_role, struct matrix **out)
{
    const struct tensor *t = b->t[role];
    const struct tensor *scales = b->t[scale_role];
    size_t n_experts = t->shape[0];
    size_t expert_b = t->n_bytes / n_experts;
    enum status s = OK;
    for (size_t e = 0; e < n_experts && !s; e++) {
        char name[NAME_B];
        (void)snprintf(name, sizeof name, "%.120s[%zu]", t->name, e);
        struct transposed x = {t, e * expert_b};
        struct tensor_rows rows = {t, e * expert_b, expert_b / t->shape[1]};
        struct tensor_rows scale_rows = {.t = scales};
        struct matrix_source src = {.name = name, .n_parts = 1};
        if (scales) {
            src.quant = QUANT_MXFP4_SPLIT;
            src.n_cols = t->shape[2] * 32;
            scale_rows.row_b = t->shape[2];
            scale_rows.at_b = e * (scales->n_bytes / n_experts);
            src.parts[0] = (struct matrix_part){
                .n_rows = t->shape[1], .rows = reader_of(&rows), .scales = reader_of(&scale_rows)};
        } else {
            src.quant = QUANT_BF16;
            src.n_cols = t->shape[1];
            src.parts[0] = (struct matrix_part){.n_rows = t->shape[2], .rows = {.read = read_transposed, .ctx = &x}};
        }
        s = new_matrix(b, &src, t, &out[e]);
    }
    tensors_drop(b->set, t);
    if (scales)
        tensors_drop(b->set, scales);
    return s;
}

static enum status bind_attention(struct binding *b, struct layer *l)
{
    const struct tensor *const qkv[] = {b->t[ROLE_Q], b->t[ROLE_K], b->t[ROLE_V]};
    const enum role qkv_bias[] = {ROLE_Q_BIAS, ROLE_K_BIAS, ROLE_V_BIAS};
    enum status s;
    if ((s = vector_of(b, ROLE_ATTN_NORM, &l->attn_norm)) || (s = matrix(b, qkv, 3, false, &l->qkv)) ||
        (s = vector(b, qkv_bias, 3, &l->qkv_bias)) || (s = vector_of(b, ROLE_Q_NORM, &l->q_norm)) ||
        (s = vector_of(b, ROLE_K_NORM, &l->k_norm)) || (s = vector_of(b, ROLE_SINKS, &l->sinks)) ||
        (s = matrix(b, &b->t[ROLE_O], 1, false, &l->o)))
        return s;
    return vector_of(b, ROLE_O_BIAS, &l->o_bias);
}

static enum status bind_experts(struct binding *b, struct layer *l)
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
    if ((s = matrix(b, &b->t[ROLE_ROUTER], 1, false, &l->router)) ||
        (s = vector_of(b, ROLE_ROUTER_BIAS, &l->router_bias)) ||
        (s = vector_of(b, ROLE_EXPERTS_GATE_UP_BIAS, &l->gate_up_bias)) ||
        (s = vector_of(b, ROLE_EXPERTS_DOWN_BIAS, &l->down_bias)) ||
        (s = experts(b, ROLE_EXPERTS_GATE_UP, ROLE_EXPERTS_GATE_UP_SCALES, l->expert_gate_up)) ||
        (s = experts(b, ROLE_EXPERTS_DOWN, ROLE_EXPERTS_DOWN_SCALES, l->expert_down)))
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

static enum status bind_layer(struct binding *b, const struct ffn_layout *ffn, size_t i)
{
    struct layer *l = &b->m->layers[i];
    enum status s;
    memset(b->t, 0, sizeof b->t);
    if ((s = find_specs(b, i, b->m->arch->layer)) || (s = find_specs(b, i, ffn->specs)) ||
        (s = bind_attention(b, l)) || (s = vector_of(b, ROLE_MLP_NORM, &l->mlp_norm)))
        return s;
    l->window = b->m->config.windows[i];
    if (b->m->config.n_experts)
        return bind_experts(b, l);
    const struct tensor *const gate_up[] = {b->t[ROLE_GATE], b->t[ROLE_UP]};
    if ((s = matrix(b, gate_up, 2, true, &l->gate_up)))
        return s;
    return matrix(b, &b->t[ROLE_DOWN], 1, false, &l->down);
}

/* Embedding rows stay as they are stored, and are read for as long as the model lives; a tied head is
 * tiled from the same rows. */
static enum status bind_ends(struct binding *b)
{
    struct model *m = b->m;
    const struct model_config *c = &m->config;
    const size_t shape[2] = {c->vocab_size, c->d_model};
    const struct tensor *t;
    enum status s;
    if ((s = find(b, "model.embed_tokens.weight", &t)) || (s = check(b, t, KIND_BF16, shape, 2)))
        return s;
    struct tensor_rows rows;
    struct matrix_source src = source_of(&t, 1, false, &rows);
    if ((s = m->backend->ops->table_new(m->backend, &m->embed, &src, b->err)) ||
        (s = find(b, "model.norm.weight", &b->t[ROLE_MLP_NORM])) ||
        (s = check(b, b->t[ROLE_MLP_NORM], KIND_VECTOR, &c->d_model, 1)) ||
        (s = vector_of(b, ROLE_MLP_NORM, &m->final_norm)))
        return s;
    if (!c->tied && ((s = find(b, "lm_head.weight", &t)) || (s = check(b, t, KIND_BF16, shape, 2))))
        return s;
    return matrix(b, &t, 1, false, &m->lm_head);
}

/* The layout whose first tensor is there; the first layout, for its message, when none is. */
static const struct ffn_layout *choose_layout(const struct binding *b)
{
    const struct ffn_layout *list = b->m->arch->ffn;
    for (const struct ffn_layout *p = list; p->specs; p++) {
        char name[NAME_B];
        (void)snprintf(name, sizeof name, "model.layers.0.%s", p->specs[0].suffix);
        if (tensors_find(b->set, name))
            return p;
    }
    return list;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s);
    size_t k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

/* A tensor nobody asked for means a model we do not know: a bias left out would not crash, only be
 * wrong. Two are known to be redundant. */
static enum status check_all_used(const struct binding *b)
{
    for (size_t i = 0; i < tensors_count(b->set); i++) {
        const struct tensor *t = tensors_at(b->set, i);
        bool redundant = ends_with(t->name, ".rotary_emb.inv_freq") ||
                         (b->m->config.tied && strcmp(t->name, "lm_head.weight") == 0);
        if (!b->used[i] && !redundant)
            return err_set(b->err, ERR_UNSUPPORTED, "%s: tensor '%.200s': expected no such tensor in %s with %zu layers",
                           tensors_file_of(b->set, t), t->name, b->m->arch->name, b->m->config.n_layers);
    }
    return OK;
}

enum status bind_weights(struct model *m, struct err *err)
{
    const struct tensors *set = m->tensors;
    struct binding b = {.m = m, .set = set, .err = err};
    void *p;
    enum status s;
    if (tensors_count(set) == 0)
        return err_set(err, ERR_MISSING, "%s: expected tensors, found none", tensors_file(set, 0));
    m->cap_vectors = m->config.n_layers * 12 + 1;
    if ((s = arena_alloc(m->arena, &p, m->cap_vectors, sizeof *m->vectors, err)))
        return s;
    m->vectors = p;
    if ((s = arena_alloc(m->arena, &p, m->config.n_layers, sizeof *m->layers, err)))
        return s;
    m->layers = p;
    if ((s = mem_alloc(&p, tensors_count(set), sizeof(bool), "tensor marks", err)))
        return s;
    b.used = p;
    const struct ffn_layout *ffn = choose_layout(&b);
    m->weight_format = ffn->weight_format;
    s = bind_ends(&b);
    for (size_t i = 0; i < m->config.n_layers && !s; i++)
        s = bind_layer(&b, ffn, i);
    if (!s)
        s = check_all_used(&b);
    mem_free(b.used);
    return s;
}
