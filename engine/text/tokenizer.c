#include "text/tokenizer.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "format/gguf.h"
#include "text/encode.h"
#include "text/utf8_text.h"

/* Behaviour over the tables that reading left in t->file; t is freed when something fails. */
static enum status finish(struct tokenizer *t, const char *name, struct tokenizer **out, struct err *err)
{
    enum status s = bpe_init(&t->bpe, &t->file, name, err);
    bool spm = t->file.kind == TOKFILE_SPM;
    if (s || (s = special_init(&t->special, &t->file, TOKFILE_ADDED, err)) ||
        (s = spm ? spm_init(&t->spm, &t->file, &t->bpe, err) : encode_find_whole(t, err))) {
        tokenizer_free(t);
        return s;
    }
    *out = t;
    return OK;
}

/* A tokenizer without tables. */
static enum status start(struct tokenizer **out, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct tokenizer), "tokenizer", err);
    if (!s)
        *out = p;
    return s;
}

enum status tokenizer_open(struct tokenizer **out, const char *path, struct err *err)
{
    struct tokenizer *t = NULL;
    enum status s = start(&t, err);
    if (!s && (s = tokfile_open(&t->file, path, err)))
        mem_free(t);
    return s ? s : finish(t, path, out, err);
}

enum status tokenizer_from_gguf(struct tokenizer **out, const struct gguf *g, struct err *err)
{
    struct tokenizer *t = NULL;
    enum status s = start(&t, err);
    if (!s && (s = tokfile_read_gguf(&t->file, g, err)))
        mem_free(t);
    return s ? s : finish(t, g->name, out, err);
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    tokfile_release(&t->file);
    bpe_release(&t->bpe);
    special_release(&t->special);
    spm_release(&t->spm);
    mem_free(t->whole);
    mem_free(t);
}

enum mode { PLAIN, PARSED, CONTENT };

/* A stretch between added tokens. */
static enum status encode_stretch(const struct tokenizer *t, const char *s, size_t n, bool first, enum mode mode,
                                  struct ids *out, struct err *err)
{
    if (n == 0)
        return OK;
    return t->file.kind == TOKFILE_SPM
               ? spm_encode(&t->spm, &t->file, &t->bpe, s, n, first && mode != CONTENT, mode == CONTENT, out, err)
               : encode_byte_level(t, s, n, out, err);
}

/* Only valid UTF-8 goes further down. */
static enum status encode(const struct tokenizer *t, const char *text, size_t n, enum mode mode, struct ids *out,
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
        size_t end = mode == PARSED ? special_find(&t->special, &t->file, text, n, at, &id) : n;
        s = encode_stretch(t, text + at, end - at, at == 0, mode, out, err);
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
    return encode(t, text, n, PLAIN, out, err);
}

enum status tokenizer_encode_parsed(const struct tokenizer *t, const char *text, size_t n, struct ids *out,
                                    struct err *err)
{
    return encode(t, text, n, PARSED, out, err);
}

enum status tokenizer_encode_content(const struct tokenizer *t, const char *text, size_t n, struct ids *out,
                                     struct err *err)
{
    return encode(t, text, n, CONTENT, out, err);
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

/* Rows of the model that no file names. */
static bool reserved(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && (size_t)id >= t->file.n_tokens && (size_t)id - t->file.n_tokens < (size_t)t->file.n_reserved;
}

static void decode_one(const struct tokenizer *t, int32_t id, struct buf *out)
{
    unsigned flags = t->file.flags[id];
    size_t len;
    const char *s = tokfile_text(&t->file, id, &len);
    if (t->file.kind == TOKFILE_SPM && !(flags & TOKFILE_ADDED))
        decode_piece(s, len, flags & TOKFILE_BYTE, out);
    else
        buf_add(out, s, len);
}

enum status tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                             struct buf *out, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (reserved(t, ids[i])) {
            if (!skip_special)
                buf_printf(out, "<|reserved_%d|>", (int)ids[i]);
            continue;
        }
        if (!present(t, ids[i]))
            return err_set(err, ERR_RANGE, "cannot decode token %zu: expected an id below %zu that has text, found %d",
                           i, t->file.n_tokens + (size_t)t->file.n_reserved, (int)ids[i]);
        if (!(skip_special && t->file.flags[ids[i]] & TOKFILE_SPECIAL))
            decode_one(t, ids[i], out);
    }
    return buf_status(out, "decoded text", err);
}

enum status tokenizer_decode_text(const struct tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                                  struct buf *out, struct err *err)
{
    struct buf text = BUF_INIT;
    enum status s = tokenizer_decode(t, ids, n, skip_special, &text, err);
    bool starts = n && present(t, ids[0]) && !(t->file.flags[ids[0]] & TOKFILE_ADDED);
    size_t drop = t->file.dummy_prefix && starts && text.n && text.data[0] == ' ';
    if (!s && text.n > drop)
        buf_add(out, text.data + drop, text.n - drop);
    buf_release(&text);
    return s ? s : buf_status(out, "decoded text", err);
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
    if (flags & (TOKFILE_ADDED | TOKFILE_SPECIAL))
        return id;
    // Yi's tokenizer.json has <|im_start|> and the like as plain pieces that no text can become.
    uint32_t cp;
    bool single = utf8_decode((const uint8_t *)name, n, &cp) == n;
    return t->file.kind == TOKFILE_SPM && !(flags & (TOKFILE_MERGED | TOKFILE_BYTE | TOKFILE_USER)) && !single ? id : -1;
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id)
{
    return reserved(t, id) || (present(t, id) && t->file.flags[id] & TOKFILE_SPECIAL);
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
