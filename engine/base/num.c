#include "base/num.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

enum status num_parse_i64(const char *text, int64_t lo, int64_t hi, const char *what, int64_t *out,
                          struct err *err)
{
    const char *p = text;
    if (*p == '-')
        p++;
    bool good = digit(*p) && !(p[0] == '0' && digit(p[1])) && strcmp(text, "-0") != 0;
    for (const char *q = p; good && *q; q++)
        good = digit(*q);
    if (!good)
        return err_set(err, ERR_FORMAT, "%s: expected an integer, found '%.64s'", what, text);
    errno = 0;
    long long v = strtoll(text, NULL, 10);
    if (errno == ERANGE || v < lo || v > hi)
        return err_set(err, ERR_RANGE, "%s: expected %lld to %lld, found %.64s", what, (long long)lo,
                       (long long)hi, text);
    *out = v;
    return OK;
}

enum status num_parse_size(const char *text, int64_t lo, int64_t hi, const char *what, int64_t *out,
                           struct err *err)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    char number[24];
    size_t n = strspn(text, "0123456789");
    unsigned unit = 0;
    while (unit < 5 && strcmp(text + n, units[unit]) != 0)
        unit++;
    int64_t v = 0;
    enum status s = n == 0 || unit == 5 ? ERR_FORMAT : n < sizeof number ? OK : ERR_RANGE;
    if (!s) {
        memcpy(number, text, n);
        number[n] = '\0';
        s = num_parse_i64(number, 0, INT64_MAX >> (10 * unit), what, &v, NULL);
        v <<= 10 * unit;
    }
    if (!s && (v < lo || v > hi))
        s = ERR_RANGE;
    if (s)
        return err_set(err, s, "%s: expected a size of %lld to %lld bytes, such as 1048576, 64KiB, 512MiB or 8GiB, found '%.64s'",
                       what, (long long)lo, (long long)hi, text);
    *out = v;
    return OK;
}

static bool json_number(const char *p)
{
    if (*p == '-')
        p++;
    if (!digit(*p) || (p[0] == '0' && digit(p[1])))
        return false;
    while (digit(*p))
        p++;
    if (*p == '.') {
        p++;
        if (!digit(*p))
            return false;
        while (digit(*p))
            p++;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        if (*p == '+' || *p == '-')
            p++;
        if (!digit(*p))
            return false;
        while (digit(*p))
            p++;
    }
    return *p == '\0';
}

/* strtod and printf follow the process locale's decimal point. The tools never call setlocale, so
 * the "C" locale holds; a host program that did would still get a point here. */
static double parse_point(const char *text)
{
    const struct lconv *lc = localeconv();
    if (strcmp(lc->decimal_point, ".") == 0)
        return strtod(text, NULL);
    char copy[512];
    size_t n = strlen(text);
    if (n >= sizeof copy)
        return NAN;
    memcpy(copy, text, n + 1);
    char *dot = strchr(copy, '.');
    if (dot)
        *dot = lc->decimal_point[0];
    return strtod(copy, NULL);
}

enum status num_parse_f64(const char *text, double lo, double hi, const char *what, double *out,
                          struct err *err)
{
    if (!json_number(text))
        return err_set(err, ERR_FORMAT, "%s: expected a number, found '%.64s'", what, text);
    double v = parse_point(text);
    if (!isfinite(v) || v < lo || v > hi)
        return err_set(err, ERR_RANGE, "%s: expected %g to %g, found %.64s", what, lo, hi, text);
    *out = v;
    return OK;
}

/* digits and exponent of x > 0: value = 0.d1d2d3... x 10^point. */
static int shortest(double x, char digits[20], int *point)
{
    char text[40];
    for (int p = 0; p <= 16; p++) {
        (void)snprintf(text, sizeof text, "%.*e", p, x);
        for (char *c = text; *c; c++)
            if (!digit(*c) && *c != 'e' && *c != '-' && *c != '+')
                *c = '.';
        if (parse_point(text) == x)
            break;
    }
    int n = 0;
    const char *c = text;
    for (; *c && *c != 'e'; c++)
        if (digit(*c))
            digits[n++] = *c;
    *point = atoi(c + 1) + 1; // printf's own exponent: always an integer in range
    while (n > 1 && digits[n - 1] == '0')
        n--;
    return n;
}

void num_format_f64(double x, char out[NUM_TEXT_B])
{
    if (x == 0) {
        memcpy(out, "0", 2);
        return;
    }
    char *o = out;
    if (x < 0) {
        *o++ = '-';
        x = -x;
    }
    char d[20];
    int point;
    int n = shortest(x, d, &point);
    if (point > 21 || point < -5) { // d.ddde+x
        *o++ = d[0];
        if (n > 1) {
            *o++ = '.';
            memcpy(o, d + 1, (size_t)(n - 1));
            o += n - 1;
        }
        int e = point - 1;
        (void)snprintf(o, (size_t)(out + NUM_TEXT_B - o), "e%c%d", e < 0 ? '-' : '+', e < 0 ? -e : e);
        return;
    }
    if (point <= 0) {
        *o++ = '0';
        *o++ = '.';
        for (int i = point; i < 0; i++)
            *o++ = '0';
        memcpy(o, d, (size_t)n);
        o += n;
    } else {
        for (int i = 0; i < n || i < point; i++) {
            if (i == point)
                *o++ = '.';
            *o++ = i < n ? d[i] : '0';
        }
    }
    *o = '\0';
}

double num_round(double x, int decimals)
{
    char text[400];
    (void)snprintf(text, sizeof text, "%.*f", decimals, x);
    return parse_point(text);
}
