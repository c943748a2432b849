/* Which tensor of a set becomes which matrix or vector of the model. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "model/bind_internal.h"

enum { NAME_B = 160 };

enum status bind_in_file(const struct binding *b, const struct tensor *t, enum status s)
{
    if (s && b->err)
        err_prefix(b->err, "%s", tensors_file_of(b->set, t));
    return s;
}

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

static bool type_fits(enum tensor_kind kind, const struct tensor *t)
{
    const struct quant_type *q = quant_type(t->quant);
    switch (kind) {
    case KIND_VECTOR:
    case KIND_TRANSPOSED:
        return q && q->block == 1;
    case KIND_MATRIX:
        return q && q->decode;
    case KIND_CODES:
        return t->quant == QUANT_MXFP4_SPLIT || strcmp(t->type_name, "U8") == 0;
    case KIND_SCALES:
        return strcmp(t->type_name, "U8") == 0 || strcmp(t->type_name, "F8_E8M0") == 0; // newer files name it
    }
    return false;
}

static enum status check(const struct binding *b, const struct tensor *t, enum tensor_kind kind, const size_t *shape,
                         size_t n_dims)
{
    static const char *const wanted[] = {"F32, BF16 or F16", "weights", "F32, BF16 or F16", "U8", "U8 or F8_E8M0"};
    const char *file = tensors_file_of(b->set, t);
    if (!type_fits(kind, t))
        return err_set(b->err, ERR_UNSUPPORTED, "%s: tensor '%s': expected %s, found %s", file, t->name, wanted[kind],
                       t->type_name);
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

static void layer_name(const struct binding *b, size_t layer, const struct tensor_spec *spec, char name[NAME_B])
{
    (void)snprintf(name, NAME_B, "%s%zu.%s", b->layout->prefix, layer, spec->suffix);
}

/* What a token reads of it: k of E experts. */
static uint64_t decode_bytes(const struct model_config *c, const struct tensor_spec *spec, const struct tensor *t)
{
    return spec->dims[0] == DIM_E && spec->n_dims > 1 && spec->role != ROLE_ROUTER
               ? t->n_bytes / c->n_experts * c->n_experts_used
               : t->n_bytes;
}

static enum status find_spec(struct binding *b, size_t layer, const struct tensor_spec *spec)
{
    const struct model_config *c = &b->m->config;
    const struct tensor *t;
    char name[NAME_B];
    size_t shape[4];
    if (!arch_has(c, spec->when))
        return OK;
    layer_name(b, layer, spec, name);
    for (size_t i = 0; i < spec->n_dims; i++)
        shape[i] = arch_dim(c, spec->dims[i]);
    enum status s = find(b, name, &t);
    if (s || (s = check(b, t, spec->kind, shape, spec->n_dims)))
        return s;
    b->t[spec->role] = t;
    b->kinds[spec->role] = spec->kind;
    b->m->decode_b += decode_bytes(c, spec, t);
    if ((spec->kind == KIND_MATRIX && spec->role != ROLE_ROUTER) || spec->kind == KIND_TRANSPOSED)
        b->types[t->quant] = true;
    if (spec->kind == KIND_CODES)
        b->types[QUANT_MXFP4_SPLIT] = true;
    return OK;
}

static enum status find_specs(struct binding *b, size_t layer, const struct tensor_spec *specs)
{
    enum status s = OK;
    for (const struct tensor_spec *p = specs; p->role != ROLE_NONE && !s; p++)
        s = find_spec(b, layer, p);
    return s;
}

/* Of several ways to store the same, the one whose first tensor is there; without any, the first that
 * this model could have, for the message. */
static const struct tensor_spec *way(const struct binding *b, size_t layer, const struct tensor_spec *const *ways)
{
    const struct tensor_spec *first = NULL;
    for (; *ways; ways++) {
        char name[NAME_B];
        if (!arch_has(&b->m->config, (*ways)->when))
            continue;
        first = first ? first : *ways;
        layer_name(b, layer, *ways, name);
        if (tensors_find(b->set, name))
            return *ways;
    }
    return first;
}

