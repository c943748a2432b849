#include <string.h>

#include "base/digest.h"
#include "format/tokbuild.h"

/* tiktoken's file: a line a token, base64 of its bytes, a blank, its rank, which is its id. Split rule and
 * special tokens lie in the library, not in the file: those of gpt-oss (o200k_harmony) are here. */

/* Value of a base64 digit, or -1. */
static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Base64 with padding, bits past the end zero (RFC 4648, 4); appends to out. */
static bool base64(const char *s, size_t n, struct buf *out)
{
    if (n == 0 || n % 4 != 0)
        return false;
    size_t pad = s[n - 1] != '=' ? 0 : s[n - 2] != '=' ? 1 : 2;
    for (size_t i = 0; i < n; i += 4) {
        unsigned v = 0;
        size_t n_pad = i + 4 == n ? pad : 0;
        for (size_t k = 0; k < 4; k++) {
            int d = k >= 4 - n_pad ? 0 : digit(s[i + k]);
            if (d < 0)
                return false;
            v = v << 6 | (unsigned)d;
        }
        if ((n_pad == 1 && v & 0xFF) || (n_pad == 2 && v & 0xFFFF))
            return false;
        const char bytes[3] = {(char)(v >> 16), (char)(v >> 8 & 0xFF), (char)(v & 0xFF)};
        buf_add(out, bytes, 3 - n_pad);
    }
    return true;
}

/* Decimal digits, no leading zero; -1 for anything else or a number beyond every id. */
static int64_t rank_of(const char *s, size_t n)
{
    int64_t v = 0;
    if (n == 0 || n > 9 || (n > 1 && s[0] == '0'))
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        v = v * 10 + (s[i] - '0');
    }
    return v;
}

static enum status read_line(struct tokbuild *b, const char *s, size_t n)
{
    const char *blank = memchr(s, ' ', n);
    size_t k = blank ? (size_t)(blank - s) : n;
    int64_t rank = blank ? rank_of(blank + 1, n - k - 1) : -1;
    buf_clear(&b->spell);
    if (!blank || rank < 0 || !base64(s, k, &b->spell))
        return err_set(b->err, ERR_FORMAT, "expected base64, a blank and a rank, found \"%.*s\"", (int)(n > 60 ? 60 : n), s);
    enum status st = buf_status(&b->spell, "a token", b->err);
    return st ? st : tokbuild_add(b, rank, b->spell.data, b->spell.n, 0, 0);
}

/* The special tokens of gpt-oss, which follow the ranks; the names in between are <|reserved_ID|>. */
static enum status add_special(struct tokbuild *b, int64_t first)
{
    static const char *const names[] = {
        "<|startoftext|>", "<|endoftext|>", NULL, NULL, "<|return|>", "<|constrain|>", NULL, "<|channel|>", "<|start|>", "<|end|>",
        "<|message|>",     NULL,            NULL, NULL, "<|call|>",   NULL,            NULL, NULL,          NULL,        NULL,
        "<|endofprompt|>"};
    enum status s = OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && !s; i++) {
        struct buf text = BUF_INIT;
        if (names[i])
            buf_str(&text, names[i]);
        else
            buf_printf(&text, "<|reserved_%lld|>", (long long)first + (long long)i);
        if (!(s = buf_status(&text, "special tokens", b->err)) &&
            (s = tokbuild_add(b, first + (int64_t)i, text.data, text.n, TOKFILE_ADDED | TOKFILE_SPECIAL, 0)))
            err_prefix(b->err, "%s: special tokens", b->name);
        buf_release(&text);
    }
    return s;
}

static enum status read_all(struct tokbuild *b, const char *text, size_t n)
{
    size_t line = 1;
    enum status s;
    for (size_t at = 0; at < n; line++) {
        const char *end = memchr(text + at, '\n', n - at);
        size_t len = end ? (size_t)(end - text) - at : n - at;
        if ((s = read_line(b, text + at, len))) {
            err_prefix(b->err, "%s:%zu", b->name, line);
            return s;
        }
        at += len + 1;
    }
    if ((s = add_special(b, (int64_t)line - 1)) || (s = tokbuild_index(b)))
        return s;
    return tokbuild_derive(b);
}

enum status tokfile_read_tiktoken(struct tokfile *out, const char *text, size_t n, const char *name, struct err *err)
{
    struct tokbuild b;
    tokbuild_init(&b, out, name, err);
    out->split = TOKFILE_SPLIT_O200K;
    out->ignore_merges = true;
    return tokbuild_end(&b, read_all(&b, text, n));
}

enum status tokfile_check_o200k(const void *text, size_t n, const char *name, struct err *err)
{
    static const char o200k[] = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d";
    uint8_t sum[DIGEST_B];
    char hex[DIGEST_HEX_LEN + 1];
    enum status s = digest_bytes(text, n, sum, err);
    if (s)
        return s;
    digest_hex(sum, hex);
    if (strcmp(hex, o200k) == 0)
        return OK;
    return err_set(err, ERR_UNSUPPORTED,
                   "%s: expected o200k_base.tiktoken (sha256 %.16s...), found another file (sha256 %.16s...): its split rule and "
                   "special tokens are not known", name, o200k, hex);
}
