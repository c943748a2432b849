#ifndef ASSAY_LIB_OUTFILE_H
#define ASSAY_LIB_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"

/* A file that appears whole or not at all: written to a temporary beside the target, flushed, synced,
 * checked, and renamed only if its bytes differ from what is there (so make rebuilds nothing for
 * nothing). A path of NULL or "-" is stdout; a target that exists and is no regular file (a device, a
 * pipe) is written in place. On failure, SIGINT or SIGTERM no temporary stays behind; one left by SIGKILL
 * is removed when the same file is opened next. */
struct outfile;

/* outfile_open - ERR_IO when the directory cannot be written. */
enum status outfile_open(struct outfile **out, const char *path, struct err *err);

/* outfile_check - ERR_IO when outfile_open would fail, known without opening: before an hour of measuring,
 * not after it. What changes in between shows in outfile_open. */
enum status outfile_check(const char *path, struct err *err);
enum status outfile_write(struct outfile *o, const void *data, size_t n, struct err *err);

/* outfile_flush - all that was written is on the disk, or ERR_IO: a full disk shows before any rename. */
enum status outfile_flush(struct outfile *o, struct err *err);

/* outfile_commit - make it real; *changed (may be NULL) tells whether the target's bytes are new.
 * ERR_IO on any failure, a full disk included. Frees o on every path. */
enum status outfile_commit(struct outfile *o, bool *changed, struct err *err);
void outfile_abort(struct outfile *o); /* drop it and free; NULL is fine */

/* outfile_put - all of the above for bytes in memory. */
enum status outfile_put(const char *path, const void *data, size_t n, bool *changed, struct err *err);

#endif
