#ifndef ASSAY_SYNTH_SYNTH_DIR_H
#define ASSAY_SYNTH_SYNTH_DIR_H

#include <stdbool.h>

#include "base/err.h"

/* A directory that appears whole or not at all: filled as PATH.partial, then renamed. A kill leaves
 * PATH.partial at worst, which the next run takes over; a lock in it keeps two runs apart. */
struct synth_dir;

/* synth_dir_open - make (or empty) PATH.partial and lock it. ERR_USAGE when PATH exists and is neither
 * an empty directory nor one that synth made (config.json with SYNTH_MARK_KEY), so that no real
 * checkpoint is ever overwritten; ERR_IO when another run holds the lock or nothing can be written. */
enum status synth_dir_open(struct synth_dir **out, const char *path, struct err *err);
const char *synth_dir_path(const struct synth_dir *d); /* where to write: PATH.partial */

/* synth_dir_commit - put it in place. When PATH already holds the same files with the same bytes,
 * nothing is touched (so that make rebuilds nothing) and *changed is false. Frees d on every path. */
enum status synth_dir_commit(struct synth_dir *d, bool *changed, struct err *err);
void synth_dir_abort(struct synth_dir *d); /* remove what was written and free; NULL is fine */

#endif
