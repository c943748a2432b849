#include "drive/infer_tokenize.h"

#include <string.h>

#include "base/jsonpull.h"

/* Digits by hand: a printf for each id would take longer than finding it. */
static void put_ids(const struct ids *ids, struct buf *out)
{
    buf_str(out, "{\"ids\":[");
    for (size_t i = 0; i < ids->n; i++) {
        char text[12];
        size_t at = sizeof text;
        uint32_t v = (uint32_t)ids->v[i];
        do
            text[--at] = (char)('0' + v % 10);
        while (v /= 10);
        if (i)
            text[--at] = ',';
        buf_add(out, text + at, sizeof text - at);
    }
    buf_str(out, "]}\n");
}

static enum status read_line(struct jsonpull *p, struct jsonpull_text *text)
{
    struct jsonpull_text key;
    bool first = true;
    bool more;
    enum status s;
    if ((s = jsonpull_enter(p, '{')) || (s = jsonpull_next(p, '{', &first, &more)))
        return s;
    (void)jsonpull_peek(p);
    size_t at = p->at;
    if (!more || (s = jsonpull_key(p, &key)) || key.n != 4 || memcmp(key.s, "text", 4) != 0)
        return s ? s : jsonpull_fail(p, at, ERR_FORMAT, "{\"text\"} alone");
    if ((s = jsonpull_string(p, text)) || (s = jsonpull_next(p, '{', &first, &more)))
        return s;
    return more ? jsonpull_fail(p, p->at, ERR_FORMAT, "{\"text\"} alone") : jsonpull_end(p);
}

/* A line as a document of its own, its number put into the sentence. */
static enum status one_line(const struct tokenizer *t, const char *line, size_t n, const char *name, size_t number,
                            struct ids *ids, struct err *err)
{
    struct jsonpull p;
    struct jsonpull_text text;
    struct err why = ERR_INIT;
    jsonpull_init(&p, line, n, name, &why);
    enum status s = read_line(&p, &text);
    size_t skip = strlen(name) + 2; // "name:1:" becomes "name:number:"
    if (s)
        s = err_set(err, s, "%s:%zu%s", name, number, strlen(why.text) > skip ? why.text + skip : why.text);
    else
        s = tokenizer_encode(t, text.s, text.n, ids, err);
    jsonpull_release(&p);
    return s;
}

enum status infer_tokenize(const struct tokenizer *t, const char *in, size_t n, const char *name, struct buf *out,
                           struct err *err)
{
    struct ids ids = {.v = NULL};
    enum status s = OK;
    size_t number = 1;
    for (size_t at = 0; at < n && !s; number++) {
        const char *end = memchr(in + at, '\n', n - at);
        size_t len = end ? (size_t)(end - in) - at : n - at;
        ids.n = 0;
        if (!(s = one_line(t, in + at, len, name, number, &ids, err)))
            put_ids(&ids, out);
        at += len + 1;
    }
    ids_release(&ids);
    return s ? s : buf_status(out, "ids", err);
}
