#define _XOPEN_SOURCE 700
#include "lib/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/mem.h"
#include "lib/crash.h"

enum { SUM_LEN = 16 };
static const uint64_t sync_every_ns = 1000000000;

struct slot {
    const char *id; /* borrowed from the record */
    size_t index;
};

struct journal {
    int fd;
    char *path;
    cJSON **records;
    size_t n, cap;
    struct slot *slots; /* open addressing by id; n_slots is a power of two, at most half full */
    size_t n_slots;
    uint64_t synced_ns;
};

static size_t hash_id(const char *id)
{
    uint64_t h = 14695981039346656037u; // FNV-1a: only spreads ids over slots, nothing rests on it
    for (; *id; id++)
        h = (h ^ (unsigned char)*id) * 1099511628211u;
    return (size_t)h;
}

static struct slot *find_slot(const struct journal *j, const char *id)
{
    size_t i = hash_id(id) & (j->n_slots - 1);
    while (j->slots[i].id && strcmp(j->slots[i].id, id) != 0)
        i = (i + 1) & (j->n_slots - 1);
    return &j->slots[i];
}

static const char *record_id(const cJSON *r)
{
    const cJSON *id = json_get(r, "id");
    return cJSON_IsString(id) ? id->valuestring : NULL;
}

static enum status grow(struct journal *j, struct err *err)
{
    if (j->n < j->cap)
        return OK;
    size_t cap = j->cap ? 2 * j->cap : 64;
    void *p;
    void *q;
    enum status s = mem_alloc(&p, cap, sizeof(cJSON *), "journal", err);
    if (s)
        return s;
    if ((s = mem_alloc(&q, 2 * cap, sizeof(struct slot), "journal", err))) {
        mem_free(p);
        return s;
    }
    if (j->n)
        memcpy(p, j->records, j->n * sizeof(cJSON *));
    mem_free(j->records);
    mem_free(j->slots);
    j->records = p;
    j->slots = q;
    j->n_slots = 2 * cap;
    j->cap = cap;
    for (size_t i = 0; i < j->n; i++) {
        const char *id = record_id(j->records[i]);
        if (id) // every record that was kept has one
            *find_slot(j, id) = (struct slot){.id = id, .index = i};
    }
    return OK;
}

/* Keep a record in memory; consumes it on success only. */
static enum status keep(struct journal *j, cJSON *r, const char *where, struct err *err)
{
    const char *id = record_id(r);
    if (!id)
        return err_set(err, ERR_FORMAT, "%s: expected a member \"id\", found none", where);
    enum status s = grow(j, err);
    if (s)
        return s;
    struct slot *slot = find_slot(j, id);
    if (slot->id)
        return err_set(err, ERR_USAGE, "%s: expected a new id, found '%.80s' again", where, id);
    *slot = (struct slot){.id = id, .index = j->n};
    j->records[j->n++] = r;
    return OK;
}

static enum status checksum(const char *text, size_t n, char out[DIGEST_HEX_LEN + 1], struct err *err)
{
    uint8_t d[DIGEST_B];
    enum status s = digest_bytes(text, n, d, err);
    if (!s) {
        digest_hex(d, out);
        out[SUM_LEN] = '\0';
    }
    return s;
}

/* One line without its LF: sum, space, object. OK with *out NULL when it is damaged. */
static enum status parse_line(const char *line, size_t n, const char *where, cJSON **out, struct err *err)
{
    char sum[DIGEST_HEX_LEN + 1];
    *out = NULL;
    if (n < SUM_LEN + 3 || line[SUM_LEN] != ' ')
        return OK;
    enum status s = checksum(line + SUM_LEN + 1, n - SUM_LEN - 1, sum, err);
    if (s || memcmp(sum, line, SUM_LEN) != 0)
        return s;
    return json_parse(out, line + SUM_LEN + 1, n - SUM_LEN - 1, where, err);
}

/* One write per record: a kill leaves at most one torn line, at the end; a full disk leaves none. */
static enum status append(struct journal *j, const cJSON *record, struct err *err)
{
    off_t before = lseek(j->fd, 0, SEEK_END);
    struct buf body = BUF_INIT;
    struct buf line = BUF_INIT;
    char sum[DIGEST_HEX_LEN + 1];
    enum status s = json_write_canonical(&body, record, err);
    if (!s)
        s = checksum(body.data, body.n, sum, err);
    if (!s) {
        buf_printf(&line, "%s %s\n", sum, body.data);
        s = buf_status(&line, "journal record", err);
    }
#ifdef ASSAY_FAULTS
    size_t until = line.n;
    if (!s && crash_write(&until)) {
        (void)!write(j->fd, line.data, until);
        crash_now();
    }
#endif
    for (size_t at = 0; !s && at < line.n;) {
        ssize_t w = write(j->fd, line.data + at, line.n - at);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            s = err_set_errno(err, ERR_IO, errno, "cannot write '%s'", j->path);
        else
            at += (size_t)w;
    }
    if (s && before >= 0)
        (void)!ftruncate(j->fd, before); // else opening it again cuts the torn line
    uint64_t now = clock_ns();
    if (!s && now - j->synced_ns >= sync_every_ns) {
        j->synced_ns = now;
        if (fdatasync(j->fd) != 0)
            s = err_set_errno(err, ERR_IO, errno, "cannot write '%s'", j->path);
    }
    buf_release(&body);
    buf_release(&line);
    return s;
}

