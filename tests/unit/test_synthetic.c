#include "run_support.h"

#include <math.h>

#include "base/fmath.h"
#include "base/mem.h"
#include "model/source.h"
#include "model/synthetic.h"

/* Generated weights: the same bytes for ever, of the right distribution, and the same logits however they
 * are tiled and run. */

static struct synthetic parsed(const char *source)
{
    static struct synthetic s;
    struct err err = ERR_INIT;
    if (synthetic_parse(&s, source, &err))
        fail_msg("%s", err.text);
    return s;
}

static struct tensors *open_tensors(const struct synthetic *of)
{
    struct tensors *set = NULL;
    struct err err = ERR_INIT;
    if (synthetic_tensors(&set, of, &err))
        fail_msg("%s", err.text);
    return set;
}

static void sources(void **state)
{
    (void)state;
    struct synthetic s = parsed("synthetic:GPT-OSS-20B");
    assert_string_equal(s.name, "gpt-oss-20b");
    assert_int_equal(s.seed, 0);
    assert_int_equal(s.format, QUANT_BF16);
    assert_int_equal(parsed("synthetic:qwen3:0.6b,seed=18").seed, 18);
    s = parsed("synthetic:qwen3:0.6b,format=q4_0,seed=2");
    assert_string_equal(s.name, "Qwen3-0.6B-q4_0"); // other weights, another name
    assert_true(s.format == QUANT_Q4_0 && s.seed == 2);
    assert_int_equal(parsed("synthetic:gpt-oss-20b,seed=2,format=q8_0").format, QUANT_Q8_0);
    assert_true(synthetic_matches("synthetic:x") && !synthetic_matches("synthetic") && !synthetic_matches("./synthetic:x"));
    static const struct {
        const char *source, *says;
        enum status status;
    } wrong[] = {
        {"synthetic:", "unknown model ''", ERR_USAGE},
        {"synthetic:gpt-2", "unknown model 'gpt-2': expected one of gpt-oss-20b", ERR_USAGE},
        {"synthetic:gpt-oss-20b,", "expected synthetic:NAME[,seed=N][,format=q8_0|q4_0], found ','", ERR_USAGE},
        {"synthetic:gpt-oss-20b,Seed=1", "found ',Seed=1'", ERR_USAGE},
        {"synthetic:gpt-oss-20b,seed=1,", "found ','", ERR_USAGE},
        {"synthetic:gpt-oss-20b,seed", "found ',seed'", ERR_USAGE},
        {"synthetic:gpt-oss-20b,format=q5_0", "found ',format=q5_0'", ERR_USAGE},
        {"synthetic:gpt-oss-20b,format=", "found ',format='", ERR_USAGE},
        {"synthetic:gpt-oss-20b,seed=", "seed: expected an integer", ERR_FORMAT},
        {"synthetic:gpt-oss-20b,seed=1 ", "seed: expected an integer", ERR_FORMAT},
        {"synthetic:gpt-oss-20b,seed=-1", "seed: expected 0 to", ERR_RANGE},
        {"synthetic:gpt-oss-20b,seed=9223372036854775808", "seed: expected 0 to", ERR_RANGE},
    };
    static struct synthetic out;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct err err = ERR_INIT;
        assert_int_equal(synthetic_parse(&out, wrong[i].source, &err), wrong[i].status);
        if (!strstr(err.text, wrong[i].says) || !strstr(err.text, wrong[i].source))
            fail_msg("expected '%s', found '%s'", wrong[i].says, err.text);
    }
}

