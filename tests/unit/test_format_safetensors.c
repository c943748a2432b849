#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "format/safetensors.h"

/* A container of this header and n_data bytes 0, 1, 2, ... */
static void container(struct buf *b, const char *header, size_t n_data)
{
    size_t len = strlen(header);
    for (unsigned i = 0; i < 8; i++)
        buf_char(b, (char)(uint64_t)(len >> (8 * i) & 255));
    buf_str(b, header);
    for (size_t i = 0; i < n_data; i++)
        buf_char(b, (char)(i & 255));
    assert_false(b->failed);
}

static enum status parse(const char *bytes, size_t n, struct container *c, struct arena **a, struct err *err)
{
    union {
        const char *c;
        const uint8_t *b;
    } p = {.c = bytes};
    assert_int_equal(arena_new(a, 0, NULL), OK);
    return safetensors_parse(c, *a, p.b, n, "f.safetensors", err);
}

#define TWO                                                                                      \
    "{\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[4,16]},\"__metadata__\":"      \
    "{\"format\":\"pt\",\"generator\":\"g\"},\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}," \
    "\"z\":{\"dtype\":\"U8\",\"shape\":[0,7],\"data_offsets\":[4,4]}}  "

static void reads_tensors(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct container c;
    struct arena *a;
    struct err err = ERR_INIT;
    container(&b, TWO, 16);
    assert_int_equal(parse(b.data, b.n, &c, &a, &err), OK);
    assert_int_equal(c.n, 3);
    assert_string_equal(c.generator, "g");
    assert_string_equal(c.tensors[0].name, "a"); // by data offset
    assert_int_equal(c.tensors[0].n_dims, 0);
    assert_int_equal(c.tensors[0].n_bytes, 4);
    assert_string_equal(c.tensors[1].name, "z");
    assert_string_equal(c.tensors[2].name, "b");
    assert_int_equal(c.tensors[2].shape[1], 3);
    assert_int_equal(c.tensors[2].data[0], 4);
    arena_free(a);
    buf_release(&b);
}

/* Every proper prefix must be refused, whatever it cuts. */
static void refuses_truncation(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    container(&b, TWO, 16);
    for (size_t n = 0; n < b.n; n++) {
        struct container c;
        struct arena *a;
        struct err err = ERR_INIT;
        assert_int_not_equal(parse(b.data, n, &c, &a, &err), OK);
        assert_non_null(strstr(err.text, "f.safetensors"));
        arena_free(a);
    }
    buf_release(&b);
}

#define T(dtype, shape, from, to) \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}}"

static void refuses_damage(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t n_data;
        enum status status;
        const char *says;
    } cases[] = {
        {T("\"F32\"", "[2]", "0", "8"), 9, ERR_FORMAT, "expected 8 bytes of data"},
        {T("\"F32\"", "[2]", "0", "8"), 7, ERR_RANGE, "within 7 bytes"},
        {T("\"F32\"", "[2]", "1", "9"), 9, ERR_FORMAT, "a hole"},
        {T("\"F32\"", "[2]", "8", "0"), 8, ERR_RANGE, "ascending"},
        {T("\"F32\"", "[3]", "0", "8"), 8, ERR_SHAPE, "expected 12 bytes for F32 [3], found 8"},
        {T("\"F33\"", "[2]", "0", "8"), 8, ERR_UNSUPPORTED, "known dtype"},
        {T("7", "[2]", "0", "8"), 8, ERR_FORMAT, "dtype"},
        {T("\"F32\"", "[2.5]", "0", "8"), 8, ERR_FORMAT, "integers"},
        {T("\"F32\"", "[-2]", "0", "8"), 8, ERR_FORMAT, "integers"},
        {T("\"F32\"", "2", "0", "8"), 8, ERR_FORMAT, "shape"},
        {T("\"F32\"", "[4294967296,4294967296,4]", "0", "8"), 8, ERR_RANGE, "2^61"},
        {T("\"F4\"", "[3]", "0", "2"), 2, ERR_SHAPE, "whole bytes"},
        {T("\"U8\"", "[1,1,1,1,1,1,1,1,1]", "0", "1"), 1, ERR_UNSUPPORTED, "8 dimensions"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
         3, ERR_FORMAT, "overlap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}",
         3, ERR_FORMAT, "twice"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2],\"stride\":[1]}}", 2, ERR_UNSUPPORTED, "stride"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0]}}", 2, ERR_FORMAT, "data_offsets"},
        {"{\"a\":[]}", 0, ERR_FORMAT, "object"},
        {"{\"w\":{}}", 0, ERR_FORMAT, "dtype"},
        {"{\"__metadata__\":{\"x\":1}}", 0, ERR_FORMAT, "string"},
        {"{} x", 0, ERR_FORMAT, "end of input"},
        {" {}", 0, ERR_FORMAT, "starts with '{'"},
        {"{\"\xff\":{}}", 0, ERR_FORMAT, "UTF-8"},
        {"", 0, ERR_FORMAT, "starts with '{'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = BUF_INIT;
        struct container c;
        struct arena *a;
        struct err err = ERR_INIT;
        container(&b, cases[i].header, cases[i].n_data);
        enum status s = parse(b.data, b.n, &c, &a, &err);
        if (s != cases[i].status || !strstr(err.text, cases[i].says))
            fail_msg("%s: status %s, message: %s", cases[i].header, status_name(s), err.text);
        arena_free(a);
        buf_release(&b);
    }
}

