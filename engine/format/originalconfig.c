#include "format/originalconfig.h"

#include "base/dmath.h"

bool originalconfig_is(const cJSON *root)
{
    return cJSON_IsObject(root) && !json_get(root, "architectures") && !json_get(root, "model_type") &&
           json_get(root, "rope_ntk_alpha");
}

static enum status read_size(const cJSON *root, const char *key, int64_t hi, const char *name, size_t *out,
                             struct err *err)
{
    int64_t v = 0;
    enum status s = json_get_i64(root, key, 1, hi, name, &v, err);
    if (!s)
        *out = (size_t)v;
    return s;
}

static enum status read_rope(struct rope_config *r, const cJSON *root, const char *name, struct err *err)
{
    enum status s;
    r->kind = ROPE_YARN;
    r->truncate = false;
    if ((s = json_get_f64(root, "rope_theta", 1.5, 1e12, name, &r->theta, err)) ||
        (s = json_get_f64(root, "rope_scaling_factor", 1, 1e6, name, &r->factor, err)) ||
        (s = json_get_f64(root, "rope_ntk_alpha", 1e-6, 1e6, name, &r->beta_slow, err)) ||
        (s = json_get_f64(root, "rope_ntk_beta", 1e-6, 1e6, name, &r->beta_fast, err)) ||
        (s = json_get_f64(root, "initial_context_length", 1, CONFIG_MAX_CONTEXT, name, &r->original_tok, err)))
        return s;
    r->attention_factor = 0.1 * dm_log(r->factor) + 1.0;
    return OK;
}

/* Where a turn of gpt-oss ends, in its own vocabulary: <|endoftext|>, <|return|>, <|call|>. No file of the folder
 * says so. */
static void add_stops(struct model_config *c)
{
    static const int32_t stops[] = {199999, 200002, 200012};
    enum { RETURN = 200002, LARGEST = 200012 };
    if (c->vocab_size <= LARGEST)
        return;
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++)
        (void)config_add_stop(c, stops[i]); // an empty list has room for them
    c->eos_id = RETURN;
}

enum status originalconfig_read(struct model_config *c, const cJSON *root, const char *name, struct err *err)
{
    enum status s;
    size_t window = 0;
    *c = (struct model_config){.arch = ARCH_GPTOSS, .bos_id = -1, .eos_id = -1};
    if ((s = read_size(root, "num_hidden_layers", CONFIG_MAX_LAYERS, name, &c->n_layers, err)) ||
        (s = read_size(root, "hidden_size", CONFIG_MAX_WIDTH, name, &c->d_model, err)) ||
        (s = read_size(root, "intermediate_size", CONFIG_MAX_WIDTH, name, &c->n_ff, err)) ||
        (s = read_size(root, "num_attention_heads", CONFIG_MAX_HEADS, name, &c->n_heads, err)) ||
        (s = read_size(root, "num_key_value_heads", CONFIG_MAX_HEADS, name, &c->n_kv_heads, err)) ||
        (s = read_size(root, "head_dim", CONFIG_MAX_HEAD_DIM, name, &c->head_dim, err)) ||
        (s = read_size(root, "vocab_size", CONFIG_MAX_VOCAB, name, &c->vocab_size, err)) ||
        (s = read_size(root, "num_experts", CONFIG_MAX_EXPERTS, name, &c->n_experts, err)) ||
        (s = read_size(root, "experts_per_token", CONFIG_MAX_EXPERTS_USED, name, &c->n_experts_used, err)) ||
        (s = read_size(root, "sliding_window", CONFIG_MAX_CONTEXT, name, &window, err)) ||
        (s = json_get_f64(root, "swiglu_limit", 1e-3, 1e9, name, &c->swiglu_limit, err)) ||
        (s = read_rope(&c->rope, root, name, err)))
        return s;
    if (c->n_heads % c->n_kv_heads || c->head_dim % 2 || c->n_experts_used > c->n_experts || c->d_model % 32 ||
        c->n_ff % 32)
        return err_set(err, ERR_SHAPE,
                       "%s: expected heads in groups, heads of even size, no more experts used than there are and widths in "
                       "multiples of 32, found %zu / %zu heads of %zu, %zu / %zu experts, %zu and %zu wide",
                       name, c->n_heads, c->n_kv_heads, c->head_dim, c->n_experts_used, c->n_experts, c->d_model, c->n_ff);
    double context = c->rope.original_tok * c->rope.factor;
    if (context > CONFIG_MAX_CONTEXT)
        return err_set(err, ERR_RANGE, "%s: \"rope_scaling_factor\": expected a context of at most %d, found %g", name,
                       CONFIG_MAX_CONTEXT, context);
    c->max_context_tok = (size_t)context;
    c->eps = 1e-5;
    c->attention_bias = c->sinks = true;
    c->swiglu_alpha = 1.702;
    c->swiglu_up_add = 1.0;
    for (size_t i = 0; i < c->n_layers; i++)
        c->windows[i] = i % 2 == 0 ? window : 0;
    add_stops(c);
    return OK;
}
