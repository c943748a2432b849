#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/utf8.h"

/* cJSON accepts too much (style.md 14), so a grammar check walks the text first; only text that
 * passes reaches cJSON. Duplicate keys are found on the tree, after escapes are resolved. */

enum { MAX_DEPTH = 64 };
#define MAX_INTEGER 9007199254740991.0

/* The canonical form spells these without exponent, as integers that no longer count one by one; they
 * are refused however they were spelled, so that what is written can be read. */
static bool unsafe_integer(double v)
{
    return fabs(v) > MAX_INTEGER && fabs(v) < 1e21;
}

struct scan {
    const char *text;
    size_t n;
    size_t at;
    const char *name;
    struct err *err;
};

static enum status bad_text(const struct scan *s, size_t at, enum status st, const char *expected, const char *found)
{
    size_t line = 1;
    size_t col = 1;
    for (size_t i = 0; i < at && i < s->n; i++) {
        if (s->text[i] == '\n') {
            line++;
            col = 1;
        } else {
            col++;
        }
    }
    return err_set(s->err, st, "%s:%zu:%zu: expected %s, found %s", s->name, line, col, expected, found);
}

static enum status bad(const struct scan *s, size_t at, enum status st, const char *expected)
{
    char found[16] = "end of input";
    unsigned char c = at < s->n ? (unsigned char)s->text[at] : 0;
    if (at < s->n)
        (void)snprintf(found, sizeof found, c >= 0x20 && c < 0x7F ? "'%c'" : "byte 0x%02x", c);
    return bad_text(s, at, st, expected, found);
}

static enum status bad_number(const struct scan *s, size_t at, const char *text, enum status st, const char *expected)
{
    char found[48];
    (void)snprintf(found, sizeof found, "'%.40s'", text);
    return bad_text(s, at, st, expected, found);
}

static int peek(const struct scan *s)
{
    return s->at < s->n ? (unsigned char)s->text[s->at] : -1;
}

static void blanks(struct scan *s)
{
    while (s->at < s->n && strchr(" \t\r\n", s->text[s->at]) && s->text[s->at])
        s->at++;
}

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool hex4(const struct scan *s, size_t at, uint32_t *out)
{
    uint32_t v = 0;
    for (size_t i = 0; i < 4; i++) {
        int h = at + i < s->n ? hex_digit((unsigned char)s->text[at + i]) : -1;
        if (h < 0)
            return false;
        v = v << 4 | (uint32_t)h;
    }
    *out = v;
    return true;
}

static enum status scan_escape(struct scan *s)
{
    size_t at = s->at++; // on the backslash
    int c = peek(s);
    if (c == 'u') {
        uint32_t v;
        uint32_t lo;
        if (!hex4(s, s->at + 1, &v))
            return bad(s, at, ERR_FORMAT, "four hex digits after \\u");
        s->at += 5;
        if (v == 0)
            return bad(s, at, ERR_FORMAT, "a string without U+0000");
        if (v >= 0xDC00 && v <= 0xDFFF)
            return bad(s, at, ERR_FORMAT, "a high surrogate before a low one");
        if (v >= 0xD800 && v <= 0xDBFF) {
            if (s->at + 1 >= s->n || s->text[s->at] != '\\' || s->text[s->at + 1] != 'u' ||
                !hex4(s, s->at + 2, &lo) || lo < 0xDC00 || lo > 0xDFFF)
                return bad(s, at, ERR_FORMAT, "a low surrogate after a high one");
            s->at += 6;
        }
        return OK;
    }
    if (c < 0 || c == 0 || !strchr("\"\\/bfnrt", c))
        return bad(s, at, ERR_FORMAT, "a known escape");
    s->at++;
    return OK;
}

static enum status scan_string(struct scan *s)
{
    s->at++;
    for (;;) {
        int c = peek(s);
        if (c < 0x20)
            return bad(s, s->at, ERR_FORMAT, "the end of a string");
        if (c == '"') {
            s->at++;
            return OK;
        }
        if (c == '\\') {
            enum status st = scan_escape(s);
            if (st)
                return st;
            continue;
        }
        uint32_t cp;
        size_t len = utf8_decode((const uint8_t *)s->text + s->at, s->n - s->at, &cp);
        if (len == 0)
            return bad(s, s->at, ERR_FORMAT, "valid UTF-8");
        s->at += len;
    }
}

static enum status scan_number(struct scan *s)
{
    size_t from = s->at;
    while (s->at < s->n && strchr("+-.eE0123456789", s->text[s->at]) && s->text[s->at])
        s->at++;
    char text[400];
    size_t len = s->at - from;
    if (len >= sizeof text)
        return bad(s, from, ERR_RANGE, "a number of fewer than 400 characters");
    memcpy(text, s->text + from, len);
    text[len] = '\0';
    double v;
    enum status st = num_parse_f64(text, -1.7976931348623157e308, 1.7976931348623157e308, "", &v, NULL);
    if (st)
        return bad_number(s, from, text, st, st == ERR_RANGE ? "a finite number" : "a number");
    if (unsafe_integer(v) || (!strpbrk(text, ".eE") && fabs(v) > MAX_INTEGER))
        return bad_number(s, from, text, ERR_RANGE, "an integer of at most 2^53-1");
    return OK;
}