/* Every tensor of the published files and not a byte more (models.md 1.1, 2.2). */
static void true_shapes_and_formats(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        size_t n_tensors;
        uint64_t bytes;
    } known[] = {
        {"synthetic:gpt-oss-20b", 459, 13761264768},     {"synthetic:gpt-oss-120b", 687, 65248815744},
        {"synthetic:Qwen3-32B", 64 * 11 + 3, 65524246528}, {"synthetic:Qwen3-0.6B", 28 * 11 + 2, 1192099840},
        {"synthetic:Yi-34B", 60 * 9 + 3, 68777834496},   {"synthetic:Llama-3.1-8B", 32 * 9 + 3, 16060522496},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct synthetic of = parsed(known[i].source);
        struct tensors *set = open_tensors(&of);
        uint64_t bytes = 0;
        for (size_t t = 0; t < tensors_count(set); t++) {
            const struct tensor *x = tensors_at(set, t);
            bytes += x->n_bytes;
            assert_true(!x->data && x->fill);
            assert_true(x->quant == QUANT_BF16 || (x->quant == QUANT_NONE && strcmp(x->type_name, "U8") == 0));
        }
        assert_int_equal(tensors_count(set), known[i].n_tensors);
        assert_int_equal(bytes, known[i].bytes);
        assert_int_equal(tensors_n_files(set), 0);
        tensors_close(set);
    }
    struct synthetic of = parsed("synthetic:gpt-oss-20b,seed=3");
    struct tensors *set = open_tensors(&of);
    assert_string_equal(tensors_generator(set), "assay synthetic 1 gpt-oss-20b,seed=3");
    tensors_close(set);
}

static const struct tensor *find(const struct tensors *set, const char *name)
{
    const struct tensor *t = tensors_find(set, name);
    if (!t)
        fail_msg("expected tensor '%s', found none", name);
    return t;
}

/* Values worked out in Python from the definitions alone (Philox, SHA-256, SplitMix64, exact fractions). */
static void bytes_for_ever(void **state)
{
    (void)state;
    static const uint8_t q[8] = {0xeb, 0x3c, 0x1c, 0xbd, 0x34, 0x3c, 0x10, 0x3c};
    static const uint8_t norm[8] = {0x84, 0x3f, 0x6b, 0x3f, 0x8b, 0x3f, 0x90, 0x3f};
    static const uint8_t head[8] = {0x36, 0x3c, 0x65, 0x3d, 0x01, 0xbd, 0x41, 0x3c};
    static const uint8_t codes[11] = {0x7e, 0x18, 0xf5, 0x7e, 0xe0, 0x55, 0xce, 0xe4, 0xb8, 0x48, 0x9f};
    static const uint8_t scales[20] = {118, 119, 118, 119, 118, 119, 118, 119, 119, 118,
                                       118, 119, 118, 118, 119, 119, 119, 118, 119, 119};
    struct synthetic of = parsed("synthetic:gpt-oss-20b");
    struct tensors *set = open_tensors(&of);
    const struct tensor *t = find(set, "model.layers.23.mlp.experts.down_proj_blocks");
    uint8_t out[20];
    tensor_read(find(set, "model.layers.0.self_attn.q_proj.weight"), 0, 8, out);
    assert_memory_equal(out, q, 8);
    tensor_read(find(set, "model.norm.weight"), 0, 8, out);
    assert_memory_equal(out, norm, 8);
    tensor_read(t, t->n_bytes - 11, 11, out);
    assert_memory_equal(out, codes, 11);
    t = find(set, "model.layers.23.mlp.experts.down_proj_scales");
    tensor_read(t, t->n_bytes - 70, 20, out);
    assert_memory_equal(out, scales, 20);
    tensors_close(set);
    of.seed = 5;
    set = open_tensors(&of);
    t = find(set, "lm_head.weight");
    tensor_read(t, t->n_bytes - 8, 8, out);
    assert_memory_equal(out, head, 8);
    tensors_close(set);
}

