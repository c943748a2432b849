#define _DEFAULT_SOURCE // madvise
#include "base/mapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum status mapfile_open(struct mapfile *m, const char *path, struct err *err)
{
    enum status s = OK;
    *m = (struct mapfile){.data = NULL, .size = 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno == ENOENT ? ERR_MISSING : ERR_IO, errno, "cannot open '%s'", path);
    struct stat st;
    if (fstat(fd, &st) != 0) {
        s = err_set_errno(err, ERR_IO, errno, "cannot read the size of '%s'", path);
        goto done;
    }
    if (!S_ISREG(st.st_mode)) {
        s = err_set(err, ERR_IO, "cannot map '%s': not a regular file", path);
        goto done;
    }
    if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            s = err_set_errno(err, ERR_IO, errno, "cannot map '%s'", path);
            goto done;
        }
        *m = (struct mapfile){.data = p, .size = (size_t)st.st_size};
    }
done:
    (void)close(fd);
    return s;
}

void mapfile_close(struct mapfile *m)
{
    union {
        const uint8_t *in;
        void *out;
    } p = {.in = m->data}; // munmap takes a pointer to non-const, and -Wcast-qual is on
    if (p.in)
        (void)munmap(p.out, m->size);
    *m = (struct mapfile){.data = NULL, .size = 0};
}

void mapfile_drop(const struct mapfile *m, size_t at, size_t n)
{
    if (!m->data || at >= m->size)
        return;
    if (n > m->size - at)
        n = m->size - at;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t from = (at + page - 1) / page * page;
    size_t to = (at + n) / page * page;
    if (from >= to)
        return;
    union {
        const uint8_t *in;
        void *out;
    } p = {.in = m->data + from};
    (void)madvise(p.out, to - from, MADV_DONTNEED); // advice only: failing to drop costs memory, not bits
}
