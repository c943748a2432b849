#ifndef ASSAY_FORMAT_TOKFILE_H
#define ASSAY_FORMAT_TOKFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "format/tokmap.h"

/* A tokenizer as read from whatever file: tables and rules, no behaviour (that is text/tokenizer.h). Two
 * kinds are known, byte-level BPE (gpt-oss, Qwen, Llama 3) and SentencePiece-style BPE with byte fallback (Yi).
 * A file with any other rule is refused by name: a near match would give plausible text and wrong ids. */

enum tokfile_kind { TOKFILE_BYTE_LEVEL, TOKFILE_SPM };
enum tokfile_split { TOKFILE_SPLIT_NONE, TOKFILE_SPLIT_O200K, TOKFILE_SPLIT_QWEN2, TOKFILE_SPLIT_LLAMA3 };

enum tokfile_flags {
    TOKFILE_PRESENT = 1u << 0, /* the id has text */
    TOKFILE_ADDED = 1u << 1,   /* plain text, never formed by merges, found where special tokens are parsed */
    TOKFILE_SPECIAL = 1u << 2, /* added and "special", or user defined and written <|...|> */
    TOKFILE_BYTE = 1u << 3,    /* SPM: a <0xNN> piece */
    TOKFILE_MERGED = 1u << 4,  /* some merge forms it */
    TOKFILE_USER = 1u << 5,    /* SPM: user defined, kept whole wherever text holds it */
    TOKFILE_UNUSED = 1u << 6   /* a row without text that the file itself calls unused */
};

struct tokfile_merge {
    int32_t left, right, result; /* bytes(result) = bytes(left) bytes(right) */
    uint32_t prio; /* lowest first. Byte-level: the result's id, so that position decides between two splits of one
                      token, as in tiktoken. SPM: place in the file's list, or falling with the score. */
};

enum { TOKFILE_MAX_ID = (1 << 20) - 1 };

struct tokfile {
    enum tokfile_kind kind;
    enum tokfile_split split;
    bool nfc;           /* normalise to NFC (Unicode 9.0) before splitting */
    bool ignore_merges; /* a piece that is a token is that token, whatever the merges say */
    bool dummy_prefix;  /* SPM: a text that is not empty gets a blank before it */
    int32_t bos_id;     /* stands before every text by the file's own rule; -1: none does */
    int32_t n_reserved; /* ids from n_tokens on that decode as <|reserved_ID|> and never occur (gpt-oss) */

    size_t n_tokens;            /* largest id + 1 */
    struct tokmap_key *tokens;  /* (n_tokens) where the bytes of an id lie; n = 0 for a gap */
    uint8_t *flags;             /* (n_tokens) enum tokfile_flags */
    struct buf bytes;           /* byte-level: true bytes; SPM: text with U+2581 for a blank */
    struct tokmap index;        /* bytes -> id, added tokens included */
    int32_t byte_id[256];       /* the token of each byte; all are there */

    size_t n_merges;
    struct tokfile_merge *merges; /* in file order, or by result; byte-level: result ids never fall */
    float *scores;                /* (n_tokens) SPM files with scores; else NULL */
    size_t n_added;
    int32_t *added; /* ids in file order */
};

/* tokfile_read_json - tokenizer.json: parse text[0..n). name stands for the file in messages.
 * ERR_FORMAT with file:line:column for what is no such file: bad JSON or UTF-8, an id given twice, a
 * gap below the vocabulary's largest id, two ids for one text, an empty piece, a byte without a token, a
 * merge of unknown pieces, merges whose result ids fall. ERR_RANGE for ids outside 0..TOKFILE_MAX_ID.
 * ERR_UNSUPPORTED naming the rule for anything that would need other code. Nothing is repaired.
 * The caller releases *out after OK; on error nothing is left to release. */
enum status tokfile_read_json(struct tokfile *out, const char *text, size_t n, const char *name, struct err *err);

/* tokfile_read_spm - tokenizer.model, SentencePiece's protobuf: BPE with byte fallback and no normalisation; any
 * other rule is ERR_UNSUPPORTED. Errors as tokfile_read_json's, with "name: piece 5" or "name: byte 17". */
