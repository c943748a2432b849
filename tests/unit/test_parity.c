#include <math.h>
#include <string.h>

#include "models_support.h"
#include "parity_support.h"

#include "base/json.h"
#include "base/mapfile.h"
#include "engine.h"
#include "format/hfconfig.h"
#include "model/fault.h"
#include "model/rope.h"

/* Correctness against an fp32 run of Hugging Face transformers on the same weights (numerics.md, "The
 * digest and the checks"): the error of our logits must not exceed the error of transformers' own bf16
 * run. Relative L2 and KL, medians over the golden positions, with the routing as computed and with
 * the reference's forced. tests/reference/parity.py made the files and says what is in them.
 *
 * argv[1] limits the run to one model; tests/cli/parity.sh uses it to see each single fault fail. */

#define GOLDEN "tests/golden/parity"

enum { ISA_B = 16 };

struct golden {
    struct test_models *models;
    cJSON *index;
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
    if (json_read_file(&g->index, GOLDEN "/index.json", &err) != OK) {
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
    free(g);
    return test_models_teardown(&models);
}

static const cJSON *golden_model(const struct golden *g, const char *name)
{
    const cJSON *m = NULL;
    cJSON_ArrayForEach(m, json_get(g->index, "models"))
    {
        if (strcmp(json_get(m, "name")->valuestring, name) == 0)
            return m;
    }
    fail_msg("%s/index.json: no model '%s'", GOLDEN, name);
    return NULL;
}

/* The golden logits are of these bytes and no others. */
static void same_files(const cJSON *golden, const char *dir)
{
    const cJSON *f = NULL;
    cJSON_ArrayForEach(f, json_get(golden, "files"))
    {
        char path[256], hex[DIGEST_HEX_LEN + 1];
        uint8_t d[DIGEST_B];
        struct err err = ERR_INIT;
        (void)snprintf(path, sizeof path, "%s/%s", dir, f->string);
        if (digest_file(path, d, &err) != OK)
            fail_msg("%s", err.text);
        digest_hex(d, hex);
        if (strcmp(hex, f->valuestring) != 0)
            fail_msg("%s: expected sha256 %s, found %s: synth changed, run make reference", path, f->valuestring, hex);
    }
}

static void check_against(const cJSON *golden, const char *how, struct row_errors *e)
{
    const cJSON *limits = json_get(json_get(json_get(golden, "bf16_error"), how), "golden_positions");
    double l2 = median(e->l2, e->n), kl = median(e->kl, e->n);
    double l2_limit = json_get(limits, "rel_l2")->valuedouble, kl_limit = json_get(limits, "kl")->valuedouble;
    const char *name = json_get(golden, "name")->valuestring;
    print_message("# %s, routing %s, %zu positions: relative L2 %.5f (transformers bf16 %.5f), KL %.6f (%.6f)\n", name,
                  how, e->n, l2, l2_limit, kl, kl_limit);
    assert_int_equal(e->n, (size_t)json_get(limits, "n")->valuedouble);
    if (!(l2 <= l2_limit) || !(kl <= kl_limit))
        fail_msg("%s, routing %s: expected relative L2 <= %.6f and KL <= %.7f, found %.6f and %.7f", name, how,
                 l2_limit, kl_limit, l2, kl);
}

static void check_model(const struct golden *g, const char *name, const char *how)
{
    const cJSON *golden = golden_model(g, name), *json = NULL;
    char dir[128], path[256];
    struct err err = ERR_INIT;
    struct model *m = NULL;
    struct mapfile rows, routing = {.data = NULL};
    struct row_errors e = {.n = 0};
    bool forced = strcmp(how, "forced") == 0;
    test_models_make(g->models, name, dir);
    same_files(golden, dir);
    if (model_open(&m, dir, &(struct model_options){.isa = "auto"}, &err) != OK)
        fail_msg("%s", err.text);
    const struct model_info *info = model_info(m);
    (void)snprintf(path, sizeof path, GOLDEN "/%s.f32", name);
    if (mapfile_open(&rows, path, &err) != OK)
        fail_msg("%s", err.text);
    (void)snprintf(path, sizeof path, GOLDEN "/%s.routing", name);
    if (forced && mapfile_open(&routing, path, &err) != OK)
        fail_msg("%s", err.text);
    size_t row = 0, routed = 0;
    cJSON_ArrayForEach(json, json_get(golden, "prompts"))
    {
        struct prompt p = prompt_of(json, forced ? routing.data + routed : NULL, info->n_layers, info->n_experts_used);
        routed += info->n_layers * p.n_ids * info->n_experts_used;
        size_t n_rows = (size_t)cJSON_GetArraySize(p.positions);
        assert_true((row + n_rows) * info->vocab_size * sizeof(float) <= rows.size);
        // A mapping starts on a page, so the rows are aligned.
        const float *reference = (const float *)(const void *)rows.data + row * info->vocab_size;
        run_prompt(m, &p, reference, &e);
        row += n_rows;
        free(p.ids);
        free(p.routing);
    }
    assert_int_equal(row * info->vocab_size * sizeof(float), rows.size);
    if (forced)
        assert_int_equal(routed, routing.size);
    mapfile_close(&rows);
    mapfile_close(&routing);
    model_free(m);
    check_against(golden, how, &e);
}

static void gptoss_computed(void **state)
{
    check_model(*state, "gptoss-tiny", "computed");
}

static void gptoss_forced(void **state)
{
    check_model(*state, "gptoss-tiny", "forced");
}

static void qwen3(void **state)
{
    check_model(*state, "qwen3-tiny", "computed");
}

static void qwen3_tied(void **state)
{
    check_model(*state, "qwen3-tied-tiny", "computed");
}

static void yi(void **state)
{
    check_model(*state, "yi-tiny", "computed");
}

/* YaRN with truncate:false, against the table transformers computes: the fault is below bf16 noise in
 * the logits, so only this comparison can see it (models.md 8). */
static void gptoss_yarn_table(void **state)
{
    const struct golden *g = *state;
    const cJSON *rope = json_get(golden_model(g, "gptoss-tiny"), "rope");
    const cJSON *expected = json_get(rope, "inv_freq"), *x = NULL;
    char dir[128], path[256];
    struct err err = ERR_INIT;
    struct model_config c;
    double w[32], right[32];
    test_models_make(g->models, "gptoss-tiny", dir);
    (void)snprintf(path, sizeof path, "%s/config.json", dir);
    if (hfconfig_read(&c, path, &err) != OK)
        fail_msg("%s", err.text);
#ifdef ASSAY_FAULTS
    assert_int_equal(fault_apply(&c, &err), OK);
#endif
    assert_int_equal(c.head_dim / 2, 32);
    assert_int_equal(cJSON_GetArraySize(expected), 32);
    rope_frequencies(&c.rope, c.head_dim, w);
    memcpy(right, w, sizeof w);
    size_t i = 0;
    cJSON_ArrayForEach(x, expected)
    {
        if (fabs(w[i] / x->valuedouble - 1) > 1e-6)
            fail_msg("w[%zu]: expected %.9g, found %.9g", i, x->valuedouble, w[i]);
        i++;
    }
    assert_true(fabs(c.rope.attention_factor / json_get(rope, "attention_factor")->valuedouble - 1) <= 1e-6);
    // And the comparison sees what it is there for.
    c.rope.truncate = true;
    rope_frequencies(&c.rope, c.head_dim, w);
    assert_true(fabs(w[17] / right[17] - 1) > 0.5);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gptoss_computed), cmocka_unit_test(gptoss_forced),    cmocka_unit_test(qwen3),
        cmocka_unit_test(qwen3_tied),      cmocka_unit_test(yi),               cmocka_unit_test(gptoss_yarn_table),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("parity", tests, setup, teardown);
}
