#include "lib/schema.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "lib/schema_text.h"

/* The public struct comes first, so that a pointer to it is a pointer to this. */
struct owned_schema {
    struct schema public;
    struct arena *arena;
};

struct schema_set {
    size_t n;
    struct schema **items;
};

static const char *const class_names[] = {"exact", "external", "pinned", "measured"};
static const char *const format_names[] = {"csv", "jsonl", "json", "bytes"};
static const char *const type_names[] = {"int", "real", "text", "sha256", "enum", "bool", "ints", "texts", "reals", "json"};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static size_t word_index(const char *const *words, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(words[i], text) == 0)
            return i;
    return SIZE_MAX;
}

const char *result_class_name(enum result_class c)
{
    return class_names[c];
}

bool result_class_parse(const char *text, enum result_class *out)
{
    size_t i = word_index(class_names, COUNT(class_names), text);
    if (i == SIZE_MAX)
        return false;
    *out = (enum result_class)i;
    return true;
}

static enum status copy_text(struct arena *a, const char *text, const char **out, struct err *err)
{
    char *p;
    enum status s = arena_strndup(a, &p, text, strlen(text), err);
    if (!s)
        *out = p;
    return s;
}

static enum status get_text(struct arena *a, const cJSON *obj, const char *key, const char *dflt, const char *where,
                            const char **out, struct err *err)
{
    const char *text = dflt;
    if (!dflt || json_get(obj, key)) {
        enum status s = json_get_str(obj, key, where, &text, err);
        if (s)
            return s;
    }
    return copy_text(a, text, out, err);
}

static enum status get_word(const cJSON *obj, const char *key, const char *const *words, size_t n, const char *where,
                            size_t *out, struct err *err)
{
    const char *text;
    enum status s = json_get_str(obj, key, where, &text, err);
    if (s)
        return s;
    *out = word_index(words, n, text);
    return *out == SIZE_MAX ? err_set(err, ERR_FORMAT, "%s: \"%s\": unknown word '%s'", where, key, text) : OK;
}

static enum status parse_values(struct arena *a, const cJSON *obj, struct schema_column *c, const char *where,
                                struct err *err)
{
    const cJSON *list = json_get(obj, "values");
    if (c->type != COLUMN_ENUM)
        return list ? err_set(err, ERR_FORMAT, "%s: column \"%s\": values belong to enum columns", where, c->name) : OK;
    int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    if (n == 0)
        return err_set(err, ERR_FORMAT, "%s: column \"%s\": an enum needs values", where, c->name);
    void *p;
    enum status s = arena_alloc(a, &p, (size_t)n, sizeof(const char *), err);
    if (s)
        return s;
    const char **values = p;
    const cJSON *v;
    cJSON_ArrayForEach(v, list)
    {
        if (!cJSON_IsString(v))
            return err_set(err, ERR_FORMAT, "%s: column \"%s\": values are strings", where, c->name);
        if ((s = copy_text(a, v->valuestring, &values[c->n_values++], err)))
            return s;
    }
    c->values = values;
    return OK;
}

static enum status parse_column(struct arena *a, const cJSON *obj, struct schema_column *c, const char *where,
                                struct err *err)
{
    size_t type = 0;
    int64_t decimals = 0;
    enum status s = get_text(a, obj, "name", NULL, where, &c->name, err);
    if (!s)
        s = get_word(obj, "type", type_names, COUNT(type_names), where, &type, err);
    if (!s)
        s = get_text(a, obj, "unit", "", where, &c->unit, err);
    if (!s)
        s = get_text(a, obj, "doc", "", where, &c->doc, err);
    if (!s)
        s = json_get_i64_or(obj, "decimals", 6, 0, 15, where, &decimals, err);
    if (!s)
        s = json_get_bool_or(obj, "nullable", false, where, &c->nullable, err);
    if (!s)
        s = json_get_i64_or(obj, "min", -9007199254740991, -9007199254740991, 9007199254740991, where, &c->min, err);
    if (!s)
        s = json_get_i64_or(obj, "max", 9007199254740991, -9007199254740991, 9007199254740991, where, &c->max, err);
    if (s)
        return s;
    c->type = (enum column_type)type;
    c->decimals = (int)decimals;
    return parse_values(a, obj, c, where, err);
}

static enum status parse_columns(struct owned_schema *o, const cJSON *doc, const char *where, struct err *err)
{
    const cJSON *list = json_get(doc, "columns");
    if (!cJSON_IsArray(list) && o->public.format != SCHEMA_BYTES)
        return err_set(err, ERR_FORMAT, "%s: \"columns\": expected an array", where);
    size_t n = (size_t)cJSON_GetArraySize(list);
    void *p;
    enum status s = arena_alloc(o->arena, &p, n, sizeof(struct schema_column), err);
    if (s)
        return s;
    struct schema_column *columns = p;
    const cJSON *v;
    size_t i = 0;
    cJSON_ArrayForEach(v, list)
    {
        if ((s = parse_column(o->arena, v, &columns[i], where, err)))
            return s;
        for (size_t k = 0; k < i; k++)
            if (strcmp(columns[k].name, columns[i].name) == 0)
                return err_set(err, ERR_FORMAT, "%s: column \"%s\" twice", where, columns[i].name);
        i++;
    }
    o->public.columns = columns;
    o->public.n_columns = n;
    return OK;
}

