#include "cuda/arena.h"

#include <string.h>

#include "base/mem.h"

struct place {
    size_t from, to; // to: rounded up
    size_t n;        // as asked for
};

struct places {
    size_t size, used, peak;
    struct place *list; // ascending
    size_t n, cap;
};

enum { PLACE_ALIGN = 256 };

enum status places_new(struct places **out, size_t size, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct places), "device arena", err);
    if (s)
        return s;
    *out = p;
    (*out)->size = size;
    return OK;
}

void places_free(struct places *p)
{
    if (!p)
        return;
    mem_free(p->list);
    mem_free(p);
}

static enum status grow(struct places *p, struct err *err)
{
    size_t cap = p->cap ? 2 * p->cap : 256;
    void *list;
    enum status s = mem_alloc(&list, cap, sizeof *p->list, "device arena", err);
    if (s)
        return s;
    if (p->n)
        memcpy(list, p->list, p->n * sizeof *p->list);
    mem_free(p->list);
    p->list = list;
    p->cap = cap;
    return OK;
}

enum status places_take(struct places *p, size_t n, const char *what, size_t *offset, struct err *err)
{
    size_t from = 0;
    size_t i = 0;
    size_t need = 0;
    if (n > SIZE_MAX - PLACE_ALIGN)
        return err_set(err, ERR_MEMORY, "device memory for %s: %zu bytes overflow", what, n);
    need = (n + (n == 0) + PLACE_ALIGN - 1) / PLACE_ALIGN * PLACE_ALIGN;
    while (i < p->n && p->list[i].from - from < need)
        from = p->list[i++].to;
    if (i == p->n && p->size - from < need)
        return err_set(err, ERR_MEMORY,
                       "device memory for %s: expected %zu bytes in one piece, found %zu of %zu bytes in use", what, need,
                       p->used, p->size);
    if (p->n == p->cap) {
        enum status s = grow(p, err);
        if (s)
            return s;
    }
    memmove(p->list + i + 1, p->list + i, (p->n - i) * sizeof *p->list);
    p->list[i] = (struct place){from, from + need, n};
    p->n++;
    p->used += need;
    p->peak = p->used > p->peak ? p->used : p->peak;
    *offset = from;
    return OK;
}

static size_t find(const struct places *p, size_t offset)
{
    size_t lo = 0;
    size_t hi = p->n;
    while (lo + 1 < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (p->list[mid].from <= offset)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

void places_give(struct places *p, size_t offset)
{
    size_t i = find(p, offset);
    p->used -= p->list[i].to - p->list[i].from;
    p->n--;
    memmove(p->list + i, p->list + i + 1, (p->n - i) * sizeof *p->list);
}

size_t places_used(const struct places *p)
{
    return p->used;
}

size_t places_peak(const struct places *p)
{
    return p->peak;
}

size_t places_at(const struct places *p, size_t offset)
{
    return p->list[find(p, offset)].n;
}
