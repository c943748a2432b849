#include "format/tokbuild.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "format/tokletters.h"

enum { MAX_DERIVED_B = 256 }; // longest piece that is split: keeps the work linear for hostile files

/* What can neither take part in a merge nor come out of one. */
enum { NO_PIECE = TOKFILE_ADDED | TOKFILE_USER | TOKFILE_BYTE };

void tokbuild_init(struct tokbuild *b, struct tokfile *f, const char *name, struct err *err)
{
    *f = (struct tokfile){.kind = TOKFILE_BYTE_LEVEL, .bos_id = -1, .bytes = BUF_INIT};
    *b = (struct tokbuild){.f = f, .name = name, .err = err};
}

enum status tokbuild_end(struct tokbuild *b, enum status s)
{
    mem_free(b->entries);
    b->entries = NULL;
    buf_release(&b->spell);
    buf_release(&b->whole);
    if (s)
        tokfile_release(b->f);
    return s;
}

enum status tokbuild_text(const struct tokbuild *b, const char *s, size_t n, struct buf *out)
{
    if (n == 0)
        return err_set(b->err, ERR_FORMAT, "expected a token, found an empty string");
    if (b->f->kind == TOKFILE_BYTE_LEVEL)
        return tokletters_read(s, n, out, b->err);
    buf_add(out, s, n);
    return OK;
}

/* An array that doubles: room for one more of size bytes. */
static enum status grow(void **v, size_t n, size_t *cap, size_t size, const char *what, struct err *err)
{
    if (n < *cap)
        return OK;
    size_t want = *cap ? *cap * 2 : 1024;
    void *p;
    enum status s = mem_alloc(&p, want, size, what, err);
    if (s)
        return s;
    if (n)
        memcpy(p, *v, n * size);
    mem_free(*v);
    *v = p;
    *cap = want;
    return OK;
}

/* The last n bytes of f->bytes become a token. */
static enum status add_entry(struct tokbuild *b, int64_t id, size_t n, unsigned flags, float score)
{
    struct buf *bytes = &b->f->bytes;
    enum status s = buf_status(bytes, "vocabulary", b->err);
    if (s)
        return s;
    if (id < 0 || id > TOKFILE_MAX_ID)
        return err_set(b->err, ERR_RANGE, "expected an id from 0 to %d, found %lld", TOKFILE_MAX_ID, (long long)id);
    if (bytes->n > UINT32_MAX)
        return err_set(b->err, ERR_RANGE, "expected a vocabulary of at most 4 GiB, found more");
    if (isnan(score))
        return err_set(b->err, ERR_FORMAT, "expected a score, found a NaN");
    void *p = b->entries;
    if ((s = grow(&p, b->n_entries, &b->cap_entries, sizeof *b->entries, "vocabulary", b->err)))
        return s;
    b->entries = p;
    b->entries[b->n_entries++] = (struct tokbuild_entry){.id = (int32_t)id,
                                                         .key = {.at = (uint32_t)(bytes->n - n), .n = (uint32_t)n},
                                                         .flags = (uint8_t)flags,
                                                         .score = score};
    return OK;
}

enum status tokbuild_add(struct tokbuild *b, int64_t id, const char *s, size_t n, unsigned flags, float score)
{
    if (n == 0)
        return err_set(b->err, ERR_FORMAT, "expected a text for id %lld, found an empty string", (long long)id);
    buf_add(&b->f->bytes, s, n);
    return add_entry(b, id, n, flags, score);
}

enum status tokbuild_spelled(struct tokbuild *b, int64_t id, const char *s, size_t n)
{
    size_t from = b->f->bytes.n;
    enum status st = tokbuild_text(b, s, n, &b->f->bytes);
    return st ? st : add_entry(b, id, b->f->bytes.n - from, 0, 0);
}

