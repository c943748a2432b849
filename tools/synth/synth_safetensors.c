#include "synth/synth_safetensors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "synth/synth_json.h"

enum { CHUNK_VALUES = 1 << 16, FILE_NAME_B = 64 };

/* NULL on failure, then *st says why. */
static FILE *open_file(const char *dir, const char *name, enum status *st, struct err *err)
{
    struct buf path = BUF_INIT;
    FILE *f = NULL;
    buf_printf(&path, "%s/%s", dir, name);
    *st = buf_status(&path, "path", err);
    if (*st == OK && (f = fopen(path.data, "wb")) == NULL)
        *st = err_set_errno(err, ERR_IO, errno, "cannot create '%s'", path.data);
    buf_release(&path);
    return f;
}

/* Every write error ends up here: a full disk may show at the last flush only. */
static enum status close_file(FILE *f, enum status st, const char *dir, const char *name, struct err *err)
{
    if (st == OK && (fflush(f) != 0 || ferror(f) || fsync(fileno(f)) != 0))
        st = err_set_errno(err, ERR_IO, errno, "cannot write '%s/%s'", dir, name);
    if (fclose(f) != 0 && st == OK)
        st = err_set_errno(err, ERR_IO, errno, "cannot close '%s/%s'", dir, name);
    return st;
}

enum status synth_file_write(const char *dir, const char *name, const void *data, size_t n, struct err *err)
{
    enum status st = OK;
    FILE *f = open_file(dir, name, &st, err);
    if (f == NULL)
        return st;
    if (fwrite(data, 1, n, f) != n)
        st = err_set_errno(err, ERR_IO, errno, "cannot write '%s/%s'", dir, name);
    return close_file(f, st, dir, name, err);
}

/* Header of the tensors [from, to), with its length in front. */
static void header(struct buf *out, const struct synth_tensors *t, size_t from, size_t to, const char *mark)
{
    struct buf json = BUF_INIT;
    struct jsonw w = {.out = &json, .compact = true};
    size_t at = 0;
    jsonw_open(&w, NULL, '{');
    jsonw_open(&w, "__metadata__", '{');
    jsonw_str(&w, "format", "pt");
    jsonw_str(&w, "generator", mark);
    jsonw_close(&w, '}');
    for (size_t i = from; i < to; i++) {
        const struct synth_tensor *x = &t->v[i];
        jsonw_open(&w, x->name, '{');
        jsonw_str(&w, "dtype", synth_tensor_dtype(x));
        jsonw_open(&w, "shape", '[');
        for (size_t k = 0; k < x->n_dims; k++)
            jsonw_int(&w, NULL, (int64_t)x->shape[k]);
        jsonw_close(&w, ']');
        jsonw_open(&w, "data_offsets", '[');
        jsonw_int(&w, NULL, (int64_t)at);
        at += synth_tensor_bytes(x);
        jsonw_int(&w, NULL, (int64_t)at);
        jsonw_close(&w, ']');
        jsonw_close(&w, '}');
    }
    jsonw_close(&w, '}');
    while (json.n % 8 != 0)
        buf_char(&json, ' ');
    for (unsigned i = 0; i < 8; i++)
        buf_char(out, (char)(unsigned char)((uint64_t)json.n >> (8 * i)));
    buf_add(out, json.data, json.n);
    out->failed = out->failed || json.failed;
    buf_release(&json);
}

static enum status write_tensor(FILE *f, const struct synth_tensor *x, uint64_t seed, uint8_t *chunk,
                                struct err *err)
{
    size_t n = synth_tensor_values(x), width = synth_tensor_bytes(x) / n;
    for (size_t i = 0; i < n; i += CHUNK_VALUES) {
        size_t m = n - i < CHUNK_VALUES ? n - i : CHUNK_VALUES;
        synth_tensor_fill(x, seed, i, m, chunk);
        if (fwrite(chunk, width, m, f) != m)
            return err_set_errno(err, ERR_IO, errno, "cannot write tensor '%s'", x->name);
    }
    return OK;
}

