#define _XOPEN_SOURCE 700 // realpath
#include "convert/convert_source.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "format/hfconfig.h"
#include "format/safetensors.h"
#include "lib/paths.h"

/* What the engine reads beside the weights; each may be missing but config.json. */
static const char *const beside[] = {"config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja",
                                     "tokenizer_config.json"};
enum { BESIDE = sizeof beside / sizeof *beside };

static enum status path_of(const struct convert_source *s, const char *name, struct buf *out, struct err *err)
{
    buf_clear(out);
    buf_printf(out, "%s/%s", s->dir, name);
    return buf_status(out, "path", err);
}

static enum status list_files(struct convert_source *s, struct err *err)
{
    struct buf path = BUF_INIT;
    void *mem;
    enum status st = arena_alloc(s->arena, &mem, BESIDE + tensors_n_files(s->set), sizeof *s->files, err);
    if (st)
        return st;
    s->files = mem;
    for (size_t i = 0; i < BESIDE && !st; i++)
        if (!(st = path_of(s, beside[i], &path, err)) && path_exists(path.data))
            s->files[s->n_files++] = beside[i];
    for (size_t i = 0; i < tensors_n_files(s->set); i++)
        s->files[s->n_files++] = tensors_file(s->set, i);
    buf_release(&path);
    return st;
}

/* The directory's own name, so that "." and "dir/" have one too. */
static enum status name_of(struct convert_source *s, const char *dir, struct err *err)
{
    char *full = realpath(dir, NULL);
    const char *base = path_base(full && full[1] ? full : dir);
    char *copy = NULL;
    enum status st = arena_strndup(s->arena, &copy, base, strlen(base), err);
    s->name = copy;
    free(full);
    return st;
}

static enum status open_all(struct convert_source *s, const char *dir, struct err *err)
{
    struct buf path = BUF_INIT;
    char *copy = NULL;
    enum status st = arena_strndup(s->arena, &copy, dir, strlen(dir), err);
    s->dir = copy;
    if (!st && !(st = name_of(s, dir, err)) && !(st = path_of(s, "config.json", &path, err)))
        st = hfconfig_read(&s->config, path.data, err);
    if (!st && !(st = path_of(s, "generation_config.json", &path, err)) && path_exists(path.data))
        st = hfconfig_read_generation(&s->config, path.data, err);
    if (!st && !(st = path_of(s, "tokenizer.json", &path, err)) && path_exists(path.data))
        s->has_tokenizer = !(st = tokfile_open(&s->tokenizer, path.data, err));
    buf_release(&path);
    if (!st)
        st = safetensors_open(&s->set, s->dir, err);
    return st ? st : list_files(s, err);
}

enum status source_open(struct convert_source *out, const char *source, struct err *err)
{
    *out = (struct convert_source){.arena = NULL};
    size_t n = strlen(source);
    if (strncmp(source, "synthetic:", 10) == 0 || strncmp(source, "http://", 7) == 0 ||
        strncmp(source, "https://", 8) == 0 || (n > 5 && strcmp(source + n - 5, ".gguf") == 0))
        return err_set(err, ERR_UNSUPPORTED, "model '%s': expected a Hugging Face directory, found another kind of source",
                       source);
    enum status st = arena_new(&out->arena, 0, err);
    if (!st && (st = open_all(out, source, err)))
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
