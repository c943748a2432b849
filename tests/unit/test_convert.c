/* What convert writes: rows in their order, heads that the readers of GGUF take back, tokenizers that stay equal. */
#include "tok_tables.h"

#include <stdio.h>

#include "base/fmath.h"
#include "convert/convert_file.h"
#include "format/gguf_write.h"
#include "format/ggufconfig.h"
#include "models_support.h"
#include "lib/outfile.h"
#include "quant/mxfp4.h"

/* ---- rows ---- */

static struct stored_rows rows_of(const struct tensor *t, size_t group, size_t n_cols)
{
    struct stored_rows r = {.t = t, .group = group, .stored_group = group, .step = 1, .n_cols = n_cols, .quant = t->quant};
    assert_true(quant_row_b(t->quant, n_cols, &r.row_b));
    return r;
}

static void rotary_pairs_become_neighbours(void **state)
{
    (void)state;
    // two heads of 6 rows of one value; the row's number is its value
    float values[12];
    for (size_t i = 0; i < 12; i++)
        values[i] = (float)i;
    static const float want[12] = {0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11};
    const struct tensor t = {.name = "q", .quant = QUANT_F32, .n_dims = 2, .shape = {12, 1}, .data = (const uint8_t *)values};
    struct stored_rows r = rows_of(&t, 12, 1);
    float out[12];
    r.head_dim = 6;
    stored_rows_get(&r, 0, 12, (uint8_t *)out);
    assert_memory_equal(out, want, sizeof want);
    stored_rows_get(&r, 7, 2, (uint8_t *)out); // any part of them
    assert_memory_equal(out, want + 7, 2 * sizeof *want);
}

static void gate_and_up_are_parted(void **state)
{
    (void)state;
    static const float values[8] = {1, 2, 3, 4, 5, 6, 7, 8}; // (2 experts, 2f = 4)
    const struct tensor t = {.name = "b", .quant = QUANT_F32, .n_dims = 2, .shape = {2, 4}, .data = (const uint8_t *)values};
    struct stored_rows gate = rows_of(&t, 2, 1);
    struct stored_rows up = gate;
    float out[4];
    gate.stored_group = up.stored_group = 4;
    gate.step = up.step = 2;
    up.offset = 1;
    stored_rows_get(&gate, 0, 2, (uint8_t *)out);
    stored_rows_get(&gate, 2, 2, (uint8_t *)(out + 2));
    assert_memory_equal(out, ((float[]){1, 3, 5, 7}), sizeof out);
    stored_rows_get(&up, 0, 2, (uint8_t *)out);
    stored_rows_get(&up, 2, 2, (uint8_t *)(out + 2));
    assert_memory_equal(out, ((float[]){2, 4, 6, 8}), sizeof out);
    up.step = 1; // one behind the other
    up.offset = 2;
    stored_rows_get(&up, 0, 2, (uint8_t *)out);
    stored_rows_get(&up, 2, 2, (uint8_t *)(out + 2));
    assert_memory_equal(out, ((float[]){3, 4, 7, 8}), sizeof out);
}

/* [E 2, in 3, 2f 4] of 2-byte values: expert, input, column in its digits. */
static void columns_become_rows(void **state)
{
    (void)state;
    uint16_t values[2][3][4];
    for (unsigned e = 0; e < 2; e++)
        for (unsigned i = 0; i < 3; i++)
            for (unsigned c = 0; c < 4; c++)
                values[e][i][c] = (uint16_t)(100 * e + 10 * i + c);
    const struct tensor t = {.name = "w", .quant = QUANT_BF16, .n_dims = 3, .shape = {2, 3, 4}, .data = (const uint8_t *)values};
    struct stored_rows all = rows_of(&t, 4, 3);
    struct stored_rows up = rows_of(&t, 2, 3);
    uint16_t out[6];
    all.transposed = up.transposed = true;
    up.stored_group = 4;
    up.offset = 1;
    up.step = 2;
    stored_rows_get(&all, 6, 2, (uint8_t *)out); // columns 2 and 3 of expert 1
    assert_memory_equal(out, ((uint16_t[]){102, 112, 122, 103, 113, 123}), sizeof out);
    stored_rows_get(&up, 0, 2, (uint8_t *)out); // columns 1 and 3 of expert 0
    assert_memory_equal(out, ((uint16_t[]){1, 11, 21, 3, 13, 23}), sizeof out);
    assert_int_equal(stored_rows_run(&all, 2, 8), 2); // up to the expert's end
    assert_int_equal(stored_rows_run(&up, 2, 8), 2);
    assert_int_equal(stored_rows_run(&up, 3, 1), 1);
}

