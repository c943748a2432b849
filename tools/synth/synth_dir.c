#include "synth/synth_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mapfile.h"
#include "base/mem.h"
#include "synth/synth_config.h"

#define LOCK_NAME ".lock"

struct synth_dir {
    struct buf path, partial, old; /* PATH, PATH.partial, PATH.old */
    int lock_fd;                   /* -1: none */
};

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Remove the files of a directory, then the directory. synth makes no subdirectories: meeting one is an
 * error, and nothing below it is touched. keep: a name that stays (and the directory with it), or NULL. */
static enum status remove_dir(const char *path, const char *keep, struct err *err)
{
    DIR *d = opendir(path);
    if (d == NULL)
        return errno == ENOENT ? OK : err_set_errno(err, ERR_IO, errno, "cannot read directory '%s'", path);
    enum status st = OK;
    for (struct dirent *e; st == OK && (e = readdir(d)) != NULL;) {
        if (is_dot(e->d_name) || (keep != NULL && strcmp(e->d_name, keep) == 0))
            continue;
        if (unlinkat(dirfd(d), e->d_name, 0) != 0)
            st = err_set_errno(err, ERR_IO, errno, "cannot remove '%s/%s'", path, e->d_name);
    }
    closedir(d);
    if (st == OK && keep == NULL && rmdir(path) != 0)
        st = err_set_errno(err, ERR_IO, errno, "cannot remove directory '%s'", path);
    return st;
}

static size_t count_files(const char *path)
{
    DIR *d = opendir(path);
    size_t n = 0;
    if (d == NULL)
        return SIZE_MAX;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += !is_dot(e->d_name) && strcmp(e->d_name, LOCK_NAME) != 0;
    closedir(d);
    return n;
}

/* Only what synth made may be replaced. */
static enum status check_target(const char *path, struct err *err)
{
    struct stat sb;
    if (stat(path, &sb) != 0)
        return errno == ENOENT ? OK : err_set_errno(err, ERR_IO, errno, "cannot look at '%s'", path);
    if (!S_ISDIR(sb.st_mode))
        return err_set(err, ERR_USAGE, "'%s' exists and is no directory", path);
    if (count_files(path) == 0)
        return OK;
    struct buf config = BUF_INIT;
    cJSON *json = NULL;
    buf_printf(&config, "%s/config.json", path);
    enum status st = buf_status(&config, "path", err);
    if (st == OK && (json_read_file(&json, config.data, NULL) != OK || json_get(json, SYNTH_MARK_KEY) == NULL))
        st = err_set(err, ERR_USAGE, "'%s' exists and was not made by synth: expected the key \"%s\" in its config.json",
                     path, SYNTH_MARK_KEY);
    cJSON_Delete(json);
    buf_release(&config);
    return st;
}

/* The lock is on a file that must still be in PATH.partial once the lock is held: the run that held it
 * before may have renamed the directory away in between. */
static enum status take_lock(struct synth_dir *d, struct err *err)
{
    struct buf name = BUF_INIT;
    struct stat held, there;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    buf_printf(&name, "%s/%s", d->partial.data, LOCK_NAME);
    enum status st = buf_status(&name, "path", err);
    if (st == OK && mkdir(d->partial.data, 0777) != 0 && errno != EEXIST)
        st = err_set_errno(err, ERR_IO, errno, "cannot make directory '%s'", d->partial.data);
    if (st == OK && (d->lock_fd = open(name.data, O_RDWR | O_CREAT | O_CLOEXEC, 0666)) < 0)
        st = err_set_errno(err, ERR_IO, errno, "cannot create '%s'", name.data);
    if (st == OK && (fcntl(d->lock_fd, F_SETLK, &lock) != 0 || fstat(d->lock_fd, &held) != 0 ||
                     stat(name.data, &there) != 0 || held.st_ino != there.st_ino || held.st_dev != there.st_dev))
        st = err_set(err, ERR_IO, "'%s' is being written by another run", d->partial.data);
    buf_release(&name);
    return st;
}

