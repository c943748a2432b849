#include "eval/task_json.h"

#include <stdio.h>
#include <string.h>

enum status json_only_keys(const cJSON *obj, const char *const *keys, const char *where, struct err *err)
{
    if (!cJSON_IsObject(obj))
        return err_set(err, ERR_FORMAT, "%s: expected an object", where);
    const cJSON *m;
    cJSON_ArrayForEach(m, obj)
    {
        size_t i = 0;
        while (keys[i] && strcmp(keys[i], m->string) != 0)
            i++;
        if (!keys[i])
            return err_set(err, ERR_FORMAT, "%s: unknown key \"%.100s\"", where, m->string);
    }
    return OK;
}

enum status json_get_str_or(const cJSON *obj, const char *key, const char *dflt, const char *where,
                            const char **out, struct err *err)
{
    if (!json_get(obj, key)) {
        *out = dflt;
        return OK;
    }
    return json_get_str(obj, key, where, out, err);
}

enum status json_get_array(const cJSON *obj, const char *key, size_t min, const char *where, const cJSON **out,
                           struct err *err)
{
    const cJSON *v = json_get(obj, key);
    if (!cJSON_IsArray(v))
        return err_set(err, ERR_FORMAT, "%s: \"%s\": expected an array", where, key);
    size_t n = (size_t)cJSON_GetArraySize(v);
    if (n < min)
        return err_set(err, ERR_FORMAT, "%s: \"%s\": expected at least %zu items, found %zu", where, key, min, n);
    *out = v;
    return OK;
}

enum status json_get_texts(struct arena *arena, const cJSON *obj, const char *key, const char *where,
                           const char *const **out, size_t *n, struct err *err)
{
    const cJSON *list;
    const cJSON *m;
    void *p;
    *n = 0;
    *out = NULL;
    if (!json_get(obj, key))
        return OK;
    enum status s = json_get_array(obj, key, 0, where, &list, err);
    if (s || (s = arena_alloc(arena, &p, (size_t)cJSON_GetArraySize(list) + 1, sizeof(const char *), err)))
        return s;
    const char **texts = p;
    cJSON_ArrayForEach(m, list)
    {
        if (!cJSON_IsString(m))
            return err_set(err, ERR_FORMAT, "%s: \"%s\": expected strings, item %zu is none", where, key, *n);
        texts[(*n)++] = m->valuestring;
    }
    *out = texts;
    return OK;
}

enum status json_check_name(const char *text, const char *what, const char *where, struct err *err)
{
    size_t n = strlen(text);
    const char *set = "abcdefghijklmnopqrstuvwxyz0123456789_-.";
    if (n == 0 || n > 64 || strspn(text, set) != n || strchr("_-.", text[0]))
        return err_set(err, ERR_FORMAT, "%s: %s: expected 1 to 64 of a-z 0-9 _ - . with a letter or digit first, found \"%.80s\"",
                       where, what, text);
    return OK;
}

enum status jsonl_parse(struct jsonl *out, const char *data, size_t n, const char *name, struct err *err)
{
    size_t n_lines = 0;
    void *p;
    if (n == 0)
        return err_set(err, ERR_FORMAT, "%s: expected at least one line, found an empty file", name);
    for (size_t i = 0; i < n; i++)
        n_lines += data[i] == '\n';
    if (data[n - 1] != '\n')
        return err_set(err, ERR_FORMAT, "%s:%zu: expected a line end at the end of the file (is it cut off?)", name,
                       n_lines + 1);
    enum status s = mem_alloc(&p, n_lines, sizeof(cJSON *), "JSON lines", err);
    if (s)
        return s;
    out->objects = p;
    out->n = 0;
    for (size_t from = 0; from < n && !s;) {
        size_t to = from;
        char where[300];
        while (data[to] != '\n')
            to++;
        snprintf(where, sizeof where, "%.250s:%zu", name, out->n + 1);
        if (to == from)
            s = err_set(err, ERR_FORMAT, "%s: expected an object, found a blank line", where);
        else
            s = json_parse(&out->objects[out->n], data + from, to - from, where, err);
        if (!s && !cJSON_IsObject(out->objects[out->n++]))
            s = err_set(err, ERR_FORMAT, "%s: expected an object", where);
        from = to + 1;
    }
    if (s)
        jsonl_release(out);
    return s;
}

void jsonl_release(struct jsonl *j)
{
    for (size_t i = 0; i < j->n; i++)
        cJSON_Delete(j->objects[i]);
    mem_free(j->objects);
    *j = (struct jsonl){.objects = NULL, .n = 0};
}
