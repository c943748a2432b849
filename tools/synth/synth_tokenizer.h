#ifndef ASSAY_SYNTH_SYNTH_TOKENIZER_H
#define ASSAY_SYNTH_SYNTH_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "synth/synth_bpe.h"
#include "synth/synth_shape.h"

/* A synthetic tokenizer: trained pieces, and the family's special tokens by their real names.
 *   gpt-oss   bytes, joins, then 21 added tokens in the real order, then rows without text
 *   Qwen3     bytes, joins, then 26 added tokens in the real order, then rows without text
 *   Yi        9 named pieces, <0x00>..<0xFF>, joins, characters, <|unusedN|>: all ids have a piece */
enum { SYNTH_MAX_ADDED = 26, SYNTH_ADDED_NAME_B = 32 };

struct synth_added {
    char name[SYNTH_ADDED_NAME_B];
    size_t id;
    bool special; /* left out when text is decoded without special tokens */
};

struct synth_tokenizer {
    enum synth_family family;
    size_t vocab_size; /* rows of the embedding */
    struct synth_pieces pieces;
    size_t n_added;
    struct synth_added added[SYNTH_MAX_ADDED];
};

/* synth_tokenizer_train - ERR_USAGE when the vocabulary of the shape is too small for bytes, 150 joins
 * and special tokens. Release with _release. */
enum status synth_tokenizer_train(struct synth_tokenizer *out, const struct synth_shape *s, struct err *err);
void synth_tokenizer_release(struct synth_tokenizer *t);

/* synth_tokenizer_id - id of an added token that the family has. */
size_t synth_tokenizer_id(const struct synth_tokenizer *t, const char *name);

/* synth_tokenizer_write - dir/tokenizer.json, in the structure of the family's real file: the pattern
 * strings verbatim, joins as pairs (gpt-oss: every split of every token, Qwen3: one each) or, for Yi,
 * as the older "left right" strings. */
enum status synth_tokenizer_write(const struct synth_tokenizer *t, const char *dir, struct err *err);

#endif
