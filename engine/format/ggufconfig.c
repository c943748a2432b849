#include "format/ggufconfig.h"

#include <stdio.h>
#include <string.h>

#include "base/dmath.h"

enum { KEY_B = 96 };

struct reading {
    const struct gguf *g;
    const struct tensors *set;
    struct arena *arena;
    const char *arch; // the prefix of its keys
    struct err *err;
};

static const char *key_of(const struct reading *r, const char *suffix, char key[KEY_B])
{
    (void)snprintf(key, KEY_B, "%s.%s", r->arch, suffix);
    return key;
}

static const struct gguf_kv *find(const struct reading *r, const char *suffix)
{
    char key[KEY_B];
    return gguf_find(r->g, key_of(r, suffix, key));
}

static enum status need(const struct reading *r, const char *suffix)
{
    if (find(r, suffix))
        return OK;
    return err_set(r->err, ERR_MISSING, "%s: expected key '%s.%s', found none", r->g->name, r->arch, suffix);
}

static enum status optional_size(const struct reading *r, const char *suffix, int64_t lo, int64_t hi, size_t *out)
{
    char key[KEY_B];
    int64_t v = (int64_t)*out;
    enum status s = gguf_int(r->g, key_of(r, suffix, key), lo, hi, &v, r->err);
    if (!s)
        *out = (size_t)v;
    return s;
}

static enum status read_size(const struct reading *r, const char *suffix, int64_t hi, size_t *out)
{
    enum status s = need(r, suffix);
    return s ? s : optional_size(r, suffix, 1, hi, out);
}

static enum status optional_real(const struct reading *r, const char *suffix, double lo, double hi, double *out)
{
    char key[KEY_B];
    return gguf_real(r->g, key_of(r, suffix, key), lo, hi, out, r->err);
}

static enum status read_real(const struct reading *r, const char *suffix, double lo, double hi, double *out)
{
    enum status s = need(r, suffix);
    return s ? s : optional_real(r, suffix, lo, hi, out);
}

static enum status read_arch(struct reading *r, struct model_config *c)
{
    static const struct {
        const char *name;
        enum arch_id id;
    } known[] = {{"gpt-oss", ARCH_GPTOSS}, {"qwen3", ARCH_QWEN3}, {"llama", ARCH_LLAMA}};
    enum status s = gguf_str(r->g, "general.architecture", r->arena, &r->arch, r->err);
    if (s)
        return s;
    if (!r->arch)
        return err_set(r->err, ERR_MISSING, "%s: expected key 'general.architecture', found none", r->g->name);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(r->arch, known[i].name) == 0) {
            c->arch = known[i].id;
            return OK;
        }
    }
    return err_set(r->err, ERR_UNSUPPORTED,
                   "%s: key 'general.architecture': expected gpt-oss, qwen3 or llama, found '%.80s'", r->g->name, r->arch);
}

/* What a key of the architecture must be when it is there and this reader has no use for it. */
static enum status check_neutral(const struct reading *r, const struct gguf_kv *kv)
{
    static const struct {
        const char *suffix;
        double value;
    } neutral[] = {
        {"expert_count", 0},         {"expert_used_count", 0},    {"expert_shared_count", 0},
        {"nextn_predict_layers", 0}, {"expert_weights_scale", 1}, {"leading_dense_block_count", 0},
        {"logit_scale", 1},          {"residual_scale", 1},       {"embedding_scale", 1},
        {"attention.causal", 1},     {"attention.sliding_window", 0},
        {"rope.scaling.yarn_log_multiplier", 0}, {"rope.scaling.yarn_attn_factor", 1},
        {"rope.scaling.yarn_ext_factor", 1},
    };
    const char *suffix = kv->key + strlen(r->arch) + 1;
    for (size_t i = 0; i < sizeof neutral / sizeof *neutral; i++) {
        if (strcmp(suffix, neutral[i].suffix) != 0)
            continue;
        int64_t n = 0;
        double x = 0;
        bool flag = false;
        enum status s;
        if (kv->type == GGUF_BOOL) {
            s = gguf_bool(r->g, kv->key, &flag, r->err);
            x = flag;
        } else if (kv->type == GGUF_F32 || kv->type == GGUF_F64) {
            s = gguf_real(r->g, kv->key, -1e30, 1e30, &x, r->err);
        } else {
            s = gguf_int(r->g, kv->key, INT32_MIN, UINT32_MAX, &n, r->err);
            x = (double)n;
        }
        if (!s && (x > neutral[i].value || x < neutral[i].value))
            s = err_set(r->err, ERR_UNSUPPORTED, "%s: key '%s': expected %g, found %g", r->g->name, kv->key,
                        neutral[i].value, x);
        return s;
    }
    return err_set(r->err, ERR_UNSUPPORTED, "%s: key '%.80s': expected no such key in a model this engine runs, found one",
                   r->g->name, kv->key);
}

