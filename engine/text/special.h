#ifndef ASSAY_TEXT_SPECIAL_H
#define ASSAY_TEXT_SPECIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "format/tokfile.h"

/* Finds tokens of one sort in text, the longest at a position: added tokens where special tokens are parsed,
 * user-defined pieces in every SPM text. A filter on the first byte, then one look-up for each length that
 * occurs with that byte, longest first. */
struct special {
    uint32_t from[257]; /* tokens starting with byte b have lens[from[b] .. from[b + 1]) */
    uint32_t *lens;     /* distinct lengths a byte, descending */
    unsigned flag;      /* TOKFILE_ADDED or TOKFILE_USER: the tokens meant */
};

enum status special_init(struct special *sp, const struct tokfile *f, unsigned flag, struct err *err);
void special_release(struct special *sp);

/* special_at - the longest token at s[0..n), n >= 1, whose flags have none of `without`; -1: none. */
int32_t special_at(const struct special *sp, const struct tokfile *f, const char *s, size_t n, unsigned without);

/* special_find - first token in s[from..n): its start and *id, or n and *id = -1. */
size_t special_find(const struct special *sp, const struct tokfile *f, const char *s, size_t n, size_t from,
                    int32_t *id);

#endif
