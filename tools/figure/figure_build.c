#include <float.h>
#include <string.h>

#include "base/num.h"
#include "figure/figure_desc.h"
#include "figure/gnuplot.h"

/* Widths of a column and of a page of the paper (two columns, A4). */
#define COLUMN_CM 8.6
#define PAGE_CM 17.8

struct named {
    const char *name;
    bool maybe;
    struct query query;
    struct dataset set;
};

struct builder {
    const struct desc *d;
    const struct grids *grids;
    struct arena *a;
    struct figure *f;
    struct named *data;
    size_t n_data;
    const char **model; /* all models of all inputs, sorted: the order of the line styles */
    size_t n_models;
    struct buf out;
};

static bool is_number(const char *s, double *x)
{
    return num_parse_f64(s, -DBL_MAX, DBL_MAX, "", x, NULL) == OK;
}

static enum status collect_models(struct builder *b, struct err *err)
{
    size_t cap = 1;
    void *mem = NULL;
    for (size_t i = 0; i < b->grids->n; i++)
        cap += b->grids->grid[i].n_rows;
    enum status st = arena_alloc(b->a, &mem, cap, sizeof(char *), err);
    if (st)
        return st;
    b->model = mem;
    for (size_t i = 0; i < b->grids->n; i++) {
        const struct grid *g = &b->grids->grid[i];
        long col = grid_col(g, "model");
        for (size_t r = 0; col >= 0 && r < g->n_rows; r++) {
            const char *name = g->cells[r * g->n_cols + (size_t)col];
            size_t at = 0;
            while (at < b->n_models && strcmp(b->model[at], name) < 0)
                at++;
            if (!*name || (at < b->n_models && strcmp(b->model[at], name) == 0))
                continue;
            memmove(&b->model[at + 1], &b->model[at], (b->n_models - at) * sizeof *b->model);
            b->model[at] = name;
            b->n_models++;
        }
    }
    return OK;
}

static enum status run_queries(struct builder *b, struct err *err)
{
    void *mem = NULL;
    struct buf where = BUF_INIT;
    enum status st = arena_alloc(b->a, &mem, b->d->n, sizeof(struct named), err);
    b->data = mem;
    for (size_t i = 0; !st && i < b->d->n; i++) {
        const struct desc_entry *e = &b->d->entry[i];
        bool maybe = strcmp(e->key, "maybe") == 0;
        if (!maybe && strcmp(e->key, "data") != 0)
            continue;
        struct named *n = &b->data[b->n_data++];
        buf_clear(&where);
        buf_printf(&where, "%s:%zu", b->d->path, e->line);
        st = buf_status(&where, "position", err);
        if (!st)
            st = query_parse(&n->query, e->value, where.data, b->a, err);
        if (!st)
            st = query_run(&n->set, &n->query, b->grids, where.data, b->a, err);
        n->name = n->query.name;
        n->maybe = maybe;
    }
    buf_release(&where);
    return st;
}

static const struct named *find_data(const struct builder *b, const char *name, size_t n)
{
    for (size_t i = 0; i < b->n_data; i++)
        if (strlen(b->data[i].name) == n && strncmp(b->data[i].name, name, n) == 0)
            return &b->data[i];
    return NULL;
}

/* The range of a column of numbers ("5" or "5 to 40"), or the list of its words. */
static void describe_column(struct buf *out, const struct dataset *s, size_t col)
{
    const char *least = NULL, *greatest = NULL;
    double lo = 0, hi = 0, x = 0;
    bool numbers = true;
    for (size_t r = 0; r < s->n_rows; r++) {
        const char *c = s->cells[r * s->n_cols + col];
        if (!*c)
            continue;
        numbers = numbers && is_number(c, &x);
        if (!least || x < lo) {
            least = c;
            lo = x;
        }
        if (!greatest || x > hi) {
            greatest = c;
            hi = x;
        }
    }
    if (!least) {
        buf_str(out, "unknown");
    } else if (numbers) {
        buf_str(out, least);
        if (hi > lo)
            buf_printf(out, " to %s", greatest);
    } else {
        const char *last = "";
        for (size_t r = 0; r < s->n_rows; r++) {
            const char *c = s->cells[r * s->n_cols + col];
            if (*c && strcmp(c, last) != 0)
                buf_printf(out, "%s%s", *last ? ", " : "", c);
            last = *c ? c : last;
        }
    }
}

