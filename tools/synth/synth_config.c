#include "synth/synth_config.h"

#include <string.h>

#include "base/buf.h"
#include "synth/synth_json.h"
#include "synth/synth_safetensors.h"

static enum status put(struct buf *text, const char *dir, const char *name, struct err *err)
{
    enum status st = buf_status(text, name, err);
    st = st ? st : synth_file_write(dir, name, text->data, text->n, err);
    buf_release(text);
    return st;
}

static void id(struct jsonw *w, const char *key, const struct synth_tokenizer *t, const char *token)
{
    jsonw_int(w, key, (int64_t)synth_tokenizer_id(t, token));
}

static void gptoss_keys(struct jsonw *w, const struct synth_shape *s, const struct synth_tokenizer *t)
{
    static const char *const kept[] = {"model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens",
                                       "lm_head"};
    jsonw_raw(w, "attention_bias", "true");
    id(w, "eos_token_id", t, "<|return|>");
    jsonw_int(w, "experts_per_token", (int64_t)s->n_experts_used);
    jsonw_int(w, "initial_context_length", 4096);
    jsonw_open(w, "layer_types", '[');
    for (size_t i = 0; i < s->n_layers; i++)
        jsonw_str(w, NULL, i % 2 == 0 ? "sliding_attention" : "full_attention");
    jsonw_close(w, ']');
    jsonw_int(w, "num_experts_per_tok", (int64_t)s->n_experts_used);
    jsonw_int(w, "num_local_experts", (int64_t)s->n_experts);
    jsonw_raw(w, "output_router_logits", "false");
    id(w, "pad_token_id", t, "<|endoftext|>");
    if (!s->dequantised) {
        jsonw_open(w, "quantization_config", '{');
        jsonw_open(w, "modules_to_not_convert", '[');
        for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
            jsonw_str(w, NULL, kept[i]);
        jsonw_close(w, ']');
        jsonw_str(w, "quant_method", "mxfp4");
        jsonw_close(w, '}');
    }
    jsonw_open(w, "rope_scaling", '{');
    jsonw_raw(w, "beta_fast", "32.0");
    jsonw_raw(w, "beta_slow", "1.0");
    jsonw_raw(w, "factor", "32.0");
    jsonw_int(w, "original_max_position_embeddings", 4096);
    jsonw_str(w, "rope_type", "yarn");
    jsonw_raw(w, "truncate", "false");
    jsonw_close(w, '}');
    jsonw_raw(w, "router_aux_loss_coef", "0.9");
    jsonw_int(w, "sliding_window", (int64_t)s->window);
    jsonw_raw(w, "swiglu_limit", "7.0");
}

static void qwen3_keys(struct jsonw *w, const struct synth_shape *s, const struct synth_tokenizer *t)
{
    jsonw_raw(w, "attention_bias", "false");
    id(w, "bos_token_id", t, "<|endoftext|>");
    id(w, "eos_token_id", t, "<|im_end|>");
    jsonw_int(w, "max_window_layers", (int64_t)s->n_layers);
    jsonw_raw(w, "rope_scaling", "null");
    jsonw_raw(w, "sliding_window", "null");
    jsonw_raw(w, "use_sliding_window", "false");
}

static void yi_keys(struct jsonw *w, const struct synth_tokenizer *t)
{
    jsonw_raw(w, "attention_bias", "false");
    id(w, "bos_token_id", t, "<|startoftext|>");
    id(w, "eos_token_id", t, "<|endoftext|>");
    jsonw_raw(w, "mlp_bias", "false");
    jsonw_int(w, "pad_token_id", 0);
    jsonw_int(w, "pretraining_tp", 1);
    jsonw_raw(w, "rope_scaling", "null");
}

static const char *architecture(enum synth_family f)
{
    return f == SYNTH_GPTOSS ? "GptOssForCausalLM" : f == SYNTH_QWEN3 ? "Qwen3ForCausalLM" : "LlamaForCausalLM";
}

static const char *model_type(enum synth_family f)
{
    return f == SYNTH_GPTOSS ? "gpt_oss" : f == SYNTH_QWEN3 ? "qwen3" : "llama";
}

static const char *rope_theta(enum synth_family f)
{
    return f == SYNTH_GPTOSS ? "150000" : f == SYNTH_QWEN3 ? "1000000" : "5000000.0";
}