enum status tokfile_read_spm(struct tokfile *out, const void *data, size_t n, const char *name, struct err *err);

/* tokfile_read_tiktoken - `base64 rank` a line, with the split rule and the special tokens of gpt-oss, which
 * follow the last rank. The file itself names neither: tokfile_check_o200k says whether text is the file they
 * belong to (ERR_UNSUPPORTED with its digest when it is another). */
enum status tokfile_read_tiktoken(struct tokfile *out, const char *text, size_t n, const char *name, struct err *err);
enum status tokfile_check_o200k(const void *text, size_t n, const char *name, struct err *err);

/* tokfile_read_vocab - vocab.json with merges.txt, and tokenizer_config.json for rule and added tokens; config
 * NULL: no added tokens, and the vocabulary must be a known one (format/tokknown.h) since it names no rule. */
struct tokfile_part {
    const char *name; /* of the file, for messages */
    const char *text;
    size_t n;
};
enum status tokfile_read_vocab(struct tokfile *out, const struct tokfile_part *vocab, const struct tokfile_part *merges,
                               const struct tokfile_part *config, struct err *err);

/* A text that need not end in NUL; s NULL: absent. */
struct tokfile_span {
    const char *s;
    size_t n;
};
enum tokfile_setting { TOKFILE_ABSENT, TOKFILE_NO, TOKFILE_YES };

/* The tokenizer.ggml.* values of a GGUF file, as they lie in it: borrowed, types and scores little-endian
 * at any alignment. */
struct tokfile_arrays {
    struct tokfile_span model; /* "gpt2" or "llama" */
    struct tokfile_span pre;
    size_t n_tokens;
    const struct tokfile_span *tokens; /* (n_tokens) */
    const void *types;                 /* token_type: (n_tokens) int32; NULL: absent, all are normal */
    const void *scores;                /* (n_tokens) float32; NULL: absent */
    size_t n_merges;
    const struct tokfile_span *merges; /* "left right" */
    int32_t bos_id;                    /* bos_token_id, -1: absent */
    enum tokfile_setting add_bos, add_space_prefix, remove_extra_whitespaces;
};

/* tokfile_read_arrays - tables from a GGUF file's arrays; as tokfile_read_json, with "name: token 5" for
 * positions. The split rule is `pre`'s ("gpt-4o", "qwen2", "llama-bpe"). add_space_prefix absent: known
 * vocabularies (format/tokknown.h) decide, else ERR_UNSUPPORTED, since either guess is wrong for some.
 * add_bos absent: only "llama-bpe" has one. Rows of type 5 (unused) have no text. */
enum status tokfile_read_arrays(struct tokfile *out, const struct tokfile_arrays *a, const char *name, struct err *err);

/* tokfile_read_gguf - tokfile_read_arrays of a GGUF file's metadata. ERR_FORMAT for keys of another type, or
 * arrays of types and scores of another length. */
struct gguf;
enum status tokfile_read_gguf(struct tokfile *out, const struct gguf *g, struct err *err);

/* tokfile_open - read a file of any of these forms; which one its content says. vocab.json and merges.txt are
 * found beside each other, tokenizer_config.json beside them. A directory: the file that tokfile_of_dir picks. */
enum status tokfile_open(struct tokfile *out, const char *path, struct err *err);

/* tokfile_of_dir - base names of the files that make a directory's tokenizer, NULL-ended, the first one to be
 * opened; *out NULL when there is none. SentencePiece's own file goes first: the tokenizer.json made of it lacks
 * user-defined pieces (Yi) or is of a kind not read here (Llama). Then tokenizer.json, which is whole. */
enum status tokfile_of_dir(const char *dir, const char *const **out, struct err *err);

void tokfile_release(struct tokfile *f); /* safe on a zeroed struct */

/* tokfile_find - id whose bytes are s[0..n), or -1. */
int32_t tokfile_find(const struct tokfile *f, const char *s, size_t n);

/* tokfile_text - the bytes of an id that is in range; *n = 0 for a gap. Borrowed. */
const char *tokfile_text(const struct tokfile *f, int32_t id, size_t *n);

#endif