static void mxfp4_keeps_its_values(void **state)
{
    (void)state;
    enum { GROUPS = 70, ROWS = 2 }; // more than are joined at a time
    static uint8_t codes[ROWS][GROUPS][16];
    static uint8_t scales[ROWS][GROUPS];
    static uint8_t blocks[ROWS][GROUPS][17];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof codes; i++)
        ((uint8_t *)codes)[i] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
    for (size_t i = 0; i < sizeof scales; i++)
        ((uint8_t *)scales)[i] = (uint8_t)(100 + i % 50);
    const struct tensor t = {.name = "b", .quant = QUANT_NONE, .data = (const uint8_t *)codes};
    const struct tensor s = {.name = "s", .quant = QUANT_NONE, .data = (const uint8_t *)scales};
    struct stored_rows r = {.t = &t, .scales = &s, .group = ROWS, .stored_group = ROWS, .step = 1, .n_cols = GROUPS * 32, .quant = QUANT_MXFP4, .row_b = sizeof blocks[0]};
    stored_rows_get(&r, 0, ROWS, (uint8_t *)blocks);
    for (size_t row = 0; row < ROWS; row++) {
        for (size_t g = 0; g < GROUPS; g++) {
            uint16_t want[32];
            float found[32];
            assert_true(mxfp4_decode(codes[row][g], scales[row][g], want));
            mxfp4_block_decode(blocks[row][g], found);
            for (size_t i = 0; i < 32; i++)
                assert_true(bf16_to_f32(want[i]) == found[i]);
        }
    }
}

/* ---- whole models, through the readers of GGUF ---- */

struct opened {
    struct convert_source s;
    struct arena *arena;
    struct tensors *set;
    const struct gguf *g;
    struct model_config config;
};

static void open_model(const struct test_models *m, const char *preset, struct plan_types types, struct opened *o)
{
    const struct convert_options options = {.types = types, .n_threads = 2};
    struct convert_result r;
    struct err err = ERR_INIT;
    char dir[128];
    char path[160];
    test_models_make(m, preset, dir);
    (void)snprintf(path, sizeof path, "%s.gguf", dir);
    if (source_open(&o->s, dir, &err) || convert_file(&o->s, path, &options, NULL, &r, &err) ||
        gguf_open(&o->set, &o->g, path, &err) || arena_new(&o->arena, 0, &err) ||
        ggufconfig_read(&o->config, o->g, o->set, o->arena, &err))
        fail_msg("%s", err.text);
    assert_int_equal(r.n_tensors, tensors_count(o->set));
}

static void close_model(struct opened *o)
{
    arena_free(o->arena);
    tensors_close(o->set);
    source_close(&o->s);
}

/* SPM: a list of merges gives places, scores give an order of pieces. Both as the piece's rank. */
static void rank_merges(struct tokfile *f)
{
    uint32_t *first = calloc(f->n_tokens, sizeof *first);
    uint32_t *rank = calloc(f->n_tokens, sizeof *rank);
    assert_non_null(first);
    assert_non_null(rank);
    memset(first, 0xff, f->n_tokens * sizeof *first);
    for (size_t i = 0; i < f->n_merges; i++) {
        const struct tokfile_merge *m = &f->merges[i];
        first[m->result] = m->prio < first[m->result] ? m->prio : first[m->result];
    }
    for (size_t i = 0; i < f->n_tokens; i++)
        for (size_t k = 0; k < f->n_tokens; k++)
            rank[i] += first[k] < first[i];
    for (size_t i = 0; i < f->n_merges; i++)
        f->merges[i].prio = rank[f->merges[i].result];
    free(first);
    free(rank);
}

/* The tables that come back are those of tokenizer.json; ids without text are rows called unused. */
static void check_tokenizer(struct opened *o)
{
    struct tokfile back;
    struct err err = ERR_INIT;
    if (tokfile_read_gguf(&back, o->g, &err))
        fail_msg("%s", err.text);
    const struct gguf_kv *rows = gguf_find(o->g, "tokenizer.ggml.tokens");
    assert_non_null(rows);
    assert_int_equal(rows->n, o->s.config.vocab_size);
    struct tokfile *f = &o->s.tokenizer;
    for (size_t id = f->n_tokens; id < back.n_tokens; id++)
        assert_true(back.flags[id] & TOKFILE_UNUSED);
    back.n_tokens = f->n_tokens < back.n_tokens ? f->n_tokens : back.n_tokens;
    if (f->kind == TOKFILE_SPM) {
        rank_merges(f);
        rank_merges(&back);
        for (size_t id = 3; id < 6; id++) { // <|Human|> and its like: no merge forms them
            assert_int_equal(back.flags[id] ^ f->flags[id], TOKFILE_USER | TOKFILE_SPECIAL);
            back.flags[id] = f->flags[id];
        }
    }
    tok_tables_equal(f, &back);
    tokfile_release(&back);
}

