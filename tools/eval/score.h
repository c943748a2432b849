#ifndef ASSAY_EVAL_SCORE_H
#define ASSAY_EVAL_SCORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

/* From a response to a number, exactly as lm-evaluation-harness does (design: eval-tasks.md 3-5). */

#define SCORE_INVALID "[invalid]"

/* A filter pipeline of a task: {"name", "steps": [{"function": ...}]}. Functions:
 *   regex        pattern, select first|last: that match's only group, or its first non-empty one, or
 *                the whole match without groups; stripped; no match = [invalid]
 *   strip        white space off both ends
 *   take_first   the first response; there is one, so nothing happens. Must be last */
struct score_filter;
enum status score_filter_parse(struct score_filter **out, const cJSON *obj, const char *where, struct err *err);
void score_filter_free(struct score_filter *f); /* NULL is fine */
const char *score_filter_name(const struct score_filter *f);

/* score_filter_apply - response[0..n) to the answer, appended. *invalid: no match was found. */
enum status score_filter_apply(const struct score_filter *f, const char *response, size_t n, struct buf *answer,
                               bool *invalid, struct err *err);

enum score_metric_kind { METRIC_ACC, METRIC_ACC_NORM, METRIC_EXACT_MATCH };

/* A metric: {"metric": "acc" | "acc_norm"} or {"metric": "exact_match", "ignore_case",
 * "ignore_punctuation", "ignore_regexes": [...]}. */
struct score_metric;
enum status score_metric_parse(struct score_metric **out, const cJSON *obj, const char *where, struct err *err);
void score_metric_free(struct score_metric *m); /* NULL is fine */
const char *score_metric_name(const struct score_metric *m);
enum score_metric_kind score_metric_kind(const struct score_metric *m);

/* score_exact_match - both texts have the metric's regexes deleted in order, then case, then the ASCII
 * punctuation dropped; hit when the bytes are equal. */
enum status score_exact_match(const struct score_metric *m, const char *answer, const char *target, bool *hit,
                              struct err *err);

/* score_best - index of the largest of n values, the lowest index on ties; n >= 1. */
size_t score_best(const double *values, size_t n);

/* score_stderr - of the mean of n scores: sqrt(sum (x - mean)^2 / (n - 1)) / sqrt(n), n >= 2.
 * Source: eval-tasks.md 5 (the harness's sample standard error). */
double score_stderr(const double *x, size_t n);

#endif
