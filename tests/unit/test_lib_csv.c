#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lib/csvio.h"
#include "lib/records.h"

static void reads(const char *text, size_t rows, size_t cols, const char *const *fields)
{
    struct csv c;
    struct err err = ERR_INIT;
    if (csv_parse_bytes(&c, text, strlen(text), "f.csv", &err))
        fail_msg("%s", err.text);
    assert_int_equal(c.n_rows, rows);
    assert_int_equal(c.n_cols, cols);
    for (size_t i = 0; i < rows * cols; i++)
        assert_string_equal(c.fields[i].text, fields[i]);
    csv_release(&c);
}

static void what_the_rfc_allows(void **state)
{
    (void)state;
    reads("a,b\n1,2\n", 2, 2, (const char *const[]){"a", "b", "1", "2"});
    reads("a,b\r\n1,2\r\n", 2, 2, (const char *const[]){"a", "b", "1", "2"});
    reads("a,b\n\"x,\"\"y\"\"\",\"two\nlines\"\n", 2, 2, (const char *const[]){"a", "b", "x,\"y\"", "two\nlines"});
    reads("a,b\n\"in\r\nside\",\"\"\r\n", 2, 2, (const char *const[]){"a", "b", "in\r\nside", ""});
    reads("a,b\n x , \n", 2, 2, (const char *const[]){"a", "b", " x ", " "}); // libcsv would trim
    reads("a,b\n\t,#c\n", 2, 2, (const char *const[]){"a", "b", "\t", "#c"});
    reads("a\n\"\"\n", 2, 1, (const char *const[]){"a", ""});
    reads("a,b,\n,,\n", 2, 3, (const char *const[]){"a", "b", "", "", "", ""});
    reads("\xC3\xA9\n", 1, 1, (const char *const[]){"\xC3\xA9"});
}

static void refuses(const char *text, size_t n, const char *part)
{
    struct csv c;
    struct err err = ERR_INIT;
    enum status s = csv_parse_bytes(&c, text, n, "f.csv", &err);
    if (s != ERR_FORMAT || !strstr(err.text, part))
        fail_msg("expected '%s', found %s: %s", part, status_name(s), err.text);
    csv_release(&c);
}
#define REFUSES(text, part) refuses(text, sizeof(text) - 1, part)

static void what_it_does_not(void **state)
{
    (void)state;
    REFUSES("", "an empty file");
    REFUSES("\xEF\xBB\xBF" "a\n", "f.csv:1:1: expected a header row, found a byte order mark");
    REFUSES("a,b\n1,2", "line end after the last row");
    REFUSES("a,b\n1\n", "f.csv:2:1: expected 2 fields as in the header, found 1");
    REFUSES("a,b\n1,2,3\n", "found 3");
    REFUSES("a,b\n\n1,2\n", "f.csv:2:1: expected a row, found a blank line");
    REFUSES("a,b\n1,2\n\n", "blank line");
    REFUSES("a,b\r1,2\r\n", "f.csv:1:4: expected LF or CRLF, found a lone CR");
    REFUSES("a,b\n\"1\"\r,2\n", "lone CR");
    REFUSES("a,b\n1,x\"y\n", "f.csv:2:4: expected a well-formed field, found a stray quote");
    REFUSES("a,b\n1,\"x\"y\n", "stray quote");
    REFUSES("a,b\n1,\"x\n", "f.csv:2:3: expected a closing quote");
    REFUSES("a,b\n1,\0\n", "f.csv:2:3: expected UTF-8 text, found byte 0x00");
    REFUSES("a,b\n1,\xFF\n", "found byte 0xff");
    REFUSES("a,b\n\xED\xA0\x80,1\n", "f.csv:2:1: expected UTF-8 text");
}

static void positions(void **state)
{
    (void)state;
    static const char text[] = "a,bb,c\n\"x\ny\",2,3\n4,5,6\n";
    static const size_t where[][2] = {{1, 1}, {1, 3}, {1, 6}, {2, 1}, {3, 4}, {3, 6}, {4, 1}, {4, 3}, {4, 5}};
    struct csv c;
    assert_int_equal(csv_parse_bytes(&c, text, sizeof text - 1, "f", NULL), OK);
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(c.fields[i].line, where[i][0]);
        assert_int_equal(c.fields[i].column, where[i][1]);
    }
    assert_string_equal(csv_at(&c, 1, 2)->text, "3");
    csv_release(&c);
}

