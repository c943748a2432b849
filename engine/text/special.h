#ifndef ASSAY_TEXT_SPECIAL_H
#define ASSAY_TEXT_SPECIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "format/tokfile.h"

/* Finds added tokens in text: leftmost, longest at a position. A filter on the first byte, then one
 * look-up for each length that occurs (a handful: 12 in gpt-oss), longest first. */
struct special {
    bool first[256];
    uint32_t *lens; /* distinct lengths, descending */
    size_t n_lens;
};

enum status special_init(struct special *sp, const struct tokfile *f, struct err *err);
void special_release(struct special *sp);

/* special_find - first added token in s[from..n): its start and *id, or n and *id = -1. */
size_t special_find(const struct special *sp, const struct tokfile *f, const char *s, size_t n, size_t from,
                    int32_t *id);

#endif
