/* Names and shapes of GGUF files (models.md 3.3). The fused forms are those of newer converters: q, k and
 * v, or gate and up, stacked row after row. */
#include "format/layout.h"

static const struct tensor_spec rest[] = {
    {ROLE_ATTN_NORM, "attn_norm.weight", KIND_VECTOR, WHEN_ALWAYS, 1, {DIM_D}},
    {ROLE_O, "attn_output.weight", KIND_MATRIX, WHEN_ALWAYS, 2, {DIM_D, DIM_QH}},
    {ROLE_O_BIAS, "attn_output.bias", KIND_VECTOR, WHEN_BIAS, 1, {DIM_D}},
    {ROLE_Q_NORM, "attn_q_norm.weight", KIND_VECTOR, WHEN_QK_NORM, 1, {DIM_HEAD}},
    {ROLE_K_NORM, "attn_k_norm.weight", KIND_VECTOR, WHEN_QK_NORM, 1, {DIM_HEAD}},
    {ROLE_SINKS, "attn_sinks.weight", KIND_VECTOR, WHEN_EXPERTS, 1, {DIM_H_COUNT}},
    {ROLE_MLP_NORM, "ffn_norm.weight", KIND_VECTOR, WHEN_DENSE, 1, {DIM_D}},
    {ROLE_MLP_NORM, "post_attention_norm.weight", KIND_VECTOR, WHEN_EXPERTS, 1, {DIM_D}},
    {ROLE_ROUTER, "ffn_gate_inp.weight", KIND_MATRIX, WHEN_EXPERTS, 2, {DIM_E, DIM_D}},
    {ROLE_ROUTER_BIAS, "ffn_gate_inp.bias", KIND_VECTOR, WHEN_EXPERTS, 1, {DIM_E}},
    {ROLE_EXPERTS_DOWN, "ffn_down_exps.weight", KIND_MATRIX, WHEN_EXPERTS, 3, {DIM_E, DIM_D, DIM_F}},
    {ROLE_EXPERTS_DOWN_BIAS, "ffn_down_exps.bias", KIND_VECTOR, WHEN_EXPERTS, 2, {DIM_E, DIM_D}},
    {ROLE_DOWN, "ffn_down.weight", KIND_MATRIX, WHEN_DENSE, 2, {DIM_D, DIM_F}},
    {.role = ROLE_NONE},
};

static const struct tensor_spec qkv[] = {
    {ROLE_Q, "attn_q.weight", KIND_MATRIX, WHEN_ALWAYS, 2, {DIM_QH, DIM_D}},
    {ROLE_K, "attn_k.weight", KIND_MATRIX, WHEN_ALWAYS, 2, {DIM_KH, DIM_D}},
    {ROLE_V, "attn_v.weight", KIND_MATRIX, WHEN_ALWAYS, 2, {DIM_KH, DIM_D}},
    {ROLE_Q_BIAS, "attn_q.bias", KIND_VECTOR, WHEN_BIAS, 1, {DIM_QH}},
    {ROLE_K_BIAS, "attn_k.bias", KIND_VECTOR, WHEN_BIAS, 1, {DIM_KH}},
    {ROLE_V_BIAS, "attn_v.bias", KIND_VECTOR, WHEN_BIAS, 1, {DIM_KH}},
    {.role = ROLE_NONE},
};

static const struct tensor_spec qkv_fused[] = {
    {ROLE_QKV, "attn_qkv.weight", KIND_MATRIX, WHEN_ALWAYS, 2, {DIM_QKV, DIM_D}},
    {ROLE_QKV_BIAS, "attn_qkv.bias", KIND_VECTOR, WHEN_BIAS, 1, {DIM_QKV}},
    {.role = ROLE_NONE},
};

static const struct tensor_spec dense[] = {
    {ROLE_GATE, "ffn_gate.weight", KIND_MATRIX, WHEN_DENSE, 2, {DIM_F, DIM_D}},
    {ROLE_UP, "ffn_up.weight", KIND_MATRIX, WHEN_DENSE, 2, {DIM_F, DIM_D}},
    {.role = ROLE_NONE},
};

static const struct tensor_spec dense_fused[] = {
    {ROLE_GATE_THEN_UP, "ffn_gate_up.weight", KIND_MATRIX, WHEN_DENSE, 2, {DIM_2F, DIM_D}},
    {.role = ROLE_NONE},
};

static const struct tensor_spec experts[] = {
    {ROLE_EXPERTS_GATE, "ffn_gate_exps.weight", KIND_MATRIX, WHEN_EXPERTS, 3, {DIM_E, DIM_F, DIM_D}},
    {ROLE_EXPERTS_UP, "ffn_up_exps.weight", KIND_MATRIX, WHEN_EXPERTS, 3, {DIM_E, DIM_F, DIM_D}},
    {ROLE_EXPERTS_GATE_BIAS, "ffn_gate_exps.bias", KIND_VECTOR, WHEN_EXPERTS, 2, {DIM_E, DIM_F}},
    {ROLE_EXPERTS_UP_BIAS, "ffn_up_exps.bias", KIND_VECTOR, WHEN_EXPERTS, 2, {DIM_E, DIM_F}},
    {.role = ROLE_NONE},
};

static const struct tensor_spec experts_fused[] = {
    {ROLE_EXPERTS_GATE_THEN_UP, "ffn_gate_up_exps.weight", KIND_MATRIX, WHEN_EXPERTS, 3, {DIM_E, DIM_2F, DIM_D}},
    {ROLE_EXPERTS_GATE_THEN_UP_BIAS, "ffn_gate_up_exps.bias", KIND_VECTOR, WHEN_EXPERTS, 2, {DIM_E, DIM_2F}},
    {.role = ROLE_NONE},
};

static const struct tensor_spec *const attention[] = {qkv, qkv_fused, NULL};
static const struct tensor_spec *const ffn[] = {experts, experts_fused, dense, dense_fused, NULL};

/* rope_freqs is read with the configuration. */
static const char *const ignored[] = {"rope_freqs.weight", ".attn_rot_embd.weight", NULL};

const struct layout layout_gguf = {.embed = "token_embd.weight",
                                   .norm = "output_norm.weight",
                                   .head = "output.weight",
                                   .prefix = "blk.",
                                   .rest = rest,
                                   .attention = attention,
                                   .ffn = ffn,
                                   .ignored = ignored,
                                   .llama_pairs = true};
