#include "text/tokenizer.h"

#include <string.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "text/encode.h"
#include "text/utf8_text.h"

/* Behaviour over the tables that reading left in t->file; t is freed when something fails. */
static enum status finish(struct tokenizer *t, const char *name, struct tokenizer **out, struct err *err)
{
    enum status s = bpe_init(&t->bpe, &t->file, name, err);
    if (s || (s = special_init(&t->special, &t->file, err)) ||
        (t->file.kind == TOKFILE_BYTE_LEVEL && (s = encode_find_whole(t, err)))) {
        tokenizer_free(t);
        return s;
    }
    *out = t;
    return OK;
}

enum status tokenizer_open(struct tokenizer **out, const char *path, struct err *err)
{
    struct mapfile m;
    void *p;
    enum status s = mapfile_open(&m, path, err);
    if (s)
        return s;
    if (!(s = mem_alloc(&p, 1, sizeof(struct tokenizer), "tokenizer", err))) {
        struct tokenizer *t = p;
        if ((s = tokfile_read_json(&t->file, m.data ? (const char *)m.data : "", m.size, path, err)))
            mem_free(t);
        else
            s = finish(t, path, out, err);
    }
    mapfile_close(&m);
    return s;
}

enum status tokenizer_from_arrays(struct tokenizer **out, const struct tokfile_arrays *a, const char *name, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct tokenizer), "tokenizer", err);
    if (s)
        return s;
    struct tokenizer *t = p;
    if ((s = tokfile_read_arrays(&t->file, a, name, err))) {
        mem_free(t);
        return s;
    }
    return finish(t, name, out, err);
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    tokfile_release(&t->file);
    bpe_release(&t->bpe);
    special_release(&t->special);
    mem_free(t->whole);
    mem_free(t);
}

/* Encode text as it is, or with added tokens recognised; only valid UTF-8 goes further down. */
static enum status encode(const struct tokenizer *t, const char *text, size_t n, bool parse, struct ids *out,
                          struct err *err)
{
    enum status s = OK;
    struct buf valid = BUF_INIT;
    if (utf8_valid_prefix((const uint8_t *)text, n) < n) {
        utf8_lossy(text, n, &valid);
        if ((s = buf_status(&valid, "text", err)))
            goto done;
        text = valid.data;
        n = valid.n;
    }
    for (size_t at = 0; at < n && !s;) {
        int32_t id = -1;
        size_t end = parse ? special_find(&t->special, &t->file, text, n, at, &id) : n;
        if (end > at)
            s = t->file.kind == TOKFILE_SPM ? encode_spm(t, text + at, end - at, out, err)
                                            : encode_byte_level(t, text + at, end - at, out, err);
        at = end;
        if (id >= 0) {
            ids_add(out, id);
            at += t->file.tokens[id].n;
        }
    }
done:
    buf_release(&valid);
    return s ? s : ids_status(out, err);
}

enum status tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, struct ids *out, struct err *err)
{
    return encode(t, text, n, false, out, err);
}

enum status tokenizer_encode_parsed(const struct tokenizer *t, const char *text, size_t n, struct ids *out,
                                    struct err *err)
{
    return encode(t, text, n, true, out, err);
}

static bool present(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && (size_t)id < t->file.n_tokens && t->file.flags[id] & TOKFILE_PRESENT;
}

/* A piece of an SPM vocabulary as text: U+2581 is a blank, <0xNN> is a byte. */
static void decode_piece(const char *s, size_t n, bool byte, struct buf *out)
{
    if (byte) {
        const char *hex = "0123456789ABCDEF";
        buf_char(out, (char)((strchr(hex, s[3]) - hex) << 4 | (strchr(hex, s[4]) - hex)));
        return;
    }
    for (size_t i = 0; i < n;) {
        if (n - i >= 3 && memcmp(s + i, "\xE2\x96\x81", 3) == 0) {
            buf_char(out, ' ');
            i += 3;
        } else {
            buf_char(out, s[i++]);
        }
    }
}

enum status tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                             struct buf *out, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!present(t, ids[i]))
            return err_set(err, ERR_RANGE, "cannot decode token %zu: expected an id below %zu that has text, found %d",
                           i, t->file.n_tokens, (int)ids[i]);
        unsigned flags = t->file.flags[ids[i]];
        if (skip_special && flags & TOKFILE_SPECIAL)
            continue;
        size_t len;
        const char *s = tokfile_text(&t->file, ids[i], &len);
        if (t->file.kind == TOKFILE_SPM && !(flags & TOKFILE_ADDED))
            decode_piece(s, len, flags & TOKFILE_BYTE, out);
        else
            buf_add(out, s, len);
    }
    return buf_status(out, "decoded text", err);
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->file.bos_id;
}

size_t tokenizer_size(const struct tokenizer *t)
{
    return t->file.n_tokens;
}

int32_t tokenizer_special(const struct tokenizer *t, const char *name)
{
    size_t n = strlen(name);
    int32_t id = tokfile_find(&t->file, name, n);
    if (id < 0)
        return -1;
    unsigned flags = t->file.flags[id];
    if (flags & TOKFILE_ADDED)
        return id;
    // Yi's file has <|im_start|> and the like as plain pieces that no text can become.
    uint32_t cp;
    bool single = utf8_decode((const uint8_t *)name, n, &cp) == n;
    return t->file.kind == TOKFILE_SPM && !(flags & (TOKFILE_MERGED | TOKFILE_BYTE)) && !single ? id : -1;
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id)
{
    return present(t, id) && t->file.flags[id] & TOKFILE_SPECIAL;
}

bool tokenizer_has_text(const struct tokenizer *t, int32_t id)
{
    static const char reserved[] = "<|reserved_"; // gpt-oss: names for rows that were never trained
    if (!present(t, id))
        return false;
    size_t n;
    const char *s = tokfile_text(&t->file, id, &n);
    return !(t->file.flags[id] & TOKFILE_ADDED && n >= sizeof reserved - 1 &&
             memcmp(s, reserved, sizeof reserved - 1) == 0);
}
