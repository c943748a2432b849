#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "figure/figure_query.h"

enum { N_COLS = 6 };

/* Made-up rows: model, metric, tok, value, lo, reason. */
static const char *const cols[N_COLS] = {"model", "metric", "tok", "value", "lo", "reason"};
static const char *const cells[][N_COLS] = {
    {"b", "ttft", "128", "2.5", "2.4", ""},  {"a", "ttft", "1024", "9", "", ""},
    {"a", "ttft", "64", "1", "0.9", ""},     {"b", "ttft", "64", "1.5", "1.4", ""},
    {"a", "p99", "64", "", "", "too few"},   {"b", "p99", "64", "", "", "too few"},
    {"a", "kv", "64", "4096", "", ""},       {"a", "kv", "1024", "4096", "", ""},
    {"b", "joule", "64", "", "", "no meter"}};

struct fixture {
    struct arena *a;
    const char *cols[N_COLS];
    const char *cells[sizeof cells / sizeof cells[0] * N_COLS];
    struct grid grid[2];
    struct grids grids;
};

static int setup(void **state)
{
    struct arena *a = NULL;
    void *mem = NULL;
    if (arena_new(&a, 1 << 14, NULL) || arena_alloc(a, &mem, 1, sizeof(struct fixture), NULL))
        return -1;
    struct fixture *f = mem;
    f->a = a;
    memcpy(f->cols, cols, sizeof cols);
    memcpy(f->cells, cells, sizeof cells);
    f->grid[0] = (struct grid){.name = "u", .path = "u.csv", .n_cols = N_COLS,
                              .n_rows = sizeof cells / sizeof cells[0], .cols = f->cols, .cells = f->cells};
    f->grid[1] = (struct grid){.name = "gone", .path = "gone", .absent = "not available on this machine"};
    f->grids = (struct grids){.grid = f->grid, .n = 2};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_free(f->a);
    return 0;
}

static enum status run(struct fixture *f, const char *text, struct dataset *d, struct query *q, struct err *err)
{
    enum status st = query_parse(q, text, "t:1", f->a, err);
    return st ? st : query_run(d, q, &f->grids, "t:1", f->a, err);
}

static void expect_cells(const struct dataset *d, size_t n, const char *const *want)
{
    assert_int_equal(d->n_rows * d->n_cols, n);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(d->cells[i], want[i]);
}

static void blocks_sorted_by_number(void **state)
{
    struct query q;
    struct dataset d;
    struct err err = ERR_INIT;
    const char *want[] = {"a", "64", "1", "0.9", "a", "1024", "9", "",
                          "b", "64", "1.5", "1.4", "b", "128", "2.5", "2.4"};
    assert_int_equal(run(*state, "x by model key tok from u where metric=ttft take value lo", &d, &q, &err), OK);
    assert_int_equal(d.n_blocks, 2);
    assert_int_equal(d.n_cols, 4);
    expect_cells(&d, 16, want);
}

static void extreme_and_alternatives(void **state)
{
    struct query q;
    struct dataset d;
    const char *most[] = {"a", "9"}, *least[] = {"a", "1", "b", "1.5"};
    assert_int_equal(run(*state, "x by model from u where metric=ttft tok=@max take value", &d, &q, NULL), OK);
    expect_cells(&d, 2, most);
    assert_int_equal(run(*state, "x by model from u where metric=ttft tok=@min take value", &d, &q, NULL), OK);
    expect_cells(&d, 4, least);
    assert_int_equal(run(*state, "x key tok from u where metric=kv|none model!=b take value", &d, &q, NULL), OK);
    assert_int_equal(d.n_rows, 2);
    assert_string_equal(d.cells[0], "64");
}

static void keys_join_and_sort_by_value(void **state)
{
    struct query q;
    struct dataset d;
    const char *want[] = {"kv 64", "4096", "kv 1024", "4096", "ttft 64", "1", "ttft 1024", "9"};
    assert_int_equal(run(*state, "x by metric+tok from u where model=a take value", &d, &q, NULL), OK);
    assert_int_equal(d.n_blocks, 4);
    expect_cells(&d, 8, want);
}

