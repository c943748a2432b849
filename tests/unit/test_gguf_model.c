#include "run_support.h"

#include <unistd.h>

#include "base/mapfile.h"
#include "convert/convert_file.h"
#include "format/gguf_write.h"
#include "format/safetensors.h"
#include "safetensors_build.h"

/* A GGUF file with the values of a Hugging Face directory is the same model: the same logits to the bit,
 * however the file stores it (models.md 3.3, 3.6). */

static struct model *open_path(const char *path)
{
    struct model *m = NULL;
    struct err err = ERR_INIT;
    const struct model_options opt = {.isa = "auto", .n_threads = 2};
    if (model_open(&m, path, &opt, &err))
        fail_msg("%s", err.text);
    return m;
}

/* Longer than the window of gpt-oss, of course. */
static void answer_of(struct model *m, char sha[DIGEST_HEX_LEN + 1])
{
    int32_t prompt[40];
    struct outcome *o = calloc(1, sizeof *o);
    assert_non_null(o);
    random_prompt("gguf", model_info(m)->vocab_size, prompt, 40);
    const struct request r = {.id = "x", .prompt = prompt, .n_prompt = 40, .max_tokens = 5,
                              .sampling = {.temperature = 0, .top_p = 1}, .ignore_stop_ids = true};
    const struct session_options opt = {.n_parallel = 1, .context_tok = 64};
    run_all(m, &opt, &r, 1, o, NULL, NULL, NULL);
    memcpy(sha, o->sha, DIGEST_HEX_LEN + 1);
    free(o);
}

static void answer(const char *path, char sha[DIGEST_HEX_LEN + 1])
{
    struct model *m = open_path(path);
    answer_of(m, sha);
    model_free(m);
}

static void same(const char *a, const char *b)
{
    char x[DIGEST_HEX_LEN + 1];
    char y[DIGEST_HEX_LEN + 1];
    answer(a, x);
    answer(b, y);
    if (strcmp(x, y) != 0)
        fail_msg("%s and %s: expected the same digest, found %s and %s", a, b, x, y);
}

static void convert_to(const char *dir, const char *path, enum quant type)
{
    const struct convert_options o = {.types = {type, type, type == QUANT_BF16 ? QUANT_MXFP4 : type}, .n_threads = 1};
    struct convert_source s;
    struct convert_result r;
    struct err err = ERR_INIT;
    if (source_open(&s, dir, &err) || convert_file(&s, path, &o, NULL, &r, &err))
        fail_msg("%s", err.text);
    source_close(&s);
}

static void paths(const struct models *ms, size_t family, const char *name, char dir[256], char path[256])
{
    model_path(ms, family, dir);
    (void)snprintf(path, 256, "%s/%s-%zu.gguf", ms->dir, name, family);
}

static void both_routes_are_the_same_model(void **state)
{
    const struct models *ms = *state;
    for (size_t f = 0; f < N_FAMILIES; f++) {
        char dir[256];
        char path[256];
        paths(ms, f, "same", dir, path);
        convert_to(dir, path, QUANT_BF16);
        same(dir, path);
        struct model *a = open_path(dir);
        struct model *b = open_path(path);
        const struct model_info *x = model_info(a);
        const struct model_info *y = model_info(b);
        char name[32];
        (void)snprintf(name, sizeof name, "same-%zu", f);
        assert_string_equal(y->name, name);
        assert_string_equal(x->arch, y->arch);
        assert_string_equal(x->weight_format, y->weight_format);
        assert_string_equal(y->dir, ms->dir);
        assert_int_equal(y->n_files, 1);
        assert_string_equal(y->files[0] + strlen(name), ".gguf");
        assert_true(x->synthetic && y->synthetic);
        assert_true(x->total_params == y->total_params && x->active_params == y->active_params);
        assert_true(x->window == y->window && x->max_context_tok == y->max_context_tok && x->prefix_id == y->prefix_id);
        assert_true(y->weights_file_b > x->weights_file_b); // vectors and the router are fp32 there
        assert_true(x->weights_b == y->weights_b);
        assert_int_equal(x->n_stop_ids, y->n_stop_ids);
        assert_memory_equal(x->stop_ids, y->stop_ids, x->n_stop_ids * sizeof *x->stop_ids);
        assert_int_equal(model_chat_format(a), model_chat_format(b));
        assert_int_equal(tokenizer_special(model_tokenizer(a), "<|im_end|>"),
                         tokenizer_special(model_tokenizer(b), "<|im_end|>"));
        model_free(a);
        model_free(b);
    }
}

