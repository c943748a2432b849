#include "lib/extract_text.h"

#include <string.h>

#include "base/utf8.h"

/* Python's str.isspace for one code point: NBSP and U+001C..1F included. */
static bool is_space(uint32_t cp)
{
    if (cp <= 0xA0)
        return (cp >= 0x09 && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x20) || cp == 0x85 || cp == 0xA0;
    return cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F ||
           cp == 0x205F || cp == 0x3000;
}

/* Code point at s[0..n), n >= 1; a byte that is not UTF-8 stands for itself. */
static size_t step(const char *s, size_t n, uint32_t *cp)
{
    size_t len = utf8_decode((const uint8_t *)s, n, cp);
    if (len)
        return len;
    *cp = 0xFFFD;
    return 1;
}

/* Length of the last code point of s[0..n), n >= 1. */
static size_t step_back(const char *s, size_t n, uint32_t *cp)
{
    size_t len = 1;
    while (len < n && len < 4 && ((unsigned char)s[n - len] & 0xC0) == 0x80)
        len++;
    if (step(s + n - len, len, cp) == len)
        return len;
    *cp = 0xFFFD;
    return 1;
}

bool text_starts_space(const char *s, size_t n)
{
    uint32_t cp;
    return n > 0 && step(s, n, &cp) > 0 && is_space(cp);
}

bool text_ends_space(const char *s, size_t n)
{
    uint32_t cp;
    return n > 0 && step_back(s, n, &cp) > 0 && is_space(cp);
}

struct text_span text_strip(const char *s, size_t n)
{
    uint32_t cp;
    while (n > 0) {
        size_t len = step(s, n, &cp);
        if (!is_space(cp))
            break;
        s += len;
        n -= len;
    }
    while (n > 0) {
        size_t len = step_back(s, n, &cp);
        if (!is_space(cp))
            break;
        n -= len;
    }
    return (struct text_span){.at = s, .n = n};
}

size_t text_n_chars(const char *s, size_t n)
{
    size_t chars = 0;
    for (size_t i = 0; i < n; i++)
        chars += ((unsigned char)s[i] & 0xC0) != 0x80;
    return chars;
}

void text_lower(struct buf *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_char(out, (char)(s[i] >= 'A' && s[i] <= 'Z' ? s[i] + ('a' - 'A') : s[i]));
}

void text_drop_punctuation(struct buf *out, const char *s, size_t n)
{
    const char *marks = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
    for (size_t i = 0; i < n; i++)
        if (!memchr(marks, s[i], 32))
            buf_char(out, s[i]);
}

static size_t find(const char *s, size_t n, const char *what)
{
    size_t len = strlen(what);
    for (size_t i = 0; len <= n && i <= n - len; i++)
        if (memcmp(s + i, what, len) == 0)
            return i;
    return n;
}

size_t text_cut_at_stops(const char *s, size_t n, const char *const *stops, size_t n_stops)
{
    for (size_t i = 0; i < n_stops; i++)
        if (stops[i][0])
            n = find(s, n, stops[i]);
    return n;
}
