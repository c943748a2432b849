/* Qwen3, dense: as Llama, with q and k of each head normalised before RoPE (models.md 4.1). */
#include "model/arch.h"
#include "model/graph.h"

static const struct tensor_spec layer_specs[] = {
    {ROLE_ATTN_NORM, "input_layernorm.weight", KIND_VECTOR, WHEN_ALWAYS, 1, {DIM_D}},
    {ROLE_Q, "self_attn.q_proj.weight", KIND_BF16, WHEN_ALWAYS, 2, {DIM_QH, DIM_D}},
    {ROLE_K, "self_attn.k_proj.weight", KIND_BF16, WHEN_ALWAYS, 2, {DIM_KH, DIM_D}},
    {ROLE_V, "self_attn.v_proj.weight", KIND_BF16, WHEN_ALWAYS, 2, {DIM_KH, DIM_D}},
    {ROLE_O, "self_attn.o_proj.weight", KIND_BF16, WHEN_ALWAYS, 2, {DIM_D, DIM_QH}},
    {ROLE_Q_BIAS, "self_attn.q_proj.bias", KIND_VECTOR, WHEN_BIAS, 1, {DIM_QH}},
    {ROLE_K_BIAS, "self_attn.k_proj.bias", KIND_VECTOR, WHEN_BIAS, 1, {DIM_KH}},
    {ROLE_V_BIAS, "self_attn.v_proj.bias", KIND_VECTOR, WHEN_BIAS, 1, {DIM_KH}},
    {ROLE_O_BIAS, "self_attn.o_proj.bias", KIND_VECTOR, WHEN_BIAS, 1, {DIM_D}},
    {ROLE_Q_NORM, "self_attn.q_norm.weight", KIND_VECTOR, WHEN_ALWAYS, 1, {DIM_HEAD}},
    {ROLE_K_NORM, "self_attn.k_norm.weight", KIND_VECTOR, WHEN_ALWAYS, 1, {DIM_HEAD}},
    {ROLE_MLP_NORM, "post_attention_layernorm.weight", KIND_VECTOR, WHEN_ALWAYS, 1, {DIM_D}},
    {.role = ROLE_NONE},
};

static const struct tensor_spec ffn_specs[] = {
    {ROLE_GATE, "mlp.gate_proj.weight", KIND_BF16, WHEN_ALWAYS, 2, {DIM_F, DIM_D}},
    {ROLE_UP, "mlp.up_proj.weight", KIND_BF16, WHEN_ALWAYS, 2, {DIM_F, DIM_D}},
    {ROLE_DOWN, "mlp.down_proj.weight", KIND_BF16, WHEN_ALWAYS, 2, {DIM_D, DIM_F}},
    {.role = ROLE_NONE},
};

static const struct ffn_layout layouts[] = {{"bf16", ffn_specs}, {NULL, NULL}};

static const char *const stops[] = {"<|im_end|>", "<|endoftext|>", NULL};

static enum status run_layer(struct forward *f, size_t layer, struct err *err)
{
    enum status s = graph_attention(f, layer, err);
    return s ? s : graph_dense(f, layer, err);
}

const struct arch arch_qwen3 = {
    .name = "qwen3", .layer = layer_specs, .ffn = layouts, .stop_names = stops, .run_layer = run_layer};
