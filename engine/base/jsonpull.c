#include "base/jsonpull.h"

#include <string.h>

#include "base/utf8.h"

enum { MAX_DEPTH = 64 };

void jsonpull_init(struct jsonpull *p, const char *text, size_t n, const char *name, struct err *err)
{
    *p = (struct jsonpull){.text = text, .n = n, .at = 0, .name = name, .err = err, .scratch = BUF_INIT};
}

void jsonpull_release(struct jsonpull *p)
{
    buf_release(&p->scratch);
}

void jsonpull_where(const struct jsonpull *p, size_t at, size_t *line, size_t *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < at && i < p->n; i++) {
        if (p->text[i] == '\n') {
            ++*line;
            *column = 1;
        } else {
            ++*column;
        }
    }
}

enum status jsonpull_fail(const struct jsonpull *p, size_t at, enum status s, const char *expected)
{
    size_t line;
    size_t column;
    jsonpull_where(p, at, &line, &column);
    if (at >= p->n)
        return err_set(p->err, s, "%s:%zu:%zu: expected %s, found end of input", p->name, line, column, expected);
    unsigned char c = (unsigned char)p->text[at];
    if (c >= 0x20 && c < 0x7F)
        return err_set(p->err, s, "%s:%zu:%zu: expected %s, found '%c'", p->name, line, column, expected, c);
    return err_set(p->err, s, "%s:%zu:%zu: expected %s, found byte 0x%02x", p->name, line, column, expected, c);
}

static bool blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

char jsonpull_peek(struct jsonpull *p)
{
    while (p->at < p->n && blank(p->text[p->at]))
        p->at++;
    return p->at < p->n ? p->text[p->at] : '\0';
}

enum status jsonpull_enter(struct jsonpull *p, char open)
{
    if (jsonpull_peek(p) != open)
        return jsonpull_fail(p, p->at, ERR_FORMAT, open == '{' ? "an object" : "an array");
    p->at++;
    return OK;
}

enum status jsonpull_next(struct jsonpull *p, char open, bool *first, bool *more)
{
    char close = open == '{' ? '}' : ']';
    char c = jsonpull_peek(p);
    bool was_first = *first;
    *first = false;
    if (c == close) {
        p->at++;
        *more = false;
        return OK;
    }
    *more = true;
    if (was_first)
        return OK;
    if (c != ',')
        return jsonpull_fail(p, p->at, ERR_FORMAT, open == '{' ? "',' or '}'" : "',' or ']'");
    p->at++;
    return OK;
}

static int hex4(const struct jsonpull *p, size_t at)
{
    int v = 0;
    for (size_t i = at; i < at + 4; i++) {
        char c = i < p->n ? p->text[i] : '\0';
        int h = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (h < 0)
            return -1;
        v = v << 4 | h;
    }
    return v;
}

/* One escape, the backslash at p->at; its bytes go to scratch when keep. */
static enum status escape(struct jsonpull *p, bool keep)
{
    size_t at = p->at;
    char c = at + 1 < p->n ? p->text[at + 1] : '\0';
    uint8_t out[4];
    size_t len = 1;
    p->at += 2;
    if (c == 'u') {
        int hi = hex4(p, at + 2);
        if (hi < 0)
            return jsonpull_fail(p, at, ERR_FORMAT, "four hex digits after \\u");
        p->at += 4;
        uint32_t cp = (uint32_t)hi;
        if (cp >= 0xD800 && cp <= 0xDFFF) {
            int lo = -1;
            if (cp < 0xDC00 && p->n - p->at >= 2 && p->text[p->at] == '\\' && p->text[p->at + 1] == 'u')
                lo = hex4(p, p->at + 2);
            if (lo < 0xDC00 || lo > 0xDFFF)
                return jsonpull_fail(p, at, ERR_FORMAT, "surrogates in a pair");
            p->at += 6;
            cp = 0x10000 + ((cp & 0x3FF) << 10) + ((uint32_t)lo & 0x3FF);
        }
        len = utf8_encode(cp, out);
    } else {
        const char *let = "\"\\/bfnrt";
        const char *val = "\"\\/\b\f\n\r\t";
        const char *hit = c ? strchr(let, c) : NULL;
        if (!hit)
            return jsonpull_fail(p, at, ERR_FORMAT, "a known escape");
        out[0] = (uint8_t)val[hit - let];
    }
    if (keep)
        buf_add(&p->scratch, out, len);
    return OK;
}

