#include "figure/figure_tex.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"

/* Append text with LaTeX's special characters escaped. */
static void tex_escape(struct buf *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '_': case '%': case '&': case '#': case '$': case '{': case '}':
            buf_char(out, '\\');
            buf_char(out, *text);
            break;
        case '\\': buf_str(out, "\\textbackslash{}"); break;
        case '~': buf_str(out, "\\textasciitilde{}"); break;
        case '^': buf_str(out, "\\textasciicircum{}"); break;
        case '<': buf_str(out, "\\textless{}"); break;
        case '>': buf_str(out, "\\textgreater{}"); break;
        case '\n': buf_char(out, ' '); break;
        default: buf_char(out, *text);
        }
    }
}

void tex_value(struct buf *out, const char *key, const char *text)
{
    buf_printf(out, "\\assayvalue{%s}{", key);
    tex_escape(out, text);
    buf_str(out, "}\n");
}

/* Decimals that show n significant digits of x without an exponent. */
static int decimals_for(double x, int n)
{
    int decimals = n - 1;
    double a = fabs(x);
    for (double p = 10; a >= p && decimals > 0; p *= 10)
        decimals--;
    for (double p = 1; a > 0 && a < p && decimals < 15; p /= 10)
        decimals++;
    return decimals;
}

/* Append decimal text `value` in a FORMAT. ERR_FORMAT naming what. */
static enum status tex_number(struct buf *out, const char *value, const char *format, const char *what, struct err *err)
{
    double x = 0;
    int64_t digits = 0;
    if (strcmp(format, "text") == 0 || strcmp(format, "par") == 0) {
        tex_escape(out, value);
        return OK;
    }
    if (strcmp(format, "n") == 0) {
        buf_str(out, *value == '-' ? "$-$" : "");
        tex_escape(out, value + (*value == '-'));
        return num_parse_f64(value, -DBL_MAX, DBL_MAX, what, &x, err);
    }
    if (format[0] != 'f' && format[0] != 'g')
        return err_set(err, ERR_FORMAT, "%s: expected format fN, gN, n, text or par, found '%s'", what, format);
    enum status st = num_parse_i64(format + 1, format[0] == 'g', 12, what, &digits, err);
    if (!st)
        st = num_parse_f64(value, -DBL_MAX, DBL_MAX, what, &x, err);
    if (st)
        return st;
    int decimals = format[0] == 'f' ? (int)digits : decimals_for(x, (int)digits);
    buf_printf(out, "%s%.*f", x < 0 ? "$-$" : "", decimals, fabs(x));
    return OK;
}

struct job {
    struct buf *out;
    const struct desc *d;
    const struct grids *grids;
    struct arena *a;
    char where[256];
};

static enum status put_reason(struct job *j, const char *key, const char *reason, struct err *err)
{
    if (!reason)
        return err_set(err, ERR_FORMAT, "%s: '%s' has no rows and nothing says why", j->where, key);
    buf_printf(j->out, "\\assayvalue{%s}{\\emph{%s", key, strstr(reason, "this machine") ? "" : "not measured: ");
    tex_escape(j->out, reason);
    buf_str(j->out, "}}\n");
    return OK;
}

static enum status run_query(struct job *j, const char *text, struct query *q, struct dataset *s, struct err *err)
{
    enum status st = query_parse(q, text, j->where, j->a, err);
    return st ? st : query_run(s, q, j->grids, j->where, j->a, err);
}

/* Whether row r is the first with its value in column 0 of what was taken. */
static bool is_first(const struct dataset *s, size_t r, size_t col)
{
    for (size_t i = 0; i < r; i++)
        if (strcmp(s->cells[i * s->n_cols + col], s->cells[r * s->n_cols + col]) == 0)
            return false;
    return true;
}

