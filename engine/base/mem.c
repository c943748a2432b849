#define _DEFAULT_SOURCE // MAP_ANONYMOUS, madvise
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

bool size_mul(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_mul_overflow(a, b, &r))
        return false;
    *out = r;
    return true;
}

bool size_add(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_add_overflow(a, b, &r))
        return false;
    *out = r;
    return true;
}

// A test hook has to reach allocations deep in a call tree without a parameter on every function;
// thread-local and off by default is the smallest state that does it (style.md 5, SQLite's OOM loops).
static _Thread_local size_t fail_countdown;

void mem_fail_after(size_t n)
{
    fail_countdown = n;
}

static bool must_fail(void)
{
    if (fail_countdown == 0)
        return false;
    return --fail_countdown == 0;
}

enum status mem_alloc(void **out, size_t n, size_t size, const char *what, struct err *err)
{
    size_t bytes;
    size_t padded;
    if (!size_mul(n, size, &bytes) || !size_add(bytes, 63, &padded))
        return err_set(err, ERR_MEMORY, "cannot allocate %s: %zu x %zu bytes overflow", what, n, size);
    padded &= ~(size_t)63;
    if (padded == 0)
        padded = 64;
    void *p = must_fail() ? NULL : aligned_alloc(64, padded);
    if (!p)
        return err_set(err, ERR_MEMORY, "cannot allocate %s: %zu bytes", what, bytes);
    memset(p, 0, padded);
    *out = p;
    return OK;
}

void mem_free(void *p)
{
    free(p);
}

struct block {
    struct block *next;
    size_t used;
    size_t cap;
    uint8_t *data;
};

enum status mem_map(void **out, size_t n_b, const char *what, struct err *err)
{
    void *p = n_b == 0 || must_fail() ? MAP_FAILED
                                      : mmap(NULL, n_b, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return err_set(err, ERR_MEMORY, "cannot allocate %s: %zu bytes", what, n_b);
    (void)madvise(p, n_b, MADV_HUGEPAGE); // advice only: without it a page is 4 KiB
    *out = p;
    return OK;
}

void mem_unmap(void *p, size_t n_b)
{
    (void)munmap(p, n_b); // fails only for what mem_map did not give
}

uint64_t mem_available_b(const char *meminfo)
{
    static const char key[] = "MemAvailable:";
    char line[256];
    uint64_t out = UINT64_MAX;
    FILE *f = fopen(meminfo, "r");
    if (!f)
        return out;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, key, sizeof key - 1) != 0)
            continue;
        char *end;
        unsigned long long kib = strtoull(line + sizeof key - 1, &end, 10);
        if (strcmp(end, " kB\n") == 0 && kib <= UINT64_MAX / 1024)
            out = kib * 1024;
        break;
    }
    (void)fclose(f);
    return out;
}

struct arena {
    struct block *head;
    size_t block_b;
};

enum status arena_new(struct arena **out, size_t block_b, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct arena), "arena", err);
    if (s)
        return s;
    struct arena *a = p;
    a->block_b = block_b ? block_b : (size_t)64 << 10;
    *out = a;
    return OK;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    for (struct block *b = a->head; b;) {
        struct block *next = b->next;
        mem_free(b->data);
        mem_free(b);
        b = next;
    }
    mem_free(a);
}

enum status arena_alloc(struct arena *a, void **out, size_t n, size_t size, struct err *err)
{
    size_t bytes;
    size_t align = size >= 64 ? 64 : 16;
    size_t need;
    if (!size_mul(n, size, &bytes) || !size_add(bytes, align, &need))
        return err_set(err, ERR_MEMORY, "cannot allocate %zu x %zu bytes in an arena: overflow", n, size);
    struct block *b = a->head;
    size_t at = b ? (b->used + align - 1) & ~(align - 1) : 0;
    if (!b || at > b->cap || b->cap - at < bytes) {
        size_t cap = need > a->block_b ? need : a->block_b;
        void *nb;
        enum status s = mem_alloc(&nb, 1, sizeof(struct block), "arena block", err);
        if (s)
            return s;
        void *data;
        s = mem_alloc(&data, cap, 1, "arena block", err);
        if (s) {
            mem_free(nb);
            return s;
        }
        struct block *fresh = nb;
        *fresh = (struct block){.next = a->head, .used = 0, .cap = cap, .data = data};
        a->head = b = fresh;
        at = 0;
    }
    *out = b->data + at;
    b->used = at + bytes;
    return OK;
}

enum status arena_strndup(struct arena *a, char **out, const char *s, size_t n, struct err *err)
{
    void *p;
    size_t len;
    if (!size_add(n, 1, &len))
        return err_set(err, ERR_MEMORY, "cannot copy a string of %zu bytes", n);
    enum status st = arena_alloc(a, &p, len, 1, err);
    if (st)
        return st;
    memcpy(p, s, n);
    *out = p;
    return OK;
}
