#include "text/special.h"

#include <stdlib.h>

#include "base/mem.h"

static int longer_first(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x > y ? -1 : x < y;
}

enum status special_init(struct special *sp, const struct tokfile *f, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, f->n_added, sizeof *sp->lens, "added tokens", err);
    if (s)
        return s;
    *sp = (struct special){.lens = p, .n_lens = 0};
    for (size_t i = 0; i < f->n_added; i++) {
        size_t n;
        const char *text = tokfile_text(f, f->added[i], &n);
        sp->first[(unsigned char)text[0]] = true;
        sp->lens[i] = (uint32_t)n;
    }
    if (f->n_added)
        qsort(sp->lens, f->n_added, sizeof *sp->lens, longer_first);
    for (size_t i = 0; i < f->n_added; i++)
        if (sp->n_lens == 0 || sp->lens[i] != sp->lens[sp->n_lens - 1])
            sp->lens[sp->n_lens++] = sp->lens[i];
    return OK;
}

void special_release(struct special *sp)
{
    mem_free(sp->lens);
    *sp = (struct special){.lens = NULL, .n_lens = 0};
}

size_t special_find(const struct special *sp, const struct tokfile *f, const char *s, size_t n, size_t from,
                    int32_t *id)
{
    for (size_t i = from; i < n; i++) {
        if (!sp->first[(unsigned char)s[i]])
            continue;
        for (size_t k = 0; k < sp->n_lens; k++) {
            if (sp->lens[k] > n - i)
                continue;
            *id = tokfile_find(f, s + i, sp->lens[k]);
            if (*id >= 0 && f->flags[*id] & TOKFILE_ADDED)
                return i;
        }
    }
    *id = -1;
    return n;
}
