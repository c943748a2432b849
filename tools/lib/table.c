#include "lib/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "lib/canon.h"
#include "lib/table_internal.h"

static enum status keep(struct table *t, enum status s, struct err *e)
{
    if (s && !t->first.status) {
        t->first = *e;
        t->first.status = s;
    }
    return s;
}

/* Numbers keep their canonical spelling, so that writing and table_text agree by construction. */
enum status table_spell(struct table *t, enum column_type type, struct table_cell *c, struct err *err)
{
    char text[NUM_TEXT_B];
    if (type == COLUMN_REAL)
        num_format_f64(c->f, text);
    else
        (void)snprintf(text, sizeof text, "%lld", (long long)c->i);
    char *copy;
    enum status s = arena_strndup(t->arena, &copy, text, strlen(text), err);
    if (!s)
        c->text = copy;
    return s;
}

static void mistake(struct table *t, const char *column, const char *text)
{
    struct err e = ERR_INIT;
    enum status s = err_set(&e, ERR_FORMAT, "%s row %zu: column '%s' %s", t->schema->id, t->n_rows, column, text);
    (void)keep(t, s, &e);
}

enum status table_new(struct table **out, const char *schema, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct table), "table", err);
    if (s)
        return s;
    struct table *t = p;
    s = schema_load(&t->schema, schema, err);
    if (!s && t->schema->format != SCHEMA_CSV)
        s = err_set(err, ERR_UNSUPPORTED, "schema '%s' describes no table", schema);
    if (!s)
        s = arena_new(&t->arena, 0, err);
    if (s) {
        table_free(t);
        return s;
    }
    *out = t;
    return OK;
}

void table_free(struct table *t)
{
    if (!t)
        return;
    schema_free(t->schema);
    arena_free(t->arena);
    mem_free(t->rows);
    mem_free(t->name);
    mem_free(t);
}

const struct schema *table_schema(const struct table *t)
{
    return t->schema;
}

size_t table_n_rows(const struct table *t)
{
    return t->n_rows;
}

enum status table_add_row(struct table *t, size_t line, struct err *err)
{
    void *p;
    enum status s;
    if (t->n_rows == t->cap_rows) {
        size_t cap = t->cap_rows ? 2 * t->cap_rows : 16;
        if ((s = mem_alloc(&p, cap, sizeof(struct table_row), "table rows", err)))
            return s;
        if (t->n_rows)
            memcpy(p, t->rows, t->n_rows * sizeof(struct table_row));
        mem_free(t->rows);
        t->rows = p;
        t->cap_rows = cap;
    }
    if ((s = arena_alloc(t->arena, &p, t->schema->n_columns, sizeof(struct table_cell), err)))
        return s;
    t->rows[t->n_rows++] = (struct table_row){.cells = p, .line = line, .schema = t->schema};
    t->finished = false;
    return OK;
}

void table_row(struct table *t)
{
    struct err e = ERR_INIT;
    (void)keep(t, table_add_row(t, 0, &e), &e);
}

/* The cell a setter means, or NULL with the mistake kept. */
static struct table_cell *cell(struct table *t, const char *column, enum column_type want, size_t *index)
{
    if (t->first.status)
        return NULL;
    size_t i = schema_column(t->schema, column);
    if (i == SIZE_MAX) {
        mistake(t, column, "is not in the schema");
        return NULL;
    }
    if (t->n_rows == 0) {
        mistake(t, column, "is set before the first row");
        return NULL;
    }
    enum column_type type = t->schema->columns[i].type;
    bool text = type == COLUMN_TEXT || type == COLUMN_SHA256 || type == COLUMN_ENUM;
    if (type != want && !(want == COLUMN_TEXT && text) && !(want == COLUMN_INT && type == COLUMN_REAL)) {
        mistake(t, column, "has another type");
        return NULL;
    }
    *index = i;
    return &t->rows[t->n_rows - 1].cells[i];
}

static void set_number(struct table *t, struct table_cell *c, enum column_type type, int64_t i, double f)
{
    struct err e = ERR_INIT;
    *c = (struct table_cell){.set = true, .i = i, .f = f};
    (void)keep(t, table_spell(t, type, c, &e), &e);
}

void table_set_i64(struct table *t, const char *column, int64_t v)
{
    size_t i;
    struct table_cell *c = cell(t, column, COLUMN_INT, &i);
    if (!c)
        return;
    const struct schema_column *col = &t->schema->columns[i];
    if (col->type == COLUMN_REAL) {
        table_set_f64(t, column, (double)v);
        return;
    }
    if (v < col->min || v > col->max) {
        mistake(t, column, "is outside the schema's range");
        return;
    }
    set_number(t, c, col->type, v, 0);
}

void table_set_f64(struct table *t, const char *column, double v)
{
    size_t i;
    struct table_cell *c = cell(t, column, COLUMN_REAL, &i);
    if (!c)
        return;
    if (!(fabs(v) <= CANON_MAX_REAL)) {
        mistake(t, column, isfinite(v) ? "is beyond 2^53-1" : "is not finite");
        return;
    }
    set_number(t, c, COLUMN_REAL, 0, canon_real(v, t->schema->columns[i].decimals));
}

void table_set_bool(struct table *t, const char *column, bool v)
{
    size_t i;
    struct table_cell *c = cell(t, column, COLUMN_BOOL, &i);
    if (c)
        set_number(t, c, COLUMN_BOOL, v, 0);
}

