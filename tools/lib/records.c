#include "lib/records.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "lib/canon.h"

struct record {
    cJSON *obj;
    size_t line;
    const struct schema *schema; /* for the comparison function */
};

struct records {
    struct schema *schema;
    struct record *rows;
    size_t n, cap;
    bool sorted;
};

enum status records_new(struct records **out, const char *schema, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct records), "records", err);
    if (s)
        return s;
    struct records *r = p;
    s = schema_load(&r->schema, schema, err);
    if (!s && r->schema->format != SCHEMA_JSONL)
        s = err_set(err, ERR_UNSUPPORTED, "schema '%s' describes no JSONL file", schema);
    if (s) {
        records_free(r);
        return s;
    }
    *out = r;
    return OK;
}

void records_free(struct records *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++)
        cJSON_Delete(r->rows[i].obj);
    mem_free(r->rows);
    schema_free(r->schema);
    mem_free(r);
}

const struct schema *records_schema(const struct records *r)
{
    return r->schema;
}

static bool is_int(const cJSON *v, int64_t lo, int64_t hi)
{
    return cJSON_IsNumber(v) && v->valuedouble == floor(v->valuedouble) && v->valuedouble >= (double)lo &&
           v->valuedouble <= (double)hi;
}

static bool all(const cJSON *list, bool (*test)(const cJSON *))
{
    const cJSON *v;
    cJSON_ArrayForEach(v, list) if (!test(v)) return false;
    return cJSON_IsArray(list);
}

static bool any_int(const cJSON *v)
{
    return is_int(v, -9007199254740991, 9007199254740991);
}

static bool any_text(const cJSON *v)
{
    return cJSON_IsString(v);
}

static bool any_real(const cJSON *v)
{
    return cJSON_IsNumber(v);
}

enum { PHRASE_B = 200 };

/* Tells in words what the column wants. */
static bool value_fits(const struct schema_column *col, const cJSON *v, char expected[PHRASE_B])
{
    const char *text = "";
    bool fits = false;
    switch (col->type) {
    case COLUMN_INT:
        (void)snprintf(expected, PHRASE_B, "an integer from %lld to %lld", (long long)col->min, (long long)col->max);
        return is_int(v, col->min, col->max);
    case COLUMN_REAL:
        text = "a number";
        fits = any_real(v);
        break;
    case COLUMN_TEXT:
        text = "a string";
        fits = cJSON_IsString(v);
        break;
    case COLUMN_SHA256:
        text = "64 lower-case hex digits";
        fits = cJSON_IsString(v) && canon_is_sha256(v->valuestring);
        break;
    case COLUMN_ENUM: {
        size_t n = (size_t)snprintf(expected, PHRASE_B, "one of");
        for (size_t k = 0; k < col->n_values && n < PHRASE_B; k++) {
            n += (size_t)snprintf(expected + n, PHRASE_B - n, k ? ", %s" : " %s", col->values[k]);
            fits = fits || (cJSON_IsString(v) && strcmp(col->values[k], v->valuestring) == 0);
        }
        return fits;
    }
    case COLUMN_BOOL:
        text = "true or false";
        fits = cJSON_IsBool(v);
        break;
    case COLUMN_INTS:
        text = "an array of integers";
        fits = all(v, any_int);
        break;
    case COLUMN_TEXTS:
        text = "an array of strings";
        fits = all(v, any_text);
        break;
    case COLUMN_REALS:
        text = "an array of numbers";
        fits = all(v, any_real);
        break;
    case COLUMN_JSON:
        return true;
    }
    (void)snprintf(expected, PHRASE_B, "%s", text);
    return fits;
}

static void describe(const cJSON *v, char out[PHRASE_B])
{
    char number[NUM_TEXT_B];
    const char *text = "an object";
    if (cJSON_IsString(v)) {
        (void)snprintf(out, PHRASE_B, "'%.80s'", v->valuestring);
        return;
    }
    if (cJSON_IsNumber(v)) {
        num_format_f64(v->valuedouble, number);
        text = number;
    } else if (cJSON_IsBool(v)) {
        text = cJSON_IsTrue(v) ? "true" : "false";
    } else if (cJSON_IsArray(v)) {
        text = "an array of other things";
    }
    (void)snprintf(out, PHRASE_B, "%s", text);
}

enum status record_check(const struct schema *s, const cJSON *obj, const char *where, struct err *err)
{
    if (!cJSON_IsObject(obj))
        return err_set(err, ERR_FORMAT, "%s: expected an object", where);
    for (size_t c = 0; c < s->n_columns; c++) {
        const struct schema_column *col = &s->columns[c];
        const cJSON *v = json_get(obj, col->name);
        char expected[PHRASE_B];
        char found[PHRASE_B];
        if (!v) {
            if (!col->nullable)
                return err_set(err, ERR_FORMAT, "%s: expected key \"%s\" of %s, found none", where, col->name, s->id);
            continue;
        }
        if (!value_fits(col, v, expected)) {
            describe(v, found);
            return err_set(err, ERR_FORMAT, "%s: \"%s\": expected %s, found %s", where, col->name, expected, found);
        }
    }
    const cJSON *v;
    cJSON_ArrayForEach(v, obj)
    {
        if (!s->open && schema_column(s, v->string) == SIZE_MAX)
            return err_set(err, ERR_FORMAT, "%s: expected only keys of %s, found \"%.80s\"", where, s->id, v->string);
    }
    return OK;
}

