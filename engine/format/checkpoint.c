/* The tensors of a whole model directory: one file, or shards as the index maps them. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mapfile.h"
#include "format/safetensors.h"

static const char index_name[] = "model.safetensors.index.json";
static const char single_name[] = "model.safetensors";

struct shard {
    const char *name;
    const char *path;
    struct mapfile map;
    struct container c;
};

struct safetensors {
    struct arena *arena;
    struct shard *shards;
    size_t n_shards;
    struct tensor *tensors; // by name
    size_t n;
    bool has_index;
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

static enum status open_shard(struct safetensors *s, const char *dir, const char *name, size_t *out, struct err *err)
{
    struct shard *sh = &s->shards[s->n_shards];
    enum status st;
    char *copy;
    if ((st = arena_strndup(s->arena, &copy, name, strlen(name), err)))
        return st;
    sh->name = copy;
    if ((st = path_in(s->arena, dir, name, &sh->path, err)) || (st = mapfile_open(&sh->map, sh->path, err)))
        return st;
    *out = s->n_shards++; // from here safetensors_close unmaps it
    if ((st = safetensors_parse(&sh->c, s->arena, sh->map.data, sh->map.size, sh->path, err)))
        return st;
    if (sh->c.n)
        qsort(sh->c.tensors, sh->c.n, sizeof *sh->c.tensors, by_name);
    return OK;
}

static enum status take_single(struct safetensors *s, const char *dir, struct err *err)
{
    void *p;
    size_t shard;
    enum status st = arena_alloc(s->arena, &p, 1, sizeof *s->shards, err);
    if (st)
        return st;
    s->shards = p;
    if ((st = open_shard(s, dir, single_name, &shard, err)))
        return st;
    s->tensors = s->shards[0].c.tensors;
    s->n = s->shards[0].c.n;
    return OK;
}

/* A shard must lie in the same directory: the index may come from anywhere. */
static bool plain_name(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strlen(name) < 256;
}

static enum status shard_of(struct safetensors *s, const char *dir, const char *name, size_t *out, struct err *err)
{
    for (size_t i = 0; i < s->n_shards; i++) {
        if (strcmp(s->shards[i].name, name) == 0) {
            *out = i;
            return OK;
        }
    }
    return open_shard(s, dir, name, out, err);
}

static enum status take_mapped(struct safetensors *s, const char *dir, const char *path, const cJSON *map,
                               struct err *err)
{
    size_t n = 0;
    const cJSON *c;
    enum status st;
    void *p;
    cJSON_ArrayForEach(c, map) n++;
    if (n == 0)
        return err_set(err, ERR_FORMAT, "%s: \"weight_map\": expected tensors, found an empty map", path);
    if ((st = arena_alloc(s->arena, &p, n, sizeof *s->shards, err)))
        return st;
    s->shards = p;
    if ((st = arena_alloc(s->arena, &p, n, sizeof *s->tensors, err)))
        return st;
    s->tensors = p;
    cJSON_ArrayForEach(c, map)
    {
        if (!cJSON_IsString(c) || !plain_name(c->valuestring))
            return err_set(err, ERR_FORMAT, "%s: \"weight_map\": '%.200s': expected a file name without '/', found '%.80s'",
                           path, c->string, cJSON_IsString(c) ? c->valuestring : "");
        size_t shard = 0;
        if ((st = shard_of(s, dir, c->valuestring, &shard, err)))
            return st;
        const struct container *in = &s->shards[shard].c;
        const struct tensor *t = find_in(in->tensors, in->n, c->string);
        if (!t)
            return err_set(err, ERR_MISSING, "%s: expected tensor '%.200s' as %s says, found none",
                           s->shards[shard].path, c->string, index_name);
        s->tensors[s->n] = *t;
        s->tensors[s->n++].shard = shard;
    }
    qsort(s->tensors, s->n, sizeof *s->tensors, by_name);
    return OK;
}

/* metadata.total_size is not held against the files: published indexes disagree with their own shards. */
static enum status take_index(struct safetensors *s, const char *dir, const char *path, struct err *err)
{
    cJSON *index = NULL;
    enum status st = json_read_file(&index, path, err);
    if (st)
        return st;
    const cJSON *map = json_get(index, "weight_map");
    s->has_index = true;
    st = cJSON_IsObject(map) ? take_mapped(s, dir, path, map, err)
                             : err_set(err, ERR_FORMAT, "%s: expected an object \"weight_map\", found none", path);
    cJSON_Delete(index);
    return st;
}

enum status safetensors_open(struct safetensors **out, const char *dir, struct err *err)
{
    struct arena *a = NULL;
    void *p;
    enum status st = arena_new(&a, 0, err);
    if (st)
        return st;
    if ((st = arena_alloc(a, &p, 1, sizeof(struct safetensors), err))) {
        arena_free(a);
        return st;
    }
    struct safetensors *s = p;
    s->arena = a;
    const char *path;
    if (!(st = path_in(a, dir, index_name, &path, err)))
        st = access(path, F_OK) == 0 ? take_index(s, dir, path, err) : take_single(s, dir, err);
    if (st) {
        safetensors_close(s);
        return st;
    }
    *out = s;
    return OK;
}

void safetensors_close(struct safetensors *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_shards; i++)
        mapfile_close(&s->shards[i].map);
    arena_free(s->arena); // holds s itself
}

size_t safetensors_count(const struct safetensors *s)
{
    return s->n;
}

const struct tensor *safetensors_at(const struct safetensors *s, size_t i)
{
    return &s->tensors[i];
}

const struct tensor *safetensors_find(const struct safetensors *s, const char *name)
{
    return find_in(s->tensors, s->n, name);
}

size_t safetensors_n_files(const struct safetensors *s)
{
    return s->n_shards + s->has_index;
}

const char *safetensors_file(const struct safetensors *s, size_t i)
{
    if (s->has_index)
        return i == 0 ? index_name : s->shards[i - 1].name;
    return s->shards[i].name;
}

const char *safetensors_file_of(const struct safetensors *s, const struct tensor *t)
{
    return s->shards[t->shard].path;
}

const char *safetensors_generator(const struct safetensors *s)
{
    return s->n_shards ? s->shards[0].c.generator : NULL;
}

void safetensors_drop(const struct safetensors *s, const struct tensor *t)
{
    const struct mapfile *m = &s->shards[t->shard].map;
    if (m->data)
        mapfile_drop(m, (size_t)(t->data - m->data), t->n_bytes);
}
