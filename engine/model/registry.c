#include "model/registry.h"

#include <string.h>

#include "base/buf.h"
#include "base/dmath.h"

/* What differs between the models of a family; the rest is the family's. Sizes: models.md 1, which has
 * them from the models' own config.json. */
struct known {
    const char *name;
    const char *alias; // another name in use, or NULL
    enum arch_id arch;
    size_t n_layers, d_model, n_ff, n_heads, n_kv_heads, head_dim, vocab_size, max_context_tok;
    size_t n_experts; // gpt-oss
    bool tied;        // Qwen3
    double theta;     // llama
    bool scaled_rope; // llama 3.1
    int32_t bos_id, stop_ids[3]; // -1: none; the first stop is config.json's eos
};

#define GPT_OSS(name_, layers, experts)                                                                          \
    {.name = (name_), .arch = ARCH_GPTOSS, .n_layers = (layers), .d_model = 2880, .n_ff = 2880, .n_heads = 64,   \
     .n_kv_heads = 8, .head_dim = 64, .vocab_size = 201088, .max_context_tok = 131072, .n_experts = (experts),   \
     .bos_id = -1, .stop_ids = {200002, 199999, 200012}}
#define QWEN3(name_, layers, d, f, heads, tied_)                                                                 \
    {.name = (name_), .arch = ARCH_QWEN3, .n_layers = (layers), .d_model = (d), .n_ff = (f), .n_heads = (heads), \
     .n_kv_heads = 8, .head_dim = 128, .vocab_size = 151936, .max_context_tok = 40960, .tied = (tied_),          \
     .bos_id = 151643, .stop_ids = {151645, 151643, -1}}

static const struct known models[] = {
    GPT_OSS("gpt-oss-20b", 24, 32),
    GPT_OSS("gpt-oss-120b", 36, 128),
    QWEN3("Qwen3-0.6B", 28, 1024, 3072, 16, true),
    QWEN3("Qwen3-1.7B", 28, 2048, 6144, 16, true),
    QWEN3("Qwen3-4B", 36, 2560, 9728, 32, true),
    QWEN3("Qwen3-8B", 36, 4096, 12288, 32, false),
    QWEN3("Qwen3-14B", 40, 5120, 17408, 40, false),
    QWEN3("Qwen3-32B", 64, 5120, 25600, 64, false),
    {.name = "Yi-34B", .arch = ARCH_LLAMA, .n_layers = 60, .d_model = 7168, .n_ff = 20480, .n_heads = 56,
     .n_kv_heads = 8, .head_dim = 128, .vocab_size = 64000, .max_context_tok = 4096, .theta = 5e6, .bos_id = 1,
     .stop_ids = {2, -1, -1}},
    {.name = "Llama-3.1-8B", .alias = "Meta-Llama-3.1-8B", .arch = ARCH_LLAMA, .n_layers = 32, .d_model = 4096,
     .n_ff = 14336, .n_heads = 32, .n_kv_heads = 8, .head_dim = 128, .vocab_size = 128256,
     .max_context_tok = 131072, .theta = 5e5, .scaled_rope = true, .bos_id = 128000,
     .stop_ids = {128001, 128008, 128009}},
};

static bool separates(char c)
{
    return c == '-' || c == '_' || c == ':' || c == ' ';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Equal but for case and what stands between the parts. */
static bool same_name(const char *known, const char *text, size_t n)
{
    const char *end = text + n;
    for (;;) {
        while (*known && separates(*known))
            known++;
        while (text < end && separates(*text))
            text++;
        if (!*known || text == end)
            return !*known && text == end;
        if (lower(*known++) != lower(*text++))
            return false;
    }
}

static void set_gptoss(struct model_config *c)
{
    c->n_experts_used = 4;
    c->eps = 1e-5;
    c->attention_bias = true;
    c->sinks = true;
    for (size_t i = 0; i < c->n_layers; i += 2)
        c->windows[i] = 128;
    c->swiglu_limit = 7.0;
    c->swiglu_alpha = 1.702;
    c->swiglu_up_add = 1.0;
    c->rope = (struct rope_config){.kind = ROPE_YARN, .theta = 150000, .factor = 32, .original_tok = 4096,
                                   .beta_fast = 32, .beta_slow = 1, .attention_factor = 0.1 * dm_log(32) + 1.0};
}

static void set_llama(struct model_config *c, const struct known *k)
{
    c->eps = 1e-5;
    c->rope.theta = k->theta;
    if (k->scaled_rope) {
        c->rope.kind = ROPE_LLAMA3;
        c->rope.factor = 8;
        c->rope.original_tok = 8192;
        c->rope.low_freq_factor = 1;
        c->rope.high_freq_factor = 4;
    }
}

static void set_config(struct model_config *c, const struct known *k)
{
    *c = (struct model_config){.arch = k->arch,
                               .n_layers = k->n_layers,
                               .d_model = k->d_model,
                               .n_ff = k->n_ff,
                               .n_heads = k->n_heads,
                               .n_kv_heads = k->n_kv_heads,
                               .head_dim = k->head_dim,
                               .vocab_size = k->vocab_size,
                               .n_experts = k->n_experts,
                               .max_context_tok = k->max_context_tok,
                               .tied = k->tied,
                               .rope = {.kind = ROPE_PLAIN, .theta = 1e6, .factor = 1.0, .attention_factor = 1.0},
                               .bos_id = k->bos_id,
                               .eos_id = k->stop_ids[0]};
    for (size_t i = 0; i < 3; i++)
        if (k->stop_ids[i] >= 0)
            (void)config_add_stop(c, k->stop_ids[i]); // three always fit
    switch (k->arch) {
    case ARCH_GPTOSS:
        set_gptoss(c);
        break;
    case ARCH_QWEN3:
        c->eps = 1e-6;
        break;
    case ARCH_LLAMA:
        set_llama(c, k);
        break;
    }
}

enum status registry_find(const char *text, size_t n, const char **name, struct model_config *out, struct err *err)
{
    const char *from = text;
    for (size_t i = 0; i < n; i++)
        if (text[i] == '/')
            from = text + i + 1;
    size_t rest = n - (size_t)(from - text);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        const struct known *k = &models[i];
        if (!same_name(k->name, from, rest) && !(k->alias && same_name(k->alias, from, rest)))
            continue;
        *name = k->name;
        set_config(out, k);
        return OK;
    }
    struct buf list = BUF_INIT;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        buf_printf(&list, "%s%s", i ? ", " : "", models[i].name);
    enum status s = buf_status(&list, "list of models", err);
    if (!s)
        s = err_set(err, ERR_USAGE, "unknown model '%.*s': expected one of %s", (int)(n < 80 ? n : 80), text, list.data);
    buf_release(&list);
    return s;
}
