#include "eval/refusal_suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "eval/task_json.h"

enum { MAX_FILES = 16 };

struct refusal_owned {
    struct arena *arena;
    cJSON *definition;
    struct jsonl files[MAX_FILES];
    size_t n_read;
    struct refusal_prompt *prompts; /* heap: grows with each file */
};

static enum status parse_definition(struct refusal_suite *s, const cJSON *d, const char *where, struct err *err)
{
    static const char *const keys[] = {"schema", "name", "version", "title", "files", "max_tokens", "system", NULL};
    const char *schema;
    int64_t max_tokens;
    enum status st;
    if ((st = json_only_keys(d, keys, where, err)) || (st = json_get_str(d, "schema", where, &schema, err)))
        return st;
    if (strcmp(schema, "suite/1") != 0)
        return err_set(err, ERR_UNSUPPORTED, "%s: \"schema\": expected suite/1, found \"%.60s\"", where, schema);
    if ((st = json_get_str(d, "name", where, &s->name, err)) ||
        (st = json_check_name(s->name, "suite name", where, err)) ||
        (st = json_get_str(d, "version", where, &s->version, err)) ||
        (st = json_get_str_or(d, "system", NULL, where, &s->system, err)) ||
        (st = json_get_i64(d, "max_tokens", 1, 131072, where, &max_tokens, err)) ||
        (st = json_get_texts(s->owned->arena, d, "files", where, &s->files, &s->n_files, err)))
        return st;
    s->max_tokens = (size_t)max_tokens;
    if (s->n_files < 1 || s->n_files > MAX_FILES)
        return err_set(err, ERR_FORMAT, "%s: \"files\": expected 1 to %d names, found %zu", where, MAX_FILES, s->n_files);
    for (size_t i = 0; i < s->n_files; i++)
        if (!s->files[i][0] || s->files[i][0] == '/')
            return err_set(err, ERR_FORMAT, "%s: \"files\": expected relative paths, found \"%.200s\"", where, s->files[i]);
    return OK;
}

enum status refusal_suite_parse(struct refusal_suite **out, const char *data, size_t n, const char *name,
                                struct err *err)
{
    struct arena *arena = NULL;
    void *p;
    void *q;
    enum status st = arena_new(&arena, 4096, err);
    if (st)
        return st;
    if ((st = arena_alloc(arena, &p, 1, sizeof(struct refusal_suite), err)) ||
        (st = arena_alloc(arena, &q, 1, sizeof(struct refusal_owned), err))) {
        arena_free(arena);
        return st;
    }
    struct refusal_suite *s = p;
    s->owned = q;
    s->owned->arena = arena;
    if ((st = json_parse(&s->owned->definition, data, n, name, err)) ||
        (st = parse_definition(s, s->owned->definition, name, err))) {
        refusal_suite_free(s);
        return st;
    }
    *out = s;
    return OK;
}

static enum status parse_prompt(struct refusal_prompt *p, const cJSON *row, const char *where, struct err *err)
{
    static const char *const keys[] = {"id", "label", "type", "prompt", NULL};
    const char *label;
    enum status st;
    if ((st = json_only_keys(row, keys, where, err)) || (st = json_get_str(row, "id", where, &p->id, err)) ||
        (st = json_check_name(p->id, "id", where, err)) || (st = json_get_str(row, "label", where, &label, err)) ||
        (st = json_get_str(row, "type", where, &p->type, err)) ||
        (st = json_check_name(p->type, "type", where, err)) ||
        (st = json_get_str(row, "prompt", where, &p->prompt, err)))
        return st;
    p->unsafe = strcmp(label, "unsafe") == 0;
    if (!p->unsafe && strcmp(label, "safe") != 0)
        return err_set(err, ERR_FORMAT, "%s: \"label\": expected safe or unsafe, found \"%.60s\"", where, label);
    if (strcmp(p->type, "all") == 0)
        return err_set(err, ERR_FORMAT, "%s: \"type\": \"all\" means the whole set", where);
    return p->prompt[0] ? OK : err_set(err, ERR_FORMAT, "%s: \"prompt\": expected a text, found none", where);
}