/* Every key of the architecture is read below, known to change nothing, or refused: one that is
 * overlooked could change every logit. */
static enum status check_keys(const struct reading *r, const struct model_config *c)
{
    static const char *const common[] = {
        "block_count", "context_length", "embedding_length", "feed_forward_length", "vocab_size", "attention.head_count",
        "attention.head_count_kv", "attention.key_length", "attention.value_length",
        "attention.layer_norm_rms_epsilon", "rope.freq_base", "rope.dimension_count", "rope.scaling.type",
        "rope.scaling.factor", "rope.scaling.original_context_length", "rope.scaling.attn_factor",
        "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow",
        // say how the file came to be, or what other norms would have used
        "rope.scaling.finetuned", "attention.layer_norm_epsilon", "tensor_data_layout", "rope.scale_linear"};
    static const char *const gptoss[] = {"expert_count", "expert_used_count", "expert_feed_forward_length",
                                         "attention.sliding_window", "attention.sliding_window_pattern",
                                         "rope.freq_base_swa", "rope.dimension_count_swa", "expert_gating_func"};
    size_t n = strlen(r->arch);
    for (size_t i = 0; i < r->g->n_kvs; i++) {
        const struct gguf_kv *kv = &r->g->kvs[i];
        bool known = strncmp(kv->key, r->arch, n) != 0 || kv->key[n] != '.';
        for (size_t k = 0; k < sizeof common / sizeof *common && !known; k++)
            known = strcmp(kv->key + n + 1, common[k]) == 0;
        for (size_t k = 0; k < sizeof gptoss / sizeof *gptoss && !known && c->arch == ARCH_GPTOSS; k++)
            known = strcmp(kv->key + n + 1, gptoss[k]) == 0;
        enum status s = known ? OK : check_neutral(r, kv);
        if (s)
            return s;
    }
    return OK;
}

/* The head size is d / H only where a file may leave it out: qwen3 and gpt-oss have others (models.md 9.9). */
static enum status read_head_dim(const struct reading *r, struct model_config *c)
{
    size_t value = 0;
    size_t rotated;
    enum status s;
    if (c->arch != ARCH_LLAMA && (s = need(r, "attention.key_length")))
        return s;
    if (find(r, "attention.key_length")) {
        if ((s = read_size(r, "attention.key_length", CONFIG_MAX_HEAD_DIM, &c->head_dim)))
            return s;
    } else if (c->d_model % c->n_heads || c->d_model / c->n_heads > CONFIG_MAX_HEAD_DIM) {
        return err_set(r->err, ERR_SHAPE, "%s: key '%s.attention.key_length': expected it, or embedding_length %zu a multiple of %zu heads",
                       r->g->name, r->arch, c->d_model, c->n_heads);
    } else {
        c->head_dim = c->d_model / c->n_heads;
    }
    value = rotated = c->head_dim;
    if ((s = optional_size(r, "attention.value_length", 1, CONFIG_MAX_HEAD_DIM, &value)) ||
        (s = optional_size(r, "rope.dimension_count", 1, CONFIG_MAX_HEAD_DIM, &rotated)) ||
        (s = optional_size(r, "rope.dimension_count_swa", (int64_t)rotated, (int64_t)rotated, &rotated)))
        return s;
    if (value != c->head_dim || rotated != c->head_dim)
        return err_set(r->err, ERR_UNSUPPORTED, "%s: key '%s.%s': expected %zu as the head, found %zu", r->g->name, r->arch,
                       value != c->head_dim ? "attention.value_length" : "rope.dimension_count", c->head_dim,
                       value != c->head_dim ? value : rotated);
    if (c->head_dim % 2)
        return err_set(r->err, ERR_SHAPE, "%s: expected heads of an even size, found %zu", r->g->name, c->head_dim);
    return OK;
}

