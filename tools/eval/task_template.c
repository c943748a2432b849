#include "eval/task_template.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "lib/extract_text.h"

struct expr {
    const char *at;  /* not yet read */
    const char *end; /* the closing braces */
    const char *begin;
    const char *where;
    struct err *err;
};

static enum status bad(const struct expr *e, const char *what)
{
    return err_set(e->err, ERR_FORMAT, "%s: template {{%.*s}}: %s", e->where, (int)(e->end - e->begin), e->begin, what);
}

static bool take(struct expr *e, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(e->end - e->at) < n || memcmp(e->at, word, n) != 0)
        return false;
    e->at += n;
    return true;
}

/* [N] or [-N] right here. */
static enum status take_index(struct expr *e, long *out)
{
    char digits[8] = {0};
    size_t n = 0;
    while (e->at + n < e->end && n < sizeof digits - 1 && strchr("-0123456789", e->at[n]))
        n++;
    memcpy(digits, e->at, n);
    int64_t v;
    if (n == 0 || num_parse_i64(digits, -1000, 1000, "index", &v, NULL))
        return bad(e, "expected an index");
    e->at += n;
    if (!take(e, "]"))
        return bad(e, "expected ']'");
    *out = (long)v;
    return OK;
}

/* .split('X')[N]: Python's, on the text so far. */
static enum status apply_split(struct expr *e, struct text_span *v)
{
    const char *close = memchr(e->at, '\'', (size_t)(e->end - e->at));
    if (!close || close == e->at)
        return bad(e, "expected a text in quotes after split(");
    const char *sep = e->at;
    size_t n_sep = (size_t)(close - sep);
    long index;
    e->at = close + 1;
    if (!take(e, ")["))
        return bad(e, "expected an index after split('..')");
    enum status s = take_index(e, &index);
    if (s)
        return s;
    long n_parts = 1;
    for (int pass = 0; pass < 2; pass++) {
        size_t from = 0;
        long part = 0;
        for (size_t i = 0; i <= v->n; i++) {
            bool at_sep = v->n - i >= n_sep && memcmp(v->at + i, sep, n_sep) == 0;
            if (!at_sep && i < v->n)
                continue;
            if (pass == 1 && part == index) {
                *v = (struct text_span){.at = v->at + from, .n = i - from};
                return OK;
            }
            part++;
            if (!at_sep)
                break;
            from = i + n_sep;
            i = from - 1;
        }
        n_parts = part;
        if (pass == 0 && index < 0)
            index += n_parts;
        if (index < 0 || index >= n_parts)
            return bad(e, "the index is outside of the parts");
    }
    return OK;
}

static enum status render_expr(struct buf *out, struct expr *e, const cJSON *doc)
{
    enum status s;
    while (take(e, " "))
        ;
    char name[64] = {0};
    size_t n = 0;
    while (e->at + n < e->end && n < sizeof name - 1 &&
           strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", e->at[n]))
        n++;
    memcpy(name, e->at, n);
    e->at += n;
    const cJSON *v = n ? json_get(doc, name) : NULL;
    if (!v || cJSON_IsNull(v))
        return bad(e, "the field is undefined");
    if (cJSON_IsArray(v)) {
        long index;
        if (!take(e, "["))
            return bad(e, "expected an index into the array");
        if ((s = take_index(e, &index)))
            return s;
        long size = cJSON_GetArraySize(v);
        if (index < 0)
            index += size;
        if (index < 0 || index >= size)
            return bad(e, "the index is outside of the array");
        v = cJSON_GetArrayItem(v, (int)index);
    }
    char number[NUM_TEXT_B];
    struct text_span text;
    if (cJSON_IsString(v)) {
        text = (struct text_span){.at = v->valuestring, .n = strlen(v->valuestring)};
    } else if (cJSON_IsNumber(v)) {
        num_format_f64(v->valuedouble, number);
        text = (struct text_span){.at = number, .n = strlen(number)};
    } else {
        return bad(e, "the field is no text or number");
    }
    for (;;) {
        if (take(e, ".strip()")) {
            text = text_strip(text.at, text.n);
        } else if (take(e, ".split('")) {
            if ((s = apply_split(e, &text)))
                return s;
        } else {
            break;
        }
    }
    while (take(e, " "))
        ;
    if (e->at != e->end)
        return bad(e, "expected .strip(), .split('..')[N] or the end");
    buf_add(out, text.at, text.n);
    return OK;
}

enum status template_render(struct buf *out, const char *tmpl, const cJSON *doc, const char *where,
                            struct err *err)
{
    for (const char *at = tmpl;;) {
        const char *open = strstr(at, "{{");
        if (!open) {
            buf_str(out, at);
            return buf_status(out, "prompt", err);
        }
        const char *close = strstr(open, "}}");
        if (!close)
            return err_set(err, ERR_FORMAT, "%s: template \"%.60s\": expected '}}' after '{{'", where, open);
        buf_add(out, at, (size_t)(open - at));
        struct expr e = {.at = open + 2, .end = close, .begin = open + 2, .where = where, .err = err};
        enum status s = render_expr(out, &e, doc);
        if (s)
            return s;
        at = close + 2;
    }
}
