#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gguf_build.h"

/* The container of GGUF: what is read, and that every damage is refused in one clear line. */

static enum status parse(const struct buf *b, struct gguf *g, struct arena **a, struct err *err)
{
    union {
        const char *c;
        const uint8_t *b;
    } p = {.c = b->data};
    assert_int_equal(arena_new(a, 0, NULL), OK);
    return gguf_parse(g, *a, p.b, b->n, "f.gguf", err);
}

static const uint64_t ne_2x3[] = {3, 2};
static const uint64_t ne_q[] = {64, 2, 3};

/* Every kind of value, two tensors. */
static void full(struct gguf_build *g)
{
    put_str(g, "general.architecture", "llama");
    put_u32(g, "general.alignment", 64);
    g->alignment = 64;
    put_key(g, "u8", GGUF_U8);
    put_int(&g->kvs, 200, 1);
    put_key(g, "i8", GGUF_I8);
    put_int(&g->kvs, (uint64_t)-2, 1);
    put_key(g, "u16", GGUF_U16);
    put_int(&g->kvs, 60000, 2);
    put_key(g, "i16", GGUF_I16);
    put_int(&g->kvs, (uint64_t)-300, 2);
    put_key(g, "i32", GGUF_I32);
    put_int(&g->kvs, (uint64_t)-70000, 4);
    put_key(g, "u64", GGUF_U64);
    put_int(&g->kvs, 1ULL << 63, 8);
    put_key(g, "i64", GGUF_I64);
    put_int(&g->kvs, (uint64_t)-5, 8);
    put_key(g, "f64", GGUF_F64);
    put_int(&g->kvs, 0x3ff8000000000000, 8);
    put_f32(g, "f32", 0.25f);
    put_bool(g, "yes", true);
    put_bool(g, "no", false);
    put_array(g, "words", GGUF_STRING, 3);
    put_text(&g->kvs, "a", 1);
    put_text(&g->kvs, "", 0);
    put_text(&g->kvs, "b\0c", 3);
    put_array(g, "ints", GGUF_I32, 2);
    put_int(&g->kvs, 7, 4);
    put_int(&g->kvs, (uint64_t)-7, 4);
    put_array(g, "reals", GGUF_F32, 2);
    put_int(&g->kvs, 0x3f800000, 4);
    put_int(&g->kvs, 0xbf800000, 4);
    put_array(g, "flags", GGUF_BOOL, 2);
    put_int(&g->kvs, 1, 2);
    put_array(g, "none", GGUF_STRING, 0);
    uint8_t bytes[3 * 2 * 68];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    put_tensor(g, "w.weight", 0, ne_2x3, 2, bytes, 24);
    put_tensor(g, "experts", 39, ne_q, 3, bytes, 3 * 2 * 2 * 17);
}

