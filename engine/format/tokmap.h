#ifndef ASSAY_FORMAT_TOKMAP_H
#define ASSAY_FORMAT_TOKMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* From a byte string to a token id: open addressing, the hash kept beside the id so that a probe
 * touches the key's bytes only when it (almost certainly) matches. Keys lie in the owner's table. */
struct tokmap_key {
    uint32_t at, n; /* bytes[at .. at + n) */
};
struct tokmap_slot {
    uint32_t hash;
    int32_t id; /* -1: free */
};
struct tokmap {
    struct tokmap_slot *slots;
    size_t mask; /* number of slots - 1, a power of two less one */
};

/* tokmap_init - room for n keys at a load of at most one half. The caller releases. */
enum status tokmap_init(struct tokmap *m, size_t n, struct err *err);
void tokmap_release(struct tokmap *m);

/* tokmap_find - id of key s[0..n), or -1. keys and bytes are the table the ids index. */
int32_t tokmap_find(const struct tokmap *m, const struct tokmap_key *keys, const char *bytes, const char *s,
                    size_t n);

/* tokmap_add - put keys[id] in; returns the id already there under the same bytes, or -1 when added. */
int32_t tokmap_add(struct tokmap *m, const struct tokmap_key *keys, const char *bytes, int32_t id);

#endif
