#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "lib/canon.h"
#include "lib/csvio.h"
#include "lib/table_internal.h"

/* A table as CSV and as JSON, both ways. Reading checks every value; "canonical" is checked by writing
 * what was read and comparing bytes, so there is one definition of the form: the writer. */

enum status table_write_csv(struct table *t, struct buf *out, struct err *err)
{
    enum status s = table_finish(t, err);
    if (s)
        return s;
    size_t n = t->schema->n_columns;
    void *p;
    if ((s = mem_alloc(&p, n, sizeof(const char *), "CSV row", err)))
        return s;
    const char **fields = p;
    for (size_t c = 0; c < n; c++)
        fields[c] = t->schema->columns[c].name;
    csv_write_row(out, fields, n);
    for (size_t r = 0; r < t->n_rows; r++) {
        for (size_t c = 0; c < n; c++)
            fields[c] = t->rows[r].cells[c].set ? t->rows[r].cells[c].text : "";
        csv_write_row(out, fields, n);
    }
    mem_free(fields);
    return buf_status(out, "CSV text", err);
}

static cJSON *cell_json(const struct schema_column *col, const struct table_cell *c)
{
    switch (col->type) {
    case COLUMN_INT:
        return cJSON_CreateNumber((double)c->i);
    case COLUMN_REAL:
        return cJSON_CreateNumber(c->f);
    case COLUMN_BOOL:
        return cJSON_CreateBool(c->i != 0);
    case COLUMN_TEXT:
    case COLUMN_SHA256:
    case COLUMN_ENUM:
    case COLUMN_INTS:
    case COLUMN_TEXTS:
    case COLUMN_REALS:
    case COLUMN_JSON:
        break;
    }
    return cJSON_CreateString(c->text);
}

static bool add_row_json(cJSON *rows, const struct schema *s, const struct table_row *row)
{
    cJSON *o = cJSON_CreateObject();
    if (!o || !cJSON_AddItemToArray(rows, o)) {
        cJSON_Delete(o);
        return false;
    }
    for (size_t c = 0; c < s->n_columns; c++) {
        if (!row->cells[c].set)
            continue;
        cJSON *v = cell_json(&s->columns[c], &row->cells[c]);
        if (!v || !cJSON_AddItemToObject(o, s->columns[c].name, v)) {
            cJSON_Delete(v);
            return false;
        }
    }
    return true;
}

enum status table_write_json(struct table *t, struct buf *out, struct err *err)
{
    enum status s = table_finish(t, err);
    if (s)
        return s;
    cJSON *doc = cJSON_CreateObject();
    cJSON *rows = doc ? cJSON_AddArrayToObject(doc, "rows") : NULL;
    bool good = rows && cJSON_AddStringToObject(doc, "schema", t->schema->id);
    for (size_t r = 0; r < t->n_rows && good; r++)
        good = add_row_json(rows, t->schema, &t->rows[r]);
    if (!good)
        s = err_set(err, ERR_MEMORY, "cannot build the JSON of a table");
    else
        s = json_write_canonical(out, doc, err);
    buf_char(out, '\n');
    cJSON_Delete(doc);
    return s ? s : buf_status(out, "JSON text", err);
}