static void join_keeps_common_keys(void **state)
{
    struct query q;
    struct dataset d;
    const char *want[] = {"a", "64", "1", "4096", "a", "1024", "9", "4096"};
    const char *left[] = {"a", "64", "1", "4096", "a", "1024", "9", "4096", "b", "64", "1.5", "", "b", "128", "2.5", ""};
    assert_int_equal(run(*state,
                         "x by model key tok from u where metric=ttft take value from u where metric=kv take value", &d,
                         &q, NULL),
                     OK);
    expect_cells(&d, 8, want);
    assert_int_equal(run(*state,
                         "x by model key tok from u where metric=ttft take value with u where metric=kv take value", &d,
                         &q, NULL),
                     OK);
    expect_cells(&d, 16, left);
}

static void empty_says_why(void **state)
{
    struct query q;
    struct dataset d;
    assert_int_equal(run(*state, "x by model from u where metric=p99 take value", &d, &q, NULL), OK);
    assert_int_equal(d.n_rows, 0);
    assert_int_equal(d.n_blocks, 0);
    assert_string_equal(d.reason, "too few");
    assert_int_equal(run(*state, "x by model from u where metric=p99|joule take value", &d, &q, NULL), OK);
    assert_string_equal(d.reason, "too few; no meter");
    assert_int_equal(run(*state, "x by model from u where metric=nothing take value", &d, &q, NULL), OK);
    assert_null(d.reason);
    assert_int_equal(run(*state, "x from gone where metric=a take value", &d, &q, NULL), OK);
    assert_string_equal(d.reason, "not available on this machine");
}

static void two_meanings_are_an_error(void **state)
{
    struct query q;
    struct dataset d;
    struct err err = ERR_INIT;
    assert_int_equal(run(*state, "x by model from u where metric=kv take value", &d, &q, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "rows 8 and 9 of 'u.csv'"));
    assert_int_equal(run(*state, "x by model key * from u where metric=kv take value", &d, &q, &err), OK);
    assert_int_equal(d.n_rows, 2);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {{"", "expected a name"},
               {"x", "expected 'from INPUT"},
               {"x of y", "expected 'from' or 'with', found 'of'"},
               {"x from u where metric=kv", "expected 'take', found 'the end'"},
               {"x from u where metric take value", "expected COL=VALUE or COL!=VALUE, found 'metric'"},
               {"x from u where tok!=@max take value", "no meaning"},
               {"x from u take", "expected a column after 'take'"},
               {"x from u where a=\"b take value", "double quote"},
               {"x with u take value", "expected 'from INPUT"},
               {"x by from u take value", "expected a column after 'by'"},
               {"x key * tok from u take value", "'key *'"},
               {"x from w take value", "no input is called 'w'"},
               {"x from u where metrik=kv take value", "'u.csv' has no column 'metrik'"},
               {"x from u take valu", "'u.csv' has no column 'valu'"},
               {"x key modell from u take value", "'u.csv' has no column 'modell'"},
               {"x key model+tik from u take value", "'u.csv' has no column 'tik'"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct query q;
        struct dataset d;
        struct err err = ERR_INIT;
        assert_int_equal(run(*state, bad[i].text, &d, &q, &err), ERR_FORMAT);
        if (!strstr(err.text, bad[i].says))
            fail_msg("'%s': expected '%s', found '%s'", bad[i].text, bad[i].says, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(blocks_sorted_by_number, setup, teardown),
        cmocka_unit_test_setup_teardown(extreme_and_alternatives, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_join_and_sort_by_value, setup, teardown),
        cmocka_unit_test_setup_teardown(join_keeps_common_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_says_why, setup, teardown),
        cmocka_unit_test_setup_teardown(two_meanings_are_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_are_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
