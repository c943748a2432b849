#ifndef ASSAY_TEXT_TOKENIZER_H
#define ASSAY_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* A tokenizer is immutable after loading and may be shared by threads. */
struct tokenizer;

/* A growing list of token ids; zero-initialise, check failed once at the end, release. */
struct ids {
    int32_t *v;
    size_t n, cap;
    bool failed;
};
void ids_add(struct ids *a, int32_t id);
void ids_release(struct ids *a);
enum status ids_status(const struct ids *a, struct err *err);

/* tokenizer_open - a tokenizer file of any known form, or a directory with one (format/tokfile.h). Unknown rules are ERR_UNSUPPORTED
 * naming them, never guessed. Caller frees. */
enum status tokenizer_open(struct tokenizer **out, const char *path, struct err *err);
void tokenizer_free(struct tokenizer *t);

/* tokenizer_from_gguf - the tokenizer of a GGUF file that is open already. Borrows nothing. Caller frees. */
struct gguf;
enum status tokenizer_from_gguf(struct tokenizer **out, const struct gguf *g, struct err *err);

/* tokenizer_bos - the id that the file's own rule puts before every text (Llama 3), -1: none. Encoding never
 * adds it: whoever starts a sequence with plain text does. */
int32_t tokenizer_bos(const struct tokenizer *t);

/* tokenizer_encode - append the ids of text[0..n): everything is text, special tokens are not parsed.
 * Invalid UTF-8 becomes U+FFFD first. tokenizer_encode_parsed recognises added tokens.
 * tokenizer_encode_content is for text between a chat's marks: it is no start of a text, and not even what
 * SentencePiece itself always recognises (Yi's user-defined <|im_end|>) becomes a mark. */
enum status tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, struct ids *out, struct err *err);
enum status tokenizer_encode_parsed(const struct tokenizer *t, const char *text, size_t n, struct ids *out,
                                    struct err *err);
enum status tokenizer_encode_content(const struct tokenizer *t, const char *text, size_t n, struct ids *out,
                                     struct err *err);

/* tokenizer_decode - append the bytes of ids, which follow others or do not: a token or a whole answer.
 * skip_special leaves special (not merely added) tokens out. ERR_RANGE for an id outside the table. The bytes
 * may end inside a character. tokenizer_decode_text is for ids that start a text: the blank that encoding
 * put before it goes. */
enum status tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                             struct buf *out, struct err *err);
enum status tokenizer_decode_text(const struct tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                                  struct buf *out, struct err *err);

size_t tokenizer_size(const struct tokenizer *t); /* largest id + 1 */
int32_t tokenizer_special(const struct tokenizer *t, const char *name); /* id of an added token, -1 if none */
bool tokenizer_is_special(const struct tokenizer *t, int32_t id);
/* tokenizer_has_text - false for ids that must never be sampled (reserved, padding rows). */
bool tokenizer_has_text(const struct tokenizer *t, int32_t id);

/* Streaming decode: bytes go in, the longest complete UTF-8 prefix comes out; what can no longer be
 * completed comes out as U+FFFD at once. */
struct utf8_stream {
    uint8_t held[4];
    size_t n;
};
void utf8_stream_add(struct utf8_stream *s, const char *bytes, size_t n, struct buf *out);
void utf8_stream_finish(struct utf8_stream *s, struct buf *out);

#endif
