#include "text/special.h"

#include <stdlib.h>

#include "base/mem.h"

/* First byte and length of a token as one number that sorts by byte, then longest first. */
static int by_key(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

enum status special_init(struct special *sp, const struct tokfile *f, unsigned flag, struct err *err)
{
    size_t n = 0;
    void *p;
    *sp = (struct special){.flag = flag};
    for (size_t id = 0; id < f->n_tokens; id++)
        n += (f->flags[id] & flag) != 0;
    enum status s = mem_alloc(&p, n, sizeof(uint64_t), "special tokens", err);
    if (s)
        return s;
    uint64_t *keys = p;
    if ((s = mem_alloc(&p, n, sizeof *sp->lens, "special tokens", err)))
        goto done;
    sp->lens = p;
    n = 0;
    for (size_t id = 0; id < f->n_tokens; id++) {
        size_t len;
        const char *text = tokfile_text(f, (int32_t)id, &len);
        if (f->flags[id] & flag)
            keys[n++] = (uint64_t)(unsigned char)text[0] << 32 | (UINT32_MAX - (uint32_t)len);
    }
    if (n)
        qsort(keys, n, sizeof *keys, by_key);
    uint32_t n_lens = 0;
    size_t i = 0;
    for (unsigned b = 0; b < 256; b++) {
        sp->from[b] = n_lens;
        for (; i < n && keys[i] >> 32 == b; i++)
            if (i == 0 || keys[i] != keys[i - 1])
                sp->lens[n_lens++] = UINT32_MAX - (uint32_t)keys[i];
    }
    sp->from[256] = n_lens;
done:
    mem_free(keys);
    return s;
}

void special_release(struct special *sp)
{
    mem_free(sp->lens);
    *sp = (struct special){.lens = NULL};
}

int32_t special_at(const struct special *sp, const struct tokfile *f, const char *s, size_t n, unsigned without)
{
    unsigned b = (unsigned char)s[0];
    for (uint32_t k = sp->from[b]; k < sp->from[b + 1]; k++) {
        if (sp->lens[k] > n)
            continue;
        int32_t id = tokfile_find(f, s, sp->lens[k]);
        if (id >= 0 && f->flags[id] & sp->flag && !(f->flags[id] & without))
            return id;
    }
    return -1;
}

size_t special_find(const struct special *sp, const struct tokfile *f, const char *s, size_t n, size_t from,
                    int32_t *id)
{
    for (size_t i = from; i < n; i++)
        if ((*id = special_at(sp, f, s + i, n - i, 0)) >= 0)
            return i;
    *id = -1;
    return n;
}
