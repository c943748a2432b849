#include "synth/synth_tensors.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fmath.h"
#include "base/mem.h"
#include "base/rng.h"

static enum status add(struct synth_tensors *t, struct synth_tensor x, struct err *err, const char *name, ...)
    __attribute__((format(printf, 4, 5)));

static enum status add(struct synth_tensors *t, struct synth_tensor x, struct err *err, const char *name, ...)
{
    if (t->n == t->cap)
        return err_set(err, ERR_MEMORY, "tensor list: expected at most %zu tensors", t->cap);
    va_list ap;
    va_start(ap, name);
    (void)vsnprintf(x.name, sizeof x.name, name, ap);
    va_end(ap);
    t->v[t->n++] = x;
    return OK;
}

static struct synth_tensor normal1(size_t n, double mean, double sd)
{
    return (struct synth_tensor){.n_dims = 1, .shape = {n}, .fill = SYNTH_NORMAL, .mean = mean, .sd = sd};
}

static struct synth_tensor normal2(size_t rows, size_t cols, double sd)
{
    return (struct synth_tensor){.n_dims = 2, .shape = {rows, cols}, .fill = SYNTH_NORMAL, .sd = sd};
}

static struct synth_tensor norm(size_t n)
{
    return normal1(n, 1.0, 0.1);
}

/* Codes of `rows` rows of `cols` inputs for each of `experts`: sixteen bytes for 32 inputs. */
static struct synth_tensor codes(size_t experts, size_t rows, size_t cols)
{
    return (struct synth_tensor){.n_dims = 4, .shape = {experts, rows, cols / 32, 16}, .fill = SYNTH_CODES};
}

static struct synth_tensor scales(size_t experts, size_t rows, size_t cols, uint8_t lo)
{
    return (struct synth_tensor){
        .n_dims = 3, .shape = {experts, rows, cols / 32}, .fill = SYNTH_SCALES, .scale_lo = lo};
}

/* The same values as BF16 in [in, out] order, exact: a code times a power of two. */
static struct synth_tensor decoded(size_t experts, size_t rows, size_t cols, uint8_t lo)
{
    return (struct synth_tensor){
        .n_dims = 3, .shape = {experts, cols, rows}, .fill = SYNTH_DECODED, .scale_lo = lo};
}

static enum status add_matrices(struct synth_tensors *t, const struct synth_shape *s, size_t i, const char *which,
                                size_t rows, size_t cols, uint8_t lo, struct err *err)
{
    size_t e = s->n_experts;
    if (s->dequantised)
        return add(t, decoded(e, rows, cols, lo), err, "model.layers.%zu.mlp.experts.%s", i, which);
    enum status st = add(t, codes(e, rows, cols), err, "model.layers.%zu.mlp.experts.%s_blocks", i, which);
    return st ? st : add(t, scales(e, rows, cols, lo), err, "model.layers.%zu.mlp.experts.%s_scales", i, which);
}

/* Experts: outputs of gate_up get sd near 2.8, so that some 1.5 % of the values meet the clamp at 7;
 * a layer adds an rms near 1.2. Each `_blocks` stands before its `_scales`: converters rely on it. */
static enum status add_experts(struct synth_tensors *t, const struct synth_shape *s, size_t i, struct err *err)
{
    size_t e = s->n_experts, d = s->d_model, f = s->d_ff;
    struct synth_tensor down_bias = normal2(e, d, 0.1);
    struct synth_tensor gate_up_bias = normal2(e, 2 * f, 0.5);
    enum status st = add(t, down_bias, err, "model.layers.%zu.mlp.experts.down_proj_bias", i);
    st = st ? st : add_matrices(t, s, i, "down_proj", d, f, 120, err);
    st = st ? st : add(t, gate_up_bias, err, "model.layers.%zu.mlp.experts.gate_up_proj_bias", i);
    st = st ? st : add_matrices(t, s, i, "gate_up_proj", 2 * f, d, 123, err);
    st = st ? st : add(t, normal1(e, 0, 0.5), err, "model.layers.%zu.mlp.router.bias", i);
    return st ? st : add(t, normal2(e, d, 2 / sqrt((double)d)), err, "model.layers.%zu.mlp.router.weight", i);
}