/* Null stands for absent; reals take their canonical rounding. */
static void normalise(const struct schema *s, cJSON *obj)
{
    for (cJSON *v = cJSON_IsObject(obj) ? obj->child : NULL; v;) {
        cJSON *next = v->next;
        size_t c = schema_column(s, v->string);
        if (cJSON_IsNull(v))
            cJSON_Delete(cJSON_DetachItemViaPointer(obj, v));
        else if (c != SIZE_MAX && s->canonical && s->columns[c].type == COLUMN_REAL && cJSON_IsNumber(v))
            v->valuedouble = canon_real(v->valuedouble, s->columns[c].decimals);
        v = next;
    }
}

static enum status take(struct records *r, cJSON *obj, size_t line, const char *where, struct err *err)
{
    if (!obj)
        return err_set(err, ERR_MEMORY, "%s: cannot build a record", where);
    normalise(r->schema, obj);
    enum status s = record_check(r->schema, obj, where, err);
    if (!s && r->n == r->cap) {
        void *p;
        size_t cap = r->cap ? 2 * r->cap : 16;
        s = mem_alloc(&p, cap, sizeof(struct record), "records", err);
        if (!s) {
            if (r->n)
                memcpy(p, r->rows, r->n * sizeof(struct record));
            mem_free(r->rows);
            r->rows = p;
            r->cap = cap;
        }
    }
    if (s) {
        cJSON_Delete(obj);
        return s;
    }
    r->rows[r->n++] = (struct record){.obj = obj, .line = line, .schema = r->schema};
    r->sorted = false;
    return OK;
}

enum status records_add(struct records *r, cJSON *obj, struct err *err)
{
    char where[96];
    (void)snprintf(where, sizeof where, "%.40s record %zu", r->schema->id, r->n + 1);
    return take(r, obj, 0, where, err);
}

static int compare_values(const cJSON *a, const cJSON *b)
{
    if (!a || !b)
        return (a != NULL) - (b != NULL);
    if (cJSON_IsNumber(a) && cJSON_IsNumber(b))
        return (a->valuedouble > b->valuedouble) - (a->valuedouble < b->valuedouble);
    if (cJSON_IsString(a) && cJSON_IsString(b))
        return strcmp(a->valuestring, b->valuestring);
    return 0;
}

static int compare_records(const void *pa, const void *pb)
{
    const struct record *a = pa;
    const struct record *b = pb;
    for (size_t k = 0; k < a->schema->n_keys; k++) {
        const char *name = a->schema->columns[a->schema->keys[k]].name;
        int c = compare_values(json_get(a->obj, name), json_get(b->obj, name));
        if (c)
            return c;
    }
    return 0;
}

static enum status finish(struct records *r, const char *name, struct err *err)
{
    if (r->sorted || r->schema->n_keys == 0)
        return OK;
    if (r->n)
        qsort(r->rows, r->n, sizeof *r->rows, compare_records);
    for (size_t i = 1; i < r->n; i++)
        if (compare_records(&r->rows[i - 1], &r->rows[i]) == 0) {
            const cJSON *key = json_get(r->rows[i].obj, r->schema->columns[r->schema->keys[0]].name);
            return err_set(err, ERR_FORMAT, "%s:%zu: expected unique keys, found '%.80s' twice", name, r->rows[i].line,
                           cJSON_IsString(key) ? key->valuestring : "a key");
        }
    r->sorted = true;
    return OK;
}

enum status records_write(struct records *r, struct buf *out, struct err *err)
{
    enum status s = finish(r, r->schema->id, err);
    for (size_t i = 0; i < r->n && !s; i++) {
        s = json_write_canonical(out, r->rows[i].obj, err);
        buf_char(out, '\n');
    }
    return s ? s : buf_status(out, "JSONL text", err);
}

static enum status check_form(struct records *r, const char *data, size_t n, const char *name, struct err *err)
{
    struct buf b = BUF_INIT;
    enum status s = records_write(r, &b, err);
    size_t line;
    size_t column;
    if (!s && canon_first_difference(data, n, b.data, b.n, &line, &column))
        s = err_set(err, ERR_FORMAT, "%s:%zu:%zu: expected canonical form (sorted keys and rows, no blanks)", name, line,
                    column);
    buf_release(&b);
    return s;
}

enum status records_parse(struct records **out, const char *schema, const char *data, size_t n, const char *name,
                          unsigned flags, struct err *err)
{
    struct records *r;
    enum status s = records_new(&r, schema, err);
    if (s)
        return s;
    size_t line = 1;
    for (size_t at = 0; at < n && !s; line++) {
        const char *end = memchr(data + at, '\n', n - at);
        struct buf where = BUF_INIT;
        buf_printf(&where, "%s:%zu", name, line);
        s = buf_status(&where, "file name", err);
        if (!s && !end)
            s = err_set(err, ERR_FORMAT, "%s: expected a line end, found end of file", where.data);
        cJSON *obj = NULL;
        size_t len = end ? (size_t)(end - data) - at : 0;
        if (!s)
            s = json_parse(&obj, data + at, len, where.data, err);
        if (!s)
            s = take(r, obj, line, where.data, err);
        at += len + 1;
        buf_release(&where);
    }
    if (!s)
        s = flags & RECORDS_CANONICAL ? check_form(r, data, n, name, err) : finish(r, name, err);
    if (s)
        records_free(r);
    else
        *out = r;
    return s;
}

size_t records_count(const struct records *r)
{
    return r->n;
}

const cJSON *records_at(const struct records *r, size_t i)
{
    return r->rows[i].obj;
}

size_t records_line(const struct records *r, size_t i)
{
    return r->rows[i].line;
}
