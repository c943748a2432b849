#define _XOPEN_SOURCE 700
#include "lib/tool.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/interrupt.h"
#include "lib/roff.h"
#include "lib/tool_internal.h"

/* The frame of a command: parse, answer the questions about itself, run, report. */

/* What a tool takes by its mask: one bit of enum tool_common each, in that order. */
static const struct cli_option masked_options[TOOL_N_MASKED] = {
    CLI_TEXT(struct tool_common_args, out, CLI_OUTPUT, "out", 'o', "FILE", NULL, "write to FILE; - is standard output"),
    CLI_CHOICE(struct tool_common_args, format, CLI_RECIPE, "format", 0, "csv|json", "csv", "form of the record"),
    CLI_INT(struct tool_common_args, seed, CLI_RECIPE, "seed", 0, "N", "1234", 0, 9007199254740991,
            "seed of every random choice"),
    CLI_INT(struct tool_common_args, threads, CLI_RUN, "threads", 't', "N", "0", 0, 1024,
            "worker threads; 0 is one per online CPU"),
};

/* What every command takes. */
static const struct cli_option every_options[] = {
    CLI_FLAG(struct tool_common_args, quiet, CLI_RUN, "quiet", 'q', "print nothing but errors on standard error"),
    CLI_TEXT(struct tool_common_args, root, CLI_RUN, "root", 0, "DIR", NULL,
             "results tree that input names are relative to"),
    CLI_TEXT(struct tool_common_args, statement, CLI_OUTPUT, "statement", 0, "FILE", NULL,
             "write the statement of standard output to FILE"),
    CLI_TEXT(struct tool_common_args, recipe, CLI_RUN, "recipe", 0, "STATEMENT", NULL,
             "take every recipe option and input from a statement"),
    CLI_TEXT(struct tool_common_args, into, CLI_RUN, "into", 0, "DIR", NULL,
             "with --recipe: write the same file names to DIR"),
    CLI_FLAG(struct tool_common_args, help, CLI_RUN, "help", 'h', "print the options and exit"),
    CLI_FLAG(struct tool_common_args, version, CLI_RUN, "version", 0,
             "print version, commit and build options and exit"),
    CLI_FLAG(struct tool_common_args, help_man, CLI_RUN, "help-man", 0,
             "print the options in the form of the manual and exit"),
    CLI_END};

static void choose_masked(const struct tool_def *def, struct cli_option out[TOOL_N_MASKED + 1])
{
    size_t n = 0;
    for (unsigned i = 0; i < TOOL_N_MASKED; i++)
        if (def->common & (1u << i))
            out[n++] = masked_options[i];
    out[n] = (struct cli_option)CLI_END;
}

static int exit_code(enum status s)
{
    switch (s) {
    case OK:
        return 0;
    case ERR_MEMORY:
    case ERR_DEVICE:
        return 3;
    case ERR_CANCELLED:
        return 1;
    case ERR_USAGE:
    case ERR_MISSING:
    case ERR_IO:
    case ERR_FORMAT:
    case ERR_SHAPE:
    case ERR_RANGE:
    case ERR_UNSUPPORTED:
    case ERR_CONTEXT:
    case ERR_NUMERIC:
        return 2;
    }
    return 2;
}

static void version_text(const char *program, struct buf *out)
{
    const struct build_info *b = build_info();
    buf_printf(out, "%s %s\ncommit   %s%s\nengine   %s\ntools    %s\nbuild    %s, %s\nflags    %s\n", program, b->version,
               b->commit, b->dirty ? " (built with uncommitted changes)" : "", b->engine, b->tools, b->config,
               b->compiler, b->flags);
}

static enum status print_stdout(const struct buf *b, struct err *err)
{
    enum status s = buf_status(b, "text", err);
    if (!s && ((b->n && fwrite(b->data, 1, b->n, stdout) != b->n) || fflush(stdout) != 0))
        s = err_set_errno(err, ERR_IO, errno, "cannot write standard output");
    return s;
}

static void list_commands(const struct tool_def *def, struct buf *out)
{
    if (!def->commands)
        return;
    buf_str(out, "\ncommands:\n");
    for (const struct tool_def *const *c = def->commands; *c; c++)
        buf_printf(out, "  %-16s %s\n", (*c)->name, (*c)->summary);
    buf_printf(out, "\n`%s COMMAND --help` lists the options of one.\n", def->name);
}

