#define _XOPEN_SOURCE 700 // fileno, fsync
#include "lib/outfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "lib/crash.h"
#include "lib/interrupt.h"
#include "lib/paths.h"

struct outfile {
    FILE *f;
    char *path; /* NULL: stdout */
    char *temp; /* NULL: written in place */
    int slot;
    int first_errno; /* of a failed write */
};

static enum status join(char **out, const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    int dir = slash ? (int)(slash - path + 1) : 0;
    struct buf b = BUF_INIT;
    buf_printf(&b, "%.*s.%s.tmp.%ld", dir, path, path + dir, (long)getpid());
    enum status s = buf_status(&b, "file name", err);
    if (s) {
        buf_release(&b);
        return s;
    }
    *out = b.data;
    return OK;
}

/* The process that made this temporary is gone. */
static bool is_orphan(const char *name, const char *base)
{
    size_t n = strlen(base);
    static const char mark[] = ".tmp.";
    if (name[0] != '.' || strncmp(name + 1, base, n) != 0 || strncmp(name + 1 + n, mark, sizeof mark - 1) != 0)
        return false;
    const char *digits = name + n + sizeof mark;
    char *end;
    errno = 0;
    long pid = strtol(digits, &end, 10);
    return end != digits && !*end && !errno && pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* A process killed with SIGKILL leaves its temporary behind; whoever writes the same file next removes it. */
static void sweep(const char *path)
{
    const char *slash = strrchr(path, '/');
    struct buf dir = BUF_INIT;
    buf_printf(&dir, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
    DIR *d = buf_status(&dir, "file name", NULL) ? NULL : opendir(dir.data);
    for (struct dirent *e; d && (e = readdir(d));)
        if (is_orphan(e->d_name, slash ? slash + 1 : path))
            (void)unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        (void)closedir(d);
    buf_release(&dir);
}

static void release(struct outfile *o)
{
    mem_free(o->path);
    mem_free(o->temp);
    mem_free(o);
}

enum status outfile_open(struct outfile **out, const char *path, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct outfile), "output", err);
    if (s)
        return s;
    struct outfile *o = p;
    o->slot = -1;
    if (!path || strcmp(path, "-") == 0) {
        o->f = stdout;
        *out = o;
        return OK;
    }
    struct stat st;
    bool in_place = stat(path, &st) == 0 && !S_ISREG(st.st_mode);
    size_t n = strlen(path) + 1;
    if ((s = mem_alloc(&p, n, 1, "file name", err)))
        goto fail;
    o->path = p;
    memcpy(o->path, path, n);
    if (in_place) {
        if (S_ISDIR(st.st_mode)) {
            s = err_set(err, ERR_IO, "cannot write '%s': it is a directory", path);
            goto fail;
        }
        o->f = fopen(path, "wb");
    } else {
        if ((s = join(&o->temp, path, err)))
            goto fail;
        sweep(path);
        (void)unlink(o->temp); // left by an earlier process with this id
        int fd = open(o->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) {
            o->slot = interrupt_track(o->temp);
            o->f = fdopen(fd, "wb");
            if (!o->f)
                (void)close(fd);
        }
    }
    if (!o->f) {
        s = err_set_errno(err, ERR_IO, errno, "cannot write '%s'", path);
        if (o->slot >= 0)
            (void)unlink(o->temp);
        interrupt_untrack(o->slot);
        goto fail;
    }
    *out = o;
    return OK;
fail:
    release(o);
    return s;
}

static const char *label(const struct outfile *o)
{
    return o->path ? o->path : "standard output";
}

enum status outfile_check(const char *path, struct err *err)
{
    struct stat st;
    struct buf dir = BUF_INIT;
    if (!path || strcmp(path, "-") == 0)
        return OK;
    bool there = stat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode))
        return err_set(err, ERR_IO, "cannot write '%s': it is a directory", path);
    if (there && !S_ISREG(st.st_mode)) {
        buf_str(&dir, path); // written in place
    } else {
        buf_add(&dir, path, (size_t)(path_base(path) - path));
        buf_str(&dir, ".");
    }
    enum status s = buf_status(&dir, "path", err);
    int mode = there && !S_ISREG(st.st_mode) ? W_OK : W_OK | X_OK;
    if (!s && access(dir.data, mode) != 0)
        s = err_set_errno(err, ERR_IO, errno, "cannot write '%s'", path);
    buf_release(&dir);
    return s;
}

