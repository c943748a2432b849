#include <stdio.h>
#include <string.h>

#include "base/dmath.h"
#include "convert/convert_plan.h"

/* From Hugging Face's names and layout to GGUF's (models.md 2.2, 3.3, 3.6). */

enum { NAME_B = 160, EXTRA = 4 }; // tensors outside the layers: embedding, head, norm, rotary factors

struct planning {
    struct plan *plan;
    struct arena *arena;
    const struct model_config *c;
    const struct tensors *set;
    const struct plan_types *types;
    bool *used; // (count) tensors that found a place
    struct err *err;
};

/* Sizes in the symbols of models.md. */
enum size { SIZE_V, SIZE_D, SIZE_F, SIZE_2F, SIZE_QH, SIZE_KH, SIZE_HEADS, SIZE_HEAD, SIZE_E, SIZE_GROUPS_D, SIZE_GROUPS_F, SIZE_16 };

static size_t size_of(const struct model_config *c, enum size s)
{
    switch (s) {
    case SIZE_V:
        return c->vocab_size;
    case SIZE_D:
        return c->d_model;
    case SIZE_F:
        return c->n_ff;
    case SIZE_2F:
        return 2 * c->n_ff;
    case SIZE_QH:
        return c->n_heads * c->head_dim;
    case SIZE_KH:
        return c->n_kv_heads * c->head_dim;
    case SIZE_HEADS:
        return c->n_heads;
    case SIZE_HEAD:
        return c->head_dim;
    case SIZE_E:
        return c->n_experts;
    case SIZE_GROUPS_D:
        return c->d_model / 32;
    case SIZE_GROUPS_F:
        return c->n_ff / 32;
    case SIZE_16:
        return 16;
    }
    return 0;
}

enum use { USE_VECTOR, USE_MATRIX, USE_ROUTER };
enum families { GPTOSS = 1 << ARCH_GPTOSS, QWEN3 = 1 << ARCH_QWEN3, LLAMA = 1 << ARCH_LLAMA, ALL = GPTOSS | QWEN3 | LLAMA };
enum flags { PLAIN = 0, BIAS = 1, ROTARY = 2 }; // only where attention has biases; rows are paired in llama files

static const struct renamed {
    const char *from, *to; // behind "model.layers.N." and "blk.N."
    unsigned families;
    enum use use;
    unsigned flags;
    size_t n_dims;
    enum size dims[2];
} renamed[] = {
    {"input_layernorm.weight", "attn_norm.weight", ALL, USE_VECTOR, PLAIN, 1, {SIZE_D}},
    {"self_attn.q_proj.weight", "attn_q.weight", ALL, USE_MATRIX, ROTARY, 2, {SIZE_QH, SIZE_D}},
    {"self_attn.q_proj.bias", "attn_q.bias", ALL, USE_VECTOR, BIAS | ROTARY, 1, {SIZE_QH}},
    {"self_attn.k_proj.weight", "attn_k.weight", ALL, USE_MATRIX, ROTARY, 2, {SIZE_KH, SIZE_D}},
    {"self_attn.k_proj.bias", "attn_k.bias", ALL, USE_VECTOR, BIAS | ROTARY, 1, {SIZE_KH}},
    {"self_attn.v_proj.weight", "attn_v.weight", ALL, USE_MATRIX, PLAIN, 2, {SIZE_KH, SIZE_D}},
    {"self_attn.v_proj.bias", "attn_v.bias", ALL, USE_VECTOR, BIAS, 1, {SIZE_KH}},
    {"self_attn.q_norm.weight", "attn_q_norm.weight", QWEN3, USE_VECTOR, PLAIN, 1, {SIZE_HEAD}},
    {"self_attn.k_norm.weight", "attn_k_norm.weight", QWEN3, USE_VECTOR, PLAIN, 1, {SIZE_HEAD}},
    {"self_attn.sinks", "attn_sinks.weight", GPTOSS, USE_VECTOR, PLAIN, 1, {SIZE_HEADS}},
    {"self_attn.o_proj.weight", "attn_output.weight", ALL, USE_MATRIX, PLAIN, 2, {SIZE_D, SIZE_QH}},
    {"self_attn.o_proj.bias", "attn_output.bias", ALL, USE_VECTOR, BIAS, 1, {SIZE_D}},
    {"post_attention_layernorm.weight", "post_attention_norm.weight", GPTOSS, USE_VECTOR, PLAIN, 1, {SIZE_D}},
    {"post_attention_layernorm.weight", "ffn_norm.weight", QWEN3 | LLAMA, USE_VECTOR, PLAIN, 1, {SIZE_D}},
    {"mlp.gate_proj.weight", "ffn_gate.weight", QWEN3 | LLAMA, USE_MATRIX, PLAIN, 2, {SIZE_F, SIZE_D}},
    {"mlp.up_proj.weight", "ffn_up.weight", QWEN3 | LLAMA, USE_MATRIX, PLAIN, 2, {SIZE_F, SIZE_D}},
    {"mlp.down_proj.weight", "ffn_down.weight", QWEN3 | LLAMA, USE_MATRIX, PLAIN, 2, {SIZE_D, SIZE_F}},
    {"mlp.router.weight", "ffn_gate_inp.weight", GPTOSS, USE_ROUTER, PLAIN, 2, {SIZE_E, SIZE_D}},
    {"mlp.router.bias", "ffn_gate_inp.bias", GPTOSS, USE_VECTOR, PLAIN, 1, {SIZE_E}},
};

