/* Names and shapes of the Hugging Face layout (models.md 2.2), and of OpenAI's own (2.3). */
#include "format/layout.h"

static const struct tensor_spec hf_rest[] = {
    {ROLE_ATTN_NORM, "input_layernorm.weight", KIND_VECTOR, WHEN_ALWAYS, 1, {DIM_D}},
    {ROLE_O, "self_attn.o_proj.weight", KIND_MATRIX, WHEN_ALWAYS, 2, {DIM_D, DIM_QH}},
    {ROLE_O_BIAS, "self_attn.o_proj.bias", KIND_VECTOR, WHEN_BIAS, 1, {DIM_D}},
    {ROLE_Q_NORM, "self_attn.q_norm.weight", KIND_VECTOR, WHEN_QK_NORM, 1, {DIM_HEAD}},
    {ROLE_K_NORM, "self_attn.k_norm.weight", KIND_VECTOR, WHEN_QK_NORM, 1, {DIM_HEAD}},
    {ROLE_SINKS, "self_attn.sinks", KIND_VECTOR, WHEN_EXPERTS, 1, {DIM_H_COUNT}},
    {ROLE_MLP_NORM, "post_attention_layernorm.weight", KIND_VECTOR, WHEN_ALWAYS, 1, {DIM_D}},
    {ROLE_ROUTER, "mlp.router.weight", KIND_MATRIX, WHEN_EXPERTS, 2, {DIM_E, DIM_D}},
    {ROLE_ROUTER_BIAS, "mlp.router.bias", KIND_VECTOR, WHEN_EXPERTS, 1, {DIM_E}},
    {ROLE_EXPERTS_GATE_UP_BIAS, "mlp.experts.gate_up_proj_bias", KIND_VECTOR, WHEN_EXPERTS, 2, {DIM_E, DIM_2F}},
    {ROLE_EXPERTS_DOWN_BIAS, "mlp.experts.down_proj_bias", KIND_VECTOR, WHEN_EXPERTS, 2, {DIM_E, DIM_D}},
    {.role = ROLE_NONE},
};

static const struct tensor_spec hf_qkv[] = {
    {ROLE_Q, "self_attn.q_proj.weight", KIND_MATRIX, WHEN_ALWAYS, 2, {DIM_QH, DIM_D}},
    {ROLE_K, "self_attn.k_proj.weight", KIND_MATRIX, WHEN_ALWAYS, 2, {DIM_KH, DIM_D}},
    {ROLE_V, "self_attn.v_proj.weight", KIND_MATRIX, WHEN_ALWAYS, 2, {DIM_KH, DIM_D}},
    {ROLE_Q_BIAS, "self_attn.q_proj.bias", KIND_VECTOR, WHEN_BIAS, 1, {DIM_QH}},
    {ROLE_K_BIAS, "self_attn.k_proj.bias", KIND_VECTOR, WHEN_BIAS, 1, {DIM_KH}},
    {ROLE_V_BIAS, "self_attn.v_proj.bias", KIND_VECTOR, WHEN_BIAS, 1, {DIM_KH}},
    {.role = ROLE_NONE},
};

static const struct tensor_spec hf_dense[] = {
    {ROLE_GATE, "mlp.gate_proj.weight", KIND_MATRIX, WHEN_DENSE, 2, {DIM_F, DIM_D}},
    {ROLE_UP, "mlp.up_proj.weight", KIND_MATRIX, WHEN_DENSE, 2, {DIM_F, DIM_D}},
    {ROLE_DOWN, "mlp.down_proj.weight", KIND_MATRIX, WHEN_DENSE, 2, {DIM_D, DIM_F}},
    {.role = ROLE_NONE},
};

static const struct tensor_spec hf_mxfp4[] = {
    {ROLE_EXPERTS_GATE_UP, "mlp.experts.gate_up_proj_blocks", KIND_CODES, WHEN_EXPERTS, 4,
     {DIM_E, DIM_2F, DIM_D_BLOCKS, DIM_16}},
    {ROLE_EXPERTS_GATE_UP_SCALES, "mlp.experts.gate_up_proj_scales", KIND_SCALES, WHEN_EXPERTS, 3,
     {DIM_E, DIM_2F, DIM_D_BLOCKS}},
    {ROLE_EXPERTS_DOWN, "mlp.experts.down_proj_blocks", KIND_CODES, WHEN_EXPERTS, 4,
     {DIM_E, DIM_D, DIM_F_BLOCKS, DIM_16}},
    {ROLE_EXPERTS_DOWN_SCALES, "mlp.experts.down_proj_scales", KIND_SCALES, WHEN_EXPERTS, 3,
     {DIM_E, DIM_D, DIM_F_BLOCKS}},
    {.role = ROLE_NONE},
};