/* bf16 is exact in fp32 and MXFP4 in both: decoded experts are the same numbers. */
static void wider_types_are_the_same_model(void **state)
{
    const struct models *ms = *state;
    for (size_t f = 0; f < N_FAMILIES; f++) {
        char dir[256];
        char path[256];
        paths(ms, f, "wide", dir, path);
        convert_to(dir, path, QUANT_F32);
        same(dir, path);
    }
}

/* ---- a file taken apart and put together another way ---- */

enum { MAX_PIECES = 256 };

struct piece {
    char name[GGUF_NAME_B];
    enum quant quant;
    size_t n_dims, shape[GGUF_MAX_DIMS];
    uint8_t *data; // owned
    size_t n;
};

struct pieces {
    struct arena *arena; // holds a copy of the file, which is written over
    struct gguf g;
    struct piece v[MAX_PIECES];
    size_t n;
};

static void take_apart(struct pieces *p, const char *path)
{
    struct err err = ERR_INIT;
    struct mapfile map;
    void *copy = NULL;
    p->n = 0;
    if (arena_new(&p->arena, 0, &err) || mapfile_open(&map, path, &err) ||
        arena_alloc(p->arena, &copy, map.size, 1, &err))
        fail_msg("%s", err.text);
    memcpy(copy, map.data, map.size);
    if (gguf_parse(&p->g, p->arena, copy, map.size, path, &err))
        fail_msg("%s", err.text);
    mapfile_close(&map);
    for (size_t i = 0; i < p->g.n_tensors; i++) {
        const struct tensor *t = &p->g.tensors[i];
        struct piece *x = &p->v[p->n++];
        assert_true(p->n < MAX_PIECES);
        *x = (struct piece){.quant = t->quant, .n_dims = t->n_dims, .n = t->n_bytes, .data = malloc(t->n_bytes)};
        assert_non_null(x->data);
        (void)snprintf(x->name, sizeof x->name, "%s", t->name);
        memcpy(x->shape, t->shape, sizeof x->shape);
        memcpy(x->data, t->data, t->n_bytes);
    }
}

static void release(struct pieces *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->v[i].data);
    arena_free(p->arena);
}

static struct piece *piece(struct pieces *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->v[i].name, name) == 0)
            return &p->v[i];
    return NULL;
}

static struct piece *need(struct pieces *p, const char *name)
{
    struct piece *x = piece(p, name);
    if (!x) {
        print_error("expected a tensor %s\n", name);
        abort();
    }
    return x;
}

/* Several tensors become one: their rows one behind the other, in each of `outer` matrices. */
static void join(struct pieces *p, const char *name, const char *const *parts, size_t n_parts, size_t outer)
{
    struct piece x = *need(p, parts[0]);
    struct buf data = BUF_INIT;
    size_t axis = x.n_dims == 1 ? 0 : x.n_dims - (outer > 1 && x.n_dims == 2 ? 1 : 2);
    x.shape[axis] = 0;
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < n_parts; i++) {
            const struct piece *q = need(p, parts[i]);
            buf_add(&data, q->data + o * (q->n / outer), q->n / outer);
            x.shape[axis] += o ? 0 : q->shape[axis];
        }
    for (size_t i = 0; i < n_parts; i++) {
        struct piece *q = need(p, parts[i]);
        free(q->data);
        *q = p->v[--p->n];
    }
    (void)snprintf(x.name, sizeof x.name, "%s", name);
    x.n = data.n;
    x.data = malloc(data.n);
    assert_non_null(x.data);
    memcpy(x.data, data.data, data.n);
    buf_release(&data);
    p->v[p->n++] = x;
}

/* Tensors [from, to) as part `no` of `count`. */
static void put_together(const struct pieces *p, const char *path, size_t from, size_t to, uint32_t no, uint32_t count)
{
    struct gguf_writer w = GGUF_WRITER_INIT;
    struct buf out = BUF_INIT;
    struct err err = ERR_INIT;
    for (size_t i = 0; i < p->g.n_kvs && no == 0; i++)
        gguf_write_kv(&w, &p->g.kvs[i]);
    if (count > 1) {
        gguf_write_u32(&w, "split.no", no);
        gguf_write_u32(&w, "split.count", count);
        gguf_write_u32(&w, "split.tensors.count", (uint32_t)p->n);
    }
    for (size_t i = from; i < to; i++)
        if (gguf_write_tensor(&w, p->v[i].name, p->v[i].quant, p->v[i].shape, p->v[i].n_dims, &err))
            fail_msg("%s", err.text);
    assert_int_equal(gguf_write_head(&w, &out, &err), OK);
    for (size_t i = from; i < to; i++) {
        size_t end = out.n + gguf_padded(p->v[i].n);
        buf_add(&out, p->v[i].data, p->v[i].n);
        while (out.n < end)
            buf_char(&out, '\0');
    }
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(out.data, 1, out.n, f), out.n);
    assert_int_equal(fclose(f), 0);
    buf_release(&out);
    gguf_writer_release(&w);
}