static enum status reduce(struct job *j, const struct dataset *s, const char *key, const char *how,
                          const char *format, struct buf *value, struct err *err)
{
    const char *best = s->cells[0], *least = best;
    double x = 0, extreme = 0, lowest = 0, sum = 0;
    size_t distinct = 0;
    bool range = strcmp(how, "range") == 0;
    bool numeric = range || strcmp(how, "min") == 0 || strcmp(how, "max") == 0 || strcmp(how, "sum") == 0;
    enum status st = OK;
    for (size_t r = 0; r < s->n_rows && !st; r++) {
        const char *c = s->cells[r * s->n_cols];
        if (numeric)
            st = num_parse_f64(c, -DBL_MAX, DBL_MAX, key, &x, err);
        if (r == 0 || (how[1] == 'i' ? x < extreme : x > extreme)) {
            best = c;
            extreme = x;
        }
        if (r == 0 || x < lowest) {
            least = c;
            lowest = x;
        }
        sum += x;
        if (is_first(s, r, 0)) {
            if (strcmp(how, "list") == 0) {
                buf_str(value, distinct ? ", " : "");
                st = st ? st : tex_number(value, c, format, key, err);
            }
            distinct++;
        }
    }
    char text[NUM_TEXT_B];
    if (st || strcmp(how, "list") == 0)
        return st;
    if (strcmp(how, "only") == 0) {
        if (s->n_rows != 1)
            return err_set(err, ERR_FORMAT, "%s: '%s' is 'only', expected 1 row, found %zu", j->where, key, s->n_rows);
    } else if (range && extreme > lowest) {
        st = tex_number(value, least, format, key, err);
        buf_str(value, " to ");
    } else if (strcmp(how, "count") == 0 || strcmp(how, "distinct") == 0) {
        num_format_f64((double)(how[0] == 'c' ? s->n_rows : distinct), text);
        best = text;
    } else if (strcmp(how, "sum") == 0) {
        num_format_f64(sum, text);
        best = text;
    } else if (!numeric) {
        return err_set(err, ERR_FORMAT, "%s: expected only, min, max, range, sum, count, distinct or list, found '%s'",
                       j->where, how);
    }
    return st ? st : tex_number(value, best, format, key, err);
}

static enum status add_number(struct job *j, const struct desc_entry *e, struct err *err)
{
    char key[64], how[16], format[16];
    int at = 0;
    struct query q;
    struct dataset s;
    struct buf text = BUF_INIT;
    if (sscanf(e->value, "%63s %15s %15s %n", key, how, format, &at) != 3 || !at)
        return err_set(err, ERR_FORMAT, "%s: expected 'KEY HOW FORMAT from ...', found '%s'", j->where, e->value);
    buf_printf(&text, "%s key * %s", key, e->value + at);
    enum status st = buf_status(&text, "query", err);
    if (!st)
        st = run_query(j, text.data, &q, &s, err);
    buf_clear(&text);
    bool counts = strcmp(how, "count") == 0 || strcmp(how, "distinct") == 0;
    if (!st && s.n_rows == 0 && (s.absent || !counts)) {
        st = put_reason(j, key, s.reason, err);
    } else if (!st) {
        st = s.n_rows ? reduce(j, &s, key, how, format, &text, err) : tex_number(&text, "0", format, key, err);
        if (!st)
            buf_printf(j->out, "\\assayvalue{%s}{%s}\n", key, text.data ? text.data : "");
        j->out->failed = j->out->failed || text.failed;
    }
    buf_release(&text);
    return st;
}

struct column {
    char title[96], format[16];
    int64_t col[3];
    size_t n;
};

static enum status parse_column(struct job *j, const char *text, size_t n_cols, struct column *c, struct err *err)
{
    char number[3][16];
    *c = (struct column){0};
    int found = sscanf(text, "%95[^|]| %15[^ |] | %15s %15s %15s", c->title, c->format, number[0], number[1], number[2]);
    if (found != 3 && found != 5)
        return err_set(err, ERR_FORMAT, "%s: expected 'TITLE | FORMAT | COL [LO HI]', found '%s'", j->where, text);
    for (size_t n = strlen(c->title); n > 0 && c->title[n - 1] == ' '; n--)
        c->title[n - 1] = '\0';
    c->n = (size_t)found - 2;
    for (size_t i = 0; i < c->n; i++) {
        enum status st = num_parse_i64(number[i], 1, (int64_t)n_cols, "column", &c->col[i], err);
        if (st) {
            err_prefix(err, "%s", j->where);
            return st;
        }
    }
    return OK;
}