static enum status fill_caption(struct builder *b, const char *text, struct err *err)
{
    struct buf out = BUF_INIT;
    char *copy = NULL;
    enum status st = OK;
    while (!st && *text) {
        size_t n = strcspn(text, "{");
        buf_add(&out, text, n);
        text += n;
        if (!*text)
            break;
        const char *end = strchr(text, '}'), *dot = strchr(text, '.');
        const struct named *data = end && dot && dot < end ? find_data(b, text + 1, (size_t)(dot - text) - 1) : NULL;
        size_t n_col = data ? (size_t)(end - dot) - 1 : 0;
        bool found = false;
        if (data && n_col == 4 && strncmp(dot + 1, "rows", 4) == 0) {
            buf_printf(&out, "%zu", data->set.n_rows);
            found = true;
        }
        for (size_t c = 0; data && !found && c < data->set.n_cols; c++) {
            found = strlen(data->set.cols[c]) == n_col && strncmp(data->set.cols[c], dot + 1, n_col) == 0;
            if (found)
                describe_column(&out, &data->set, c);
        }
        if (!found)
            st = err_set(err, ERR_FORMAT, "%s: expected {NAME.COL} in the caption, found '%.*s'", b->d->path,
                         end ? (int)(end - text) + 1 : 20, text);
        text = end ? end + 1 : text;
    }
    if (!st && !out.n)
        st = err_set(err, ERR_FORMAT, "%s: expected a caption", b->d->path);
    if (!st)
        st = buf_status(&out, "caption", err);
    if (!st)
        st = arena_strndup(b->a, &copy, out.data, out.n, err);
    b->f->caption = copy;
    buf_release(&out);
    return st;
}

static size_t style_of(const struct builder *b, const char *key, size_t block)
{
    for (size_t i = 0; i < b->n_models; i++)
        if (strcmp(b->model[i], key) == 0)
            return i + 1;
    return block + 1;
}

static void add_cell(struct buf *out, const char *c)
{
    double x = 0;
    if (!*c) {
        buf_char(out, '?');
    } else if (is_number(c, &x)) {
        buf_str(out, c);
    } else {
        buf_char(out, '"');
        for (; *c; c++)
            buf_char(out, *c == '"' || *c == '\n' ? '\'' : *c);
        buf_char(out, '"');
    }
}

static void add_data(struct builder *b, const struct named *n)
{
    const struct dataset *s = &n->set;
    struct buf keys = BUF_INIT, styles = BUF_INIT;
    size_t block = 0;
    buf_printf(&b->out, "$%s << EOD\n#", n->name);
    for (size_t c = 0; c < s->n_cols; c++)
        buf_printf(&b->out, " %s", s->cols[c]);
    buf_char(&b->out, '\n');
    for (size_t r = 0; r < s->n_rows; r++) {
        const char *const *row = &s->cells[r * s->n_cols];
        if (r == 0 || (n->query.by && strcmp(row[0], row[-(long)s->n_cols]) != 0)) {
            const char *key = n->query.by ? row[0] : n->name;
            buf_str(&b->out, r ? "\n\n" : "");
            buf_str(&keys, block ? ", " : "");
            gnuplot_quote(&keys, key);
            buf_printf(&styles, "%s%zu", block ? ", " : "", style_of(b, key, block));
            block++;
        }
        for (size_t c = 0; c < s->n_cols; c++) {
            buf_str(&b->out, c ? " " : "");
            add_cell(&b->out, row[c]);
        }
        buf_char(&b->out, '\n');
    }
    buf_printf(&b->out, "EOD\n%s_n = %zu\n%s_rows = %zu\n", n->name, block, n->name, s->n_rows);
    if (!block) {
        const char *reason = s->reason ? s->reason : desc_get(b->d, "empty", "no data");
        buf_printf(&b->out, "%s_reason = ", n->name);
        gnuplot_quote(&b->out, reason);
        buf_char(&b->out, '\n');
    }
    if (block)
        buf_printf(&b->out, "array %s_key[%zu] = [%s]\narray %s_ls[%zu] = [%s]\n", n->name, block, keys.data,
                   n->name, block, styles.data);
    b->out.failed = b->out.failed || keys.failed || styles.failed;
    buf_release(&keys);
    buf_release(&styles);
}

/* A picture that says why it shows nothing: title, then the reason broken at blanks. */
static void add_empty(struct builder *b)
{
    const char *at = b->f->empty;
    double y = 0.52;
    int label = 2;
    buf_str(&b->out, "unset key\nunset border\nunset tics\nset margins 0,0,0,0\nset xrange [0:1]\nset yrange [0:1]\n"
                     "set object 1 rectangle from screen 0.02,0.03 to screen 0.98,0.97 fillstyle empty "
                     "border linecolor '#888888' dashtype (6,4)\nset label 1 ");
    gnuplot_quote(&b->out, b->f->title);
    buf_str(&b->out, " at screen 0.5,0.72 center\n");
    while (*at) {
        size_t n = strlen(at);
        if (n > 52) {
            n = 52;
            while (n > 0 && at[n] != ' ')
                n--;
            n = n ? n : strcspn(at, " ");
        }
        char line[256];
        size_t m = n < sizeof line - 1 ? n : sizeof line - 1;
        memcpy(line, at, m);
        line[m] = '\0';
        buf_printf(&b->out, "set label %d ", label++);
        gnuplot_quote(&b->out, line);
        buf_printf(&b->out, " at screen 0.5,%.2f center textcolor '#444444'\n", y);
        y -= 0.1;
        at += n;
        at += strspn(at, " ");
    }
    buf_str(&b->out, "plot 2 notitle\n"); // above the range: nothing but the labels shows
}