/* The bytes of a GGUF file of that type (models.md 3.5: 12.10 GB for gpt-oss-20b in Q8_0), of the same values. */
static void formats(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        uint64_t bytes;
    } known[] = {
        {"synthetic:gpt-oss-20b,format=q8_0", 12096558336}, {"synthetic:gpt-oss-20b,format=q4_0", 11488486656},
        {"synthetic:Qwen3-0.6B,format=q8_0", 633495552},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct synthetic of = parsed(known[i].source);
        struct tensors *set = open_tensors(&of);
        uint64_t bytes = 0;
        for (size_t t = 0; t < tensors_count(set); t++)
            bytes += tensors_at(set, t)->n_bytes;
        assert_int_equal(bytes, known[i].bytes);
        tensors_close(set);
    }
    struct synthetic of = parsed("synthetic:gpt-oss-20b,seed=9");
    struct synthetic as = parsed("synthetic:gpt-oss-20b,seed=9,format=q4_0");
    struct tensors *plain = open_tensors(&of);
    struct tensors *set = open_tensors(&as);
    static const struct {
        const char *name;
        enum quant quant;
    } stored[] = {
        {"model.embed_tokens.weight", QUANT_Q4_0},
        {"lm_head.weight", QUANT_Q8_0},
        {"model.layers.3.self_attn.o_proj.weight", QUANT_Q4_0},
        {"model.layers.3.mlp.router.weight", QUANT_F32},
        {"model.layers.3.self_attn.q_proj.bias", QUANT_F32},
        {"model.norm.weight", QUANT_F32},
    };
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++) {
        const struct tensor *t = find(set, stored[i].name);
        const struct quant_type *q = quant_type(t->quant);
        uint8_t raw[64];
        uint8_t block[132];
        uint8_t want[132];
        float x[32];
        assert_int_equal(t->quant, stored[i].quant);
        tensor_read(find(plain, stored[i].name), 0, 64, raw);
        for (size_t k = 0; k < 32; k++)
            x[k] = bf16_to_f32((uint16_t)(raw[2 * k] | raw[2 * k + 1] << 8));
        for (size_t k = 0; k < 32; k += q->block)
            assert_true(q->encode(x + k, want + k / q->block * q->block_b));
        tensor_read(t, 0, 32 / q->block * q->block_b, block);
        assert_memory_equal(block, want, 32 / q->block * q->block_b);
    }
    assert_int_equal(find(set, "model.layers.3.mlp.experts.down_proj_blocks")->quant, QUANT_NONE);
    tensors_close(plain);
    tensors_close(set);
}

/* A range gives the same bytes in one piece and in many, wherever they are cut. */
static void any_range(void **state)
{
    (void)state;
    static const char *const names[] = {"model.layers.1.self_attn.q_proj.weight", "model.layers.1.mlp.experts.down_proj_blocks",
                                        "model.layers.1.mlp.experts.down_proj_scales", "model.layers.1.mlp.router.weight"};
    static const char *const sources[] = {"synthetic:gpt-oss-20b", "synthetic:gpt-oss-20b,format=q8_0",
                                          "synthetic:gpt-oss-20b,format=q4_0"};
    enum { N = 3000, FROM = 4097 };
    for (size_t k = 0; k < 12; k++) {
        struct synthetic of = parsed(sources[k / 4]);
        struct tensors *set = open_tensors(&of);
        const struct tensor *t = find(set, names[k % 4]);
        uint8_t whole[N];
        uint8_t part[N + 2];
        tensor_read(t, FROM, N, whole);
        for (size_t step = 1; step < 140; step += step < 20 ? 1 : 17) {
            memset(part, 0xa5, sizeof part);
            for (size_t at = 0; at < N; at += step)
                tensor_read(t, FROM + at, at + step < N ? step : N - at, part + 1 + at);
            assert_memory_equal(part + 1, whole, N);
            assert_true(part[0] == 0xa5 && part[N + 1] == 0xa5); // nothing beside
        }
        tensor_read(t, FROM, 0, part);
        tensors_close(set);
    }
}

