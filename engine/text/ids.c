#include <string.h>

#include "base/mem.h"
#include "text/ids_internal.h"

bool ids_reserve(struct ids *a, size_t more)
{
    size_t need;
    if (a->failed || !size_add(a->n, more, &need)) {
        a->failed = true;
        return false;
    }
    if (need <= a->cap)
        return true;
    size_t cap = a->cap ? a->cap : 64;
    while (cap < need)
        if (!size_mul(cap, 2, &cap)) {
            cap = need;
            break;
        }
    void *p;
    if (mem_alloc(&p, cap, sizeof *a->v, "token ids", NULL)) {
        a->failed = true;
        return false;
    }
    if (a->n)
        memcpy(p, a->v, a->n * sizeof *a->v);
    mem_free(a->v);
    a->v = p;
    a->cap = cap;
    return true;
}

void ids_add(struct ids *a, int32_t id)
{
    if (ids_reserve(a, 1))
        a->v[a->n++] = id;
}

void ids_release(struct ids *a)
{
    mem_free(a->v);
    *a = (struct ids){.v = NULL, .n = 0};
}

enum status ids_status(const struct ids *a, struct err *err)
{
    return a->failed ? err_set(err, ERR_MEMORY, "cannot allocate token ids: the list outgrew memory") : OK;
}
