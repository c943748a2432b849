#ifndef ASSAY_TEXT_ENCODE_H
#define ASSAY_TEXT_ENCODE_H

#include "format/tokfile.h"
#include "text/bpe.h"
#include "text/special.h"
#include "text/spm.h"
#include "text/tokenizer.h"

/* What a loaded tokenizer is made of; opaque outside engine/text. */
struct tokenizer {
    struct tokfile file;
    struct bpe bpe;
    struct special special; /* added tokens */
    bool *whole;            /* (n_tokens) byte-level: a piece with just these bytes is this token */
    struct spm spm;         /* SPM */
};

/* encode_byte_level - normalise, split, merge a stretch of valid UTF-8 without added tokens. */
enum status encode_byte_level(const struct tokenizer *t, const char *s, size_t n, struct ids *out, struct err *err);

/* encode_find_whole - fill t->whole. Where the file says ignore_merges every token counts; else those
 * the merges really make from their own bytes, so that the look-up only saves time. */
enum status encode_find_whole(struct tokenizer *t, struct err *err);

#endif
