#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/ggufconfig.h"
#include "format/tensors_internal.h"
#include "gguf_build.h"

/* What GGUF metadata becomes, and what is refused: each case is a whole file with one line changed. */

struct line {
    const char *key;
    enum gguf_value type; // U32, F32, STRING, BOOL; ARRAY: of bools, their bits in u
    uint32_t u;
    float f;
    const char *s;
};

#define U(key, v) {(key), GGUF_U32, (v), 0.0f, NULL}
#define F(key, v) {(key), GGUF_F32, 0, (v), NULL}
#define S(key, v) {(key), GGUF_STRING, 0, 0.0f, (v)}
#define B(key, v) {(key), GGUF_BOOL, (v), 0.0f, NULL}
#define A(key, v) {(key), GGUF_ARRAY, (v), 0.0f, NULL}
#define NONE {NULL, GGUF_U8, 0, 0.0f, NULL}

static const struct line gptoss[] = {
    S("general.architecture", "gpt-oss"),
    U("gpt-oss.block_count", 6),
    U("gpt-oss.context_length", 131072),
    U("gpt-oss.embedding_length", 96),
    U("gpt-oss.feed_forward_length", 160),
    U("gpt-oss.expert_feed_forward_length", 160),
    U("gpt-oss.attention.head_count", 8),
    U("gpt-oss.attention.head_count_kv", 2),
    U("gpt-oss.attention.key_length", 64),
    U("gpt-oss.attention.value_length", 64),
    F("gpt-oss.attention.layer_norm_rms_epsilon", 1e-5f),
    F("gpt-oss.rope.freq_base", 150000.0f),
    U("gpt-oss.expert_count", 6),
    U("gpt-oss.expert_used_count", 4),
    U("gpt-oss.attention.sliding_window", 16),
    S("gpt-oss.rope.scaling.type", "yarn"),
    F("gpt-oss.rope.scaling.factor", 32.0f),
    U("gpt-oss.rope.scaling.original_context_length", 4096),
    U("tokenizer.ggml.bos_token_id", 3),
    U("tokenizer.ggml.eos_token_id", 7),
    U("tokenizer.ggml.eot_token_id", 5),
    NONE,
};

static const struct line qwen3[] = {
    S("general.architecture", "qwen3"),
    U("qwen3.block_count", 3),
    U("qwen3.context_length", 40960),
    U("qwen3.embedding_length", 320),
    U("qwen3.feed_forward_length", 768),
    U("qwen3.attention.head_count", 4),
    U("qwen3.attention.head_count_kv", 2),
    U("qwen3.attention.key_length", 128),
    U("qwen3.attention.value_length", 128),
    F("qwen3.attention.layer_norm_rms_epsilon", 1e-6f),
    F("qwen3.rope.freq_base", 1e6f),
    U("tokenizer.ggml.eos_token_id", 7),
    U("tokenizer.ggml.eot_token_id", 5),
    U("tokenizer.ggml.eom_token_id", 7),
    NONE,
};

static const struct line llama[] = {
    S("general.architecture", "llama"),
    U("llama.block_count", 2),
    U("llama.context_length", 4096),
    U("llama.embedding_length", 224),
    U("llama.feed_forward_length", 320),
    U("llama.attention.head_count", 14),
    U("llama.attention.head_count_kv", 2),
    U("llama.rope.dimension_count", 16),
    F("llama.attention.layer_norm_rms_epsilon", 1e-5f),
    F("llama.rope.freq_base", 5e6f),
    U("llama.vocab_size", 10),
    NONE,
};

/* The named tensor, F32, of n values 1, or with rows `rows` x n. */
struct piece {
    const char *name;
    size_t rows, n; // rows 0: a vector
};

struct made {
    struct arena *arena;
    struct gguf g;
    struct tensors *set;
    struct buf bytes;
};