static void fused_tensors_are_the_same_model(void **state)
{
    const struct models *ms = *state;
    static struct pieces p;
    for (size_t f = 0; f < N_FAMILIES; f++) {
        char dir[256];
        char path[256];
        paths(ms, f, "fused", dir, path);
        convert_to(dir, path, QUANT_BF16);
        take_apart(&p, path);
        for (size_t layer = 0;; layer++) {
            char names[12][GGUF_NAME_B];
            static const char *const ends[12] = {
                "attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_q.bias", "attn_k.bias", "attn_v.bias",
                "ffn_gate.weight", "ffn_up.weight", "ffn_gate_exps.weight", "ffn_up_exps.weight", "ffn_gate_exps.bias",
                "ffn_up_exps.bias"};
            const char *name[12];
            char fused[GGUF_NAME_B];
            for (size_t i = 0; i < 12; i++) {
                (void)snprintf(names[i], sizeof names[i], "blk.%zu.%s", layer, ends[i]);
                name[i] = names[i];
            }
            if (!piece(&p, name[0]))
                break;
            (void)snprintf(fused, sizeof fused, "blk.%zu.attn_qkv.weight", layer);
            join(&p, fused, &name[0], 3, 1);
            if (piece(&p, name[3])) {
                (void)snprintf(fused, sizeof fused, "blk.%zu.attn_qkv.bias", layer);
                join(&p, fused, &name[3], 3, 1);
            }
            if (piece(&p, name[6])) {
                (void)snprintf(fused, sizeof fused, "blk.%zu.ffn_gate_up.weight", layer);
                join(&p, fused, &name[6], 2, 1);
            } else {
                (void)snprintf(fused, sizeof fused, "blk.%zu.ffn_gate_up_exps.weight", layer);
                join(&p, fused, &name[8], 2, 6);
                (void)snprintf(fused, sizeof fused, "blk.%zu.ffn_gate_up_exps.bias", layer);
                join(&p, fused, &name[10], 2, 6);
            }
        }
        put_together(&p, path, 0, p.n, 0, 1);
        release(&p);
        same(dir, path);
    }
}

static void parts_are_the_same_model(void **state)
{
    const struct models *ms = *state;
    static struct pieces p;
    for (size_t f = 0; f < N_FAMILIES; f++) {
        char dir[256];
        char path[256];
        char part[256];
        paths(ms, f, "parts", dir, path);
        convert_to(dir, path, QUANT_BF16);
        take_apart(&p, path);
        for (uint32_t i = 3; i-- > 0;) {
            (void)snprintf(part, sizeof part, "%s/m%zu-%05u-of-00003.gguf", ms->dir, f, (unsigned)i + 1);
            put_together(&p, part, p.n * i / 3, p.n * (i + 1) / 3, i, 3);
        }
        release(&p);
        same(dir, part);
        struct model *m = open_path(part);
        char name[8];
        (void)snprintf(name, sizeof name, "m%zu", f);
        assert_string_equal(model_info(m)->name, name);
        assert_int_equal(model_info(m)->n_files, 3);
        model_free(m);
    }
}

/* Files of "dynamic" types: q, k and v of one layer need not have one. bf16 beside its own fp32 image is the
 * same number. */
