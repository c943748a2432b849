#define _XOPEN_SOURCE 700 // realpath
/* What the kinds of model sources share: the list of files read, the name, the stop ids. */
#include "model/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"

enum { MAX_FILES = 4096 };

enum status source_note_file(struct source *o, const char *name)
{
    char *copy;
    void *p;
    enum status s;
    if (!o->files) {
        if ((s = arena_alloc(o->m->arena, &p, MAX_FILES, sizeof *o->files, o->err)))
            return s;
        o->files = p;
    }
    if (o->n_files == MAX_FILES)
        return err_set(o->err, ERR_RANGE, "%s: expected at most %d files, found more", o->text, MAX_FILES);
    if (!(s = arena_strndup(o->m->arena, &copy, name, strlen(name), o->err)))
        o->files[o->n_files++] = copy;
    return s;
}

enum status source_note_tensors(struct source *o)
{
    enum status s = OK;
    for (size_t i = 0; i < tensors_n_files(o->m->tensors) && !s; i++)
        s = source_note_file(o, tensors_file(o->m->tensors, i));
    return s;
}

/* Raised when bind.c puts other tensors together, so that tiles of the old way are not taken. */
enum { BINDING_VERSION = 1 };

enum status source_cache_key(const struct source *o, char hex[DIGEST_HEX_LEN + 1])
{
    struct buf b = BUF_INIT;
    uint8_t d[DIGEST_B];
    enum status s = OK;
    buf_printf(&b, "%d\n", BINDING_VERSION);
    if (tensors_n_files(o->m->tensors) == 0)
        buf_printf(&b, "%s\n%s\n", o->text, tensors_generator(o->m->tensors));
    for (size_t i = 0; i < o->n_files && !s; i++) {
        struct buf path = BUF_INIT;
        struct stat st;
        buf_printf(&path, "%s/%s", o->dir, o->files[i]);
        if (!(s = buf_status(&path, "path", o->err)) && stat(path.data, &st) != 0)
            s = err_set_errno(o->err, ERR_IO, errno, "cannot read the times of '%s'", path.data);
        if (!s)
            buf_printf(&b, "%s %llu %llu %lld %lld.%09ld %lld.%09ld\n", o->files[i], (unsigned long long)st.st_dev,
                       (unsigned long long)st.st_ino, (long long)st.st_size, (long long)st.st_mtim.tv_sec,
                       st.st_mtim.tv_nsec, (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
        buf_release(&path);
    }
    if (!s && !(s = buf_status(&b, "cache key", o->err)) && !(s = digest_bytes(b.data, b.n, d, o->err)))
        digest_hex(d, hex);
    buf_release(&b);
    return s;
}

enum status source_dir_name(struct source *o, const char *dir, const char **out)
{
    char *full = realpath(dir, NULL);
    const char *from = full ? full : dir;
    const char *slash = strrchr(from, '/');
    const char *last = slash && slash[1] ? slash + 1 : from;
    char *copy = NULL;
    enum status s = arena_strndup(o->m->arena, &copy, last, strlen(last), o->err);
    free(full);
    *out = copy;
    return s;
}

enum status source_template(struct source *o, const char *text, size_t n)
{
    char *copy;
    enum status s = arena_strndup(o->m->arena, &copy, text, n, o->err);
    if (!s)
        o->template = copy;
    return s;
}

enum status source_stop_name(struct source *o, const char *token)
{
    int32_t id = o->m->tokenizer ? tokenizer_special(o->m->tokenizer, token) : -1;
    if (id < 0 || (size_t)id >= o->m->config.vocab_size || config_add_stop(&o->m->config, id))
        return OK;
    return err_set(o->err, ERR_RANGE, "%s: expected at most %d stop ids, found more", o->text, CONFIG_MAX_STOP_IDS);
}
