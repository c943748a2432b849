#include "format/layout.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { NAME_B = 160 };

bool layout_has(const struct model_config *c, enum condition when)
{
    switch (when) {
    case WHEN_ALWAYS:
        break;
    case WHEN_BIAS:
        return c->attention_bias;
    case WHEN_QK_NORM:
        return c->arch == ARCH_QWEN3;
    case WHEN_DENSE:
        return c->n_experts == 0;
    case WHEN_EXPERTS:
        return c->n_experts > 0;
    }
    return true;
}

size_t layout_dim(const struct model_config *c, enum dim d)
{
    switch (d) {
    case DIM_D:
        return c->d_model;
    case DIM_F:
        return c->n_ff;
    case DIM_2F:
        return 2 * c->n_ff;
    case DIM_QH:
        return c->n_heads * c->head_dim;
    case DIM_KH:
        return c->n_kv_heads * c->head_dim;
    case DIM_QKV:
        return (c->n_heads + 2 * c->n_kv_heads) * c->head_dim;
    case DIM_H_COUNT:
        return c->n_heads;
    case DIM_HEAD:
        return c->head_dim;
    case DIM_E:
        return c->n_experts;
    case DIM_D_BLOCKS:
        return c->d_model / 32;
    case DIM_F_BLOCKS:
        return c->n_ff / 32;
    case DIM_16:
        break;
    }
    return 16;
}

const struct layout *layout_of(const struct tensors *set)
{
    static const struct layout *const layouts[] = {&layout_hf, &layout_gguf, &layout_original};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (tensors_find(set, layouts[i]->embed))
            return layouts[i];
    return layouts[0];
}

enum status layout_search_init(struct layout_search *s, const struct model_config *c, const struct tensors *set,
                               struct err *err)
{
    void *p;
    *s = (struct layout_search){.layout = layout_of(set), .config = c, .set = set};
    if (tensors_count(set) == 0)
        return err_set(err, ERR_MISSING, "%s: expected tensors, found none",
                       tensors_n_files(set) ? tensors_file(set, 0) : "the model");
    enum status st = mem_alloc(&p, tensors_count(set), sizeof(bool), "tensor marks", err);
    if (!st)
        s->used = p;
    return st;
}

void layout_search_release(struct layout_search *s)
{
    mem_free(s->used);
    s->used = NULL;
}

static enum status find(struct layout_search *s, const char *name, const struct tensor **out, struct err *err)
{
    const struct tensor *t = tensors_find(s->set, name);
    if (!t)
        return err_set(err, ERR_MISSING, "%s: expected tensor '%s' for %s, found none",
                       tensors_file_of(s->set, tensors_at(s->set, 0)), name, config_arch_name(s->config->arch));
    s->used[t - tensors_at(s->set, 0)] = true;
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

static enum status check(const struct layout_search *s, const struct tensor *t, enum tensor_kind kind,
                         const size_t *shape, size_t n_dims, struct err *err)
{
    static const char *const wanted[] = {"F32, BF16 or F16", "weights", "F32, BF16 or F16", "U8", "U8 or F8_E8M0"};
    const char *file = tensors_file_of(s->set, t);
    if (!type_fits(kind, t))
        return err_set(err, ERR_UNSUPPORTED, "%s: tensor '%s': expected %s, found %s", file, t->name, wanted[kind],
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
    return err_set(err, ERR_SHAPE, "%s: tensor '%s': expected shape %s, found %s", file, t->name, expected, found);
}

static void layer_name(const struct layout_search *s, size_t layer, const struct tensor_spec *spec, char name[NAME_B])
{
    (void)snprintf(name, NAME_B, "%s%zu.%s", s->layout->prefix, layer, spec->suffix);
}

static enum status find_spec(struct layout_search *s, size_t layer, const struct tensor_spec *spec, struct err *err)
{
    const struct tensor *t;
    char name[NAME_B];
    size_t shape[4];
    if (!layout_has(s->config, spec->when))
        return OK;
    layer_name(s, layer, spec, name);
    for (size_t i = 0; i < spec->n_dims; i++)
        shape[i] = layout_dim(s->config, spec->dims[i]);
    enum status st = find(s, name, &t, err);
    if (st || (st = check(s, t, spec->kind, shape, spec->n_dims, err)))
        return st;
    s->t[spec->role] = t;
    s->spec[spec->role] = spec;
    return OK;
}

static enum status find_specs(struct layout_search *s, size_t layer, const struct tensor_spec *specs, struct err *err)
{
    enum status st = OK;
    for (const struct tensor_spec *p = specs; p && p->role != ROLE_NONE && !st; p++)
        st = find_spec(s, layer, p, err);
    return st;
}

/* Of several ways to store the same, the one whose first tensor is there; without any, the first that
 * this model could have, for the message. */
static const struct tensor_spec *way(const struct layout_search *s, size_t layer, const struct tensor_spec *const *ways)
{
    const struct tensor_spec *first = NULL;
    for (; *ways; ways++) {
        char name[NAME_B];
        if (!layout_has(s->config, (*ways)->when))
            continue;
        if (!first)
            first = *ways;
        layer_name(s, layer, *ways, name);
        if (tensors_find(s->set, name))
            return *ways;
    }
    return first;
}

static void forget(struct layout_search *s)
{
    memset(s->t, 0, sizeof s->t);
    memset(s->spec, 0, sizeof s->spec);
}

enum status layout_find_layer(struct layout_search *s, size_t layer, struct err *err)
{
    enum status st;
    forget(s);
    if ((st = find_specs(s, layer, s->layout->rest, err)) ||
        (st = find_specs(s, layer, way(s, layer, s->layout->attention), err)))
        return st;
    return find_specs(s, layer, way(s, layer, s->layout->ffn), err);
}

enum status layout_find_ends(struct layout_search *s, struct err *err)
{
    const struct layout *l = s->layout;
    const size_t shape[2] = {s->config->vocab_size, s->config->d_model};
    enum status st;
    forget(s);
    if ((st = find(s, l->embed, &s->t[ROLE_EMBED], err)) || (st = check(s, s->t[ROLE_EMBED], KIND_MATRIX, shape, 2, err)) ||
        (st = find(s, l->norm, &s->t[ROLE_FINAL_NORM], err)) ||
        (st = check(s, s->t[ROLE_FINAL_NORM], KIND_VECTOR, &shape[1], 1, err)) || s->config->tied)
        return st;
    st = find(s, l->head, &s->t[ROLE_HEAD], err);
    return st ? st : check(s, s->t[ROLE_HEAD], KIND_MATRIX, shape, 2, err);
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s);
    size_t k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static bool is_redundant(const struct layout_search *s, const char *name)
{
    bool known = s->config->tied && strcmp(name, s->layout->head) == 0;
    for (const char *const *p = s->layout->ignored; *p; p++)
        known = known || ends_with(name, *p);
    return known;
}

/* A bias left out would not crash, only be wrong. */
enum status layout_check_all_used(const struct layout_search *s, struct err *err)
{
    for (size_t i = 0; i < tensors_count(s->set); i++) {
        const struct tensor *t = tensors_at(s->set, i);
        if (!s->used[i] && !is_redundant(s, t->name))
            return err_set(err, ERR_UNSUPPORTED, "%s: tensor '%.200s': expected no such tensor in %s with %zu layers",
                           tensors_file_of(s->set, t), t->name, config_arch_name(s->config->arch), s->config->n_layers);
    }
    return OK;
}