static void mixed_types_are_the_same_model(void **state)
{
    const struct models *ms = *state;
    static struct pieces p;
    for (size_t f = 0; f < N_FAMILIES; f++) {
        char dir[256];
        char path[256];
        paths(ms, f, "mixed", dir, path);
        convert_to(dir, path, QUANT_BF16);
        take_apart(&p, path);
        for (size_t i = 0; i < p.n; i++) {
            struct piece *x = &p.v[i];
            if (x->quant != QUANT_BF16 ||
                (strcmp(x->name, "blk.1.attn_k.weight") != 0 && strcmp(x->name, "blk.0.ffn_up.weight") != 0))
                continue;
            uint8_t *wide = calloc(x->n, 2);
            assert_non_null(wide);
            for (size_t k = 0; k < x->n; k += 2)
                memcpy(wide + 2 * k + 2, x->data + k, 2);
            free(x->data);
            x->data = wide;
            x->n *= 2;
            x->quant = QUANT_F32;
        }
        put_together(&p, path, 0, p.n, 0, 1);
        release(&p);
        same(dir, path);
        struct model *m = open_path(path);
        assert_string_equal(model_info(m)->weight_format, f == 0 ? "mxfp4+bf16+f32" : "bf16+f32");
        model_free(m);
    }
}

/* ---- types with a decoder ---- */

/* Where the half-precision factors of a block lie. */
static const struct coded {
    enum quant quant;
    size_t halves[2];
} coded[] = {{QUANT_Q4_1, {0, 2}}, {QUANT_Q5_0, {0, 0}},     {QUANT_Q5_1, {0, 2}}, {QUANT_Q2_K, {80, 82}},
             {QUANT_Q3_K, {108, 108}}, {QUANT_Q4_K, {0, 2}}, {QUANT_Q5_K, {0, 2}}, {QUANT_Q6_K, {208, 208}}};
enum { N_CODED = sizeof coded / sizeof *coded };

/* Random blocks of a type in place of a matrix; the same numbers as fp32 in its twin. */
static void recode(struct piece *x, struct piece *twin, const struct coded *c, const char *name)
{
    const struct quant_type *q = quant_type(c->quant);
    const struct rng_key key = rng_key(9, name);
    size_t n = x->n / 2 / q->block;
    free(x->data);
    free(twin->data);
    x->n = n * q->block_b;
    twin->n = n * q->block * sizeof(float);
    x->data = malloc(x->n);
    twin->data = malloc(twin->n);
    assert_non_null(x->data);
    assert_non_null(twin->data);
    x->quant = c->quant;
    twin->quant = QUANT_F32;
    for (size_t i = 0; i < x->n; i++)
        x->data[i] = (uint8_t)rng_below(&key, i, 256);
    for (size_t b = 0; b < n; b++) {
        float values[256];
        for (size_t k = 0; k < 2; k++) { // 2^-12, so that a weight is below one in ten
            x->data[b * q->block_b + c->halves[k]] = 0;
            x->data[b * q->block_b + c->halves[k] + 1] = 0x0c;
        }
        q->decode(x->data + b * q->block_b, values);
        memcpy(twin->data + b * q->block * sizeof(float), values, q->block * sizeof(float));
    }
}

/* Blocks and the fp32 values they stand for are the same model: each value is rounded once, to bf16. Q8_0 and Q4_0
 * are left out, since numerics.md keeps their scales apart; test_cpu_linear has them. All types in one file. */
static void blocks_and_their_values_are_the_same_model(void **state)
{
    const struct models *ms = *state;
    static struct pieces p;
    static struct pieces twin;
    struct synth_shape shape;
    struct err err = ERR_INIT;
    bool changed;
    char dir[256];
    char path[256];
    char other[256];
    (void)snprintf(dir, sizeof dir, "%s/wide", ms->dir);
    (void)snprintf(path, sizeof path, "%s/blocks.gguf", ms->dir);
    (void)snprintf(other, sizeof other, "%s/values.gguf", ms->dir);
    assert_int_equal(synth_preset(&shape, "yi-tiny", &err), OK);
    shape.n_layers = 2;
    shape.d_model = 256;
    shape.d_ff = 768;
    shape.n_heads = 4;
    shape.n_kv_heads = 2;
    shape.head_dim = 64;
    if (synth_model_write(dir, &shape, 1, &changed, &err))
        fail_msg("%s", err.text);
    convert_to(dir, path, QUANT_BF16);
    take_apart(&p, path);
    take_apart(&twin, path);
    size_t k = 0;
    for (size_t i = 0; i < p.n; i++)
        if (p.v[i].quant == QUANT_BF16)
            recode(&p.v[i], &twin.v[i], &coded[k++ % N_CODED], p.v[i].name);
    assert_true(k >= 2 * N_CODED - 1);
    put_together(&p, path, 0, p.n, 0, 1);
    put_together(&twin, other, 0, twin.n, 0, 1);
    release(&p);
    release(&twin);
    same(path, other);
    struct model *m = open_path(path);
    assert_string_equal(model_info(m)->weight_format, "q2_k+q3_k+q4_k+q4_1+q5_0+q5_k+q5_1+q6_k");
    model_free(m);
}

