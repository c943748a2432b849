#ifndef ASSAY_MODEL_PARAMS_H
#define ASSAY_MODEL_PARAMS_H

#include <stdint.h>

#include "format/config.h"

/* Sizes by formula, from shapes alone (models.md 1.1, 5). Nothing here is measured. */
struct params {
    uint64_t total;
    uint64_t active;         // one token: k of E experts, lm_head counted, the embedding not
    uint64_t kv_full_b;      // one position in every layer: 4 * L * K * h
    uint64_t kv_window_b;    // one more position past every window: layers without one only
};

struct params params_count(const struct model_config *c);

#endif
