#ifndef ASSAY_TEXT_BPE_H
#define ASSAY_TEXT_BPE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "format/tokfile.h"

/* Byte-pair encoding over token ids: of all neighbouring pairs that a merge joins, join the one of
 * lowest priority, leftmost on ties, until none is left. */
struct bpe_pair {
    int32_t left, right; /* left -1: free slot */
    int32_t result;
    uint32_t prio;
};
struct bpe {
    struct bpe_pair *pairs; /* open addressing */
    size_t mask;
};

/* bpe_init - index the merges of f, with the priorities they carry. ERR_FORMAT for a pair listed twice.
 * Caller releases. */
enum status bpe_init(struct bpe *b, const struct tokfile *f, const char *name, struct err *err);
void bpe_release(struct bpe *b);

/* bpe_join - merge ids[0..*n) in place. Up to about 100 ids by linear scans on the stack, beyond by a
 * heap over a linked list: O(n log n) for any text. ERR_MEMORY; ERR_RANGE at 2^31 ids. */
enum status bpe_join(const struct bpe *b, int32_t *ids, size_t *n, struct err *err);

#endif