/* The largest id with text decides how long the tables are. */
static enum status make_tables(struct tokbuild *b)
{
    struct tokfile *f = b->f;
    void *p;
    enum status s;
    f->n_tokens = 0;
    f->n_added = 0;
    for (size_t i = 0; i < b->n_entries; i++) {
        const struct tokbuild_entry *e = &b->entries[i];
        f->n_added += (e->flags & TOKFILE_ADDED) != 0;
        if (!(e->flags & TOKFILE_UNUSED) && (size_t)e->id >= f->n_tokens)
            f->n_tokens = (size_t)e->id + 1;
    }
    if ((s = mem_alloc(&p, f->n_tokens, sizeof *f->tokens, "token table", b->err)))
        return s;
    f->tokens = p;
    if ((s = mem_alloc(&p, f->n_tokens, 1, "token table", b->err)))
        return s;
    f->flags = p;
    if ((s = mem_alloc(&p, f->n_added, sizeof *f->added, "token table", b->err)))
        return s;
    f->added = p;
    f->n_added = 0;
    if (b->by_score) {
        if ((s = mem_alloc(&p, f->n_tokens, sizeof *f->scores, "token table", b->err)))
            return s;
        f->scores = p;
    }
    return tokmap_init(&f->index, b->n_entries, b->err);
}

/* Texts in messages: cut, and quoted by the caller. */
static int shown(size_t n)
{
    return (int)(n > 60 ? 60 : n);
}

/* <|im_start|> and its like: a user-defined piece that is a chat mark. */
static bool is_mark(const char *s, size_t n)
{
    return n > 4 && memcmp(s, "<|", 2) == 0 && memcmp(s + n - 2, "|>", 2) == 0;
}

static enum status index_vocabulary(struct tokbuild *b, int32_t *last)
{
    struct tokfile *f = b->f;
    for (size_t i = 0; i < b->n_entries; i++) {
        const struct tokbuild_entry *e = &b->entries[i];
        if (e->flags & TOKFILE_ADDED || (size_t)e->id >= f->n_tokens)
            continue;
        if (f->flags[e->id])
            return err_set(b->err, ERR_FORMAT, "%s: vocabulary: expected each id once, found %d twice", b->name, (int)e->id);
        f->flags[e->id] = e->flags;
        *last = e->id > *last ? e->id : *last;
        if (e->flags & TOKFILE_UNUSED)
            continue;
        f->flags[e->id] |= TOKFILE_PRESENT;
        f->tokens[e->id] = e->key;
        if (e->flags & TOKFILE_USER && is_mark(f->bytes.data + e->key.at, e->key.n))
            f->flags[e->id] |= TOKFILE_SPECIAL;
        if (f->scores)
            f->scores[e->id] = e->score;
        int32_t there = tokmap_add(&f->index, f->tokens, f->bytes.data, e->id);
        if (there >= 0)
            return err_set(b->err, ERR_FORMAT, "%s: vocabulary: expected each text once, found ids %d and %d for one",
                           b->name, (int)there, (int)e->id);
    }
    return OK;
}

/* An added token may stand in the vocabulary too, under the same id. */
static enum status index_added(struct tokbuild *b)
{
    struct tokfile *f = b->f;
    for (size_t i = 0; i < b->n_entries; i++) {
        const struct tokbuild_entry *e = &b->entries[i];
        if (!(e->flags & TOKFILE_ADDED))
            continue;
        const char *text = f->bytes.data + e->key.at;
        if (f->flags[e->id] & TOKFILE_ADDED)
            return err_set(b->err, ERR_FORMAT, "%s: added tokens: expected each id once, found %d twice", b->name,
                           (int)e->id);
        int32_t there = tokfile_find(f, text, e->key.n);
        if ((there >= 0 && there != e->id) || (there < 0 && f->flags[e->id] & TOKFILE_PRESENT))
            return err_set(b->err, ERR_FORMAT, "%s: added tokens: \"%.*s\" with id %d contradicts another token of that %s",
                           b->name, shown(e->key.n), text, (int)e->id, there >= 0 ? "text" : "id");
        if (there < 0) {
            f->tokens[e->id] = e->key;
            (void)tokmap_add(&f->index, f->tokens, f->bytes.data, e->id);
        }
        f->flags[e->id] = (uint8_t)(f->flags[e->id] | e->flags | TOKFILE_PRESENT);
        f->added[f->n_added++] = e->id;
    }
    return OK;
}