static void check_config(const struct model_config *want, const struct model_config *found)
{
    assert_int_equal(want->arch, found->arch);
    assert_int_equal(want->n_layers, found->n_layers);
    assert_int_equal(want->d_model, found->d_model);
    assert_int_equal(want->n_ff, found->n_ff);
    assert_int_equal(want->n_heads, found->n_heads);
    assert_int_equal(want->n_kv_heads, found->n_kv_heads);
    assert_int_equal(want->head_dim, found->head_dim);
    assert_int_equal(want->vocab_size, found->vocab_size);
    assert_int_equal(want->n_experts, found->n_experts);
    assert_int_equal(want->n_experts_used, found->n_experts_used);
    assert_int_equal(want->max_context_tok, found->max_context_tok);
    assert_true((float)want->eps == (float)found->eps);
    assert_int_equal(want->tied, found->tied);
    assert_int_equal(want->attention_bias, found->attention_bias);
    assert_memory_equal(want->windows, found->windows, sizeof want->windows);
    assert_int_equal(want->rope.kind, found->rope.kind);
    assert_true(want->rope.theta == found->rope.theta);
    assert_true(want->rope.factor == found->rope.factor);
    assert_int_equal(want->rope.truncate, found->rope.truncate);
    assert_int_equal(want->eos_id, found->eos_id);
    for (size_t i = 0; i < want->n_stop_ids && want->arch != ARCH_GPTOSS; i++)
        assert_int_equal(want->stop_ids[i], found->stop_ids[i]);
}

struct expected {
    const char *name, *type_and_shape;
};

static void check_model(void **state, const char *preset, struct plan_types types, const struct expected *want)
{
    struct opened o = {.set = NULL};
    open_model(*state, preset, types, &o);
    for (; want->name; want++) {
        const struct tensor *t = tensors_find(o.set, want->name);
        char shape[TENSOR_SHAPE_TEXT_B];
        char found[TENSOR_SHAPE_TEXT_B + 16];
        if (!t)
            fail_msg("%s: expected a tensor %s", preset, want->name);
        tensor_shape_text(t->shape, t->n_dims, shape);
        (void)snprintf(found, sizeof found, "%s %s", t->type_name, shape);
        if (strcmp(found, want->type_and_shape) != 0)
            fail_msg("%s: %s: expected %s, found %s", preset, want->name, want->type_and_shape, found);
    }
    check_config(&o.s.config, &o.config);
    check_tokenizer(&o);
    close_model(&o);
}

static const struct plan_types as_llama_cpp = {QUANT_Q8_0, QUANT_Q8_0, QUANT_MXFP4};
static const struct plan_types int4 = {QUANT_Q4_0, QUANT_Q8_0, QUANT_MXFP4};
static const struct plan_types values = {QUANT_BF16, QUANT_BF16, QUANT_BF16};

static void gptoss_comes_back(void **state)
{
    static const struct expected want[] = {
        {"token_embd.weight", "Q8_0 [640, 96]"},        {"output.weight", "Q8_0 [640, 96]"},
        {"output_norm.weight", "F32 [96]"},             {"blk.3.attn_sinks.weight", "F32 [8]"},
        {"blk.0.attn_q.weight", "Q8_0 [512, 96]"},      {"blk.0.attn_output.bias", "F32 [96]"},
        {"blk.1.post_attention_norm.weight", "F32 [96]"}, {"blk.2.ffn_gate_inp.weight", "F32 [6, 96]"},
        {"blk.2.ffn_gate_exps.weight", "MXFP4 [6, 160, 96]"}, {"blk.2.ffn_up_exps.bias", "F32 [6, 160]"},
        {"blk.2.ffn_down_exps.weight", "MXFP4 [6, 96, 160]"}, {NULL, NULL}};
    check_model(state, "gptoss-tiny", as_llama_cpp, want);
}

