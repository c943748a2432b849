#define _XOPEN_SOURCE 700
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/mem.h"
#include "check/check.h"
#include "lib/paths.h"
#include "lib/prov.h"

/* A results tree in memory: names, digests, parsed statements. Payloads are read again when needed. */

struct loading {
    struct arena *arena;
    struct tree_file *files;
    size_t n, cap;
};

struct owned_tree {
    struct tree public;
    struct loading load;
};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s);
    size_t m = strlen(end);
    return n > m && strcmp(s + n - m, end) == 0;
}

static enum status add_file(struct loading *l, const char *name, bool special, struct err *err)
{
    if (l->n == l->cap) {
        void *p;
        size_t cap = l->cap ? 2 * l->cap : 64;
        enum status s = mem_alloc(&p, cap, sizeof(struct tree_file), "tree", err);
        if (s)
            return s;
        if (l->n)
            memcpy(p, l->files, l->n * sizeof(struct tree_file));
        mem_free(l->files);
        l->files = p;
        l->cap = cap;
    }
    char *copy;
    enum status s = arena_strndup(l->arena, &copy, name, strlen(name), err);
    if (!s)
        l->files[l->n++] = (struct tree_file){.name = copy,
                                              .is_special = special,
                                              .is_statement = ends_with(name, PROV_SUFFIX),
                                              .is_manifest = strcmp(name, "SHA256SUMS") == 0};
    return s;
}

static enum status walk(struct loading *l, const char *dir, const char *prefix, int depth, struct err *err)
{
    if (depth > 16)
        return err_set(err, ERR_RANGE, "'%s': more than 16 levels of folders", dir);
    DIR *d = opendir(dir);
    if (!d)
        return err_set_errno(err, errno == ENOENT ? ERR_MISSING : ERR_IO, errno, "cannot open '%s'", dir);
    enum status s = OK;
    const struct dirent *e;
    while (!s && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        struct buf path = BUF_INIT;
        struct buf name = BUF_INIT;
        struct stat st;
        buf_printf(&path, "%s/%s", dir, e->d_name);
        buf_printf(&name, "%s%s%s", prefix, *prefix ? "/" : "", e->d_name);
        s = buf_status(&path, "path", err);
        if (!s)
            s = buf_status(&name, "path", err);
        if (!s && lstat(path.data, &st) != 0)
            s = err_set_errno(err, ERR_IO, errno, "cannot read '%s'", path.data);
        if (!s)
            s = S_ISDIR(st.st_mode) ? walk(l, path.data, name.data, depth + 1, err)
                                    : add_file(l, name.data, !S_ISREG(st.st_mode), err);
        buf_release(&path);
        buf_release(&name);
    }
    (void)closedir(d);
    return s;
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct tree_file *)a)->name, ((const struct tree_file *)b)->name);
}

static const char *text_of(const cJSON *obj, const char *key)
{
    const cJSON *v = json_get(obj, key);
    return cJSON_IsString(v) ? v->valuestring : NULL;
}

static void fill_statement(struct statement *st)
{
    const cJSON *subjects = json_get(st->doc, "subject");
    const cJSON *subject = cJSON_GetArrayItem(subjects, 0);
    st->predicate = json_get(st->doc, "predicate");
    st->recipe = json_get(st->predicate, "recipe");
    st->inputs = json_get(st->recipe, "inputs");
    st->subject = text_of(subject, "name");
    st->sha256 = text_of(json_get(subject, "digest"), "sha256");
    st->class = text_of(st->predicate, "class");
    st->schema = text_of(st->predicate, "schema");
    st->numerics = text_of(st->predicate, "numerics");
    st->tool = text_of(st->recipe, "tool");
    if (!cJSON_IsArray(st->inputs))
        st->inputs = NULL;
    st->sound = cJSON_GetArraySize(subjects) == 1 && st->subject && st->sha256 && st->class && st->schema &&
                st->numerics && st->tool && st->inputs;
}

static enum status load_statement(struct loading *l, struct tree_file *f, const char *path, struct err *err)
{
    void *p;
    struct err why = ERR_INIT;
    enum status s = arena_alloc(l->arena, &p, 1, sizeof(struct statement), err);
    if (s)
        return s;
    struct statement *st = p;
    if (json_read_file(&st->doc, path, &why)) {
        char *copy;
        s = arena_strndup(l->arena, &copy, why.text, strlen(why.text), err);
        f->broken = s ? "" : copy;
        return s;
    }
    f->statement = st;
    fill_statement(st);
    return OK;
}

