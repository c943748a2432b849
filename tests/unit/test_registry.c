#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model/params.h"
#include "model/registry.h"
#include "model/rope.h"

/* Models known by name, against the published figures of the same models. */

static void near(double found, double expected, double relative)
{
    double d = found - expected;
    double bound = (expected < 0 ? -expected : expected) * relative;
    if (!(d <= bound && -d <= bound))
        fail_msg("expected %.10g, found %.10g", expected, found);
}

static void get(const char *name, struct model_config *c)
{
    struct err err = ERR_INIT;
    const char *canonical;
    if (registry_find(name, strlen(name), &canonical, c, &err))
        fail_msg("%s", err.text);
    assert_string_equal(canonical, name);
}

/* Parameters from shapes alone, as published (models.md 1.1); cache bytes of a token (models.md 5). */
static void published_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t total, active, kv_full_b, kv_window_b;
    } known[] = {
        {"gpt-oss-20b", 20914757184, 3608307264, 49152, 24576},
        {"gpt-oss-120b", 116829156672, 5132849472, 73728, 36864},
        {"Qwen3-32B", 32762123264, 31984210944, 262144, 262144},
        {"Qwen3-14B", 14768307200, 13990394880, 163840, 163840},
        {"Qwen3-8B", 8190735360, 7568405504, 147456, 147456},
        {"Qwen3-4B", 4022468096, 4022468096, 147456, 147456},
        {"Qwen3-1.7B", 1720574976, 1720574976, 114688, 114688},
        {"Qwen3-0.6B", 596049920, 596049920, 114688, 114688},
        {"Yi-34B", 34388917248, 33930165248, 245760, 245760},
        {"Llama-3.1-8B", 8030261248, 7504924672, 131072, 131072},
    };
    static struct model_config c;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        get(known[i].name, &c);
        struct params p = params_count(&c);
        assert_int_equal(p.total, known[i].total);
        assert_int_equal(p.active, known[i].active);
        assert_int_equal(p.kv_full_b, known[i].kv_full_b);
        assert_int_equal(p.kv_window_b, known[i].kv_window_b);
    }
}

static void names_as_people_write_them(void **state)
{
    (void)state;
    static const char *const ways[][2] = {
        {"GPT-OSS-20B", "gpt-oss-20b"},          {"openai/gpt-oss-120b", "gpt-oss-120b"}, {"gpt-oss:20b", "gpt-oss-20b"},
        {"gpt_oss_20b", "gpt-oss-20b"},          {"qwen3:0.6b", "Qwen3-0.6B"},            {"Qwen/Qwen3-32B", "Qwen3-32B"},
        {"01-ai/Yi-34B", "Yi-34B"},              {"yi:34b", "Yi-34B"},                    {"llama3.1:8b", "Llama-3.1-8B"},
        {"meta-llama/Llama-3.1-8B", "Llama-3.1-8B"}, {"Meta-Llama-3.1-8B", "Llama-3.1-8B"},
    };
    static struct model_config c;
    const char *name;
    struct err err = ERR_INIT;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        assert_int_equal(registry_find(ways[i][0], strlen(ways[i][0]), &name, &c, &err), OK);
        assert_string_equal(name, ways[i][1]);
    }
    assert_int_equal(registry_find("gpt-oss-20b,seed=1", 11, &name, &c, &err), OK); // only as long as it is said to be
    static const char *const wrong[] = {"", "/", "-", "gpt-oss", "gpt-oss-20", "gpt-oss-20bb", "Qwen3-06B", "Llama-3-8B"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(registry_find(wrong[i], strlen(wrong[i]), &name, &c, &err), ERR_USAGE);
        assert_non_null(strstr(err.text, "expected one of gpt-oss-20b, "));
        assert_non_null(strstr(err.text, ", Llama-3.1-8B"));
    }
}

/* What shapes do not show. */
static void the_rest_of_a_config(void **state)
{
    (void)state;
    static struct model_config c;
    double w[64];
    get("gpt-oss-20b", &c);
    assert_true(c.sinks && c.attention_bias && !c.tied && c.eps == 1e-5);
    assert_int_equal(config_window(&c), 128);
    for (size_t i = 0; i < c.n_layers; i++)
        assert_int_equal(c.windows[i], i % 2 ? 0 : 128);
    assert_int_equal(c.n_stop_ids, 3); // not 200007, which ends a message and not the turn
    assert_true(c.stop_ids[0] == 199999 && c.stop_ids[1] == 200002 && c.stop_ids[2] == 200012);
    assert_true(c.bos_id == -1 && c.eos_id == 200002 && c.n_experts_used == 4);
    near(c.rope.attention_factor, 1.346573590, 1e-9);
    rope_frequencies(&c.rope, c.head_dim, w);
    near(w[9], 0.03170570, 1e-6);
    near(w[17], 1.293187e-4, 1e-6); // with its ends rounded the ramp gives 1.76 times that
    get("gpt-oss-120b", &c);
    assert_true(c.n_experts == 128 && c.n_experts_used == 4 && c.n_layers == 36);
    get("Qwen3-0.6B", &c);
    assert_true(c.tied && c.eps == 1e-6 && c.head_dim * c.n_heads != c.d_model && c.rope.theta == 1e6);
    assert_true(c.bos_id == 151643 && c.eos_id == 151645 && c.n_stop_ids == 2 && c.max_context_tok == 40960);
    get("Qwen3-8B", &c);
    assert_false(c.tied);
    get("Yi-34B", &c);
    assert_true(c.rope.kind == ROPE_PLAIN && c.rope.theta == 5e6 && c.n_heads / c.n_kv_heads == 7);
    assert_true(c.max_context_tok == 4096 && c.eos_id == 2 && c.n_stop_ids == 1);
    get("Llama-3.1-8B", &c);
    rope_frequencies(&c.rope, c.head_dim, w);
    near(w[63], 1 / 407308.617 / 8, 1e-9); // 5e5^(-126/128), divided by 8
    assert_true(c.bos_id == 128000 && c.eos_id == 128001 && c.n_stop_ids == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_sizes),
        cmocka_unit_test(names_as_people_write_them),
        cmocka_unit_test(the_rest_of_a_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