static enum status find_bytes(struct tokbuild *b)
{
    struct tokfile *f = b->f;
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[8];
        int n = f->kind == TOKFILE_SPM ? snprintf(text, sizeof text, "<0x%02X>", byte) : 1;
        if (f->kind == TOKFILE_BYTE_LEVEL)
            text[0] = (char)byte;
        int32_t id = tokfile_find(f, text, (size_t)n);
        if (id < 0 || f->flags[id] & (TOKFILE_ADDED | TOKFILE_USER))
            return err_set(b->err, ERR_FORMAT, "%s: vocabulary: expected a token for every byte, found none for 0x%02X",
                           b->name, byte);
        f->byte_id[byte] = id;
        if (f->kind == TOKFILE_SPM)
            f->flags[id] |= TOKFILE_BYTE;
    }
    size_t n_bytes = 0;
    for (size_t id = 0; id < f->n_tokens; id++)
        n_bytes += (f->flags[id] & TOKFILE_BYTE) != 0;
    if (n_bytes > 256)
        return err_set(b->err, ERR_FORMAT, "%s: vocabulary: expected 256 byte tokens, found %zu", b->name, n_bytes);
    return OK;
}

/* gpt-oss: the vocabulary of the model goes on to 201,087 with rows that were never trained; OpenAI's own
 * library names them, tokenizer.json does not. */
static void find_reserved(struct tokfile *f)
{
    static const char last_name[] = "<|endofprompt|>";
    enum { LAST_NAMED = 200018, N_ROWS = 201088 };
    int32_t id = tokfile_find(f, last_name, sizeof last_name - 1);
    if (f->split == TOKFILE_SPLIT_O200K && id == LAST_NAMED && f->n_tokens == LAST_NAMED + 1)
        f->n_reserved = N_ROWS - (LAST_NAMED + 1);
}

enum status tokbuild_index(struct tokbuild *b)
{
    struct tokfile *f = b->f;
    int32_t last = -1;
    enum status s = make_tables(b);
    if (s || (s = index_vocabulary(b, &last)) || (s = index_added(b)))
        return s;
    // No gap below the vocabulary's largest id; after it, reserved ids may be missing.
    for (int32_t id = 0; id < last; id++)
        if (!f->flags[id])
            return err_set(b->err, ERR_FORMAT, "%s: vocabulary: expected every id up to %d, found none with id %d", b->name,
                           (int)last, (int)id);
    find_reserved(f);
    return find_bytes(b);
}

static int32_t piece(const struct tokfile *f, const char *s, size_t n)
{
    int32_t id = tokfile_find(f, s, n);
    return id < 0 || f->flags[id] & NO_PIECE ? -1 : id;
}

static enum status put_merge(struct tokbuild *b, struct tokfile_merge m)
{
    struct tokfile *f = b->f;
    void *p = f->merges;
    enum status s = grow(&p, f->n_merges, &b->cap_merges, sizeof *f->merges, "merges", b->err);
    if (s)
        return s;
    f->merges = p;
    f->flags[m.result] |= TOKFILE_MERGED;
    f->merges[f->n_merges++] = m;
    return OK;
}