/* The table's rows are the vocabulary; the key is there only in files without a tokenizer. */
static enum status read_vocab(const struct reading *r, struct model_config *c)
{
    static const char name[] = "token_embd.weight";
    const struct tensor *t = tensors_find(r->set, name);
    if (!t)
        return err_set(r->err, ERR_MISSING, "%s: expected tensor '%s', found none", r->g->name, name);
    if (t->n_dims != 2 || t->shape[0] > CONFIG_MAX_VOCAB) {
        char text[TENSOR_SHAPE_TEXT_B];
        tensor_shape_text(t->shape, t->n_dims, text);
        return err_set(r->err, ERR_SHAPE, "%s: tensor '%s': expected at most %d rows, found shape %s",
                       tensors_file_of(r->set, t), name, CONFIG_MAX_VOCAB, text);
    }
    size_t said = c->vocab_size = t->shape[0];
    enum status s = optional_size(r, "vocab_size", 1, CONFIG_MAX_VOCAB, &said);
    if (!s && said != c->vocab_size)
        s = err_set(r->err, ERR_SHAPE, "%s: key '%s.vocab_size': expected %zu as '%s' has rows, found %zu", r->g->name,
                    r->arch, c->vocab_size, name, said);
    return s;
}

static enum status read_sizes(const struct reading *r, struct model_config *c)
{
    enum status s;
    if ((s = read_size(r, "block_count", CONFIG_MAX_LAYERS, &c->n_layers)) ||
        (s = read_size(r, "embedding_length", CONFIG_MAX_WIDTH, &c->d_model)) ||
        (s = read_size(r, c->arch == ARCH_GPTOSS ? "expert_feed_forward_length" : "feed_forward_length",
                       CONFIG_MAX_WIDTH, &c->n_ff)) ||
        (s = read_size(r, "attention.head_count", CONFIG_MAX_HEADS, &c->n_heads)) ||
        (s = read_size(r, "context_length", CONFIG_MAX_CONTEXT, &c->max_context_tok)) ||
        (s = read_real(r, "attention.layer_norm_rms_epsilon", 1e-12, 1, &c->eps)))
        return s;
    c->n_kv_heads = c->n_heads;
    if ((s = optional_size(r, "attention.head_count_kv", 1, CONFIG_MAX_HEADS, &c->n_kv_heads)))
        return s;
    if (c->n_heads % c->n_kv_heads)
        return err_set(r->err, ERR_SHAPE, "%s: key '%s.attention.head_count_kv': expected a divisor of %zu, found %zu",
                       r->g->name, r->arch, c->n_heads, c->n_kv_heads);
    if ((s = read_head_dim(r, c)))
        return s;
    return read_vocab(r, c);
}

/* attn_factor multiplies the standard factor, it does not replace it (models.md 9.18). */
static enum status read_yarn(const struct reading *r, struct model_config *c)
{
    struct rope_config *rope = &c->rope;
    double extra = 1;
    size_t original = c->max_context_tok;
    enum status s;
    rope->kind = ROPE_YARN;
    rope->beta_fast = 32;
    rope->beta_slow = 1;
    rope->truncate = c->arch != ARCH_GPTOSS; // GGUF has no key for it; gpt-oss is trained without (models.md 4.2)
    if ((s = read_real(r, "rope.scaling.factor", 1, 1e6, &rope->factor)) ||
        (s = optional_size(r, "rope.scaling.original_context_length", 1, CONFIG_MAX_CONTEXT, &original)) ||
        (s = optional_real(r, "rope.scaling.yarn_beta_fast", 1e-6, 1e6, &rope->beta_fast)) ||
        (s = optional_real(r, "rope.scaling.yarn_beta_slow", 1e-6, 1e6, &rope->beta_slow)) ||
        (s = optional_real(r, "rope.scaling.attn_factor", 1e-6, 1e6, &extra)))
        return s;
    rope->original_tok = (double)original;
    rope->attention_factor = extra * (0.1 * dm_log(rope->factor) + 1.0);
    return OK;
}

