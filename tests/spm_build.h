#ifndef TESTS_SPM_BUILD_H
#define TESTS_SPM_BUILD_H

/* SentencePiece's tokenizer.model byte by byte, right or wrong, for tests of its reader. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"

enum { SPM_NORMAL = 1, SPM_UNKNOWN, SPM_CONTROL, SPM_USER, SPM_UNUSED, SPM_BYTE };

static inline void pb_varint(struct buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_char(b, (char)(unsigned char)((v & 0x7F) | 0x80));
    buf_char(b, (char)v);
}

static inline void pb_number(struct buf *b, unsigned field, uint64_t v)
{
    pb_varint(b, field << 3);
    pb_varint(b, v);
}

static inline void pb_bytes(struct buf *b, unsigned field, const void *s, size_t n)
{
    pb_varint(b, field << 3 | 2);
    pb_varint(b, n);
    buf_add(b, s, n);
}

static inline void pb_float(struct buf *b, unsigned field, float v)
{
    pb_varint(b, field << 3 | 5);
    buf_add(b, &v, sizeof v);
}

/* A piece; type 0 and score 0 are left out, as writers leave defaults out. */
static inline void spm_piece(struct buf *out, const char *text, float score, unsigned type)
{
    struct buf b = BUF_INIT;
    pb_bytes(&b, 1, text, strlen(text));
    pb_float(&b, 2, score);
    if (type)
        pb_number(&b, 3, type);
    pb_bytes(out, 1, b.data, b.n);
    buf_release(&b);
}

struct spm_rules {
    uint64_t model_type;
    bool byte_fallback, space_as_suffix, dummy_prefix, remove_spaces, escape_spaces;
    const char *charsmap;
};

static const struct spm_rules spm_plain = {.model_type = 2, .byte_fallback = true, .escape_spaces = true};

static inline void spm_rules(struct buf *out, const struct spm_rules *r)
{
    struct buf b = BUF_INIT;
    pb_bytes(&b, 1, "corpus.txt", 10);
    pb_number(&b, 3, r->model_type);
    pb_number(&b, 24, r->space_as_suffix);
    pb_number(&b, 35, r->byte_fallback);
    pb_number(&b, 43, UINT64_MAX); // -1
    pb_bytes(out, 2, b.data, b.n);
    buf_clear(&b);
    pb_bytes(&b, 1, "identity", 8);
    pb_bytes(&b, 2, r->charsmap ? r->charsmap : "", r->charsmap ? strlen(r->charsmap) : 0);
    pb_number(&b, 3, r->dummy_prefix);
    pb_number(&b, 4, r->remove_spaces);
    pb_number(&b, 5, r->escape_spaces);
    pb_bytes(out, 3, b.data, b.n);
    buf_release(&b);
}

/* A small model in Yi's manner: <unk> <s> </s> and the bytes, a chat mark, tags and runs of blanks as
 * user-defined pieces, then pieces by falling score, then characters. */
#define SPM_BLANK "\xE2\x96\x81"
static const char *const spm_user[] = {"<|im_start|>", "<|im_end|>", "<br>",  "0",  "1",
                                       ",",            SPM_BLANK SPM_BLANK,  SPM_BLANK SPM_BLANK SPM_BLANK, NULL};
static const char *const spm_words[] = {"he", "ll", "hell", "hello", SPM_BLANK "h", "lo", "aa", "aaa", "aaaa", "ab", "bc", "abc",
                                        "\xE4\xB8\xAD\xE6\x96\x87", SPM_BLANK "hello", NULL};
static const char *const spm_chars[] = {SPM_BLANK, "a", "b", "c", "d", "e", "h", "l", "o", "<", "r", ">", "\xE4\xB8\xAD", "\xE6\x96\x87",
                                        NULL};

/* The pieces alone: 3 marks, 256 bytes from id 3, then the three lists from id 259. */
static inline void spm_pieces(struct buf *out)
{
    char byte[8];
    spm_piece(out, "<unk>", 0, SPM_UNKNOWN);
    spm_piece(out, "<s>", 0, SPM_CONTROL);
    spm_piece(out, "</s>", 0, SPM_CONTROL);
    for (unsigned i = 0; i < 256; i++) {
        (void)snprintf(byte, sizeof byte, "<0x%02X>", i);
        spm_piece(out, byte, 0, SPM_BYTE);
    }
    for (size_t i = 0; spm_user[i]; i++)
        spm_piece(out, spm_user[i], 0, SPM_USER);
    float score = 0;
    for (size_t i = 0; spm_words[i]; i++)
        spm_piece(out, spm_words[i], score -= 1, i % 2 ? 0 : SPM_NORMAL);
    for (size_t i = 0; spm_chars[i]; i++)
        spm_piece(out, spm_chars[i], score -= 1, SPM_NORMAL);
}

static inline void spm_model(struct buf *out, bool dummy_prefix)
{
    struct spm_rules r = spm_plain;
    r.dummy_prefix = dummy_prefix;
    spm_pieces(out);
    spm_rules(out, &r);
}

#endif
