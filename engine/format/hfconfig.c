#include "format/hfconfig.h"

#include <math.h>
#include <string.h>

#include "base/dmath.h"
#include "base/json.h"
#include "base/mapfile.h"
#include "format/originalconfig.h"

struct reading {
    const cJSON *root;
    const char *file;
    struct err *err;
};

static bool present(const cJSON *obj, const char *key)
{
    const cJSON *v = json_get(obj, key);
    return v && !cJSON_IsNull(v);
}

/* The first of two spellings that is there; the first when neither is. */
static const char *alias(const cJSON *obj, const char *a, const char *b)
{
    return !present(obj, a) && present(obj, b) ? b : a;
}

static enum status read_size(const struct reading *r, const char *key, int64_t hi, size_t *out)
{
    int64_t v = 0;
    enum status s = json_get_i64(r->root, key, 1, hi, r->file, &v, r->err);
    if (!s)
        *out = (size_t)v;
    return s;
}

static const struct arch_name {
    enum arch_id id;
    const char *architecture;
    const char *model_type;
} arch_names[] = {
    {ARCH_GPTOSS, "GptOssForCausalLM", "gpt_oss"},
    {ARCH_QWEN3, "Qwen3ForCausalLM", "qwen3"},
    {ARCH_LLAMA, "LlamaForCausalLM", "llama"},
};

static enum status read_arch(const struct reading *r, struct model_config *c)
{
    const cJSON *list = json_get(r->root, "architectures");
    const cJSON *first = cJSON_IsArray(list) ? list->child : NULL;
    const char *name = NULL;
    const char *type = NULL;
    enum status s = OK;
    if (present(r->root, "model_type") && (s = json_get_str(r->root, "model_type", r->file, &type, r->err)))
        return s;
    if (first)
        name = cJSON_GetStringValue(first);
    const char *found = name ? name : type;
    if (!found)
        return err_set(r->err, ERR_FORMAT, "%s: \"architectures\": expected an array of one name, found none", r->file);
    for (size_t i = 0; i < sizeof arch_names / sizeof *arch_names; i++) {
        const struct arch_name *a = &arch_names[i];
        if (strcmp(found, name ? a->architecture : a->model_type) != 0)
            continue;
        if (type && strcmp(type, a->model_type) != 0)
            return err_set(r->err, ERR_FORMAT, "%s: \"model_type\": expected \"%s\" for %s, found \"%.80s\"", r->file,
                           a->model_type, a->architecture, type);
        c->arch = a->id;
        return OK;
    }
    return err_set(r->err, ERR_UNSUPPORTED,
                   "%s: \"architectures\": expected GptOssForCausalLM, Qwen3ForCausalLM or LlamaForCausalLM, found '%.80s'",
                   r->file, found);
}

static enum status read_sizes(const struct reading *r, struct model_config *c)
{
    enum status s;
    if ((s = read_size(r, "num_hidden_layers", CONFIG_MAX_LAYERS, &c->n_layers)) ||
        (s = read_size(r, "hidden_size", CONFIG_MAX_WIDTH, &c->d_model)) ||
        (s = read_size(r, "intermediate_size", CONFIG_MAX_WIDTH, &c->n_ff)) ||
        (s = read_size(r, "num_attention_heads", CONFIG_MAX_HEADS, &c->n_heads)) ||
        (s = read_size(r, "vocab_size", CONFIG_MAX_VOCAB, &c->vocab_size)) ||
        (s = read_size(r, "max_position_embeddings", CONFIG_MAX_CONTEXT, &c->max_context_tok)) ||
        (s = json_get_f64(r->root, "rms_norm_eps", 1e-12, 1.0, r->file, &c->eps, r->err)))
        return s;
    c->n_kv_heads = c->n_heads;
    if (present(r->root, "num_key_value_heads") && (s = read_size(r, "num_key_value_heads", CONFIG_MAX_HEADS, &c->n_kv_heads)))
        return s;
    if (c->n_heads % c->n_kv_heads)
        return err_set(r->err, ERR_SHAPE, "%s: \"num_key_value_heads\": expected a divisor of %zu, found %zu", r->file,
                       c->n_heads, c->n_kv_heads);
    if (present(r->root, "head_dim")) {
        if ((s = read_size(r, "head_dim", CONFIG_MAX_HEAD_DIM, &c->head_dim)))
            return s;
    } else if (c->d_model % c->n_heads || c->d_model / c->n_heads > CONFIG_MAX_HEAD_DIM) {
        return err_set(r->err, ERR_SHAPE, "%s: \"head_dim\": expected it, or hidden_size %zu a multiple of %zu heads",
                       r->file, c->d_model, c->n_heads);
    } else {
        c->head_dim = c->d_model / c->n_heads;
    }
    if (c->head_dim % 2)
        return err_set(r->err, ERR_SHAPE, "%s: \"head_dim\": expected an even number, found %zu", r->file, c->head_dim);
    return OK;
}

