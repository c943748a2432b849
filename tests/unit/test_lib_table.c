#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/table.h"

/* machine/1 has integers, text and a two-part key; accuracy/1 has reals. */

static void add(struct table *t, const char *dev, int64_t at, int64_t power)
{
    table_row(t);
    table_set_text(t, "dev", dev);
    table_set_i64(t, "t_ns", at);
    if (power >= 0)
        table_set_i64(t, "power_uw", power);
}

static void rows_are_sorted_and_round_trip(void **state)
{
    (void)state;
    struct table *t;
    struct table *back;
    struct err err = ERR_INIT;
    struct buf a = BUF_INIT;
    struct buf b = BUF_INIT;
    struct buf j = BUF_INIT;
    assert_int_equal(table_new(&t, "machine", &err), OK);
    add(t, "gpu,0", 20, 5);
    add(t, "cpu", 100, -1);
    add(t, "cpu", 9, 7);
    assert_int_equal(table_write_csv(t, &a, &err), OK);
    assert_non_null(strstr(a.data, "\n9,cpu,7,,,,,,,,,,,\n100,cpu,,,,,,,,,,,,\n20,\"gpu,0\",5,"));
    assert_int_equal(table_parse(&back, "machine/1", a.data, a.n, "m.csv", TABLE_CANONICAL, &err), OK);
    assert_int_equal(table_n_rows(back), 3);
    assert_false(table_has(back, 1, "power_uw"));
    assert_int_equal(table_i64(back, 0, "power_uw"), 7);
    assert_string_equal(table_text(back, 2, "dev"), "gpu,0");
    assert_int_equal(table_write_csv(back, &b, &err), OK);
    assert_string_equal(a.data, b.data);
    assert_int_equal(table_write_json(back, &j, &err), OK);
    table_free(back);
    assert_int_equal(table_parse_json(&back, "machine", j.data, j.n, "m.json", TABLE_CANONICAL, &err), OK);
    buf_clear(&b);
    assert_int_equal(table_write_csv(back, &b, &err), OK);
    assert_string_equal(a.data, b.data);
    table_free(back);
    table_free(t);
    buf_release(&a);
    buf_release(&b);
    buf_release(&j);
}

static void expect_mistake(struct table *t, const char *part)
{
    struct err err = ERR_INIT;
    assert_int_not_equal(table_finish(t, &err), OK);
    if (!strstr(err.text, part))
        fail_msg("expected '%s' in '%s'", part, err.text);
    table_free(t);
}

static struct table *fresh(void)
{
    struct table *t;
    assert_int_equal(table_new(&t, "machine", NULL), OK);
    return t;
}

static void setters_keep_the_first_mistake(void **state)
{
    (void)state;
    struct table *t = fresh();
    add(t, "cpu", 1, 1);
    table_set_i64(t, "nothing", 3);
    table_set_i64(t, "dev", 3);
    expect_mistake(t, "column 'nothing' is not in the schema");
    t = fresh();
    add(t, "cpu", 1, 1);
    table_set_i64(t, "dev", 3);
    expect_mistake(t, "column 'dev' has another type");
    t = fresh();
    table_row(t);
    table_set_text(t, "dev", "x");
    expect_mistake(t, "column 't_ns' is missing");
    t = fresh();
    add(t, "cpu", 1, 1);
    add(t, "cpu", 1, 2);
    expect_mistake(t, "unique keys");
    t = fresh();
    table_set_i64(t, "t_ns", 1);
    expect_mistake(t, "before the first row");
}

static void expect_refused(const char *schema, const char *text, unsigned flags, const char *part)
{
    struct table *t;
    struct err err = ERR_INIT;
    enum status s = table_parse(&t, schema, text, strlen(text), "f.csv", flags, &err);
    assert_int_not_equal(s, OK);
    if (!strstr(err.text, part))
        fail_msg("expected '%s' in '%s'", part, err.text);
}

#define HEAD "t_ns,dev,energy_uj,power_uw,ok\n"

