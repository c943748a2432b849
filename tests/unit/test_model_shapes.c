#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "format/config.h"
#include "model/rope.h"

/* RoPE frequencies against the figures of the published models. */

static void near(double found, double expected, double relative)
{
    double d = found - expected;
    double bound = (expected < 0 ? -expected : expected) * relative;
    if (!(d <= bound && -d <= bound))
        fail_msg("expected %.10g, found %.10g", expected, found);
}

static const struct rope_config gptoss_rope = {.kind = ROPE_YARN,
                                               .theta = 150000,
                                               .factor = 32,
                                               .original_tok = 4096,
                                               .beta_fast = 32,
                                               .beta_slow = 1,
                                               .attention_factor = 1.3465735902799727,
                                               .truncate = false};

static void yarn_frequencies(void **state)
{
    (void)state;
    static const struct {
        size_t i;
        double w;
    } known[] = {{8, 0.05081327},     {9, 0.03170570},      {13, 3.860359e-3},
                 {17, 1.293187e-4},   {18, 3.830881e-5},    {31, 3.023511e-7}};
    double w[32];
    rope_frequencies(&gptoss_rope, 64, w);
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
        near(w[known[k].i], known[k].w, 1e-6);
    assert_true(w[0] == 1.0);
    // the mistake other engines make must show here: it is below the noise of any logits
    struct rope_config wrong = gptoss_rope;
    wrong.truncate = true;
    double v[32];
    rope_frequencies(&wrong, 64, v);
    near(v[17] / w[17], 1.76, 5e-3);
}

static void llama3_frequencies(void **state)
{
    (void)state;
    const struct rope_config r = {.kind = ROPE_LLAMA3,
                                  .theta = 5e5,
                                  .factor = 8,
                                  .original_tok = 8192,
                                  .low_freq_factor = 1,
                                  .high_freq_factor = 4};
    struct rope_config p = r;
    double w[64];
    double plain[64];
    size_t kept = 0;
    size_t divided = 0;
    p.kind = ROPE_PLAIN;
    rope_frequencies(&r, 128, w);
    rope_frequencies(&p, 128, plain);
    for (size_t i = 0; i < 64; i++) {
        kept += w[i] == plain[i];
        divided += w[i] == plain[i] / 8;
    }
    assert_int_equal(kept, 29);
    assert_int_equal(divided, 29);
}

/* GGUF files bring the quotients of llama3's scaling instead of its parameters. */
static void divided_frequencies(void **state)
{
    (void)state;
    static const float divisors[4] = {1.0f, 2.0f, 1.5f, 8.0f};
    struct rope_config r = {.kind = ROPE_PLAIN, .theta = 10000, .divisors = divisors};
    double w[4];
    double plain[4];
    rope_frequencies(&r, 8, w);
    r.divisors = NULL;
    rope_frequencies(&r, 8, plain);
    for (size_t i = 0; i < 4; i++)
        assert_true(w[i] == plain[i] / (double)divisors[i]);
}

static void table_is_in_double(void **state)
{
    (void)state;
    enum { POS = 4100 };
    static float c[POS * 32];
    static float s[POS * 32];
    double w[32];
    rope_frequencies(&gptoss_rope, 64, w);
    rope_table(w, 32, POS, 1.0, c, s);
    assert_true(c[0] == 1.0f && s[0] == 0.0f);
    for (size_t i = 0; i < 32; i++) { // |(cos, sin)| is 1 within a rounding of each
        double x = (double)c[4099 * 32 + i];
        double y = (double)s[4099 * 32 + i];
        near(x * x + y * y, 1.0, 3e-7);
    }
    near((double)c[4099 * 32], -0.7120287926041727, 6e-8); // cos(4099 rad)
}

static void stop_ids_are_a_set(void **state)
{
    (void)state;
    static struct model_config c;
    static const int32_t in[] = {5, 3, 5, 9, 3, 1};
    for (size_t i = 0; i < 6; i++)
        assert_true(config_add_stop(&c, in[i]));
    static const int32_t out[] = {1, 3, 5, 9};
    assert_int_equal(c.n_stop_ids, 4);
    assert_memory_equal(c.stop_ids, out, sizeof out);
    for (int32_t i = 100; c.n_stop_ids < CONFIG_MAX_STOP_IDS; i++)
        assert_true(config_add_stop(&c, i));
    assert_false(config_add_stop(&c, 50));
    assert_true(config_add_stop(&c, 9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yarn_frequencies), cmocka_unit_test(llama3_frequencies), cmocka_unit_test(divided_frequencies),
        cmocka_unit_test(table_is_in_double),
        cmocka_unit_test(stop_ids_are_a_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