static enum status read_all(struct journal *j, struct buf *out, struct err *err)
{
    char chunk[1 << 16];
    for (;;) {
        ssize_t n = read(j->fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(err, ERR_IO, errno, "cannot read '%s'", j->path);
        if (n == 0)
            return buf_status(out, "journal", err);
        buf_add(out, chunk, (size_t)n);
    }
}

static enum status check_recipe(const cJSON *head, const char *recipe, const char *path, struct err *err)
{
    const char *found;
    enum status s = json_get_str(head, "recipe", path, &found, err);
    if (!s && strcmp(found, recipe) != 0)
        s = err_set(err, ERR_USAGE, "'%s' belongs to another run: expected recipe %.12s, found %.12s; remove it to start over",
                    path, recipe, found);
    return s;
}

/* Take every whole line; cut a torn or damaged last one off the file. */
static enum status replay(struct journal *j, const char *recipe, bool *fresh, struct err *err)
{
    struct buf text = BUF_INIT;
    enum status s = read_all(j, &text, err);
    size_t at = 0;
    size_t line = 1;
    *fresh = true;
    while (!s && at < text.n) {
        const char *end = memchr(text.data + at, '\n', text.n - at);
        size_t len = end ? (size_t)(end - text.data) - at : 0;
        char where[300];
        (void)snprintf(where, sizeof where, "%.200s:%zu", j->path, line);
        cJSON *r = NULL;
        if (end)
            s = parse_line(text.data + at, len, where, &r, err);
        if (!s && !r) {
            if (end && at + len + 1 < text.n)
                s = err_set(err, ERR_FORMAT, "%s: expected a journal record, found damage before the end", where);
            break;
        }
        if (!s)
            s = line == 1 ? check_recipe(r, recipe, j->path, err) : keep(j, r, where, err);
        if (s || line == 1)
            cJSON_Delete(r);
        *fresh = false;
        at += len + 1;
        line++;
    }
    if (!s && at < text.n && ftruncate(j->fd, (off_t)at) != 0)
        s = err_set_errno(err, ERR_IO, errno, "cannot cut the torn end of '%s'", j->path);
    buf_release(&text);
    return s;
}

static enum status lock(struct journal *j, struct err *err)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(j->fd, F_SETLK, &l) != 0)
        return err_set_errno(err, ERR_IO, errno, "cannot lock '%s'; another process is using it", j->path);
    return OK;
}

static void release(struct journal *j)
{
    for (size_t i = 0; i < j->n; i++)
        cJSON_Delete(j->records[i]);
    mem_free(j->records);
    mem_free(j->slots);
    mem_free(j->path);
    mem_free(j);
}

enum status journal_open(struct journal **out, const char *path, const char *recipe, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct journal), "journal", err);
    if (s)
        return s;
    struct journal *j = p;
    bool fresh = false;
    j->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (j->fd < 0) {
        s = err_set_errno(err, ERR_IO, errno, "cannot open '%s'", path);
        release(j);
        return s;
    }
    size_t n = strlen(path) + 1;
    s = mem_alloc(&p, n, 1, "file name", err);
    if (!s) {
        j->path = p;
        memcpy(j->path, path, n);
        s = lock(j, err);
    }
    if (!s)
        s = replay(j, recipe, &fresh, err);
    if (!s && fresh) {
        cJSON *head = cJSON_CreateObject();
        if (!head || !cJSON_AddStringToObject(head, "recipe", recipe))
            s = err_set(err, ERR_MEMORY, "cannot begin '%s'", path);
        else
            s = append(j, head, err);
        cJSON_Delete(head);
    }
    if (s) {
        if (fresh)
            (void)unlink(path); // there was no record in it
        (void)close(j->fd);
        release(j);
        return s;
    }
    *out = j;
    return OK;
}

size_t journal_count(const struct journal *j)
{
    return j->n;
}

const cJSON *journal_at(const struct journal *j, size_t i)
{
    return j->records[i];
}

bool journal_has(const struct journal *j, const char *id)
{
    return j->n_slots && find_slot(j, id)->id;
}

enum status journal_add(struct journal *j, cJSON *record, struct err *err)
{
    if (!record)
        return err_set(err, ERR_MEMORY, "cannot build a journal record");
    enum status s = keep(j, record, j->path, err);
    if (s) {
        cJSON_Delete(record);
        return s;
    }
    if ((s = append(j, record, err))) { // what is not on the disk does not count; nobody was kept after it
        find_slot(j, record_id(record))->id = NULL;
        cJSON_Delete(record);
        j->n--;
    }
    return s;
}

enum status journal_close(struct journal *j, bool remove_file, struct err *err)
{
    enum status s = OK;
    if (fsync(j->fd) != 0)
        s = err_set_errno(err, ERR_IO, errno, "cannot write '%s'", j->path);
    if (remove_file && !s && unlink(j->path) != 0)
        s = err_set_errno(err, ERR_IO, errno, "cannot remove '%s'", j->path);
    if (close(j->fd) != 0 && !s)
        s = err_set_errno(err, ERR_IO, errno, "cannot write '%s'", j->path);
    release(j);
    return s;
}