static enum status add_mlp(struct synth_tensors *t, const struct synth_shape *s, size_t i, struct err *err)
{
    size_t d = s->d_model, f = s->d_ff;
    double sd_d = 1 / sqrt((double)d), sd_f = 1 / sqrt((double)f);
    enum status st = add(t, normal2(d, f, sd_f), err, "model.layers.%zu.mlp.down_proj.weight", i);
    st = st ? st : add(t, normal2(f, d, sd_d), err, "model.layers.%zu.mlp.gate_proj.weight", i);
    return st ? st : add(t, normal2(f, d, sd_d), err, "model.layers.%zu.mlp.up_proj.weight", i);
}

static enum status add_proj(struct synth_tensors *t, const struct synth_shape *s, size_t i, const char *which,
                            size_t rows, size_t cols, struct err *err)
{
    enum status st = OK;
    if (s->family == SYNTH_GPTOSS)
        st = add(t, normal1(rows, 0, 0.1), err, "model.layers.%zu.self_attn.%s.bias", i, which);
    return st ? st : add(t, normal2(rows, cols, 1 / sqrt((double)cols)), err,
                         "model.layers.%zu.self_attn.%s.weight", i, which);
}

static enum status add_layer(struct synth_tensors *t, const struct synth_shape *s, size_t i, struct err *err)
{
    size_t d = s->d_model, q = s->n_heads * s->head_dim, kv = s->n_kv_heads * s->head_dim;
    bool qwen = s->family == SYNTH_QWEN3;
    enum status st = add(t, norm(d), err, "model.layers.%zu.input_layernorm.weight", i);
    if (st == OK)
        st = s->family == SYNTH_GPTOSS ? add_experts(t, s, i, err) : add_mlp(t, s, i, err);
    st = st ? st : add(t, norm(d), err, "model.layers.%zu.post_attention_layernorm.weight", i);
    if (st == OK && qwen)
        st = add(t, norm(s->head_dim), err, "model.layers.%zu.self_attn.k_norm.weight", i);
    st = st ? st : add_proj(t, s, i, "k_proj", kv, d, err);
    st = st ? st : add_proj(t, s, i, "o_proj", d, q, err);
    if (st == OK && qwen)
        st = add(t, norm(s->head_dim), err, "model.layers.%zu.self_attn.q_norm.weight", i);
    st = st ? st : add_proj(t, s, i, "q_proj", q, d, err);
    if (st == OK && s->family == SYNTH_GPTOSS)
        st = add(t, normal1(s->n_heads, 0, 1), err, "model.layers.%zu.self_attn.sinks", i);
    return st ? st : add_proj(t, s, i, "v_proj", kv, d, err);
}

enum status synth_tensors_list(struct synth_tensors *out, const struct synth_shape *s, struct err *err)
{
    enum { MOST_PER_LAYER = 19 };
    struct synth_tensors t = {.cap = s->n_layers * MOST_PER_LAYER + 3};
    double sd_logits = 3 / sqrt((double)s->d_model); // logits with sd 3: the final norm has rms 1
    void *v = NULL;
    enum status st = mem_alloc(&v, t.cap, sizeof *t.v, "tensor list", err);
    t.v = v;
    // A tied embedding is also the head: at sd 1 its logits would have sd sqrt(d).
    st = st ? st : add(&t, normal2(s->vocab_size, s->d_model, s->tied ? sd_logits : 1), err,
                       "model.embed_tokens.weight");
    for (size_t i = 0; st == OK && i < s->n_layers; i++)
        st = add_layer(&t, s, i, err);
    st = st ? st : add(&t, norm(s->d_model), err, "model.norm.weight");
    if (st == OK && !s->tied)
        st = add(&t, normal2(s->vocab_size, s->d_model, sd_logits), err, "lm_head.weight");
    if (st != OK) {
        synth_tensors_release(&t);
        return st;
    }
    *out = t;
    return OK;
}

