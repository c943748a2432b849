#ifndef ASSAY_LIB_JOURNAL_H
#define ASSAY_LIB_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/json.h"

/* An append-only file of finished work, so that a killed stage resumes with nothing lost or doubled.
 * One record a line: 16 hex digits of the SHA-256 of the rest, a space, a canonical JSON object. The
 * first record names the recipe; another recipe is refused. A torn last line is dropped on opening;
 * damage before it is an error. One write per record; synced at most once a second and on close. */
struct journal;

/* journal_open - open or begin path for this recipe (a digest in hex). ERR_FORMAT for damage,
 * ERR_USAGE when the file belongs to another recipe, ERR_IO when another process holds it. */
enum status journal_open(struct journal **out, const char *path, const char *recipe, struct err *err);

size_t journal_count(const struct journal *j);                  /* records found on opening and added since */
const cJSON *journal_at(const struct journal *j, size_t i);     /* borrowed until close */
bool journal_has(const struct journal *j, const char *id);      /* a record with this "id" */

/* journal_add - append one record; its member "id" must be new (ERR_USAGE). Consumes record. */
enum status journal_add(struct journal *j, cJSON *record, struct err *err);

/* journal_close - sync and close; remove_file = true deletes the file (its results are safely elsewhere). */
enum status journal_close(struct journal *j, bool remove_file, struct err *err);

#endif
