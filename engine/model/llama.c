/* Llama and Yi: grouped attention, one gated feed-forward net (models.md 4). */
#include "model/arch.h"
#include "model/graph.h"

/* Base models end with the eos of their configuration; a chat template adds <|im_end|> (model.c). */
static const char *const stops[] = {NULL};

static enum status run_layer(struct forward *f, size_t layer, struct err *err)
{
    enum status s = graph_attention(f, layer, err);
    return s ? s : graph_dense(f, layer, err);
}

const struct arch arch_llama = {.name = "llama", .stop_names = stops, .run_layer = run_layer};