enum status synth_config_write(const struct synth_shape *s, const struct synth_tokenizer *t, const char *dir,
                               const char *mark, struct err *err)
{
    struct buf text = BUF_INIT;
    struct jsonw w = {.out = &text};
    enum synth_family f = s->family;
    jsonw_open(&w, NULL, '{');
    jsonw_open(&w, "architectures", '[');
    jsonw_str(&w, NULL, architecture(f));
    jsonw_close(&w, ']');
    jsonw_str(&w, SYNTH_MARK_KEY, mark);
    jsonw_raw(&w, "attention_dropout", "0.0");
    // Absent in the Llama files of these models: then head_dim is d / H.
    if (f != SYNTH_YI || s->n_heads * s->head_dim != s->d_model)
        jsonw_int(&w, "head_dim", (int64_t)s->head_dim);
    jsonw_str(&w, "hidden_act", "silu");
    jsonw_int(&w, "hidden_size", (int64_t)s->d_model);
    jsonw_raw(&w, "initializer_range", "0.02");
    jsonw_int(&w, "intermediate_size", (int64_t)s->d_ff);
    jsonw_int(&w, "max_position_embeddings", (int64_t)s->max_context_tok);
    jsonw_str(&w, "model_type", model_type(f));
    jsonw_int(&w, "num_attention_heads", (int64_t)s->n_heads);
    jsonw_int(&w, "num_hidden_layers", (int64_t)s->n_layers);
    jsonw_int(&w, "num_key_value_heads", (int64_t)s->n_kv_heads);
    jsonw_raw(&w, "rms_norm_eps", f == SYNTH_QWEN3 ? "1e-06" : "1e-05");
    jsonw_raw(&w, "rope_theta", rope_theta(f));
    switch (f) {
    case SYNTH_GPTOSS:
        gptoss_keys(&w, s, t);
        break;
    case SYNTH_QWEN3:
        qwen3_keys(&w, s, t);
        break;
    case SYNTH_YI:
        yi_keys(&w, t);
        break;
    }
    jsonw_raw(&w, "tie_word_embeddings", s->tied ? "true" : "false");
    jsonw_str(&w, "torch_dtype", "bfloat16");
    jsonw_raw(&w, "use_cache", "true");
    jsonw_int(&w, "vocab_size", (int64_t)s->vocab_size);
    jsonw_close(&w, '}');
    return put(&text, dir, "config.json", err);
}

static void ids(struct jsonw *w, const char *key, const struct synth_tokenizer *t, const char *const *tokens)
{
    jsonw_open(w, key, '[');
    for (size_t i = 0; tokens[i] != NULL; i++)
        id(w, NULL, t, tokens[i]);
    jsonw_close(w, ']');
}

/* <|end|> of gpt-oss is no stop: it closes a message (analysis before final), not the turn. */
enum status synth_generation_config_write(const struct synth_shape *s, const struct synth_tokenizer *t,
                                          const char *dir, struct err *err)
{
    static const char *const gptoss_stops[] = {"<|return|>", "<|endoftext|>", "<|call|>", NULL};
    static const char *const qwen3_stops[] = {"<|im_end|>", "<|endoftext|>", NULL};
    static const char *const yi_stops[] = {"<|im_end|>", "<|endoftext|>", NULL};
    struct buf text = BUF_INIT;
    struct jsonw w = {.out = &text};
    jsonw_open(&w, NULL, '{');
    id(&w, "bos_token_id", t, s->family == SYNTH_QWEN3 ? "<|endoftext|>" : "<|startoftext|>");
    jsonw_raw(&w, "do_sample", "true");
    switch (s->family) {
    case SYNTH_GPTOSS:
        ids(&w, "eos_token_id", t, gptoss_stops);
        id(&w, "pad_token_id", t, "<|endoftext|>");
        break;
    case SYNTH_QWEN3:
        ids(&w, "eos_token_id", t, qwen3_stops);
        id(&w, "pad_token_id", t, "<|endoftext|>");
        jsonw_raw(&w, "temperature", "0.6");
        jsonw_int(&w, "top_k", 20);
        jsonw_raw(&w, "top_p", "0.95");
        break;
    case SYNTH_YI:
        ids(&w, "eos_token_id", t, yi_stops);
        jsonw_int(&w, "pad_token_id", 0);
        jsonw_raw(&w, "temperature", "0.6");
        jsonw_raw(&w, "top_p", "0.8");
        break;
    }
    jsonw_close(&w, '}');
    return put(&text, dir, "generation_config.json", err);
}
