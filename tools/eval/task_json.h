#ifndef ASSAY_EVAL_TASK_JSON_H
#define ASSAY_EVAL_TASK_JSON_H

#include <stddef.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

/* Strict reading of the definition files people write (task.json, suite.json). A misspelt key that is
 * passed over changes a score without a word, so every key must be known. */

/* json_only_keys - ERR_FORMAT unless obj is an object whose keys all stand in the NULL-ended list. */
enum status json_only_keys(const cJSON *obj, const char *const *keys, const char *where, struct err *err);

/* json_get_str_or - string, or dflt when absent. Borrowed from obj. */
enum status json_get_str_or(const cJSON *obj, const char *key, const char *dflt, const char *where,
                            const char **out, struct err *err);

/* json_get_array - the array under key with at least min items. */
enum status json_get_array(const cJSON *obj, const char *key, size_t min, const char *where, const cJSON **out,
                           struct err *err);

/* json_get_texts - array of strings (absent: none); the list lives in arena, the strings in obj. */
enum status json_get_texts(struct arena *arena, const cJSON *obj, const char *key, const char *where,
                           const char *const **out, size_t *n, struct err *err);

/* json_check_name - ERR_FORMAT unless text is 1..64 of a-z 0-9 _ - . and starts with a letter or digit:
 * what may stand in ids, paths and make targets. */
enum status json_check_name(const char *text, const char *what, const char *where, struct err *err);

/* Lines of a JSONL file, one object each. Blank lines and a torn last line are refused; name:line
 * stands in messages. The caller releases with jsonl_release. */
struct jsonl {
    cJSON **objects;
    size_t n;
};
enum status jsonl_parse(struct jsonl *out, const char *data, size_t n, const char *name, struct err *err);
void jsonl_release(struct jsonl *j); /* safe on a zeroed struct */

#endif
