#include "convert/convert_plan.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/dmath.h"
#include "format/layout.h"

/* Every tensor of GGUF's plain layout, taken from whatever tensor of the source holds its rows. */

enum { NAME_B = 160, EXTRA = 4 }; // tensors outside the layers: embedding, head, norm, rotary divisors

struct planning {
    struct plan *plan;
    struct arena *arena;
    const struct plan_types *types;
    struct layout_search find;
    struct err *err;
};

/* Which tensor of the source has the rows of a role. */
struct origin {
    const struct tensor *t, *scales;
    size_t stored_group; // rows there where a group is here; 0: the same number
    size_t offset, step;
    bool transposed;
};

static struct origin whole(const struct planning *p, enum role role)
{
    const struct tensor_spec *spec = p->find.spec[role];
    return (struct origin){.t = p->find.t[role], .step = 1, .transposed = spec && spec->kind == KIND_TRANSPOSED};
}

static struct origin part(const struct planning *p, enum role role, size_t stored_group, size_t offset, size_t step)
{
    struct origin o = whole(p, role);
    o.stored_group = stored_group;
    o.offset = offset;
    o.step = step;
    return o;
}

/* The first of two fused forms that is there. */
static struct origin of_pair(const struct planning *p, enum role alternating, enum role stacked, bool up)
{
    size_t f = p->find.config->n_ff;
    if (p->find.t[alternating])
        return part(p, alternating, 2 * f, up, 2);
    return part(p, stacked, 2 * f, up ? f : 0, 1);
}

static struct origin of_qkv(const struct planning *p, enum role fused, size_t heads_before)
{
    const struct model_config *c = p->find.config;
    return part(p, fused, (c->n_heads + 2 * c->n_kv_heads) * c->head_dim, heads_before * c->head_dim, 1);
}

static struct origin fused_origin(const struct planning *p, enum role role)
{
    const struct model_config *c = p->find.config;
    switch ((int)role) {
    case ROLE_Q:
        return of_qkv(p, ROLE_QKV, 0);
    case ROLE_K:
        return of_qkv(p, ROLE_QKV, c->n_heads);
    case ROLE_V:
        return of_qkv(p, ROLE_QKV, c->n_heads + c->n_kv_heads);
    case ROLE_Q_BIAS:
        return of_qkv(p, ROLE_QKV_BIAS, 0);
    case ROLE_K_BIAS:
        return of_qkv(p, ROLE_QKV_BIAS, c->n_heads);
    case ROLE_V_BIAS:
        return of_qkv(p, ROLE_QKV_BIAS, c->n_heads + c->n_kv_heads);
    case ROLE_GATE:
        return of_pair(p, ROLE_NONE, ROLE_GATE_THEN_UP, false);
    case ROLE_UP:
        return of_pair(p, ROLE_NONE, ROLE_GATE_THEN_UP, true);
    case ROLE_EXPERTS_GATE:
        return of_pair(p, ROLE_EXPERTS_GATE_UP, ROLE_EXPERTS_GATE_THEN_UP, false);
    case ROLE_EXPERTS_UP:
        return of_pair(p, ROLE_EXPERTS_GATE_UP, ROLE_EXPERTS_GATE_THEN_UP, true);
    case ROLE_EXPERTS_GATE_BIAS:
        return of_pair(p, ROLE_EXPERTS_GATE_UP_BIAS, ROLE_EXPERTS_GATE_THEN_UP_BIAS, false);
    case ROLE_EXPERTS_UP_BIAS:
        return of_pair(p, ROLE_EXPERTS_GATE_UP_BIAS, ROLE_EXPERTS_GATE_THEN_UP_BIAS, true);
    default:
        return whole(p, role);
    }
}

static struct origin origin_of(const struct planning *p, enum role role)
{
    struct origin o = p->find.t[role] ? whole(p, role) : fused_origin(p, role);
    if (o.t && o.t == p->find.t[ROLE_EXPERTS_GATE_UP])
        o.scales = p->find.t[ROLE_EXPERTS_GATE_UP_SCALES];
    if (o.t && o.t == p->find.t[ROLE_EXPERTS_DOWN])
        o.scales = p->find.t[ROLE_EXPERTS_DOWN_SCALES];
    return o;
}

