#define _XOPEN_SOURCE 700 // getline
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "quant/quant.h"

/* Every decoder and encoder against vectors of the package gguf (tests/reference/quant_golden.py), bit for
 * bit. ASSAY_QUANT_GOLDEN names another folder with larger files of the same form. */

static unsigned digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10u;
}

/* Bytes of a word of hex digits; n is how many there are. */
static uint8_t *bytes_of(const char *hex, size_t *n)
{
    *n = strlen(hex) / 2;
    uint8_t *b = malloc(*n);
    assert_non_null(b);
    for (size_t i = 0; i < *n; i++)
        b[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    return b;
}

static const struct quant_type *type_of(const char *name, enum quant *id)
{
    for (enum quant q = QUANT_F32; q < QUANT_NONE; q++) {
        const struct quant_type *t = quant_type(q);
        if (t && strcmp(t->name, name) == 0) {
            *id = q;
            return t;
        }
    }
    fail_msg("no weight format is called %s", name);
    return NULL;
}

static void check_bytes(const char *file, size_t line, const char *name, const void *want, const void *found, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((const uint8_t *)want)[i] != ((const uint8_t *)found)[i])
            fail_msg("%s:%zu: %s: byte %zu: expected %02x, found %02x", file, line, name, i, ((const uint8_t *)want)[i],
                     ((const uint8_t *)found)[i]);
}

static size_t decode_line(const char *file, size_t line, const struct quant_type *t, const uint8_t *in, size_t in_b,
                          const uint8_t *want, size_t want_b)
{
    size_t n = want_b / sizeof(float);
    assert_int_equal(in_b, n / t->block * t->block_b);
    float *out = malloc(want_b);
    assert_non_null(out);
    for (size_t i = 0; i < n / t->block; i++)
        t->decode(in + i * t->block_b, out + i * t->block);
    check_bytes(file, line, t->name, want, out, want_b);
    free(out);
    return n;
}

static size_t encode_line(const char *file, size_t line, const struct quant_type *t, const uint8_t *in, size_t in_b,
                          const uint8_t *want, size_t want_b)
{
    size_t n = in_b / sizeof(float);
    assert_int_equal(want_b, n / t->block * t->block_b);
    float *x = malloc(in_b);
    uint8_t *out = malloc(want_b);
    assert_non_null(x);
    assert_non_null(out);
    memcpy(x, in, in_b);
    for (size_t i = 0; i < n / t->block; i++)
        if (!t->encode(x + i * t->block, out + i * t->block_b))
            fail_msg("%s:%zu: %s: expected a block, found a refusal", file, line, t->name);
    check_bytes(file, line, t->name, want, out, want_b);
    free(out);
    free(x);
    return n;
}

typedef size_t check_fn(const char *file, size_t line, const struct quant_type *t, const uint8_t *in, size_t in_b,
                        const uint8_t *want, size_t want_b);

/* One pass over a file; values[q] counts what was compared of each type. */
static void each_line(const char *base, check_fn *check, size_t values[QUANT_NONE])
{
    const char *dir = getenv("ASSAY_QUANT_GOLDEN");
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", dir ? dir : "tests/golden/quant", base);
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("cannot open %s", path);
    char *text = NULL;
    size_t cap = 0;
    for (size_t line = 1; getline(&text, &cap, f) > 0; line++) {
        char *save = NULL;
        const char *name = strtok_r(text, " \n", &save);
        if (!name || name[0] == '#')
            continue;
        size_t in_b;
        size_t want_b;
        enum quant q = QUANT_NONE;
        const struct quant_type *t = type_of(name, &q);
        uint8_t *in = bytes_of(strtok_r(NULL, " \n", &save), &in_b);
        uint8_t *want = bytes_of(strtok_r(NULL, " \n", &save), &want_b);
        values[q] += check(path, line, t, in, in_b, want, want_b);
        free(in);
        free(want);
    }
    free(text);
    (void)fclose(f);
}

static void decodes_as_gguf_does(void **state)
{
    (void)state;
    static const enum quant types[] = {QUANT_F16,  QUANT_BF16, QUANT_Q8_0, QUANT_Q4_0, QUANT_Q4_1, QUANT_Q5_0, QUANT_Q5_1,
                                       QUANT_Q2_K, QUANT_Q3_K, QUANT_Q4_K, QUANT_Q5_K, QUANT_Q6_K, QUANT_MXFP4};
    size_t values[QUANT_NONE] = {0};
    each_line("decode.txt", decode_line, values);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        assert_true(values[types[i]] >= 12 * 32); // none was left out of the file
}

static void encodes_as_gguf_does(void **state)
{
    (void)state;
    static const enum quant types[] = {QUANT_F16, QUANT_BF16, QUANT_Q8_0, QUANT_Q4_0, QUANT_MXFP4};
    size_t values[QUANT_NONE] = {0};
    each_line("encode.txt", encode_line, values);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        assert_true(values[types[i]] >= 12 * 32);
}

/* A value that a format cannot hold is said, not written as an infinity. */
static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    static const struct {
        enum quant q;
        float largest, beyond; // in a block that is zero otherwise
    } cases[] = {
        {QUANT_F16, 65519.0f, 65520.0f},
        {QUANT_Q8_0, 65519.0f * 127.0f, 65520.0f * 127.0f},
        {QUANT_Q4_0, 65519.0f * 8.0f, 65520.0f * 8.0f},
        {QUANT_BF16, 0x1.fep127f, 0x1.ffp127f},
        {QUANT_MXFP4, 0x1.8p127f, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct quant_type *t = quant_type(cases[i].q);
        float x[256] = {0};
        uint8_t block[256];
        for (int sign = -1; sign <= 1; sign += 2) {
            x[t->block - 1] = (float)sign * cases[i].largest;
            assert_true(t->encode(x, block));
            x[t->block - 1] = (float)sign * cases[i].beyond;
            assert_true(cases[i].beyond == 0 || !t->encode(x, block));
        }
        uint32_t bad[] = {0x7f800000u, 0xff800000u, 0x7fc00000u};
        for (size_t k = 0; k < 3; k++) {
            memcpy(&x[0], &bad[k], 4);
            assert_false(t->encode(x, block));
        }
    }
}

/* Scales too small for a half, and blocks of subnormals: zeros, the same ones under every MXCSR. */
static void tiny_blocks_are_zero(void **state)
{
    (void)state;
    static const enum quant types[] = {QUANT_Q8_0, QUANT_Q4_0, QUANT_MXFP4};
    static const float sizes[] = {0x1p-40f, 0x1p-126f, 0x1p-127f, 0x1p-149f};
    for (size_t i = 0; i < 3; i++) {
        const struct quant_type *t = quant_type(types[i]);
        for (size_t k = 0; k < 4; k++) {
            float x[32] = {0};
            float back[32];
            uint8_t block[34];
            x[3] = sizes[k];
            assert_true(t->encode(x, block));
            t->decode(block, back);
            assert_true(back[3] == 0 || (types[i] == QUANT_MXFP4 && k < 2 && back[3] == x[3]));
            assert_true(back[4] == 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(decodes_as_gguf_does), cmocka_unit_test(encodes_as_gguf_does),
                                       cmocka_unit_test(refuses_what_does_not_fit), cmocka_unit_test(tiny_blocks_are_zero)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
