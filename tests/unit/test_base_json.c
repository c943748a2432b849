#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"

static enum status parse(const char *text, cJSON **out, struct err *err)
{
    return json_parse(out, text, strlen(text), "f.json", err);
}

static void refuses(const char *text, enum status s, const char *part)
{
    cJSON *v = NULL;
    struct err err = ERR_INIT;
    enum status got = parse(text, &v, &err);
    if (got != s || !strstr(err.text, part))
        fail_msg("'%s': expected %s with '%s', found %s: %s", text, status_name(s), part, status_name(got), err.text);
}

static void strictness(void **state)
{
    (void)state;
    refuses("", ERR_FORMAT, "f.json:1:1: expected a JSON value, found end of input");
    refuses("{\"a\":1,\"a\":2}", ERR_FORMAT, "unique keys");
    refuses("{\"a\":1,\"\\u0061\":2}", ERR_FORMAT, "\"a\" twice");
    refuses("[{\"x\":{\"b\":1,\"b\":1}}]", ERR_FORMAT, "\"b\" twice");
    refuses("1 2", ERR_FORMAT, "1:3: expected end of input, found '2'");
    refuses("[1,]", ERR_FORMAT, "found ']'");
    refuses("{\"a\":1,}", ERR_FORMAT, "a key in quotes");
    refuses("{'a':1}", ERR_FORMAT, "a key in quotes");
    refuses("01", ERR_FORMAT, "a number");
    refuses("1.", ERR_FORMAT, "a number");
    refuses("-", ERR_FORMAT, "a number");
    refuses("NaN", ERR_FORMAT, "a JSON value");
    refuses("nul", ERR_FORMAT, "a JSON value");
    refuses("1e999", ERR_RANGE, "a finite number");
    refuses("9007199254740992", ERR_RANGE, "2^53-1");
    refuses("1e20", ERR_RANGE, "2^53-1"); // would be written 100000000000000000000 (found by the fuzzer)
    refuses("\"\x01\"", ERR_FORMAT, "end of a string, found byte 0x01");
    refuses("\"a", ERR_FORMAT, "end of a string, found end of input");
    refuses("\"\\x\"", ERR_FORMAT, "known escape");
    refuses("\"\\u0000\"", ERR_FORMAT, "U+0000");
    refuses("\"\\ud800\"", ERR_FORMAT, "low surrogate");
    refuses("\"\\udc00\"", ERR_FORMAT, "high surrogate");
    refuses("\"\\u12g4\"", ERR_FORMAT, "four hex digits");
    refuses("\"\xC3\x28\"", ERR_FORMAT, "valid UTF-8");
    refuses("\"\xED\xA0\x80\"", ERR_FORMAT, "valid UTF-8");
    refuses("\n\n  x", ERR_FORMAT, "f.json:3:3:");
    refuses("// c\n1", ERR_FORMAT, "a JSON value");
}

static void a_nul_byte_is_no_end(void **state)
{
    (void)state;
    cJSON *v = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(json_parse(&v, "1\0", 2, "f", &err), ERR_FORMAT);
    assert_int_equal(json_parse(&v, "\"a\0b\"", 5, "f", &err), ERR_FORMAT);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char text[400];
    cJSON *v;
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    assert_int_equal(json_parse(&v, text, 130, "f", NULL), ERR_RANGE);
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    assert_int_equal(json_parse(&v, text, 128, "f", NULL), OK);
    cJSON_Delete(v);
    memset(text, '[', sizeof text);
    assert_int_equal(json_parse(&v, text, sizeof text, "f", NULL), ERR_RANGE);
}

