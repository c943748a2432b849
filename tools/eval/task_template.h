#ifndef ASSAY_EVAL_TASK_TEMPLATE_H
#define ASSAY_EVAL_TASK_TEMPLATE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

/* template_render - append tmpl with each {{expression}} replaced by its value in doc. The part of Jinja
 * that task definitions use, spelt as there:
 *   {{field}}  {{field[2]}}  {{field[-1]}}  {{field.strip()}}  {{field.split('####')[-1].strip()}}
 * Fields are strings or integers, an index takes an item of an array, split must be followed by an
 * index. An undefined field is an error, as in the harness (never an empty text). Trailing newlines
 * are kept. ERR_FORMAT names where and the expression. */
enum status template_render(struct buf *out, const char *tmpl, const cJSON *doc, const char *where,
                            struct err *err);

#endif
