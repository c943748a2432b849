#ifndef TESTS_TINY_TOKENIZER_H
#define TESTS_TINY_TOKENIZER_H

/* Writes tokenizer.json files of a few hundred tokens in the true formats, so that every rule is
 * exercised without any data folder. Byte-level: the id of a byte is its value, merges follow from 256,
 * added tokens after them. SPM: <unk> and two marks, the bytes from 3, characters and merges, then marks. */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "text/tokenizer.h"

enum tiny_kind { TINY_O200K, TINY_QWEN2, TINY_SPM };

struct tiny_merge {
    const char *left, *right; /* true bytes; SPM: U+2581 for a blank */
};

#define TINY_MAX_MERGES 64

static const struct tiny_merge tiny_words[] = {
    {"h", "e"}, {"l", "l"}, {"he", "ll"}, {"hell", "o"}, {"a", "a"},   {"aa", "aa"}, {"a", "b"},   {"b", "c"},
    {"ab", "c"}, {"1", "2"}, {"12", "3"}, {"\n", "\n"},  {"i", "s"},   {"t", "h"},   {"th", "is"}, {NULL, NULL},
};
static const struct tiny_merge tiny_spm_words[] = {
    {"h", "e"},  {"l", "l"},  {"he", "ll"}, {"hell", "o"}, {"a", "a"},
    {"aa", "aa"}, {"a", "b"}, {"b", "c"},   {"ab", "c"},   {"\xE2\x96\x81", "\xE2\x96\x81"},
    {"\xE2\x96\x81", "h"},    {NULL, NULL},
};
static const char *const tiny_gptoss_added[] = {
    "<|startoftext|>", "<|endoftext|>", "<|return|>",  "<|constrain|>", "<|channel|>",
    "<|start|>",       "<|end|>",       "<|message|>", "<|call|>",      "<|reserved_300|>",
    NULL};
static const char *const tiny_qwen_added[] = {
    "<|endoftext|>",  "<|im_start|>", "<|im_end|>", "<tool_response>", "</tool_response>",
    "<think>", "</think>",     NULL};

static inline void tiny_string(struct buf *out, const char *s, size_t n)
{
    buf_char(out, '"');
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '"' || s[i] == '\\')
            buf_char(out, '\\');
        if ((unsigned char)s[i] < 0x20)
            buf_printf(out, "\\u%04x", (unsigned)s[i]);
        else
            buf_char(out, s[i]);
    }
    buf_char(out, '"');
}

/* Bytes in the byte alphabet: printable ones stand for themselves, the others follow from U+0100. */
static inline void tiny_letters(struct buf *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned b = (unsigned char)s[i];
        unsigned others = 0;
        uint8_t u[4];
        for (unsigned k = 0; k < b; k++)
            others += !((k >= 33 && k <= 126) || (k >= 161 && k <= 172) || k >= 174);
        bool own = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        buf_add(out, u, utf8_encode(own ? b : 256 + others, u));
    }
}

static inline void tiny_spelled(struct buf *out, enum tiny_kind k, const char *s, size_t n)
{
    struct buf b = BUF_INIT;
    if (k == TINY_SPM)
        buf_add(&b, s, n);
    else
        tiny_letters(&b, s, n);
    tiny_string(out, b.data, b.n);
    buf_release(&b);
}

static inline void tiny_rules(struct buf *out, enum tiny_kind k)
{
    const char *o200k =
        "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]*[\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]+"
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]+"
        "[\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+"
        "[\\\\r\\\\n/]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+";
    const char *qwen2 =
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+"
        "[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+";
    if (k == TINY_SPM) {
        buf_str(out, "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Replace\",\"pattern\":{\"String\":"
                     "\" \"},\"content\":\"\xE2\x96\x81\"}]},\"pre_tokenizer\":null,\"post_processor\":null,\"decoder\":"
                     "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\xE2\x96\x81\"},"
                     "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}]},");
        return;
    }
    buf_printf(out,
               "\"normalizer\":%s,\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
               "\"pattern\":{\"Regex\":\"%s\"},\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\","
               "\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":false}]},\"post_processor\":{\"type\":"
               "\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":false,\"use_regex\":true},\"decoder\":{\"type\":"
               "\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true},",
               k == TINY_QWEN2 ? "{\"type\":\"NFC\"}" : "null", k == TINY_QWEN2 ? qwen2 : o200k);
}

