#ifndef ASSAY_CPU_TILECACHE_H
#define ASSAY_CPU_TILECACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* The tiles of one model as a file, mapped: a second start reads no source and re-tiles nothing, and the
 * tiles are shared with the page cache in place of a copy beside it. One file a model and layout,
 * DIR/KEY-LAYOUT.tiles. It is written under another name and renamed when it is whole, so a file that is
 * there is whole; its header and table are checked all the same.
 *
 * Form (little-endian): 64 bytes of header (magic, bytes of the file, offset and entries of the table), the
 * matrices at multiples of 4096, the table. */

struct tile_cache;

/* One matrix as the file knows it. */
struct tile_entry {
    const char *name;
    uint32_t format; /* enum tile_format */
    size_t n_rows, n_cols, bytes;
    uint8_t *data; /* (bytes) mapped; writable only while the file is being made */
};

/* tile_cache_open - map the file of key and layout, or begin it when there is none. The directory must
 * exist. ERR_IO, ERR_MISSING; ERR_FORMAT for a file that is damaged or of another kind, naming it.
 * One process at a time makes a file; a second one is told so (ERR_IO). What a killed one left is taken over. */
enum status tile_cache_open(struct tile_cache **out, const char *dir, const char *key, const char *layout,
                            struct err *err);
bool tile_cache_is_full(const struct tile_cache *c); /* it was there: find serves, add does not */

/* tile_cache_find - false: no such matrix. Entries are borrowed until tile_cache_close. */
bool tile_cache_find(struct tile_cache *c, const char *name, struct tile_entry *out);

/* tile_cache_add - room for one more matrix, zeroed; e->data is set. ERR_IO when the disk is full. */
enum status tile_cache_add(struct tile_cache *c, struct tile_entry *e, struct err *err);
/* tile_cache_undo - take the last addition back (it is made again in another format). */
enum status tile_cache_undo(struct tile_cache *c, struct err *err);

/* tile_cache_finish - every matrix has been added: write the table, give the file its name. */
enum status tile_cache_finish(struct tile_cache *c, struct err *err);

/* tile_cache_close - unmap; a file that was not finished is removed. NULL is fine. */
void tile_cache_close(struct tile_cache *c);

#endif