static bool text_fits(const struct schema_column *col, const char *v)
{
    if (col->type == COLUMN_SHA256)
        return canon_is_sha256(v);
    for (size_t k = 0; k < col->n_values; k++)
        if (strcmp(col->values[k], v) == 0)
            return true;
    return col->type == COLUMN_TEXT;
}

void table_set_text(struct table *t, const char *column, const char *v)
{
    size_t i;
    struct table_cell *c = cell(t, column, COLUMN_TEXT, &i);
    if (!c || !v || !*v)
        return;
    if (!text_fits(&t->schema->columns[i], v)) {
        char what[160];
        (void)snprintf(what, sizeof what, "cannot be '%.100s'", v);
        mistake(t, column, what);
        return;
    }
    char *copy;
    struct err e = ERR_INIT;
    if (keep(t, arena_strndup(t->arena, &copy, v, strlen(v), &e), &e))
        return;
    *c = (struct table_cell){.set = true, .text = copy};
}

void table_copy_row(struct table *t, const struct table *from, size_t row)
{
    table_row(t);
    for (size_t i = 0; i < t->schema->n_columns && !t->first.status; i++) {
        const struct schema_column *col = &t->schema->columns[i];
        size_t k = schema_column(from->schema, col->name);
        if (k == SIZE_MAX || !from->rows[row].cells[k].set)
            continue;
        enum column_type type = from->schema->columns[k].type;
        if (type == COLUMN_INT && col->type == COLUMN_INT)
            table_set_i64(t, col->name, from->rows[row].cells[k].i);
        else if (type == COLUMN_INT || type == COLUMN_REAL)
            table_set_f64(t, col->name, table_f64(from, row, col->name));
        else if (type == COLUMN_BOOL)
            table_set_bool(t, col->name, from->rows[row].cells[k].i != 0);
        else
            table_set_text(t, col->name, from->rows[row].cells[k].text);
    }
}

static int compare_cells(enum column_type type, const struct table_cell *a, const struct table_cell *b)
{
    if (!a->set || !b->set)
        return (int)a->set - (int)b->set;
    if (type == COLUMN_INT || type == COLUMN_BOOL)
        return (a->i > b->i) - (a->i < b->i);
    if (type == COLUMN_REAL)
        return (a->f > b->f) - (a->f < b->f);
    return strcmp(a->text, b->text);
}

static int compare_rows(const void *pa, const void *pb)
{
    const struct table_row *a = pa;
    const struct table_row *b = pb;
    const struct schema *s = a->schema;
    for (size_t k = 0; k < s->n_keys; k++) {
        size_t c = s->keys[k];
        int r = compare_cells(s->columns[c].type, &a->cells[c], &b->cells[c]);
        if (r)
            return r;
    }
    return 0;
}

enum status table_finish(struct table *t, struct err *err)
{
    if (t->first.status) {
        if (err)
            *err = t->first;
        return t->first.status;
    }
    if (t->finished)
        return OK;
    const struct schema *s = t->schema;
    for (size_t r = 0; r < t->n_rows; r++)
        for (size_t c = 0; c < s->n_columns; c++)
            if (!t->rows[r].cells[c].set && !s->columns[c].nullable) {
                char where[300];
                return err_set(err, ERR_FORMAT, "%s: column '%s' is missing", table_where(t, r, where, sizeof where),
                               s->columns[c].name);
            }
    if (s->n_keys && s->canonical) {
        if (t->n_rows)
            qsort(t->rows, t->n_rows, sizeof *t->rows, compare_rows);
        for (size_t r = 1; r < t->n_rows; r++)
            if (compare_rows(&t->rows[r - 1], &t->rows[r]) == 0) {
                char where[300];
                return err_set(err, ERR_FORMAT, "%s: expected unique keys, found a second row of the same %s",
                               table_where(t, r, where, sizeof where), s->columns[s->keys[s->n_keys - 1]].name);
            }
    }
    t->finished = true;
    return OK;
}

static const struct table_cell *read_cell(const struct table *t, size_t row, const char *column, size_t *index)
{
    *index = schema_column(t->schema, column);
    if (*index == SIZE_MAX || row >= t->n_rows)
        return NULL;
    const struct table_cell *c = &t->rows[row].cells[*index];
    return c->set ? c : NULL;
}

bool table_has(const struct table *t, size_t row, const char *column)
{
    size_t i;
    return read_cell(t, row, column, &i) != NULL;
}

int64_t table_i64(const struct table *t, size_t row, const char *column)
{
    size_t i;
    const struct table_cell *c = read_cell(t, row, column, &i);
    if (!c)
        return 0;
    return t->schema->columns[i].type == COLUMN_REAL ? (int64_t)c->f : c->i;
}

double table_f64(const struct table *t, size_t row, const char *column)
{
    size_t i;
    const struct table_cell *c = read_cell(t, row, column, &i);
    if (!c)
        return NAN;
    return t->schema->columns[i].type == COLUMN_REAL ? c->f : (double)c->i;
}

bool table_bool(const struct table *t, size_t row, const char *column)
{
    return table_i64(t, row, column) != 0;
}

const char *table_text(const struct table *t, size_t row, const char *column)
{
    size_t i;
    const struct table_cell *c = read_cell(t, row, column, &i);
    return c ? c->text : "";
}

const char *table_where(const struct table *t, size_t row, char *out, size_t n)
{
    if (t->name && row < t->n_rows)
        (void)snprintf(out, n, "%s:%zu", t->name, t->rows[row].line);
    else
        (void)snprintf(out, n, "%s row %zu", t->schema->id, row + 1);
    return out;
}
