#include "synth/synth_tokenizer.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "synth/synth_corpus.h"
#include "synth/synth_json.h"
#include "synth/synth_safetensors.h"

enum { LEAST_JOINS = 150, N_YI_NAMED = 9, N_BYTES = 256 };

/* Facts of the real files: names, order, and which of them decoding hides. NULL: <|reserved_ID|>. */
struct known {
    const char *name;
    bool special;
};

static const struct known gptoss_added[] = {
    {"<|startoftext|>", true}, {"<|endoftext|>", true}, {NULL, true},          {NULL, true},
    {"<|return|>", true},      {"<|constrain|>", true}, {NULL, true},          {"<|channel|>", true},
    {"<|start|>", true},       {"<|end|>", true},       {"<|message|>", true}, {NULL, true},
    {NULL, true},              {NULL, true},            {"<|call|>", true},    {NULL, true},
    {NULL, true},              {NULL, true},            {NULL, true},          {NULL, true},
    {"<|endofprompt|>", true},
};

static const struct known qwen3_added[] = {
    {"<|endoftext|>", true},      {"<|im_start|>", true},     {"<|im_end|>", true},     {"<|object_ref_start|>", true},
    {"<|object_ref_end|>", true}, {"<|box_start|>", true},    {"<|box_end|>", true},    {"<|quad_start|>", true},
    {"<|quad_end|>", true},       {"<|vision_start|>", true}, {"<|vision_end|>", true}, {"<|vision_pad|>", true},
    {"<|image_pad|>", true},      {"<|video_pad|>", true},    {"<tool_call>", false},   {"</tool_call>", false},
    {"<|fim_prefix|>", false},    {"<|fim_middle|>", false},  {"<|fim_suffix|>", false}, {"<|fim_pad|>", false},
    {"<|repo_name|>", false},     {"<|file_sep|>", false},    {"<tool_response>", false}, {"</tool_response>", false},
    {"<think>", false},           {"</think>", false},
};

static const char *const yi_named[N_YI_NAMED] = {"<unk>",      "<|startoftext|>", "<|endoftext|>",
                                                 "<|Human|>",  "<|Assistant|>",   "<|System|>",
                                                 "<|im_start|>", "<|im_end|>",    "<|im_sep|>"};

static const char o200k_pattern[] =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char qwen2_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"
    "|\\s+(?!\\S)|\\s+";

static void add_known(struct synth_tokenizer *t, const struct known *known, size_t n, size_t first_id)
{
    for (size_t i = 0; i < n; i++) {
        struct synth_added *a = &t->added[t->n_added++];
        a->id = first_id + i;
        a->special = known[i].special;
        if (known[i].name == NULL)
            (void)snprintf(a->name, sizeof a->name, "<|reserved_%zu|>", a->id);
        else
            (void)snprintf(a->name, sizeof a->name, "%s", known[i].name);
    }
}

static enum status too_small(const struct synth_shape *s, size_t least, struct err *err)
{
    return err_set(err, ERR_USAGE, "--vocab: expected at least %zu (bytes, %d joins, special tokens), found %zu", least,
                   LEAST_JOINS, s->vocab_size);
}

/* A sixteenth of the rows stays without text, as real files pad theirs, where there is room for it. */
static enum status train_bytes(struct synth_tokenizer *t, const struct synth_shape *s, const struct known *known,
                               size_t n_known, enum synth_cut cut, struct err *err)
{
    size_t least = N_BYTES + LEAST_JOINS + n_known;
    if (s->vocab_size < least)
        return too_small(s, least, err);
    size_t room = s->vocab_size - least, pad = s->vocab_size / 16;
    size_t n_joins = LEAST_JOINS + (room > pad ? room - pad : 0);
    enum status st = synth_bpe_train(&t->pieces, cut, synth_corpus_lines(), 0, n_joins, err);
    if (st == OK)
        add_known(t, known, n_known, t->pieces.n);
    return st;
}

