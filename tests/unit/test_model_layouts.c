#include "run_support.h"

#include <unistd.h>

#include "base/mem.h"
#include "format/safetensors.h"
#include "quant/mxfp4.h"
#include "safetensors_build.h"

/* The same weights stored in other ways are the same model: shards with an index, experts as bf16 [in, out] as
 * dequantised uploads have them, fp32 throughout, and the names of gpt-oss's authors. Bits are demanded, since
 * MXFP4 is exact in bf16 and bf16 in fp32. */

static void path_in(const struct models *ms, const char *name, char out[256])
{
    (void)snprintf(out, 256, "%s/%s", ms->dir, name);
}

static struct model *open_path(const char *path)
{
    struct model *m = NULL;
    struct err err = ERR_INIT;
    const struct model_options opt = {.isa = "auto", .n_threads = 1};
    if (model_open(&m, path, &opt, &err))
        fail_msg("%s", err.text);
    return m;
}

static void answer(struct model *m, char sha[DIGEST_HEX_LEN + 1])
{
    int32_t prompt[40];
    struct outcome *o = calloc(1, sizeof *o);
    assert_non_null(o);
    random_prompt("layouts", model_info(m)->vocab_size, prompt, 40);
    const struct request r = {.id = "x", .prompt = prompt, .n_prompt = 40, .max_tokens = 5,
                              .sampling = {.temperature = 0, .top_p = 1}, .ignore_stop_ids = true};
    const struct session_options opt = {.n_parallel = 1, .context_tok = 64};
    run_all(m, &opt, &r, 1, o, NULL, NULL, NULL);
    memcpy(sha, o->sha, DIGEST_HEX_LEN + 1);
    free(o);
}

static void shards_are_the_same_model(void **state)
{
    const struct models *ms = *state;
    for (size_t f = 0; f < N_FAMILIES; f++) {
        struct synth_shape shape;
        struct err err = ERR_INIT;
        bool changed;
        char one[256];
        char many[256];
        char a[DIGEST_HEX_LEN + 1];
        char b[DIGEST_HEX_LEN + 1];
        model_path(ms, f, one);
        (void)snprintf(many, sizeof many, "%s/shards-%zu", ms->dir, f);
        assert_int_equal(synth_preset(&shape, families[f], &err), OK);
        assert_int_equal(synth_model_write(many, &shape, 3, &changed, &err), OK);
        struct model *x = open_path(one);
        struct model *y = open_path(many);
        answer(x, a);
        answer(y, b);
        assert_string_equal(a, b);
        assert_int_equal(model_info(y)->n_files, model_info(x)->n_files + 3); // index and two more files
        assert_true(model_info(x)->weights_file_b == model_info(y)->weights_file_b);
        assert_true(model_info(x)->synthetic);
        // every active weight once, in 2 bytes or in MXFP4's 17 for 32, and a row of the embedding
        const struct model_info *i = model_info(x);
        uint64_t packed = i->n_layers * i->n_experts_used * 3 * i->d_model * i->n_ff;
        assert_true(i->decode_weights_b == 2 * (i->active_params - packed + i->d_model) + packed / 32 * 17);
        if (i->n_experts) {
            const uint64_t one_expert = packed / i->n_experts_used / 32 * 17 + 2 * i->n_layers * (2 * i->n_ff + i->d_model); // and its biases
            assert_true(i->expert_b == one_expert);
        } else {
            assert_true(i->expert_b == 0);
        }
        model_free(x);
        model_free(y);
    }
}

/* blocks [E, rows, groups, 16] and scales to bf16 [E, 32 * groups, rows]. */
static void add_dequantised(struct st_build *b, const char *name, const struct tensor *blocks,
                            const struct tensor *scales)
{
    size_t E = blocks->shape[0];
    size_t rows = blocks->shape[1];
    size_t groups = blocks->shape[2];
    size_t n = E * rows * groups * 32;
    uint16_t *out = calloc(n, sizeof *out);
    assert_non_null(out);
    for (size_t e = 0; e < E; e++)
        for (size_t r = 0; r < rows; r++)
            for (size_t g = 0; g < groups; g++) {
                uint16_t w[32];
                size_t at = (e * rows + r) * groups + g;
                assert_true(mxfp4_decode(blocks->data + at * 16, scales->data[at], w));
                for (size_t i = 0; i < 32; i++)
                    out[(e * groups * 32 + g * 32 + i) * rows + r] = w[i];
            }
    const size_t shape[] = {E, groups * 32, rows};
    st_add(b, name, "BF16", shape, 3, out, n * sizeof *out);
    free(out);
}