/* rope_freqs: what each pair's frequency is divided by (llama3's scaling, worked out by the converter). */
static enum status read_divisors(const struct reading *r, struct model_config *c)
{
    const struct tensor *t = tensors_find(r->set, "rope_freqs.weight");
    size_t n = c->head_dim / 2;
    void *p;
    if (!t)
        return OK;
    const char *file = tensors_file_of(r->set, t);
    if (c->rope.kind != ROPE_PLAIN)
        return err_set(r->err, ERR_UNSUPPORTED, "%s: tensor '%s': expected it without rope.scaling.type, found both", file,
                       t->name);
    if (t->quant != QUANT_F32 || t->n_dims != 1 || t->shape[0] != n)
        return err_set(r->err, ERR_SHAPE, "%s: tensor '%s': expected %zu values of F32, found %zu of %s", file, t->name, n,
                       t->shape[0], t->type_name);
    enum status s = arena_alloc(r->arena, &p, n, sizeof(float), r->err);
    if (s)
        return s;
    memcpy(p, t->data, n * sizeof(float));
    c->rope.divisors = p;
    for (size_t i = 0; i < n; i++)
        if (!(c->rope.divisors[i] > 1e-6f && c->rope.divisors[i] < 1e6f))
            return err_set(r->err, ERR_RANGE, "%s: tensor '%s': expected 1e-6 to 1e6, found %g at index %zu", file, t->name,
                           (double)c->rope.divisors[i], i);
    return OK;
}

static enum status read_rope(const struct reading *r, struct model_config *c)
{
    struct rope_config *rope = &c->rope;
    char key[KEY_B];
    const char *type = "none";
    enum status s;
    double swa = 0;
    rope->factor = rope->attention_factor = 1.0;
    if ((s = read_real(r, "rope.freq_base", 1.5, 1e12, &rope->theta)))
        return s; // absent means 10000 to others, which is wrong for all of these models: not guessed
    swa = rope->theta;
    if ((s = optional_real(r, "rope.freq_base_swa", rope->theta, rope->theta, &swa)) ||
        (s = gguf_str(r->g, key_of(r, "rope.scaling.type", key), r->arena, &type, r->err)))
        return s;
    double linear = 1;
    if ((s = optional_real(r, "rope.scale_linear", 1, 1, &linear)))
        return s;
    if (strcmp(type, "yarn") == 0)
        s = read_yarn(r, c);
    else if (strcmp(type, "linear") == 0)
        s = optional_real(r, "rope.scaling.factor", 1, 1, &linear);
    else if (strcmp(type, "none") == 0)
        s = optional_real(r, "rope.scaling.factor", 0, 1, &linear); // 0 and 1: writers' ways to say none
    else
        s = err_set(r->err, ERR_UNSUPPORTED, "%s: key '%s': expected none or yarn, found '%.80s'", r->g->name, key, type);
    return s ? s : read_divisors(r, c);
}

/* Which layers slide: all but every p-th (the last of each p), or as a list says. */
static enum status read_windows(const struct reading *r, struct model_config *c)
{
    size_t window = 0;
    size_t period = 2; // gpt-oss: the first slides, then every second
    const int64_t *list = NULL;
    size_t n = 0;
    char key[KEY_B];
    enum status s;
    if ((s = need(r, "attention.sliding_window")) ||
        (s = optional_size(r, "attention.sliding_window", 0, UINT32_MAX, &window)))
        return s;
    if (window >= c->max_context_tok)
        window = 0; // people switch it off with a large number: every key is seen
    const struct gguf_kv *kv = find(r, "attention.sliding_window_pattern");
    (void)key_of(r, "attention.sliding_window_pattern", key);
    if (kv && kv->type == GGUF_ARRAY) {
        if ((s = gguf_ints(r->g, key, r->arena, &list, &n, r->err)))
            return s;
        if (n != c->n_layers)
            return err_set(r->err, ERR_SHAPE, "%s: key '%s': expected %zu entries, found %zu", r->g->name, key, c->n_layers, n);
    } else if ((s = optional_size(r, "attention.sliding_window_pattern", 0, CONFIG_MAX_LAYERS, &period))) {
        return s;
    }
    for (size_t i = 0; i < c->n_layers; i++) {
        bool slides = list ? list[i] != 0 : period == 0 || i % period < period - 1;
        c->windows[i] = slides ? window : 0;
    }
    return OK;
}

