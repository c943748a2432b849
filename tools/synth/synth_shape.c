#include "synth/synth_shape.h"

#include <string.h>

#include "base/buf.h"

/* Shapes of models.md section 8: every dimension different (the real gpt-oss has d = f = 2880, which
 * hides a transposed matrix), H*h != d, a group that is no power of two, a window shorter than a test
 * prompt. Contexts are those of the real models. */
struct preset {
    const char *name;
    struct synth_shape shape;
};

#define GPTOSS_TINY                                                                                     \
    {.family = SYNTH_GPTOSS, .n_layers = 4, .d_model = 96, .d_ff = 160, .n_heads = 8, .n_kv_heads = 2, \
     .head_dim = 64, .vocab_size = 640, .n_experts = 6, .n_experts_used = 4, .window = 16,             \
     .max_context_tok = 131072, .seed = 1234}
#define GPTOSS_TINY_BF16                                                                                \
    {.family = SYNTH_GPTOSS, .n_layers = 4, .d_model = 96, .d_ff = 160, .n_heads = 8, .n_kv_heads = 2, \
     .head_dim = 64, .vocab_size = 640, .n_experts = 6, .n_experts_used = 4, .window = 16,             \
     .max_context_tok = 131072, .dequantised = true, .seed = 1234}
#define QWEN3_TINY(is_tied)                                                                              \
    {.family = SYNTH_QWEN3, .n_layers = 3, .d_model = 320, .d_ff = 768, .n_heads = 4, .n_kv_heads = 2, \
     .head_dim = 128, .vocab_size = 640, .max_context_tok = 40960, .tied = (is_tied), .seed = 1234}
#define YI_TINY                                                                                         \
    {.family = SYNTH_YI, .n_layers = 3, .d_model = 224, .d_ff = 320, .n_heads = 14, .n_kv_heads = 2,   \
     .head_dim = 16, .vocab_size = 640, .max_context_tok = 4096, .seed = 1234}
#define YI_TINY_B                                                                                       \
    {.family = SYNTH_YI, .n_layers = 2, .d_model = 256, .d_ff = 768, .n_heads = 4, .n_kv_heads = 2,    \
     .head_dim = 64, .vocab_size = 640, .max_context_tok = 4096, .seed = 1234}

static const struct preset presets[] = {
    {"gptoss", GPTOSS_TINY},           {"qwen3", QWEN3_TINY(false)},
    {"yi", YI_TINY},                   {"gptoss-tiny", GPTOSS_TINY},
    {"qwen3-tiny", QWEN3_TINY(false)}, {"qwen3-tied-tiny", QWEN3_TINY(true)},
    {"yi-tiny", YI_TINY},              {"yi-tiny-b", YI_TINY_B},
    {"gptoss-tiny-bf16", GPTOSS_TINY_BF16},
};

static const char *const names[] = {"gptoss",          "qwen3",   "yi",        "gptoss-tiny",      "qwen3-tiny",
                                    "qwen3-tied-tiny", "yi-tiny", "yi-tiny-b", "gptoss-tiny-bf16", NULL};

enum status synth_preset(struct synth_shape *out, const char *name, struct err *err)
{
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++)
        if (strcmp(presets[i].name, name) == 0) {
            *out = presets[i].shape;
            return OK;
        }
    struct buf list = BUF_INIT;
    for (size_t i = 0; names[i] != NULL; i++)
        buf_printf(&list, "%s%s", i == 0 ? "" : ", ", names[i]);
    enum status s = err_set(err, ERR_USAGE, "unknown family '%s': expected one of %s", name,
                            list.failed ? "the presets" : list.data);
    buf_release(&list);
    return s;
}

static enum status in_range(const char *option, size_t value, size_t lo, size_t hi, struct err *err)
{
    if (value >= lo && value <= hi)
        return OK;
    return err_set(err, ERR_USAGE, "--%s: expected %zu..%zu, found %zu", option, lo, hi, value);
}

static enum status multiple(const char *option, size_t value, size_t of, const char *why, struct err *err)
{
    if (value % of == 0)
        return OK;
    return err_set(err, ERR_USAGE, "--%s: expected a multiple of %zu (%s), found %zu", option, of, why, value);
}

enum status synth_shape_check(const struct synth_shape *s, struct err *err)
{
    bool moe = s->family == SYNTH_GPTOSS;
    enum status st = in_range("layers", s->n_layers, 1, 1000, err);
    // Bounds that keep every product of three sizes far below 2^63.
    st = st ? st : in_range("d-model", s->d_model, 1, 1 << 16, err);
    st = st ? st : in_range("d-ff", s->d_ff, 1, 1 << 18, err);
    st = st ? st : in_range("heads", s->n_heads, 1, 1024, err);
    if (st == OK && s->dequantised && !moe)
        st = err_set(err, ERR_USAGE, "--dequantised: expected a gpt-oss model, whose experts are MXFP4");
    st = st ? st : in_range("kv-heads", s->n_kv_heads, 1, s->n_heads, err);
    st = st ? st : in_range("head-dim", s->head_dim, 2, 1024, err);
    st = st ? st : multiple("head-dim", s->head_dim, 2, "RoPE turns pairs", err);
    st = st ? st : multiple("heads", s->n_heads, s->n_kv_heads, "the number of kv heads", err);
    st = st ? st : in_range("context", s->max_context_tok, 1, (size_t)1 << 24, err);
    if (moe) {
        st = st ? st : multiple("d-model", s->d_model, 32, "MXFP4 groups", err);
        st = st ? st : multiple("d-ff", s->d_ff, 32, "MXFP4 groups", err);
        st = st ? st : in_range("experts", s->n_experts, 1, 1024, err);
        st = st ? st : in_range("experts-used", s->n_experts_used, 1, s->n_experts, err);
        st = st ? st : in_range("window", s->window, 1, (size_t)1 << 24, err);
        if (st == OK && s->tied)
            st = err_set(err, ERR_USAGE, "--tied: the gpt-oss family has an lm_head of its own");
    } else if (st == OK && (s->n_experts != 0 || s->n_experts_used != 0 || s->window != 0)) {
        st = err_set(err, ERR_USAGE, "--experts, --experts-used and --window belong to the gptoss family only");
    }
    // The tokenizer's own needs (bytes, merges, special tokens) are checked where it is made.
    return st ? st : in_range("vocab", s->vocab_size, 2, (size_t)1 << 20, err);
}