static void put_line(struct gguf_build *g, const struct line *l)
{
    if (l->type == GGUF_U32)
        put_u32(g, l->key, l->u);
    else if (l->type == GGUF_F32)
        put_f32(g, l->key, l->f);
    else if (l->type == GGUF_STRING)
        put_str(g, l->key, l->s);
    else if (l->type == GGUF_BOOL)
        put_bool(g, l->key, l->u != 0);
    else {
        put_array(g, l->key, GGUF_BOOL, 6);
        for (unsigned i = 0; i < 6; i++)
            put_int(&g->kvs, l->u >> i & 1, 1);
    }
}

static void put_piece(struct gguf_build *g, const struct piece *p)
{
    float *v = calloc((p->rows ? p->rows : 1) * p->n, sizeof *v);
    assert_non_null(v);
    for (size_t i = 0; i < (p->rows ? p->rows : 1) * p->n; i++)
        v[i] = 1.0f;
    const uint64_t ne[2] = {p->n, p->rows};
    put_tensor(g, p->name, 0, ne, p->rows ? 2 : 1, v, (p->rows ? p->rows : 1) * p->n * sizeof *v);
    free(v);
}

/* base without the keys that drop names, with the lines of more; 10 rows of embedding and the pieces. */
static void make(struct made *m, const struct line *base, const struct line *more, const char *drop,
                 const struct piece *pieces, size_t n_pieces)
{
    struct gguf_build build = GGUF_BUILD_INIT;
    struct err err = ERR_INIT;
    void *p;
    for (const struct line *l = base; l->key; l++) {
        bool replaced = drop && strcmp(l->key, drop) == 0;
        for (const struct line *k = more; k && k->key; k++)
            replaced = replaced || strcmp(k->key, l->key) == 0;
        if (!replaced)
            put_line(&build, l);
    }
    for (const struct line *l = more; l && l->key; l++)
        put_line(&build, l);
    for (size_t i = 0; i < n_pieces; i++)
        put_piece(&build, &pieces[i]);
    *m = (struct made){.bytes = BUF_INIT};
    gguf_build(&build, &m->bytes);
    gguf_build_release(&build);
    union {
        const char *c;
        const uint8_t *b;
    } bytes = {.c = m->bytes.data};
    assert_int_equal(arena_new(&m->arena, 0, NULL), OK);
    if (gguf_parse(&m->g, m->arena, bytes.b, m->bytes.n, "f.gguf", &err))
        fail_msg("%s", err.text);
    assert_int_equal(tensors_new(&m->set, NULL), OK);
    assert_int_equal(arena_alloc(m->set->arena, &p, 1, sizeof *m->set->files, NULL), OK);
    m->set->files = p;
    m->set->files[0] = (struct tensor_file){.name = "f.gguf", .path = "f.gguf"};
    m->set->n_files = 1;
    m->set->tensors = m->g.tensors;
    m->set->n = m->g.n_tensors;
    assert_int_equal(tensors_sort(m->set, NULL), OK);
}

static void drop_made(struct made *m)
{
    tensors_close(m->set);
    arena_free(m->arena);
    buf_release(&m->bytes);
}

static const struct piece ends[] = {{"token_embd.weight", 10, 4}, {"output.weight", 10, 4}};

static void read(struct made *m, struct model_config *c)
{
    struct err err = ERR_INIT;
    if (ggufconfig_read(c, &m->g, m->set, m->arena, &err))
        fail_msg("%s", err.text);
}