static bool ends(const char *s, const char *end)
{
    size_t n = strlen(s);
    size_t k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static void write_dequantised(const char *from, const char *to)
{
    struct tensors *st;
    struct st_build b = ST_BUILD_INIT;
    assert_int_equal(safetensors_open(&st, from, NULL), OK);
    for (size_t i = 0; i < tensors_count(st); i++) {
        const struct tensor *t = tensors_at(st, i);
        char name[200];
        (void)snprintf(name, sizeof name, "%s", t->name);
        if (ends(name, "_scales"))
            continue;
        if (!ends(name, "_blocks")) {
            st_copy(&b, t, name);
            continue;
        }
        (void)snprintf(name + strlen(name) - 7, 8, "_scales");
        const struct tensor *scales = tensors_find(st, name);
        name[strlen(name) - 7] = '\0';
        add_dequantised(&b, name, t, scales);
    }
    st_write(&b, to);
    tensors_close(st);
}

/* A copy of a model's folder without its weights. */
static void copy_folder(const struct models *ms, const char *from, const char *name, char to[256])
{
    char command[900];
    path_in(ms, name, to);
    (void)snprintf(command, sizeof command, "cp -r '%s' '%s' && rm '%s/model.safetensors'", from, to, to);
    assert_int_equal(system(command), 0);
}

static void dequantised_experts_are_the_same_model(void **state)
{
    const struct models *ms = *state;
    char from[256];
    char to[256];
    char a[DIGEST_HEX_LEN + 1];
    char b[DIGEST_HEX_LEN + 1];
    model_path(ms, 0, from);
    copy_folder(ms, from, "dequantised", to);
    write_dequantised(from, to);
    struct model *x = open_path(from);
    struct model *y = open_path(to);
    assert_string_equal(model_info(x)->weight_format, "mxfp4+bf16");
    assert_string_equal(model_info(y)->weight_format, "bf16");
    assert_true(model_info(x)->decode_weights_b < model_info(y)->decode_weights_b);
    answer(x, a);
    answer(y, b);
    assert_string_equal(a, b);
    model_free(x);
    model_free(y);
}

/* Every bf16 value is an fp32 value, so the same model in F32 gives the same bits. */
static void wider_values_are_the_same_model(void **state)
{
    const struct models *ms = *state;
    for (size_t f = 0; f < N_FAMILIES; f++) {
        struct tensors *st;
        struct st_build b = ST_BUILD_INIT;
        char from[256];
        char to[256];
        char name[32];
        char x[DIGEST_HEX_LEN + 1];
        char y[DIGEST_HEX_LEN + 1];
        model_path(ms, f, from);
        (void)snprintf(name, sizeof name, "wide-%zu", f);
        copy_folder(ms, from, name, to);
        assert_int_equal(safetensors_open(&st, from, NULL), OK);
        for (size_t i = 0; i < tensors_count(st); i++) {
            const struct tensor *t = tensors_at(st, i);
            if (t->quant != QUANT_BF16) {
                st_copy(&b, t, t->name);
                continue;
            }
            uint8_t *wide = calloc(t->n_bytes, 2);
            assert_non_null(wide);
            for (size_t k = 0; k < t->n_bytes; k += 2)
                memcpy(wide + 2 * k + 2, t->data + k, 2); // bf16 is fp32's upper half
            st_add(&b, t->name, "F32", t->shape, t->n_dims, wide, 2 * t->n_bytes);
            free(wide);
        }
        tensors_close(st);
        st_write(&b, to);
        struct model *one = open_path(from);
        struct model *two = open_path(to);
        answer(one, x);
        answer(two, y);
        assert_string_equal(x, y);
        assert_string_equal(model_info(two)->weight_format, f == 0 ? "mxfp4+f32" : "f32");
        model_free(one);
        model_free(two);
    }
}

/* gpt-oss as its authors store it: other names, one qkv, another config.json. */
static void write_original(const char *from, const char *to)
{
    static const char *const renamed[][2] = {
        {"input_layernorm.weight", "attn.norm.scale"},        {"self_attn.sinks", "attn.sinks"},
        {"self_attn.o_proj.weight", "attn.out.weight"},       {"self_attn.o_proj.bias", "attn.out.bias"},
        {"post_attention_layernorm.weight", "mlp.norm.scale"}, {"mlp.router.weight", "mlp.gate.weight"},
        {"mlp.router.bias", "mlp.gate.bias"},                 {"mlp.experts.gate_up_proj_blocks", "mlp.mlp1_weight.blocks"},
        {"mlp.experts.gate_up_proj_scales", "mlp.mlp1_weight.scales"},
        {"mlp.experts.gate_up_proj_bias", "mlp.mlp1_bias"},   {"mlp.experts.down_proj_blocks", "mlp.mlp2_weight.blocks"},
        {"mlp.experts.down_proj_scales", "mlp.mlp2_weight.scales"},
        {"mlp.experts.down_proj_bias", "mlp.mlp2_bias"},
    };
    static const char *const parts[] = {"weight", "bias"};
    struct tensors *st;
    struct st_build b = ST_BUILD_INIT;
    char name[200];
    char old[200];
    assert_int_equal(safetensors_open(&st, from, NULL), OK);
    st_copy(&b, tensors_find(st, "model.embed_tokens.weight"), "embedding.weight");
    st_copy(&b, tensors_find(st, "model.norm.weight"), "norm.scale");
    st_copy(&b, tensors_find(st, "lm_head.weight"), "unembedding.weight");
    for (size_t layer = 0; layer < 4; layer++) {
        for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++) {
            (void)snprintf(old, sizeof old, "model.layers.%zu.%s", layer, renamed[i][0]);
            (void)snprintf(name, sizeof name, "block.%zu.%s", layer, renamed[i][1]);
            st_copy(&b, tensors_find(st, old), name);
        }
        for (size_t i = 0; i < 2; i++) {
            struct buf rows = BUF_INIT;
            size_t shape[2] = {0, 0};
            size_t n_dims = 0;
            for (const char *q = "qkv"; *q; q++) {
                (void)snprintf(old, sizeof old, "model.layers.%zu.self_attn.%c_proj.%s", layer, *q, parts[i]);
                const struct tensor *t = tensors_find(st, old);
                buf_add(&rows, t->data, t->n_bytes);
                shape[0] += t->shape[0];
                shape[1] = t->shape[1];
                n_dims = t->n_dims;
            }
            (void)snprintf(name, sizeof name, "block.%zu.attn.qkv.%s", layer, parts[i]);
            st_add(&b, name, "BF16", shape, n_dims, rows.data, rows.n);
            buf_release(&rows);
        }
    }
    tensors_close(st);
    st_write(&b, to);
}

