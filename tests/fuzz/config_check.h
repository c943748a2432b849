#ifndef ASSAY_FUZZ_CONFIG_CHECK_H
#define ASSAY_FUZZ_CONFIG_CHECK_H

/* What every reader of a model's configuration promises: sizes that can be multiplied without a second
 * thought, ids inside the vocabulary. */
#include "base/mem.h"
#include "format/config.h"
#include "scratch.h"

static inline size_t product(size_t a, size_t b)
{
    size_t n;
    demand(size_mul(a, b, &n));
    return n;
}

static inline void config_check_stops(const struct model_config *c)
{
    demand(c->n_stop_ids <= CONFIG_MAX_STOP_IDS);
    for (size_t i = 0; i < c->n_stop_ids; i++) {
        demand(c->stop_ids[i] >= 0 && (size_t)c->stop_ids[i] < c->vocab_size);
        demand(i == 0 || c->stop_ids[i] > c->stop_ids[i - 1]);
    }
}

static inline void config_check(const struct model_config *c)
{
    demand(c->n_layers >= 1 && c->n_layers <= CONFIG_MAX_LAYERS);
    demand(c->d_model >= 1 && c->n_ff >= 1 && c->vocab_size >= 1 && c->max_context_tok >= 1);
    demand(c->n_kv_heads >= 1 && c->n_heads % c->n_kv_heads == 0 && c->head_dim >= 2 && c->head_dim % 2 == 0);
    demand((c->arch == ARCH_GPTOSS) == (c->n_experts > 0) && c->n_experts_used <= c->n_experts);
    demand(c->arch != ARCH_GPTOSS || c->n_experts_used >= 1);
    demand(product(product(product(c->n_heads, c->head_dim), c->d_model), c->n_layers) < (size_t)1 << 62);
    demand(product(product(c->n_experts ? c->n_experts : 1, 4 * c->n_ff), c->d_model) < (size_t)1 << 62);
    demand(c->eps > 0 && c->rope.theta > 1 && c->rope.factor >= 1 && c->rope.attention_factor > 0);
    for (size_t i = 0; i < c->n_layers; i++)
        demand(c->arch == ARCH_GPTOSS || c->windows[i] == 0);
    demand(c->bos_id >= -1 && c->bos_id < (int64_t)c->vocab_size && c->eos_id >= -1 && c->eos_id < (int64_t)c->vocab_size);
    config_check_stops(c);
}

#endif