enum status outfile_write(struct outfile *o, const void *data, size_t n, struct err *err)
{
    errno = 0;
#ifdef ASSAY_FAULTS
    size_t until = n;
    if (crash_write(&until)) {
        (void)fwrite(data, 1, until, o->f);
        (void)fflush(o->f);
        crash_now();
    }
#endif
    if (n && fwrite(data, 1, n, o->f) != n) {
        if (!o->first_errno)
            o->first_errno = errno ? errno : EIO;
        return err_set_errno(err, ERR_IO, o->first_errno, "cannot write '%s'", label(o));
    }
    return OK;
}

static bool same_bytes(const char *a, const char *b)
{
    struct stat sa;
    struct stat sb;
    if (stat(a, &sa) != 0 || stat(b, &sb) != 0 || sa.st_size != sb.st_size)
        return false;
    FILE *fa = fopen(a, "rb");
    FILE *fb = fopen(b, "rb");
    bool same = fa && fb;
    char x[1 << 14];
    char y[1 << 14];
    while (same) {
        size_t n = fread(x, 1, sizeof x, fa);
        size_t m = fread(y, 1, sizeof y, fb);
        same = n == m && memcmp(x, y, n) == 0;
        if (n < sizeof x)
            break;
    }
    same = same && !ferror(fa) && !ferror(fb);
    if (fa)
        (void)fclose(fa);
    if (fb)
        (void)fclose(fb);
    return same;
}

/* The rename is durable only when the directory is; a file system that cannot sync one is no error. */
static void sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    struct buf dir = BUF_INIT;
    buf_printf(&dir, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
    int fd = buf_status(&dir, "file name", NULL) ? -1 : open(dir.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
    buf_release(&dir);
}

/* Returns 0 or errno. */
static int put_in_place(const struct outfile *o)
{
#ifdef ASSAY_FAULTS
    crash_rename(0);
#endif
    if (rename(o->temp, o->path) != 0)
        return errno;
#ifdef ASSAY_FAULTS
    crash_rename(1);
#endif
    sync_directory(o->path);
    return 0;
}

/* Returns 0 or errno. */
static int flush(struct outfile *o)
{
    int e = o->first_errno;
    errno = 0;
    if (fflush(o->f) != 0 || ferror(o->f))
        e = e ? e : errno ? errno : EIO;
    if (o->temp && !e && fsync(fileno(o->f)) != 0)
        e = errno;
    o->first_errno = e;
    return e;
}

enum status outfile_flush(struct outfile *o, struct err *err)
{
    int e = flush(o);
    return e ? err_set_errno(err, ERR_IO, e, "cannot write '%s'", label(o)) : OK;
}

enum status outfile_commit(struct outfile *o, bool *changed, struct err *err)
{
    int e = flush(o);
    if (o->path && fclose(o->f) != 0 && !e)
        e = errno ? errno : EIO;
    bool is_new = true;
    if (!e && o->temp) {
        is_new = !same_bytes(o->temp, o->path);
        if (is_new)
            e = put_in_place(o);
    }
    if (o->temp && (e || !is_new))
        (void)unlink(o->temp);
    interrupt_untrack(o->slot);
    enum status s = e ? err_set_errno(err, ERR_IO, e, "cannot write '%s'", label(o)) : OK;
    if (!s && changed)
        *changed = is_new;
    release(o);
    return s;
}

void outfile_abort(struct outfile *o)
{
    if (!o)
        return;
    if (o->path)
        (void)fclose(o->f);
    if (o->temp)
        (void)unlink(o->temp);
    interrupt_untrack(o->slot);
    release(o);
}

enum status outfile_put(const char *path, const void *data, size_t n, bool *changed, struct err *err)
{
    struct outfile *o;
    enum status s = outfile_open(&o, path, err);
    if (s)
        return s;
    s = outfile_write(o, data, n, err);
    if (s) {
        outfile_abort(o);
        return s;
    }
    return outfile_commit(o, changed, err);
}
