#define _XOPEN_SOURCE 700 // realpath
#include "convert/convert_source.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "format/ggufconfig.h"
#include "format/hfconfig.h"
#include "format/safetensors.h"
#include "lib/paths.h"
#include "model/synthetic.h"

/* What the engine reads beside the weights of a directory; each may be missing but config.json. */
static const char *const beside[] = {"config.json", "generation_config.json", "chat_template.jinja",
                                     "tokenizer_config.json"};
enum { BESIDE = sizeof beside / sizeof *beside, MAX_TOKENIZER = 4 };

static const char gguf_end[] = ".gguf";

static bool has_end(const char *s, const char *end)
{
    size_t n = strlen(s);
    size_t k = strlen(end);
    return n > k && strcmp(s + n - k, end) == 0;
}

static enum status keep(struct convert_source *s, const char **out, const char *text, size_t n, struct err *err)
{
    char *copy = NULL;
    enum status st = arena_strndup(s->arena, &copy, text, n, err);
    *out = copy;
    return st;
}

static enum status path_of(const struct convert_source *s, const char *name, struct buf *out, struct err *err)
{
    buf_clear(out);
    buf_printf(out, "%s/%s", s->dir, name);
    return buf_status(out, "path", err);
}

static void list_weights(struct convert_source *s)
{
    for (size_t i = 0; i < tensors_n_files(s->set); i++)
        s->files[s->n_files++] = tensors_file(s->set, i);
}

static enum status room_for_files(struct convert_source *s, struct err *err)
{
    void *mem;
    enum status st = arena_alloc(s->arena, &mem, BESIDE + MAX_TOKENIZER + tensors_n_files(s->set), sizeof *s->files, err);
    if (!st)
        s->files = mem;
    return st;
}

static enum status list_beside(struct convert_source *s, const char *const *tokenizer, struct err *err)
{
    struct buf path = BUF_INIT;
    enum status st = OK;
    for (size_t i = 0; i < BESIDE && !st; i++)
        if (!(st = path_of(s, beside[i], &path, err)) && path_exists(path.data))
            s->files[s->n_files++] = beside[i];
    buf_release(&path);
    for (size_t i = 0; i < MAX_TOKENIZER && tokenizer && tokenizer[i]; i++)
        s->files[s->n_files++] = tokenizer[i];
    return st;
}

/* The directory's own name, so that "." and "dir/" have one too. */
static enum status name_dir(struct convert_source *s, const char *dir, struct err *err)
{
    char *full = realpath(dir, NULL);
    const char *base = path_base(full && full[1] ? full : dir);
    enum status st = keep(s, &s->name, base, strlen(base), err);
    free(full);
    return st;
}

static enum status open_directory(struct convert_source *s, const char *dir, struct err *err)
{
    struct buf path = BUF_INIT;
    const char *const *tokenizer = NULL;
    enum status st;
    if (!(st = keep(s, &s->dir, dir, strlen(dir), err)) && !(st = name_dir(s, dir, err)) &&
        !(st = path_of(s, "config.json", &path, err)))
        st = hfconfig_read(&s->config, path.data, err);
    if (!st && !(st = path_of(s, "generation_config.json", &path, err)) && path_exists(path.data))
        st = hfconfig_read_generation(&s->config, path.data, err);
    buf_release(&path);
    if (!st && !(st = tokfile_of_dir(dir, &tokenizer, err)) && tokenizer)
        s->has_tokenizer = !(st = tokfile_open(&s->tokenizer, dir, err));
    if (st || (st = safetensors_open(&s->set, s->dir, err)) || (st = room_for_files(s, err)) ||
        (st = list_beside(s, tokenizer, err)))
        return st;
    list_weights(s);
    return OK;
}

static enum status open_gguf(struct convert_source *s, const char *path, struct err *err)
{
    const char *base = path_base(path);
    size_t n_dir = (size_t)(base - path);
    enum status st;
    if ((st = n_dir ? keep(s, &s->dir, path, n_dir, err) : keep(s, &s->dir, ".", 1, err)) ||
        (st = keep(s, &s->name, base, strlen(base) - strlen(gguf_end), err)) ||
        (st = gguf_open(&s->set, &s->gguf, path, err)) ||
        (st = ggufconfig_read(&s->config, s->gguf, s->set, s->arena, err)) || (st = room_for_files(s, err)))
        return st;
    list_weights(s);
    return OK;
}

static enum status open_synthetic(struct convert_source *s, const char *source, struct err *err)
{
    struct synthetic of;
    struct buf name = BUF_INIT;
    enum status st = synthetic_parse(&of, source, err);
    if (st)
        return st;
    s->config = of.config;
    s->dir = "";
    buf_printf(&name, "%s,seed=%llu", of.name, (unsigned long long)of.seed);
    if (!(st = buf_status(&name, "name", err)) && !(st = keep(s, &s->name, name.data, name.n, err)))
        st = synthetic_tensors(&s->set, &of, err);
    buf_release(&name);
    return st;
}

enum status source_open(struct convert_source *out, const char *source, struct err *err)
{
    *out = (struct convert_source){.arena = NULL};
    if (strncmp(source, "http://", 7) == 0 || strncmp(source, "https://", 8) == 0)
        return err_set(err, ERR_UNSUPPORTED, "model '%s': expected a directory, a GGUF file or synthetic:NAME, found a server",
                       source);
    enum status st = arena_new(&out->arena, 0, err);
    if (!st && synthetic_matches(source))
        st = open_synthetic(out, source, err);
    else if (!st)
        st = has_end(source, gguf_end) ? open_gguf(out, source, err) : open_directory(out, source, err);
    if (st)
        source_close(out);
    return st;
}

void source_close(struct convert_source *s)
{
    if (s->has_tokenizer)
        tokfile_release(&s->tokenizer);
    tensors_close(s->set);
    arena_free(s->arena);
    *s = (struct convert_source){.arena = NULL};
}