/* Mean and sd of a BF16 tensor's first values. */
static void moments(const struct tensors *set, const char *name, double mean, double sd)
{
    enum { N = 2880 };
    const struct tensor *t = find(set, name);
    uint8_t raw[2 * N];
    double sum = 0;
    double squares = 0;
    size_t n = t->n_bytes / 2 < N ? t->n_bytes / 2 : N;
    tensor_read(t, 0, 2 * n, raw);
    for (size_t i = 0; i < n; i++) {
        double x = (double)bf16_to_f32((uint16_t)(raw[2 * i] | raw[2 * i + 1] << 8));
        sum += x;
        squares += (x - mean) * (x - mean);
    }
    double found_mean = sum / (double)n;
    double found_sd = sqrt(squares / (double)n);
    if (fabs(found_mean - mean) > 4 * sd / sqrt((double)n) || fabs(found_sd / sd - 1) > 4 / sqrt(2 * (double)n))
        fail_msg("'%s': expected mean %g sd %g, found %g and %g", name, mean, sd, found_mean, found_sd);
}

static void recipe(void **state)
{
    (void)state;
    struct synthetic of = parsed("synthetic:gpt-oss-20b");
    struct tensors *set = open_tensors(&of);
    moments(set, "model.embed_tokens.weight", 0, 1);
    moments(set, "lm_head.weight", 0, 3 / sqrt(2880));
    moments(set, "model.norm.weight", 1, 0.1);
    moments(set, "model.layers.7.input_layernorm.weight", 1, 0.1);
    moments(set, "model.layers.7.post_attention_layernorm.weight", 1, 0.1);
    moments(set, "model.layers.7.self_attn.v_proj.weight", 0, 1 / sqrt(2880));
    moments(set, "model.layers.7.self_attn.o_proj.weight", 0, 1 / sqrt(4096));
    moments(set, "model.layers.7.self_attn.k_proj.bias", 0, 0.1);
    moments(set, "model.layers.7.self_attn.sinks", 0, 1);
    moments(set, "model.layers.7.mlp.router.weight", 0, 2 / sqrt(2880));
    moments(set, "model.layers.7.mlp.router.bias", 0, 0.5);
    moments(set, "model.layers.7.mlp.experts.gate_up_proj_bias", 0, 0.5);
    moments(set, "model.layers.7.mlp.experts.down_proj_bias", 0, 0.1);
    size_t seen[2] = {0, 0};
    uint8_t b[1024];
    tensor_read(find(set, "model.layers.7.mlp.experts.gate_up_proj_scales"), 0, 1024, b);
    for (size_t i = 0; i < 1024; i++) {
        assert_in_range(b[i], 121, 122); // 2880 inputs: 123 and 124 suit 96
        seen[b[i] - 121]++;
    }
    assert_in_range(seen[0], 450, 574);
    size_t codes[16] = {0};
    tensor_read(find(set, "model.layers.7.mlp.experts.gate_up_proj_blocks"), 0, 1024, b);
    for (size_t i = 0; i < 1024; i++) {
        codes[b[i] & 15]++;
        codes[b[i] >> 4]++;
    }
    for (size_t i = 0; i < 16; i++)
        assert_in_range(codes[i], 80, 176); // 128 each
    tensors_close(set);
    of = parsed("synthetic:Qwen3-0.6B");
    set = open_tensors(&of);
    moments(set, "model.embed_tokens.weight", 0, 3 / sqrt(1024)); // it is the head
    moments(set, "model.layers.27.mlp.down_proj.weight", 0, 1 / sqrt(3072));
    moments(set, "model.layers.27.self_attn.q_norm.weight", 1, 0.1);
    tensors_close(set);
}

