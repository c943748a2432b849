#include "eval/task_transcripts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct entry {
    const char *id;
    const cJSON *row;
    size_t line;
};

struct transcripts {
    struct entry *entries;
    size_t n;
    char name[256];
};

static int by_id(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    int c = strcmp(x->id, y->id);
    return c ? c : (x->line > y->line) - (x->line < y->line);
}

enum status transcripts_new(struct transcripts **out, const cJSON *const *rows, size_t n, const char *name,
                            struct err *err)
{
    void *p;
    void *q;
    enum status s;
    if ((s = mem_alloc(&p, 1, sizeof(struct transcripts), "transcripts", err)))
        return s;
    struct transcripts *t = p;
    snprintf(t->name, sizeof t->name, "%s", name);
    if ((s = mem_alloc(&q, n, sizeof(struct entry), "transcripts", err)))
        goto fail;
    t->entries = q;
    for (size_t i = 0; i < n; i++) {
        char where[300];
        snprintf(where, sizeof where, "%s:%zu", t->name, i + 1);
        t->entries[i] = (struct entry){.id = NULL, .row = rows[i], .line = i + 1};
        if ((s = json_get_str(rows[i], "id", where, &t->entries[i].id, err)))
            goto fail;
        t->n++;
    }
    qsort(t->entries, n, sizeof *t->entries, by_id);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(t->entries[i - 1].id, t->entries[i].id) == 0) {
            s = err_set(err, ERR_FORMAT, "%s:%zu: id \"%.200s\" stands twice, first in line %zu", t->name,
                        t->entries[i].line, t->entries[i].id, t->entries[i - 1].line);
            goto fail;
        }
    }
    *out = t;
    return OK;
fail:
    transcripts_free(t);
    return s;
}

void transcripts_free(struct transcripts *t)
{
    if (!t)
        return;
    mem_free(t->entries);
    mem_free(t);
}

static const struct entry *find(const struct transcripts *t, const char *id)
{
    size_t lo = 0;
    size_t hi = t->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(t->entries[mid].id, id);
        if (c == 0)
            return &t->entries[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static int by_text(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

enum status transcripts_match(const struct transcripts *t, const char *const *ids, size_t n, struct err *err)
{
    size_t missing = 0;
    const char *first = NULL;
    for (size_t i = 0; i < n; i++) {
        if (find(t, ids[i]))
            continue;
        if (missing++ == 0)
            first = ids[i];
    }
    if (missing)
        return err_set(err, ERR_FORMAT, "%s: %zu of %zu requests have no row, first \"%.200s\"", t->name, missing, n,
                       first);
    if (t->n == n)
        return OK;
    void *p;
    enum status s = mem_alloc(&p, n, sizeof(const char *), "request ids", err);
    if (s)
        return s;
    const char **sorted = p;
    memcpy(sorted, ids, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_text);
    for (size_t i = 0; i < t->n && !s; i++)
        if (!bsearch(&t->entries[i].id, sorted, n, sizeof *sorted, by_text))
            s = err_set(err, ERR_FORMAT, "%s:%zu: %zu rows answer no request of this task and these options, one is \"%.200s\"",
                        t->name, t->entries[i].line, t->n - n, t->entries[i].id);
    mem_free(p);
    return s;
}

/* A text that may be absent or null. */
static enum status optional_text(const cJSON *row, const char *key, const char *where, const char **out,
                                 struct err *err)
{
    const cJSON *v = json_get(row, key);
    *out = "";
    return !v || cJSON_IsNull(v) ? OK : json_get_str(row, key, where, out, err);
}

enum status transcripts_get(const struct transcripts *t, const char *id, bool score, struct transcript *out,
                            struct err *err)
{
    const struct entry *e = find(t, id);
    char where[600];
    const char *status;
    enum status s;
    if (!e)
        return err_set(err, ERR_FORMAT, "%s: no row \"%.200s\"", t->name, id);
    snprintf(where, sizeof where, "%s:%zu: \"%.200s\"", t->name, e->line, id);
    *out = (struct transcript){.ok = false};
    if ((s = json_get_str(e->row, "status", where, &status, err)) ||
        (s = optional_text(e->row, "text", where, &out->text, err)) ||
        (s = optional_text(e->row, "reasoning", where, &out->reasoning, err)) ||
        (s = optional_text(e->row, "final", where, &out->final, err)) ||
        (s = optional_text(e->row, "finish_reason", where, &out->finish_reason, err)) ||
        (s = json_get_bool_or(e->row, "has_final", out->final[0] != '\0', where, &out->has_final, err)))
        return s;
    out->ok = strcmp(status, "ok") == 0;
    out->truncated = strcmp(out->finish_reason, "length") == 0;
    const cJSON *ids = json_get(e->row, "token_ids");
    if (!score && cJSON_IsArray(ids))
        out->out_tok = (size_t)cJSON_GetArraySize(ids);
    if (!out->ok)
        return OK;
    if (score)
        return json_get_f64(e->row, "logprob", -1e300, 1e-6, where, &out->logprob, err);
    if (!cJSON_IsArray(ids))
        return err_set(err, ERR_FORMAT, "%s: \"token_ids\": expected an array", where);
    return json_get_str(e->row, "text", where, &out->text, err);
}