static enum status bind_layer(struct binding *b, size_t i)
{
    struct layer *l = &b->m->layers[i];
    enum status s;
    memset(b->t, 0, sizeof b->t);
    l->window = b->m->config.windows[i];
    if ((s = find_specs(b, i, b->layout->rest)) || (s = find_specs(b, i, way(b, i, b->layout->attention))) ||
        (s = find_specs(b, i, way(b, i, b->layout->ffn))))
        return s;
    return make_layer(b, l);
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
    if ((s = find(b, b->layout->embed, &t)) || (s = check(b, t, KIND_MATRIX, shape, 2)))
        return s;
    const struct slice table = {.t = t, .n_rows = shape[0], .n_cols = shape[1]};
    b->types[t->quant] = true;
    m->decode_b += t->n_bytes / c->vocab_size; // a row
    if ((s = bind_in_file(b, t, rows_new_table(m->backend, &m->embed, &table, b->err))) ||
        (s = find(b, b->layout->norm, &b->t[ROLE_MLP_NORM])) ||
        (s = check(b, b->t[ROLE_MLP_NORM], KIND_VECTOR, &c->d_model, 1)) ||
        (s = make_vector(b, ROLE_MLP_NORM, &m->final_norm)))
        return s;
    m->decode_b += b->t[ROLE_MLP_NORM]->n_bytes;
    if (!c->tied && ((s = find(b, b->layout->head, &t)) || (s = check(b, t, KIND_MATRIX, shape, 2))))
        return s;
    b->types[t->quant] = true;
    m->decode_b += t->n_bytes;
    return make_matrix(b, t, &m->lm_head);
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s);
    size_t k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static bool is_redundant(const struct binding *b, const char *name)
{
    bool known = b->m->config.tied && strcmp(name, b->layout->head) == 0;
    for (const char *const *p = b->layout->ignored; *p; p++)
        known = known || ends_with(name, *p);
    return known;
}

/* A tensor nobody asked for means a model we do not know: a bias left out would not crash, only be
 * wrong. */
static enum status check_all_used(const struct binding *b)
{
    for (size_t i = 0; i < tensors_count(b->set); i++) {
        const struct tensor *t = tensors_at(b->set, i);
        if (!b->used[i] && !is_redundant(b, t->name))
            return err_set(b->err, ERR_UNSUPPORTED, "%s: tensor '%.200s': expected no such tensor in %s with %zu layers",
                           tensors_file_of(b->set, t), t->name, b->m->arch->name, b->m->config.n_layers);
    }
    return OK;
}

/* "mxfp4+q8_0": the types of the matrices, fewest bits first; the router's, a thousandth of them, is left out. */
static enum status name_format(struct binding *b)
{
    struct buf text = BUF_INIT;
    bool named[QUANT_NONE] = {false};
    const struct quant_type *last = NULL;
    for (;;) {
        const struct quant_type *best = NULL;
        size_t best_at = 0;
        for (size_t i = 0; i < QUANT_NONE; i++) {
            const struct quant_type *q = quant_type((enum quant)i);
            if (b->types[i] && !named[i] && (!best || q->block_b * best->block < best->block_b * q->block)) {
                best = q;
                best_at = i;
            }
        }
        if (!best)
            break;
        named[best_at] = true;
        if (!last || strcmp(last->name, best->name) != 0)
            buf_printf(&text, "%s%s", text.n ? "+" : "", best->name);
        last = best;
    }
    char *copy = NULL;
    enum status s = buf_status(&text, "weight format", b->err);
    if (!s)
        s = arena_strndup(b->m->arena, &copy, text.data, text.n, b->err);
    b->m->weight_format = copy;
    buf_release(&text);
    return s;
}

static const struct layout *choose_layout(const struct tensors *set)
{
    static const struct layout *const layouts[] = {&layout_hf, &layout_gguf, &layout_original};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (tensors_find(set, layouts[i]->embed))
            return layouts[i];
    return layouts[0];
}

enum status bind_weights(struct model *m, struct err *err)
{
    const struct tensors *set = m->tensors;
    struct binding b = {.m = m, .set = set, .layout = choose_layout(set), .err = err};
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
    s = bind_ends(&b);
    for (size_t i = 0; i < m->config.n_layers && !s; i++)
        s = bind_layer(&b, i);
    if (!s && !(s = check_all_used(&b)))
        s = name_format(&b);
    mem_free(b.used);
    return s;
}