/* gate_up is one tensor here and two in GGUF; MXFP4's codes and scales are two here and one there. */
static const struct expert_part {
    const char *from;  // behind "model.layers.N.mlp.experts."
    const char *to;    // behind "blk.N."
    enum row_order order;
    enum size stored_rows, rows, cols, groups; // of one expert
} expert_parts[] = {
    {"gate_up_proj", "ffn_gate_exps", ROW_ORDER_EVEN, SIZE_2F, SIZE_F, SIZE_D, SIZE_GROUPS_D},
    {"gate_up_proj", "ffn_up_exps", ROW_ORDER_ODD, SIZE_2F, SIZE_F, SIZE_D, SIZE_GROUPS_D},
    {"down_proj", "ffn_down_exps", ROW_ORDER_SAME, SIZE_D, SIZE_D, SIZE_F, SIZE_GROUPS_F},
};

/* The tensor of that name; its shape must be this one. */
static enum status find(struct planning *p, const char *name, const enum size *dims, size_t n_dims,
                        const struct tensor **out)
{
    const struct tensor *t = tensors_find(p->set, name);
    size_t want[4];
    if (!t) {
        (void)err_set(p->err, ERR_MISSING, "%s: expected tensor '%s', found none",
                      tensors_file_of(p->set, tensors_at(p->set, 0)), name);
        return ERR_MISSING; // in plain sight of gcc's analyzer, which follows t to its users
    }
    p->used[t - tensors_at(p->set, 0)] = true;
    *out = t;
    bool same = t->n_dims == n_dims;
    for (size_t i = 0; i < n_dims; i++) {
        want[i] = size_of(p->c, dims[i]);
        same = same && t->shape[i] == want[i];
    }
    if (same)
        return OK;
    char expected[TENSOR_SHAPE_TEXT_B];
    char found[TENSOR_SHAPE_TEXT_B];
    tensor_shape_text(want, n_dims, expected);
    tensor_shape_text(t->shape, t->n_dims, found);
    return err_set(p->err, ERR_SHAPE, "%s: tensor '%s': expected shape %s, found %s", tensors_file_of(p->set, t), t->name,
                   expected, found);
}

static enum status check_float(const struct planning *p, const struct tensor *t)
{
    if (t->quant == QUANT_BF16 || t->quant == QUANT_F16 || t->quant == QUANT_F32)
        return OK;
    return err_set(p->err, ERR_UNSUPPORTED, "%s: tensor '%s': expected dtype BF16, F16 or F32, found %s",
                   tensors_file_of(p->set, t), t->name, t->type_name);
}

/* The next tensor of the plan, taken from t in rows of n_cols values. A vector is rows of one value: then
 * every order of rows is an order of values too. */
static struct planned_tensor *add(struct planning *p, const char *name, enum quant q, const size_t *shape,
                                  size_t n_dims, size_t n_cols, const struct tensor *t)
{
    struct planned_tensor *out = &p->plan->tensors[p->plan->n++];
    size_t row_b;
    (void)snprintf(out->name, sizeof out->name, "%s", name);
    out->quant = quant_row_b(q, n_cols, &row_b) ? q : QUANT_BF16;
    out->n_dims = n_dims;
    out->n_rows = 1;
    for (size_t i = 0; i < n_dims; i++)
        out->n_rows *= out->shape[i] = shape[i];
    out->n_rows /= n_cols;
    out->rows = (struct stored_rows){.t = t, .n_cols = n_cols, .head_dim = p->c->head_dim, .quant = t->quant};
    if (quant_row_b(t->quant, n_cols, &row_b))
        out->rows.row_b = row_b;
    return out;
}

