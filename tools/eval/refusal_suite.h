#ifndef ASSAY_EVAL_REFUSAL_SUITE_H
#define ASSAY_EVAL_REFUSAL_SUITE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

struct refusal_owned;

/* A refusal suite: suite.json {"schema": "suite/1", "name", "version", "title", "files": [...],
 * "max_tokens", "system"} and prompts, one {"id", "label": "safe" | "unsafe", "type", "prompt"} a line.
 * A suite without both kinds is refused: a refusal rate without its over-refusal control says nothing,
 * so the two are never apart. */

struct refusal_prompt {
    const char *id;
    bool unsafe;
    const char *type;
    const char *prompt;
};

struct refusal_suite {
    const char *name;
    const char *version;
    const char *system; /* NULL: none */
    size_t max_tokens;
    const char *const *files; /* as written, relative to suite.json's folder */
    size_t n_files;
    size_t n_prompts;
    const struct refusal_prompt *prompts;
    struct refusal_owned *owned;
};

/* refusal_suite_parse - from the bytes of suite.json; the caller frees. */
enum status refusal_suite_parse(struct refusal_suite **out, const char *data, size_t n, const char *name,
                                struct err *err);

/* refusal_suite_add - the prompts of one file, in the order of `files`. */
enum status refusal_suite_add(struct refusal_suite *s, const char *data, size_t n, const char *name, struct err *err);

/* refusal_suite_check - after the last file: both kinds are there, no id twice. */
enum status refusal_suite_check(const struct refusal_suite *s, const char *name, struct err *err);

void refusal_suite_free(struct refusal_suite *s); /* NULL is fine */

/* refusal_request_id - "suite/id", appended. */
void refusal_request_id(const struct refusal_suite *s, size_t prompt, struct buf *out);

/* refusal_request - one line of requests.jsonl: the prompt alone as a user message, greedy, no stop
 * texts. max_tokens 0 = the suite's own. The caller deletes it. */
enum status refusal_request(const struct refusal_suite *s, size_t prompt, size_t max_tokens, cJSON **out,
                            struct err *err);

#endif