/* Llama with biases: the rows of q and k, and the values of their biases, come back from GGUF's order. */
static void paired_biases_are_put_back(void **state)
{
    const struct models *ms = *state;
    enum { YI = 2 };
    char from[256];
    char dir[256];
    char path[256];
    char command[1200];
    struct tensors *st;
    struct st_build b = ST_BUILD_INIT;
    const struct rng_key key = rng_key(3, "biases");
    uint64_t at = 0;
    paths(ms, YI, "biased", from, path);
    (void)snprintf(dir, sizeof dir, "%s/biased", ms->dir);
    (void)snprintf(command, sizeof command,
                   "cp -r '%s' '%s' && rm '%s/model.safetensors' && "
                   "sed -i 's/\"attention_bias\": *false/\"attention_bias\": true/' '%s/config.json'", from, dir, dir, dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(safetensors_open(&st, from, NULL), OK);
    for (size_t i = 0; i < tensors_count(st); i++) {
        const struct tensor *t = tensors_at(st, i);
        const char *end = strstr(t->name, "_proj.weight");
        uint16_t bias[1024];
        char name[200];
        st_copy(&b, t, t->name);
        if (!end || !strstr(t->name, "self_attn"))
            continue;
        assert_true(t->shape[0] <= 1024);
        for (size_t k = 0; k < t->shape[0]; k++) // 1 + j / 128: all different within a head
            bias[k] = (uint16_t)(0x3f80 + rng_below(&key, at++, 128));
        (void)snprintf(name, sizeof name, "%.*s_proj.bias", (int)(end - t->name), t->name);
        st_add(&b, name, "BF16", t->shape, 1, bias, t->shape[0] * 2);
    }
    tensors_close(st);
    st_write(&b, dir);
    convert_to(dir, path, QUANT_BF16);
    same(dir, path);
    char x[DIGEST_HEX_LEN + 1];
    char y[DIGEST_HEX_LEN + 1];
    answer(from, x);
    answer(path, y);
    assert_string_not_equal(x, y);
}

/* llama.cpp's YaRN by request: other bits under another name, and nothing for models without YaRN. */
static void a_rounded_ramp_is_another_model(void **state)
{
    const struct models *ms = *state;
    const struct model_options opt = {.isa = "auto", .n_threads = 1, .yarn_truncate = true};
    char dir[256];
    char path[256];
    char x[DIGEST_HEX_LEN + 1];
    char y[DIGEST_HEX_LEN + 1];
    struct model *m = NULL;
    struct err err = ERR_INIT;
    paths(ms, 0, "rounded", dir, path);
    convert_to(dir, path, QUANT_BF16);
    answer(dir, x);
    if (model_open(&m, path, &opt, &err))
        fail_msg("%s", err.text);
    assert_string_equal(model_info(m)->name, "rounded-0+yarn-truncate");
    answer_of(m, y);
    assert_string_not_equal(x, y);
    model_free(m);
    paths(ms, 1, "rounded", dir, path);
    assert_int_equal(model_open(&m, dir, &opt, &err), ERR_USAGE);
    assert_non_null(strstr(err.text, "expected YaRN"));
}

/* Another format's template is told; llama without the marks of ChatML is no chat model. */
static void templates_are_looked_at(void **state)
{
    static const struct {
        const char *template;
        size_t family;
        enum chat_format format;
        bool note;
    } cases[] = {
        {"{{ '<|start|>' + x }}", 0, CHAT_HARMONY, false},  {"{{ '[INST]' + x }}", 0, CHAT_HARMONY, true},
        {"{{ '<|im_start|>' + x }}", 1, CHAT_QWEN3, false}, {"{{ '[INST]' + x }}", 1, CHAT_QWEN3, true},
        {"{{ '<|im_start|>' + x }}", 2, CHAT_YI, false},    {"{{ '[INST]' + x }}", 2, CHAT_NONE, false},
    };
    const struct models *ms = *state;
    static struct pieces p;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char dir[256];
        char path[256];
        paths(ms, cases[i].family, "template", dir, path);
        convert_to(dir, path, QUANT_BF16);
        take_apart(&p, path);
        for (size_t k = 0; k < p.g.n_kvs; k++)
            if (strcmp(p.g.kvs[k].key, "tokenizer.chat_template") == 0) {
                p.g.kvs[k].data = (const uint8_t *)cases[i].template;
                p.g.kvs[k].n = strlen(cases[i].template);
            }
        put_together(&p, path, 0, p.n, 0, 1);
        release(&p);
        struct model *m = open_path(path);
        assert_int_equal(model_chat_format(m), cases[i].format);
        assert_true((model_info(m)->chat_note != NULL) == cases[i].note);
        model_free(m);
    }
}

