#define _XOPEN_SOURCE 700 // st_mtim
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"
#include "lib/canon.h"
#include "lib/outfile.h"
#include "lib/paths.h"
#include "lib/prov.h"

/* The digest of a model: its files' digests, sorted, hashed once more (provenance.md 3, Model digest).
 * Hashing 14 GB costs 8 s, so digests of big files are remembered under a name made of everything
 * that changes when a file does. A cache that fails costs time, never an answer. */

enum { CACHE_FROM_B = 1 << 20, RACY_S = 2 };

static bool cache_dir(struct buf *out)
{
    const char *own = getenv("ASSAY_CACHE");
    const char *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    if (own && *own)
        buf_printf(out, "%s/digest", own);
    else if (xdg && *xdg)
        buf_printf(out, "%s/assay/digest", xdg);
    else if (home && *home)
        buf_printf(out, "%s/.cache/assay/digest", home);
    else
        return false;
    return !buf_status(out, "path", NULL);
}

/* Cache file of a weight file as it is now; false when it should not be cached. */
static bool cache_path(const struct stat *st, struct buf *out)
{
    // A file changed within the clock's grain could change again without a new time (git's "racy" rule).
    if (st->st_size < CACHE_FROM_B || st->st_mtim.tv_sec + RACY_S >= time(NULL))
        return false;
    char key[256];
    (void)snprintf(key, sizeof key, "%llu:%llu:%lld:%lld.%09ld:%lld.%09ld", (unsigned long long)st->st_dev,
                   (unsigned long long)st->st_ino, (long long)st->st_size, (long long)st->st_mtim.tv_sec,
                   st->st_mtim.tv_nsec, (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
    uint8_t d[DIGEST_B];
    char hex[DIGEST_HEX_LEN + 1];
    if (digest_bytes(key, strlen(key), d, NULL) || !cache_dir(out))
        return false;
    digest_hex(d, hex);
    buf_printf(out, "/%s", hex);
    return !buf_status(out, "path", NULL);
}

static bool cache_get(const char *path, char hex[DIGEST_HEX_LEN + 1])
{
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    bool good = fread(hex, 1, DIGEST_HEX_LEN, f) == DIGEST_HEX_LEN;
    hex[DIGEST_HEX_LEN] = '\0';
    (void)fclose(f);
    return good && canon_is_sha256(hex);
}

static void cache_put(char *path, const char *hex)
{
    char *slash = strrchr(path, '/');
    *slash = '\0';
    enum status s = path_make_dirs(path, NULL);
    *slash = '/';
    char line[DIGEST_HEX_LEN + 2];
    (void)snprintf(line, sizeof line, "%s\n", hex);
    if (!s)
        (void)outfile_put(path, line, strlen(line), NULL, NULL);
}

static enum status file_hex(const char *path, bool full, char hex[DIGEST_HEX_LEN + 1], struct err *err)
{
    struct stat st;
    struct buf cache = BUF_INIT;
    bool usable = stat(path, &st) == 0 && cache_path(&st, &cache);
    enum status s = OK;
    if (!usable || full || !cache_get(cache.data, hex)) {
        uint8_t d[DIGEST_B];
        s = digest_file(path, d, err);
        if (!s) {
            digest_hex(d, hex);
            if (usable)
                cache_put(cache.data, hex);
        }
    }
    buf_release(&cache);
    return s;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum status make_line(struct arena *a, const char *dir, const char *file, bool full, char **out, struct err *err)
{
    struct buf b = BUF_INIT;
    char hex[DIGEST_HEX_LEN + 1];
    buf_printf(&b, "%s/%s", dir, file);
    enum status s = buf_status(&b, "path", err);
    if (!s)
        s = file_hex(b.data, full, hex, err);
    if (!s) {
        buf_clear(&b);
        buf_printf(&b, "%s  %s\n", hex, file);
        s = buf_status(&b, "digest line", err);
    }
    if (!s)
        s = arena_strndup(a, out, b.data, b.n, err);
    buf_release(&b);
    return s;
}

enum status model_digest(const char *dir, const char *const *files, size_t n, bool full, struct buf *lines,
                         uint8_t out[DIGEST_B], struct err *err)
{
    struct arena *a = NULL;
    struct buf text = BUF_INIT;
    void *p = NULL;
    enum status s = arena_new(&a, 0, err);
    if (!s)
        s = arena_alloc(a, &p, n, sizeof(char *), err);
    char **v = p;
    for (size_t i = 0; i < n && !s; i++)
        s = make_line(a, dir, files[i], full, &v[i], err);
    if (!s) {
        if (n)
            qsort(v, n, sizeof *v, compare_lines);
        for (size_t i = 0; i < n; i++)
            buf_str(&text, v[i]);
        s = buf_status(&text, "digest lines", err);
    }
    if (!s)
        s = digest_bytes(text.n ? text.data : "", text.n, out, err);
    if (!s && lines)
        buf_add(lines, text.data ? text.data : "", text.n);
    buf_release(&text);
    arena_free(a);
    return s;
}
