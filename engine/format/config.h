#ifndef ASSAY_FORMAT_CONFIG_H
#define ASSAY_FORMAT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a model file says about itself, whatever the file's format: the readers fill it, engine/model
 * builds from it. Symbols of models.md: L d f H K h V E k W. */

enum arch_id { ARCH_GPTOSS, ARCH_QWEN3, ARCH_LLAMA };

const char *config_arch_name(enum arch_id id); /* "gpt-oss", "qwen3", "llama": as GGUF has it */

enum rope_kind { ROPE_PLAIN, ROPE_LLAMA3, ROPE_YARN };

struct rope_config {
    enum rope_kind kind;
    double theta;
    double factor;
    double original_tok;                       // context length the scaling starts from
    double low_freq_factor, high_freq_factor;  // llama3
    double beta_fast, beta_slow;               // YaRN
    double attention_factor;                   // YaRN; cos and sin are multiplied by it
    bool truncate;                             // YaRN: floor and ceil of the ramp's ends
    const float *divisors;                     // PLAIN: (head_dim / 2) of the frequencies, or NULL
};

/* Bounds that keep every later product of sizes inside 64 bits and every fp32 integer exact; the
 * largest published models are far below. */
enum {
    CONFIG_MAX_LAYERS = 1024,
    CONFIG_MAX_WIDTH = 1 << 20,
    CONFIG_MAX_HEADS = 4096,
    CONFIG_MAX_HEAD_DIM = 1024,
    CONFIG_MAX_VOCAB = 1 << 22,
    CONFIG_MAX_CONTEXT = 1 << 24,
    CONFIG_MAX_EXPERTS = 4096,
    CONFIG_MAX_EXPERTS_USED = 64,
    CONFIG_MAX_STOP_IDS = 32
};

struct model_config {
    enum arch_id arch;
    size_t n_layers, d_model, n_ff, n_heads, n_kv_heads, head_dim, vocab_size;
    size_t n_experts, n_experts_used; // 0: dense
    size_t max_context_tok;
    double eps;
    bool tied;           // lm_head is the embedding
    bool attention_bias; // q, k, v, o have biases
    bool sinks;          // one learned logit per head joins each softmax
    size_t windows[CONFIG_MAX_LAYERS]; // keys a layer sees, itself included; 0 = all
    double swiglu_limit, swiglu_alpha, swiglu_up_add; // gpt-oss's activation (models.md 4.4)
    struct rope_config rope;
    int32_t stop_ids[CONFIG_MAX_STOP_IDS]; // ascending, no doubles
    size_t n_stop_ids;
    int32_t bos_id, eos_id; // -1 when the file names none; eos_id is the first of a list
};

/* config_add_stop - keep the list sorted and unique. Returns false when it is full. */
bool config_add_stop(struct model_config *c, int32_t id);

/* config_window - widest window of any layer, 0 when none slides. */
size_t config_window(const struct model_config *c);

#endif