/* tiny_json - the file's text, appended. merges end with a NULL left; added is NULL-ended (byte-level). */
static inline void tiny_json(struct buf *out, enum tiny_kind k, const struct tiny_merge *merges,
                             const char *const *added)
{
    static const char *const spm_marks[] = {"<unk>", "<|startoftext|>", "<|endoftext|>", NULL};
    static const char *const spm_extra[] = {"<|im_start|>", "<|im_end|>"};
    struct buf vocab = BUF_INIT;
    int id = 0;
    if (k == TINY_SPM) {
        added = spm_marks;
        for (; id < 3; id++)
            buf_printf(&vocab, "%s\"%s\":%d", id ? "," : "", spm_marks[id], id);
        for (int b = 0; b < 256; b++)
            buf_printf(&vocab, ",\"<0x%02X>\":%d", (unsigned)b, id++);
        buf_printf(&vocab, ",\"\xE2\x96\x81\":%d", id++);
        for (char c = 'a'; c <= 'z'; c++)
            buf_printf(&vocab, ",\"%c\":%d", c, id++);
    } else {
        for (; id < 256; id++) {
            char c = (char)id;
            if (id)
                buf_char(&vocab, ',');
            tiny_spelled(&vocab, k, &c, 1);
            buf_printf(&vocab, ":%d", id);
        }
    }
    struct buf list = BUF_INIT;
    for (size_t i = 0; merges[i].left; i++) {
        struct buf both = BUF_INIT;
        buf_str(&both, merges[i].left);
        buf_str(&both, merges[i].right);
        buf_char(&vocab, ',');
        tiny_spelled(&vocab, k, both.data, both.n);
        buf_printf(&vocab, ":%d", id++);
        buf_str(&list, i ? ",[" : "[");
        tiny_spelled(&list, k, merges[i].left, strlen(merges[i].left));
        buf_char(&list, ',');
        tiny_spelled(&list, k, merges[i].right, strlen(merges[i].right));
        buf_char(&list, ']');
        buf_release(&both);
    }
    if (k == TINY_SPM)
        for (size_t i = 0; i < 2; i++)
            buf_printf(&vocab, ",\"%s\":%d", spm_extra[i], id++);
    buf_str(out, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
    for (int i = 0; added && added[i]; i++)
        buf_printf(out,
                   "%s{\"id\":%d,\"content\":\"%s\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                   "\"normalized\":false,\"special\":%s}",
                   i ? "," : "", k == TINY_SPM ? i : id + i, added[i], added[i][1] == '|' || k == TINY_SPM ? "true" : "false");
    buf_str(out, "],");
    tiny_rules(out, k);
    buf_printf(out, "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":null,"
                    "\"end_of_word_suffix\":null,\"fuse_unk\":false,\"byte_fallback\":%s,\"ignore_merges\":%s,\"vocab\":{",
               k == TINY_SPM ? "true" : "false", k == TINY_O200K ? "true" : "false");
    buf_add(out, vocab.data, vocab.n);
    buf_str(out, "},\"merges\":[");
    buf_add(out, list.data ? list.data : "", list.n);
    buf_str(out, "]}}");
    buf_release(&vocab);
    buf_release(&list);
}

/* tiny_open_text - tokenizer_open of a text through a temporary file. */
static inline enum status tiny_open_text(struct tokenizer **out, const char *text, size_t n, struct err *err)
{
    char tmp[] = "/tmp/assay-tiny-XXXXXX";
    int fd = mkstemp(tmp);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (!f || fwrite(text, 1, n, f) != n || fclose(f) != 0)
        abort();
    enum status s = tokenizer_open(out, tmp, err);
    (void)unlink(tmp);
    return s;
}

static inline struct tokenizer *tiny_open(enum tiny_kind k)
{
    struct buf text = BUF_INIT;
    struct tokenizer *t = NULL;
    struct err err = ERR_INIT;
    tiny_json(&text, k, k == TINY_SPM ? tiny_spm_words : tiny_words, k == TINY_O200K ? tiny_gptoss_added : tiny_qwen_added);
    if (tiny_open_text(&t, text.data, text.n, &err)) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    buf_release(&text);
    return t;
}

#endif
