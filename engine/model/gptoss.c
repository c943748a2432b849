/* gpt-oss: sinks and biases in attention, every second layer with a window, experts instead of one
 * feed-forward net (models.md 4). */
#include "model/arch.h"
#include "model/graph.h"

/* Not <|end|>: it closes a message (analysis before final), not the turn. */
static const char *const stops[] = {"<|return|>", "<|call|>", "<|endoftext|>", NULL};

static enum status run_layer(struct forward *f, size_t layer, struct err *err)
{
    enum status s = graph_attention(f, layer, err);
    return s ? s : graph_experts(f, layer, err);
}

const struct arch arch_gptoss = {.name = "gpt-oss", .stop_names = stops, .run_layer = run_layer};