void synth_tensors_release(struct synth_tensors *t)
{
    mem_free(t->v);
    *t = (struct synth_tensors){.v = NULL};
}

size_t synth_tensor_values(const struct synth_tensor *t)
{
    size_t n = 1;
    for (size_t i = 0; i < t->n_dims; i++)
        n *= t->shape[i]; // bounded by synth_shape_check
    return n;
}

size_t synth_tensor_bytes(const struct synth_tensor *t)
{
    return synth_tensor_values(t) * (t->fill == SYNTH_NORMAL || t->fill == SYNTH_DECODED ? 2 : 1);
}

const char *synth_tensor_dtype(const struct synth_tensor *t)
{
    return t->fill == SYNTH_NORMAL || t->fill == SYNTH_DECODED ? "BF16" : "U8";
}

/* Values [from, from + n) of a decoded tensor: index ((e * in) + k) * out + row, code and scale as the
 * MXFP4 tensors of the same name hold them (models.md 2.4). */
static void fill_decoded(const struct synth_tensor *t, uint64_t seed, size_t from, size_t n, uint8_t *out)
{
    static const double e2m1[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    char name[SYNTH_NAME_B + 8];
    (void)snprintf(name, sizeof name, "%s_blocks", t->name);
    const struct rng_key code_key = rng_key(seed, name);
    (void)snprintf(name, sizeof name, "%s_scales", t->name);
    const struct rng_key scale_key = rng_key(seed, name);
    size_t cols = t->shape[1];
    size_t rows = t->shape[2];
    for (size_t i = 0; i < n; i++) {
        size_t row = (from + i) % rows;
        size_t k = (from + i) / rows % cols;
        size_t group = ((from + i) / rows / cols * rows + row) * (cols / 32) + k / 32;
        size_t byte = group * 16 + k % 32 / 2;
        unsigned code = (unsigned)(rng_u64(&code_key, byte / 8) >> (8 * (byte % 8) + 4 * (k % 2))) & 15U;
        unsigned scale = t->scale_lo + (unsigned)rng_below(&scale_key, group, 2);
        double v = e2m1[code & 7];
        for (unsigned s = scale; s < 127; s++) // scales of the recipe lie below 1; halving is exact
            v *= 0.5;
        uint16_t b = bf16_from_f64(code & 8 ? -v : v);
        out[2 * i] = (uint8_t)b;
        out[2 * i + 1] = (uint8_t)(b >> 8);
    }
}

void synth_tensor_fill(const struct synth_tensor *t, uint64_t seed, size_t from, size_t n, uint8_t *out)
{
    struct rng_key key = rng_key(seed, t->name);
    switch (t->fill) {
    case SYNTH_NORMAL:
        for (size_t i = 0; i < n; i++) {
            uint16_t v = bf16_from_f64(t->mean + t->sd * rng_normal(&key, from + i));
            out[2 * i] = (uint8_t)v;
            out[2 * i + 1] = (uint8_t)(v >> 8);
        }
        break;
    case SYNTH_CODES:
        for (size_t i = 0; i < n; i += 8) {
            uint64_t w = rng_u64(&key, (from + i) / 8);
            for (size_t j = 0; j < 8 && i + j < n; j++)
                out[i + j] = (uint8_t)(w >> (8 * j));
        }
        break;
    case SYNTH_DECODED:
        fill_decoded(t, seed, from, n, out);
        break;
    case SYNTH_SCALES:
        for (size_t i = 0; i < n; i++)
            out[i] = (uint8_t)(t->scale_lo + rng_below(&key, from + i, 2));
        break;
    }
}