static void reads_everything(void **state)
{
    (void)state;
    struct gguf_build build = GGUF_BUILD_INIT;
    struct buf b = BUF_INIT;
    struct gguf g;
    struct arena *a;
    struct err err = ERR_INIT;
    full(&build);
    gguf_build(&build, &b);
    if (parse(&b, &g, &a, &err))
        fail_msg("%s", err.text);
    static const struct {
        const char *key;
        int64_t v;
    } ints[] = {{"u8", 200}, {"i8", -2}, {"u16", 60000}, {"i16", -300}, {"i32", -70000}, {"i64", -5}};
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        int64_t v = 0;
        assert_int_equal(gguf_int(&g, ints[i].key, INT64_MIN, INT64_MAX, &v, &err), OK);
        assert_true(v == ints[i].v);
    }
    double x = 0;
    assert_int_equal(gguf_real(&g, "f32", 0, 1, &x, &err), OK);
    assert_true(x == 0.25);
    assert_int_equal(gguf_real(&g, "f64", 0, 2, &x, &err), OK);
    assert_true(x == 1.5);
    bool yes = false;
    bool no = true;
    assert_int_equal(gguf_bool(&g, "yes", &yes, &err), OK);
    assert_int_equal(gguf_bool(&g, "no", &no, &err), OK);
    assert_true(yes && !no);
    const char *text = NULL;
    assert_int_equal(gguf_str(&g, "general.architecture", a, &text, &err), OK);
    assert_string_equal(text, "llama");
    const struct gguf_text *words = NULL;
    const int64_t *list = NULL;
    size_t n = 0;
    assert_int_equal(gguf_strs(&g, "words", a, &words, &n, &err), OK);
    assert_int_equal(n, 3);
    assert_memory_equal(words[2].s, "b\0c", 3);
    assert_int_equal(words[1].n, 0);
    assert_int_equal(gguf_ints(&g, "ints", a, &list, &n, &err), OK);
    assert_true(n == 2 && list[0] == 7 && list[1] == -7);
    assert_int_equal(gguf_ints(&g, "flags", a, &list, &n, &err), OK);
    assert_true(n == 2 && list[0] == 1 && list[1] == 0);
    assert_int_equal(gguf_strs(&g, "none", a, &words, &n, &err), OK);
    assert_int_equal(n, 0);
    int64_t absent = 42;
    assert_int_equal(gguf_int(&g, "absent", 0, 1, &absent, &err), OK);
    assert_true(absent == 42);

    assert_int_equal(g.n_tensors, 2);
    assert_string_equal(g.tensors[0].name, "w.weight");
    assert_true(g.tensors[0].quant == QUANT_F32 && g.tensors[0].n_dims == 2);
    assert_true(g.tensors[0].shape[0] == 2 && g.tensors[0].shape[1] == 3); // [out, in]
    const struct tensor *t = &g.tensors[1];
    assert_true(t->quant == QUANT_MXFP4 && t->shape[0] == 3 && t->shape[1] == 2 && t->shape[2] == 64);
    assert_int_equal(t->n_bytes, 204);
    assert_int_equal(t->data - g.tensors[0].data, 64); // the file's alignment
    assert_int_equal(t->data[203], 203);
    arena_free(a);
    buf_release(&b);
    gguf_build_release(&build);
}

static void look_ups_say_what_is_wrong(void **state)
{
    (void)state;
    struct gguf_build build = GGUF_BUILD_INIT;
    struct buf b = BUF_INIT;
    struct gguf g;
    struct arena *a;
    struct err err = ERR_INIT;
    full(&build);
    put_str(&build, "bad utf8", "a\xff");
    put_key(&build, "nul", GGUF_STRING);
    put_text(&build.kvs, "a\0b", 3);
    put_f32(&build, "nan", 0.0f);
    memcpy(build.kvs.data + build.kvs.n - 4, "\xff\xff\xff\x7f", 4);
    put_array(&build, "large", GGUF_U64, 1);
    put_int(&build.kvs, UINT64_MAX, 8);
    gguf_build(&build, &b);
    if (parse(&b, &g, &a, &err))
        fail_msg("%s", err.text);
    int64_t v;
    double x;
    bool flag;
    const char *text;
    const struct gguf_text *words;
    const int64_t *ints;
    size_t n;
    assert_int_equal(gguf_int(&g, "f32", 0, 9, &v, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "key 'f32': expected an integer, found F32"));
    assert_int_equal(gguf_int(&g, "yes", 0, 9, &v, &err), ERR_FORMAT);
    assert_int_equal(gguf_int(&g, "u64", 0, INT64_MAX, &v, &err), ERR_FORMAT);
    assert_int_equal(gguf_int(&g, "u8", 0, 199, &v, &err), ERR_RANGE);
    assert_non_null(strstr(err.text, "expected 0 to 199, found 200"));
    assert_int_equal(gguf_real(&g, "u8", 0, 9, &x, &err), ERR_FORMAT);
    assert_int_equal(gguf_real(&g, "f32", 1, 9, &x, &err), ERR_RANGE);
    assert_int_equal(gguf_real(&g, "nan", -9, 9, &x, &err), ERR_RANGE);
    assert_int_equal(gguf_bool(&g, "u8", &flag, &err), ERR_FORMAT);
    assert_int_equal(gguf_str(&g, "u8", a, &text, &err), ERR_FORMAT);
    assert_int_equal(gguf_str(&g, "bad utf8", a, &text, &err), ERR_FORMAT);
    assert_int_equal(gguf_str(&g, "nul", a, &text, &err), ERR_FORMAT);
    assert_int_equal(gguf_strs(&g, "ints", a, &words, &n, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "expected an array of strings, found ARRAY of I32"));
    assert_int_equal(gguf_ints(&g, "words", a, &ints, &n, &err), ERR_FORMAT);
    assert_int_equal(gguf_ints(&g, "u8", a, &ints, &n, &err), ERR_FORMAT);
    assert_int_equal(gguf_ints(&g, "large", a, &ints, &n, &err), ERR_RANGE);
    arena_free(a);
    buf_release(&b);
    gguf_build_release(&build);
}

