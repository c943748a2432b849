#ifndef ASSAY_TEXT_CHAT_INTERNAL_H
#define ASSAY_TEXT_CHAT_INTERNAL_H

#include "text/chat.h"

/* Builds a prompt as ids: markup by id, the text between two marks encoded as one string. So content
 * that spells a mark stays text. Errors are kept; chat_writer_end returns the first. */
struct chat_writer {
    const struct tokenizer *t;
    struct ids *out;
    struct err *err;
    enum status status;
    struct buf text; /* since the last mark */
};

void chat_writer_init(struct chat_writer *w, const struct tokenizer *t, struct ids *out, struct err *err);
void chat_text(struct chat_writer *w, const char *s);
void chat_text_n(struct chat_writer *w, const char *s, size_t n);
void chat_flush(struct chat_writer *w);                  /* encode the text so far: a part ends here */
void chat_mark(struct chat_writer *w, const char *name); /* ERR_UNSUPPORTED if the tokenizer lacks it */
enum status chat_writer_end(struct chat_writer *w);      /* flushes and releases */

enum status chat_ml_render(bool qwen3, const struct tokenizer *t, const struct chat_message *m, size_t n,
                           bool no_thinking, struct ids *out, struct err *err);
enum status chat_ml_split(bool qwen3, const struct tokenizer *t, const int32_t *ids, size_t n, struct chat_parts *out,
                          struct err *err);

/* chat_decode - ids to valid UTF-8, special tokens left out, appended. */
enum status chat_decode(const struct tokenizer *t, const int32_t *ids, size_t n, struct buf *out, struct err *err);

#endif