static void man_options(const struct tool_def *def, struct buf *out)
{
    struct cli_option masked[TOOL_N_MASKED + 1];
    choose_masked(def, masked);
    const struct cli_spec spec = {.sections = {{.options = def->options}, {.options = masked}}};
    cli_man(&spec, out);
}

/* OPTIONS of the manual: the tool's own, a subsection a command, and once what all of them take. */
static void man_text(const struct tool_def *def, struct buf *out)
{
    const struct cli_spec every = {.sections = {{.options = every_options}}};
    if (def->run)
        man_options(def, out);
    for (const struct tool_def *const *c = def->commands; c && *c; c++) {
        buf_printf(out, ".SS %s ", def->name);
        roff_text(out, (*c)->name);
        buf_printf(out, " [options]%s%s\n", (*c)->operands ? " " : "", (*c)->operands ? (*c)->operands : "");
        roff_text(out, (*c)->summary);
        buf_str(out, ".\n");
        man_options(*c, out);
    }
    if (def->commands)
        buf_printf(out, ".SS options of every command\n");
    cli_man(&every, out);
}

/* --help, --version, --help-man. *done tells whether one of them was asked for. */
static enum status answer(const struct tool *t, const struct cli_spec *spec, bool *done, struct err *err)
{
    struct buf b = BUF_INIT;
    *done = t->common.help || t->common.version || t->common.help_man;
    if (t->common.help) {
        cli_help(spec, &b);
        list_commands(t->def, &b);
    } else if (t->common.version) {
        version_text(t->program, &b);
    } else if (t->common.help_man) {
        man_text(t->def, &b);
    }
    enum status s = *done ? print_stdout(&b, err) : OK;
    buf_release(&b);
    return s;
}

/* Every file that will be written can be, before the work: a long measurement must not end in a slip of
 * its last option. A directory (synth) is its tool's own business. */
static enum status check_outputs(const struct tool *t, struct err *err)
{
    enum status s = OK;
    const struct cli_option *o;
    for (size_t i = 0; !s && (o = cli_at(t->cli, i, NULL)); i++) {
        if (o->role != CLI_OUTPUT || o->kind != CLI_KIND_TEXT || strcmp(o->arg, "FILE") != 0)
            continue;
        cJSON *v = cli_value(t->cli, o);
        if (!v)
            s = err_set(err, ERR_MEMORY, "cannot read --%s", o->name);
        else if (cJSON_IsString(v))
            s = outfile_check(v->valuestring, err);
        cJSON_Delete(v);
    }
    return s;
}

static enum status run(struct tool *t, int argc, char **argv, struct err *err)
{
    struct cli_option masked[TOOL_N_MASKED + 1];
    choose_masked(t->def, masked);
    const struct cli_spec spec = {
        .program = t->program,
        .summary = t->def->summary,
        .operands = t->def->operands,
        .min_operands = t->def->min_operands,
        .max_operands = t->def->max_operands,
        .sections = {{.options = t->def->options, .args = t->args},
                     {.options = masked, .args = &t->common},
                     {.options = every_options, .args = &t->common}},
    };
    bool done = false;
    enum status s = cli_new(&t->cli, &spec, err);
    if (!s)
        s = cli_parse(t->cli, argc, argv, err);
    if (!s)
        s = answer(t, &spec, &done, err);
    if (s || done)
        return s;
    if (t->common.recipe)
        s = tool_apply_recipe(t, err);
    if (!s)
        s = cli_check(t->cli, err);
    if (!s)
        s = check_outputs(t, err);
    if (!s)
        s = prov_new(&t->prov, t->program, t->common.root, err);
    if (!s)
        s = progress_new(&t->progress, t->program, t->common.quiet, err);
    if (!s)
        s = t->def->run(t, t->args, err);
    if (!s)
        s = tool_commit(t, err);
    if (!s)
        progress_end(t->progress, NULL);
    if (!s && (fflush(stdout) != 0 || ferror(stdout)))
        s = err_set_errno(err, ERR_IO, errno, "cannot write standard output");
    return s;
}

static enum status print_commands(const struct tool_def *def, struct err *err)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "usage: %s COMMAND [options]\n%s: %s\n", def->name, def->name, def->summary);
    list_commands(def, &b);
    enum status s = print_stdout(&b, err);
    buf_release(&b);
    return s;
}

