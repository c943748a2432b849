#ifndef ASSAY_MODEL_PARAMS_H
#define ASSAY_MODEL_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "format/config.h"

/* Sizes by formula, from shapes alone (models.md 1.1, 5, 6). Nothing here is measured. */
struct params {
    uint64_t total;
    uint64_t active;         // one token: k of E experts, lm_head counted, the embedding not
    uint64_t decode_b;       // bytes of weights one token reads at batch 1, with one embedding row
    uint64_t kv_full_b;      // one position in every layer: 4 * L * K * h
    uint64_t kv_window_b;    // one more position past every window: layers without one only
};

/* mxfp4: experts take 17 bytes for 32 weights; everything else takes 2 bytes a weight. */
struct params params_count(const struct model_config *c, bool mxfp4);

#endif
