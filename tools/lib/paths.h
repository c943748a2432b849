#ifndef ASSAY_LIB_PATHS_H
#define ASSAY_LIB_PATHS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* Where things are, and what they are called in a record (prov.h). */

/* path_name - the recorded name of an existing file: below root, else below the nearest directory
 * upwards with SHA256SUMS, else below the source root, else its base name. root may be NULL. */
enum status path_name(const char *path, const char *root, struct buf *out, struct err *err);

/* path_resolve - the file a recorded name stands for: root/name, else source root/name, else
 * $ASSAY_EXTERNAL/name (files of other people, which are in no tree). The source root is searched upwards
 * from the root and from the working directory. ERR_MISSING when none exists. */
enum status path_resolve(const char *name, const char *root, struct buf *out, struct err *err);

/* path_source_root - nearest directory upwards of `from` (a directory) that holds engine/engine.h. */
bool path_source_root(const char *from, struct buf *out);

const char *path_base(const char *path); /* part after the last '/'; borrowed from path */
bool path_exists(const char *path);
enum status path_make_dirs(const char *dir, struct err *err); /* mkdir -p */

/* path_read - a whole file, or standard input for "-". */
enum status path_read(const char *path, struct buf *out, struct err *err);

#endif
