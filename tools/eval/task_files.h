#ifndef ASSAY_EVAL_TASK_FILES_H
#define ASSAY_EVAL_TASK_FILES_H

#include "eval/refusal_suite.h"
#include "eval/task.h"
#include "eval/task_transcripts.h"
#include "lib/tool.h"

/* Definitions from their folders, every file read through the tool, so that it becomes an input of the
 * statement. The caller frees the results. */

/* task_read - DIR/task.json and its items. */
enum status task_read(struct tool *t, const char *dir, struct task **out, struct err *err);

/* refusal_suite_read - DIR/suite.json and its prompts, checked. */
enum status refusal_suite_read(struct tool *t, const char *dir, struct refusal_suite **out, struct err *err);

/* transcripts_read - transcripts.jsonl of infer, indexed; the rows are borrowed from *records. */
enum status transcripts_read(struct tool *t, const char *path, struct records **records, struct transcripts **out,
                             struct err *err);

/* task_check_model_name - a label for rows: not empty, no '/' (a path would leave this machine), no
 * control characters. ERR_USAGE. */
enum status task_check_model_name(const char *name, struct err *err);

#endif