/* ---- what a damaged model says ---- */

static void expect(const struct pieces *p, const char *path, enum status status, const char *says)
{
    struct model *m = NULL;
    struct err err = ERR_INIT;
    const struct model_options opt = {.isa = "scalar", .n_threads = 1};
    put_together(p, path, 0, p->n, 0, 1);
    enum status s = model_open(&m, path, &opt, &err);
    if (s != status || !strstr(err.text, says) || !strstr(err.text, path))
        fail_msg("expected %s and '%s', found %s: %s", status_name(status), says, status_name(s), err.text);
}

static void refuses_damage(void **state)
{
    const struct models *ms = *state;
    static struct pieces p;
    char dir[256];
    char path[256];
    paths(ms, 0, "hurt", dir, path);
    convert_to(dir, path, QUANT_BF16);
    take_apart(&p, path);
    struct piece *x = need(&p, "blk.2.attn_sinks.weight");
    (void)snprintf(x->name, sizeof x->name, "blk.2.attn_sinkz.weight");
    expect(&p, path, ERR_MISSING, "tensor 'blk.2.attn_sinks.weight' for gpt-oss, found none");
    (void)snprintf(x->name, sizeof x->name, "blk.2.attn_sinks.weight");
    float *v = (float *)(void *)x->data;
    float old = v[3];
    v[3] = 1.0f / 0.0f;
    expect(&p, path, ERR_RANGE, "'blk.2.attn_sinks.weight': expected finite values, found none at index 3");
    v[3] = old;
    x = need(&p, "blk.1.ffn_gate_inp.weight");
    x->shape[0] = 3;
    x->shape[1] *= 2;
    expect(&p, path, ERR_SHAPE, "expected shape [6, 96], found [3, 192]");
    x->shape[0] = 6;
    x->shape[1] = 96;
    x = need(&p, "blk.0.ffn_down_exps.weight");
    x->data[4 * 17 * 5] = 255; // a scale: row 4 of 5 blocks
    expect(&p, path, ERR_RANGE, "'blk.0.ffn_down_exps.weight[0]'");
    x->data[4 * 17 * 5] = 120;
    x = need(&p, "blk.3.attn_norm.weight");
    x->quant = QUANT_Q8_0; // 96 values in 3 blocks, by its word
    x->n = 102;
    expect(&p, path, ERR_UNSUPPORTED, "expected F32, BF16 or F16, found Q8_0");
    x->quant = QUANT_F32;
    x->n = 384;
    assert_true(p.n < MAX_PIECES);
    x = &p.v[p.n++];
    *x = (struct piece){.quant = QUANT_F32, .n_dims = 1, .shape = {4}, .n = 16, .data = calloc(4, 4)};
    (void)snprintf(x->name, sizeof x->name, "blk.0.ffn_up_exps.scale");
    expect(&p, path, ERR_UNSUPPORTED, "'blk.0.ffn_up_exps.scale': expected no such tensor in gpt-oss with 4 layers");
    (void)snprintf(x->name, sizeof x->name, "rope_freqs.weight");
    x->shape[0] = 32;
    x->n = 128;
    free(x->data);
    x->data = calloc(32, 4);
    expect(&p, path, ERR_UNSUPPORTED, "'rope_freqs.weight': expected it without rope.scaling.type");
    release(&p);
    struct model *m = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(model_open(&m, "/nowhere/x.gguf", NULL, &err), ERR_MISSING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_routes_are_the_same_model),
        cmocka_unit_test(wider_types_are_the_same_model),
        cmocka_unit_test(fused_tensors_are_the_same_model),
        cmocka_unit_test(parts_are_the_same_model),
        cmocka_unit_test(mixed_types_are_the_same_model),
        cmocka_unit_test(blocks_and_their_values_are_the_same_model),
        cmocka_unit_test(paired_biases_are_put_back),
        cmocka_unit_test(templates_are_looked_at),
        cmocka_unit_test(a_rounded_ramp_is_another_model),
        cmocka_unit_test(refuses_damage),
    };
    return cmocka_run_group_tests(tests, models_setup, models_teardown);
}