static void reads_gptoss(void **state)
{
    (void)state;
    static struct model_config c;
    struct made m;
    make(&m, gptoss, NULL, NULL, ends, 2);
    read(&m, &c);
    assert_int_equal(c.arch, ARCH_GPTOSS);
    assert_true(c.n_layers == 6 && c.d_model == 96 && c.n_ff == 160 && c.n_heads == 8 && c.n_kv_heads == 2);
    assert_true(c.head_dim == 64 && c.vocab_size == 10 && c.max_context_tok == 131072);
    assert_true(c.n_experts == 6 && c.n_experts_used == 4 && c.sinks && c.attention_bias && !c.tied);
    assert_true((float)c.eps == 1e-5f && c.rope.theta == 150000);
    assert_true(c.rope.kind == ROPE_YARN && c.rope.factor == 32 && c.rope.original_tok == 4096 && !c.rope.truncate);
    assert_true(c.rope.beta_fast == 32 && c.rope.beta_slow == 1);
    assert_true(c.rope.attention_factor > 1.34657359 && c.rope.attention_factor < 1.34657360);
    assert_true(c.swiglu_limit == 7 && c.swiglu_alpha == 1.702 && c.swiglu_up_add == 1);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(c.windows[i], i % 2 ? 0 : 16);
    assert_true(c.n_stop_ids == 1 && c.stop_ids[0] == 7 && c.bos_id == 3 && c.eos_id == 7); // eot only ends a message
    drop_made(&m);
}