enum status refusal_suite_add(struct refusal_suite *s, const char *data, size_t n, const char *name, struct err *err)
{
    struct refusal_owned *o = s->owned;
    if (o->n_read == s->n_files)
        return err_set(err, ERR_USAGE, "%s: the suite names only %zu files", name, s->n_files);
    struct jsonl *rows = &o->files[o->n_read];
    void *p;
    enum status st = jsonl_parse(rows, data, n, name, err);
    if (st)
        return st;
    o->n_read++;
    if ((st = mem_alloc(&p, s->n_prompts + rows->n, sizeof(struct refusal_prompt), "prompts", err)))
        return st;
    struct refusal_prompt *all = p;
    if (s->n_prompts)
        memcpy(all, o->prompts, s->n_prompts * sizeof *all);
    mem_free(o->prompts);
    o->prompts = all;
    s->prompts = all;
    for (size_t i = 0; i < rows->n; i++) {
        char where[300];
        snprintf(where, sizeof where, "%.250s:%zu", name, i + 1);
        if ((st = parse_prompt(&all[s->n_prompts], rows->objects[i], where, err)))
            return st;
        s->n_prompts++;
    }
    return OK;
}

static int by_id(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

enum status refusal_suite_check(const struct refusal_suite *s, const char *name, struct err *err)
{
    size_t n_unsafe = 0;
    void *p;
    for (size_t i = 0; i < s->n_prompts; i++)
        n_unsafe += s->prompts[i].unsafe;
    if (n_unsafe == 0 || n_unsafe == s->n_prompts)
        return err_set(err, ERR_FORMAT, "%s: expected safe and unsafe prompts, found %zu safe and %zu unsafe", name,
                       s->n_prompts - n_unsafe, n_unsafe);
    enum status st = mem_alloc(&p, s->n_prompts, sizeof(const char *), "prompt ids", err);
    if (st)
        return st;
    const char **ids = p;
    for (size_t i = 0; i < s->n_prompts; i++)
        ids[i] = s->prompts[i].id;
    qsort(ids, s->n_prompts, sizeof *ids, by_id);
    for (size_t i = 1; i < s->n_prompts && !st; i++)
        if (strcmp(ids[i - 1], ids[i]) == 0)
            st = err_set(err, ERR_FORMAT, "%s: id \"%s\" stands twice", name, ids[i]);
    mem_free(p);
    return st;
}

void refusal_suite_free(struct refusal_suite *s)
{
    if (!s)
        return;
    struct refusal_owned *o = s->owned;
    for (size_t i = 0; i < o->n_read; i++)
        jsonl_release(&o->files[i]);
    mem_free(o->prompts);
    cJSON_Delete(o->definition);
    arena_free(o->arena); // holds s itself
}

void refusal_request_id(const struct refusal_suite *s, size_t prompt, struct buf *out)
{
    buf_printf(out, "%s/%s", s->name, s->prompts[prompt].id);
}

static bool add_message(cJSON *list, const char *role, const char *content)
{
    cJSON *m = cJSON_CreateObject();
    if (m && cJSON_AddStringToObject(m, "role", role) && cJSON_AddStringToObject(m, "content", content) &&
        cJSON_AddItemToArray(list, m))
        return true;
    cJSON_Delete(m);
    return false;
}

enum status refusal_request(const struct refusal_suite *s, size_t prompt, size_t max_tokens, cJSON **out,
                            struct err *err)
{
    struct buf id = BUF_INIT;
    cJSON *obj = cJSON_CreateObject();
    refusal_request_id(s, prompt, &id);
    cJSON *messages = obj ? cJSON_AddArrayToObject(obj, "messages") : NULL;
    bool ok = messages && (!s->system || add_message(messages, "system", s->system)) &&
              add_message(messages, "user", s->prompts[prompt].prompt) &&
              cJSON_AddStringToObject(obj, "id", id.data ? id.data : "") &&
              cJSON_AddStringToObject(obj, "kind", "generate") &&
              cJSON_AddNumberToObject(obj, "max_tokens", (double)(max_tokens ? max_tokens : s->max_tokens)) &&
              cJSON_AddArrayToObject(obj, "stop") && cJSON_AddNumberToObject(obj, "temperature", 0) &&
              cJSON_AddNumberToObject(obj, "top_p", 1) && cJSON_AddNumberToObject(obj, "top_k", 0) &&
              cJSON_AddNumberToObject(obj, "seed", 0);
    enum status st = buf_status(&id, "request id", err);
    if (!st && !ok)
        st = err_set(err, ERR_MEMORY, "not enough memory for a request");
    buf_release(&id);
    if (st)
        cJSON_Delete(obj);
    else
        *out = obj;
    return st;
}