static enum status add_renamed(struct planning *p, size_t layer, const struct renamed *r)
{
    char name[NAME_B];
    const struct tensor *t = NULL;
    (void)snprintf(name, sizeof name, "model.layers.%zu.%s", layer, r->from);
    enum status s = find(p, name, r->dims, r->n_dims, &t);
    if (s || (s = check_float(p, t)))
        return s;
    (void)snprintf(name, sizeof name, "blk.%zu.%s", layer, r->to);
    struct planned_tensor *out = add(p, name, r->use == USE_MATRIX ? p->types->matrices : QUANT_F32, t->shape, t->n_dims,
                                     r->use == USE_VECTOR ? 1 : t->shape[1], t);
    if ((r->flags & ROTARY) && p->c->arch == ARCH_LLAMA)
        out->rows.order = ROW_ORDER_PAIRED;
    return OK;
}

static void expert_name(char out[NAME_B], size_t layer, const struct expert_part *e, const char *end)
{
    (void)snprintf(out, NAME_B, "model.layers.%zu.mlp.experts.%s%s", layer, e->from, end);
}

/* Codes and scales, or (dequantised uploads) values as [in, out]. */
static enum status find_expert(struct planning *p, size_t layer, const struct expert_part *e, const struct tensor **t,
                               const struct tensor **scales)
{
    const enum size codes_dims[4] = {SIZE_E, e->stored_rows, e->groups, SIZE_16};
    const enum size values_dims[3] = {SIZE_E, e->cols, e->stored_rows};
    char name[NAME_B];
    enum status s;
    *scales = NULL;
    expert_name(name, layer, e, "_blocks");
    if (!tensors_find(p->set, name)) {
        expert_name(name, layer, e, "");
        if ((s = find(p, name, values_dims, 3, t)))
            return s;
        if ((*t)->quant == QUANT_BF16 || (*t)->quant == QUANT_F16)
            return OK;
        return err_set(p->err, ERR_UNSUPPORTED, "%s: tensor '%s': expected dtype BF16 or F16, found %s",
                       tensors_file_of(p->set, *t), (*t)->name, (*t)->type_name);
    }
    if ((s = find(p, name, codes_dims, 4, t)))
        return s;
    expert_name(name, layer, e, "_scales");
    if ((s = find(p, name, codes_dims, 3, scales)))
        return s;
    if (strcmp((*t)->type_name, "U8") == 0 &&
        (strcmp((*scales)->type_name, "U8") == 0 || strcmp((*scales)->type_name, "F8_E8M0") == 0))
        return OK;
    return err_set(p->err, ERR_UNSUPPORTED, "%s: tensor '%s': expected U8 codes and U8 or F8_E8M0 scales, found %s and %s",
                   tensors_file_of(p->set, *t), (*t)->name, (*t)->type_name, (*scales)->type_name);
}

static enum status add_expert(struct planning *p, size_t layer, const struct expert_part *e)
{
    const size_t shape[3] = {p->c->n_experts, size_of(p->c, e->rows), size_of(p->c, e->cols)};
    const enum size bias_dims[2] = {SIZE_E, e->stored_rows};
    char name[NAME_B];
    const struct tensor *t = NULL;
    const struct tensor *scales = NULL;
    const struct tensor *bias = NULL;
    enum status s = find_expert(p, layer, e, &t, &scales);
    if (s)
        return s;
    expert_name(name, layer, e, "_bias");
    if ((s = find(p, name, bias_dims, 2, &bias)) || (s = check_float(p, bias)))
        return s;
    (void)snprintf(name, sizeof name, "blk.%zu.%s.weight", layer, e->to);
    struct planned_tensor *out = add(p, name, p->types->experts, shape, 3, shape[2], t);
    out->rows.order = e->order;
    out->rows.scales = scales;
    out->rows.transposed = !scales;
    if (scales) {
        out->rows.quant = QUANT_MXFP4;
        if (!quant_row_b(QUANT_MXFP4, shape[2], &out->rows.row_b))
            return err_set(p->err, ERR_SHAPE, "tensor '%s': expected rows in multiples of 32, found %zu", t->name, shape[2]);
    }
    (void)snprintf(name, sizeof name, "blk.%zu.%s.bias", layer, e->to);
    add(p, name, QUANT_F32, shape, 2, 1, bias)->rows.order = e->order;
    return OK;
}