/* Dequantised uploads store [in, out]: transposed against the blocks. */
static const struct tensor_spec hf_dequantised[] = {
    {ROLE_EXPERTS_GATE_UP, "mlp.experts.gate_up_proj", KIND_TRANSPOSED, WHEN_EXPERTS, 3, {DIM_E, DIM_D, DIM_2F}},
    {ROLE_EXPERTS_DOWN, "mlp.experts.down_proj", KIND_TRANSPOSED, WHEN_EXPERTS, 3, {DIM_E, DIM_F, DIM_D}},
    {.role = ROLE_NONE},
};

static const struct tensor_spec *const hf_attention[] = {hf_qkv, NULL};
static const struct tensor_spec *const hf_ffn[] = {hf_mxfp4, hf_dequantised, hf_dense, NULL};
static const char *const hf_ignored[] = {".rotary_emb.inv_freq", NULL};

const struct layout layout_hf = {.embed = "model.embed_tokens.weight",
                                 .norm = "model.norm.weight",
                                 .head = "lm_head.weight",
                                 .prefix = "model.layers.",
                                 .rest = hf_rest,
                                 .attention = hf_attention,
                                 .ffn = hf_ffn,
                                 .ignored = hf_ignored};

/* gpt-oss only. */
static const struct tensor_spec original_rest[] = {
    {ROLE_ATTN_NORM, "attn.norm.scale", KIND_VECTOR, WHEN_ALWAYS, 1, {DIM_D}},
    {ROLE_O, "attn.out.weight", KIND_MATRIX, WHEN_ALWAYS, 2, {DIM_D, DIM_QH}},
    {ROLE_O_BIAS, "attn.out.bias", KIND_VECTOR, WHEN_BIAS, 1, {DIM_D}},
    {ROLE_SINKS, "attn.sinks", KIND_VECTOR, WHEN_EXPERTS, 1, {DIM_H_COUNT}},
    {ROLE_MLP_NORM, "mlp.norm.scale", KIND_VECTOR, WHEN_ALWAYS, 1, {DIM_D}},
    {ROLE_ROUTER, "mlp.gate.weight", KIND_MATRIX, WHEN_EXPERTS, 2, {DIM_E, DIM_D}},
    {ROLE_ROUTER_BIAS, "mlp.gate.bias", KIND_VECTOR, WHEN_EXPERTS, 1, {DIM_E}},
    {ROLE_EXPERTS_GATE_UP_BIAS, "mlp.mlp1_bias", KIND_VECTOR, WHEN_EXPERTS, 2, {DIM_E, DIM_2F}},
    {ROLE_EXPERTS_DOWN_BIAS, "mlp.mlp2_bias", KIND_VECTOR, WHEN_EXPERTS, 2, {DIM_E, DIM_D}},
    {.role = ROLE_NONE},
};

static const struct tensor_spec original_qkv[] = {
    {ROLE_QKV, "attn.qkv.weight", KIND_MATRIX, WHEN_ALWAYS, 2, {DIM_QKV, DIM_D}},
    {ROLE_QKV_BIAS, "attn.qkv.bias", KIND_VECTOR, WHEN_BIAS, 1, {DIM_QKV}},
    {.role = ROLE_NONE},
};

static const struct tensor_spec original_mxfp4[] = {
    {ROLE_EXPERTS_GATE_UP, "mlp.mlp1_weight.blocks", KIND_CODES, WHEN_EXPERTS, 4,
     {DIM_E, DIM_2F, DIM_D_BLOCKS, DIM_16}},
    {ROLE_EXPERTS_GATE_UP_SCALES, "mlp.mlp1_weight.scales", KIND_SCALES, WHEN_EXPERTS, 3,
     {DIM_E, DIM_2F, DIM_D_BLOCKS}},
    {ROLE_EXPERTS_DOWN, "mlp.mlp2_weight.blocks", KIND_CODES, WHEN_EXPERTS, 4, {DIM_E, DIM_D, DIM_F_BLOCKS, DIM_16}},
    {ROLE_EXPERTS_DOWN_SCALES, "mlp.mlp2_weight.scales", KIND_SCALES, WHEN_EXPERTS, 3, {DIM_E, DIM_D, DIM_F_BLOCKS}},
    {.role = ROLE_NONE},
};

static const struct tensor_spec *const original_attention[] = {original_qkv, NULL};
static const struct tensor_spec *const original_ffn[] = {original_mxfp4, NULL};
static const char *const original_ignored[] = {NULL};

const struct layout layout_original = {.embed = "embedding.weight",
                                       .norm = "norm.scale",
                                       .head = "unembedding.weight",
                                       .prefix = "block.",
                                       .rest = original_rest,
                                       .attention = original_attention,
                                       .ffn = original_ffn,
                                       .ignored = original_ignored};
