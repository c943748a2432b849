#ifndef ASSAY_DRIVE_INFER_REQUEST_H
#define ASSAY_DRIVE_INFER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine.h"
#include "lib/records.h"

/* Requests as people and tools write them (schema requests/1), made ready for a session: text to ids,
 * conversations to ids, continuations split off. All are checked before any of them runs. */

struct infer_request {
    struct request r; /* ready to submit */
    bool chat;        /* the answer is taken apart into reasoning and final text */
};

struct infer_list {
    struct arena *arena; /* everything the requests point to */
    struct infer_request *items;
    size_t n;
    size_t context_tok; /* what the longest of them needs */
};

/* What a request gets that does not say. A default max_tokens shrinks to what fits, an explicit one is
 * an error when it does not. */
struct infer_defaults {
    size_t max_tokens;
    bool max_tokens_given;
    struct sampling sampling;
};

void infer_list_release(struct infer_list *l); /* safe on a zeroed struct */

/* infer_list_parse - all rows of a requests file. Log-likelihood requests are split as
 * lm-evaluation-harness does: trailing white space of the prompt moves to the continuation, and the
 * ids of both together are cut at the length of the ids of the prompt alone; an empty prompt is the
 * model's prefix id; what is too long loses ids on the left of the prompt (eval-tasks.md 4.1).
 * ERR_FORMAT, ERR_CONTEXT, ERR_UNSUPPORTED, ... with file:line or id. */
enum status infer_list_parse(struct infer_list *l, const struct model *m, const struct records *rows, const char *file,
                             const struct infer_defaults *d, struct err *err);

/* infer_one - the list of one request from the command line: exactly one of text and ids; chat makes
 * the text a user's message. */
enum status infer_one(struct infer_list *l, const struct model *m, const char *text, const int32_t *ids, size_t n_ids,
                      bool chat, const struct infer_defaults *d, struct err *err);

/* infer_text - append the text of generated ids: special tokens left out, cut before the first stop
 * text, invalid bytes and NUL as U+FFFD, so that it is JSON text. */
enum status infer_text(const struct model *m, const struct request *r, const int32_t *ids, size_t n, struct buf *out,
                       struct err *err);

/* infer_clean - append bytes as JSON text: invalid UTF-8 and NUL become U+FFFD. */
void infer_clean(const char *bytes, size_t n, struct buf *out);

#endif