/* One value from its CSV spelling. where is "file:line:column: name". */
static enum status parse_cell(struct table *t, size_t c, const char *text, const char *where, struct table_cell *out,
                              struct err *err)
{
    const struct schema_column *col = &t->schema->columns[c];
    enum status s = OK;
    double limit;
    if (!*text) {
        if (!col->nullable)
            return err_set(err, ERR_FORMAT, "%s: expected a value, found an empty field", where);
        return OK;
    }
    *out = (struct table_cell){.set = true};
    switch (col->type) {
    case COLUMN_INT:
        s = num_parse_i64(text, col->min, col->max, where, &out->i, err);
        break;
    case COLUMN_BOOL:
        s = num_parse_i64(text, 0, 1, where, &out->i, err);
        break;
    case COLUMN_REAL:
        limit = t->schema->canonical ? CANON_MAX_REAL : 1e300; // what we import may hold what we never write
        s = num_parse_f64(text, -limit, limit, where, &out->f, err);
        if (!s && t->schema->canonical)
            out->f = canon_real(out->f, col->decimals);
        break;
    case COLUMN_SHA256:
        if (!canon_is_sha256(text))
            return err_set(err, ERR_FORMAT, "%s: expected 64 lower-case hex digits, found '%.80s'", where, text);
        break;
    case COLUMN_ENUM: {
        bool found = false;
        for (size_t k = 0; k < col->n_values; k++)
            found = found || strcmp(col->values[k], text) == 0;
        if (!found)
            return err_set(err, ERR_FORMAT, "%s: expected a word of %s, found '%.80s'", where, t->schema->id, text);
        break;
    }
    case COLUMN_TEXT:
        break;
    case COLUMN_INTS:
    case COLUMN_TEXTS:
    case COLUMN_REALS:
    case COLUMN_JSON:
        return err_set(err, ERR_UNSUPPORTED, "%s: a table cannot hold this type", where);
    }
    if (s)
        return s;
    if (col->type == COLUMN_INT || col->type == COLUMN_REAL || col->type == COLUMN_BOOL)
        return table_spell(t, col->type, out, err);
    char *copy;
    s = arena_strndup(t->arena, &copy, text, strlen(text), err);
    out->text = s ? NULL : copy;
    return s;
}

/* map[c] = CSV column of schema column c. Result files have exactly the schema's columns in order;
 * imported ones may have more and in any order. */
static enum status map_header(const struct table *t, const struct csv *csv, size_t *map, struct err *err)
{
    const struct schema *s = t->schema;
    for (size_t i = 0; i < csv->n_cols; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(csv_at(csv, 0, i)->text, csv_at(csv, 0, k)->text) == 0)
                return err_set(err, ERR_FORMAT, "%s:1:%zu: expected unique column names, found '%s' twice", t->name,
                               csv_at(csv, 0, i)->column, csv_at(csv, 0, i)->text);
    for (size_t c = 0; c < s->n_columns; c++) {
        map[c] = SIZE_MAX;
        for (size_t i = 0; i < csv->n_cols; i++)
            if (strcmp(csv_at(csv, 0, i)->text, s->columns[c].name) == 0)
                map[c] = i;
        if (s->canonical ? map[c] != c : map[c] == SIZE_MAX) {
            const char *found = c < csv->n_cols ? csv_at(csv, 0, c)->text : "end of line";
            return err_set(err, ERR_FORMAT, "%s:1:%zu: expected column '%s' of %s, found '%.80s'", t->name,
                           c < csv->n_cols ? csv_at(csv, 0, c)->column : 1, s->columns[c].name, s->id, found);
        }
    }
    if (s->canonical && csv->n_cols != s->n_columns)
        return err_set(err, ERR_FORMAT, "%s:1:%zu: expected the %zu columns of %s, found '%.80s' as well", t->name,
                       csv_at(csv, 0, s->n_columns)->column, s->n_columns, s->id, csv_at(csv, 0, s->n_columns)->text);
    return OK;
}

static enum status start(struct table **out, const char *schema, const char *name, struct err *err)
{
    struct table *t;
    enum status s = table_new(&t, schema, err);
    if (s)
        return s;
    void *p;
    size_t n = strlen(name) + 1;
    if ((s = mem_alloc(&p, n, 1, "file name", err))) {
        table_free(t);
        return s;
    }
    t->name = p;
    memcpy(t->name, name, n);
    *out = t;
    return OK;
}

static enum status check_form(struct table *t, const char *data, size_t n, bool json, struct err *err)
{
    struct buf b = BUF_INIT;
    enum status s = json ? table_write_json(t, &b, err) : table_write_csv(t, &b, err);
    size_t line;
    size_t column;
    if (!s && canon_first_difference(data, n, b.data, b.n, &line, &column))
        s = err_set(err, ERR_FORMAT, "%s:%zu:%zu: expected canonical form (order, spelling, quoting, line ends)",
                    t->name, line, column);
    buf_release(&b);
    return s;
}