static enum status load(struct owned_tree *o, struct err *err)
{
    struct loading *l = &o->load;
    enum status s = OK;
    if (l->n)
        qsort(l->files, l->n, sizeof *l->files, compare_files);
    for (size_t i = 0; i < l->n && !s; i++) {
        struct tree_file *f = &l->files[i];
        struct buf path = BUF_INIT;
        uint8_t d[DIGEST_B];
        if (f->is_special)
            continue;
        buf_printf(&path, "%s/%s", o->public.dir, f->name);
        s = buf_status(&path, "path", err);
        if (!s)
            s = digest_file(path.data, d, err);
        if (!s)
            digest_hex(d, f->sha256);
        if (!s && f->is_statement)
            s = load_statement(l, f, path.data, err);
        buf_release(&path);
    }
    o->public.files = l->files;
    o->public.n = l->n;
    for (size_t i = 0; i < l->n && !s; i++) {
        struct buf name = BUF_INIT;
        if (!tree_is_payload(&l->files[i]))
            continue;
        buf_printf(&name, "%s" PROV_SUFFIX, l->files[i].name);
        s = buf_status(&name, "path", err);
        const struct tree_file *beside = s ? NULL : tree_find(&o->public, name.data);
        if (beside)
            l->files[i].statement = beside->statement;
        buf_release(&name);
    }
    return s;
}

enum status tree_open(struct tree **out, const char *dir, struct err *err)
{
    void *p;
    char *copy;
    enum status s = mem_alloc(&p, 1, sizeof(struct owned_tree), "tree", err);
    if (s)
        return s;
    struct owned_tree *o = p;
    o->public.owned = o;
    s = arena_new(&o->load.arena, 0, err);
    if (!s)
        s = arena_strndup(o->load.arena, &copy, dir, strlen(dir), err);
    if (!s)
        o->public.dir = copy;
    if (!s)
        s = schema_set_new(&o->public.schemas, err);
    if (!s)
        s = walk(&o->load, dir, "", 0, err);
    if (!s)
        s = load(o, err);
    if (s) {
        tree_free(&o->public);
        return s;
    }
    *out = &o->public;
    return OK;
}

void tree_free(struct tree *t)
{
    if (!t)
        return;
    struct owned_tree *o = t->owned;
    for (size_t i = 0; i < o->load.n; i++)
        if (o->load.files[i].is_statement && o->load.files[i].statement)
            cJSON_Delete(o->load.files[i].statement->doc);
    mem_free(o->load.files);
    schema_set_free(t->schemas);
    arena_free(o->load.arena);
    mem_free(o);
}

const struct tree_file *tree_find(const struct tree *t, const char *name)
{
    struct tree_file key = {.name = name};
    return t->n ? bsearch(&key, t->files, t->n, sizeof *t->files, compare_files) : NULL;
}

enum status tree_read(const struct tree *t, const struct tree_file *f, struct buf *out, struct err *err)
{
    struct buf path = BUF_INIT;
    buf_printf(&path, "%s/%s", t->dir, f->name);
    enum status s = buf_status(&path, "path", err);
    if (!s)
        s = path_read(path.data, out, err);
    buf_release(&path);
    return s;
}

bool tree_is_payload(const struct tree_file *f)
{
    return !f->is_statement && !f->is_manifest;
}

bool tree_after_manifest(const struct tree *t, const struct tree_file *f)
{
    static const char *const late[] = {"gnuplot", "figure", "pdf", "tex"};
    const struct schema *s;
    if (!f->statement || !f->statement->schema || schema_find(t->schemas, f->statement->schema, &s, NULL))
        return false;
    for (size_t i = 0; i < sizeof late / sizeof late[0]; i++)
        if (strcmp(s->name, late[i]) == 0)
            return true;
    return false;
}

enum status tree_manifest(const struct tree *t, struct buf *out, struct err *err)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct tree_file *f = &t->files[i];
        if (!f->is_manifest && !f->is_special && !tree_after_manifest(t, f))
            buf_printf(out, "%s  %s\n", f->sha256, f->name);
    }
    return buf_status(out, "manifest", err);
}