static enum status train_yi(struct synth_tokenizer *t, const struct synth_shape *s, struct err *err)
{
    static const size_t added_ids[] = {0, 1, 2, 6, 7, 8};
    enum { LEAST_CHARACTERS = 100 };
    size_t least = N_YI_NAMED + N_BYTES + LEAST_JOINS + LEAST_CHARACTERS;
    if (s->vocab_size < least)
        return too_small(s, least, err);
    size_t room = s->vocab_size - N_YI_NAMED - N_BYTES;
    // Characters first: a trial run says how many there are, the joins take what is left.
    struct synth_pieces trial = {.v = NULL};
    enum status st = synth_bpe_train(&trial, SYNTH_CUT_SPM, synth_corpus_lines(), room - LEAST_JOINS, 0, err);
    size_t n_characters = trial.n;
    synth_pieces_release(&trial);
    if (st == OK)
        st = synth_bpe_train(&t->pieces, SYNTH_CUT_SPM, synth_corpus_lines(), n_characters, room - n_characters, err);
    for (size_t i = 0; st == OK && i < sizeof added_ids / sizeof added_ids[0]; i++)
        add_known(t, &(struct known){yi_named[added_ids[i]], true}, 1, added_ids[i]);
    return st;
}

enum status synth_tokenizer_train(struct synth_tokenizer *out, const struct synth_shape *s, struct err *err)
{
    struct synth_tokenizer t = {.family = s->family, .vocab_size = s->vocab_size};
    enum status st = OK;
    switch (s->family) {
    case SYNTH_GPTOSS:
        st = train_bytes(&t, s, gptoss_added, sizeof gptoss_added / sizeof gptoss_added[0], SYNTH_CUT_O200K, err);
        break;
    case SYNTH_QWEN3:
        st = train_bytes(&t, s, qwen3_added, sizeof qwen3_added / sizeof qwen3_added[0], SYNTH_CUT_QWEN2, err);
        break;
    case SYNTH_YI:
        st = train_yi(&t, s, err);
        break;
    }
    if (st == OK)
        *out = t;
    return st;
}

void synth_tokenizer_release(struct synth_tokenizer *t)
{
    synth_pieces_release(&t->pieces);
}

size_t synth_tokenizer_id(const struct synth_tokenizer *t, const char *name)
{
    for (size_t i = 0; i < t->n_added; i++)
        if (strcmp(t->added[i].name, name) == 0)
            return t->added[i].id;
    return SIZE_MAX;
}

