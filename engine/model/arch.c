#include "model/arch.h"

const struct arch *arch_get(enum arch_id id)
{
    switch (id) {
    case ARCH_GPTOSS:
        return &arch_gptoss;
    case ARCH_QWEN3:
        return &arch_qwen3;
    case ARCH_LLAMA:
        break;
    }
    return &arch_llama;
}