enum status table_parse(struct table **out, const char *schema, const char *data, size_t n, const char *name,
                        unsigned flags, struct err *err)
{
    struct table *t;
    struct csv csv = {.n_cols = 0};
    void *map_p = NULL;
    enum status s = start(&t, schema, name, err);
    if (s)
        return s;
    s = csv_parse_bytes(&csv, data, n, name, err);
    if (!s)
        s = mem_alloc(&map_p, t->schema->n_columns, sizeof(size_t), "columns", err);
    size_t *map = map_p;
    if (!s)
        s = map_header(t, &csv, map, err);
    for (size_t r = 1; r < csv.n_rows && !s; r++) {
        s = table_add_row(t, csv_at(&csv, r, 0)->line, err);
        for (size_t c = 0; c < t->schema->n_columns && !s; c++) {
            const struct csv_field *f = csv_at(&csv, r, map[c]);
            struct buf where = BUF_INIT;
            buf_printf(&where, "%s:%zu:%zu: %s", name, f->line, f->column, t->schema->columns[c].name);
            s = buf_status(&where, "file name", err);
            if (!s)
                s = parse_cell(t, c, f->text, where.data, &t->rows[r - 1].cells[c], err);
            buf_release(&where);
        }
    }
    if (!s)
        s = flags & TABLE_CANONICAL ? check_form(t, data, n, false, err) : table_finish(t, err);
    mem_free(map);
    csv_release(&csv);
    if (s)
        table_free(t);
    else
        *out = t;
    return s;
}

/* The CSV spelling of a JSON value, so that one function judges both; NULL when it has none. */
static const char *spelling(const cJSON *v, char out[NUM_TEXT_B])
{
    if (cJSON_IsString(v))
        return v->valuestring;
    if (cJSON_IsBool(v))
        return cJSON_IsTrue(v) ? "1" : "0";
    if (!cJSON_IsNumber(v) || !isfinite(v->valuedouble))
        return NULL;
    num_format_f64(v->valuedouble, out);
    return out;
}

static enum status parse_json_row(struct table *t, const cJSON *row, const char *where, struct err *err)
{
    enum status s = table_add_row(t, t->n_rows + 1, err);
    if (s)
        return s;
    if (!cJSON_IsObject(row))
        return err_set(err, ERR_FORMAT, "%s: expected an object", where);
    const cJSON *v;
    cJSON_ArrayForEach(v, row)
    {
        size_t c = schema_column(t->schema, v->string);
        char text[NUM_TEXT_B];
        const char *spelled = spelling(v, text);
        if (c == SIZE_MAX || !spelled)
            return err_set(err, ERR_FORMAT, "%s: \"%.80s\": not a value of %s", where, v->string, t->schema->id);
        enum column_type type = t->schema->columns[c].type;
        bool number = type == COLUMN_INT || type == COLUMN_REAL;
        if (number != cJSON_IsNumber(v) || (type == COLUMN_BOOL) != cJSON_IsBool(v))
            return err_set(err, ERR_FORMAT, "%s: \"%.80s\": wrong JSON type", where, v->string);
        char label[400];
        (void)snprintf(label, sizeof label, "%s: \"%.80s\"", where, v->string);
        if ((s = parse_cell(t, c, spelled, label, &t->rows[t->n_rows - 1].cells[c], err)))
            return s;
    }
    return OK;
}

enum status table_parse_json(struct table **out, const char *schema, const char *data, size_t n, const char *name,
                             unsigned flags, struct err *err)
{
    struct table *t;
    cJSON *doc = NULL;
    const char *id = "";
    enum status s = start(&t, schema, name, err);
    if (s)
        return s;
    s = json_parse(&doc, data, n, name, err);
    if (!s)
        s = json_get_str(doc, "schema", name, &id, err);
    if (!s && strcmp(id, t->schema->id) != 0)
        s = err_set(err, ERR_FORMAT, "%s: expected schema '%s', found '%.80s'", name, t->schema->id, id);
    const cJSON *rows = json_get(doc, "rows");
    if (!s && !cJSON_IsArray(rows))
        s = err_set(err, ERR_FORMAT, "%s: \"rows\": expected an array", name);
    const cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        if (s)
            break;
        char where[300];
        (void)snprintf(where, sizeof where, "%.200s: row %zu", name, t->n_rows + 1);
        s = parse_json_row(t, row, where, err);
    }
    if (!s)
        s = flags & TABLE_CANONICAL ? check_form(t, data, n, true, err) : table_finish(t, err);
    cJSON_Delete(doc);
    if (s)
        table_free(t);
    else
        *out = t;
    return s;
}