/* A string; out NULL only checks it. Nearly all strings have no escape and are returned in place. */
static enum status scan_string(struct jsonpull *p, struct jsonpull_text *out)
{
    if (jsonpull_peek(p) != '"')
        return jsonpull_fail(p, p->at, ERR_FORMAT, "a string");
    p->at++;
    size_t from = p->at;
    bool copied = false;
    for (;;) {
        size_t run = p->at;
        unsigned char c = 0;
        while (p->at < p->n) {
            c = (unsigned char)p->text[p->at];
            if (c == '"' || c == '\\' || c < 0x20)
                break;
            if (c < 0x80) {
                p->at++;
                continue;
            }
            uint32_t cp;
            size_t len = utf8_decode((const uint8_t *)p->text + p->at, p->n - p->at, &cp);
            if (len == 0)
                return jsonpull_fail(p, p->at, ERR_FORMAT, "valid UTF-8");
            p->at += len;
        }
        if (p->at >= p->n || c < 0x20)
            return jsonpull_fail(p, p->at, ERR_FORMAT, "the end of a string");
        if (out && (copied || c == '\\')) {
            if (!copied)
                buf_clear(&p->scratch);
            copied = true;
            buf_add(&p->scratch, p->text + run, p->at - run);
        }
        if (c == '"')
            break;
        enum status s = escape(p, out != NULL);
        if (s)
            return s;
    }
    if (out && copied)
        *out = (struct jsonpull_text){.s = p->scratch.data, .n = p->scratch.n};
    else if (out)
        *out = (struct jsonpull_text){.s = p->text + from, .n = p->at - from};
    p->at++;
    return copied ? buf_status(&p->scratch, "a JSON string", p->err) : OK;
}

enum status jsonpull_string(struct jsonpull *p, struct jsonpull_text *out)
{
    return scan_string(p, out);
}

static enum status colon(struct jsonpull *p)
{
    if (jsonpull_peek(p) != ':')
        return jsonpull_fail(p, p->at, ERR_FORMAT, "':'");
    p->at++;
    return OK;
}

enum status jsonpull_key(struct jsonpull *p, struct jsonpull_text *out)
{
    enum status s = scan_string(p, out);
    return s ? s : colon(p);
}

static bool digit(const struct jsonpull *p)
{
    return p->at < p->n && p->text[p->at] >= '0' && p->text[p->at] <= '9';
}

static bool take(struct jsonpull *p, const char *any)
{
    if (p->at >= p->n || !p->text[p->at] || !strchr(any, p->text[p->at]))
        return false;
    p->at++;
    return true;
}

static bool digits(struct jsonpull *p)
{
    if (!digit(p))
        return false;
    while (digit(p))
        p->at++;
    return true;
}

/* number = [-] (0 | 1-9 digits) [. digits] [e [+-] digits] */
static enum status scan_number(struct jsonpull *p, bool *integer)
{
    size_t from = p->at;
    (void)take(p, "-");
    bool good = take(p, "0") ? !digit(p) : digits(p);
    *integer = true;
    if (good && take(p, ".")) {
        *integer = false;
        good = digits(p);
    }
    if (good && take(p, "eE")) {
        *integer = false;
        (void)take(p, "+-");
        good = digits(p);
    }
    return good ? OK : jsonpull_fail(p, from, ERR_FORMAT, "a number");
}

enum status jsonpull_int(struct jsonpull *p, int64_t lo, int64_t hi, int64_t *out)
{
    char c = jsonpull_peek(p);
    size_t from = p->at;
    bool integer = false;
    enum status s = scan_number(p, &integer);
    if (s)
        return s;
    if (!integer)
        return jsonpull_fail(p, from, ERR_FORMAT, "an integer");
    int64_t v = 0;
    for (size_t i = from + (c == '-'); i < p->at; i++)
        if (__builtin_mul_overflow(v, (int64_t)10, &v) ||
            __builtin_add_overflow(v, (int64_t)(p->text[i] - '0'), &v)) {
            v = INT64_MAX;
            break;
        }
    if (c == '-')
        v = -v;
    if (v < lo || v > hi) {
        size_t line;
        size_t column;
        jsonpull_where(p, from, &line, &column);
        return err_set(p->err, ERR_RANGE, "%s:%zu:%zu: expected an integer from %lld to %lld, found %.*s", p->name,
                       line, column, (long long)lo, (long long)hi, (int)(p->at - from > 40 ? 40 : p->at - from),
                       p->text + from);
    }
    *out = v;
    return OK;
}

static enum status scan_value(struct jsonpull *p, int depth)
{
    enum status s;
    char c = jsonpull_peek(p);
    if (c == '"')
        return scan_string(p, NULL);
    if (c == '{' || c == '[') {
        if (depth >= MAX_DEPTH)
            return jsonpull_fail(p, p->at, ERR_RANGE, "at most 64 levels");
        p->at++;
        bool first = true;
        bool more;
        for (;;) {
            if ((s = jsonpull_next(p, c, &first, &more)))
                return s;
            if (!more)
                return OK;
            if (c == '{' && ((s = scan_string(p, NULL)) || (s = colon(p))))
                return s;
            if ((s = scan_value(p, depth + 1)))
                return s;
        }
    }
    if (c == '-' || digit(p)) {
        bool integer;
        return scan_number(p, &integer);
    }
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        size_t len = strlen(words[i]);
        if (p->n - p->at >= len && memcmp(p->text + p->at, words[i], len) == 0) {
            p->at += len;
            return OK;
        }
    }
    return jsonpull_fail(p, p->at, ERR_FORMAT, "a JSON value");
}

enum status jsonpull_skip(struct jsonpull *p, size_t *from, size_t *to)
{
    (void)jsonpull_peek(p);
    *from = p->at;
    enum status s = scan_value(p, 1);
    *to = p->at;
    return s;
}

enum status jsonpull_end(struct jsonpull *p)
{
    (void)jsonpull_peek(p);
    return p->at == p->n ? OK : jsonpull_fail(p, p->at, ERR_FORMAT, "end of input");
}
