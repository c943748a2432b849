#ifndef ASSAY_EVAL_TASK_TRANSCRIPTS_H
#define ASSAY_EVAL_TASK_TRANSCRIPTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/json.h"

/* The answers infer wrote (transcripts.jsonl), matched against the requests that were asked. */

/* One answer. Strings are borrowed from the row. */
struct transcript {
    bool ok;                   /* status "ok" */
    const char *text;          /* all generated text; "" when absent */
    const char *reasoning;     /* "" when absent */
    const char *final;         /* "" when absent */
    bool has_final;            /* a final answer was begun */
    bool truncated;            /* ended at the token limit */
    const char *finish_reason; /* "" when absent */
    size_t out_tok;            /* generated tokens; 0 for a scored request */
    double logprob;            /* scored requests */
};

struct transcripts; /* rows by id */

/* transcripts_new - index n rows (borrowed; row i stands in line i + 1 of name). ERR_FORMAT naming the id
 * when two rows share one, ERR_MEMORY. */
enum status transcripts_new(struct transcripts **out, const cJSON *const *rows, size_t n, const char *name,
                            struct err *err);
void transcripts_free(struct transcripts *t); /* NULL is fine */

/* transcripts_match - each of the n ids has a row and no row is left over. ERR_FORMAT counting what is
 * missing or left over and naming the first. */
enum status transcripts_match(const struct transcripts *t, const char *const *ids, size_t n, struct err *err);

/* transcripts_get - the answer to a request. score: it must hold a log-likelihood; else a text.
 * ERR_FORMAT naming file, id and key. */
enum status transcripts_get(const struct transcripts *t, const char *id, bool score, struct transcript *out,
                            struct err *err);

#endif
