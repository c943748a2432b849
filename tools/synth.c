#include "synth/synth_model.h"
#include "synth/synth_shape.h"
#include "lib/tool.h"

/* synth: a model directory in a true Hugging Face format from a seed. */

struct args {
    const char *family, *out;
    bool tied, dequantised;
    int64_t shards;
    int64_t layers, d_model, d_ff, heads, kv_heads, head_dim, vocab, context; /* 0 = the preset's */
    int64_t experts, experts_used, window;
};

#define SIZE(member, name, help) CLI_INT(struct args, member, CLI_RECIPE, name, 0, "N", "0", 0, 1 << 24, help)

static const struct cli_option options[] = {
    CLI_TEXT(struct args, family, CLI_RECIPE, "family", 0, "NAME", CLI_REQUIRED,
             "gptoss, qwen3, yi, or a preset: gptoss-tiny, qwen3-tiny, qwen3-tied-tiny, yi-tiny, yi-tiny-b, gptoss-tiny-bf16"),
    CLI_TEXT(struct args, out, CLI_OUTPUT, "out", 'o', "DIR", CLI_REQUIRED, "directory to make"),
    CLI_INT(struct args, shards, CLI_RECIPE, "shards", 0, "N", "1", 1, 99999,
            "weight files; more than 1 also makes model.safetensors.index.json"),
    CLI_FLAG(struct args, tied, CLI_RECIPE, "tied", 0, "no lm_head: the embedding is used (qwen3, yi)"),
    CLI_FLAG(struct args, dequantised, CLI_RECIPE, "dequantised", 0, "experts as BF16 instead of MXFP4, the same values (gptoss)"),
    SIZE(layers, "layers", "layers L (0: the preset's, here and below)"),
    SIZE(d_model, "d-model", "hidden size d"),
    SIZE(d_ff, "d-ff", "intermediate size f"),
    SIZE(heads, "heads", "query heads H"),
    SIZE(kv_heads, "kv-heads", "key-value heads K"),
    SIZE(head_dim, "head-dim", "values in a head h"),
    SIZE(vocab, "vocab", "vocabulary rows V"),
    SIZE(context, "context", "longest sequence in tokens"),
    SIZE(experts, "experts", "experts E (gptoss)"),
    SIZE(experts_used, "experts-used", "experts of a token k (gptoss)"),
    SIZE(window, "window", "keys a sliding layer sees W (gptoss)"),
    CLI_END,
};

static void override(size_t *value, int64_t option)
{
    if (option != 0)
        *value = (size_t)option;
}

static enum status run(struct tool *t, const void *vargs, struct err *err)
{
    const struct args *a = vargs;
    struct synth_shape s;
    bool changed = false;
    enum status st = synth_preset(&s, a->family, err);
    if (st != OK)
        return st;
    override(&s.n_layers, a->layers);
    override(&s.d_model, a->d_model);
    override(&s.d_ff, a->d_ff);
    override(&s.n_heads, a->heads);
    override(&s.n_kv_heads, a->kv_heads);
    override(&s.head_dim, a->head_dim);
    override(&s.vocab_size, a->vocab);
    override(&s.max_context_tok, a->context);
    override(&s.n_experts, a->experts);
    override(&s.n_experts_used, a->experts_used);
    override(&s.window, a->window);
    s.tied = s.tied || a->tied;
    s.dequantised = s.dequantised || a->dequantised;
    s.seed = tool_seed(t);
    st = synth_model_write(a->out, &s, (size_t)a->shards, &changed, err);
    if (st == OK)
        tool_note(t, "%s %s", a->out, changed ? "made" : "is up to date");
    return st;
}

int main(int argc, char **argv)
{
    static const struct tool_def def = {
        .name = "synth",
        .summary = "make a model directory in a true Hugging Face format from a seed",
        .options = options,
        .common = TOOL_SEED,
        .args_b = sizeof(struct args),
        .run = run,
    };
    return tool_main(&def, argc, argv);
}
