#include "cpu/tilecache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

enum { ALIGN_B = 4096, HEADER_B = 64, MAX_ENTRIES = 1 << 20 };
static const char magic[16] = "assay tiles 1\n\n";

struct entry {
    struct tile_entry pub;
    size_t at; // in the file
};

struct tile_cache {
    char *path, *temporary; // temporary: NULL once the file has its name
    int fd;                 // -1 once it is mapped whole
    uint8_t *map;           // the whole file, when it was there
    size_t file_b;
    struct entry *entries;
    size_t n, cap;
    size_t next; // where the next name is looked for first
    bool full;
};

static size_t round_up(size_t n)
{
    return (n + ALIGN_B - 1) / ALIGN_B * ALIGN_B;
}

static enum status copy_text(char **out, const struct buf *text, struct err *err)
{
    void *p;
    enum status s = buf_status(text, "path", err);
    if (!s && !(s = mem_alloc(&p, text->n + 1, 1, "path", err))) {
        memcpy(p, text->data, text->n);
        *out = p;
    }
    return s;
}

static void put_u64(uint8_t *out, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_u64(const uint8_t *in)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++)
        v |= (uint64_t)in[i] << (8 * i);
    return v;
}

static enum status reserve(struct tile_cache *c, struct err *err)
{
    if (c->n < c->cap)
        return OK;
    void *p;
    size_t cap = c->cap ? 2 * c->cap : 256;
    enum status s = mem_alloc(&p, cap, sizeof *c->entries, "table of tiles", err);
    if (s)
        return s;
    if (c->n)
        memcpy(p, c->entries, c->n * sizeof *c->entries);
    mem_free(c->entries);
    c->entries = p;
    c->cap = cap;
    return OK;
}

static enum status add_entry(struct tile_cache *c, const struct tile_entry *e, size_t name_n, size_t at, struct err *err)
{
    void *p;
    enum status s = reserve(c, err);
    if (s || (s = mem_alloc(&p, name_n + 1, 1, "name of a matrix", err)))
        return s;
    memcpy(p, e->name, name_n);
    c->entries[c->n] = (struct entry){.pub = *e, .at = at};
    c->entries[c->n++].pub.name = p;
    return OK;
}

static enum status damaged(const struct tile_cache *c, const char *what, struct err *err)
{
    return err_set(err, ERR_FORMAT, "%s: expected a whole tile cache, found %s; delete it to have it made again", c->path,
                   what);
}

/* An entry of the table: u32 name length, u32 format, u64 rows, columns, offset, bytes, then the name. */
enum { ENTRY_B = 40 };

static enum status read_table(struct tile_cache *c, struct err *err)
{
    if (c->file_b < HEADER_B || memcmp(c->map, magic, sizeof magic) != 0)
        return damaged(c, "another kind of file", err);
    size_t at = get_u64(c->map + 24);
    size_t count = get_u64(c->map + 32);
    if (get_u64(c->map + 16) != c->file_b || at > c->file_b || count > MAX_ENTRIES)
        return damaged(c, "another size", err);
    size_t data_end = at;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *p = c->map + at;
        if (c->file_b - at < ENTRY_B)
            return damaged(c, "a table cut short", err);
        uint64_t head = get_u64(p);
        size_t name_n = head & 0xffffffffu;
        size_t offset = get_u64(p + 24);
        struct tile_entry e = {.name = (const char *)p + ENTRY_B,
                               .format = (uint32_t)(head >> 32),
                               .n_rows = get_u64(p + 8),
                               .n_cols = get_u64(p + 16),
                               .bytes = get_u64(p + 32)};
        if (c->file_b - at - ENTRY_B < name_n || offset % ALIGN_B || offset > data_end || e.bytes > data_end - offset)
            return damaged(c, "a matrix outside of the file", err);
        e.data = c->map + offset;
        enum status s = add_entry(c, &e, name_n, offset, err);
        if (s)
            return s;
        at += ENTRY_B + name_n;
    }
    return OK;
}

static enum status map_whole(struct tile_cache *c, struct err *err)
{
    struct stat st;
    if (fstat(c->fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
        return damaged(c, "no file with bytes", err);
    c->file_b = (size_t)st.st_size;
    // private: who writes (a test that spoils weights) gets pages of its own
    void *p = mmap(NULL, c->file_b, PROT_READ | PROT_WRITE, MAP_PRIVATE, c->fd, 0);
    if (p == MAP_FAILED)
        return err_set_errno(err, ERR_IO, errno, "cannot map '%s'", c->path);
    c->map = p;
    c->full = true;
    (void)close(c->fd);
    c->fd = -1;
    return read_table(c, err);
}

static enum status begin(struct tile_cache *c, struct err *err)
{
    struct buf name = BUF_INIT;
    char *part = NULL;
    buf_printf(&name, "%s.part", c->path);
    enum status s = copy_text(&part, &name, err);
    buf_release(&name);
    if (s)
        return s;
    c->fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    // what a killed process left is taken over; what a living one is writing is not
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (c->fd < 0)
        s = err_set_errno(err, ERR_IO, errno, "cannot write '%s'", part);
    else if (fcntl(c->fd, F_SETLK, &all) != 0)
        s = err_set(err, ERR_IO, "'%s' is being made by another process; start again when it is done", c->path);
    else if (ftruncate(c->fd, 0) != 0)
        s = err_set_errno(err, ERR_IO, errno, "cannot empty '%s'", part);
    if (s) {
        mem_free(part); // not ours to remove
        return s;
    }
    c->temporary = part;
    c->file_b = ALIGN_B;
    return OK;
}

enum status tile_cache_open(struct tile_cache **out, const char *dir, const char *key, const char *layout,
                            struct err *err)
{
    struct buf name = BUF_INIT;
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct tile_cache), "tile cache", err);
    if (s)
        return s;
    struct tile_cache *c = p;
    c->fd = -1;
    buf_printf(&name, "%s/%s-%s.tiles", dir, key, layout);
    s = copy_text(&c->path, &name, err);
    buf_release(&name);
    if (!s) {
        c->fd = open(c->path, O_RDONLY | O_CLOEXEC);
        if (c->fd < 0 && errno != ENOENT)
            s = err_set_errno(err, ERR_IO, errno, "cannot open '%s'", c->path);
        else
            s = c->fd < 0 ? begin(c, err) : map_whole(c, err);
    }
    if (s)
        tile_cache_close(c);
    else
        *out = c;
    return s;
}