static void dequantised_experts_become_mxfp4(void **state)
{
    struct opened a = {.set = NULL};
    struct opened b = {.set = NULL};
    open_model(*state, "gptoss-tiny", as_llama_cpp, &a);
    open_model(*state, "gptoss-tiny-bf16", as_llama_cpp, &b);
    for (size_t i = 0; i < tensors_count(a.set); i++) {
        const struct tensor *t = tensors_at(a.set, i);
        const struct tensor *u = tensors_find(b.set, t->name);
        assert_non_null(u);
        assert_int_equal(t->n_bytes, u->n_bytes);
        if (t->quant != QUANT_MXFP4) {
            assert_memory_equal(t->data, u->data, t->n_bytes);
            continue;
        }
        for (size_t at = 0; at < t->n_bytes; at += 17) { // other codes under a smaller scale mean the same values
            float x[32];
            float y[32];
            mxfp4_block_decode(t->data + at, x);
            mxfp4_block_decode(u->data + at, y);
            for (size_t k = 0; k < 32; k++)
                assert_true(x[k] == y[k]);
        }
    }
    close_model(&a);
    close_model(&b);
}

static void qwen3_comes_back(void **state)
{
    static const struct expected want[] = {{"token_embd.weight", "BF16 [640, 320]"}, {"output.weight", "BF16 [640, 320]"},
                                           {"blk.0.attn_q_norm.weight", "F32 [128]"}, {"blk.2.ffn_norm.weight", "F32 [320]"},
                                           {"blk.2.ffn_down.weight", "BF16 [320, 768]"}, {NULL, NULL}};
    check_model(state, "qwen3-tiny", values, want);
}

static void a_tied_head_is_the_embedding(void **state)
{
    static const struct expected want[] = {{"token_embd.weight", "Q8_0 [640, 320]"}, {"blk.0.attn_q.weight", "Q4_0 [512, 320]"},
                                           {NULL, NULL}};
    check_model(state, "qwen3-tied-tiny", int4, want);
}

/* Row 2i + p of a head is row p * 8 + i of the source's head. */
static void llama_comes_back(void **state)
{
    static const struct expected want[] = {{"token_embd.weight", "BF16 [640, 224]"}, {"blk.2.attn_k.weight", "BF16 [32, 224]"},
                                           {"blk.2.ffn_up.weight", "BF16 [320, 224]"}, {NULL, NULL}};
    struct opened o = {.set = NULL};
    check_model(state, "yi-tiny", values, want);
    open_model(*state, "yi-tiny", values, &o);
    for (unsigned kind = 0; kind < 3; kind++) {
        static const char *const from[] = {"q_proj", "k_proj", "v_proj"};
        static const char *const to[] = {"attn_q", "attn_k", "attn_v"};
        char name[64];
        (void)snprintf(name, sizeof name, "model.layers.1.self_attn.%s.weight", from[kind]);
        const struct tensor *t = tensors_find(o.s.set, name);
        (void)snprintf(name, sizeof name, "blk.1.%s.weight", to[kind]);
        const struct tensor *u = tensors_find(o.set, name);
        size_t row_b = 224 * 2;
        for (size_t head = 0; head < t->shape[0] / 16; head++)
            for (size_t i = 0; i < 8; i++)
                for (size_t p = 0; p < 2; p++) {
                    size_t row = head * 16 + (kind == 2 ? 2 * i + p : p * 8 + i);
                    assert_memory_equal(u->data + (head * 16 + 2 * i + p) * row_b, t->data + row * row_b, row_b);
                }
    }
    close_model(&o);
}

/* Tensors that newer converters store as one, row after row, of each expert where there are several. */
static const struct fusion {
    const char *to;
    const char *from[4];
    bool per_expert;
} fusions[] = {
    {"attn_qkv.weight", {"attn_q.weight", "attn_k.weight", "attn_v.weight"}, false},
    {"attn_qkv.bias", {"attn_q.bias", "attn_k.bias", "attn_v.bias"}, false},
    {"ffn_gate_up.weight", {"ffn_gate.weight", "ffn_up.weight"}, false},
    {"ffn_gate_up_exps.weight", {"ffn_gate_exps.weight", "ffn_up_exps.weight"}, true},
    {"ffn_gate_up_exps.bias", {"ffn_gate_exps.bias", "ffn_up_exps.bias"}, true},
};

static const struct tensor *in_layer(const struct tensors *set, size_t layer, const char *end)
{
    char name[GGUF_NAME_B];
    (void)snprintf(name, sizeof name, "blk.%zu.%s", layer, end);
    return tensors_find(set, name);
}

