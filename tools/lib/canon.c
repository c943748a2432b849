#include "lib/canon.h"

#include <math.h>
#include <string.h>

#include "base/num.h"

double canon_real(double x, int decimals)
{
    double a = fabs(x);
    int room = 15; // digits left after the integer part
    for (double p = 1; a >= p && room > 0; p *= 10)
        room--;
    return num_round(x, decimals < room ? decimals : room);
}

bool canon_is_sha256(const char *text)
{
    return strspn(text, "0123456789abcdef") == 64 && text[64] == '\0';
}

enum status canon_hex(const cJSON *v, char hex[DIGEST_HEX_LEN + 1], struct err *err)
{
    struct buf b = BUF_INIT;
    uint8_t d[DIGEST_B];
    enum status s = json_write_canonical(&b, v, err);
    if (!s)
        s = digest_bytes(b.data, b.n, d, err);
    if (!s)
        digest_hex(d, hex);
    buf_release(&b);
    return s;
}

bool canon_first_difference(const char *a, size_t n_a, const char *b, size_t n_b, size_t *line, size_t *column)
{
    *line = 1;
    *column = 1;
    size_t n = n_a < n_b ? n_a : n_b;
    for (size_t i = 0; i < n; i++) {
        if (a[i] != b[i])
            return true;
        *column = a[i] == '\n' ? 1 : *column + 1;
        *line += a[i] == '\n';
    }
    return n_a != n_b;
}