static enum status scan_value(struct scan *s, int depth);

static enum status scan_members(struct scan *s, int depth, bool object)
{
    char close = object ? '}' : ']';
    s->at++;
    blanks(s);
    if (peek(s) == close) {
        s->at++;
        return OK;
    }
    for (;;) {
        enum status st;
        blanks(s);
        if (object) {
            if (peek(s) != '"')
                return bad(s, s->at, ERR_FORMAT, "a key in quotes");
            if ((st = scan_string(s)))
                return st;
            blanks(s);
            if (peek(s) != ':')
                return bad(s, s->at, ERR_FORMAT, "':'");
            s->at++;
        }
        if ((st = scan_value(s, depth + 1)))
            return st;
        blanks(s);
        int c = peek(s);
        if (c == close) {
            s->at++;
            return OK;
        }
        if (c != ',')
            return bad(s, s->at, ERR_FORMAT, object ? "',' or '}'" : "',' or ']'");
        s->at++;
    }
}

static enum status scan_word(struct scan *s, const char *word)
{
    size_t len = strlen(word);
    if (s->n - s->at < len || memcmp(s->text + s->at, word, len) != 0)
        return bad(s, s->at, ERR_FORMAT, "a JSON value");
    s->at += len;
    return OK;
}

static enum status scan_value(struct scan *s, int depth)
{
    blanks(s);
    int c = peek(s);
    if (depth >= MAX_DEPTH && (c == '{' || c == '['))
        return bad(s, s->at, ERR_RANGE, "at most 64 levels");
    switch (c) {
    case '{':
        return scan_members(s, depth, true);
    case '[':
        return scan_members(s, depth, false);
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        if (c == '-' || (c >= '0' && c <= '9'))
            return scan_number(s);
        return bad(s, s->at, ERR_FORMAT, "a JSON value");
    }
}

static int key_cmp(const void *a, const void *b)
{
    const cJSON *const *x = a;
    const cJSON *const *y = b;
    return strcmp((*x)->string, (*y)->string);
}

/* The members of an object in key order; the caller frees with mem_free. */
static enum status sorted_members(const cJSON *obj, const cJSON ***out, size_t *n_out, struct err *err)
{
    size_t n = 0;
    const cJSON *c;
    cJSON_ArrayForEach(c, obj) n++;
    void *p;
    enum status s = mem_alloc(&p, n, sizeof(const cJSON *), "JSON members", err);
    if (s)
        return s;
    const cJSON **v = p;
    size_t i = 0;
    cJSON_ArrayForEach(c, obj) v[i++] = c;
    qsort(v, n, sizeof *v, key_cmp);
    *out = v;
    *n_out = n;
    return OK;
}

static enum status check_keys(const cJSON *v, const char *name, struct err *err)
{
    enum status s = OK;
    if (cJSON_IsObject(v)) {
        const cJSON **m;
        size_t n;
        if ((s = sorted_members(v, &m, &n, err)))
            return s;
        for (size_t i = 1; i < n && !s; i++)
            if (strcmp(m[i - 1]->string, m[i]->string) == 0)
                s = err_set(err, ERR_FORMAT, "%s: expected unique keys, found \"%.200s\" twice", name, m[i]->string);
        mem_free(m);
    }
    if (cJSON_IsObject(v) || cJSON_IsArray(v)) {
        const cJSON *c;
        cJSON_ArrayForEach(c, v)
        {
            if (s)
                break;
            s = check_keys(c, name, err);
        }
    }
    return s;
}

enum status json_parse(cJSON **out, const char *text, size_t n, const char *name, struct err *err)
{
    struct scan sc = {.text = text, .n = n, .at = 0, .name = name, .err = err};
    enum status s = scan_value(&sc, 0);
    if (s)
        return s;
    blanks(&sc);
    if (sc.at != n)
        return bad(&sc, sc.at, ERR_FORMAT, "end of input");
    cJSON *v = cJSON_ParseWithLength(text, n);
    if (!v)
        return err_set(err, ERR_MEMORY, "%s: cannot build the JSON tree", name);
    if ((s = check_keys(v, name, err))) {
        cJSON_Delete(v);
        return s;
    }
    *out = v;
    return OK;
}

enum status json_read_file(cJSON **out, const char *path, struct err *err)
{
    struct mapfile m;
    enum status s = mapfile_open(&m, path, err);
    if (s)
        return s;
    s = json_parse(out, m.data ? (const char *)m.data : "", m.size, path, err);
    mapfile_close(&m);
    return s;
}

static void write_string(struct buf *out, const char *s)
{
    buf_char(out, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        const char *esc = "\"\\\b\f\n\r\t";
        const char *let = "\"\\bfnrt";
        const char *hit = strchr(esc, c);
        if (hit) {
            buf_char(out, '\\');
            buf_char(out, let[hit - esc]);
        } else if (c < 0x20) {
            buf_printf(out, "\\u%04x", c);
        } else {
            buf_char(out, (char)c);
        }
    }
    buf_char(out, '"');
}