static enum status parse_keys(struct owned_schema *o, const cJSON *doc, const char *where, struct err *err)
{
    const cJSON *list = json_get(doc, "keys");
    size_t n = (size_t)cJSON_GetArraySize(list);
    void *p;
    enum status s = arena_alloc(o->arena, &p, n, sizeof(size_t), err);
    if (s)
        return s;
    size_t *keys = p;
    const cJSON *v;
    size_t i = 0;
    cJSON_ArrayForEach(v, list)
    {
        keys[i] = cJSON_IsString(v) ? schema_column(&o->public, v->valuestring) : SIZE_MAX;
        if (keys[i] == SIZE_MAX)
            return err_set(err, ERR_FORMAT, "%s: key %zu names no column", where, i + 1);
        i++;
    }
    o->public.keys = keys;
    o->public.n_keys = n;
    return OK;
}

static enum status fill(struct owned_schema *o, const cJSON *doc, const char *where, struct err *err)
{
    struct schema *c = &o->public;
    size_t format = 0;
    size_t class = 0;
    enum status s = get_text(o->arena, doc, "schema", NULL, where, &c->id, err);
    if (!s)
        s = get_text(o->arena, doc, "file", NULL, where, &c->file, err);
    if (!s)
        s = get_text(o->arena, doc, "title", NULL, where, &c->title, err);
    if (!s)
        s = get_word(doc, "format", format_names, COUNT(format_names), where, &format, err);
    if (!s)
        s = get_word(doc, "class", class_names, COUNT(class_names), where, &class, err);
    if (!s)
        s = json_get_bool_or(doc, "canonical", true, where, &c->canonical, err);
    if (!s)
        s = json_get_bool_or(doc, "open", false, where, &c->open, err);
    if (s)
        return s;
    c->format = (enum schema_format)format;
    c->class = (enum result_class)class;
    const char *slash = strchr(c->id, '/');
    if (!slash || slash == c->id || !slash[1])
        return err_set(err, ERR_FORMAT, "%s: \"schema\": expected NAME/VERSION, found '%s'", where, c->id);
    char *name;
    if ((s = arena_strndup(o->arena, &name, c->id, (size_t)(slash - c->id), err)))
        return s;
    c->name = name;
    if ((s = parse_columns(o, doc, where, err)))
        return s;
    return parse_keys(o, doc, where, err);
}

enum status schema_parse(struct schema **out, const char *text, size_t n, const char *where, struct err *err)
{
    cJSON *doc = NULL;
    enum status s = json_parse(&doc, text, n, where, err);
    if (s)
        return s;
    void *p;
    if ((s = mem_alloc(&p, 1, sizeof(struct owned_schema), "schema", err)))
        goto done;
    struct owned_schema *o = p;
    s = arena_new(&o->arena, 0, err);
    if (!s)
        s = fill(o, doc, where, err);
    if (s)
        schema_free(&o->public);
    else
        *out = &o->public;
done:
    cJSON_Delete(doc);
    return s;
}

void schema_free(struct schema *s)
{
    if (!s)
        return;
    struct owned_schema *o = (struct owned_schema *)s;
    arena_free(o->arena);
    mem_free(o);
}

size_t schema_column(const struct schema *s, const char *name)
{
    for (size_t i = 0; i < s->n_columns; i++)
        if (strcmp(s->columns[i].name, name) == 0)
            return i;
    return SIZE_MAX;
}

/* "latency" matches "latency" and "latency/1". */
static bool names(const char *wanted, const char *file)
{
    size_t n = strcspn(wanted, "/");
    return strlen(file) == n && memcmp(file, wanted, n) == 0;
}

enum status schema_load(struct schema **out, const char *name, struct err *err)
{
    for (size_t i = 0; schema_texts[i].name; i++) {
        if (!names(name, schema_texts[i].name))
            continue;
        struct schema *s;
        enum status st = schema_parse(&s, (const char *)schema_texts[i].data, schema_texts[i].n, schema_texts[i].name, err);
        if (st)
            return st;
        if (strchr(name, '/') && strcmp(name, s->id) != 0) {
            st = err_set(err, ERR_UNSUPPORTED, "schema '%s' is not known; this program has '%s'", name, s->id);
            schema_free(s);
            return st;
        }
        *out = s;
        return OK;
    }
    return err_set(err, ERR_UNSUPPORTED, "schema '%s' is not known", name);
}

enum status schema_set_new(struct schema_set **out, struct err *err)
{
    size_t n = 0;
    while (schema_texts[n].name)
        n++;
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct schema_set), "schemas", err);
    if (s)
        return s;
    struct schema_set *set = p;
    s = mem_alloc(&p, n, sizeof(struct schema *), "schemas", err);
    if (!s)
        set->items = p;
    for (size_t i = 0; i < n && !s; i++) {
        s = schema_load(&set->items[i], schema_texts[i].name, err);
        set->n += !s;
    }
    if (s) {
        schema_set_free(set);
        return s;
    }
    *out = set;
    return OK;
}

void schema_set_free(struct schema_set *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        schema_free(s->items[i]);
    mem_free(s->items);
    mem_free(s);
}

size_t schema_set_count(const struct schema_set *s)
{
    return s->n;
}

const struct schema *schema_set_at(const struct schema_set *s, size_t i)
{
    return s->items[i];
}

enum status schema_find(const struct schema_set *s, const char *name, const struct schema **out, struct err *err)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(name, s->items[i]->id) == 0 || strcmp(name, s->items[i]->name) == 0) {
            *out = s->items[i];
            return OK;
        }
    return err_set(err, ERR_UNSUPPORTED, "schema '%s' is not known", name);
}
