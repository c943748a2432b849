#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "format/hfconfig.h"

#define LLAMA                                                                                      \
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"num_hidden_layers\":2,"  \
    "\"hidden_size\":256,\"intermediate_size\":768,\"num_attention_heads\":4,\"num_key_value_heads\":2," \
    "\"vocab_size\":640,\"max_position_embeddings\":4096,\"rms_norm_eps\":1e-05,\"rope_theta\":5000000.0,"  \
    "\"eos_token_id\":2"

#define GPTOSS                                                                                      \
    "{\"architectures\":[\"GptOssForCausalLM\"],\"model_type\":\"gpt_oss\",\"num_hidden_layers\":4,"  \
    "\"hidden_size\":96,\"intermediate_size\":160,\"num_attention_heads\":8,\"num_key_value_heads\":2,\"head_dim\":64," \
    "\"vocab_size\":640,\"max_position_embeddings\":131072,\"rms_norm_eps\":1e-05,\"sliding_window\":16,\"swiglu_limit\":7.0," \
    "\"hidden_act\":\"silu\",\"eos_token_id\":[600,602,601,602]"

#define YARN "{\"rope_type\":\"yarn\",\"factor\":32.0,\"beta_fast\":32.0,\"beta_slow\":1.0,\"truncate\":false,\"original_max_position_embeddings\":4096}"

static enum status parse(struct model_config *c, const char *text, struct err *err)
{
    return hfconfig_parse(c, text, strlen(text), "config.json", err);
}

static void reads_llama(void **state)
{
    (void)state;
    struct model_config c;
    struct err err = ERR_INIT;
    assert_int_equal(parse(&c, LLAMA ",\"head_dim\":null,\"rope_scaling\":null}", &err), OK);
    assert_int_equal(c.arch, ARCH_LLAMA);
    assert_int_equal(c.head_dim, 64);
    assert_int_equal(c.n_experts, 0);
    assert_int_equal(config_window(&c), 0);
    assert_int_equal(c.n_stop_ids, 1);
    assert_false(c.attention_bias);
    static const char l3[] = LLAMA ",\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,"
                                   "\"high_freq_factor\":4,\"original_max_position_embeddings\":8192}}";
    assert_int_equal(parse(&c, l3, &err), OK);
    assert_int_equal(c.rope.kind, ROPE_LLAMA3);
    assert_true(c.rope.theta == 5e6 && c.rope.original_tok == 8192);
}

static void reads_gptoss(void **state)
{
    (void)state;
    struct model_config c;
    struct err err = ERR_INIT;
    assert_int_equal(parse(&c, GPTOSS ",\"num_local_experts\":6,\"num_experts_per_tok\":4,\"rope_theta\":150000,"
                                      "\"rope_scaling\":" YARN "}", &err), OK);
    assert_int_equal(c.arch, ARCH_GPTOSS);
    assert_int_equal(c.n_experts, 6);
    assert_int_equal(c.windows[0], 16);
    assert_int_equal(c.windows[1], 0);
    assert_true(c.sinks && c.attention_bias && !c.rope.truncate);
    assert_true(c.rope.attention_factor > 1.3465735 && c.rope.attention_factor < 1.3465737);
    assert_int_equal(c.n_stop_ids, 3);
    assert_int_equal(c.stop_ids[1], 601);
    static const char generation[] = "{\"eos_token_id\":[599,602]}";
    assert_int_equal(hfconfig_add_generation(&c, generation, strlen(generation), "g.json", &err), OK);
    assert_int_equal(c.n_stop_ids, 4);
    assert_int_equal(c.stop_ids[0], 599);
    // the newer spelling of everything
    assert_int_equal(parse(&c, GPTOSS ",\"num_experts\":6,\"experts_per_token\":2,\"dtype\":\"bfloat16\","
                                      "\"layer_types\":[\"full_attention\",\"sliding_attention\",\"full_attention\",\"full_attention\"],"
                                      "\"rope_parameters\":{\"rope_theta\":150000.0,\"rope_type\":\"yarn\",\"factor\":32.0,"
                                      "\"original_max_position_embeddings\":4096}}", &err), OK);
    assert_int_equal(c.n_experts_used, 2);
    assert_int_equal(c.windows[0], 0);
    assert_int_equal(c.windows[1], 16);
    assert_true(c.rope.truncate && c.rope.beta_fast == 32.0 && c.rope.theta == 150000.0);
}