static void reading_refuses(void **state)
{
    (void)state;
    expect_refused("power_trace", HEAD "1,cpu,5,x,1\n", TABLE_ANY, "f.csv:2:9: power_uw: expected an integer, found 'x'");
    expect_refused("power_trace", HEAD "1,,5,5,1\n", TABLE_ANY, "f.csv:2:3: dev: expected a value");
    expect_refused("power_trace", HEAD "1,cpu,5,5,2\n", TABLE_ANY, "expected 0 to 1");
    expect_refused("power_trace", "t_ns,dev,energy_uj,power,ok\n", TABLE_ANY, "expected column 'power_uw'");
    expect_refused("power_trace", "t_ns,dev,energy_uj,power_uw,ok,more\n", TABLE_ANY, "found 'more' as well");
    expect_refused("power_trace", "t_ns,dev,dev,power_uw,ok\n", TABLE_ANY, "unique column names");
    expect_refused("power_trace", HEAD "2,cpu,,,1\n1,cpu,,,1\n", TABLE_CANONICAL, "f.csv:2:1: expected canonical form");
    expect_refused("power_trace", HEAD "1,\"cpu\",,,1\n", TABLE_CANONICAL, "canonical form");
    expect_refused("power_trace", "t_ns,dev,energy_uj,power_uw,ok\r\n1,cpu,,,1\r\n", TABLE_CANONICAL, "canonical form");
    expect_refused("power_trace", HEAD "01,cpu,,,1\n", TABLE_ANY, "expected an integer");
    expect_refused("accuracy_cost", "model,task,n,correct,s_per_item,j_per_item,j_per_correct,out_tok_mean,in_cached_tok,draft\nm,t,1,1,1.50,,,,,1\n",
                   TABLE_CANONICAL, "canonical form");
    expect_refused("bands", "metric,statistic,kind,band,min_samples,source\nm,p50,absolute,1e20,0,x\n", TABLE_ANY, "found 1e20");
    expect_refused("nonsense", HEAD, TABLE_ANY, "schema 'nonsense' is not known");
}

static void reals_are_rounded_and_shortest(void **state)
{
    (void)state;
    struct table *t;
    struct err err = ERR_INIT;
    assert_int_equal(table_new(&t, "accuracy_cost", &err), OK);
    table_row(t);
    table_set_text(t, "model", "m");
    table_set_text(t, "task", "t");
    table_set_i64(t, "n", 1);
    table_set_i64(t, "correct", 1);
    table_set_bool(t, "draft", true);
    table_set_f64(t, "s_per_item", 0.1 + 0.2);
    table_set_f64(t, "j_per_item", 123456789012345.678);
    table_set_f64(t, "j_per_correct", -0.0000001);
    table_set_i64(t, "out_tok_mean", 3);
    assert_int_equal(table_finish(t, &err), OK);
    assert_string_equal(table_text(t, 0, "s_per_item"), "0.3");
    assert_string_equal(table_text(t, 0, "j_per_item"), "123456789012346");
    assert_string_equal(table_text(t, 0, "j_per_correct"), "0");
    assert_string_equal(table_text(t, 0, "out_tok_mean"), "3");
    assert_string_equal(table_text(t, 0, "draft"), "1");
    table_free(t);
}

static void every_schema_parses(void **state)
{
    (void)state;
    struct schema_set *set;
    struct err err = ERR_INIT;
    if (schema_set_new(&set, &err))
        fail_msg("%s", err.text);
    assert_true(schema_set_count(set) > 20);
    for (size_t i = 0; i < schema_set_count(set); i++) {
        const struct schema *s = schema_set_at(set, i);
        for (size_t k = 0; k < s->n_columns && s->format == SCHEMA_CSV; k++)
            assert_true(s->columns[k].type <= COLUMN_BOOL);
        for (size_t k = 0; k < s->n_columns; k++)
            if (!s->columns[k].doc[0]) // the manual is made of these texts
                fail_msg("%s: column '%s' does not say what it holds", s->id, s->columns[k].name);
    }
    schema_set_free(set);
}

static void bad_schemas_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "{\"schema\":\"x\",\"file\":\"x\",\"title\":\"x\",\"format\":\"csv\",\"class\":\"exact\",\"columns\":[]}",
        "{\"schema\":\"x/1\",\"file\":\"x\",\"title\":\"x\",\"format\":\"tsv\",\"class\":\"exact\",\"columns\":[]}",
        "{\"schema\":\"x/1\",\"file\":\"x\",\"title\":\"x\",\"format\":\"csv\",\"class\":\"sure\",\"columns\":[]}",
        "{\"schema\":\"x/1\",\"file\":\"x\",\"title\":\"x\",\"format\":\"csv\",\"class\":\"exact\",\"columns\":[],\"keys\":[\"a\"]}",
        "{\"schema\":\"x/1\",\"file\":\"x\",\"title\":\"x\",\"format\":\"csv\",\"class\":\"exact\",\"columns\":[{\"name\":\"a\",\"type\":\"enum\"}]}",
        "{\"schema\":\"x/1\",\"file\":\"x\",\"title\":\"x\",\"format\":\"csv\",\"class\":\"exact\",\"columns\":[{\"name\":\"a\",\"type\":\"int\"},{\"name\":\"a\",\"type\":\"int\"}]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct schema *s;
        assert_int_equal(schema_parse(&s, bad[i], strlen(bad[i]), "s", NULL), ERR_FORMAT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_sorted_and_round_trip), cmocka_unit_test(setters_keep_the_first_mistake),
        cmocka_unit_test(reading_refuses),                cmocka_unit_test(reals_are_rounded_and_shortest),
        cmocka_unit_test(every_schema_parses),            cmocka_unit_test(bad_schemas_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
