#ifndef ASSAY_BASE_MAPFILE_H
#define ASSAY_BASE_MAPFILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A whole file mapped read-only. data is NULL when size is 0. */
struct mapfile {
    const uint8_t *data; /* borrowed until mapfile_close */
    size_t size;
};

/* mapfile_open - map path. ERR_MISSING if it does not exist, ERR_IO if it cannot be mapped or is no
 * regular file. The caller closes. */
enum status mapfile_open(struct mapfile *m, const char *path, struct err *err);
void mapfile_close(struct mapfile *m); /* safe on a zeroed struct */

/* mapfile_drop - tell the kernel that [at, at + n) will not be read again, so that re-tiling a big
 * checkpoint does not keep two copies of it resident. */
void mapfile_drop(const struct mapfile *m, size_t at, size_t n);

#endif
