#include "convert/convert_meta.h"

#include <stdio.h>
#include <string.h>

#include "base/dmath.h"

/* The keys of the architecture: general.architecture = A, then A.key. */

enum { KEY_B = 96 };

struct keys {
    struct gguf_writer *w;
    const struct model_config *c;
    const char *arch;
    char key[KEY_B];
};

static const char *key(struct keys *k, const char *end)
{
    (void)snprintf(k->key, sizeof k->key, "%s.%s", k->arch, end);
    return k->key;
}

static void size(struct keys *k, const char *end, size_t v)
{
    gguf_write_u32(k->w, key(k, end), (uint32_t)v);
}

static void real(struct keys *k, const char *end, double v)
{
    gguf_write_f32(k->w, key(k, end), (float)v);
}

static void text(struct keys *k, const char *end, const char *v)
{
    gguf_write_str(k->w, key(k, end), v, strlen(v));
}

static const char *arch_name(enum arch_id id)
{
    switch (id) {
    case ARCH_GPTOSS:
        return "gpt-oss";
    case ARCH_QWEN3:
        return "qwen3";
    case ARCH_LLAMA:
        return "llama";
    }
    return "";
}

static bool differ(double a, double b)
{
    return a < b || a > b;
}

/* What a reader takes for granted because no key says it. */
static enum status check_implied(const struct model_config *c, struct err *err)
{
    const struct rope_config *r = &c->rope;
    size_t window = config_window(c);
    for (size_t i = 0; i < c->n_layers; i++)
        if (c->windows[i] != (i % 2 == 0 ? window : 0))
            return err_set(err, ERR_UNSUPPORTED, "layer %zu: expected windows on even layers alone, as GGUF implies, found others", i);
    if (c->n_experts && (differ(c->swiglu_limit, 7.0) || differ(c->swiglu_alpha, 1.702) || differ(c->swiglu_up_add, 1.0)))
        return err_set(err, ERR_UNSUPPORTED, "expected a swiglu_limit of 7, as GGUF implies, found %g", c->swiglu_limit);
    if (r->kind == ROPE_YARN && r->truncate != (c->arch != ARCH_GPTOSS))
        return err_set(err, ERR_UNSUPPORTED, "expected a YaRN \"truncate\" of %s, as GGUF implies, found %s",
                       c->arch == ARCH_GPTOSS ? "false" : "true", r->truncate ? "true" : "false");
    if (r->kind == ROPE_YARN && differ(r->attention_factor, 0.1 * dm_log(r->factor) + 1.0))
        return err_set(err, ERR_UNSUPPORTED, "expected a YaRN attention_factor of 0.1 ln(factor) + 1, as GGUF implies, found %g",
                       r->attention_factor);
    return OK;
}

/* llama3's scaling is no key but the tensor rope_freqs.weight. */
static void write_rope(struct keys *k)
{
    const struct rope_config *r = &k->c->rope;
    real(k, "rope.freq_base", r->theta);
    size(k, "rope.dimension_count", k->c->head_dim);
    if (r->kind != ROPE_YARN)
        return;
    text(k, "rope.scaling.type", "yarn");
    real(k, "rope.scaling.factor", r->factor);
    size(k, "rope.scaling.original_context_length", (size_t)r->original_tok);
    if (differ(r->beta_fast, 32.0) || differ(r->beta_slow, 1.0)) {
        real(k, "rope.scaling.yarn_beta_fast", r->beta_fast);
        real(k, "rope.scaling.yarn_beta_slow", r->beta_slow);
    }
}

enum status meta_model(struct gguf_writer *w, const struct model_config *c, struct err *err)
{
    struct keys k = {.w = w, .c = c, .arch = arch_name(c->arch)};
    enum status s = check_implied(c, err);
    if (s)
        return s;
    gguf_write_str(w, "general.architecture", k.arch, strlen(k.arch));
    size(&k, "block_count", c->n_layers);
    size(&k, "context_length", c->max_context_tok);
    size(&k, "embedding_length", c->d_model);
    size(&k, "feed_forward_length", c->n_ff);
    size(&k, "attention.head_count", c->n_heads);
    size(&k, "attention.head_count_kv", c->n_kv_heads);
    size(&k, "attention.key_length", c->head_dim);
    size(&k, "attention.value_length", c->head_dim);
    real(&k, "attention.layer_norm_rms_epsilon", c->eps);
    size(&k, "vocab_size", c->vocab_size);
    write_rope(&k);
    if (config_window(c))
        size(&k, "attention.sliding_window", config_window(c));
    if (c->n_experts) {
        size(&k, "expert_count", c->n_experts);
        size(&k, "expert_used_count", c->n_experts_used);
        size(&k, "expert_feed_forward_length", c->n_ff);
    }
    return OK;
}