/* Keys whose only handled value is the default: any other would change the result unseen. */
static enum status read_fixed(const struct reading *r, struct model_config *c)
{
    enum status s;
    bool sliding = false;
    bool mlp_bias = false;
    const char *act = "silu";
    if ((s = json_get_bool_or(r->root, "tie_word_embeddings", false, r->file, &c->tied, r->err)) ||
        (s = json_get_bool_or(r->root, "attention_bias", c->arch == ARCH_GPTOSS, r->file, &c->attention_bias, r->err)) ||
        (s = json_get_bool_or(r->root, "mlp_bias", false, r->file, &mlp_bias, r->err)) ||
        (s = json_get_bool_or(r->root, "use_sliding_window", false, r->file, &sliding, r->err)) ||
        (present(r->root, "hidden_act") && (s = json_get_str(r->root, "hidden_act", r->file, &act, r->err))))
        return s;
    if (mlp_bias || sliding)
        return err_set(r->err, ERR_UNSUPPORTED, "%s: \"%s\": expected false, found true", r->file,
                       mlp_bias ? "mlp_bias" : "use_sliding_window");
    if (strcmp(act, "silu") != 0)
        return err_set(r->err, ERR_UNSUPPORTED, "%s: \"hidden_act\": expected \"silu\", found \"%.80s\"", r->file, act);
    return OK;
}

/* A scheme this engine does not know would be read as if its bytes meant something else. */
static enum status read_quantization(const struct reading *r, const struct model_config *c)
{
    const cJSON *d = json_get(r->root, "quantization_config");
    const char *method;
    if (!present(r->root, "quantization_config"))
        return OK;
    if (!cJSON_IsObject(d))
        return err_set(r->err, ERR_FORMAT, "%s: \"quantization_config\": expected an object, found other", r->file);
    enum status s = json_get_str(d, "quant_method", r->file, &method, r->err);
    if (!s && (c->arch != ARCH_GPTOSS || strcmp(method, "mxfp4") != 0))
        s = err_set(r->err, ERR_UNSUPPORTED, "%s: \"quant_method\": expected %s, found \"%.80s\"", r->file,
                    c->arch == ARCH_GPTOSS ? "\"mxfp4\"" : "no quantization_config", method);
    return s;
}

/* Files spell one dictionary three ways: rope_scaling + rope_theta, and the newer rope_parameters. */
static enum status read_rope_kind(const struct reading *r, const cJSON *d, const char *where, struct rope_config *rope)
{
    const char *type = "default";
    const char *key = alias(d, "rope_type", "type");
    enum status s = OK;
    if (present(d, key) && (s = json_get_str(d, key, where, &type, r->err)))
        return s;
    if (strcmp(type, "default") == 0)
        rope->kind = ROPE_PLAIN;
    else if (strcmp(type, "llama3") == 0)
        rope->kind = ROPE_LLAMA3;
    else if (strcmp(type, "yarn") == 0)
        rope->kind = ROPE_YARN;
    else
        return err_set(r->err, ERR_UNSUPPORTED, "%s: \"%s\": expected default, llama3 or yarn, found '%.80s'", where, key,
                       type);
    return OK;
}