static void canonical_form(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {" { \"b\" : 1 , \"a\" : [ true , null , -0 ] } ", "{\"a\":[true,null,0],\"b\":1}"},
        {"\"\\u20ac\\u0007\\n\\/\\\"\"", "\"\xE2\x82\xAC\\u0007\\n/\\\"\""},
        {"[1.0,1e2,333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001]",
         "[1,100,333333333.3333333,1e+30,4.5,0.002,1e-27]"},
        {"\"\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80\""},
        {"{}", "{}"},
        {"[]", "[]"},
        {"{\"\":0}", "{\"\":0}"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        cJSON *v;
        struct buf b = BUF_INIT;
        struct err err = ERR_INIT;
        if (parse(pairs[i][0], &v, &err))
            fail_msg("%s", err.text);
        assert_int_equal(json_write_canonical(&b, v, &err), OK);
        assert_string_equal(b.data, pairs[i][1]);
        cJSON_Delete(v);
        assert_int_equal(json_parse(&v, b.data, b.n, "again", &err), OK);
        cJSON_Delete(v);
        buf_release(&b);
    }
    cJSON *inf = cJSON_CreateNumber(1e308 * 10);
    struct buf b = BUF_INIT;
    assert_int_equal(json_write_canonical(&b, inf, NULL), ERR_RANGE);
    cJSON_Delete(inf);
    cJSON *big = cJSON_CreateNumber(9007199254740992.0);
    assert_int_equal(json_write_canonical(&b, big, NULL), ERR_RANGE);
    cJSON_Delete(big);
    buf_release(&b);
}

static void look_ups(void **state)
{
    (void)state;
    cJSON *v;
    int64_t i;
    double d;
    bool flag;
    const char *s;
    struct err err = ERR_INIT;
    assert_int_equal(parse("{\"n\":3,\"x\":1.5,\"s\":\"t\",\"b\":true,\"z\":null}", &v, &err), OK);
    assert_int_equal(json_get_i64(v, "n", 0, 3, "w", &i, &err), OK);
    assert_int_equal(i, 3);
    assert_int_equal(json_get_i64(v, "n", 0, 2, "w", &i, &err), ERR_RANGE);
    assert_int_equal(json_get_i64(v, "x", 0, 9, "w", &i, &err), ERR_FORMAT);
    assert_int_equal(json_get_i64(v, "N", 0, 9, "w", &i, &err), ERR_FORMAT); // case matters
    assert_non_null(strstr(err.text, "w: \"N\": expected a number, found nothing"));
    assert_int_equal(json_get_i64_or(v, "z", 8, 0, 9, "w", &i, &err), OK);
    assert_int_equal(i, 8);
    assert_int_equal(json_get_f64(v, "s", 0, 9, "w", &d, &err), ERR_FORMAT);
    assert_int_equal(json_get_f64_or(v, "q", 2.5, 0, 9, "w", &d, &err), OK);
    assert_true(d == 2.5);
    assert_int_equal(json_get_str(v, "s", "w", &s, &err), OK);
    assert_string_equal(s, "t");
    assert_int_equal(json_get_str(v, "n", "w", &s, &err), ERR_FORMAT);
    assert_int_equal(json_get_bool_or(v, "b", false, "w", &flag, &err), OK);
    assert_true(flag);
    assert_int_equal(json_get_bool_or(v, "n", false, "w", &flag, &err), ERR_FORMAT);
    cJSON_Delete(v);
}

/* Every n-th allocation of parse and write fails once: a clean status, no leak (under ASan), no crash. */
static void out_of_memory(void **state)
{
    (void)state;
    static const char text[] = "{\"b\":[1,2,{\"c\":\"d\"}],\"a\":{\"x\":{},\"y\":null}}";
    enum status s = ERR_MEMORY;
    for (size_t n = 1; s == ERR_MEMORY && n < 100; n++) {
        cJSON *v = NULL;
        struct buf b = BUF_INIT;
        struct err err = ERR_INIT;
        mem_fail_after(n);
        s = json_parse(&v, text, sizeof text - 1, "f", &err);
        if (!s)
            s = json_write_canonical(&b, v, &err);
        mem_fail_after(0);
        assert_true(s == OK || s == ERR_MEMORY);
        cJSON_Delete(v);
        buf_release(&b);
    }
    assert_int_equal(s, OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strictness),     cmocka_unit_test(a_nul_byte_is_no_end), cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(canonical_form), cmocka_unit_test(look_ups),             cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
