#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "format/tokfile_internal.h"

/* The byte a letter of the byte alphabet stands for, or -1: printable Latin-1 stands for itself, the
 * other 68 bytes, ascending, are U+0100, U+0101, ... */
static int byte_of_letter(uint32_t cp)
{
    if ((cp >= 33 && cp <= 126) || (cp >= 161 && cp <= 172) || (cp >= 174 && cp <= 255))
        return (int)cp;
    if (cp < 256 || cp > 323)
        return -1;
    uint32_t k = cp - 256;
    return (int)(k < 33 ? k : k < 67 ? 127 + (k - 33) : 173);
}

/* Append the bytes a token of the file stands for to out; at is where it stands. */
enum status tokfile_spell(const struct tokfile_reader *r, const char *s, size_t n, size_t at, struct buf *out)
{
    if (n == 0)
        return tokfile_fail_at(r, at, err_set(r->p.err, ERR_FORMAT, "expected a token, found an empty string"));
    if (r->f->kind == TOKFILE_SPM) {
        buf_add(out, s, n);
        return OK;
    }
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += utf8_decode((const uint8_t *)s + i, n - i, &cp); // checked when the string was read
        int b = byte_of_letter(cp);
        if (b < 0)
            return tokfile_fail_at(r, at,
                                   err_set(r->p.err, ERR_FORMAT, "expected letters of the byte alphabet, found U+%04X",
                                           (unsigned)cp));
        buf_char(out, (char)b);
    }
    return OK;
}

/* One side of a merge: append its bytes to r->spell, and look it up. */
static enum status read_side(struct tokfile_reader *r, const char *s, size_t n, size_t at, int32_t *id)
{
    size_t from = r->spell.n;
    enum status st = tokfile_spell(r, s, n, at, &r->spell);
    if (st || (st = buf_status(&r->spell, "a merge", r->p.err)))
        return st;
    *id = tokfile_find(r->f, r->spell.data + from, r->spell.n - from);
    if (*id < 0 || (r->f->flags[*id] & (TOKFILE_ADDED | TOKFILE_BYTE)))
        return tokfile_fail_at(r, at,
                               err_set(r->p.err, ERR_FORMAT, "expected a merge of known pieces, found \"%.*s\"",
                                       (int)(n > 60 ? 60 : n), s));
    return OK;
}

static enum status read_merge(struct tokfile_reader *r, struct tokfile_merge *m)
{
    struct jsonpull *p = &r->p;
    struct jsonpull_text t;
    enum status s;
    char c = jsonpull_peek(p);
    size_t at = p->at;
    buf_clear(&r->spell);
    if (c == '[') { // ["a", "b"]
        bool first = true;
        bool more;
        if ((s = jsonpull_enter(p, '[')) || (s = jsonpull_next(p, '[', &first, &more)) ||
            (s = jsonpull_string(p, &t)) || (s = read_side(r, t.s, t.n, at, &m->left)) ||
            (s = jsonpull_next(p, '[', &first, &more)))
            return s;
        if (!more)
            return jsonpull_fail(p, p->at - 1, ERR_FORMAT, "the second piece of a merge");
        if ((s = jsonpull_string(p, &t)) || (s = read_side(r, t.s, t.n, at, &m->right)) ||
            (s = jsonpull_next(p, '[', &first, &more)))
            return s;
        if (more)
            return jsonpull_fail(p, p->at - 1, ERR_FORMAT, "a merge of two pieces");
    } else { // "a b", as files before 2024 have it
        if ((s = jsonpull_string(p, &t)))
            return s;
        const char *blank = memchr(t.s, ' ', t.n);
        size_t k = blank ? (size_t)(blank - t.s) : 0;
        if (!blank || memchr(blank + 1, ' ', t.n - k - 1))
            return jsonpull_fail(p, at, ERR_FORMAT, "a merge of two pieces with one blank between");
        if ((s = read_side(r, t.s, k, at, &m->left)) ||
            (s = read_side(r, t.s + k + 1, t.n - k - 1, at, &m->right)))
            return s;
    }
    m->result = tokfile_find(r->f, r->spell.data, r->spell.n);
    if (m->result < 0 || (r->f->flags[m->result] & (TOKFILE_ADDED | TOKFILE_BYTE)))
        return tokfile_fail_at(r, at,
                               err_set(p->err, ERR_FORMAT,
                                       "expected a merge whose result is a piece, found none for ids %d and %d",
                                       (int)m->left, (int)m->right));
    return OK;
}

enum status tokfile_read_merges(struct tokfile_reader *r, size_t from)
{
    struct jsonpull *p = &r->p;
    struct tokfile *f = r->f;
    size_t cap = 0;
    p->at = from;
    enum status s = jsonpull_enter(p, '[');
    bool first = true;
    bool more = true;
    int32_t last = -1;
    while (!s) {
        if ((s = jsonpull_next(p, '[', &first, &more)) || !more)
            break;
        (void)jsonpull_peek(p);
        size_t at = p->at;
        if (f->n_merges == cap) {
            cap = cap ? cap * 2 : 1024;
            void *q;
            if ((s = mem_alloc(&q, cap, sizeof *f->merges, "merges", p->err)))
                break;
            if (f->n_merges)
                memcpy(q, f->merges, f->n_merges * sizeof *f->merges);
            mem_free(f->merges);
            f->merges = q;
        }
        struct tokfile_merge m = {-1, -1, -1};
        if ((s = read_merge(r, &m)))
            break;
        // The order of the ids is the order of the merges in every known file; a file that breaks it
        // is damaged or of a kind not tested here.
        if (m.result < last)
            return tokfile_fail_at(r, at,
                                   err_set(p->err, ERR_FORMAT,
                                           "expected merges whose result ids never fall, found %d after %d",
                                           (int)m.result, (int)last));
        last = m.result;
        f->flags[last] |= TOKFILE_MERGED;
        f->merges[f->n_merges++] = m;
    }
    return s;
}

