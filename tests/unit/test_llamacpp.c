#include "models_support.h"
#include "parity_support.h"

#include "base/mapfile.h"
#include "convert/convert_file.h"

/* Files that convert writes, through our reader of GGUF, against llama.cpp on the same values as F32 weights (golden
 * rows: tests/reference/llamacpp.py). The error of our logits must exceed neither that of llama.cpp's own run of the
 * same file, nor that of transformers' bf16 run of the model (tests/golden/parity). */

#define GOLDEN "tests/golden/llamacpp"
#define PROMPTS "tests/golden/parity/index.json"

struct golden {
    struct test_models *models;
    cJSON *index, *parity;
};

static int setup(void **state)
{
    struct golden *g = calloc(1, sizeof *g);
    struct err err = ERR_INIT;
    void *models = NULL;
    *state = g;
    if (g == NULL || test_models_setup(&models) != 0)
        return -1;
    g->models = models;
    if (json_read_file(&g->index, GOLDEN "/index.json", &err) || json_read_file(&g->parity, PROMPTS, &err)) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    struct golden *g = *state;
    void *models = g->models;
    cJSON_Delete(g->index);
    cJSON_Delete(g->parity);
    free(g);
    return test_models_teardown(&models);
}

static const cJSON *named(const cJSON *index, const char *name)
{
    const cJSON *m = NULL;
    cJSON_ArrayForEach(m, json_get(index, "models")) if (strcmp(json_get(m, "name")->valuestring, name) == 0) return m;
    fail_msg("no golden model '%s'", name);
    return NULL;
}

static struct model *open_converted(const struct golden *g, const char *name, enum quant q)
{
    const struct convert_options options = {.types = {q, q == QUANT_Q4_0 ? QUANT_Q8_0 : q, QUANT_MXFP4}, .n_threads = 2};
    struct convert_result r;
    struct convert_source s;
    struct model *m = NULL;
    struct err err = ERR_INIT;
    char dir[128];
    char path[160];
    test_models_make(g->models, name, dir);
    (void)snprintf(path, sizeof path, "%s.gguf", dir);
    if (source_open(&s, dir, &err) || convert_file(&s, path, &options, NULL, &r, &err) ||
        model_open(&m, path, &(struct model_options){.isa = "auto"}, &err))
        fail_msg("%s", err.text);
    source_close(&s);
    return m;
}

/* Median relative L2 of the file's logits from the golden rows of `rows`. */
static double error_of(const struct golden *g, const char *name, enum quant q, const char *rows)
{
    const cJSON *prompts = json_get(named(g->parity, name), "prompts");
    int n = (int)json_get(g->index, "n_prompts")->valuedouble;
    struct row_errors e = {.n = 0};
    struct mapfile map;
    struct err err = ERR_INIT;
    char path[160];
    struct model *m = open_converted(g, name, q);
    size_t vocab = model_info(m)->vocab_size;
    (void)snprintf(path, sizeof path, GOLDEN "/%s-%s.f32", name, rows);
    if (mapfile_open(&map, path, &err))
        fail_msg("%s", err.text);
    assert_int_equal(map.size, (size_t)n * vocab * sizeof(float));
    for (int i = 0; i < n; i++) {
        struct prompt p = prompt_of(cJSON_GetArrayItem(prompts, i), NULL, 0, 0);
        cJSON *last = cJSON_CreateArray();
        assert_true(cJSON_AddItemToArray(last, cJSON_CreateNumber((double)(p.n_ids - 1))));
        p.positions = last;
        run_prompt(m, &p, (const float *)(const void *)map.data + (size_t)i * vocab, &e);
        cJSON_Delete(last);
        free(p.ids);
    }
    mapfile_close(&map);
    model_free(m);
    return median(e.l2, e.n);
}

static void check(void **state, const char *name, enum quant q)
{
    const struct golden *g = *state;
    const char *type = quant_type(q)->name;
    const cJSON *own = json_get(json_get(json_get(named(g->index, name), "types"), type), "own_rel_l2");
    const cJSON *bf16 = json_get(json_get(json_get(named(g->parity, name), "bf16_error"), "computed"), "golden_positions");
    double limit = json_get(bf16, "rel_l2")->valuedouble;
    double found = error_of(g, name, q, type);
    if (q != QUANT_F32 && own->valuedouble < limit)
        limit = own->valuedouble;
    print_message("# %s %s: relative L2 %.5f (limit %.5f, llama.cpp's own run %.5f)\n", name, type, found, limit,
                  own->valuedouble);
    if (!(found <= limit))
        fail_msg("%s %s: expected relative L2 <= %.6f, found %.6f", name, type, limit, found);
}

static void f32(void **state)
{
    check(state, "gptoss-tiny", QUANT_F32);
    check(state, "qwen3-tiny", QUANT_F32);
    check(state, "qwen3-tied-tiny", QUANT_F32);
    check(state, "yi-tiny", QUANT_F32);
}

static void q8_0(void **state)
{
    check(state, "gptoss-tiny", QUANT_Q8_0);
    check(state, "qwen3-tiny", QUANT_Q8_0);
    check(state, "qwen3-tied-tiny", QUANT_Q8_0);
    check(state, "yi-tiny", QUANT_Q8_0);
}

static void q4_0(void **state)
{
    check(state, "gptoss-tiny", QUANT_Q4_0);
    check(state, "qwen3-tiny", QUANT_Q4_0);
    check(state, "qwen3-tied-tiny", QUANT_Q4_0);
    check(state, "yi-tiny", QUANT_Q4_0);
}

/* The values are told apart: rows of one type are beyond the limit of another. */
static void another_type_is_noticed(void **state)
{
    const struct golden *g = *state;
    assert_true(error_of(g, "yi-tiny", QUANT_F32, "q8_0") > 0.012);
    assert_true(error_of(g, "yi-tiny", QUANT_Q8_0, "q4_0") > 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(f32), cmocka_unit_test(q8_0), cmocka_unit_test(q4_0),
                                       cmocka_unit_test(another_type_is_noticed)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