static void refuses_long_header(void **state)
{
    (void)state;
    struct container c;
    struct arena *a;
    struct err err = ERR_INIT;
    const char bytes[9] = {1, (char)0xe1, (char)0xf5, 5, 0, 0, 0, 0, '{'}; // 100,000,001
    assert_int_equal(parse(bytes, sizeof bytes, &c, &a, &err), ERR_RANGE);
    arena_free(a);
    const char huge[9] = {-1, -1, -1, -1, -1, -1, -1, -1, '{'};
    assert_int_equal(parse(huge, sizeof huge, &c, &a, &err), ERR_RANGE);
    arena_free(a);
}

static void put(const char *dir, const char *name, const char *data, size_t n)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* The map decides: a shard's tensor that the map gives to another file is not that one. */
static void follows_the_index(void **state)
{
    (void)state;
    char dir[] = "/tmp/assay-st-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct buf b = BUF_INIT;
    struct err err = ERR_INIT;
    container(&b, "{\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
                  "\"y\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}", 3);
    put(dir, "m-00000-of-00001.safetensors", b.data, b.n);
    buf_clear(&b);
    container(&b, "{\"y\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4);
    put(dir, "m-00001-of-00001.safetensors", b.data, b.n);
    static const char index[] = "{\"metadata\":{\"total_size\":6},\"weight_map\":{"
                                "\"y\":\"m-00001-of-00001.safetensors\",\"x\":\"m-00000-of-00001.safetensors\"}}";
    put(dir, "model.safetensors.index.json", index, strlen(index));
    struct tensors *s;
    assert_int_equal(safetensors_open(&s, dir, &err), OK);
    assert_int_equal(tensors_count(s), 2);
    assert_int_equal(tensors_find(s, "y")->n_bytes, 4);
    assert_int_equal(tensors_find(s, "x")->n_bytes, 2);
    assert_null(tensors_find(s, "z"));
    assert_int_equal(tensors_n_files(s), 3);
    assert_string_equal(tensors_file(s, 0), "model.safetensors.index.json");
    tensors_drop(s, tensors_find(s, "x"));
    tensors_close(s);

    static const struct {
        const char *index;
        enum status status;
        const char *says;
    } bad[] = {
        {"{\"weight_map\":{\"q\":\"m-00001-of-00001.safetensors\"}}", ERR_MISSING, "tensor 'q'"},
        {"{\"weight_map\":{\"x\":\"../m.safetensors\"}}", ERR_FORMAT, "without '/'"},
        {"{\"weight_map\":{\"x\":\"none.safetensors\"}}", ERR_MISSING, "none.safetensors"},
        {"{\"weight_map\":{\"x\":3}}", ERR_FORMAT, "weight_map"},
        {"{\"weight_map\":{}}", ERR_FORMAT, "empty map"},
        {"{\"weight_map\":[]}", ERR_FORMAT, "weight_map"},
        {"{", ERR_FORMAT, "model.safetensors.index.json:1:2"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put(dir, "model.safetensors.index.json", bad[i].index, strlen(bad[i].index));
        enum status st = safetensors_open(&s, dir, &err);
        if (st != bad[i].status || !strstr(err.text, bad[i].says))
            fail_msg("%s: status %s, message: %s", bad[i].index, status_name(st), err.text);
    }
    for (size_t i = 1; i < 40; i++) { // every allocation may fail
        put(dir, "model.safetensors.index.json", index, strlen(index));
        mem_fail_after(i);
        enum status st = safetensors_open(&s, dir, &err);
        mem_fail_after(0);
        if (st == OK)
            tensors_close(s);
        else
            assert_int_equal(st, ERR_MEMORY);
    }
    static const char *const names[] = {"m-00000-of-00001.safetensors", "m-00001-of-00001.safetensors",
                                        "model.safetensors.index.json"};
    for (size_t i = 0; i < 3; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(dir);
    assert_int_equal(safetensors_open(&s, dir, &err), ERR_MISSING);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_tensors),       cmocka_unit_test(refuses_truncation),
        cmocka_unit_test(refuses_damage),      cmocka_unit_test(refuses_long_header),
        cmocka_unit_test(follows_the_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