static bool is_fused(const char *name)
{
    for (size_t i = 0; i < sizeof fusions / sizeof *fusions; i++)
        for (size_t k = 0; fusions[i].from[k]; k++) {
            size_t n = strlen(name);
            size_t m = strlen(fusions[i].from[k]);
            if (n > m && name[n - m - 1] == '.' && strcmp(name + n - m, fusions[i].from[k]) == 0)
                return true;
        }
    return false;
}

static void fuse(const struct tensors *set, size_t layer, const struct fusion *f, struct gguf_writer *w, struct buf *data)
{
    const struct tensor *first = in_layer(set, layer, f->from[0]);
    struct err err = ERR_INIT;
    char name[GGUF_NAME_B];
    if (!first)
        return;
    size_t shape[GGUF_MAX_DIMS];
    size_t rows = f->per_expert ? 1 : 0; // the dimension that grows
    memcpy(shape, first->shape, sizeof shape);
    shape[rows] = 0;
    for (size_t k = 0; f->from[k]; k++)
        shape[rows] += in_layer(set, layer, f->from[k])->shape[rows];
    size_t experts = f->per_expert ? shape[0] : 1;
    (void)snprintf(name, sizeof name, "blk.%zu.%s", layer, f->to);
    assert_int_equal(gguf_write_tensor(w, name, first->quant, shape, first->n_dims, &err), OK);
    for (size_t e = 0; e < experts; e++)
        for (size_t k = 0; f->from[k]; k++) {
            const struct tensor *t = in_layer(set, layer, f->from[k]);
            buf_add(data, t->data + e * (t->n_bytes / experts), t->n_bytes / experts);
        }
    while (data->n % GGUF_ALIGNMENT)
        buf_char(data, '\0');
}

static void write_fused(const struct opened *o, const char *path)
{
    struct gguf_writer w = GGUF_WRITER_INIT;
    struct buf data = BUF_INIT;
    struct buf head = BUF_INIT;
    struct err err = ERR_INIT;
    for (size_t i = 0; i < o->g->n_kvs; i++)
        gguf_write_kv(&w, &o->g->kvs[i]);
    for (size_t i = 0; i < tensors_count(o->set); i++) {
        const struct tensor *t = tensors_at(o->set, i);
        if (is_fused(t->name))
            continue;
        assert_int_equal(gguf_write_tensor(&w, t->name, t->quant, t->shape, t->n_dims, &err), OK);
        buf_add(&data, t->data, t->n_bytes);
        while (data.n % GGUF_ALIGNMENT)
            buf_char(&data, '\0');
    }
    for (size_t layer = 0; layer < o->config.n_layers; layer++)
        for (size_t i = 0; i < sizeof fusions / sizeof *fusions; i++)
            fuse(o->set, layer, &fusions[i], &w, &data);
    assert_int_equal(gguf_write_head(&w, &head, &err), OK);
    assert_int_equal(data.n, w.data_b);
    buf_add(&head, data.data, data.n);
    assert_int_equal(outfile_put(path, head.data, head.n, NULL, &err), OK);
    gguf_writer_release(&w);
    buf_release(&head);
    buf_release(&data);
}

static void fused_tensors_are_parted(void **state)
{
    static const char *const presets[] = {"gptoss-tiny", "qwen3-tiny", "yi-tiny"};
    const struct test_models *m = *state;
    for (size_t i = 0; i < 3; i++) {
        const struct convert_options options = {.types = as_llama_cpp, .n_threads = 1};
        struct convert_result r;
        struct convert_source s;
        struct err err = ERR_INIT;
        struct tensors *back = NULL;
        const struct gguf *meta = NULL;
        struct opened o = {.set = NULL};
        char fused[160];
        char parted[160];
        open_model(m, presets[i], as_llama_cpp, &o);
        (void)snprintf(fused, sizeof fused, "%s/fused.gguf", m->dir);
        (void)snprintf(parted, sizeof parted, "%s/parted.gguf", m->dir);
        write_fused(&o, fused);
        if (source_open(&s, fused, &err) || convert_file(&s, parted, &options, NULL, &r, &err) ||
            gguf_open(&back, &meta, parted, &err))
            fail_msg("%s", err.text);
        assert_true(tensors_count(s.set) < tensors_count(o.set));
        assert_int_equal(tensors_count(back), tensors_count(o.set));
        assert_int_equal(meta->n_kvs, o.g->n_kvs);
        for (size_t k = 0; k < tensors_count(back); k++) {
            const struct tensor *t = tensors_at(back, k);
            const struct tensor *u = tensors_at(o.set, k);
            assert_string_equal(t->name, u->name);
            assert_int_equal(t->n_bytes, u->n_bytes);
            assert_memory_equal(t->data, u->data, t->n_bytes);
        }
        tensors_close(back);
        source_close(&s);
        close_model(&o);
    }
}

