#include "quant/quant.h"

#include "base/mem.h"

static const struct quant_type types[QUANT_NONE] = {
    [QUANT_F32] = {"f32", 1, 4, f32_decode},
    [QUANT_F16] = {"f16", 1, 2, f16_decode},
    [QUANT_BF16] = {"bf16", 1, 2, bf16_decode},
    [QUANT_MXFP4] = {"mxfp4", 32, 17, mxfp4_block_decode},
    [QUANT_MXFP4_SPLIT] = {"mxfp4", 32, 16, NULL},
};

const struct quant_type *quant_type(enum quant q)
{
    return q < QUANT_NONE && types[q].name ? &types[q] : NULL;
}

bool quant_row_b(enum quant q, size_t n, size_t *row_b)
{
    const struct quant_type *t = quant_type(q);
    return t && n % t->block == 0 && size_mul(n / t->block, t->block_b, row_b);
}
