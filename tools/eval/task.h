#ifndef ASSAY_EVAL_TASK_H
#define ASSAY_EVAL_TASK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "eval/score.h"

struct task_owned;

/* An accuracy task: task.json (definition) and its items, one JSON object a line. The definition says
 * how a document becomes a prompt and how a reply becomes a score, in lm-evaluation-harness's own
 * terms, so that mmlu, gsm8k_cot or bbh are task folders and no code.
 *
 *   schema "task/1", name, version, title
 *   kind            multiple_choice (one log-likelihood request a choice) | generate (one generation)
 *   items           path of the items, relative to task.json
 *   description     system text, ends as it stands; default ""
 *   doc_to_text     template of the question (task_template.h)
 *   doc_to_target   template of the reference answer (generate)
 *   choices         list of continuations, or the name of the items' own list (multiple_choice)
 *   gold            name of the field that holds the right choice's index (multiple_choice)
 *   subset          name of a text field by which scores are also grouped; optional
 *   target_delimiter, shot_delimiter    default " ", "\n\n"
 *   shots           {sampler: "first_n", n, items: [documents], doc_to_target: template or as above}
 *   stop, max_tokens, chance_pct, filters    (generate)
 *   metrics         score.h; the first filter and metric are the headline */

enum task_kind { TASK_MULTIPLE_CHOICE, TASK_GENERATE };

struct task {
    const char *name;
    const char *version;
    const char *items; /* as written: relative to the folder of task.json */
    enum task_kind kind;
    const char *description;
    const char *doc_to_text;
    const char *doc_to_target;
    const char *shot_to_target;
    const char *target_delimiter;
    const char *shot_delimiter;
    const char *subset_field; /* NULL: no subsets */
    const char *gold_field;
    const char *choices_field;    /* NULL: the same choices for every document */
    const char *const *choices;
    size_t n_choices;             /* of `choices` */
    size_t n_shots;               /* when not overridden */
    bool zero_shot;               /* "n": 0 was written: the task stays at 0 whatever is asked for */
    size_t n_shot_pool;
    const cJSON *shot_pool;
    const char *const *stops;
    size_t n_stops;
    size_t max_tokens;
    double chance_pct;
    size_t n_filters;             /* 0 for multiple choice */
    struct score_filter **filters;
    size_t n_metrics;
    struct score_metric **metrics;
    size_t n_docs; /* 0 until task_add_items */
    cJSON *const *docs;
    struct task_owned *owned;
};

/* task_parse - the definition from the bytes of task.json; name stands for the file in messages.
 * ERR_FORMAT naming file and key, ERR_UNSUPPORTED, ERR_MEMORY. The caller frees. */
enum status task_parse(struct task **out, const char *data, size_t n, const char *name, struct err *err);

/* task_add_items - the documents, each checked: its prompt and target can be made, its gold index is
 * one of its choices. */
enum status task_add_items(struct task *t, const char *data, size_t n, const char *name, struct err *err);

void task_free(struct task *t); /* NULL is fine */

/* task_doc_choices - number of choices of a document; task_doc_choice - one of them (borrowed). */
size_t task_doc_choices(const struct task *t, size_t doc);
const char *task_doc_choice(const struct task *t, size_t doc, size_t choice);
size_t task_doc_gold(const struct task *t, size_t doc);

/* task_doc_target - reference answer of a generate task, appended. */
enum status task_doc_target(const struct task *t, size_t doc, struct buf *out, struct err *err);

/* task_doc_subset - its group, "all" when the task has none. Borrowed. */
const char *task_doc_subset(const struct task *t, size_t doc);

#endif