/* Small models of registered depth and all else: what a registry entry would be if one were that small. */
static struct synthetic small(size_t family, uint64_t seed)
{
    static const char *const of[3] = {"synthetic:gpt-oss-20b", "synthetic:Qwen3-32B", "synthetic:Yi-34B"};
    struct synthetic s = parsed(of[family]);
    struct model_config *c = &s.config;
    (void)snprintf(s.name, sizeof s.name, "small");
    s.seed = seed;
    c->d_model = family == 0 ? 96 : 160;
    c->n_ff = 224;
    c->n_heads = 14;
    c->n_kv_heads = 2;
    c->head_dim = 32;
    c->vocab_size = 331;
    c->tied = family == 1;
    c->bos_id = c->eos_id = -1;
    c->n_stop_ids = 0;
    for (size_t i = 0; i < c->n_layers; i++)
        c->windows[i] = c->windows[i] ? 16 : 0;
    c->n_experts = family == 0 ? 6 : 0;
    return s;
}

static struct model *open_small(const struct synthetic *of, const char *isa, size_t n_threads)
{
    struct model *m = NULL;
    struct err err = ERR_INIT;
    const struct model_options opt = {.isa = isa, .n_threads = n_threads};
    if (model_open_as(&m, &source_synthetic, "synthetic:small", of, &opt, &err))
        fail_msg("%s", err.text);
    return m;
}

/* One prompt of 40 tokens, 8 greedy ones; its digest, beside n - 1 other sequences, in the middle. */
static void digest_of(const struct synthetic *of, const char *isa, size_t n_threads, size_t n, size_t chunk,
                      char sha[DIGEST_HEX_LEN + 1])
{
    enum { N_PROMPT = 40, MOST = 5 };
    struct model *m = open_small(of, isa, n_threads);
    struct outcome *o = calloc(MOST, sizeof *o);
    int32_t prompt[MOST][N_PROMPT];
    struct request r[MOST];
    assert_non_null(o);
    for (size_t i = 0; i < n; i++) {
        random_prompt(i == n / 2 ? "asked" : "other", model_info(m)->vocab_size, prompt[i], N_PROMPT);
        r[i] = (struct request){.id = "r", .prompt = prompt[i], .n_prompt = i == n / 2 ? N_PROMPT : N_PROMPT - i,
                                .max_tokens = 8, .sampling = {.temperature = 0, .top_p = 1}, .ignore_stop_ids = true};
    }
    const struct session_options opt = {.n_parallel = n, .context_tok = 64, .prefill_chunk = chunk};
    run_all(m, &opt, r, n, o, NULL, NULL, NULL);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(o[i].finish, FINISH_LENGTH);
    memcpy(sha, o[n / 2].sha, DIGEST_HEX_LEN + 1);
    free(o);
    model_free(m);
}

static void same_bits_everywhere(void **state)
{
    (void)state;
    static char sha[8][DIGEST_HEX_LEN + 1];
    for (size_t f = 0; f < 3; f++) {
        struct synthetic of = small(f, 4);
        of.config.n_layers = 4;
        char got[DIGEST_HEX_LEN + 1];
        size_t n = 0;
        digest_of(&of, "auto", 1, 1, 0, sha[f]);
        for (const char *const *isa = isa_list(); *isa; isa++, n++) {
            digest_of(&of, *isa, 1 + n % 3, 1 + n % 3 * 2, n % 2 ? 7 : 0, got);
            assert_string_equal(got, sha[f]);
        }
        digest_of(&of, "auto", 3, 5, 1, got);
        assert_string_equal(got, sha[f]);
        of.seed = 5;
        digest_of(&of, "auto", 2, 1, 0, sha[3 + f]);
    }
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(sha[i], sha[j]);
}