static enum status add_cell(struct job *j, const struct column *c, const char *const *row, const char *previous,
                            struct err *err)
{
    const char *v = row[c->col[0] - 1];
    if (!*v) {
        buf_str(j->out, "--");
        return OK;
    }
    if (strcmp(c->format, "text") == 0 && previous && strcmp(previous, v) == 0)
        return OK; // a name is printed once, on its first line
    enum status st = tex_number(j->out, v, c->format, j->where, err);
    if (!st && c->n == 3 && *row[c->col[1] - 1] && *row[c->col[2] - 1]) {
        buf_str(j->out, " {\\scriptsize [");
        st = tex_number(j->out, row[c->col[1] - 1], c->format, j->where, err);
        if (!st) {
            buf_str(j->out, ", ");
            st = tex_number(j->out, row[c->col[2] - 1], c->format, j->where, err);
            buf_str(j->out, "]}");
        }
    }
    return st;
}

enum { MAX_COLUMNS = 16 };

/* The table at entry i and its columns; *next is the first entry after them. */
static enum status add_table(struct job *j, size_t i, size_t *next, struct err *err)
{
    struct query q;
    struct dataset s;
    struct column c[MAX_COLUMNS];
    size_t n = 0;
    enum status st = run_query(j, j->d->entry[i].value, &q, &s, err);
    for (*next = i + 1; !st && *next < j->d->n && strcmp(j->d->entry[*next].key, "column") == 0; ++*next) {
        (void)snprintf(j->where, sizeof j->where, "%s:%zu", j->d->path, j->d->entry[*next].line);
        if (n == MAX_COLUMNS)
            return err_set(err, ERR_FORMAT, "%s: expected at most %d columns", j->where, MAX_COLUMNS);
        st = parse_column(j, j->d->entry[*next].value, s.n_cols, &c[n++], err);
    }
    if (!st && n == 0)
        st = err_set(err, ERR_FORMAT, "%s: table '%s' has no column", j->where, q.name);
    if (st)
        return st;
    if (s.n_rows == 0)
        return put_reason(j, q.name, s.reason, err);
    buf_printf(j->out, "\\assayvalue{%s}{\\begin{tabular}{", q.name);
    for (size_t k = 0; k < n; k++)
        buf_str(j->out, strcmp(c[k].format, "par") == 0 ? "p{5.6cm}" : strcmp(c[k].format, "text") == 0 ? "l" : "r");
    buf_str(j->out, "}\\toprule\n");
    for (size_t k = 0; k < n; k++)
        buf_printf(j->out, "%s%s", k ? " & " : "", c[k].title);
    buf_str(j->out, "\\\\\\midrule\n");
    for (size_t r = 0; r < s.n_rows && !st; r++) {
        const char *const *row = &s.cells[r * s.n_cols];
        for (size_t k = 0; k < n && !st; k++) {
            buf_str(j->out, k ? " & " : "");
            st = add_cell(j, &c[k], row, r && k == 0 ? row[c[k].col[0] - 1 - (int64_t)s.n_cols] : NULL, err);
        }
        buf_str(j->out, "\\\\\n");
    }
    buf_str(j->out, "\\bottomrule\\end{tabular}}\n");
    return st;
}

enum status tex_numbers(struct buf *out, const struct desc *d, const struct grids *grids, struct arena *a,
                        struct err *err)
{
    struct job j = {.out = out, .d = d, .grids = grids, .a = a};
    enum status st = OK;
    for (size_t i = 0, next = 0; i < d->n && !st; i = next) {
        const struct desc_entry *e = &d->entry[i];
        (void)snprintf(j.where, sizeof j.where, "%s:%zu", d->path, e->line);
        next = i + 1;
        if (strcmp(e->key, "number") == 0)
            st = add_number(&j, e, err);
        else if (strcmp(e->key, "table") == 0)
            st = add_table(&j, i, &next, err);
        else
            st = err_set(err, ERR_FORMAT, "%s: expected 'number', 'table' or its 'column', found '%s'", j.where, e->key);
    }
    return st ? st : buf_status(out, "numbers", err);
}
