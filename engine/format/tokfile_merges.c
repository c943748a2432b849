#include <string.h>

#include "format/tokfile_internal.h"

/* One side of a merge: append its bytes to r->spell. */
static enum status read_side(struct tokfile_reader *r, const char *s, size_t n, size_t at)
{
    enum status st = tokbuild_text(&r->b, s, n, &r->spell);
    if (st)
        return tokfile_fail_at(r, at, st);
    return buf_status(&r->spell, "a merge", r->p.err);
}

static enum status read_merge(struct tokfile_reader *r)
{
    struct jsonpull *p = &r->p;
    struct jsonpull_text t;
    enum status s;
    char c = jsonpull_peek(p);
    size_t at = p->at;
    size_t n_left;
    buf_clear(&r->spell);
    if (c == '[') { // ["a", "b"]
        bool first = true;
        bool more;
        if ((s = jsonpull_enter(p, '[')) || (s = jsonpull_next(p, '[', &first, &more)) ||
            (s = jsonpull_string(p, &t)) || (s = read_side(r, t.s, t.n, at)))
            return s;
        n_left = r->spell.n;
        if ((s = jsonpull_next(p, '[', &first, &more)))
            return s;
        if (!more)
            return jsonpull_fail(p, p->at - 1, ERR_FORMAT, "the second piece of a merge");
        if ((s = jsonpull_string(p, &t)) || (s = read_side(r, t.s, t.n, at)) ||
            (s = jsonpull_next(p, '[', &first, &more)))
            return s;
        if (more)
            return jsonpull_fail(p, p->at - 1, ERR_FORMAT, "a merge of two pieces");
    } else { // "a b", as files before 2024 have it
        if ((s = jsonpull_string(p, &t)))
            return s;
        size_t k = tokbuild_cut(t.s, t.n);
        if (k == t.n)
            return jsonpull_fail(p, at, ERR_FORMAT, "a merge of two pieces with one blank between");
        if ((s = read_side(r, t.s, k, at)))
            return s;
        n_left = r->spell.n;
        if ((s = read_side(r, t.s + k + 1, t.n - k - 1, at)))
            return s;
    }
    s = tokbuild_merge(&r->b, r->spell.data, n_left, r->spell.data + n_left, r->spell.n - n_left);
    return s ? tokfile_fail_at(r, at, s) : OK;
}

enum status tokfile_read_merges(struct tokfile_reader *r, size_t from)
{
    struct jsonpull *p = &r->p;
    p->at = from;
    enum status s = jsonpull_enter(p, '[');
    bool first = true;
    bool more = true;
    while (!s && !(s = jsonpull_next(p, '[', &first, &more)) && more)
        s = read_merge(r);
    return s;
}