/* One tool or one command of it. program is what messages and statements call it. */
static int run_def(const struct tool_def *def, const char *program, int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct tool t = {.def = def, .program = program};
    void *args = NULL;
    enum status s = mem_alloc(&args, def->args_b ? def->args_b : 1, 1, "arguments", &err);
    t.args = args;
    if (!s)
        s = run(&t, argc, argv, &err);
    progress_free(t.progress);
    if (s)
        (void)fprintf(stderr, "%s: %s\n", program, err.text);
    tool_drop(&t);
    prov_free(t.prov);
    cli_free(t.cli);
    mem_free(args);
    if (s == ERR_CANCELLED && interrupt_signal()) { // die of the signal, so that shells and make see it
        (void)fflush(NULL);
        (void)signal(interrupt_signal(), SIG_DFL);
        (void)raise(interrupt_signal());
    }
    int code = exit_code(s);
    return code ? code : t.answer_no;
}

static int unknown_command(const struct tool_def *def, const char *word)
{
    const char *best = NULL;
    size_t best_d = SIZE_MAX;
    for (const struct tool_def *const *c = def->commands; *c; c++) {
        size_t d = cli_distance(word, strlen(word), (*c)->name);
        if (d < best_d) {
            best_d = d;
            best = (*c)->name;
        }
    }
    if (best)
        (void)fprintf(stderr, "%s: unknown command '%.64s'; the nearest is '%s'\n", def->name, word, best);
    else if (*word == '-')
        (void)fprintf(stderr, "%s: expected a command before '%.64s'; --help lists them\n", def->name, word);
    else if (*word)
        (void)fprintf(stderr, "%s: unknown command '%.64s'; --help lists them\n", def->name, word);
    else
        (void)fprintf(stderr, "%s: expected a command, found none; --help lists them\n", def->name);
    return 2;
}

int tool_main(const struct tool_def *def, int argc, char **argv)
{
    interrupt_install();
    if (!def->commands)
        return run_def(def, def->name, argc, argv);
    const char *word = argc > 1 ? argv[1] : "";
    for (const struct tool_def *const *c = def->commands; *c; c++)
        if (strcmp((*c)->name, word) == 0) {
            char program[96];
            (void)snprintf(program, sizeof program, "%s %s", def->name, word);
            return run_def(*c, program, argc - 1, argv + 1);
        }
    if (def->run && (*word == '-' || *word == '\0' || def->max_operands))
        return run_def(def, def->name, argc, argv);
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return exit_code(print_commands(def, NULL));
    if (strcmp(word, "--version") == 0 || strcmp(word, "--help-man") == 0) {
        struct buf b = BUF_INIT;
        if (strcmp(word, "--version") == 0)
            version_text(def->name, &b);
        else
            man_text(def, &b);
        enum status s = print_stdout(&b, NULL);
        buf_release(&b);
        return exit_code(s);
    }
    return unknown_command(def, word);
}

const char *tool_out(const struct tool *t)
{
    return t->common.out && strcmp(t->common.out, "-") != 0 ? t->common.out : NULL;
}

bool tool_json(const struct tool *t)
{
    return t->common.format && strcmp(t->common.format, "json") == 0;
}

uint64_t tool_seed(const struct tool *t)
{
    return (uint64_t)t->common.seed;
}

size_t tool_threads(const struct tool *t)
{
    if (t->common.threads > 0)
        return (size_t)t->common.threads;
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (size_t)n : 1;
}

bool tool_given(const struct tool *t, const char *option)
{
    return cli_given(t->cli, option);
}

struct cli_texts tool_operands(const struct tool *t)
{
    return cli_operands(t->cli);
}

struct progress *tool_progress(struct tool *t)
{
    return t->progress;
}

struct prov *tool_prov(struct tool *t)
{
    return t->prov;
}

void tool_answer_no(struct tool *t)
{
    t->answer_no = 1;
}

void tool_catch_interrupt(struct tool *t)
{
    (void)t;
    interrupt_catch(true);
}

bool tool_interrupted(const struct tool *t)
{
    (void)t;
    return interrupt_raised();
}

static void __attribute__((format(printf, 2, 0))) say(struct tool *t, const char *fmt, va_list ap)
{
    progress_break(t->progress);
    (void)fprintf(stderr, "%s: ", t->program);
    (void)vfprintf(stderr, fmt, ap);
    (void)fputc('\n', stderr);
}

void tool_note(struct tool *t, const char *fmt, ...)
{
    if (t->common.quiet)
        return;
    va_list ap;
    va_start(ap, fmt);
    say(t, fmt, ap);
    va_end(ap);
}

void tool_warn(struct tool *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(t, fmt, ap);
    va_end(ap);
}