/* The next tensor of the plan. A vector is rows of one value: then every order of rows is an order of values
 * too. The first of three dimensions, or of a vector's two, counts experts. */
static enum status add(struct planning *p, const char *name, enum quant q, const size_t *shape, size_t n_dims,
                       bool vector, const struct origin *o, struct planned_tensor **added)
{
    struct planned_tensor *out = &p->plan->tensors[p->plan->n++];
    size_t n_cols = vector ? 1 : shape[n_dims - 1];
    size_t groups = n_dims == (vector ? 2 : 3) ? shape[0] : 1;
    size_t row_b;
    (void)snprintf(out->name, sizeof out->name, "%s", name);
    out->quant = quant_row_b(q, n_cols, &row_b) ? q : QUANT_BF16;
    out->n_dims = n_dims;
    out->n_rows = 1;
    for (size_t i = 0; i < n_dims; i++)
        out->n_rows *= out->shape[i] = shape[i];
    out->n_rows /= n_cols;
    size_t group = out->n_rows / groups;
    out->rows = (struct stored_rows){.t = o->t,
                                     .scales = o->scales,
                                     .group = group,
                                     .stored_group = o->stored_group ? o->stored_group : group,
                                     .offset = o->offset,
                                     .step = o->step,
                                     .transposed = o->transposed,
                                     .n_cols = n_cols,
                                     .quant = o->scales ? QUANT_MXFP4 : o->t->quant};
    if (!quant_row_b(out->rows.quant, n_cols, &out->rows.row_b))
        return err_set(p->err, ERR_SHAPE, "tensor '%s': expected rows of whole blocks of %s, found %zu values", o->t->name,
                       o->t->type_name, n_cols);
    if (added)
        *added = out;
    return OK;
}

static enum quant quant_for(const struct planning *p, const struct tensor_spec *spec)
{
    if (spec->kind == KIND_VECTOR || spec->role == ROLE_ROUTER)
        return QUANT_F32;
    return spec->when == WHEN_EXPERTS ? p->types->experts : p->types->matrices;
}

static bool is_rotary(enum role r)
{
    return r == ROLE_Q || r == ROLE_K || r == ROLE_Q_BIAS || r == ROLE_K_BIAS;
}

static enum status add_spec(struct planning *p, size_t layer, const struct tensor_spec *spec)
{
    const struct model_config *c = p->find.config;
    struct planned_tensor *out = NULL;
    char name[NAME_B];
    size_t shape[GGUF_MAX_DIMS];
    if (!layout_has(c, spec->when))
        return OK;
    const struct origin o = origin_of(p, spec->role);
    if (!o.t)
        return err_set(p->err, ERR_MISSING, "layer %zu: expected a tensor for '%s', found none", layer, spec->suffix);
    for (size_t i = 0; i < spec->n_dims; i++)
        shape[i] = layout_dim(c, spec->dims[i]);
    (void)snprintf(name, sizeof name, "%s%zu.%s", layout_gguf.prefix, layer, spec->suffix);
    enum status s = add(p, name, quant_for(p, spec), shape, spec->n_dims, spec->kind == KIND_VECTOR, &o, &out);
    if (!s && c->arch == ARCH_LLAMA && is_rotary(spec->role) && !p->find.layout->llama_pairs)
        out->rows.head_dim = c->head_dim;
    return s;
}

static enum status add_specs(struct planning *p, size_t layer, const struct tensor_spec *specs)
{
    enum status s = OK;
    for (; specs->role != ROLE_NONE && !s; specs++)
        s = add_spec(p, layer, specs);
    return s;
}

/* The plain form comes first in each list of ways. */
static enum status add_layer(struct planning *p, size_t layer)
{
    const struct tensor_spec *const *ffn = layout_gguf.ffn;
    enum status s = layout_find_layer(&p->find, layer, p->err);
    while (!layout_has(p->find.config, (*ffn)->when))
        ffn++;
    if (s || (s = add_specs(p, layer, layout_gguf.rest)) || (s = add_specs(p, layer, layout_gguf.attention[0])))
        return s;
    return add_specs(p, layer, *ffn);
}