static void write_text(const char *dir, const char *name, const char *text)
{
    char path[400];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

#define ORIGINAL                                                                                            \
    "\"num_hidden_layers\":4,\"num_experts\":6,\"experts_per_token\":4,\"vocab_size\":640,\"hidden_size\":96," \
    "\"intermediate_size\":160,\"swiglu_limit\":7.0,\"head_dim\":64,\"num_attention_heads\":8,"               \
    "\"num_key_value_heads\":2,\"sliding_window\":16,\"initial_context_length\":4096,\"rope_theta\":150000,"  \
    "\"rope_scaling_factor\":32.0,\"rope_ntk_beta\":32.0"

static void original_names_are_the_same_model(void **state)
{
    const struct models *ms = *state;
    char from[256];
    char to[256];
    char x[DIGEST_HEX_LEN + 1];
    char y[DIGEST_HEX_LEN + 1];
    model_path(ms, 0, from);
    copy_folder(ms, from, "original", to);
    write_original(from, to);
    write_text(to, "config.json", "{" ORIGINAL ",\"rope_ntk_alpha\":1.0}");
    struct model *one = open_path(from);
    struct model *two = open_path(to);
    answer(one, x);
    answer(two, y);
    assert_string_equal(x, y);
    assert_string_equal(model_info(two)->weight_format, "mxfp4+bf16");
    assert_int_equal(model_info(one)->weights_file_b, model_info(two)->weights_file_b);
    assert_int_equal(model_info(one)->decode_weights_b, model_info(two)->decode_weights_b);
    assert_int_equal(model_info(two)->max_context_tok, 131072);
    model_free(one);
    model_free(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_are_the_same_model),
        cmocka_unit_test(dequantised_experts_are_the_same_model),
        cmocka_unit_test(wider_values_are_the_same_model),
        cmocka_unit_test(original_names_are_the_same_model),
    };
    return cmocka_run_group_tests(tests, models_setup, models_teardown);
}