static void honours_windows(void **state)
{
    (void)state;
    static const struct {
        struct line more[3];
        size_t windows[6];
    } cases[] = {
        {{U("gpt-oss.attention.sliding_window", 4000000000), NONE}, {0}},
        {{U("gpt-oss.attention.sliding_window", 0), NONE}, {0}},
        {{U("gpt-oss.attention.sliding_window_pattern", 3), NONE}, {16, 16, 0, 16, 16, 0}},
        {{U("gpt-oss.attention.sliding_window_pattern", 1), NONE}, {0}},
        {{U("gpt-oss.attention.sliding_window_pattern", 0), NONE}, {16, 16, 16, 16, 16, 16}},
        {{A("gpt-oss.attention.sliding_window_pattern", 11), U("gpt-oss.attention.sliding_window", 20), NONE},
         {20, 20, 0, 20, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct model_config c;
        struct made m;
        make(&m, gptoss, cases[i].more, NULL, ends, 2);
        read(&m, &c);
        for (size_t k = 0; k < 6; k++)
            if (c.windows[k] != cases[i].windows[k])
                fail_msg("case %zu: layer %zu: expected %zu, found %zu", i, k, cases[i].windows[k], c.windows[k]);
        drop_made(&m);
    }
}

static void reads_the_dense(void **state)
{
    (void)state;
    static struct model_config c;
    struct made m;
    make(&m, qwen3, NULL, NULL, ends, 1);
    read(&m, &c);
    assert_int_equal(c.arch, ARCH_QWEN3);
    assert_true(c.head_dim == 128 && c.tied && !c.attention_bias && !c.sinks && c.n_experts == 0);
    assert_true(c.rope.kind == ROPE_PLAIN && !c.rope.divisors && config_window(&c) == 0);
    assert_true(c.n_stop_ids == 2 && c.stop_ids[0] == 5 && c.stop_ids[1] == 7 && c.bos_id == -1);
    drop_made(&m);
    static const struct piece more[] = {
        {"token_embd.weight", 10, 4}, {"blk.0.attn_q.bias", 0, 4}, {"rope_freqs.weight", 0, 8}};
    make(&m, llama, NULL, NULL, more, 3);
    read(&m, &c);
    assert_int_equal(c.arch, ARCH_LLAMA);
    assert_true(c.head_dim == 16 && c.attention_bias && c.tied && c.n_stop_ids == 0);
    assert_true(c.rope.divisors && c.rope.divisors[7] == 1.0f);
    drop_made(&m);
    static const struct line yarn[] = {S("qwen3.rope.scaling.type", "yarn"), F("qwen3.rope.scaling.factor", 4.0f),
                                       F("qwen3.rope.scaling.attn_factor", 0.5f), NONE};
    make(&m, qwen3, yarn, NULL, ends, 1);
    read(&m, &c);
    assert_true(c.rope.truncate && c.rope.original_tok == 40960);
    assert_true(c.rope.attention_factor > 0.56931 && c.rope.attention_factor < 0.56932); // half of the standard
    drop_made(&m);
    static const struct line ends_list[] = {A("tokenizer.ggml.eos_token_ids", 1), NONE}; // 1, 0, 0, ...
    make(&m, qwen3, ends_list, NULL, ends, 1);
    read(&m, &c);
    assert_true(c.n_stop_ids == 4 && c.stop_ids[0] == 0 && c.stop_ids[1] == 1 && c.stop_ids[3] == 7);
    drop_made(&m);
    static const struct line neutral[] = {
        U("llama.expert_count", 0), B("llama.attention.causal", 1), F("llama.rope.scaling.factor", 0.0f),
        S("llama.rope.scaling.type", "none"), U("llama.attention.sliding_window", 0), U("tokenizer.ggml.x", 9),
        U("llama4.block_count", 9), NONE};
    make(&m, llama, neutral, NULL, ends, 1);
    read(&m, &c);
    drop_made(&m);
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const struct line *base;
        struct line more[2];
        const char *drop;
        struct piece pieces[3];
        enum status status;
        const char *says;
    } cases[] = {
        {qwen3, {NONE}, "general.architecture", {{0}}, ERR_MISSING, "general.architecture"},
        {qwen3, {S("general.architecture", "mamba"), NONE}, NULL, {{0}}, ERR_UNSUPPORTED, "gpt-oss, qwen3 or llama, found 'mamba'"},
        {qwen3, {U("general.architecture", 3), NONE}, NULL, {{0}}, ERR_FORMAT, "expected a string"},
        {qwen3, {NONE}, "qwen3.rope.freq_base", {{0}}, ERR_MISSING, "qwen3.rope.freq_base"},
        {qwen3, {NONE}, "qwen3.attention.key_length", {{0}}, ERR_MISSING, "qwen3.attention.key_length"},
        {gptoss, {NONE}, "gpt-oss.attention.key_length", {{0}}, ERR_MISSING, "key_length"},
        {qwen3, {NONE}, "qwen3.block_count", {{0}}, ERR_MISSING, "qwen3.block_count"},
        {qwen3, {U("qwen3.block_count", 0), NONE}, NULL, {{0}}, ERR_RANGE, "expected 1 to 1024, found 0"},
        {qwen3, {U("qwen3.block_count", 4294967295), NONE}, NULL, {{0}}, ERR_RANGE, "found 4294967295"},
        {qwen3, {F("qwen3.block_count", 3.0f), NONE}, NULL, {{0}}, ERR_FORMAT, "an integer"},
        {qwen3, {U("qwen3.attention.head_count_kv", 3), NONE}, NULL, {{0}}, ERR_SHAPE, "divisor of 4, found 3"},
        {qwen3, {U("qwen3.attention.value_length", 64), NONE}, NULL, {{0}}, ERR_UNSUPPORTED, "value_length': expected 128"},
        {llama, {U("llama.rope.dimension_count", 8), NONE}, NULL, {{0}}, ERR_UNSUPPORTED, "dimension_count': expected 16 as the head, found 8"},
        {llama, {U("llama.attention.head_count", 10), NONE}, NULL, {{0}}, ERR_SHAPE, "a multiple of 10 heads"},
        {llama, {U("llama.attention.head_count", 32), NONE}, NULL, {{0}}, ERR_UNSUPPORTED, "dimension_count"},
        {llama, {U("llama.vocab_size", 11), NONE}, NULL, {{0}}, ERR_SHAPE, "expected 10 as 'token_embd.weight' has rows, found 11"},
        {llama, {NONE}, NULL, {{"output.weight", 10, 4}}, ERR_MISSING, "token_embd.weight"},
        {llama, {NONE}, NULL, {{"token_embd.weight", 0, 4}}, ERR_SHAPE, "found shape [4]"},
        {llama, {U("llama.expert_count", 8), NONE}, NULL, {{0}}, ERR_UNSUPPORTED, "llama.expert_count': expected 0, found 8"},
        {llama, {F("llama.logit_scale", 2.0f), NONE}, NULL, {{0}}, ERR_UNSUPPORTED, "expected 1, found 2"},
        {llama, {B("llama.attention.causal", 0), NONE}, NULL, {{0}}, ERR_UNSUPPORTED, "expected 1, found 0"},
        {llama, {U("llama.attention.sliding_window", 64), NONE}, NULL, {{0}}, ERR_UNSUPPORTED, "expected 0, found 64"},
        {llama, {F("llama.attention.scale", 0.1f), NONE}, NULL, {{0}}, ERR_UNSUPPORTED, "expected no such key"},
        {llama, {S("llama.rope.scaling.type", "longrope"), NONE}, NULL, {{0}}, ERR_UNSUPPORTED, "none or yarn, found 'longrope'"},
        {llama, {S("llama.rope.scaling.type", "yarn"), NONE}, NULL, {{0}}, ERR_MISSING, "llama.rope.scaling.factor"},
        {llama, {F("llama.rope.scaling.factor", 4.0f), NONE}, NULL, {{0}}, ERR_RANGE, "found 4"},
        {llama, {NONE}, NULL, {{"token_embd.weight", 10, 4}, {"rope_freqs.weight", 0, 7}}, ERR_SHAPE, "expected 8 values of F32, found 7"},
        {gptoss, {NONE}, NULL, {{"token_embd.weight", 10, 4}, {"rope_freqs.weight", 0, 32}}, ERR_UNSUPPORTED, "found both"},
        {gptoss, {F("gpt-oss.rope.freq_base_swa", 1e4f), NONE}, NULL, {{0}}, ERR_RANGE, "expected 150000 to 150000"},
        {gptoss, {F("gpt-oss.rope.scaling.yarn_ext_factor", 0.5f), NONE}, NULL, {{0}}, ERR_UNSUPPORTED, "expected 1, found 0.5"},
        {gptoss, {NONE}, "gpt-oss.attention.sliding_window", {{0}}, ERR_MISSING, "sliding_window"},
        {gptoss, {NONE}, "gpt-oss.expert_feed_forward_length", {{0}}, ERR_MISSING, "expert_feed_forward_length"},
        {gptoss, {U("gpt-oss.expert_used_count", 7), NONE}, NULL, {{0}}, ERR_RANGE, "at most 6 experts, found 7"},
        {gptoss, {U("gpt-oss.block_count", 5), A("gpt-oss.attention.sliding_window_pattern", 11)}, NULL, {{0}}, ERR_SHAPE, "expected 5 entries, found 6"},
        {gptoss, {U("tokenizer.ggml.eos_token_ids", 1), NONE}, NULL, {{0}}, ERR_FORMAT, "an array of integers"},
        {gptoss, {U("tokenizer.ggml.eos_token_id", 10), NONE}, NULL, {{0}}, ERR_RANGE, "expected 0 to 9, found 10"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct model_config c;
        struct made m;
        struct err err = ERR_INIT;
        struct line more[3] = {cases[i].more[0], cases[i].more[1], NONE};
        const struct piece *pieces = cases[i].pieces[0].name ? cases[i].pieces : ends;
        make(&m, cases[i].base, more, cases[i].drop, pieces, pieces == ends ? 2 : cases[i].pieces[1].name ? 2 : 1);
        enum status s = ggufconfig_read(&c, &m.g, m.set, m.arena, &err);
        if (s != cases[i].status || !strstr(err.text, cases[i].says) || !strstr(err.text, "f.gguf"))
            fail_msg("case %zu (%s): status %s, message: %s", i, cases[i].says, status_name(s), err.text);
        drop_made(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_gptoss), cmocka_unit_test(honours_windows), cmocka_unit_test(reads_the_dense),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