static enum status read_llama3(const struct reading *r, const cJSON *d, const char *where, struct rope_config *rope)
{
    enum status s;
    if ((s = json_get_f64(d, "factor", 1, 1e6, where, &rope->factor, r->err)) ||
        (s = json_get_f64(d, "low_freq_factor", 1e-6, 1e6, where, &rope->low_freq_factor, r->err)) ||
        (s = json_get_f64(d, "high_freq_factor", 1e-6, 1e6, where, &rope->high_freq_factor, r->err)) ||
        (s = json_get_f64(d, "original_max_position_embeddings", 1, CONFIG_MAX_CONTEXT, where, &rope->original_tok, r->err)))
        return s;
    if (rope->high_freq_factor <= rope->low_freq_factor)
        return err_set(r->err, ERR_RANGE, "%s: expected high_freq_factor above low_freq_factor, found %g and %g", where,
                       rope->high_freq_factor, rope->low_freq_factor);
    return OK;
}

static enum status read_yarn(const struct reading *r, const cJSON *d, const char *where, const struct model_config *c,
                             struct rope_config *rope)
{
    enum status s;
    if ((s = json_get_f64(d, "factor", 1, 1e6, where, &rope->factor, r->err)) ||
        (s = json_get_f64_or(d, "beta_fast", 32, 1e-6, 1e6, where, &rope->beta_fast, r->err)) ||
        (s = json_get_f64_or(d, "beta_slow", 1, 1e-6, 1e6, where, &rope->beta_slow, r->err)) ||
        (s = json_get_f64_or(d, "original_max_position_embeddings", (double)c->max_context_tok, 1, CONFIG_MAX_CONTEXT, where,
                             &rope->original_tok, r->err)) ||
        (s = json_get_f64_or(d, "attention_factor", 0.1 * dm_log(rope->factor) + 1.0, 1e-6, 1e6, where,
                             &rope->attention_factor, r->err)) ||
        (s = json_get_bool_or(d, "truncate", true, where, &rope->truncate, r->err)))
        return s;
    if (present(d, "mscale") || present(d, "mscale_all_dim"))
        return err_set(r->err, ERR_UNSUPPORTED, "%s: \"mscale\": expected no such key, found one", where);
    return OK;
}

static enum status read_rope(const struct reading *r, struct model_config *c)
{
    struct rope_config *rope = &c->rope;
    const char *key = alias(r->root, "rope_parameters", "rope_scaling");
    const cJSON *d = present(r->root, key) ? json_get(r->root, key) : NULL;
    enum status s;
    struct buf where = BUF_INIT;
    buf_printf(&where, "%s: \"%s\"", r->file, key);
    if ((s = buf_status(&where, "message", r->err)))
        goto done;
    if (d && !cJSON_IsObject(d)) {
        s = err_set(r->err, ERR_FORMAT, "%s: expected an object or null, found other", where.data);
        goto done;
    }
    rope->attention_factor = 1.0;
    rope->factor = 1.0;
    // theta lies in rope_parameters, or beside rope_scaling; a missing base is never guessed (models.md 9.9)
    if (d && present(d, "rope_theta"))
        s = json_get_f64(d, "rope_theta", 1.5, 1e12, where.data, &rope->theta, r->err);
    else
        s = json_get_f64(r->root, "rope_theta", 1.5, 1e12, r->file, &rope->theta, r->err);
    if (s || !d || (s = read_rope_kind(r, d, where.data, rope)))
        goto done;
    switch (rope->kind) {
    case ROPE_PLAIN:
        break;
    case ROPE_LLAMA3:
        s = read_llama3(r, d, where.data, rope);
        break;
    case ROPE_YARN:
        s = read_yarn(r, d, where.data, c, rope);
        break;
    }
    double rotary = 1.0;
    if (!s)
        s = json_get_f64_or(d, "partial_rotary_factor", 1.0, 1.0, 1.0, where.data, &rotary, r->err);
done:
    buf_release(&where);
    return s;
}

