#ifndef ASSAY_EVAL_TASK_GRADE_H
#define ASSAY_EVAL_TASK_GRADE_H

#include <stdbool.h>
#include <stddef.h>

#include "eval/task.h"
#include "eval/task_prompt.h"
#include "eval/task_transcripts.h"

/* Grading: (task, options, transcripts) -> one item a document and filter, and their sums. A pure
 * function of its inputs, without a model: the same bytes on every machine, for ever. */

enum grade_label {
    GRADE_CORRECT,
    GRADE_WRONG,
    GRADE_INVALID,  /* the filter found no answer */
    GRADE_NO_FINAL, /* generation ended inside the reasoning: wrong, counted apart */
    GRADE_ERROR     /* the request failed: wrong, counted apart */
};
const char *grade_label_name(enum grade_label l); /* "correct" "wrong" "invalid" "no_final" "error" */

struct grade_item {
    size_t doc;
    size_t filter;         /* index; 0 for multiple choice */
    enum grade_label label; /* by the first metric */
    bool hit[3];           /* per metric of the task */
    bool truncated;
    size_t out_tok;
    const char *id;        /* "task/doc" */
    const char *answer;    /* what the filter took out; the chosen letter or text */
    const char *target;
    const char *response;  /* what was scored, stops cut; "" for multiple choice */
    const char *reasoning;
    const double *logprobs; /* multiple choice: per choice */
    size_t n_logprobs;
};

/* Sums of one (filter, metric, subset). */
struct grade_sum {
    size_t filter;
    size_t metric;
    const char *subset; /* "all" first, then each in order of appearance */
    size_t n;
    size_t correct;
    size_t invalid, no_final, error, truncated;
    double mean;       /* of the 0/1 scores */
    double stderr_mean; /* standard error; 0 when n is 1 (has_stderr false) */
    bool has_stderr;
    double chance;     /* mean share that guessing reaches */
    size_t out_tok;    /* total */
};

struct grade {
    size_t n_items;
    const struct grade_item *items; /* filter by filter, documents in order */
    size_t n_sums;
    const struct grade_sum *sums; /* filter by filter, metric by metric */
    struct grade_owned *owned;
};

struct grade_options {
    bool force_raw; /* score raw text of a harmony model */
};

/* task_grade - ERR_FORMAT for missing, doubled, left-over or unreadable rows; ERR_UNSUPPORTED when raw
 * text with harmony markup is to be scored without force_raw. The caller frees; the transcripts' rows
 * must outlive the result. */
enum status task_grade(struct grade **out, const struct task *t, const struct task_options *o,
                       const struct transcripts *answers, const struct grade_options *g, struct err *err);
void grade_free(struct grade *g); /* NULL is fine */

#endif
