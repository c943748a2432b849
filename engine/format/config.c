#include "format/config.h"

const char *config_arch_name(enum arch_id id)
{
    switch (id) {
    case ARCH_GPTOSS:
        return "gpt-oss";
    case ARCH_QWEN3:
        return "qwen3";
    case ARCH_LLAMA:
        break;
    }
    return "llama";
}

bool config_add_stop(struct model_config *c, int32_t id)
{
    size_t at = 0;
    while (at < c->n_stop_ids && c->stop_ids[at] < id)
        at++;
    if (at < c->n_stop_ids && c->stop_ids[at] == id)
        return true;
    if (c->n_stop_ids == CONFIG_MAX_STOP_IDS)
        return false;
    for (size_t i = c->n_stop_ids++; i > at; i--)
        c->stop_ids[i] = c->stop_ids[i - 1];
    c->stop_ids[at] = id;
    return true;
}

size_t config_window(const struct model_config *c)
{
    size_t widest = 0;
    for (size_t i = 0; i < c->n_layers; i++)
        widest = c->windows[i] > widest ? c->windows[i] : widest;
    return widest;
}
