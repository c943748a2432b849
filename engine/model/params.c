#include "model/params.h"

struct params params_count(const struct model_config *c)
{
    uint64_t L = c->n_layers, d = c->d_model, f = c->n_ff, H = c->n_heads, K = c->n_kv_heads, h = c->head_dim;
    uint64_t V = c->vocab_size, E = c->n_experts, k = c->n_experts_used;
    uint64_t layer = 2 * d * H * h + 2 * d * K * h + 2 * d; // attention, two norms
    if (c->attention_bias)
        layer += (H + 2 * K) * h + d;
    if (c->arch == ARCH_QWEN3)
        layer += 2 * h;
    if (c->sinks)
        layer += H;
    layer += E ? E * d + E : 3 * d * f; // router, or the one net
    uint64_t expert = E ? 3 * d * f + 2 * f + d : 0;
    uint64_t head = c->tied ? 0 : V * d;
    uint64_t shared = L * layer + d;
    uint64_t full_layers = 0;
    for (size_t i = 0; i < c->n_layers; i++)
        full_layers += c->windows[i] == 0;
    return (struct params){
        .total = shared + L * E * expert + V * d + head,
        .active = shared + L * k * expert + V * d, // tied or not, one V x d matrix is read whole
        .kv_full_b = 4 * L * K * h,
        .kv_window_b = 4 * full_layers * K * h,
    };
}
