#ifndef ASSAY_SYNTH_SYNTH_BPE_H
#define ASSAY_SYNTH_SYNTH_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Byte-pair training on the project's own text (synth_corpus.h). Deterministic: the most frequent
 * neighbouring pair is joined, ties go to the lowest left id, then the lowest right id. */

/* How the text is cut before training; a join never crosses a cut. The cuts are a coarse form of what
 * the real pre-tokenizers do: any set of joins gives a valid tokenizer, close cuts give a useful one. */
enum synth_cut { SYNTH_CUT_O200K, SYNTH_CUT_QWEN2, SYNTH_CUT_SPM };

struct synth_piece {
    char *text; /* owned; bytes, or UTF-8 with U+2581 for a space (SPM); no NUL at the end */
    size_t n;
    size_t left_n; /* joins: bytes of the left part */
};

/* Pieces: [0, n_base) are bytes in the order of the byte alphabet (O200K, QWEN2) or characters in
 * falling frequency (SPM); [n_base, n) are joins in the order found. */
struct synth_pieces {
    struct synth_piece *v; /* owned */
    size_t n, n_base;
    bool characters; /* base pieces are characters, not bytes */
};

/* synth_bpe_train - at most n_merges joins (fewer when no pair is left that occurs twice).
 * max_characters: SPM, most characters that get a piece; those seen once never do, so that byte
 * fallback is met. ERR_MEMORY. Release with _release. */
enum status synth_bpe_train(struct synth_pieces *out, enum synth_cut cut, const char *const *lines,
                            size_t max_characters, size_t n_merges, struct err *err);
void synth_pieces_release(struct synth_pieces *p);

/* synth_pieces_find - index of the piece with this text, or SIZE_MAX. */
size_t synth_pieces_find(const struct synth_pieces *p, const char *text, size_t n);

/* synth_byte_id, synth_byte_code_point - the byte alphabet of GPT-2: 33..126, 161..172 and 174..255
 * stand for themselves and come first, the other 68 bytes are U+0100, U+0101, ... */
unsigned synth_byte_id(uint8_t byte);
uint32_t synth_byte_code_point(uint8_t byte);

#endif