enum status tokbuild_merge(struct tokbuild *b, const char *left, size_t n_left, const char *right, size_t n_right)
{
    struct tokfile *f = b->f;
    struct tokfile_merge m = {.left = piece(f, left, n_left), .right = piece(f, right, n_right), .result = -1};
    if (m.left < 0 || m.right < 0)
        return err_set(b->err, ERR_FORMAT, "expected a merge of known pieces, found \"%.*s\"",
                       shown(m.left < 0 ? n_left : n_right), m.left < 0 ? left : right);
    buf_clear(&b->whole);
    buf_add(&b->whole, left, n_left);
    buf_add(&b->whole, right, n_right);
    enum status s = buf_status(&b->whole, "a merge", b->err);
    if (s)
        return s;
    m.result = piece(f, b->whole.data, b->whole.n);
    if (m.result < 0)
        return err_set(b->err, ERR_FORMAT, "expected a merge whose result is a piece, found none for ids %d and %d",
                       (int)m.left, (int)m.right);
    // The order of the ids is the order of the merges in every known file; a file that breaks it
    // is damaged or of a kind not tested here.
    int32_t last = f->n_merges ? f->merges[f->n_merges - 1].result : -1;
    if (m.result < last)
        return err_set(b->err, ERR_FORMAT, "expected merges whose result ids never fall, found %d after %d", (int)m.result,
                       (int)last);
    m.prio = f->kind == TOKFILE_SPM ? (uint32_t)f->n_merges : (uint32_t)m.result;
    return put_merge(b, m);
}

size_t tokbuild_cut(const char *s, size_t n)
{
    const char *blank = memchr(s, ' ', n);
    size_t k = blank ? (size_t)(blank - s) : n;
    return k == 0 || k + 1 >= n || memchr(s + k + 1, ' ', n - k - 1) ? n : k;
}

enum status tokbuild_spelled_merge(struct tokbuild *b, const char *s, size_t n)
{
    size_t k = tokbuild_cut(s, n);
    if (k == n)
        return err_set(b->err, ERR_FORMAT, "expected a merge of two pieces with one blank between, found \"%.*s\"",
                       (int)(n > 60 ? 60 : n), s);
    struct buf *t = &b->spell;
    buf_clear(t);
    enum status st = tokbuild_text(b, s, k, t);
    size_t n_left = t->n;
    if (st || (st = tokbuild_text(b, s + k + 1, n - k - 1, t)) || (st = buf_status(t, "a merge", b->err)))
        return st;
    return tokbuild_merge(b, t->data, n_left, t->data + n_left, t->n - n_left);
}

/* An unsigned that falls as the score rises: the float's bits, made monotone. */
static uint32_t prio_of(float score)
{
    uint32_t u;
    score = score + 0.0f; // -0 and 0 are one score
    memcpy(&u, &score, sizeof u);
    return u >> 31 ? u : ~(u | 0x80000000u);
}

/* SentencePiece joins characters that are no pieces too; ids cannot, so each character must be one. */
static enum status check_characters(const struct tokbuild *b, size_t id)
{
    size_t n;
    const char *s = tokfile_text(b->f, (int32_t)id, &n);
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t len = utf8_decode((const uint8_t *)s + i, n - i, &cp);
        if (tokfile_find(b->f, s + i, len) < 0)
            return err_set(b->err, ERR_UNSUPPORTED,
                           "%s: vocabulary: expected a piece for every character of a piece, found none for U+%04X of id %zu",
                           b->name, (unsigned)cp, id);
        i += len;
    }
    return OK;
}

enum status tokbuild_derive(struct tokbuild *b)
{
    struct tokfile *f = b->f;
    for (size_t id = 0; id < f->n_tokens; id++) {
        size_t n;
        const char *s = tokfile_text(f, (int32_t)id, &n);
        if (!(f->flags[id] & TOKFILE_PRESENT) || f->flags[id] & NO_PIECE)
            continue;
        if (n > MAX_DERIVED_B)
            return err_set(b->err, ERR_RANGE, "%s: vocabulary: expected pieces of at most %d bytes, found %zu in id %zu",
                           b->name, MAX_DERIVED_B, n, id);
        enum status st = b->by_score ? check_characters(b, id) : OK;
        if (st)
            return st;
        uint32_t prio = f->scores ? prio_of(f->scores[id]) : (uint32_t)id;
        for (size_t k = 1; k < n; k++) {
            struct tokfile_merge m = {.left = piece(f, s, k), .right = -1, .result = (int32_t)id, .prio = prio};
            if (m.left >= 0)
                m.right = piece(f, s + k, n - k);
            if (m.right >= 0 && (st = put_merge(b, m)))
                return st;
        }
    }
    return OK;
}
