/* What the symbols of a layout mean for one configuration. */
#include "model/arch.h"

bool arch_has(const struct model_config *c, enum condition when)
{
    switch (when) {
    case WHEN_ALWAYS:
        break;
    case WHEN_BIAS:
        return c->attention_bias;
    case WHEN_QK_NORM:
        return c->arch == ARCH_QWEN3;
    case WHEN_DENSE:
        return c->n_experts == 0;
    case WHEN_EXPERTS:
        return c->n_experts > 0;
    }
    return true;
}

size_t arch_dim(const struct model_config *c, enum dim d)
{
    switch (d) {
    case DIM_D:
        return c->d_model;
    case DIM_F:
        return c->n_ff;
    case DIM_2F:
        return 2 * c->n_ff;
    case DIM_QH:
        return c->n_heads * c->head_dim;
    case DIM_KH:
        return c->n_kv_heads * c->head_dim;
    case DIM_QKV:
        return (c->n_heads + 2 * c->n_kv_heads) * c->head_dim;
    case DIM_H_COUNT:
        return c->n_heads;
    case DIM_HEAD:
        return c->head_dim;
    case DIM_E:
        return c->n_experts;
    case DIM_D_BLOCKS:
        return c->d_model / 32;
    case DIM_F_BLOCKS:
        return c->n_ff / 32;
    case DIM_16:
        break;
    }
    return 16;
}
