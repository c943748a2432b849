#include <string.h>

#include "lib/cli.h"

/* --help and the man page's OPTIONS, both from the option tables. */

enum { N_SECTIONS = 3, HELP_COLUMN = 28 };

static bool has_default(const struct cli_option *o)
{
    return o->dflt && o->dflt[0] && strcmp(o->dflt, CLI_REQUIRED) != 0;
}

static bool is_required(const struct cli_option *o)
{
    return o->dflt && strcmp(o->dflt, CLI_REQUIRED) == 0;
}

static void help_option(const struct cli_option *o, struct buf *out)
{
    size_t from = out->n;
    if (o->letter)
        buf_printf(out, "  -%c, --%s", o->letter, o->name);
    else
        buf_printf(out, "      --%s", o->name);
    if (o->arg)
        buf_printf(out, " %s", o->arg);
    size_t n = out->n - from;
    if (n + 2 > HELP_COLUMN) {
        buf_char(out, '\n');
        n = 0;
    }
    for (; n < HELP_COLUMN; n++)
        buf_char(out, ' ');
    buf_str(out, o->help);
    if (o->kind == CLI_KIND_TEXTS)
        buf_str(out, " (may be repeated)");
    if (has_default(o))
        buf_printf(out, " (default: %s)", o->dflt);
    if (is_required(o))
        buf_str(out, " (required)");
    buf_char(out, '\n');
}

void cli_help(const struct cli_spec *spec, struct buf *out)
{
    buf_printf(out, "usage: %s [options]%s%s\n", spec->program, spec->operands ? " " : "",
               spec->operands ? spec->operands : "");
    buf_printf(out, "%s: %s\n", spec->program, spec->summary);
    for (size_t s = 0; s < N_SECTIONS; s++) {
        const struct cli_option *o = spec->sections[s].options;
        if (!o || !o->name)
            continue;
        buf_str(out, s == 0 ? "\noptions:\n" : "\ncommon options:\n");
        for (; o->name; o++)
            help_option(o, out);
    }
}

/* roff reads '\' as an escape, '-' as a hyphen and a leading '.' or ''' as a request. */
static void roff(struct buf *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '\\')
            buf_str(out, "\\e");
        else if (*s == '-')
            buf_str(out, "\\-");
        else if (*s == '.' || *s == '\'')
            buf_printf(out, "\\&%c", *s);
        else
            buf_char(out, *s);
    }
}

void cli_man(const struct cli_spec *spec, struct buf *out)
{
    for (size_t s = 0; s < N_SECTIONS; s++) {
        const struct cli_option *o = spec->sections[s].options;
        for (; o && o->name; o++) {
            buf_str(out, ".TP\n");
            if (o->letter)
                buf_printf(out, "\\fB\\-%c\\fR, ", o->letter);
            buf_str(out, "\\fB\\-\\-");
            roff(out, o->name);
            buf_str(out, "\\fR");
            if (o->arg) {
                buf_str(out, " \\fI");
                roff(out, o->arg);
                buf_str(out, "\\fR");
            }
            buf_char(out, '\n');
            roff(out, o->help);
            buf_char(out, '.');
            if (o->kind == CLI_KIND_TEXTS)
                buf_str(out, " May be repeated.");
            if (has_default(o)) {
                buf_str(out, " Default: ");
                roff(out, o->dflt);
                buf_char(out, '.');
            }
            if (is_required(o))
                buf_str(out, " Required.");
            buf_char(out, '\n');
        }
    }
}
