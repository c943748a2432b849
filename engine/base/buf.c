#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static bool reserve(struct buf *b, size_t more)
{
    size_t need;
    if (b->failed)
        return false;
    if (!size_add(b->n, more, &need) || !size_add(need, 1, &need)) {
        b->failed = true;
        return false;
    }
    if (need <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need)
        if (!size_mul(cap, 2, &cap)) {
            cap = need;
            break;
        }
    void *p;
    if (mem_alloc(&p, cap, 1, "text", NULL)) {
        b->failed = true;
        return false;
    }
    if (b->n)
        memcpy(p, b->data, b->n);
    mem_free(b->data);
    b->data = p;
    b->cap = cap;
    return true;
}

void buf_add(struct buf *b, const void *data, size_t n)
{
    if (!reserve(b, n))
        return;
    if (n)
        memcpy(b->data + b->n, data, n);
    b->n += n;
    b->data[b->n] = '\0';
}

void buf_str(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !reserve(b, (size_t)n)) {
        b->failed = true;
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(b->data + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    if (b->data)
        b->data[0] = '\0';
}

void buf_release(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf)BUF_INIT;
}

enum status buf_status(const struct buf *b, const char *what, struct err *err)
{
    return b->failed ? err_set(err, ERR_MEMORY, "cannot allocate %s: it outgrew memory", what) : OK;
}