static void writing_quotes_only_when_due(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    csv_write_row(&b, (const char *const[]){"plain", "a,b", "say \"x\"", "l\nf", "c\rr", " out", "er ", "in side", ""}, 9);
    csv_write_row(&b, (const char *const[]){""}, 1);
    assert_string_equal(b.data, "plain,\"a,b\",\"say \"\"x\"\"\",\"l\nf\",\"c\rr\",\" out\",\"er \",in side,\n\"\"\n");
    buf_release(&b);
}

static void memory_runs_out(void **state)
{
    (void)state;
    static const char text[] = "a,b\n1,2\n3,4\n";
    enum status s = ERR_MEMORY;
    for (size_t n = 1; s == ERR_MEMORY; n++) {
        struct csv c;
        mem_fail_after(n);
        s = csv_parse_bytes(&c, text, sizeof text - 1, "f", NULL);
        mem_fail_after(0);
        csv_release(&c);
    }
    assert_int_equal(s, OK);
}

/* JSONL: requests as people write them, and the canonical form. */
static void records_both_ways(void **state)
{
    (void)state;
    static const char text[] = "{\"prompt\": \"hi\", \"id\": \"b\", \"seed\": null}\n{\"id\":\"a\",\"max_tokens\":3,\"stop\":[\"x\"]}\n";
    struct records *r;
    struct records *again;
    struct buf b = BUF_INIT;
    struct err err = ERR_INIT;
    if (records_parse(&r, "requests", text, sizeof text - 1, "r.jsonl", RECORDS_ANY, &err))
        fail_msg("%s", err.text);
    assert_int_equal(records_count(r), 2);
    assert_int_equal(records_line(r, 0), 2); // sorted by id
    assert_int_equal(records_write(r, &b, &err), OK);
    assert_string_equal(b.data, "{\"id\":\"a\",\"max_tokens\":3,\"stop\":[\"x\"]}\n{\"id\":\"b\",\"prompt\":\"hi\"}\n");
    assert_int_equal(records_parse(&again, "requests/1", b.data, b.n, "r", RECORDS_CANONICAL, &err), OK);
    records_free(again);
    assert_int_equal(records_parse(&again, "requests", text, sizeof text - 1, "r", RECORDS_CANONICAL, &err), ERR_FORMAT);
    records_free(r);
    buf_release(&b);
}

static void records_refuse(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"id\":\"a\"}", "expected a line end"},
        {"{\"id\":\"a\"}\n\n", "r:2:1:1: expected a JSON value"},
        {"{\"id\":\"a\"}\n{\"id\":\"a\"}\n", "'a' twice"},
        {"{\"prompt\":\"x\"}\n", "r:1: expected key \"id\""},
        {"{\"id\":\"a\",\"colour\":1}\n", "found \"colour\""},
        {"{\"id\":\"a\",\"max_tokens\":1.5}\n", "\"max_tokens\": expected an integer"},
        {"{\"id\":\"a\",\"max_tokens\":-1}\n", "\"max_tokens\": expected an integer"},
        {"{\"id\":\"a\",\"stop\":[1]}\n", "an array of strings"},
        {"{\"id\":\"a\",\"kind\":\"sing\"}\n", "expected one of generate, score, found 'sing'"},
        {"[1]\n", "expected an object"},
        {"{\"id\":\"a\",\"id\":\"b\"}\n", "unique keys"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct records *r;
        struct err err = ERR_INIT;
        enum status s = records_parse(&r, "requests", cases[i][0], strlen(cases[i][0]), "r", RECORDS_ANY, &err);
        if (s != ERR_FORMAT || !strstr(err.text, cases[i][1]))
            fail_msg("%zu: expected '%s', found %s: %s", i, cases[i][1], status_name(s), err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_rfc_allows), cmocka_unit_test(what_it_does_not), cmocka_unit_test(positions),
        cmocka_unit_test(writing_quotes_only_when_due), cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(records_both_ways), cmocka_unit_test(records_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
