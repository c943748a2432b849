#define _XOPEN_SOURCE 700
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"

static void integers_whole_and_ranged(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum status status;
        int64_t value;
    } cases[] = {
        {"0", OK, 0},          {"-5", OK, -5},       {"42", OK, 42},         {"100", OK, 100},
        {"101", ERR_RANGE, 0}, {"-6", ERR_RANGE, 0}, {"", ERR_FORMAT, 0},    {"-", ERR_FORMAT, 0},
        {"+1", ERR_FORMAT, 0}, {" 1", ERR_FORMAT, 0}, {"1 ", ERR_FORMAT, 0}, {"01", ERR_FORMAT, 0},
        {"-0", ERR_FORMAT, 0}, {"1x", ERR_FORMAT, 0}, {"0x1", ERR_FORMAT, 0}, {"1.0", ERR_FORMAT, 0},
        {"99999999999999999999", ERR_RANGE, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t v = 7;
        struct err err = ERR_INIT;
        assert_int_equal(num_parse_i64(cases[i].text, -5, 100, "--n", &v, &err), cases[i].status);
        assert_int_equal(v, cases[i].status ? 7 : cases[i].value);
        if (cases[i].status)
            assert_non_null(strstr(err.text, "--n"));
    }
    int64_t v;
    assert_int_equal(num_parse_i64("9223372036854775807", INT64_MIN, INT64_MAX, "n", &v, NULL), OK);
    assert_true(v == INT64_MAX);
    assert_int_equal(num_parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX, "n", &v, NULL), OK);
    assert_true(v == INT64_MIN);
    assert_int_equal(num_parse_i64("9223372036854775808", INT64_MIN, INT64_MAX, "n", &v, NULL), ERR_RANGE);
}

static void sizes_with_their_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum status status;
        int64_t value;
    } sizes[] = {
        {"0", OK, 0},               {"4096", OK, 4096},        {"3KiB", OK, 3072},      {"5MiB", OK, 5242880},
        {"2GiB", OK, 2147483648},   {"1TiB", OK, 1LL << 40},   {"2TiB", ERR_RANGE, 0},  {"8388608TiB", ERR_RANGE, 0},
        {"", ERR_FORMAT, 0},        {"KiB", ERR_FORMAT, 0},    {"3KB", ERR_FORMAT, 0},  {"3 KiB", ERR_FORMAT, 0},
        {"-1", ERR_FORMAT, 0},      {"03", ERR_FORMAT, 0},     {"1kib", ERR_FORMAT, 0}, {"1.5GiB", ERR_FORMAT, 0},
        {"1KiBx", ERR_FORMAT, 0},   {"99999999999999999999999999", ERR_RANGE, 0},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int64_t v = -7;
        struct err err = ERR_INIT;
        assert_int_equal(num_parse_size(sizes[i].text, 0, 1LL << 40, "--n", &v, &err), sizes[i].status);
        assert_int_equal(v, sizes[i].status ? -7 : sizes[i].value);
        if (sizes[i].status)
            assert_non_null(strstr(err.text, "--n"));
    }
}

static void reals_as_json_spells_them(void **state)
{
    (void)state;
    static const char *const good[] = {"0", "-0", "1", "0.5", "1e3", "1E+3", "12.50e-2", "1e-400"};
    static const char *const bad[] = {"", ".5", "1.", "01", "+1", "1e", "1e+", "nan", "inf", "0x1p3", "1,5", " 1", "1 ", "--1"};
    double v;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(num_parse_f64(good[i], -1e9, 1e9, "x", &v, NULL), OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(num_parse_f64(bad[i], -1e9, 1e9, "x", &v, NULL), ERR_FORMAT);
    assert_int_equal(num_parse_f64("1e400", -HUGE_VAL, HUGE_VAL, "x", &v, NULL), ERR_RANGE);
    assert_int_equal(num_parse_f64("2", 0, 1, "x", &v, NULL), ERR_RANGE);
}

/* ECMAScript's layout (RFC 8785 appendix B has most of these). */
static void shortest_layout(void **state)
{
    (void)state;
    static const struct {
        double x;
        const char *text;
    } cases[] = {
        {0, "0"}, {-0.0, "0"}, {1, "1"}, {-1.5, "-1.5"}, {0.1, "0.1"}, {1e-6, "0.000001"}, {1e-7, "1e-7"},
        {1e20, "100000000000000000000"}, {1e21, "1e+21"}, {9007199254740991.0, "9007199254740991"},
        {333333333.33333329, "333333333.3333333"}, {4.35, "4.35"}, {0.000001234, "0.000001234"},
        {5e-324, "5e-324"}, {1.7976931348623157e308, "1.7976931348623157e+308"}, {123456, "123456"}, {1.5e-9, "1.5e-9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[NUM_TEXT_B];
        num_format_f64(cases[i].x, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void printing_reads_back(void **state)
{
    (void)state;
    uint64_t bits = 0x9E3779B97F4A7C15u;
    for (int i = 0; i < 20000; i++) {
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        double x;
        double y;
        char text[NUM_TEXT_B];
        memcpy(&x, &bits, sizeof x);
        if (!isfinite(x))
            continue;
        num_format_f64(x, text);
        assert_int_equal(num_parse_f64(text, -HUGE_VAL, HUGE_VAL, "x", &y, NULL), OK);
        assert_true(x == y);
    }
}

static void rounding_to_decimals(void **state)
{
    (void)state;
    static const struct {
        double x;
        int decimals;
        const char *text;
    } cases[] = {
        {0.1 + 0.2, 6, "0.3"}, {2.5, 0, "2"}, {3.5, 0, "4"}, {-0.0004, 3, "0"}, {1234.5678, 2, "1234.57"}, {0.125, 2, "0.12"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[NUM_TEXT_B];
        num_format_f64(num_round(cases[i].x, cases[i].decimals), text);
        assert_string_equal(text, cases[i].text);
    }
}

static void a_comma_locale_changes_nothing(void **state)
{
    (void)state;
    // Few machines have a locale with a comma, so one is made; where that is not possible either, say so.
    char dir[] = "/tmp/assay-locale-XXXXXX";
    char cmd[200];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(cmd, sizeof cmd, "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >/dev/null 2>&1", dir);
    bool made = system(cmd) == 0 && setenv("LOCPATH", dir, 1) == 0 && setlocale(LC_ALL, "de_DE.UTF-8");
    (void)snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    (void)system(cmd);
    if (!made)
        skip();
    assert_string_equal(localeconv()->decimal_point, ",");
    char text[NUM_TEXT_B];
    double v = 0;
    num_format_f64(1.5, text);
    enum status s = num_parse_f64("0.25", 0, 1, "x", &v, NULL);
    double r = num_round(0.126, 2);
    (void)setlocale(LC_ALL, "C");
    assert_string_equal(text, "1.5");
    assert_int_equal(s, OK);
    assert_true(v == 0.25 && r == 0.13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_whole_and_ranged), cmocka_unit_test(sizes_with_their_unit), cmocka_unit_test(reals_as_json_spells_them),
        cmocka_unit_test(shortest_layout),           cmocka_unit_test(printing_reads_back),
        cmocka_unit_test(rounding_to_decimals),      cmocka_unit_test(a_comma_locale_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
