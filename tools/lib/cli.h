#ifndef ASSAY_LIB_CLI_H
#define ASSAY_LIB_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

/* One table per tool drives parsing, --help, the man page and the recipe of a statement, so that the
 * four cannot disagree. A table is `static const struct cli_option opts[] = {CLI_INT(...), ..., CLI_END}`;
 * every entry fills one member of the tool's own argument struct. */

/* How an option's value becomes part of a statement (provenance.md 3).
 *   RECIPE  can change the data asked for: goes into recipe.parameters, and so into recipeDigest
 *   RUN     cannot (threads, quiet): goes into run.options
 *   INPUT   names a file or model that is read: recipe.parameters holds its recorded input name
 *   OUTPUT  names a file that is written: run.options holds its base name */
enum cli_role { CLI_RECIPE, CLI_RUN, CLI_INPUT, CLI_OUTPUT };

enum cli_kind {
    CLI_KIND_FLAG,   /* bool */
    CLI_KIND_TEXT,   /* const char *, NULL when not given and without default */
    CLI_KIND_CHOICE, /* const char *, one of choices "a|b|c" */
    CLI_KIND_INT,    /* int64_t */
    CLI_KIND_SIZE,   /* int64_t: bytes */
    CLI_KIND_REAL,   /* double */
    CLI_KIND_TEXTS,  /* struct cli_texts: the option may be repeated */
    CLI_KIND_INTS,   /* struct cli_ints: comma-separated */
    CLI_KIND_REALS   /* struct cli_reals: comma-separated */
};

/* Lists borrow from the struct cli that parsed them. */
struct cli_texts {
    size_t n;
    const char **items;
};
struct cli_ints {
    size_t n;
    int64_t *items;
};
struct cli_reals {
    size_t n;
    double *items;
};

struct cli_option {
    const char *name; /* long name without dashes; NULL ends the table */
    char letter;      /* 0 = none */
    const char *arg;  /* metavariable; NULL for flags */
    enum cli_kind kind;
    enum cli_role role;
    size_t at;           /* offset of the member */
    const char *dflt;    /* as it would be typed; NULL = none; CLI_REQUIRED = must be given */
    const char *choices; /* CLI_KIND_CHOICE */
    int64_t int_lo, int_hi;
    double real_lo, real_hi;
    const char *help; /* one clause, lower case, with the unit */
};

#define CLI_REQUIRED "\1required"

/* The type of the member is checked at compile time: a wrong one has no matching association. */
#define CLI_AT(S, m, T) _Generic(&((S *)0)->m, T *: offsetof(S, m))

#define CLI_FLAG(S, m, role_, name_, letter_, help_)                                                  \
    {.name = name_, .letter = letter_, .kind = CLI_KIND_FLAG, .role = role_, .at = CLI_AT(S, m, bool), \
     .help = help_}
#define CLI_TEXT(S, m, role_, name_, letter_, arg_, dflt_, help_)                      \
    {.name = name_, .letter = letter_, .arg = arg_, .kind = CLI_KIND_TEXT, .role = role_, \
     .at = CLI_AT(S, m, const char *), .dflt = dflt_, .help = help_}
#define CLI_CHOICE(S, m, role_, name_, letter_, choices_, dflt_, help_)                       \
    {.name = name_, .letter = letter_, .arg = choices_, .kind = CLI_KIND_CHOICE, .role = role_, \
     .at = CLI_AT(S, m, const char *), .dflt = dflt_, .choices = choices_, .help = help_}
#define CLI_INT(S, m, role_, name_, letter_, arg_, dflt_, lo_, hi_, help_)            \
    {.name = name_, .letter = letter_, .arg = arg_, .kind = CLI_KIND_INT, .role = role_, \
     .at = CLI_AT(S, m, int64_t), .dflt = dflt_, .int_lo = lo_, .int_hi = hi_, .help = help_}
#define CLI_SIZE(S, m, role_, name_, letter_, dflt_, lo_, hi_, help_)                          \
    {.name = name_, .letter = letter_, .arg = "SIZE", .kind = CLI_KIND_SIZE, .role = role_, \
     .at = CLI_AT(S, m, int64_t), .dflt = dflt_, .int_lo = lo_, .int_hi = hi_, .help = help_}
