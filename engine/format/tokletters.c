#include "format/tokletters.h"

#include "base/utf8.h"

/* The byte a letter stands for, or -1. */
static int byte_of(uint32_t cp)
{
    if ((cp >= 33 && cp <= 126) || (cp >= 161 && cp <= 172) || (cp >= 174 && cp <= 255))
        return (int)cp;
    if (cp < 256 || cp > 323)
        return -1;
    uint32_t k = cp - 256;
    return (int)(k < 33 ? k : k < 67 ? 127 + (k - 33) : 173);
}

static uint32_t letter_of(unsigned b)
{
    if (b < 33)
        return 256 + b;
    if (b > 126 && b < 161)
        return 256 + 33 + (b - 127);
    return b == 173 ? 323 : b;
}

enum status tokletters_read(const char *s, size_t n, struct buf *out, struct err *err)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += utf8_decode((const uint8_t *)s + i, n - i, &cp);
        int b = byte_of(cp);
        if (b < 0)
            return err_set(err, ERR_FORMAT, "expected letters of the byte alphabet, found U+%04X", (unsigned)cp);
        buf_char(out, (char)b);
    }
    return OK;
}

void tokletters_write(const char *s, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t u[4];
        buf_add(out, u, utf8_encode(letter_of((unsigned char)s[i]), u));
    }
}