static void refuses_what_it_does_not_know(void **state)
{
    (void)state;
#define MOE ",\"num_local_experts\":6,\"num_experts_per_tok\":4,\"rope_theta\":150000"
    static const struct {
        const char *text;
        enum status status;
        const char *says;
    } cases[] = {
        {"", ERR_FORMAT, "config.json:1:1"},
        {"[]", ERR_FORMAT, "object"},
        {"{}", ERR_FORMAT, "architectures"},
        {"{\"architectures\":[\"BertModel\"]}", ERR_UNSUPPORTED, "BertModel"},
        {"{\"model_type\":\"mamba\"}", ERR_UNSUPPORTED, "mamba"},
        {"{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"qwen3\"}", ERR_FORMAT, "model_type"},
        {"{\"architectures\":[\"LlamaForCausalLM\"]}", ERR_FORMAT, "num_hidden_layers"},
        {LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}", ERR_UNSUPPORTED, "linear"},
        {LLAMA ",\"rope_scaling\":{\"type\":\"yarn\"}}", ERR_FORMAT, "factor"},
        {LLAMA ",\"rope_scaling\":7}", ERR_FORMAT, "rope_scaling"},
        {LLAMA ",\"mlp_bias\":true}", ERR_UNSUPPORTED, "mlp_bias"},
        {LLAMA ",\"hidden_act\":\"gelu\"}", ERR_UNSUPPORTED, "gelu"},
        {LLAMA ",\"use_sliding_window\":true}", ERR_UNSUPPORTED, "use_sliding_window"},
        {LLAMA ",\"head_dim\":63}", ERR_SHAPE, "even"},
        {LLAMA ",\"head_dim\":0}", ERR_RANGE, "head_dim"},
        {LLAMA ",\"head_dim\":\"64\"}", ERR_FORMAT, "head_dim"},
        {LLAMA ",\"layer_types\":[\"full_attention\"]}", ERR_SHAPE, "layer_types"},
        {LLAMA ",\"layer_types\":[\"full_attention\",\"sliding_attention\"]}", ERR_UNSUPPORTED, "layer_types"},
        {LLAMA ",\"hidden_size\":1}", ERR_FORMAT, "twice"},
        {GPTOSS MOE ",\"attention_bias\":false}", ERR_UNSUPPORTED, "attention_bias"},
        {GPTOSS MOE ",\"layer_types\":[1,2,3,4]}", ERR_UNSUPPORTED, "layer_types"},
        {GPTOSS ",\"num_local_experts\":3,\"num_experts_per_tok\":4,\"rope_theta\":150000}", ERR_RANGE, "at most 3"},
        {GPTOSS ",\"num_local_experts\":6,\"num_experts_per_tok\":4}", ERR_FORMAT, "rope_theta"},
        {GPTOSS ",\"rope_theta\":150000}", ERR_FORMAT, "num_local_experts"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_config c;
        struct err err = ERR_INIT;
        enum status s = parse(&c, cases[i].text, &err);
        if (s != cases[i].status || !strstr(err.text, cases[i].says))
            fail_msg("%s: status %s, message: %s", cases[i].text, status_name(s), err.text);
    }
}

static void refuses_bad_stop_ids(void **state)
{
    (void)state;
    static const char *const bad[] = {"{\"eos_token_id\":640}", "{\"eos_token_id\":-1}", "{\"eos_token_id\":1.5}",
                                      "{\"eos_token_id\":\"2\"}", "[]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct model_config c;
        struct err err = ERR_INIT;
        assert_int_equal(parse(&c, LLAMA "}", &err), OK);
        assert_int_not_equal(hfconfig_add_generation(&c, bad[i], strlen(bad[i]), "g.json", &err), OK);
        assert_non_null(strstr(err.text, "g.json"));
    }
}

/* gpt-oss's authors: no architecture is named, the bounds of YaRN are called alpha and beta. */
#define ORIGINAL(heads, layers, factor) ORIGINAL_OF(heads, layers, factor, "640")
#define ORIGINAL_OF(heads, layers, factor, vocab)                                                              \
    "{\"num_hidden_layers\":" layers ",\"num_experts\":6,\"experts_per_token\":4,\"vocab_size\":" vocab ","      \
    "\"hidden_size\":96,\"intermediate_size\":160,\"swiglu_limit\":7.0,\"head_dim\":64,"                         \
    "\"num_attention_heads\":" heads ",\"num_key_value_heads\":2,\"sliding_window\":16,"                         \
    "\"initial_context_length\":4096,\"rope_theta\":150000,\"rope_scaling_factor\":" factor ",\"rope_ntk_beta\":32," \
    "\"rope_ntk_alpha\":1"

static void reads_the_original(void **state)
{
    (void)state;
    struct model_config c;
    struct err err = ERR_INIT;
    if (parse(&c, ORIGINAL("8", "4", "32") "}", &err))
        fail_msg("%s", err.text);
    assert_int_equal(c.arch, ARCH_GPTOSS);
    assert_true(c.max_context_tok == 131072 && c.n_experts == 6 && c.n_experts_used == 4 && c.attention_bias && c.sinks);
    assert_true(c.eps == 1e-5 && c.rope.beta_fast == 32 && c.rope.beta_slow == 1 && !c.rope.truncate && !c.tied);
    assert_true(c.windows[0] == 16 && c.windows[1] == 0 && c.n_stop_ids == 0 && c.bos_id == -1 && c.eos_id == -1);
    assert_int_equal(parse(&c, ORIGINAL_OF("8", "4", "32", "201088") "}", &err), OK);
    assert_true(c.n_stop_ids == 3 && c.stop_ids[0] == 199999 && c.stop_ids[2] == 200012 && c.eos_id == 200002);
    static const struct {
        const char *text;
        enum status status;
        const char *says;
    } bad[] = {
        {ORIGINAL("7", "4", "32") "}", ERR_SHAPE, "7 / 2 heads"},
        {ORIGINAL("8", "0", "32") "}", ERR_RANGE, "num_hidden_layers"},
        {ORIGINAL("8", "4", "1e6") "}", ERR_RANGE, "rope_scaling_factor"},
        {ORIGINAL("8", "4", "\"x\"") "}", ERR_FORMAT, "rope_scaling_factor"},
        {"{\"rope_ntk_alpha\":1}", ERR_FORMAT, "num_hidden_layers"},
        {ORIGINAL("8", "4", "32") ",\"model_type\":\"gpt_oss\"}", ERR_FORMAT, "max_position_embeddings"}, // no longer that kind
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enum status s = parse(&c, bad[i].text, &err);
        if (s != bad[i].status || !strstr(err.text, bad[i].says))
            fail_msg("case %zu: status %s, message: %s", i, status_name(s), err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_llama), cmocka_unit_test(reads_gptoss), cmocka_unit_test(reads_the_original),
        cmocka_unit_test(refuses_what_it_does_not_know), cmocka_unit_test(refuses_bad_stop_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
