#include "text/encode.h"

#include "base/mem.h"
#include "text/ids_internal.h"
#include "text/nfc.h"
#include "text/split.h"

/* Merge the n bytes of one piece onto the end of out. */
static enum status join_bytes(const struct tokenizer *t, const char *s, size_t n, struct ids *out, struct err *err)
{
    if (!ids_reserve(out, n))
        return ids_status(out, err);
    int32_t *ids = out->v + out->n;
    for (size_t i = 0; i < n; i++)
        ids[i] = t->file.byte_id[(unsigned char)s[i]];
    enum status st = bpe_join(&t->bpe, ids, &n, err);
    if (!st)
        out->n += n;
    return st;
}

static enum split_rule rule_of(const struct tokfile *f)
{
    switch (f->split) {
    case TOKFILE_SPLIT_O200K:
        return SPLIT_O200K;
    case TOKFILE_SPLIT_LLAMA3:
        return SPLIT_LLAMA3;
    case TOKFILE_SPLIT_QWEN2:
    case TOKFILE_SPLIT_NONE: // SPM: never split
        break;
    }
    return SPLIT_QWEN2;
}

enum status encode_byte_level(const struct tokenizer *t, const char *s, size_t n, struct ids *out, struct err *err)
{
    struct buf normal = BUF_INIT;
    enum status st = OK;
    if (t->file.nfc && nfc_find(s, n, 0) < n) {
        if ((st = nfc(s, n, &normal, err)))
            goto done;
        s = normal.data;
        n = normal.n;
    }
    enum split_rule rule = rule_of(&t->file);
    for (size_t at = 0; at < n && !st;) {
        size_t len = split_next(rule, (const uint8_t *)s + at, n - at);
        int32_t id = tokfile_find(&t->file, s + at, len);
        if (id >= 0 && t->whole[id])
            ids_add(out, id);
        else
            st = join_bytes(t, s + at, len, out, err);
        at += len;
    }
done:
    buf_release(&normal);
    return st ? st : ids_status(out, err);
}

enum status encode_find_whole(struct tokenizer *t, struct err *err)
{
    const struct tokfile *f = &t->file;
    void *p;
    enum status s = mem_alloc(&p, f->n_tokens, sizeof *t->whole, "token table", err);
    if (s)
        return s;
    t->whole = p;
    struct ids one = {.v = NULL};
    for (size_t id = 0; id < f->n_tokens && !s; id++) {
        if ((f->flags[id] & (TOKFILE_PRESENT | TOKFILE_ADDED)) != TOKFILE_PRESENT)
            continue;
        t->whole[id] = f->ignore_merges;
        if (f->ignore_merges)
            continue;
        size_t n;
        const char *text = tokfile_text(f, (int32_t)id, &n);
        one.n = 0;
        if (!(s = join_bytes(t, text, n, &one, err)))
            t->whole[id] = one.n == 1 && one.v[0] == (int32_t)id;
    }
    ids_release(&one);
    return s;
}
