/* gpt-oss: sinks and biases in attention, every second layer with a window, experts instead of one
 * feed-forward net (models.md 2.2, 4). */
#include "model/arch.h"
#include "model/graph.h"

static const struct tensor_spec layer_specs[] = {
    {ROLE_ATTN_NORM, "input_layernorm.weight", KIND_VECTOR, WHEN_ALWAYS, 1, {DIM_D}},
    {ROLE_Q, "self_attn.q_proj.weight", KIND_BF16, WHEN_ALWAYS, 2, {DIM_QH, DIM_D}},
    {ROLE_K, "self_attn.k_proj.weight", KIND_BF16, WHEN_ALWAYS, 2, {DIM_KH, DIM_D}},
    {ROLE_V, "self_attn.v_proj.weight", KIND_BF16, WHEN_ALWAYS, 2, {DIM_KH, DIM_D}},
    {ROLE_O, "self_attn.o_proj.weight", KIND_BF16, WHEN_ALWAYS, 2, {DIM_D, DIM_QH}},
    {ROLE_Q_BIAS, "self_attn.q_proj.bias", KIND_VECTOR, WHEN_ALWAYS, 1, {DIM_QH}},
    {ROLE_K_BIAS, "self_attn.k_proj.bias", KIND_VECTOR, WHEN_ALWAYS, 1, {DIM_KH}},
    {ROLE_V_BIAS, "self_attn.v_proj.bias", KIND_VECTOR, WHEN_ALWAYS, 1, {DIM_KH}},
    {ROLE_O_BIAS, "self_attn.o_proj.bias", KIND_VECTOR, WHEN_ALWAYS, 1, {DIM_D}},
    {ROLE_SINKS, "self_attn.sinks", KIND_VECTOR, WHEN_ALWAYS, 1, {DIM_H_COUNT}},
    {ROLE_MLP_NORM, "post_attention_layernorm.weight", KIND_VECTOR, WHEN_ALWAYS, 1, {DIM_D}},
    {ROLE_ROUTER, "mlp.router.weight", KIND_BF16, WHEN_ALWAYS, 2, {DIM_E, DIM_D}},
    {ROLE_ROUTER_BIAS, "mlp.router.bias", KIND_VECTOR, WHEN_ALWAYS, 1, {DIM_E}},
    {ROLE_EXPERTS_GATE_UP_BIAS, "mlp.experts.gate_up_proj_bias", KIND_VECTOR, WHEN_ALWAYS, 2, {DIM_E, DIM_2F}},
    {ROLE_EXPERTS_DOWN_BIAS, "mlp.experts.down_proj_bias", KIND_VECTOR, WHEN_ALWAYS, 2, {DIM_E, DIM_D}},
    {.role = ROLE_NONE},
};

static const struct tensor_spec mxfp4_specs[] = {
    {ROLE_EXPERTS_GATE_UP, "mlp.experts.gate_up_proj_blocks", KIND_BYTES, WHEN_ALWAYS, 4,
     {DIM_E, DIM_2F, DIM_D_BLOCKS, DIM_16}},
    {ROLE_EXPERTS_GATE_UP_SCALES, "mlp.experts.gate_up_proj_scales", KIND_SCALES, WHEN_ALWAYS, 3,
     {DIM_E, DIM_2F, DIM_D_BLOCKS}},
    {ROLE_EXPERTS_DOWN, "mlp.experts.down_proj_blocks", KIND_BYTES, WHEN_ALWAYS, 4,
     {DIM_E, DIM_D, DIM_F_BLOCKS, DIM_16}},
    {ROLE_EXPERTS_DOWN_SCALES, "mlp.experts.down_proj_scales", KIND_SCALES, WHEN_ALWAYS, 3,
     {DIM_E, DIM_D, DIM_F_BLOCKS}},
    {.role = ROLE_NONE},
};

/* Dequantised uploads store [in, out]: transposed against the blocks. */
static const struct tensor_spec bf16_specs[] = {
    {ROLE_EXPERTS_GATE_UP, "mlp.experts.gate_up_proj", KIND_BF16, WHEN_ALWAYS, 3, {DIM_E, DIM_D, DIM_2F}},
    {ROLE_EXPERTS_DOWN, "mlp.experts.down_proj", KIND_BF16, WHEN_ALWAYS, 3, {DIM_E, DIM_F, DIM_D}},
    {.role = ROLE_NONE},
};

static const struct ffn_layout layouts[] = {
    {"mxfp4+bf16", mxfp4_specs},
    {"bf16", bf16_specs},
    {NULL, NULL},
};

/* Not <|end|>: it closes a message (analysis before final), not the turn. */
static const char *const stops[] = {"<|return|>", "<|call|>", "<|endoftext|>", NULL};

static enum status run_layer(struct forward *f, size_t layer, struct err *err)
{
    enum status s = graph_attention(f, layer, err);
    return s ? s : graph_experts(f, layer, err);
}

const struct arch arch_gptoss = {
    .name = "gpt-oss", .layer = layer_specs, .ffn = layouts, .stop_names = stops, .run_layer = run_layer};