/* Every proper prefix is refused, but for one that lacks only padding behind the last tensor. */
static void refuses_truncation(void **state)
{
    (void)state;
    struct gguf_build build = GGUF_BUILD_INIT;
    struct buf b = BUF_INIT;
    full(&build);
    gguf_build(&build, &b);
    size_t all = b.n;
    size_t padding = 64 * 4 - 204;
    for (size_t n = 0; n < all; n++) {
        struct gguf g;
        struct arena *a;
        struct err err = ERR_INIT;
        struct buf cut = {.data = malloc(n ? n : 1), .n = n};
        memcpy(cut.data, b.data, n);
        enum status s = parse(&cut, &g, &a, &err);
        if ((s == OK) != (n >= all - padding))
            fail_msg("%zu of %zu bytes: %s", n, all, err.text);
        if (s)
            assert_non_null(strstr(err.text, "f.gguf"));
        arena_free(a);
        free(cut.data);
    }
    buf_release(&b);
    gguf_build_release(&build);
}

struct damage {
    const char *what;
    enum status status;
    const char *says;
    void (*make)(struct gguf_build *g);
};

static void two_keys(struct gguf_build *g)
{
    put_u32(g, "k", 1);
    put_u32(g, "j", 1);
    put_u32(g, "k", 1);
}

static void no_key(struct gguf_build *g)
{
    put_u32(g, "", 1);
}