static void release(struct synth_dir *d)
{
    if (d->lock_fd >= 0)
        close(d->lock_fd);
    buf_release(&d->path);
    buf_release(&d->partial);
    buf_release(&d->old);
    mem_free(d);
}

enum status synth_dir_open(struct synth_dir **out, const char *path, struct err *err)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    void *v = NULL;
    enum status st = mem_alloc(&v, 1, sizeof(struct synth_dir), "output directory", err);
    if (st != OK)
        return st;
    struct synth_dir *d = v;
    d->lock_fd = -1;
    buf_add(&d->path, path, n);
    buf_printf(&d->partial, "%.*s.partial", (int)n, path);
    buf_printf(&d->old, "%.*s.old", (int)n, path);
    d->path.failed = d->path.failed || d->partial.failed || d->old.failed;
    st = n == 0 ? err_set(err, ERR_USAGE, "--out: expected a directory, found ''") : OK;
    st = st ? st : buf_status(&d->path, "path", err);
    st = st ? st : check_target(d->path.data, err);
    st = st ? st : take_lock(d, err);
    st = st ? st : remove_dir(d->partial.data, LOCK_NAME, err);
    if (st == OK)
        *out = d;
    else
        release(d);
    return st;
}

const char *synth_dir_path(const struct synth_dir *d)
{
    return d->partial.data;
}

static bool same_file(const char *dir_a, const char *dir_b, const char *name)
{
    struct buf a = BUF_INIT, b = BUF_INIT;
    struct mapfile x = {.data = NULL}, y = {.data = NULL};
    bool same = false;
    buf_printf(&a, "%s/%s", dir_a, name);
    buf_printf(&b, "%s/%s", dir_b, name);
    if (!a.failed && !b.failed && mapfile_open(&x, a.data, NULL) == OK) {
        if (mapfile_open(&y, b.data, NULL) == OK)
            same = x.size == y.size && (x.size == 0 || memcmp(x.data, y.data, x.size) == 0);
        mapfile_close(&y);
    }
    mapfile_close(&x);
    buf_release(&a);
    buf_release(&b);
    return same;
}

static bool same_dir(const char *a, const char *b)
{
    size_t n = count_files(a);
    bool same = n != SIZE_MAX && n == count_files(b);
    DIR *d = same ? opendir(a) : NULL;
    if (d == NULL)
        return false;
    for (struct dirent *e; same && (e = readdir(d)) != NULL;)
        if (!is_dot(e->d_name) && strcmp(e->d_name, LOCK_NAME) != 0)
            same = same_file(a, b, e->d_name);
    closedir(d);
    return same;
}

/* A directory cannot be renamed over a full one: the old one steps aside first. A kill between the two
 * renames leaves no PATH at all, never a mixed one. */
static enum status put_in_place(const struct synth_dir *d, struct err *err)
{
    enum status st = remove_dir(d->old.data, NULL, err);
    if (st == OK && rename(d->path.data, d->old.data) != 0 && errno != ENOENT)
        st = err_set_errno(err, ERR_IO, errno, "cannot rename '%s'", d->path.data);
    if (st == OK && rename(d->partial.data, d->path.data) != 0)
        st = err_set_errno(err, ERR_IO, errno, "cannot rename '%s'", d->partial.data);
    if (st != OK)
        return st;
    struct buf lock = BUF_INIT;
    buf_printf(&lock, "%s/%s", d->path.data, LOCK_NAME);
    if (!lock.failed)
        (void)unlink(lock.data); // what stays of a failure here is an empty file that counts for nothing
    buf_release(&lock);
    return remove_dir(d->old.data, NULL, err);
}

enum status synth_dir_commit(struct synth_dir *d, bool *changed, struct err *err)
{
    *changed = !same_dir(d->partial.data, d->path.data);
    enum status st = *changed ? put_in_place(d, err) : remove_dir(d->partial.data, NULL, err);
    release(d);
    return st;
}

void synth_dir_abort(struct synth_dir *d)
{
    if (d == NULL)
        return;
    (void)remove_dir(d->partial.data, NULL, NULL);
    release(d);
}
