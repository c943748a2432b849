#include "quant/quant.h"

#include "base/mem.h"

static const struct quant_type types[QUANT_NONE] = {
    [QUANT_F32] = {"f32", 1, 4, f32_decode, f32_encode},
    [QUANT_F16] = {"f16", 1, 2, f16_decode, f16_encode},
    [QUANT_BF16] = {"bf16", 1, 2, bf16_decode, bf16_encode},
    [QUANT_Q8_0] = {"q8_0", 32, 34, q8_0_decode, q8_0_encode},
    [QUANT_Q4_0] = {"q4_0", 32, 18, q4_0_decode, q4_0_encode},
    [QUANT_Q4_1] = {"q4_1", 32, 20, q4_1_decode, NULL},
    [QUANT_Q5_0] = {"q5_0", 32, 22, q5_0_decode, NULL},
    [QUANT_Q5_1] = {"q5_1", 32, 24, q5_1_decode, NULL},
    [QUANT_Q2_K] = {"q2_k", 256, 84, q2_k_decode, NULL},
    [QUANT_Q3_K] = {"q3_k", 256, 110, q3_k_decode, NULL},
    [QUANT_Q4_K] = {"q4_k", 256, 144, q4_k_decode, NULL},
    [QUANT_Q5_K] = {"q5_k", 256, 176, q5_k_decode, NULL},
    [QUANT_Q6_K] = {"q6_k", 256, 210, q6_k_decode, NULL},
    [QUANT_MXFP4] = {"mxfp4", 32, 17, mxfp4_block_decode, mxfp4_block_encode},
    [QUANT_MXFP4_SPLIT] = {"mxfp4", 32, 16, NULL, NULL},
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