#define CLI_REAL(S, m, role_, name_, letter_, arg_, dflt_, lo_, hi_, help_)            \
    {.name = name_, .letter = letter_, .arg = arg_, .kind = CLI_KIND_REAL, .role = role_, \
     .at = CLI_AT(S, m, double), .dflt = dflt_, .real_lo = lo_, .real_hi = hi_, .help = help_}
#define CLI_TEXTS(S, m, role_, name_, letter_, arg_, help_)                             \
    {.name = name_, .letter = letter_, .arg = arg_, .kind = CLI_KIND_TEXTS, .role = role_, \
     .at = CLI_AT(S, m, struct cli_texts), .help = help_}
#define CLI_INTS(S, m, role_, name_, letter_, arg_, dflt_, lo_, hi_, help_)            \
    {.name = name_, .letter = letter_, .arg = arg_, .kind = CLI_KIND_INTS, .role = role_, \
     .at = CLI_AT(S, m, struct cli_ints), .dflt = dflt_, .int_lo = lo_, .int_hi = hi_, .help = help_}
#define CLI_REALS(S, m, role_, name_, letter_, arg_, dflt_, lo_, hi_, help_)            \
    {.name = name_, .letter = letter_, .arg = arg_, .kind = CLI_KIND_REALS, .role = role_, \
     .at = CLI_AT(S, m, struct cli_reals), .dflt = dflt_, .real_lo = lo_, .real_hi = hi_, .help = help_}
#define CLI_END {.name = NULL}

/* A section of options that fills one struct; a program has up to three: its own, the common ones it
 * chose, those of every command. */
struct cli_section {
    const struct cli_option *options;
    void *args;
};

struct cli_spec {
    const char *program;  /* "accuracy grade" */
    const char *summary;  /* one clause */
    const char *operands; /* "FILE..." or NULL */
    size_t min_operands, max_operands;
    struct cli_section sections[3]; /* unused: options NULL */
};

struct cli; /* what one parse owns: lists, operands */

/* cli_new - fill every section with its defaults. Bad defaults are ERR_USAGE too, so a test that
 * parses nothing checks a table. The caller frees with cli_free after the last use of the arguments. */
enum status cli_new(struct cli **out, const struct cli_spec *spec, struct err *err);
void cli_free(struct cli *c);

/* cli_parse - parse argv[1..argc) into the sections. Long names are taken whole (no abbreviations);
 * numbers are parsed whole and ranged; an unknown option names the nearest one. ERR_USAGE with one
 * sentence. Required options are checked by cli_check. */
enum status cli_parse(struct cli *c, int argc, char **argv, struct err *err);
enum status cli_check(const struct cli *c, struct err *err);

/* cli_set - set one option from text, as if it had been typed. */
enum status cli_set(struct cli *c, const char *name, const char *text, struct err *err);

bool cli_given(const struct cli *c, const char *name); /* typed or cli_set, not a default */
struct cli_texts cli_operands(const struct cli *c);    /* borrowed until cli_free */
void cli_add_operand(struct cli *c, const char *text); /* copied; failure shows in cli_check */

/* cli_find - option by long name; NULL when unknown. cli_at - i-th option over all sections, section
 * included (may be NULL); NULL past the last. */
const struct cli_option *cli_find(const struct cli *c, const char *name);
const struct cli_option *cli_at(const struct cli *c, size_t i, size_t *section);

/* cli_value - current value as a new JSON node: boolean, number, string, array, or null when absent.
 * The caller owns it. NULL only when memory is out. */
cJSON *cli_value(const struct cli *c, const struct cli_option *o);

/* cli_distance - how many letters word (n bytes) is away from a name that was meant; SIZE_MAX when it
 * is too far to be a slip. */
size_t cli_distance(const char *word, size_t n, const char *name);

/* cli_help, cli_man - the text of --help, and the OPTIONS section of the man page (man(7) macros). */
void cli_help(const struct cli_spec *spec, struct buf *out);
void cli_man(const struct cli_spec *spec, struct buf *out);

#endif
