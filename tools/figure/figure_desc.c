#include "figure/figure_desc.h"

#include <string.h>

/* Length of the key in "# key: value" (letters, digits, '_'), or 0. */
static size_t key_length(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return s[n] == ':' ? n : 0;
}

static const char *skip_blanks(const char *s)
{
    return s + strspn(s, " \t");
}

static enum status append(struct desc_entry *e, const char *more, size_t n, struct arena *a, struct err *err)
{
    struct buf b = BUF_INIT;
    char *copy = NULL;
    buf_printf(&b, "%s%s", e->value, *e->value ? " " : "");
    buf_add(&b, more, n);
    enum status st = buf_status(&b, "description", err);
    if (!st)
        st = arena_strndup(a, &copy, b.data, b.n, err);
    if (!st)
        e->value = copy;
    buf_release(&b);
    return st;
}

static enum status add_entry(struct desc *d, const char *key, size_t n_key, size_t line, struct arena *a,
                             struct err *err)
{
    char *copy = NULL;
    enum status st = arena_strndup(a, &copy, key, n_key, err);
    if (!st)
        d->entry[d->n++] = (struct desc_entry){.key = copy, .value = "", .line = line};
    return st;
}

enum status desc_parse(struct desc *d, const char *text, const char *path, struct arena *a, struct err *err)
{
    size_t lines = 1, line = 1;
    void *mem = NULL;
    for (const char *s = text; *s; s++)
        lines += *s == '\n';
    *d = (struct desc){.path = path};
    enum status st = arena_alloc(a, &mem, lines, sizeof(struct desc_entry), err);
    d->entry = mem;
    const char *at = text;
    for (; !st && *at == '#'; line++) {
        size_t n = strcspn(at, "\n");
        const char *s = skip_blanks(at + 1);
        const char *end = at + n;
        if (n == 1) { // a lone '#' parts entries
            at = *end ? end + 1 : end;
            continue;
        }
        size_t indent = (size_t)(s - at) - 1, n_key = key_length(s);
        if (indent == 1 && n_key) {
            st = add_entry(d, s, n_key, line, a, err);
            s = skip_blanks(s + n_key + 1);
        } else if (indent < 2 || s >= end || d->n == 0) {
            st = err_set(err, ERR_FORMAT, "%s:%zu: expected '# key: value' or '#   more', found '%.*s'", path,
                         line, (int)n, at);
        }
        if (!st)
            st = append(&d->entry[d->n - 1], s, s < end ? (size_t)(end - s) : 0, a, err);
        at = *end ? end + 1 : end;
    }
    if (!st && d->n == 0)
        st = err_set(err, ERR_FORMAT, "%s:1: expected '# key: value', found '%.*s'", path,
                     (int)strcspn(text, "\n"), text);
    char *body = NULL;
    if (!st)
        st = arena_strndup(a, &body, at, strlen(at), err);
    d->body = body;
    d->body_line = line;
    return st;
}

const char *desc_get(const struct desc *d, const char *key, const char *dflt)
{
    for (size_t i = 0; i < d->n; i++)
        if (strcmp(d->entry[i].key, key) == 0)
            return d->entry[i].value;
    return dflt;
}

enum status figure_header(struct figure *f, const char *script, const char *path, struct arena *a,
                          struct err *err)
{
    struct desc d;
    enum status st = desc_parse(&d, script, path, a, err);
    if (st)
        return st;
    const char *state = desc_get(&d, "state", NULL);
    *f = (struct figure){.name = desc_get(&d, "figure", NULL), .title = desc_get(&d, "title", NULL),
                         .caption = desc_get(&d, "caption", NULL), .script = script};
    if (!f->name || !f->title || !f->caption || !state)
        return err_set(err, ERR_FORMAT, "%s:1: expected a figure's header (figure, title, caption, state)", path);
    if (strncmp(state, "empty: ", 7) == 0)
        f->empty = state + 7;
    else if (strcmp(state, "data") != 0)
        return err_set(err, ERR_FORMAT, "%s: expected state 'data' or 'empty: REASON', found '%s'", path, state);
    return OK;
}