static void add_head(struct builder *b)
{
    const struct figure *f = b->f;
    buf_printf(&b->out, "# figure: %s\n# title: %s\n# caption: %s\n# state: %s%s\n", f->name, f->title, f->caption,
               f->empty ? "empty: " : "data", f->empty ? f->empty : "");
    buf_str(&b->out, "\nif (!exists('format')) format = 'svg'\nif (!exists('output')) output = ");
    gnuplot_quote(&b->out, f->name);
    buf_printf(&b->out, " . '.' . format\nset encoding utf8\n"
                        "if (format eq 'pdf') set terminal pdfcairo noenhanced size %.2fcm,%.2fcm "
                        "font 'DejaVu Sans,7' linewidth 1.1 pointscale 0.45 dashlength 0.7\n"
                        "if (format eq 'svg') set terminal svg noenhanced size %d,%d font 'sans-serif,13' "
                        "linewidth 1.4 background '#ffffff'\nset output output\n",
               f->width_cm, f->height_cm, (int)(f->width_cm * 72), (int)(f->height_cm * 72));
}

static enum status find_empty(struct builder *b, struct err *err)
{
    struct buf text = BUF_INIT;
    char *copy = NULL;
    enum status st = OK;
    const char *dflt = desc_get(b->d, "empty", NULL);
    for (size_t i = 0; i < b->n_data && !b->f->empty; i++) {
        if (b->data[i].set.n_rows || b->data[i].maybe)
            continue;
        const char *reason = b->data[i].set.reason;
        if (!reason && !dflt)
            return err_set(err, ERR_FORMAT, "%s: data '%s' is empty and nothing says why", b->d->path,
                           b->data[i].name);
        reason = reason ? reason : dflt;
        buf_printf(&text, "%s%s", strstr(reason, "this machine") ? "not measured: " : "not measured on this machine: ",
                   reason);
        st = buf_status(&text, "reason", err);
        if (!st)
            st = arena_strndup(b->a, &copy, text.data, text.n, err);
        b->f->empty = copy;
        if (st)
            break;
    }
    buf_release(&text);
    return st;
}

static enum status read_settings(struct builder *b, struct err *err)
{
    static const char *const known[] = {"figure", "title", "caption", "empty", "width", "height_cm", "data", "maybe"};
    const struct desc *d = b->d;
    for (size_t i = 0; i < d->n; i++) {
        bool found = false;
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
            found = found || strcmp(d->entry[i].key, known[k]) == 0;
        if (!found)
            return err_set(err, ERR_FORMAT, "%s:%zu: unknown key '%s'", d->path, d->entry[i].line, d->entry[i].key);
    }
    const char *width = desc_get(d, "width", "column");
    b->f->name = desc_get(d, "figure", NULL);
    b->f->title = desc_get(d, "title", NULL);
    if (!b->f->name || !b->f->title)
        return err_set(err, ERR_FORMAT, "%s: expected 'figure' and 'title'", d->path);
    if (strcmp(width, "column") != 0 && strcmp(width, "page") != 0)
        return err_set(err, ERR_FORMAT, "%s: width: expected 'column' or 'page', found '%s'", d->path, width);
    b->f->width_cm = strcmp(width, "page") == 0 ? PAGE_CM : COLUMN_CM;
    return num_parse_f64(desc_get(d, "height_cm", "6"), 1, 30, "height_cm", &b->f->height_cm, err);
}

enum status figure_build(struct figure *f, const struct desc *d, const struct grids *grids, const char *style,
                         struct arena *a, struct err *err)
{
    struct builder b = {.d = d, .grids = grids, .a = a, .f = f, .out = BUF_INIT};
    char *script = NULL;
    *f = (struct figure){0};
    enum status st = read_settings(&b, err);
    if (!st)
        st = collect_models(&b, err);
    if (!st)
        st = run_queries(&b, err);
    if (!st)
        st = find_empty(&b, err);
    if (!st)
        st = fill_caption(&b, desc_get(d, "caption", ""), err);
    if (st)
        goto out;
    add_head(&b);
    buf_str(&b.out, style);
    if (f->empty) {
        add_empty(&b);
    } else {
        for (size_t i = 0; i < b.n_data; i++)
            add_data(&b, &b.data[i]);
        // A picture that stands alone has its title on top and the legend below; in the paper the caption says it.
        buf_str(&b.out, "if (format eq 'svg') set key bottom; set title ");
        gnuplot_quote(&b.out, f->title);
        buf_str(&b.out, "\nif (format eq 'pdf') unset title\n");
        buf_str(&b.out, d->body);
    }
    buf_str(&b.out, "set output\n");
    st = buf_status(&b.out, "script", err);
    if (!st)
        st = arena_strndup(a, &script, b.out.data, b.out.n, err);
    f->script = script;
out:
    buf_release(&b.out);
    return st;
}
