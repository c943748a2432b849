#ifndef ASSAY_EVAL_TASK_PROMPT_H
#define ASSAY_EVAL_TASK_PROMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eval/task.h"

/* From a document to what the model is asked, exactly as lm-evaluation-harness assembles it (design:
 * eval-tasks.md 2 and 4.1). Requests are a pure function of (task, options), so the grader makes them
 * again instead of trusting a file. */

struct task_options {
    bool chat;           /* messages for the model's template; else one raw text */
    bool single_turn;    /* chat: shots and question in one user message */
    const char *system;  /* system instruction; NULL = none */
    int64_t n_shots;     /* -1 = the task's own */
    size_t limit;        /* first so many documents; 0 = all */
    size_t max_tokens;   /* 0 = the task's own */
    double temperature;
    double top_p;
    int64_t top_k;
    int64_t seed;
};

#define TASK_OPTIONS_INIT                                                                                       \
    {.chat = false, .single_turn = false, .system = NULL, .n_shots = -1, .limit = 0, .max_tokens = 0,           \
     .temperature = 0, .top_p = 1, .top_k = 0, .seed = 0}

/* task_shots - how many shots a prompt gets. ERR_USAGE when more are asked for than the task has. */
enum status task_shots(const struct task *t, const struct task_options *o, size_t *out, struct err *err);

size_t task_docs(const struct task *t, const struct task_options *o); /* documents after the limit */

/* task_requests_of - requests of a document: its choices, or 1. */
size_t task_requests_of(const struct task *t, size_t doc);

/* task_prompt_text - text mode, appended: system text + (q + t + a + f) per shot + q. */
enum status task_prompt_text(const struct task *t, const struct task_options *o, size_t doc, struct buf *out,
                             struct err *err);

/* task_prompt_messages - chat mode: a new array of {role, content}; the caller deletes it. */
enum status task_prompt_messages(const struct task *t, const struct task_options *o, size_t doc, cJSON **out,
                                 struct err *err);

/* task_prompt_sha256 - of the text, or of the messages as canonical JSON: 64 hex digits and NUL. */
enum status task_prompt_sha256(const struct task *t, const struct task_options *o, size_t doc, char *out,
                               struct err *err);

/* task_continuation - appended: target delimiter + choice in text mode, the choice alone in chat mode. */
void task_continuation(const struct task *t, const struct task_options *o, size_t doc, size_t choice,
                       struct buf *out);

/* task_request_id - "task/doc" or "task/doc/choice", appended. */
void task_request_id(const struct task *t, size_t doc, size_t choice, struct buf *out);

/* task_request - one line of requests.jsonl; the caller deletes it. White space at the end of a prompt
 * that is scored moves to the front of the continuation. In chat mode no stop texts are sent: they act
 * on the final answer only, which the grader cuts, and would end a model's reasoning too early. */
enum status task_request(const struct task *t, const struct task_options *o, size_t doc, size_t choice, cJSON **out,
                         struct err *err);

#endif