static enum status read_layer_types(const struct reading *r, struct model_config *c, size_t window)
{
    const cJSON *list = json_get(r->root, "layer_types");
    if (!list || cJSON_IsNull(list)) {
        for (size_t i = 0; i < c->n_layers; i++)
            c->windows[i] = i % 2 == 0 ? window : 0; // absent: even layers slide (models.md 1)
        return OK;
    }
    if (!cJSON_IsArray(list) || (size_t)cJSON_GetArraySize(list) != c->n_layers)
        return err_set(r->err, ERR_SHAPE, "%s: \"layer_types\": expected %zu entries, found %d", r->file, c->n_layers,
                       cJSON_GetArraySize(list));
    size_t i = 0;
    const cJSON *v;
    cJSON_ArrayForEach(v, list)
    {
        bool slides = cJSON_IsString(v) && strcmp(v->valuestring, "sliding_attention") == 0;
        if (!slides && !(cJSON_IsString(v) && strcmp(v->valuestring, "full_attention") == 0))
            return err_set(r->err, ERR_UNSUPPORTED,
                           "%s: \"layer_types\"[%zu]: expected sliding_attention or full_attention, found '%.80s'",
                           r->file, i, cJSON_IsString(v) ? v->valuestring : "no string");
        c->windows[i++] = slides ? window : 0;
    }
    return OK;
}

static enum status read_gptoss(const struct reading *r, struct model_config *c)
{
    enum status s;
    size_t window = 0;
    if ((s = read_size(r, alias(r->root, "num_local_experts", "num_experts"), CONFIG_MAX_EXPERTS, &c->n_experts)) ||
        (s = read_size(r, alias(r->root, "num_experts_per_tok", "experts_per_token"), CONFIG_MAX_EXPERTS_USED, &c->n_experts_used)) ||
        (s = read_size(r, "sliding_window", CONFIG_MAX_CONTEXT, &window)) ||
        (s = json_get_f64_or(r->root, "swiglu_limit", 7.0, 1e-3, 1e9, r->file, &c->swiglu_limit, r->err)) ||
        (s = read_layer_types(r, c, window)))
        return s;
    if (c->n_experts_used > c->n_experts)
        return err_set(r->err, ERR_RANGE, "%s: \"num_experts_per_tok\": expected at most %zu experts, found %zu", r->file,
                       c->n_experts, c->n_experts_used);
    if (!c->attention_bias)
        return err_set(r->err, ERR_UNSUPPORTED, "%s: \"attention_bias\": expected true for gpt-oss, found false", r->file);
    if (c->d_model % 32 || c->n_ff % 32)
        return err_set(r->err, ERR_SHAPE,
                       "%s: expected hidden_size and intermediate_size in multiples of 32 for MXFP4, found %zu and %zu",
                       r->file, c->d_model, c->n_ff);
    c->sinks = true;
    c->swiglu_alpha = 1.702; // constant of the architecture; not in older files (models.md 4.6)
    c->swiglu_up_add = 1.0;
    return OK;
}

/* Dense models attend to everything; a layer list that says otherwise is a model we do not know. */
static enum status read_dense(const struct reading *r, const struct model_config *c)
{
    const cJSON *list = json_get(r->root, "layer_types");
    const cJSON *v;
    if (list && !cJSON_IsNull(list) &&
        (!cJSON_IsArray(list) || (size_t)cJSON_GetArraySize(list) != c->n_layers))
        return err_set(r->err, ERR_SHAPE, "%s: \"layer_types\": expected %zu entries, found other", r->file, c->n_layers);
    cJSON_ArrayForEach(v, list)
    {
        if (!cJSON_IsString(v) || strcmp(v->valuestring, "full_attention") != 0)
            return err_set(r->err, ERR_UNSUPPORTED, "%s: \"layer_types\": expected full_attention everywhere, found other",
                           r->file);
    }
    return OK;
}

