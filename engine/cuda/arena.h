#ifndef ASSAY_CUDA_ARENA_H
#define ASSAY_CUDA_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Places in the one piece of device memory that a backend takes: first fit, counted, so that what is in use
 * and the most that ever was are known by construction. Offsets are multiples of 256. */

struct places;

enum status places_new(struct places **out, size_t size, struct err *err);
void places_free(struct places *p); /* NULL is fine */

/* places_take - ERR_MEMORY, with the numbers, when no gap is large enough. n = 0 counts as 1. */
enum status places_take(struct places *p, size_t n, const char *what, size_t *offset, struct err *err);
void places_give(struct places *p, size_t offset); /* of a place taken */

size_t places_used(const struct places *p);
size_t places_peak(const struct places *p);
size_t places_at(const struct places *p, size_t offset); /* bytes of a place as they were asked for */

#endif
