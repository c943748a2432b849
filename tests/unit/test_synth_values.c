#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/fmath.h"
#include "synth/synth_shape.h"
#include "synth/synth_tensors.h"

static void bf16_rounds_once_to_nearest_even(void **state)
{
    (void)state;
    static const struct {
        double x;
        uint16_t bf16;
    } cases[] = {
        {0.0, 0x0000},         {1.0, 0x3F80},           {-2.0, 0xC000},
        {1 + 0x1p-8, 0x3F80},  // half way, even below
        {1 + 0x3p-8, 0x3F82},  // half way, even above
        {1 + 0x1p-8 + 0x1p-40, 0x3F81}, // just above half: through fp32 it would round twice, to 0x3F80
        {2 - 0x1p-9, 0x4000},  // carries into the exponent
        {0x1p-126, 0x0080},    {0x1p-127, 0x0000},      {-0x1p-130, 0x0000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(bf16_from_f64(cases[i].x), cases[i].bf16);
}

static void values_do_not_depend_on_the_chunk(void **state)
{
    (void)state;
    enum { N = 1000 };
    const enum synth_fill fills[] = {SYNTH_NORMAL, SYNTH_CODES, SYNTH_SCALES};
    for (size_t k = 0; k < 3; k++) {
        struct synth_tensor t = {.name = "x", .n_dims = 1, .shape = {N}, .fill = fills[k], .sd = 1, .scale_lo = 120};
        size_t width = synth_tensor_bytes(&t) / N;
        uint8_t whole[2 * N], parts[2 * N];
        synth_tensor_fill(&t, 7, 0, N, whole);
        for (size_t i = 0; i < N; i += 56)
            synth_tensor_fill(&t, 7, i, N - i < 56 ? N - i : 56, parts + i * width);
        assert_memory_equal(whole, parts, N * width);
        synth_tensor_fill(&t, 8, 0, N, parts);
        assert_memory_not_equal(whole, parts, N * width);
    }
}

/* The same bytes on every machine: these digests come from a separate statement of generator, sum and
 * rounding in Python, with exact rational arithmetic. */
static void known_digest(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "3bc2d1ab10acc994731525c45238fa430f4eb6f3f04cae6803be6d2878680040",
        "9aa75a71fe88e757691ae28f7f8ea22f634cafad1a9818d454652c37f441645a",
        "a0a5ac615064f934a95ac313c61d316851d8c5bda05e0c0731aaa63a8da759d2",
    };
    const enum synth_fill fills[] = {SYNTH_NORMAL, SYNTH_CODES, SYNTH_SCALES};
    for (size_t k = 0; k < 3; k++) {
        struct synth_tensor t = {.name = "model.norm.weight", .n_dims = 1, .shape = {4096}, .fill = fills[k],
                                 .mean = 1, .sd = 0.1, .scale_lo = 123};
        uint8_t bytes[8192], d[DIGEST_B];
        char hex[DIGEST_HEX_LEN + 1];
        synth_tensor_fill(&t, 1, 0, 4096, bytes);
        assert_int_equal(digest_bytes(bytes, synth_tensor_bytes(&t), d, NULL), OK);
        digest_hex(d, hex);
        assert_string_equal(hex, expected[k]);
    }
}

static void shapes_are_the_real_ones(void **state)
{
    (void)state;
    struct synth_shape s;
    struct synth_tensors t;
    assert_int_equal(synth_preset(&s, "gptoss", NULL), OK);
    // gpt-oss-20b: the published index says 459 tensors and 13,761,264,768 bytes.
    s.n_layers = 24, s.d_model = s.d_ff = 2880, s.n_heads = 64, s.n_kv_heads = 8, s.n_experts = 32;
    s.vocab_size = 201088;
    assert_int_equal(synth_shape_check(&s, NULL), OK);
    assert_int_equal(synth_tensors_list(&t, &s, NULL), OK);
    uint64_t total = 0;
    for (size_t i = 0; i < t.n; i++)
        total += synth_tensor_bytes(&t.v[i]);
    assert_int_equal(t.n, 459);
    assert_int_equal(total, UINT64_C(13761264768));
    synth_tensors_release(&t);
    // Qwen3-0.6B, tied: 1,192,099,840 bytes.
    assert_int_equal(synth_preset(&s, "qwen3-tied-tiny", NULL), OK);
    s.n_layers = 28, s.d_model = 1024, s.d_ff = 3072, s.n_heads = 16, s.n_kv_heads = 8, s.vocab_size = 151936;
    assert_int_equal(synth_tensors_list(&t, &s, NULL), OK);
    total = 0;
    for (size_t i = 0; i < t.n; i++)
        total += synth_tensor_bytes(&t.v[i]);
    assert_int_equal(total, UINT64_C(1192099840));
    synth_tensors_release(&t);
}

static void wrong_shapes_are_refused(void **state)
{
    (void)state;
    struct synth_shape s, ok;
    struct err err = ERR_INIT;
    assert_int_equal(synth_preset(&ok, "gptoss-tiny", NULL), OK);
    s = ok, s.d_model = 100;
    assert_int_equal(synth_shape_check(&s, &err), ERR_USAGE);
    assert_string_equal(err.text, "--d-model: expected a multiple of 32 (MXFP4 groups), found 100");
    s = ok, s.n_kv_heads = 3;
    assert_int_equal(synth_shape_check(&s, &err), ERR_USAGE);
    s = ok, s.n_experts_used = 7;
    assert_int_equal(synth_shape_check(&s, &err), ERR_USAGE);
    s = ok, s.head_dim = 63;
    assert_int_equal(synth_shape_check(&s, &err), ERR_USAGE);
    s = ok, s.tied = true;
    assert_int_equal(synth_shape_check(&s, &err), ERR_USAGE);
    assert_int_equal(synth_preset(&s, "yi-tiny", NULL), OK);
    s.n_experts = 4;
    assert_int_equal(synth_shape_check(&s, &err), ERR_USAGE);
    assert_int_equal(synth_preset(&s, "gpt-9", &err), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bf16_rounds_once_to_nearest_even), cmocka_unit_test(values_do_not_depend_on_the_chunk),
        cmocka_unit_test(known_digest),                     cmocka_unit_test(shapes_are_the_real_ones),
        cmocka_unit_test(wrong_shapes_are_refused),
    };
    return cmocka_run_group_tests_name("synth_values", tests, NULL, NULL);
}
