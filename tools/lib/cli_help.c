#include <string.h>

#include "lib/cli.h"
#include "lib/roff.h"

/* --help and the man page's OPTIONS, both from the option tables. */

enum { N_SECTIONS = 3, HELP_COLUMN = 28, HELP_WIDTH = 80 };

static bool has_default(const struct cli_option *o)
{
    return o->dflt && o->dflt[0] && strcmp(o->dflt, CLI_REQUIRED) != 0;
}

static bool is_required(const struct cli_option *o)
{
    return o->dflt && strcmp(o->dflt, CLI_REQUIRED) == 0;
}

/* Words from column HELP_COLUMN on, broken before column HELP_WIDTH; a longer word stands alone. */
static void wrap(struct buf *out, const char *text)
{
    size_t column = HELP_COLUMN;
    for (const char *s = text; *s;) {
        size_t n = strcspn(s, " ");
        if (column > HELP_COLUMN && column + 1 + n > HELP_WIDTH) {
            buf_printf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            buf_char(out, ' ');
            column++;
        }
        buf_add(out, s, n);
        column += n;
        s += n + strspn(s + n, " ");
    }
}

static void help_option(const struct cli_option *o, struct buf *out)
{
    struct buf text = BUF_INIT;
    size_t from = out->n;
    if (o->letter)
        buf_printf(out, "  -%c, --%s", o->letter, o->name);
    else
        buf_printf(out, "      --%s", o->name);
    if (o->arg)
        buf_printf(out, " %s", o->arg);
    size_t n = out->n - from;
    if (n + 2 > HELP_COLUMN)
        buf_printf(out, "\n%*s", HELP_COLUMN, "");
    else
        buf_printf(out, "%*s", (int)(HELP_COLUMN - n), "");
    buf_str(&text, o->help);
    if (o->kind == CLI_KIND_TEXTS)
        buf_str(&text, " (may be repeated)");
    if (has_default(o))
        buf_printf(&text, " (default: %s)", o->dflt);
    if (is_required(o))
        buf_str(&text, " (required)");
    if (buf_status(&text, "help", NULL))
        out->failed = true;
    else
        wrap(out, text.data);
    buf_release(&text);
    buf_char(out, '\n');
}

void cli_help(const struct cli_spec *spec, struct buf *out)
{
    buf_printf(out, "usage: %s [options]%s%s\n", spec->program, spec->operands ? " " : "",
               spec->operands ? spec->operands : "");
    buf_printf(out, "%s: %s\n", spec->program, spec->summary);
    bool common = false; // their heading stands over both common sections
    for (size_t s = 0; s < N_SECTIONS; s++) {
        const struct cli_option *o = spec->sections[s].options;
        if (!o || !o->name)
            continue;
        if (s == 0 || !common)
            buf_str(out, s == 0 ? "\noptions:\n" : "\ncommon options:\n");
        common = common || s > 0;
        for (; o->name; o++)
            help_option(o, out);
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
            roff_text(out, o->name);
            buf_str(out, "\\fR");
            if (o->arg) {
                buf_str(out, " \\fI");
                roff_text(out, o->arg);
                buf_str(out, "\\fR");
            }
            buf_char(out, '\n');
            roff_text(out, o->help);
            buf_char(out, '.');
            if (o->kind == CLI_KIND_TEXTS)
                buf_str(out, " May be repeated.");
            if (has_default(o)) {
                buf_str(out, " Default: ");
                roff_text(out, o->dflt);
                buf_char(out, '.');
            }
            if (is_required(o))
                buf_str(out, " Required.");
            buf_char(out, '\n');
        }
    }
}
