/* The tensors of a set become matrices and vectors of the model. */
#include <string.h>

#include "base/buf.h"
#include "model/bind_internal.h"

enum status bind_in_file(const struct binding *b, const struct tensor *t, enum status s)
{
    if (s && b->err)
        err_prefix(b->err, "%s", tensors_file_of(b->set, t));
    return s;
}

/* What a token reads of it: k of E experts. And what one expert has of it. */
static void count_bytes(struct model *m, const struct tensor_spec *spec, const struct tensor *t)
{
    const struct model_config *c = &m->config;
    const bool experts = spec->dims[0] == DIM_E && spec->n_dims > 1 && spec->role != ROLE_ROUTER;
    m->decode_b += experts ? t->n_bytes / c->n_experts * c->n_experts_used : t->n_bytes;
    m->expert_b += experts ? t->n_bytes / c->n_experts : 0;
}

/* Bytes and types of a layer that was found. */
static void count_layer(struct binding *b)
{
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        const struct tensor *t = b->find.t[i];
        const struct tensor_spec *spec = b->find.spec[i];
        if (!t)
            continue;
        b->m->source_b += t->n_bytes;
        count_bytes(b->m, spec, t);
        if ((spec->kind == KIND_MATRIX && spec->role != ROLE_ROUTER) || spec->kind == KIND_TRANSPOSED)
            b->types[t->quant] = true;
        if (spec->kind == KIND_CODES)
            b->types[QUANT_MXFP4_SPLIT] = true;
    }
}

static enum status bind_layer(struct binding *b, size_t i)
{
    struct layer *l = &b->m->layers[i];
    enum status s = layout_find_layer(&b->find, i, b->err);
    if (s)
        return s;
    count_layer(b);
    l->window = b->m->config.windows[i];
    return make_layer(b, l);
}

/* Embedding rows stay as they are stored, and are read for as long as the model lives; a tied head is
 * tiled from the same rows. */
static enum status bind_ends(struct binding *b)
{
    struct model *m = b->m;
    enum status s = layout_find_ends(&b->find, b->err);
    if (s)
        return s;
    const struct tensor *embed = b->find.t[ROLE_EMBED];
    const struct tensor *norm = b->find.t[ROLE_FINAL_NORM];
    const struct tensor *head = b->find.t[ROLE_HEAD];
    const struct slice rows = {.t = embed, .n_rows = embed->shape[0], .n_cols = embed->shape[1]};
    m->source_b += embed->n_bytes + norm->n_bytes + (head ? head->n_bytes : 0);
    head = head ? head : embed;
    m->decode_b += embed->n_bytes / m->config.vocab_size + norm->n_bytes + head->n_bytes; // a row of the embedding
    b->types[embed->quant] = b->types[head->quant] = true;
    if ((s = bind_in_file(b, embed, rows_new_table(m->backend, &m->embed, &rows, b->err))) ||
        (s = make_vector(b, ROLE_FINAL_NORM, &m->final_norm)))
        return s;
    return make_matrix(b, head, &m->lm_head);
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

uint64_t bind_least_b(const struct model *m)
{
    const struct tensor *embed = tensors_find(m->tensors, layout_of(m->tensors)->embed);
    uint64_t n = 0;
    for (size_t i = 0; i < tensors_count(m->tensors); i++) {
        const struct tensor *t = tensors_at(m->tensors, i);
        size_t n_b = t->quant == QUANT_F32 ? t->n_bytes / 2 : t->n_bytes; // rounded to bf16
        if (t != embed || !t->data)
            n += n_b; // rows of an embedding in a file stay there
        if (t == embed && m->config.tied)
            n += n_b; // and are the head's tiles too
    }
    return n;
}

enum status bind_weights(struct model *m, struct err *err)
{
    struct binding b = {.m = m, .set = m->tensors, .err = err};
    void *p;
    enum status s;
    m->cap_vectors = m->config.n_layers * 12 + 1;
    if ((s = arena_alloc(m->arena, &p, m->cap_vectors, sizeof *m->vectors, err)))
        return s;
    m->vectors = p;
    if ((s = arena_alloc(m->arena, &p, m->config.n_layers, sizeof *m->layers, err)))
        return s;
    m->layers = p;
    if (!(s = layout_search_init(&b.find, &m->config, m->tensors, err)))
        s = bind_ends(&b);
    for (size_t i = 0; i < m->config.n_layers && !s; i++)
        s = bind_layer(&b, i);
    if (!s && !(s = layout_check_all_used(&b.find, err)))
        s = name_format(&b);
    layout_search_release(&b.find);
    return s;
}