static void long_key(struct gguf_build *g)
{
    put_text(&g->kvs, "x", 1);
    memcpy(g->kvs.data, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    g->n_kvs++;
    put_int(&g->kvs, 0, 32);
}

static void wrong_type(struct gguf_build *g)
{
    put_key(g, "k", (enum gguf_value)13);
    put_int(&g->kvs, 0, 8);
}

static void wrong_element(struct gguf_build *g)
{
    put_array(g, "k", (enum gguf_value)99, 1);
    put_int(&g->kvs, 0, 8);
}

static void nested(struct gguf_build *g)
{
    put_array(g, "k", GGUF_ARRAY, 1);
    put_int(&g->kvs, GGUF_U8, 4);
    put_int(&g->kvs, 0, 8);
}

static void long_array(struct gguf_build *g)
{
    put_array(g, "k", GGUF_U64, 1ULL << 61);
    put_int(&g->kvs, 0, 8);
}

static void long_strings(struct gguf_build *g)
{
    put_array(g, "k", GGUF_STRING, 1ULL << 62);
    put_int(&g->kvs, 0, 8);
}

static void cut_strings(struct gguf_build *g)
{
    put_array(g, "k", GGUF_STRING, 2);
    put_text(&g->kvs, "abcdefgh", 8);
}

static void wrong_bool(struct gguf_build *g)
{
    put_key(g, "k", GGUF_BOOL);
    put_int(&g->kvs, 2, 1);
}

static void wrong_utf8(struct gguf_build *g)
{
    put_u32(g, "k\xc0\x80", 1);
}

static void many_keys(struct gguf_build *g)
{
    put_u32(g, "k", 1);
    g->n_kvs = UINT64_MAX;
}

static void many_tensors(struct gguf_build *g)
{
    put_tensor(g, "t", 0, ne_2x3, 2, "abcdefghijklmnopqrstuvwx", 24);
    g->n_tensors = 1ULL << 60;
}

static void alignment(struct gguf_build *g, uint32_t v)
{
    put_u32(g, "general.alignment", v);
    put_tensor(g, "t", 0, ne_2x3, 2, "abcdefghijklmnopqrstuvwx", 24);
}

static void alignment_0(struct gguf_build *g)
{
    alignment(g, 0);
}

static void alignment_48(struct gguf_build *g)
{
    alignment(g, 48);
}

static void alignment_text(struct gguf_build *g)
{
    put_str(g, "general.alignment", "32");
}

static void two_tensors(struct gguf_build *g)
{
    for (size_t i = 0; i < 2; i++)
        put_tensor(g, "t", 0, ne_2x3, 2, "abcdefghijklmnopqrstuvwx", 24);
}

static void long_name(struct gguf_build *g)
{
    char name[65];
    memset(name, 'x', 64);
    name[64] = '\0';
    put_tensor(g, name, 0, ne_2x3, 2, "abcdefghijklmnopqrstuvwx", 24);
}

static void dims(struct gguf_build *g, uint32_t n, uint64_t first)
{
    const uint64_t ne[5] = {first, 1, 1, 1, 1};
    put_entry(g, "t", 0, ne, n, 0);
    put_int(&g->data, 0, 32);
}

static void dims_0(struct gguf_build *g)
{
    dims(g, 0, 1);
}

static void dims_5(struct gguf_build *g)
{
    dims(g, 5, 1);
}

static void empty_dim(struct gguf_build *g)
{
    dims(g, 2, 0);
}

static void huge_dim(struct gguf_build *g)
{
    dims(g, 2, UINT64_MAX);
}

static void huge_row(struct gguf_build *g)
{
    dims(g, 2, 1ULL << 62);
}

static void huge_product(struct gguf_build *g)
{
    const uint64_t ne[4] = {1ULL << 31, 1ULL << 31, 1ULL << 31, 1ULL << 31};
    put_entry(g, "t", 0, ne, 4, 0);
    put_int(&g->data, 0, 32);
}

static void half_block(struct gguf_build *g)
{
    const uint64_t ne[2] = {16, 2}; // 32 values, but rows of half a block
    put_entry(g, "t", 39, ne, 2, 0);
    put_int(&g->data, 0, 32);
}

static void no_decoder(struct gguf_build *g)
{
    const uint64_t ne[1] = {256};
    put_entry(g, "t", 23, ne, 1, 0);
    put_int(&g->data, 0, 160);
}

static void no_type(struct gguf_build *g)
{
    const uint64_t ne[1] = {256};
    put_entry(g, "t", 4, ne, 1, 0);
    put_int(&g->data, 0, 160);
}

static void gap(struct gguf_build *g)
{
    put_entry(g, "t", 0, ne_2x3, 2, 32);
    put_int(&g->data, 0, 64);
}

static void overlap(struct gguf_build *g)
{
    put_tensor(g, "t", 0, ne_2x3, 2, "abcdefghijklmnopqrstuvwx", 24);
    put_entry(g, "u", 0, ne_2x3, 2, 0);
}

static void far_offset(struct gguf_build *g)
{
    put_entry(g, "t", 0, ne_2x3, 2, UINT64_MAX - 31);
    put_int(&g->data, 0, 64);
}

static void trailing(struct gguf_build *g)
{
    put_tensor(g, "t", 0, ne_2x3, 2, "abcdefghijklmnopqrstuvwx", 24);
    put_int(&g->data, 0, 1);
}

static void refuses_damage(void **state)
{
    (void)state;
    static const struct damage cases[] = {
        {"two keys", ERR_FORMAT, "key 'k' once", two_keys},
        {"no key", ERR_RANGE, "1 to 65535 bytes, found 0", no_key},
        {"long key", ERR_FORMAT, "18446744073709551615 bytes of a key", long_key},
        {"wrong type", ERR_FORMAT, "type from 0 to 12, found 13", wrong_type},
        {"wrong element", ERR_FORMAT, "type from 0 to 12, found 99", wrong_element},
        {"nested arrays", ERR_UNSUPPORTED, "no array in an array", nested},
        {"long array", ERR_FORMAT, "2305843009213693952 elements", long_array},
        {"long strings", ERR_FORMAT, "4611686018427387904 elements", long_strings},
        {"cut strings", ERR_FORMAT, "bytes of an array's string", cut_strings},
        {"wrong bool", ERR_FORMAT, "0 or 1, found 2", wrong_bool},
        {"wrong utf-8", ERR_FORMAT, "UTF-8", wrong_utf8},
        {"many keys", ERR_FORMAT, "18446744073709551615 keys", many_keys},
        {"many tensors", ERR_FORMAT, "1152921504606846976 tensors", many_tensors},
        {"alignment 0", ERR_RANGE, "general.alignment", alignment_0},
        {"alignment 48", ERR_RANGE, "power of two, found 48", alignment_48},
        {"alignment text", ERR_FORMAT, "expected an integer, found STRING", alignment_text},
        {"two tensors", ERR_FORMAT, "tensor 't': expected it once", two_tensors},
        {"long name", ERR_RANGE, "1 to 63 bytes, found 64", long_name},
        {"no dimensions", ERR_RANGE, "1 to 4 dimensions, found 0", dims_0},
        {"five dimensions", ERR_RANGE, "1 to 4 dimensions, found 5", dims_5},
        {"empty dimension", ERR_RANGE, "found 0", empty_dim},
        {"huge dimension", ERR_RANGE, "found 18446744073709551615", huge_dim},
        {"huge row", ERR_SHAPE, "rows of 4611686018427387904", huge_row},
        {"huge product", ERR_RANGE, "below 2^63 bytes", huge_product},
        {"half a block", ERR_SHAPE, "whole blocks of 32 values of MXFP4, found rows of 16", half_block},
        {"a type without decoder", ERR_UNSUPPORTED, "found type 23 (IQ4_XS)", no_decoder},
        {"no type", ERR_UNSUPPORTED, "found type 4 (unknown)", no_type},
        {"gap", ERR_FORMAT, "offset 0, found 32", gap},
        {"overlap", ERR_FORMAT, "offset 32, found 0", overlap},
        {"far offset", ERR_FORMAT, "offset 0, found 18446744073709551584", far_offset},
        {"trailing bytes", ERR_FORMAT, "expected 24 bytes of data behind the table, found 33", trailing},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gguf_build build = GGUF_BUILD_INIT;
        struct buf b = BUF_INIT;
        struct gguf g;
        struct arena *a;
        struct err err = ERR_INIT;
        cases[i].make(&build);
        gguf_build(&build, &b);
        enum status s = parse(&b, &g, &a, &err);
        if (s != cases[i].status || !strstr(err.text, cases[i].says) || !strstr(err.text, "f.gguf"))
            fail_msg("%s: status %s, message: %s", cases[i].what, status_name(s), err.text);
        arena_free(a);
        buf_release(&b);
        gguf_build_release(&build);
    }
}

static void refuses_other_starts(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        enum status status;
        const char *says;
    } cases[] = {
        {"GGML\3\0\0\0", 8, ERR_FORMAT, "expected 'GGUF', found other bytes"},
        {"GG", 2, ERR_FORMAT, "too few bytes"},
        {"GGUF\2\0\0\0", 8, ERR_UNSUPPORTED, "expected version 3, little-endian, found 2"},
        {"GGUF\0\0\0\3", 8, ERR_UNSUPPORTED, "big-endian"},
        {"GGUF\3\0\0\0", 8, ERR_FORMAT, "byte 8: expected 8 bytes of tensor count"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = BUF_INIT;
        struct gguf g;
        struct arena *a;
        struct err err = ERR_INIT;
        buf_add(&b, cases[i].bytes, cases[i].n);
        enum status s = parse(&b, &g, &a, &err);
        if (s != cases[i].status || !strstr(err.text, cases[i].says))
            fail_msg("case %zu: status %s, message: %s", i, status_name(s), err.text);
        arena_free(a);
        buf_release(&b);
    }
}

/* One part of a split: part `no` of `count` by its own word, one tensor. */
static void write_part(const char *path, uint32_t no, uint32_t count, uint32_t n_tensors, const char *tensor)
{
    struct gguf_build g = GGUF_BUILD_INIT;
    struct buf b = BUF_INIT;
    if (no == 0)
        put_str(&g, "general.architecture", "qwen3");
    put_key(&g, "split.no", GGUF_U16);
    put_int(&g.kvs, no, 2);
    put_key(&g, "split.count", GGUF_U16);
    put_int(&g.kvs, count, 2);
    put_key(&g, "split.tensors.count", GGUF_I32);
    put_int(&g.kvs, n_tensors, 4);
    if (tensor)
        put_tensor(&g, tensor, 0, ne_2x3, 2, "abcdefghijklmnopqrstuvwx", 24);
    gguf_build(&g, &b);
    write_file(path, &b);
    buf_release(&b);
    gguf_build_release(&g);
}

static void joins_the_parts(void **state)
{
    (void)state;
    char dir[] = "/tmp/assay-gguf-XXXXXX";
    char path[3][64];
    char other[64];
    struct tensors *set = NULL;
    const struct gguf *meta = NULL;
    struct err err = ERR_INIT;
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < 3; i++)
        (void)snprintf(path[i], sizeof path[i], "%s/m-0000%zu-of-00003.gguf", dir, i + 1);
    write_part(path[0], 0, 3, 2, NULL); // metadata alone, as some writers do
    write_part(path[1], 1, 3, 2, "b");
    write_part(path[2], 2, 3, 2, "a");
    if (gguf_open(&set, &meta, path[0], &err))
        fail_msg("%s", err.text);
    assert_int_equal(tensors_count(set), 2);
    assert_int_equal(tensors_n_files(set), 3);
    assert_string_equal(tensors_at(set, 0)->name, "a");
    assert_string_equal(tensors_file(set, tensors_at(set, 0)->file), "m-00003-of-00003.gguf");
    assert_int_equal(tensors_find(set, "b")->data[0], 'a');
    assert_non_null(gguf_find(meta, "general.architecture"));
    tensors_drop(set, tensors_at(set, 0));
    tensors_close(set);

    for (size_t i = 1; i < 60; i++) { // every allocation may fail
        mem_fail_after(i);
        enum status s = gguf_open(&set, &meta, path[0], &err);
        mem_fail_after(0);
        if (s == OK)
            tensors_close(set);
        else
            assert_int_equal(s, ERR_MEMORY);
    }
    assert_int_equal(gguf_open(&set, &meta, path[1], &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "found part 2 of 3: give the first"));
    write_part(path[2], 2, 3, 2, "b");
    assert_int_equal(gguf_open(&set, &meta, path[0], &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "'b': expected it once"));
    write_part(path[2], 1, 3, 2, "a");
    assert_int_equal(gguf_open(&set, &meta, path[0], &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "expected part 3 of 3, found part 2 of 3"));
    write_part(path[2], 2, 4, 2, "a");
    assert_int_equal(gguf_open(&set, &meta, path[0], &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "expected part 3 of 3, found part 3 of 4"));
    write_part(path[2], 2, 3, 2, "a");
    write_part(path[0], 0, 3, 5, NULL);
    assert_int_equal(gguf_open(&set, &meta, path[0], &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "expected 5 tensors in 3 parts, found 2"));
    write_part(path[0], 0, 60000, 2, NULL);
    assert_int_equal(gguf_open(&set, &meta, path[0], &err), ERR_RANGE);
    write_part(path[0], 0, 3, 2, NULL);
    (void)unlink(path[2]);
    assert_int_equal(gguf_open(&set, &meta, path[0], &err), ERR_MISSING);
    assert_non_null(strstr(err.text, "m-00003-of-00003.gguf"));
    (void)snprintf(other, sizeof other, "%s/renamed.gguf", dir);
    assert_int_equal(rename(path[0], other), 0);
    assert_int_equal(gguf_open(&set, &meta, other, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "ends in -00001-of-00003.gguf"));
    (void)unlink(other);
    (void)unlink(path[1]);
    assert_int_equal(gguf_open(&set, &meta, path[1], &err), ERR_MISSING);
    (void)rmdir(dir);
}

static void codes_name_types(void **state)
{
    (void)state;
    uint32_t code = 0;
    assert_true(gguf_code(QUANT_MXFP4, &code) && code == 39);
    assert_true(gguf_code(QUANT_F32, &code) && code == 0);
    assert_false(gguf_code(QUANT_MXFP4_SPLIT, &code));
    assert_false(gguf_code(QUANT_NONE, &code));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_everything), cmocka_unit_test(look_ups_say_what_is_wrong),
        cmocka_unit_test(refuses_truncation), cmocka_unit_test(refuses_damage),
        cmocka_unit_test(refuses_other_starts), cmocka_unit_test(joins_the_parts),
        cmocka_unit_test(codes_name_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
