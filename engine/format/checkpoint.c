/* The tensors of a whole model directory: one file, or shards as the index maps them. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "format/safetensors.h"
#include "format/tensors_internal.h"

static const char index_name[] = "model.safetensors.index.json";
static const char single_name[] = "model.safetensors";

struct shards {
    struct tensors *set;      // what is being filled
    struct container *tables; // of the set's files
};

static enum status path_in(struct arena *a, const char *dir, const char *name, const char **out, struct err *err)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s/%s", dir, name);
    char *copy = NULL;
    enum status s = buf_status(&b, "path", err);
    if (!s)
        s = arena_strndup(a, &copy, b.data, b.n, err);
    buf_release(&b);
    *out = copy;
    return s;
}

static int by_name(const void *a, const void *b)
{
    const struct tensor *x = a;
    const struct tensor *y = b;
    return strcmp(x->name, y->name);
}

static const struct tensor *find_in(const struct tensor *v, size_t n, const char *name)
{
    struct tensor key = {.name = name};
    return n ? bsearch(&key, v, n, sizeof *v, by_name) : NULL;
}

static enum status room_for(struct shards *s, size_t n_files, struct err *err)
{
    void *p;
    enum status st = arena_alloc(s->set->arena, &p, n_files, sizeof *s->set->files, err);
    if (st)
        return st;
    s->set->files = p;
    if ((st = arena_alloc(s->set->arena, &p, n_files, sizeof *s->tables, err)))
        return st;
    s->tables = p;
    return OK;
}

static enum status open_shard(struct shards *s, const char *dir, const char *name, size_t *out, struct err *err)
{
    size_t i = s->set->n_files;
    struct tensor_file *f = &s->set->files[i];
    struct container *c = &s->tables[i];
    enum status st;
    char *copy;
    if ((st = arena_strndup(s->set->arena, &copy, name, strlen(name), err)))
        return st;
    f->name = copy;
    if ((st = path_in(s->set->arena, dir, name, &f->path, err)) || (st = mapfile_open(&f->map, f->path, err)))
        return st;
    *out = s->set->n_files++; // from here tensors_close unmaps it
    if ((st = safetensors_parse(c, s->set->arena, f->map.data, f->map.size, f->path, err)))
        return st;
    if (i == 0)
        s->set->generator = c->generator;
    if (c->n)
        qsort(c->tensors, c->n, sizeof *c->tensors, by_name);
    return OK;
}

static enum status take_single(struct shards *s, const char *dir, struct err *err)
{
    size_t shard;
    enum status st = room_for(s, 1, err);
    if (st || (st = open_shard(s, dir, single_name, &shard, err)))
        return st;
    s->set->tensors = s->tables[0].tensors;
    s->set->n = s->tables[0].n;
    return OK;
}

/* A shard must lie in the same directory: the index may come from anywhere. */
static bool plain_name(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strlen(name) < 256;
}

static enum status shard_of(struct shards *s, const char *dir, const char *name, size_t *out, struct err *err)
{
    for (size_t i = 0; i < s->set->n_files; i++) {
        if (strcmp(s->set->files[i].name, name) == 0) {
            *out = i;
            return OK;
        }
    }
    return open_shard(s, dir, name, out, err);
}

static enum status take_mapped(struct shards *s, const char *dir, const char *path, const cJSON *map,
                               struct err *err)
{
    struct tensors *set = s->set;
    size_t n = 0;
    const cJSON *c;
    enum status st;
    void *p;
    cJSON_ArrayForEach(c, map) n++;
    if (n == 0)
        return err_set(err, ERR_FORMAT, "%s: \"weight_map\": expected tensors, found an empty map", path);
    if ((st = room_for(s, n, err)) || (st = arena_alloc(set->arena, &p, n, sizeof *set->tensors, err)))
        return st;
    set->tensors = p;
    cJSON_ArrayForEach(c, map)
    {
        if (!cJSON_IsString(c) || !plain_name(c->valuestring))
            return err_set(err, ERR_FORMAT, "%s: \"weight_map\": '%.200s': expected a file name without '/', found '%.80s'",
                           path, c->string, cJSON_IsString(c) ? c->valuestring : "");
        size_t shard = 0;
        if ((st = shard_of(s, dir, c->valuestring, &shard, err)))
            return st;
        const struct container *in = &s->tables[shard];
        const struct tensor *t = find_in(in->tensors, in->n, c->string);
        if (!t)
            return err_set(err, ERR_MISSING, "%s: expected tensor '%.200s' as %s says, found none",
                           set->files[shard].path, c->string, index_name);
        set->tensors[set->n] = *t;
        set->tensors[set->n++].file = shard;
    }
    return OK;
}

/* metadata.total_size is not held against the files: published indexes disagree with their own shards. */
static enum status take_index(struct shards *s, const char *dir, const char *path, struct err *err)
{
    cJSON *index = NULL;
    enum status st = json_read_file(&index, path, err);
    if (st)
        return st;
    const cJSON *map = json_get(index, "weight_map");
    s->set->index_name = index_name;
    st = cJSON_IsObject(map) ? take_mapped(s, dir, path, map, err)
                             : err_set(err, ERR_FORMAT, "%s: expected an object \"weight_map\", found none", path);
    cJSON_Delete(index);
    return st;
}

enum status safetensors_open(struct tensors **out, const char *dir, struct err *err)
{
    struct shards s = {.set = NULL, .tables = NULL};
    const char *path;
    enum status st = tensors_new(&s.set, err);
    if (st)
        return st;
    if (!(st = path_in(s.set->arena, dir, index_name, &path, err)))
        st = access(path, F_OK) == 0 ? take_index(&s, dir, path, err) : take_single(&s, dir, err);
    if (!st)
        st = tensors_sort(s.set, err);
    if (st) {
        tensors_close(s.set);
        return st;
    }
    *out = s.set;
    return OK;
}