static enum status write_shard(const char *dir, const char *name, const struct synth_tensors *t, size_t from,
                               size_t to, uint64_t seed, const char *mark, struct err *err)
{
    void *chunk = NULL;
    struct buf head = BUF_INIT;
    header(&head, t, from, to, mark);
    enum status st = buf_status(&head, "safetensors header", err);
    st = st ? st : mem_alloc(&chunk, CHUNK_VALUES, 2, "tensor chunk", err);
    FILE *f = st == OK ? open_file(dir, name, &st, err) : NULL;
    if (f != NULL) {
        if (fwrite(head.data, 1, head.n, f) != head.n)
            st = err_set_errno(err, ERR_IO, errno, "cannot write '%s/%s'", dir, name);
        for (size_t i = from; st == OK && i < to; i++)
            st = write_tensor(f, &t->v[i], seed, chunk, err);
        st = close_file(f, st, dir, name, err);
    }
    mem_free(chunk);
    buf_release(&head);
    return st;
}

/* Where shard i of n ends: bytes so far reach i/n of the total, one tensor left for each later shard. */
static size_t shard_end(const struct synth_tensors *t, size_t from, size_t i, size_t n, uint64_t total)
{
    uint64_t before = 0;
    for (size_t k = 0; k < from; k++)
        before += synth_tensor_bytes(&t->v[k]);
    size_t to = from;
    do
        before += synth_tensor_bytes(&t->v[to++]);
    while (to + (n - i) < t->n && (i == n || before < total / n * i));
    return i == n ? t->n : to;
}

struct entry {
    const char *tensor;
    size_t shard;
};

static int by_name(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return strcmp(x->tensor, y->tensor);
}

static void shard_name(char out[FILE_NAME_B], size_t i, size_t n)
{
    (void)snprintf(out, FILE_NAME_B, "model-%05zu-of-%05zu.safetensors", i, n);
}

static enum status write_index(const char *dir, struct entry *map, size_t n, size_t n_shards, uint64_t total,
                               struct err *err)
{
    struct buf text = BUF_INIT;
    struct jsonw w = {.out = &text};
    char file[FILE_NAME_B];
    qsort(map, n, sizeof *map, by_name);
    jsonw_open(&w, NULL, '{');
    jsonw_open(&w, "metadata", '{');
    jsonw_int(&w, "total_size", (int64_t)total);
    jsonw_close(&w, '}');
    jsonw_open(&w, "weight_map", '{');
    for (size_t i = 0; i < n; i++) {
        shard_name(file, map[i].shard, n_shards);
        jsonw_str(&w, map[i].tensor, file);
    }
    jsonw_close(&w, '}');
    jsonw_close(&w, '}');
    enum status st = buf_status(&text, "weight map", err);
    st = st ? st : synth_file_write(dir, "model.safetensors.index.json", text.data, text.n, err);
    buf_release(&text);
    return st;
}

enum status synth_weights_write(const char *dir, const struct synth_tensors *t, uint64_t seed, size_t n_shards,
                                const char *mark, struct err *err)
{
    if (n_shards == 1)
        return write_shard(dir, "model.safetensors", t, 0, t->n, seed, mark, err);
    uint64_t total = 0;
    for (size_t i = 0; i < t->n; i++)
        total += synth_tensor_bytes(&t->v[i]);
    void *v = NULL;
    enum status st = mem_alloc(&v, t->n, sizeof(struct entry), "weight map", err);
    struct entry *map = v;
    size_t from = 0;
    for (size_t i = 1; st == OK && i <= n_shards; i++) {
        char name[FILE_NAME_B];
        size_t to = shard_end(t, from, i, n_shards, total);
        shard_name(name, i, n_shards);
        for (size_t k = from; k < to; k++)
            map[k] = (struct entry){.tensor = t->v[k].name, .shard = i};
        st = write_shard(dir, name, t, from, to, seed, mark, err);
        from = to;
    }
    st = st ? st : write_index(dir, map, t->n, n_shards, total, err);
    mem_free(v);
    return st;
}
