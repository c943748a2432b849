#include "check/check_bands.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/paths.h"
#include "lib/table.h"

static enum status read_table(const struct tree *t, const struct tree_file *f, struct table **out, struct err *err)
{
    struct buf b = BUF_INIT;
    enum status s = tree_read(t, f, &b, err);
    if (!s)
        s = b.n && b.data[0] == '{' ? table_parse_json(out, f->statement->schema, b.data, b.n, f->name, TABLE_ANY, err)
                                    : table_parse(out, f->statement->schema, b.data, b.n, f->name, TABLE_ANY, err);
    buf_release(&b);
    return s;
}

static void differ(struct bands_result *r, const char *where, const char *column, const char *a, const char *b)
{
    if (r->n_keys_differ++ == 0)
        (void)snprintf(r->first, sizeof r->first, "%.120s: %.40s is '%.50s' here and '%.50s' there", where, column, a, b);
}

/* Columns that must be equal whatever was measured: keys, counts and, as far as their numerics promise,
 * the digests of the tokens. */
static bool must_match(const struct schema *s, size_t c, bool tokens)
{
    for (size_t k = 0; k < s->n_keys; k++)
        if (s->keys[k] == c)
            return true;
    const char *name = s->columns[c].name;
    return strcmp(name, "n") == 0 || (tokens && (strcmp(name, "tokens_sha256") == 0 || strcmp(name, "n_tok") == 0));
}

static void compare_keys(const struct table *a, const struct table *b, bool tokens, struct bands_result *r)
{
    const struct schema *s = table_schema(a);
    char where[300];
    size_t n = table_n_rows(a) < table_n_rows(b) ? table_n_rows(a) : table_n_rows(b);
    for (size_t row = 0; row < n; row++) {
        bool same = true;
        for (size_t c = 0; c < s->n_columns && same; c++) {
            const char *name = s->columns[c].name;
            if (!must_match(s, c, tokens) || strcmp(table_text(a, row, name), table_text(b, row, name)) == 0)
                continue;
            same = false;
            differ(r, table_where(a, row, where, sizeof where), name, table_text(a, row, name), table_text(b, row, name));
        }
        r->n_rows += same;
    }
    if (table_n_rows(a) != table_n_rows(b)) {
        char x[32];
        char y[32];
        (void)snprintf(x, sizeof x, "%zu", table_n_rows(a));
        (void)snprintf(y, sizeof y, "%zu", table_n_rows(b));
        differ(r, s->id, "number of rows", x, y);
    }
}

/* Column that holds `statistic` of `metric` in this row, or NULL. Long tables name the metric in a
 * column; wide ones have a column of its name, and the statistic is then "value". */
static const char *value_column(const struct table *t, size_t row, const char *metric, const char *statistic)
{
    const struct schema *s = table_schema(t);
    if (schema_column(s, "metric") != SIZE_MAX) {
        if (strcmp(table_text(t, row, "metric"), metric) != 0)
            return NULL;
        if (schema_column(s, "stat") != SIZE_MAX)
            return strcmp(table_text(t, row, "stat"), statistic) == 0 ? "value" : NULL;
        return schema_column(s, statistic) != SIZE_MAX ? statistic : NULL;
    }
    return strcmp(statistic, "value") == 0 && schema_column(s, metric) != SIZE_MAX ? metric : NULL;
}

static void judge_row(const struct table *a, const struct table *b, size_t row, const struct table *bands, size_t band,
                      struct bands_result *r)
{
    const char *metric = table_text(bands, band, "metric");
    const char *column = value_column(a, row, metric, table_text(bands, band, "statistic"));
    if (!column || !table_has(a, row, column) || !table_has(b, row, column) || table_bool(a, row, "draft"))
        return;
    if (table_has(a, row, "n") && table_i64(a, row, "n") < table_i64(bands, band, "min_samples"))
        return;
    double x = table_f64(a, row, column);
    double y = table_f64(b, row, column);
    double width = table_f64(bands, band, "band");
    double gap = fabs(x - y);
    if (strcmp(table_text(bands, band, "kind"), "relative") == 0)
        gap = y != 0 ? gap / fabs(y) : gap > 0 ? 1e300 : 0;
    r->n_judged++;
    bool outside = !(gap <= width);
    if (outside && r->n_outside++ == 0) {
        char where[200];
        (void)snprintf(r->first, sizeof r->first, "%.100s %s: %.6g here, %.6g there, band %.3g", table_where(a, row, where, sizeof where),
                       metric, x, y, width);
    }
}

/* For a reader on another machine: one pair of medians, without a verdict. */
static void show_first(const struct table *a, const struct table *b, struct bands_result *r)
{
    static const char *const columns[] = {"p50", "value"};
    for (size_t i = 0; i < 2; i++)
        for (size_t row = 0; row < r->n_rows; row++)
            if (table_has(a, row, columns[i]) && table_has(b, row, columns[i])) {
                (void)snprintf(r->first, sizeof r->first, "%.60s %s %.40s here, %.40s there", table_text(a, row, "metric"), columns[i],
                               table_text(a, row, columns[i]), table_text(b, row, columns[i]));
                return;
            }
}

enum status bands_read(const char *path, struct table **out, struct err *err)
{
    struct buf text = BUF_INIT;
    enum status s = path_read(path, &text, err);
    if (!s)
        s = table_parse(out, "bands", text.data, text.n, path, TABLE_ANY, err);
    if (!s && table_n_rows(*out) == 0) {
        s = err_set(err, ERR_FORMAT, "%s:2: expected at least one band, found none", path);
        table_free(*out);
        *out = NULL;
    }
    buf_release(&text);
    return s;
}

enum status bands_compare(const struct tree *ta, const struct tree_file *a, const struct tree *tb,
                          const struct tree_file *b, const struct table *bands, struct bands_result *out,
                          struct err *err)
{
    struct table *x = NULL;
    struct table *y = NULL;
    const struct schema *sc;
    *out = (struct bands_result){.n_rows = 0};
    enum status s = schema_find(ta->schemas, a->statement->schema, &sc, err);
    if (!s && sc->format != SCHEMA_CSV)
        return OK;
    if (!s)
        s = read_table(ta, a, &x, err);
    if (!s)
        s = read_table(tb, b, &y, err);
    if (!s && strcmp(table_schema(x)->id, table_schema(y)->id) != 0)
        s = err_set(err, ERR_FORMAT, "schema %s here, %s there", table_schema(x)->id, table_schema(y)->id);
    if (!s) {
        bool tokens = bands || strcmp(a->statement->numerics, "exact") == 0;
        compare_keys(x, y, tokens, out);
        for (size_t k = 0; bands && k < table_n_rows(bands) && !out->n_keys_differ; k++)
            for (size_t row = 0; row < table_n_rows(x); row++)
                judge_row(x, y, row, bands, k, out);
        if (!out->first[0])
            show_first(x, y, out);
    }
    table_free(x);
    table_free(y);
    return s;
}
