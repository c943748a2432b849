#include "text/utf8_text.h"

#include <string.h>

#include "base/utf8.h"
#include "text/tokenizer.h"

static void replacement(struct buf *out)
{
    buf_add(out, "\xEF\xBF\xBD", 3);
}

void utf8_lossy(const char *s, size_t n, struct buf *out)
{
    const uint8_t *u = (const uint8_t *)s;
    for (size_t i = 0; i < n;) {
        size_t good = utf8_valid_prefix(u + i, n - i);
        buf_add(out, s + i, good);
        i += good;
        if (i < n) {
            uint32_t bad;
            (void)utf8_decode(u + i, n - i, &bad);
            replacement(out);
            i += bad;
        }
    }
}

/* Whether u[0..n), n <= 3, is the start of some valid character. utf8_decode calls all n bytes one
 * invalid subsequence when they are such a start (the longest it can name) or when the end is bad;
 * completing them with each possible next byte tells the two apart. */
static bool can_grow(const uint8_t *u, size_t n)
{
    uint8_t t[4];
    uint32_t cp;
    memcpy(t, u, n);
    for (unsigned next = 0x80; next <= 0xBF; next += 0x10) { // 80, 90, A0, B0 meet every allowed range
        t[n] = (uint8_t)next;
        if (utf8_decode(t, n + 1, &cp) || cp == n + 1)
            return true;
    }
    return false;
}

void utf8_stream_add(struct utf8_stream *s, const char *bytes, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        s->held[s->n++] = (uint8_t)bytes[i];
        // At most one character is ever held, so this loop runs once or twice: what cannot be
        // completed leaves as U+FFFD, and the byte that broke it starts anew.
        while (s->n) {
            uint32_t cp;
            size_t len = utf8_decode(s->held, s->n, &cp);
            if (len == 0 && cp == s->n && s->n < 4 && can_grow(s->held, s->n))
                break;
            if (len)
                buf_add(out, s->held, len);
            else
                replacement(out);
            size_t used = len ? len : cp;
            memmove(s->held, s->held + used, s->n - used);
            s->n -= used;
        }
    }
}

void utf8_stream_finish(struct utf8_stream *s, struct buf *out)
{
    if (s->n) // what is held is always one unfinished character
        replacement(out);
    s->n = 0;
}
