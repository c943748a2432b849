#include "run_support.h"

#include <unistd.h>

#include "base/mem.h"
#include "format/safetensors.h"
#include "quant/mxfp4.h"

/* The same weights stored in other ways are the same model: shards with an index, and experts as bf16
 * [in, out] as dequantised uploads have them. Bits are demanded, since MXFP4 is exact in bf16. */

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
        model_free(x);
        model_free(y);
    }
}

/* One tensor of the new file; data appended, entry added to the header. */
static void add(struct buf *header, struct buf *data, const char *name, const char *dtype, const size_t *shape,
                size_t n_dims, const void *bytes, size_t n)
{
    buf_printf(header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", header->n ? "," : "{", name, dtype);
    for (size_t i = 0; i < n_dims; i++)
        buf_printf(header, "%s%zu", i ? "," : "", shape[i]);
    buf_printf(header, "],\"data_offsets\":[%zu,%zu]}", data->n, data->n + n);
    buf_add(data, bytes, n);
}

/* blocks [E, rows, groups, 16] and scales to bf16 [E, 32 * groups, rows]. */
static void add_dequantised(struct buf *header, struct buf *data, const char *name, const struct tensor *blocks,
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
    add(header, data, name, "BF16", shape, 3, out, n * sizeof *out);
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
    struct buf header = BUF_INIT;
    struct buf data = BUF_INIT;
    char path[400];
    assert_int_equal(safetensors_open(&st, from, NULL), OK);
    for (size_t i = 0; i < tensors_count(st); i++) {
        const struct tensor *t = tensors_at(st, i);
        char name[200];
        (void)snprintf(name, sizeof name, "%s", t->name);
        if (ends(name, "_scales"))
            continue;
        if (ends(name, "_blocks")) {
            (void)snprintf(name + strlen(name) - 7, 8, "_scales");
            const struct tensor *scales = tensors_find(st, name);
            name[strlen(name) - 7] = '\0';
            add_dequantised(&header, &data, name, t, scales);
            continue;
        }
        add(&header, &data, name, t->type_name, t->shape, t->n_dims, t->data, t->n_bytes);
    }
    buf_str(&header, "}");
    buf_str(&header, header.n % 2 ? "" : " "); // odd: the data is unaligned on purpose
    (void)snprintf(path, sizeof path, "%s/model.safetensors", to);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    for (unsigned i = 0; i < 8; i++)
        assert_true(fputc((int)((uint64_t)header.n >> (8 * i) & 255), f) != EOF);
    assert_int_equal(fwrite(header.data, 1, header.n, f), header.n);
    assert_int_equal(fwrite(data.data, 1, data.n, f), data.n);
    assert_int_equal(fclose(f), 0);
    buf_release(&header);
    buf_release(&data);
    tensors_close(st);
}

static void dequantised_experts_are_the_same_model(void **state)
{
    const struct models *ms = *state;
    char from[256];
    char to[256];
    char command[900];
    char a[DIGEST_HEX_LEN + 1];
    char b[DIGEST_HEX_LEN + 1];
    model_path(ms, 0, from);
    path_in(ms, "dequantised", to);
    (void)snprintf(command, sizeof command, "cp -r '%s' '%s' && rm '%s/model.safetensors'", from, to, to);
    assert_int_equal(system(command), 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_are_the_same_model),
        cmocka_unit_test(dequantised_experts_are_the_same_model),
    };
    return cmocka_run_group_tests(tests, models_setup, models_teardown);
}