static enum status write_value(struct buf *out, const cJSON *v, struct err *err)
{
    enum status s = OK;
    const cJSON *c;
    if (cJSON_IsString(v)) {
        write_string(out, v->valuestring);
    } else if (cJSON_IsNumber(v)) {
        if (!isfinite(v->valuedouble))
            return err_set(err, ERR_RANGE, "cannot write JSON: a number is not finite");
        if (unsafe_integer(v->valuedouble))
            return err_set(err, ERR_RANGE, "cannot write JSON: %.17g is beyond 2^53-1; integers that large are strings",
                           v->valuedouble);
        char text[NUM_TEXT_B];
        num_format_f64(v->valuedouble, text);
        buf_str(out, text);
    } else if (cJSON_IsArray(v)) {
        buf_char(out, '[');
        cJSON_ArrayForEach(c, v)
        {
            if (c != v->child)
                buf_char(out, ',');
            if ((s = write_value(out, c, err)))
                return s;
        }
        buf_char(out, ']');
    } else if (cJSON_IsObject(v)) {
        const cJSON **m;
        size_t n;
        if ((s = sorted_members(v, &m, &n, err)))
            return s;
        buf_char(out, '{');
        for (size_t i = 0; i < n && !s; i++) {
            if (i)
                buf_char(out, ',');
            write_string(out, m[i]->string);
            buf_char(out, ':');
            s = write_value(out, m[i], err);
        }
        mem_free(m);
        buf_char(out, '}');
    } else {
        buf_str(out, cJSON_IsTrue(v) ? "true" : cJSON_IsFalse(v) ? "false" : "null");
    }
    return s;
}

enum status json_write_canonical(struct buf *out, const cJSON *v, struct err *err)
{
    enum status s = write_value(out, v, err);
    return s ? s : buf_status(out, "JSON text", err);
}

const cJSON *json_get(const cJSON *obj, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(obj, key);
}

static const char *type_name(const cJSON *v)
{
    if (!v)
        return "nothing";
    return cJSON_IsString(v)   ? "a string"
           : cJSON_IsNumber(v) ? "a number"
           : cJSON_IsArray(v)  ? "an array"
           : cJSON_IsObject(v) ? "an object"
           : cJSON_IsBool(v)   ? "a boolean"
                               : "null";
}

enum status json_get_f64(const cJSON *obj, const char *key, double lo, double hi, const char *where,
                         double *out, struct err *err)
{
    const cJSON *v = json_get(obj, key);
    if (!cJSON_IsNumber(v))
        return err_set(err, ERR_FORMAT, "%s: \"%s\": expected a number, found %s", where, key, type_name(v));
    if (!(v->valuedouble >= lo && v->valuedouble <= hi))
        return err_set(err, ERR_RANGE, "%s: \"%s\": expected %g to %g, found %g", where, key, lo, hi,
                       v->valuedouble);
    *out = v->valuedouble;
    return OK;
}

enum status json_get_i64(const cJSON *obj, const char *key, int64_t lo, int64_t hi, const char *where,
                         int64_t *out, struct err *err)
{
    double d;
    enum status s = json_get_f64(obj, key, (double)lo, (double)hi, where, &d, err);
    if (s)
        return s;
    if (d != floor(d))
        return err_set(err, ERR_FORMAT, "%s: \"%s\": expected an integer, found %g", where, key, d);
    *out = (int64_t)d;
    return OK;
}

static bool absent(const cJSON *obj, const char *key)
{
    const cJSON *v = json_get(obj, key);
    return !v || cJSON_IsNull(v);
}

enum status json_get_i64_or(const cJSON *obj, const char *key, int64_t dflt, int64_t lo, int64_t hi,
                            const char *where, int64_t *out, struct err *err)
{
    if (absent(obj, key)) {
        *out = dflt;
        return OK;
    }
    return json_get_i64(obj, key, lo, hi, where, out, err);
}

enum status json_get_f64_or(const cJSON *obj, const char *key, double dflt, double lo, double hi,
                            const char *where, double *out, struct err *err)
{
    if (absent(obj, key)) {
        *out = dflt;
        return OK;
    }
    return json_get_f64(obj, key, lo, hi, where, out, err);
}

enum status json_get_str(const cJSON *obj, const char *key, const char *where, const char **out,
                         struct err *err)
{
    const cJSON *v = json_get(obj, key);
    if (!cJSON_IsString(v))
        return err_set(err, ERR_FORMAT, "%s: \"%s\": expected a string, found %s", where, key, type_name(v));
    *out = v->valuestring;
    return OK;
}

enum status json_get_bool_or(const cJSON *obj, const char *key, bool dflt, const char *where, bool *out,
                             struct err *err)
{
    if (absent(obj, key)) {
        *out = dflt;
        return OK;
    }
    const cJSON *v = json_get(obj, key);
    if (!cJSON_IsBool(v))
        return err_set(err, ERR_FORMAT, "%s: \"%s\": expected a boolean, found %s", where, key, type_name(v));
    *out = cJSON_IsTrue(v);
    return OK;
}