/* What divides the frequency of a rotary pair (models.md 4.2, llama3). */
static float llama3_divisor(const struct rope_config *r, size_t head_dim, size_t i)
{
    static const double two_pi = 6.283185307179586476925;
    double wavelength = two_pi / dm_pow(r->theta, -2.0 * (double)i / (double)head_dim);
    if (wavelength < r->original_tok / r->high_freq_factor)
        return 1.0f;
    if (wavelength > r->original_tok / r->low_freq_factor)
        return (float)r->factor;
    double s = (r->original_tok / wavelength - r->low_freq_factor) / (r->high_freq_factor - r->low_freq_factor);
    return (float)(1.0 / ((1.0 - s) / r->factor + s));
}

static void copy_divisors(const struct tensor *t, size_t at_b, size_t n_b, uint8_t *out)
{
    memcpy(out, (const uint8_t *)t->ctx + at_b, n_b);
}

/* No key says llama3's scaling, but a tensor. */
static enum status add_divisors(struct planning *p)
{
    const struct model_config *c = p->find.config;
    size_t n = c->head_dim / 2;
    void *values;
    void *mem;
    enum status s;
    if (c->rope.kind != ROPE_LLAMA3 && !c->rope.divisors)
        return OK;
    if ((s = arena_alloc(p->arena, &values, n, sizeof(float), p->err)) ||
        (s = arena_alloc(p->arena, &mem, 1, sizeof(struct tensor), p->err)))
        return s;
    float *v = values;
    for (size_t i = 0; i < n; i++)
        v[i] = c->rope.divisors ? c->rope.divisors[i] : llama3_divisor(&c->rope, c->head_dim, i);
    struct tensor *t = mem;
    *t = (struct tensor){.name = "rope_freqs.weight", .type_name = "F32", .quant = QUANT_F32, .n_dims = 1, .shape = {n},
                         .fill = copy_divisors, .ctx = values, .n_bytes = n * sizeof(float)};
    const struct origin o = {.t = t, .step = 1};
    return add(p, t->name, QUANT_F32, t->shape, 1, true, &o, NULL);
}

static enum status add_ends(struct planning *p)
{
    const struct model_config *c = p->find.config;
    const size_t table[2] = {c->vocab_size, c->d_model};
    enum status s = layout_find_ends(&p->find, p->err);
    if (s)
        return s;
    const struct origin embed = whole(p, ROLE_EMBED);
    const struct origin norm = whole(p, ROLE_FINAL_NORM);
    const struct origin head = whole(p, ROLE_HEAD);
    if ((s = add(p, layout_gguf.embed, c->tied ? p->types->head : p->types->matrices, table, 2, false, &embed, NULL)) ||
        (s = add(p, layout_gguf.norm, QUANT_F32, &table[1], 1, true, &norm, NULL)) ||
        (head.t && (s = add(p, layout_gguf.head, p->types->head, table, 2, false, &head, NULL))))
        return s;
    return add_divisors(p);
}

static size_t count_specs(const struct tensor_spec *specs)
{
    size_t n = 0;
    while (specs[n].role != ROLE_NONE)
        n++;
    return n;
}

enum status plan_make(struct plan *out, struct arena *a, const struct model_config *c, const struct tensors *set,
                      const struct plan_types *types, struct err *err)
{
    struct planning p = {.plan = out, .arena = a, .types = types, .err = err};
    size_t per_layer = count_specs(layout_gguf.rest) + count_specs(layout_gguf.attention[0]) + count_specs(layout_gguf.ffn[0]);
    void *mem;
    *out = (struct plan){.tensors = NULL};
    enum status s = arena_alloc(a, &mem, c->n_layers * per_layer + EXTRA, sizeof *out->tensors, err);
    if (s)
        return s;
    out->tensors = mem;
    if (!(s = layout_search_init(&p.find, c, set, err)))
        s = add_ends(&p);
    for (size_t i = 0; i < c->n_layers && !s; i++)
        s = add_layer(&p, i);
    if (!s)
        s = layout_check_all_used(&p.find, err);
    layout_search_release(&p.find);
    return s;
}
