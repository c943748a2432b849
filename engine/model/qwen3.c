/* Qwen3, dense: as Llama, with q and k of each head normalised before RoPE (models.md 4.1). */
#include "model/arch.h"
#include "model/graph.h"

static const char *const stops[] = {"<|im_end|>", "<|endoftext|>", NULL};

static enum status run_layer(struct forward *f, size_t layer, struct err *err)
{
    enum status s = graph_attention(f, layer, err);
    return s ? s : graph_dense(f, layer, err);
}

const struct arch arch_qwen3 = {.name = "qwen3", .stop_names = stops, .run_layer = run_layer};