/* At full depth the logits are finite and neither flat nor one spike: sd 3 by the recipe. */
static void sane_logits(void **state)
{
    (void)state;
    for (size_t f = 0; f < 3; f++) {
        struct synthetic of = small(f, 0);
        struct model *m = open_small(&of, "auto", 2);
        struct session *s = NULL;
        struct err err = ERR_INIT;
        int32_t prompt[32];
        random_prompt("sane", model_info(m)->vocab_size, prompt, 32);
        const struct request r = {.id = "r", .prompt = prompt, .n_prompt = 32, .max_tokens = 1,
                                  .sampling = {.temperature = 0, .top_p = 1}, .all_positions = true};
        const struct session_options opt = {.n_parallel = 1, .context_tok = 64};
        assert_int_equal(session_new(&s, m, &opt, &err), OK);
        uint64_t handle;
        assert_int_equal(session_submit(s, &r, &handle, &err), OK);
        size_t n_rows = 0;
        while (!session_idle(s)) {
            const struct event *e;
            size_t n;
            assert_int_equal(session_step(s, &e, &n, &err), OK);
            for (size_t i = 0; i < n; i++) {
                double sum = 0;
                double squares = 0;
                size_t V = model_info(m)->vocab_size;
                if (e[i].kind == EVENT_DONE) {
                    assert_int_not_equal(e[i].finish, FINISH_ERROR);
                    continue;
                }
                for (size_t k = 0; k < V; k++) {
                    sum += (double)e[i].logits[k];
                    squares += (double)e[i].logits[k] * (double)e[i].logits[k];
                }
                double sd = sqrt(squares / (double)V);
                if (!(sd > 2 && sd < 4.5 && fabs(sum / (double)V) < 1))
                    fail_msg("family %zu: expected logits of sd 3, found %g", f, sd);
                n_rows++;
            }
        }
        assert_int_equal(n_rows, 32);
        session_free(s);
        model_free(m);
    }
}

static void what_it_says_of_itself(void **state)
{
    (void)state;
    struct synthetic of = small(0, 9);
    struct model *m = open_small(&of, "auto", 2);
    const struct model_info *i = model_info(m);
    assert_true(i->synthetic);
    assert_string_equal(i->name, "small");
    assert_string_equal(i->weight_format, "mxfp4+bf16");
    assert_string_equal(i->definition, "assay synthetic 1 small,seed=9");
    assert_int_equal(i->n_files, 0);
    assert_null(model_tokenizer(m));
    assert_int_equal(i->prefix_id, -1);
    model_free(m);
}

/* What does not fit is refused with both numbers, before any of it is taken. */
static void too_large(void **state)
{
    (void)state;
    struct synthetic of = small(2, 0);
    struct model *m = NULL;
    struct err err = ERR_INIT;
    of.config.d_model = 1 << 20;
    of.config.n_ff = 1 << 20;
    of.config.n_layers = 1000;
    assert_int_equal(model_open_as(&m, &source_synthetic, "synthetic:small", &of, NULL, &err), ERR_MEMORY);
    assert_non_null(strstr(err.text, "GB of memory for its weights, found"));
    assert_null(m);
}

/* Every allocation of this thread fails once: a clean status, nothing left behind (ASan). */
static void out_of_memory(void **state)
{
    (void)state;
    struct synthetic of = small(0, 0);
    of.config.n_layers = 2;
    of.format = QUANT_Q8_0;
    size_t n = 1;
    for (enum status s = ERR_MEMORY; s; n++) {
        struct model *m = NULL;
        struct err err = ERR_INIT;
        mem_fail_after(n);
        s = model_open_as(&m, &source_synthetic, "synthetic:small", &of, NULL, &err);
        mem_fail_after(0);
        if (s && s != ERR_MEMORY)
            fail_msg("allocation %zu: %s", n, err.text);
        assert_true((m == NULL) == (s != OK));
        model_free(m);
    }
    assert_true(n > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources),
        cmocka_unit_test(true_shapes_and_formats),
        cmocka_unit_test(bytes_for_ever),
        cmocka_unit_test(formats),
        cmocka_unit_test(any_range),
        cmocka_unit_test(recipe),
        cmocka_unit_test(same_bits_everywhere),
        cmocka_unit_test(sane_logits),
        cmocka_unit_test(what_it_says_of_itself),
        cmocka_unit_test(too_large),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