bool tile_cache_is_full(const struct tile_cache *c)
{
    return c->full;
}

bool tile_cache_find(struct tile_cache *c, const char *name, struct tile_entry *out)
{
    for (size_t i = 0; i < c->n; i++) { // names are asked for in the order in which they were added
        size_t k = (c->next + i) % c->n;
        if (strcmp(c->entries[k].pub.name, name) == 0) {
            *out = c->entries[k].pub;
            c->next = k + 1;
            return true;
        }
    }
    return false;
}

enum status tile_cache_add(struct tile_cache *c, struct tile_entry *e, struct err *err)
{
    size_t end;
    if (!size_add(c->file_b, e->bytes, &end) || !size_add(end, ALIGN_B, &end))
        return err_set(err, ERR_RANGE, "%s: the file's size overflows", c->temporary);
    end = round_up(c->file_b + e->bytes);
    // room first: a store to a mapped page of a full disk would be a signal, not a status
    int failed = posix_fallocate(c->fd, (off_t)c->file_b, (off_t)(end - c->file_b));
    if (failed)
        return err_set_errno(err, ERR_IO, failed, "cannot grow '%s' to %zu bytes", c->temporary, end);
    void *p = mmap(NULL, end - c->file_b, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, (off_t)c->file_b);
    if (p == MAP_FAILED)
        return err_set_errno(err, ERR_IO, errno, "cannot map '%s'", c->temporary);
    e->data = p;
    enum status s = add_entry(c, e, strlen(e->name), c->file_b, err);
    if (s)
        (void)munmap(p, end - c->file_b);
    else
        c->file_b = end;
    return s;
}

static void drop_last(struct tile_cache *c)
{
    struct entry *e = &c->entries[--c->n];
    union {
        const char *in;
        void *out;
    } name = {.in = e->pub.name};
    if (!c->full)
        (void)munmap(e->pub.data, round_up(e->pub.bytes));
    mem_free(name.out);
}

enum status tile_cache_undo(struct tile_cache *c, struct err *err)
{
    drop_last(c);
    c->file_b = c->n ? c->entries[c->n - 1].at + round_up(c->entries[c->n - 1].pub.bytes) : ALIGN_B;
    if (ftruncate(c->fd, (off_t)c->file_b) != 0) // what comes next must find zeros
        return err_set_errno(err, ERR_IO, errno, "cannot shorten '%s'", c->temporary);
    return OK;
}

static enum status write_at(const struct tile_cache *c, const void *data, size_t n, size_t at, struct err *err)
{
    const char *p = data;
    while (n) {
        ssize_t k = pwrite(c->fd, p, n, (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return err_set_errno(err, ERR_IO, errno, "cannot write '%s'", c->temporary);
        p += k;
        n -= (size_t)k;
        at += (size_t)k;
    }
    return OK;
}

enum status tile_cache_finish(struct tile_cache *c, struct err *err)
{
    struct buf table = BUF_INIT;
    uint8_t head[HEADER_B] = {0};
    if (c->full)
        return OK;
    for (size_t i = 0; i < c->n; i++) {
        const struct entry *e = &c->entries[i];
        uint8_t b[ENTRY_B];
        size_t name_n = strlen(e->pub.name);
        put_u64(b, (uint64_t)e->pub.format << 32 | name_n);
        put_u64(b + 8, e->pub.n_rows);
        put_u64(b + 16, e->pub.n_cols);
        put_u64(b + 24, e->at);
        put_u64(b + 32, e->pub.bytes);
        buf_add(&table, b, sizeof b);
        buf_add(&table, e->pub.name, name_n);
    }
    memcpy(head, magic, sizeof magic);
    put_u64(head + 16, c->file_b + table.n);
    put_u64(head + 24, c->file_b);
    put_u64(head + 32, c->n);
    enum status s = buf_status(&table, "table of tiles", err);
    if (!s && !(s = write_at(c, table.data, table.n, c->file_b, err)) && !(s = write_at(c, head, sizeof head, 0, err)) &&
        (ftruncate(c->fd, (off_t)(c->file_b + table.n)) != 0 || rename(c->temporary, c->path) != 0))
        s = err_set_errno(err, ERR_IO, errno, "cannot give '%s' its name", c->path);
    if (!s) {
        mem_free(c->temporary);
        c->temporary = NULL;
    }
    buf_release(&table);
    return s;
}

void tile_cache_close(struct tile_cache *c)
{
    if (!c)
        return;
    while (c->n)
        drop_last(c);
    if (c->map)
        (void)munmap(c->map, c->file_b);
    if (c->fd >= 0)
        (void)close(c->fd);
    if (c->temporary)
        (void)unlink(c->temporary);
    mem_free(c->temporary);
    mem_free(c->path);
    mem_free(c->entries);
    mem_free(c);
}
