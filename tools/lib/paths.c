#define _XOPEN_SOURCE 700 // realpath
#include "lib/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool path_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* True with *out = the nearest directory at or above dir that holds `mark`. dir is absolute. */
static bool upwards(const char *dir, const char *mark, struct buf *out)
{
    struct buf probe = BUF_INIT;
    size_t n = strlen(dir);
    bool found = false;
    for (;;) {
        buf_clear(&probe);
        buf_printf(&probe, "%.*s/%s", (int)n, dir, mark);
        if (buf_status(&probe, "path", NULL))
            break;
        if (path_exists(probe.data)) {
            buf_clear(out);
            buf_add(out, dir, n);
            found = !buf_status(out, "path", NULL);
            break;
        }
        while (n > 0 && dir[n - 1] != '/')
            n--;
        if (n == 0)
            break;
        n--; // the slash: "/a" then "", which probes "/mark"
        if (n == 0 && dir[0] != '/')
            break;
    }
    buf_release(&probe);
    return found;
}

bool path_source_root(const char *from, struct buf *out)
{
    char *abs = realpath(from, NULL);
    bool found = abs && upwards(abs, "engine/engine.h", out);
    free(abs);
    return found;
}

/* The part of path below dir, or NULL. */
static const char *below(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    while (n > 0 && dir[n - 1] == '/')
        n--;
    return strncmp(path, dir, n) == 0 && path[n] == '/' && path[n + 1] ? path + n + 1 : NULL;
}

enum status path_name(const char *path, const char *root, struct buf *out, struct err *err)
{
    char *abs = realpath(path, NULL);
    if (!abs)
        return err_set_errno(err, errno == ENOENT ? ERR_MISSING : ERR_IO, errno, "cannot open '%s'", path);
    char *abs_root = root ? realpath(root, NULL) : NULL;
    struct buf dir = BUF_INIT;
    struct buf top = BUF_INIT;
    buf_add(&dir, abs, (size_t)(path_base(abs) - abs) > 1 ? (size_t)(path_base(abs) - abs) - 1 : 1);
    const char *name = NULL;
    if (abs_root)
        name = below(abs, abs_root);
    if (!name && !root && !buf_status(&dir, "path", NULL) && upwards(dir.data, "SHA256SUMS", &top))
        name = below(abs, top.data);
    if (!name && !buf_status(&dir, "path", NULL) && upwards(dir.data, "engine/engine.h", &top))
        name = below(abs, top.data);
    buf_str(out, name ? name : path_base(abs));
    free(abs);
    free(abs_root);
    buf_release(&dir);
    buf_release(&top);
    return buf_status(out, "path", err);
}

static bool try_join(const char *dir, const char *name, struct buf *out)
{
    buf_clear(out);
    buf_printf(out, "%s/%s", dir, name);
    return !buf_status(out, "path", NULL) && path_exists(out->data);
}

enum status path_resolve(const char *name, const char *root, struct buf *out, struct err *err)
{
    struct buf top = BUF_INIT;
    bool found = root && try_join(root, name, out);
    if (!found && root && path_source_root(root, &top))
        found = try_join(top.data, name, out);
    if (!found && path_source_root(".", &top))
        found = try_join(top.data, name, out);
    buf_release(&top);
    if (found)
        return OK;
    return err_set(err, ERR_MISSING, "cannot find '%s' under the tree root '%s' or the source root", name,
                   root ? root : ".");
}

enum status path_make_dirs(const char *dir, struct err *err)
{
    struct buf b = BUF_INIT;
    buf_str(&b, dir);
    enum status s = buf_status(&b, "path", err);
    for (size_t i = 1; i <= b.n && !s; i++) {
        if (b.data[i] != '/' && b.data[i] != '\0')
            continue;
        char c = b.data[i];
        b.data[i] = '\0';
        if (mkdir(b.data, 0777) != 0 && errno != EEXIST)
            s = err_set_errno(err, ERR_IO, errno, "cannot make directory '%s'", b.data);
        b.data[i] = c;
    }
    buf_release(&b);
    return s;
}

enum status path_read(const char *path, struct buf *out, struct err *err)
{
    bool in = strcmp(path, "-") == 0;
    FILE *f = in ? stdin : fopen(path, "rb");
    if (!f)
        return err_set_errno(err, errno == ENOENT ? ERR_MISSING : ERR_IO, errno, "cannot open '%s'", path);
    char chunk[1 << 16];
    size_t n;
    errno = 0;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_add(out, chunk, n);
    enum status s = OK;
    if (ferror(f))
        s = err_set_errno(err, ERR_IO, errno ? errno : EIO, "cannot read '%s'", in ? "standard input" : path);
    if (!in)
        (void)fclose(f);
    if (!s)
        buf_add(out, "", 0); // data is a string even when the file is empty
    return s ? s : buf_status(out, path, err);
}
