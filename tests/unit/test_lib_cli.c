#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cli.h"

struct args {
    bool chat;
    const char *model;
    const char *form;
    int64_t n, size;
    double t;
    struct cli_texts files;
    struct cli_ints grid;
    struct cli_reals temps;
};

static const struct cli_option options[] = {
    CLI_FLAG(struct args, chat, CLI_RECIPE, "chat", 'c', "use the template"),
    CLI_TEXT(struct args, model, CLI_INPUT, "model", 'm', "DIR", CLI_REQUIRED, "model"),
    CLI_CHOICE(struct args, form, CLI_RECIPE, "form", 0, "csv|json", "csv", "form"),
    CLI_INT(struct args, n, CLI_RECIPE, "max-tokens", 'n', "N", "16", 1, 100, "tokens"),
    CLI_SIZE(struct args, size, CLI_RUN, "size", 0, "1KiB", 1, 1 << 20, "bytes"),
    CLI_REAL(struct args, t, CLI_RECIPE, "temperature", 0, "T", NULL, 0, 2, "heat"),
    CLI_TEXTS(struct args, files, CLI_INPUT, "file", 'f', "FILE", "a file"),
    CLI_INTS(struct args, grid, CLI_RECIPE, "grid", 0, "N,N", "1,2", 0, 9, "grid"),
    CLI_REALS(struct args, temps, CLI_RECIPE, "temps", 0, "T,T", "0.5", 0, 9, "temps"),
    CLI_END};

struct fixture {
    struct args args;
    struct cli *cli;
    struct err err;
};

static enum status parse(struct fixture *f, int argc, const char *const *words)
{
    char *argv[16];
    char copies[16][40];
    *f = (struct fixture){.err = ERR_INIT};
    for (int i = 0; i < argc; i++) {
        (void)strncpy(copies[i], words[i], sizeof copies[i] - 1);
        copies[i][sizeof copies[i] - 1] = '\0';
        argv[i] = copies[i];
    }
    argv[argc] = NULL;
    struct cli_spec spec = {.program = "t", .summary = "s", .operands = "FILE", .max_operands = 1,
                            .sections = {{.options = options, .args = &f->args}}};
    assert_int_equal(cli_new(&f->cli, &spec, &f->err), OK);
    enum status s = cli_parse(f->cli, argc, argv, &f->err);
    return s ? s : cli_check(f->cli, &f->err);
}

#define PARSE(f, ...) \
    parse(f, (int)(sizeof((const char *const[]){"t", __VA_ARGS__}) / sizeof(char *)), (const char *const[]){"t", __VA_ARGS__})

static void defaults_and_values(void **state)
{
    (void)state;
    struct fixture f;
    assert_int_equal(PARSE(&f, "-m", "d", "--grid=3,0", "-cn", "7", "--file", "a", "x", "--file=b"), OK);
    assert_string_equal(f.args.model, "d");
    assert_string_equal(f.args.form, "csv");
    assert_true(f.args.chat);
    assert_int_equal(f.args.n, 7);
    assert_int_equal(f.args.grid.n, 2);
    assert_int_equal(f.args.grid.items[0], 3);
    assert_int_equal(f.args.files.n, 2);
    assert_string_equal(f.args.files.items[1], "b");
    assert_int_equal(cli_operands(f.cli).n, 1);
    assert_true(cli_given(f.cli, "grid"));
    assert_false(cli_given(f.cli, "form"));
    cJSON *v = cli_value(f.cli, cli_find(f.cli, "temperature"));
    assert_true(cJSON_IsNull(v));
    cJSON_Delete(v);
    assert_int_equal(f.args.size, 1024);
    assert_int_equal(cli_set(f.cli, "size", "3KiB", &f.err), OK);
    v = cli_value(f.cli, cli_find(f.cli, "size"));
    assert_true(cJSON_IsNumber(v) && v->valueint == 3072);
    cJSON_Delete(v);
    cli_free(f.cli);
}

static void expect_refusal(struct fixture *f, enum status s, const char *part)
{
    assert_int_equal(s, ERR_USAGE);
    if (!strstr(f->err.text, part))
        fail_msg("expected '%s' in '%s'", part, f->err.text);
    cli_free(f->cli);
}

static void refusals(void **state)
{
    (void)state;
    struct fixture f;
    expect_refusal(&f, PARSE(&f, "--form", "xml", "-m", "d"), "expected csv|json");
    expect_refusal(&f, PARSE(&f, "-m", "d", "-n", "7x"), "expected an integer, found '7x'");
    expect_refusal(&f, PARSE(&f, "-m", "d", "-n", "101"), "expected 1 to 100");
    expect_refusal(&f, PARSE(&f, "-m", "d", "--size", "2MiB"), "a size of 1 to 1048576 bytes");
    expect_refusal(&f, PARSE(&f, "-m", "d", "--size", "2MB"), "found '2MB'");
    expect_refusal(&f, PARSE(&f, "-m", "d", "--max-token", "3"), "nearest is '--max-tokens'"); // no abbreviations
    expect_refusal(&f, PARSE(&f, "-m", "d", "--temprature", "3"), "nearest is '--temperature'");
    expect_refusal(&f, PARSE(&f, "-m", "d", "--zzzzzzzz"), "unknown option '--zzzzzzzz'");
    expect_refusal(&f, PARSE(&f, "-m", "d", "-z"), "unknown option '-z'");
    expect_refusal(&f, PARSE(&f, "-m"), "'-m' needs a value");
    expect_refusal(&f, PARSE(&f, "--model"), "'--model' needs a value");
    expect_refusal(&f, PARSE(&f, "-m", "d", "--chat=yes"), "takes no value");
    expect_refusal(&f, PARSE(&f, "--chat"), "'--model DIR' is required");
    expect_refusal(&f, PARSE(&f, "-m", "d", "a", "b"), "unexpected operand 'b'");
    expect_refusal(&f, PARSE(&f, "-m", "d", "--grid", "1,,2"), "expected an integer, found ''");
    expect_refusal(&f, PARSE(&f, "-m", "d", "--temperature", "nan"), "expected a number");
}

static void words_after_two_dashes(void **state)
{
    (void)state;
    struct fixture f;
    assert_int_equal(PARSE(&f, "-m", "d", "--", "--chat"), OK);
    assert_false(f.args.chat);
    assert_string_equal(cli_operands(f.cli).items[0], "--chat");
    cli_free(f.cli);
}

static void help_names_every_option(void **state)
{
    (void)state;
    struct args a = {0};
    struct cli_spec spec = {.program = "t", .summary = "s", .sections = {{.options = options, .args = &a}}};
    struct buf help = BUF_INIT;
    struct buf man = BUF_INIT;
    cli_help(&spec, &help);
    cli_man(&spec, &man);
    for (const struct cli_option *o = options; o->name; o++)
        assert_non_null(strstr(help.data, o->name));
    assert_non_null(strstr(help.data, "(default: 16)"));
    assert_non_null(strstr(man.data, "\\fB\\-\\-max\\-tokens\\fR"));
    buf_release(&help);
    buf_release(&man);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_and_values),
        cmocka_unit_test(refusals),
        cmocka_unit_test(words_after_two_dashes),
        cmocka_unit_test(help_names_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
