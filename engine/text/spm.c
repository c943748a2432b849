#include "text/spm.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "text/ids_internal.h"

static const char metaspace[] = "\xE2\x96\x81"; // U+2581, which stands for a blank
enum { METASPACE_B = 3, JOIN_BITS = 20 };

static size_t join_slot(uint32_t a, uint32_t b)
{
    uint64_t k = ((uint64_t)a << 32 | b) * 0x9E3779B97F4A7C15u;
    return (size_t)(k >> (64 - JOIN_BITS));
}

static size_t char_len(unsigned char lead)
{
    return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

static uint32_t char_at(const char *s, size_t len)
{
    const uint8_t *u = (const uint8_t *)s;
    switch (len) {
    case 1:
        return u[0];
    case 2:
        return (uint32_t)(u[0] & 0x1F) << 6 | (u[1] & 0x3F);
    case 3:
        return (uint32_t)(u[0] & 0x0F) << 12 | (uint32_t)(u[1] & 0x3F) << 6 | (u[2] & 0x3F);
    default:
        return (uint32_t)(u[0] & 0x07) << 18 | (uint32_t)(u[1] & 0x3F) << 12 | (uint32_t)(u[2] & 0x3F) << 6 | (u[3] & 0x3F);
    }
}

static uint32_t first_char(const struct tokfile *f, int32_t id)
{
    size_t n;
    const char *s = tokfile_text(f, id, &n);
    return char_at(s, char_len((unsigned char)s[0]));
}

static uint32_t last_char(const struct tokfile *f, int32_t id)
{
    size_t n;
    const char *s = tokfile_text(f, id, &n);
    size_t i = n - 1;
    while (i && ((unsigned char)s[i] & 0xC0) == 0x80)
        i--;
    return char_at(s + i, n - i);
}

/* One run: its characters as pieces, or their bytes, merged onto the end of out. */
static enum status join_run(const struct tokfile *f, const struct bpe *b, const char *s, size_t n, struct ids *out,
                            struct err *err)
{
    if (!ids_reserve(out, n))
        return ids_status(out, err);
    int32_t *ids = out->v + out->n;
    size_t m = 0;
    for (size_t i = 0; i < n;) {
        size_t len = char_len((unsigned char)s[i]);
        int32_t id = tokfile_find(f, s + i, len);
        if (id >= 0 && !(f->flags[id] & (TOKFILE_ADDED | TOKFILE_BYTE | TOKFILE_USER)))
            ids[m++] = id;
        else
            for (size_t k = 0; k < len; k++)
                ids[m++] = f->byte_id[(unsigned char)s[i + k]];
        i += len;
    }
    enum status st = bpe_join(b, ids, &m, err);
    if (!st)
        out->n += m;
    return st;
}

static enum status find_whole(struct spm *m, const struct tokfile *f, const struct bpe *b, struct err *err)
{
    struct ids one = {.v = NULL};
    enum status s = OK;
    for (size_t id = 0; id < f->n_tokens && !s; id++) {
        if ((f->flags[id] & (TOKFILE_PRESENT | TOKFILE_ADDED | TOKFILE_USER | TOKFILE_BYTE)) != TOKFILE_PRESENT)
            continue;
        size_t n;
        const char *text = tokfile_text(f, (int32_t)id, &n);
        one.n = 0;
        if (!(s = join_run(f, b, text, n, &one, err)))
            m->whole[id] = one.n == 1 && one.v[0] == (int32_t)id;
    }
    ids_release(&one);
    return s;
}

enum status spm_init(struct spm *m, const struct tokfile *f, const struct bpe *b, struct err *err)
{
    void *p;
    enum status s = special_init(&m->user, f, TOKFILE_USER, err);
    if (s || (s = mem_alloc(&p, ((size_t)1 << JOIN_BITS) / 64, sizeof *m->joins, "merge filter", err)))
        return s;
    m->joins = p;
    if ((s = mem_alloc(&p, f->n_tokens, sizeof *m->whole, "token table", err)))
        return s;
    m->whole = p;
    for (size_t i = 0; i < f->n_merges; i++) {
        size_t k = join_slot(last_char(f, f->merges[i].left), first_char(f, f->merges[i].right));
        m->joins[k / 64] |= (uint64_t)1 << (k % 64);
    }
    return find_whole(m, f, b, err);
}

void spm_release(struct spm *m)
{
    special_release(&m->user);
    mem_free(m->joins);
    mem_free(m->whole);
    m->joins = NULL;
    m->whole = NULL;
}

/* Blanks as U+2581, and one before the first. */
static enum status escape(const struct tokfile *f, const char *s, size_t n, bool first, struct buf *out, struct err *err)
{
    if (first && f->dummy_prefix)
        buf_add(out, metaspace, METASPACE_B);
    for (size_t i = 0; i < n;) {
        const char *blank = memchr(s + i, ' ', n - i);
        size_t len = blank ? (size_t)(blank - s) - i : n - i;
        buf_add(out, s + i, len);
        if (blank)
            buf_add(out, metaspace, METASPACE_B);
        i += len + 1;
    }
    return buf_status(out, "text", err);
}

static enum status end_run(const struct spm *m, const struct tokfile *f, const struct bpe *b, const char *s, size_t n,
                           struct ids *out, struct err *err)
{
    if (n == 0)
        return OK;
    int32_t id = tokfile_find(f, s, n);
    if (id >= 0 && m->whole[id]) {
        ids_add(out, id);
        return OK;
    }
    return join_run(f, b, s, n, out, err);
}

enum status spm_encode(const struct spm *m, const struct tokfile *f, const struct bpe *b, const char *s, size_t n,
                       bool first, bool content, struct ids *out, struct err *err)
{
    struct buf escaped = BUF_INIT;
    enum status st = escape(f, s, n, first, &escaped, err);
    size_t run = 0;
    uint32_t before = 0;
    for (size_t i = 0; i < escaped.n && !st;) {
        const char *at = escaped.data + i;
        int32_t user = special_at(&m->user, f, at, escaped.n - i, content ? TOKFILE_SPECIAL : 0);
        if (user >= 0) {
            st = end_run(m, f, b, escaped.data + run, i - run, out, err);
            ids_add(out, user);
            i += f->tokens[user].n;
            run = i;
            continue;
        }
        size_t len = char_len((unsigned char)*at);
        uint32_t c = char_at(at, len);
        size_t k = join_slot(before, c);
        if (i > run && !(m->joins[k / 64] >> (k % 64) & 1)) {
            st = end_run(m, f, b, escaped.data + run, i - run, out, err);
            run = i;
        }
        before = c;
        i += len;
    }
    if (!st)
        st = end_run(m, f, b, escaped.data + run, escaped.n - run, out, err);
    buf_release(&escaped);
    return st ? st : ids_status(out, err);
}
