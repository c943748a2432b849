/* Any bytes as config.json, and again as generation_config.json: what is accepted is a model whose
 * sizes can be multiplied without a second thought. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/hfconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
    if (!condition)
        abort();
}

static size_t product(size_t a, size_t b)
{
    size_t n;
    must(size_mul(a, b, &n));
    return n;
}

static void check_stops(const struct model_config *c)
{
    must(c->n_stop_ids <= CONFIG_MAX_STOP_IDS);
    for (size_t i = 0; i < c->n_stop_ids; i++) {
        must(c->stop_ids[i] >= 0 && (size_t)c->stop_ids[i] < c->vocab_size);
        must(i == 0 || c->stop_ids[i] > c->stop_ids[i - 1]);
    }
}

static void check(const struct model_config *c)
{
    must(c->n_layers >= 1 && c->n_layers <= CONFIG_MAX_LAYERS);
    must(c->d_model >= 1 && c->n_ff >= 1 && c->vocab_size >= 1 && c->max_context_tok >= 1);
    must(c->n_kv_heads >= 1 && c->n_heads % c->n_kv_heads == 0 && c->head_dim >= 2 && c->head_dim % 2 == 0);
    must((c->arch == ARCH_GPTOSS) == (c->n_experts > 0) && c->n_experts_used <= c->n_experts);
    must(c->arch != ARCH_GPTOSS || c->n_experts_used >= 1);
    must(product(product(product(c->n_heads, c->head_dim), c->d_model), c->n_layers) < (size_t)1 << 62);
    must(product(product(c->n_experts ? c->n_experts : 1, 4 * c->n_ff), c->d_model) < (size_t)1 << 62);
    must(c->eps > 0 && c->rope.theta > 1 && c->rope.factor >= 1 && c->rope.attention_factor > 0);
    for (size_t i = 0; i < c->n_layers; i++)
        must(c->arch == ARCH_GPTOSS || c->windows[i] == 0);
    must(c->bos_id >= -1 && c->bos_id < (int64_t)c->vocab_size && c->eos_id >= -1 && c->eos_id < (int64_t)c->vocab_size);
    check_stops(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model_config c;
    struct err err = ERR_INIT;
    const char *text = (const char *)data;
    if (hfconfig_parse(&c, text, size, "fuzz", &err) == OK)
        check(&c);
    else
        must(err.status != OK && err.text[0] != '\0');
    c = (struct model_config){.vocab_size = 640};
    err = (struct err)ERR_INIT;
    if (hfconfig_add_generation(&c, text, size, "fuzz", &err) == OK)
        check_stops(&c);
    else
        must(err.text[0] != '\0');
    return 0;
}