static enum status add_stop_ids(struct model_config *c, const cJSON *root, const char *name, struct err *err)
{
    const cJSON *v = json_get(root, "eos_token_id");
    if (!v || cJSON_IsNull(v))
        return OK;
    const cJSON *one = cJSON_IsArray(v) ? v->child : v;
    for (; one; one = cJSON_IsArray(v) ? one->next : NULL) {
        if (!cJSON_IsNumber(one) || one->valuedouble != floor(one->valuedouble))
            return err_set(err, ERR_FORMAT, "%s: \"eos_token_id\": expected an id or a list of ids, found other", name);
        if (!(one->valuedouble >= 0) || one->valuedouble >= (double)c->vocab_size)
            return err_set(err, ERR_RANGE, "%s: \"eos_token_id\": expected 0 to %zu, found %g", name, c->vocab_size - 1,
                           one->valuedouble);
        if (!config_add_stop(c, (int32_t)one->valuedouble))
            return err_set(err, ERR_RANGE, "%s: \"eos_token_id\": expected at most %d ids, found more", name,
                           CONFIG_MAX_STOP_IDS);
    }
    return OK;
}

/* The ids that may stand for an empty text. */
static enum status read_ends(const struct reading *r, struct model_config *c)
{
    int64_t bos = -1;
    enum status s = json_get_i64_or(r->root, "bos_token_id", -1, 0, (int64_t)c->vocab_size - 1, r->file, &bos, r->err);
    if (s || (s = add_stop_ids(c, r->root, r->file, r->err)))
        return s;
    const cJSON *eos = json_get(r->root, "eos_token_id");
    if (cJSON_IsArray(eos))
        eos = eos->child;
    c->bos_id = (int32_t)bos;
    c->eos_id = cJSON_IsNumber(eos) ? (int32_t)eos->valuedouble : -1;
    return OK;
}

static enum status read_root(const struct reading *r, struct model_config *c)
{
    enum status s;
    if (!cJSON_IsObject(r->root))
        return err_set(r->err, ERR_FORMAT, "%s: expected an object, found other JSON", r->file);
    if ((s = read_arch(r, c)) || (s = read_sizes(r, c)) || (s = read_fixed(r, c)) ||
        (s = read_quantization(r, c)) || (s = read_rope(r, c)) ||
        (s = c->arch == ARCH_GPTOSS ? read_gptoss(r, c) : read_dense(r, c)))
        return s;
    return read_ends(r, c);
}

enum status hfconfig_parse(struct model_config *out, const char *text, size_t n, const char *name, struct err *err)
{
    cJSON *root = NULL;
    *out = (struct model_config){.n_layers = 0};
    enum status s = json_parse(&root, text, n, name, err);
    if (s)
        return s;
    struct reading r = {.root = root, .file = name, .err = err};
    s = originalconfig_is(root) ? originalconfig_read(out, root, name, err) : read_root(&r, out);
    cJSON_Delete(root);
    return s;
}

enum status hfconfig_add_generation(struct model_config *c, const char *text, size_t n, const char *name,
                                    struct err *err)
{
    cJSON *root = NULL;
    enum status s = json_parse(&root, text, n, name, err);
    if (s)
        return s;
    s = cJSON_IsObject(root) ? add_stop_ids(c, root, name, err)
                             : err_set(err, ERR_FORMAT, "%s: expected an object, found other JSON", name);
    cJSON_Delete(root);
    return s;
}

enum status hfconfig_read(struct model_config *out, const char *path, struct err *err)
{
    struct mapfile m;
    enum status s = mapfile_open(&m, path, err);
    if (s)
        return s;
    s = hfconfig_parse(out, m.data ? (const char *)m.data : "", m.size, path, err);
    mapfile_close(&m);
    return s;
}

enum status hfconfig_read_generation(struct model_config *c, const char *path, struct err *err)
{
    struct mapfile m;
    enum status s = mapfile_open(&m, path, err);
    if (s)
        return s;
    s = hfconfig_add_generation(c, m.data ? (const char *)m.data : "", m.size, path, err);
    mapfile_close(&m);
    return s;
}
