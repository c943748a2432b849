#ifndef ASSAY_FORMAT_TOKBUILD_H
#define ASSAY_FORMAT_TOKBUILD_H

#include "base/buf.h"
#include "base/err.h"
#include "format/tokfile.h"

/* The one way the tables of a tokenizer come to be, whatever the file. A reader sets the rules in *f,
 * adds every token in true bytes, has them indexed, then gives the merges or has them derived:
 *
 *   tokbuild_init; f->kind, split, ... = what the file says; tokbuild_add *; tokbuild_index;
 *   tokbuild_merge * or tokbuild_derive; tokbuild_end
 *
 * Sentences of tokbuild_add and tokbuild_merge lack the position: the reader puts it before them. */
struct tokbuild_entry {
    int32_t id;
    struct tokmap_key key;
    uint8_t flags;
    float score;
};

struct tokbuild {
    struct tokfile *f;
    const char *name; /* of the file, for messages; borrowed */
    struct err *err;
    struct tokbuild_entry *entries; /* in file order */
    size_t n_entries, cap_entries, cap_merges;
    struct buf spell, whole; /* a merge's bytes while it is looked up */
    bool by_score; /* set by the reader: merges are derived, the highest score first */
};

/* tokbuild_init - *f becomes empty tables, which the caller releases if reading fails. */
void tokbuild_init(struct tokbuild *b, struct tokfile *f, const char *name, struct err *err);

/* tokbuild_text - append a token's spelling, s[0..n) valid UTF-8, to out as the bytes it stands for: byte-level
 * files write bytes as letters, SPM files write text. ERR_FORMAT if empty or not of that alphabet. */
enum status tokbuild_text(const struct tokbuild *b, const char *s, size_t n, struct buf *out);

/* tokbuild_add - a token in true bytes. flags: of enum tokfile_flags 0 (a piece of the vocabulary), ADDED,
 * ADDED|SPECIAL, USER, BYTE or UNUSED (the row exists, its text means nothing). score: SPM by scores; else 0.
 * ERR_RANGE for an id outside 0..TOKFILE_MAX_ID, ERR_FORMAT for an empty text or a NaN, ERR_MEMORY. */
enum status tokbuild_add(struct tokbuild *b, int64_t id, const char *s, size_t n, unsigned flags, float score);

/* tokbuild_spelled - tokbuild_text, then tokbuild_add of it as a piece of the vocabulary. */
enum status tokbuild_spelled(struct tokbuild *b, int64_t id, const char *s, size_t n);

/* tokbuild_index - all tokens are in: fill the tables. ERR_FORMAT, with the file's name, for an id or a text
 * given twice, a gap below the vocabulary's largest id, an added token that contradicts the vocabulary,
 * or a byte without a token. */
enum status tokbuild_index(struct tokbuild *b);

/* tokbuild_merge - the next merge of the file's list, both sides in true bytes. ERR_FORMAT for sides or a result
 * that are no pieces, and for byte-level lists whose result ids fall (see struct tokfile_merge). */
enum status tokbuild_merge(struct tokbuild *b, const char *left, size_t n_left, const char *right, size_t n_right);

/* tokbuild_cut - where the one blank of "left right" is; n when there is none or several, or a side is empty. */
size_t tokbuild_cut(const char *s, size_t n);

/* tokbuild_spelled_merge - tokbuild_merge of "left right", both as the file spells tokens. */
enum status tokbuild_spelled_merge(struct tokbuild *b, const char *s, size_t n);

/* tokbuild_derive - for files without a list: each split of each piece into two pieces is a merge, of
 * priority by id, or by score if by_score. ERR_RANGE for a piece beyond 256 bytes;
 * ERR_UNSUPPORTED by score if some character of a piece is none itself. */
enum status tokbuild_derive(struct tokbuild *b);

/* tokbuild_end - release what only building needs; if s is not OK the tables too. Returns s. */
enum status tokbuild_end(struct tokbuild *b, enum status s);

#endif