/* Text of bytes as the files spell it: one letter of the byte alphabet each. */
static void spell(struct buf *out, const struct synth_pieces *p, const char *text, size_t n)
{
    if (p->characters) {
        buf_add(out, text, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint8_t utf8[4];
        buf_add(out, utf8, utf8_encode(synth_byte_code_point((uint8_t)text[i]), utf8));
    }
}

static void spelled_int(struct jsonw *w, struct buf *scratch, const struct synth_pieces *p, size_t i, size_t id)
{
    buf_clear(scratch);
    spell(scratch, p, p->v[i].text, p->v[i].n);
    if (!scratch->failed)
        jsonw_int(w, scratch->data, (int64_t)id);
}

static void write_vocab(struct jsonw *w, struct buf *scratch, const struct synth_tokenizer *t)
{
    const struct synth_pieces *p = &t->pieces;
    size_t id = 0;
    jsonw_open(w, "vocab", '{');
    if (p->characters) {
        char name[SYNTH_ADDED_NAME_B];
        for (; id < N_YI_NAMED; id++)
            jsonw_int(w, yi_named[id], (int64_t)id);
        for (unsigned b = 0; b < N_BYTES; b++) {
            (void)snprintf(name, sizeof name, "<0x%02X>", b);
            jsonw_int(w, name, (int64_t)id++);
        }
        for (size_t i = p->n_base; i < p->n; i++)
            spelled_int(w, scratch, p, i, id++);
        for (size_t i = 0; i < p->n_base; i++)
            spelled_int(w, scratch, p, i, id++);
        for (size_t i = 0; id < t->vocab_size; i++) {
            (void)snprintf(name, sizeof name, "<|unused%zu|>", i);
            jsonw_int(w, name, (int64_t)id++);
        }
    } else {
        for (size_t i = 0; i < p->n; i++)
            spelled_int(w, scratch, p, i, id++);
    }
    jsonw_close(w, '}');
}

static void write_join(struct jsonw *w, struct buf *a, struct buf *b, const struct synth_pieces *p,
                       const struct synth_piece *x, size_t left_n)
{
    buf_clear(a);
    buf_clear(b);
    spell(a, p, x->text, left_n);
    spell(b, p, x->text + left_n, x->n - left_n);
    if (p->characters) {
        buf_char(a, ' ');
        buf_add(a, b->data, b->n);
        jsonw_strn(w, NULL, a->data, a->n);
        return;
    }
    jsonw_open(w, NULL, '[');
    jsonw_strn(w, NULL, a->data, a->n);
    jsonw_strn(w, NULL, b->data, b->n);
    jsonw_close(w, ']');
}

/* In the order of the results' ids, which is the order of their priority. */
static void write_joins(struct jsonw *w, struct buf *a, struct buf *b, const struct synth_tokenizer *t)
{
    const struct synth_pieces *p = &t->pieces;
    jsonw_open(w, "merges", '[');
    for (size_t i = p->n_base; i < p->n; i++) {
        const struct synth_piece *x = &p->v[i];
        if (t->family == SYNTH_QWEN3)
            write_join(w, a, b, p, x, x->left_n);
        else
            for (size_t k = 1; k < x->n; k++)
                if (synth_pieces_find(p, x->text, k) != SIZE_MAX &&
                    synth_pieces_find(p, x->text + k, x->n - k) != SIZE_MAX)
                    write_join(w, a, b, p, x, k);
    }
    jsonw_close(w, ']');
}

static void write_added(struct jsonw *w, const struct synth_tokenizer *t)
{
    jsonw_open(w, "added_tokens", '[');
    for (size_t i = 0; i < t->n_added; i++) {
        jsonw_open(w, NULL, '{');
        jsonw_int(w, "id", (int64_t)t->added[i].id);
        jsonw_str(w, "content", t->added[i].name);
        jsonw_raw(w, "single_word", "false");
        jsonw_raw(w, "lstrip", "false");
        jsonw_raw(w, "rstrip", "false");
        jsonw_raw(w, "normalized", "false");
        jsonw_raw(w, "special", t->added[i].special ? "true" : "false");
        jsonw_close(w, '}');
    }
    jsonw_close(w, ']');
}

static void write_byte_level(struct jsonw *w, const char *key, bool add_prefix_space, bool trim_offsets, bool use_regex)
{
    jsonw_open(w, key, '{');
    jsonw_str(w, "type", "ByteLevel");
    jsonw_raw(w, "add_prefix_space", add_prefix_space ? "true" : "false");
    jsonw_raw(w, "trim_offsets", trim_offsets ? "true" : "false");
    jsonw_raw(w, "use_regex", use_regex ? "true" : "false");
    jsonw_close(w, '}');
}

/* Normaliser, pre-tokeniser, post-processor and decoder, with the flags of the real files: those of
 * gpt-oss and Qwen3 differ where it does not matter, and a reader must accept both. */
static void write_rules(struct jsonw *w, enum synth_family family)
{
    bool o200k = family == SYNTH_GPTOSS;
    if (o200k) {
        jsonw_raw(w, "normalizer", "null");
    } else {
        jsonw_open(w, "normalizer", '{');
        jsonw_str(w, "type", "NFC");
        jsonw_close(w, '}');
    }
    jsonw_open(w, "pre_tokenizer", '{');
    jsonw_str(w, "type", "Sequence");
    jsonw_open(w, "pretokenizers", '[');
    jsonw_open(w, NULL, '{');
    jsonw_str(w, "type", "Split");
    jsonw_open(w, "pattern", '{');
    jsonw_str(w, "Regex", o200k ? o200k_pattern : qwen2_pattern);
    jsonw_close(w, '}');
    jsonw_str(w, "behavior", "Isolated");
    jsonw_raw(w, "invert", "false");
    jsonw_close(w, '}');
    write_byte_level(w, NULL, false, o200k, false);
    jsonw_close(w, ']');
    jsonw_close(w, '}');
    write_byte_level(w, "post_processor", o200k, false, o200k);
    write_byte_level(w, "decoder", o200k, o200k, o200k);
}

static void write_replace(struct jsonw *w, const char *from, const char *to)
{
    jsonw_open(w, NULL, '{');
    jsonw_str(w, "type", "Replace");
    jsonw_open(w, "pattern", '{');
    jsonw_str(w, "String", from);
    jsonw_close(w, '}');
    jsonw_str(w, "content", to);
    jsonw_close(w, '}');
}

static void write_type(struct jsonw *w, const char *type)
{
    jsonw_open(w, NULL, '{');
    jsonw_str(w, "type", type);
    jsonw_close(w, '}');
}

static void write_yi_rules(struct jsonw *w)
{
    jsonw_open(w, "normalizer", '{');
    jsonw_str(w, "type", "Sequence");
    jsonw_open(w, "normalizers", '[');
    write_replace(w, " ", "\xE2\x96\x81");
    jsonw_close(w, ']');
    jsonw_close(w, '}');
    jsonw_raw(w, "pre_tokenizer", "null");
    jsonw_raw(w, "post_processor", "null");
    jsonw_open(w, "decoder", '{');
    jsonw_str(w, "type", "Sequence");
    jsonw_open(w, "decoders", '[');
    write_replace(w, "\xE2\x96\x81", " ");
    write_type(w, "ByteFallback");
    write_type(w, "Fuse");
    jsonw_close(w, ']');
    jsonw_close(w, '}');
}

static void write_model_flags(struct jsonw *w, enum synth_family family)
{
    bool yi = family == SYNTH_YI;
    const char *affix = family == SYNTH_QWEN3 ? "\"\"" : "null";
    jsonw_str(w, "type", "BPE");
    jsonw_raw(w, "dropout", "null");
    jsonw_raw(w, "unk_token", yi ? "\"<unk>\"" : "null");
    jsonw_raw(w, "continuing_subword_prefix", affix);
    jsonw_raw(w, "end_of_word_suffix", affix);
    jsonw_raw(w, "fuse_unk", yi ? "true" : "false");
    jsonw_raw(w, "byte_fallback", yi ? "true" : "false");
    if (!yi) // the Yi file is older than this key
        jsonw_raw(w, "ignore_merges", family == SYNTH_GPTOSS ? "true" : "false");
}

enum status synth_tokenizer_write(const struct synth_tokenizer *t, const char *dir, struct err *err)
{
    struct buf text = BUF_INIT, a = BUF_INIT, b = BUF_INIT;
    struct jsonw w = {.out = &text};
    jsonw_open(&w, NULL, '{');
    jsonw_str(&w, "version", "1.0");
    jsonw_raw(&w, "truncation", "null");
    jsonw_raw(&w, "padding", "null");
    write_added(&w, t);
    if (t->family == SYNTH_YI)
        write_yi_rules(&w);
    else
        write_rules(&w, t->family);
    jsonw_open(&w, "model", '{');
    write_model_flags(&w, t->family);
    write_vocab(&w, &a, t);
    write_joins(&w, &a, &b, t);
    jsonw_close(&w, '}');
    jsonw_close(&w, '}');
    text.failed = text.failed || a.failed || b.failed;
    enum status st = buf_status(&text, "tokenizer.json", err);
    st = st ? st : synth_file_write(dir, "tokenizer.json", text.data, text.n, err);
    buf_release(&a);
    buf_release(&b);
    buf_release(&text);
    return st;
}
