#ifndef ASSAY_TEXT_SPM_H
#define ASSAY_TEXT_SPM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "format/tokfile.h"
#include "text/bpe.h"
#include "text/special.h"
#include "text/tokenizer.h"

/* SentencePiece BPE with byte fallback. By the definition the whole text is one run of merges. But no merge
 * joins two characters that stand side by side in no piece (most blanks' left side, most pairs of rare
 * characters), so the run is cut there, exactly, and most of what is left is a piece by itself. */
struct spm {
    struct special user; /* user-defined pieces, kept whole */
    uint64_t *joins;     /* bit of hash(a, b): some merge may join a character a to a following b */
    bool *whole;         /* (n_tokens) a run with just this text becomes this one token */
};

enum status spm_init(struct spm *m, const struct tokfile *f, const struct bpe *b, struct err *err);
void spm_release(struct spm *m);

/* spm_encode - append the ids of s[0..n), valid UTF-8; first: it starts a text, where a dummy prefix belongs.
 * content: pieces that are chat marks (<|im_start|>) are not recognised. */
enum status spm_encode(const struct spm *m, const struct tokfile *f, const struct bpe *b, const char *s, size_t n,
                       bool first, bool content, struct ids *out, struct err *err);

#endif
