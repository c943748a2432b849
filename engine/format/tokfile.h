#ifndef ASSAY_FORMAT_TOKFILE_H
#define ASSAY_FORMAT_TOKFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "format/tokmap.h"

/* A tokenizer.json as read: tables and rules, no behaviour (that is text/tokenizer.h). Two kinds are
 * known, byte-level BPE (gpt-oss, Qwen) and SentencePiece-style BPE with byte fallback (Yi). A file
 * with any other rule is refused by name: a near match would give plausible text and wrong ids. */

enum tokfile_kind { TOKFILE_BYTE_LEVEL, TOKFILE_SPM };
enum tokfile_split { TOKFILE_SPLIT_NONE, TOKFILE_SPLIT_O200K, TOKFILE_SPLIT_QWEN2 };

enum tokfile_flags {
    TOKFILE_PRESENT = 1u << 0, /* the id has text */
    TOKFILE_ADDED = 1u << 1,   /* listed in added_tokens: plain text, never formed by merges */
    TOKFILE_SPECIAL = 1u << 2, /* added and "special" */
    TOKFILE_BYTE = 1u << 3,    /* SPM: a <0xNN> piece */
    TOKFILE_MERGED = 1u << 4   /* some merge forms it */
};

struct tokfile_merge {
    int32_t left, right, result; /* bytes(result) = bytes(left) bytes(right) */
};

enum { TOKFILE_MAX_ID = (1 << 20) - 1 };

struct tokfile {
    enum tokfile_kind kind;
    enum tokfile_split split;
    bool nfc;           /* normalise to NFC (Unicode 9.0) before splitting */
    bool ignore_merges; /* a piece that is a token is that token, whatever the merges say */

    size_t n_tokens;            /* largest id + 1 */
    struct tokmap_key *tokens;  /* (n_tokens) where the bytes of an id lie; n = 0 for a gap */
    uint8_t *flags;             /* (n_tokens) enum tokfile_flags */
    struct buf bytes;           /* byte-level: true bytes; SPM: text with U+2581 for a blank */
    struct tokmap index;        /* bytes -> id, added tokens included */
    int32_t byte_id[256];       /* the token of each byte; all are there */

    size_t n_merges;
    struct tokfile_merge *merges; /* in file order; result ids never fall */
    size_t n_added;
    int32_t *added; /* ids in file order */
};

/* tokfile_read - parse text[0..n). name stands for the file in messages.
 * ERR_FORMAT with file:line:column for what is no such file: bad JSON or UTF-8, an id given twice, a
 * gap below the vocabulary's largest id, two ids for one text, an empty piece, a byte without a token, a
 * merge of unknown pieces, merges whose result ids fall. ERR_RANGE for ids outside 0..TOKFILE_MAX_ID.
 * ERR_UNSUPPORTED naming the rule for anything that would need other code. Nothing is repaired.
 * The caller releases *out after OK; on error nothing is left to release. */
enum status tokfile_read(struct tokfile *out, const char *text, size_t n, const char *name, struct err *err);
void tokfile_release(struct tokfile *f); /* safe on a zeroed struct */

/* tokfile_find - id whose bytes are s[0..n), or -1. */
int32_t tokfile_find(const struct tokfile *f, const char *s, size_t n);

/* tokfile_text - the bytes of an id that is in range; *n = 0 for a gap. Borrowed. */
const char *tokfile_text(const struct tokfile *f, int32_t id, size_t *n);

#endif