/* Each allocation failing once: a status, no file, nothing left (ASan looks). */
static void out_of_memory_is_a_status(void **state)
{
    const struct test_models *m = *state;
    const struct convert_options options = {.types = as_llama_cpp, .n_threads = 1};
    char dir[128];
    char path[160];
    size_t n = 1;
    test_models_make(m, "yi-tiny", dir);
    (void)snprintf(path, sizeof path, "%s/oom.gguf", m->dir);
    for (enum status st = ERR_MEMORY; st; n++) {
        struct convert_source s = {.arena = NULL};
        struct convert_result r;
        struct err err = ERR_INIT;
        mem_fail_after(n);
        st = source_open(&s, dir, &err);
        if (!st)
            st = convert_file(&s, path, &options, NULL, &r, &err);
        mem_fail_after(0);
        source_close(&s);
        if (st)
            assert_int_equal(st, ERR_MEMORY);
        assert_int_equal(access(path, F_OK) == 0, st == OK);
        n += n > 200 ? n / 50 : 0; // the vocabulary's thousands are alike
    }
    assert_true(n > 100);
}

/* Full size, of which one row is made. */
static void a_generator_is_a_source(void **state)
{
    (void)state;
    enum { ROW = 90015, STORED_B = 90 * 16, ROW_B = 90 * 17 }; // expert 31 of 2880 rows
    struct convert_source s;
    struct plan plan;
    struct err err = ERR_INIT;
    if (source_open(&s, "synthetic:gpt-oss-20b,seed=3", &err) ||
        plan_make(&plan, s.arena, &s.config, s.set, &as_llama_cpp, &err))
        fail_msg("%s", err.text);
    assert_int_equal(plan.n, 459);
    assert_string_equal(s.name, "gpt-oss-20b,seed=3");
    const struct tensor *codes = tensors_find(s.set, "model.layers.23.mlp.experts.gate_up_proj_blocks");
    const struct tensor *scales = tensors_find(s.set, "model.layers.23.mlp.experts.gate_up_proj_scales");
    const struct planned_tensor *up = NULL;
    for (size_t i = 0; i < plan.n; i++)
        if (strcmp(plan.tensors[i].name, "blk.23.ffn_up_exps.weight") == 0)
            up = &plan.tensors[i];
    assert_non_null(up);
    assert_int_equal(up->n_rows, 32 * 2880);
    assert_int_equal(up->rows.row_b, ROW_B);
    uint8_t row[ROW_B];
    uint8_t stored[STORED_B];
    uint8_t scale[90];
    stored_rows_get(&up->rows, ROW, 1, row);
    tensor_read(codes, (size_t)(2 * ROW + 1) * STORED_B, STORED_B, stored);
    tensor_read(scales, (size_t)(2 * ROW + 1) * 90, 90, scale);
    for (size_t g = 0; g < 90; g++) {
        uint16_t want[32];
        float found[32];
        assert_true(mxfp4_decode(stored + 16 * g, scale[g], want));
        mxfp4_block_decode(row + 17 * g, found);
        for (size_t i = 0; i < 32; i++)
            assert_true(bf16_to_f32(want[i]) == found[i]);
    }
    source_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rotary_pairs_become_neighbours),
                                       cmocka_unit_test(gate_and_up_are_parted),
                                       cmocka_unit_test(columns_become_rows),
                                       cmocka_unit_test(mxfp4_keeps_its_values),
                                       cmocka_unit_test(gptoss_comes_back),
                                       cmocka_unit_test(dequantised_experts_become_mxfp4),
                                       cmocka_unit_test(qwen3_comes_back),
                                       cmocka_unit_test(a_tied_head_is_the_embedding),
                                       cmocka_unit_test(llama_comes_back),
                                       cmocka_unit_test(fused_tensors_are_parted),
                                       cmocka_unit_test(out_of_memory_is_a_status),
                                       cmocka_unit_test(a_generator_is_a_source)};
    return cmocka_run_group_tests(tests, test_models_setup, test_models_teardown);
}
