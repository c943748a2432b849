#ifndef ASSAY_RUN_PREFIX_H
#define ASSAY_RUN_PREFIX_H

#include "backend.h"

/* What a session keeps of sequences that have run, so that a request which begins with the same tokens
 * need not compute their K and V again. A tree: each node is a block of PREFIX_BLOCK tokens behind its
 * parent's, or a shorter end of a sequence; it holds the K and V of its tokens and, of window layers, what
 * is visible at its end. So reuse starts at multiples of PREFIX_BLOCK and at ends (numerics.md). Nodes are
 * found by comparing token ids. The bits are those of computing anew: that contract is the cache's, not this
 * file's. Nodes live in the cache's own limit and are given up, least recently used first, when room is
 * needed. */

struct prefix;

enum { PREFIX_BLOCK = 256 };

/* prefix_new - an empty tree over a cache; free it before the cache. */
enum status prefix_new(struct prefix **out, struct backend *b, struct kv *kv, struct err *err);
void prefix_free(struct prefix *p); // NULL is fine

/* prefix_load - seq holds the first n ids (n a multiple of PREFIX_BLOCK): append what is kept of those that
 * follow, up to `max` positions in all. Returns how many seq holds then. */
size_t prefix_load(struct prefix *p, size_t seq, const int32_t *ids, size_t n, size_t max);

/* prefix_keep - keep the block or the end that closes the first n ids of seq, n of the last chunk of it.
 * Nothing is kept, and that is no error, when memory is short or an earlier block was given up. */
void prefix_keep(struct prefix *p, size_t seq, const int32_t *ids, size_t n);

/* prefix_evict - give up the least recently used node; false when there is none. */
bool prefix_evict(struct prefix *p);

uint64_t prefix_bytes(const struct prefix *p); // of the tree, without K and V

#endif