static enum status read_gptoss(const struct reading *r, struct model_config *c)
{
    enum status s;
    if ((s = read_size(r, "expert_count", CONFIG_MAX_EXPERTS, &c->n_experts)) ||
        (s = read_size(r, "expert_used_count", CONFIG_MAX_EXPERTS_USED, &c->n_experts_used)) ||
        (s = read_windows(r, c)))
        return s;
    if (c->n_experts_used > c->n_experts)
        return err_set(r->err, ERR_RANGE, "%s: key '%s.expert_used_count': expected at most %zu experts, found %zu",
                       r->g->name, r->arch, c->n_experts, c->n_experts_used);
    c->sinks = true;
    c->attention_bias = true;
    c->swiglu_limit = 7.0; // no keys for these: constants of the architecture (models.md 3.2)
    c->swiglu_alpha = 1.702;
    c->swiglu_up_add = 1.0;
    return OK;
}

/* -1 in *out: no such key. */
static enum status read_id(const struct reading *r, const struct model_config *c, const char *key, int32_t *out)
{
    int64_t v = -1;
    enum status s = gguf_int(r->g, key, 0, (int64_t)c->vocab_size - 1, &v, r->err);
    if (!s)
        *out = (int32_t)v;
    return s;
}

/* gpt-oss: its end of turn closes a message only, and stopping there loses the answer (models.md 7). Qwen3
 * has no start of text: writers give its <|endoftext|>. */
static enum status read_ends(const struct reading *r, struct model_config *c)
{
    const int64_t *more = NULL;
    size_t n_more = 0;
    int32_t eot = -1;
    int32_t eom = -1;
    enum status s;
    if ((s = read_id(r, c, "tokenizer.ggml.bos_token_id", &c->bos_id)) ||
        (s = read_id(r, c, "tokenizer.ggml.eos_token_id", &c->eos_id)) ||
        (s = read_id(r, c, "tokenizer.ggml.eot_token_id", &eot)) ||
        (s = read_id(r, c, "tokenizer.ggml.eom_token_id", &eom)) ||
        (s = gguf_ints(r->g, "tokenizer.ggml.eos_token_ids", r->arena, &more, &n_more, r->err)))
        return s;
    if (c->arch == ARCH_QWEN3)
        c->bos_id = -1;
    if (c->eos_id >= 0)
        (void)config_add_stop(c, c->eos_id); // these three at most: there is room
    if (eot >= 0 && c->arch != ARCH_GPTOSS)
        (void)config_add_stop(c, eot);
    if (eom >= 0 && c->arch != ARCH_GPTOSS)
        (void)config_add_stop(c, eom);
    for (size_t i = 0; i < n_more; i++)
        if (more[i] < 0 || (size_t)more[i] >= c->vocab_size || !config_add_stop(c, (int32_t)more[i]))
            return err_set(r->err, ERR_RANGE, "%s: key 'tokenizer.ggml.eos_token_ids': expected at most %d ids from 0 to %zu, "
                           "found %zu with %lld", r->g->name, CONFIG_MAX_STOP_IDS, c->vocab_size - 1, n_more, (long long)more[i]);
    return OK;
}

enum status ggufconfig_read(struct model_config *out, const struct gguf *g, const struct tensors *set,
                            struct arena *a, struct err *err)
{
    struct reading r = {.g = g, .set = set, .arena = a, .arch = NULL, .err = err};
    enum status s;
    *out = (struct model_config){.bos_id = -1, .eos_id = -1};
    if ((s = read_arch(&r, out)) || (s = check_keys(&r, out)) || (s = read_sizes(&r, out)) || (s = read_rope(&r, out)))
        return s;
    out->tied = !tensors_find(set, "output.weight");
    out->attention_bias = tensors_find(set, "blk.0.attn_q.bias") || tensors_find(set, "blk.0.attn_qkv.bias");
    if (out->arch == ARCH_GPTOSS && (s = read_gptoss(&r, out)))
        return s;
    return read_ends(&r, out);
}