static enum status add_layer(struct planning *p, size_t layer)
{
    enum status s = OK;
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed && !s; i++)
        if ((renamed[i].families & 1u << p->c->arch) && (p->c->attention_bias || !(renamed[i].flags & BIAS)))
            s = add_renamed(p, layer, &renamed[i]);
    for (size_t i = 0; i < sizeof expert_parts / sizeof *expert_parts && !s && p->c->n_experts; i++)
        s = add_expert(p, layer, &expert_parts[i]);
    return s;
}

/* What divides the frequency of each rotary pair (models.md 4.2, llama3). */
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

static enum status add_divisors(struct planning *p)
{
    size_t n = p->c->head_dim / 2;
    void *values;
    void *mem;
    enum status s;
    if (p->c->rope.kind != ROPE_LLAMA3)
        return OK;
    if ((s = arena_alloc(p->arena, &values, n, sizeof(float), p->err)) ||
        (s = arena_alloc(p->arena, &mem, 1, sizeof(struct tensor), p->err)))
        return s;
    float *v = values;
    for (size_t i = 0; i < n; i++)
        v[i] = llama3_divisor(&p->c->rope, p->c->head_dim, i);
    struct tensor *t = mem;
    *t = (struct tensor){.name = "rope_freqs.weight", .type_name = "F32", .quant = QUANT_F32, .n_dims = 1, .shape = {n},
                         .fill = copy_divisors, .ctx = values, .n_bytes = n * sizeof(float)};
    (void)add(p, t->name, QUANT_F32, t->shape, 1, 1, t);
    return OK;
}

static enum status add_ends(struct planning *p)
{
    static const enum size table[2] = {SIZE_V, SIZE_D};
    const struct tensor *embed = NULL;
    const struct tensor *norm = NULL;
    const struct tensor *head = NULL;
    enum status s;
    if ((s = find(p, "model.embed_tokens.weight", table, 2, &embed)) || (s = check_float(p, embed)) ||
        (s = find(p, "model.norm.weight", &table[1], 1, &norm)) || (s = check_float(p, norm)))
        return s;
    (void)add(p, "token_embd.weight", p->c->tied ? p->types->head : p->types->matrices, embed->shape, 2, p->c->d_model, embed);
    (void)add(p, "output_norm.weight", QUANT_F32, norm->shape, 1, 1, norm);
    if (!p->c->tied) {
        if ((s = find(p, "lm_head.weight", table, 2, &head)) || (s = check_float(p, head)))
            return s;
        (void)add(p, "output.weight", p->types->head, head->shape, 2, p->c->d_model, head);
    }
    return add_divisors(p);
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s);
    size_t k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

/* A tensor nobody asked for means a model we do not know. Two are known to be redundant. */
static enum status check_all_used(const struct planning *p)
{
    for (size_t i = 0; i < tensors_count(p->set); i++) {
        const struct tensor *t = tensors_at(p->set, i);
        bool redundant = ends_with(t->name, ".rotary_emb.inv_freq") || (p->c->tied && strcmp(t->name, "lm_head.weight") == 0);
        if (!p->used[i] && !redundant)
            return err_set(p->err, ERR_UNSUPPORTED, "%s: tensor '%.200s': expected no such tensor, found one",
                           tensors_file_of(p->set, t), t->name);
    }
    return OK;
}

enum status plan_hf(struct plan *out, struct arena *a, const struct model_config *c, const struct tensors *set,
                    const struct plan_types *types, struct err *err)
{
    struct planning p = {.plan = out, .arena = a, .c = c, .set = set, .types = types, .err = err};
    size_t per_layer = sizeof renamed / sizeof *renamed + 2 * (sizeof expert_parts / sizeof *expert_parts);
    void *mem;
    enum status s;
    *out = (struct plan){.tensors = NULL};
    if (tensors_count(set) == 0)
        return err_set(err, ERR_MISSING, "expected tensors, found none");
    if ((s = arena_alloc(a, &mem, c->n_layers * per_layer + EXTRA, sizeof *out->tensors, err)))
        return s;
    out->tensors = mem;
    if ((s = arena_alloc(a, &mem, tensors_count(set), sizeof(bool), err)))
        return s;
    p.used = mem;
    s = add_ends(&p);
    for (size_t i = 0; i < c->n_layers && !s; i++)
        s = add_layer(&p, i);
    return s ? s : check_all_used(&p);
}
