#ifndef ASSAY_KV_PAGES_H
#define ASSAY_KV_PAGES_H

#include "backend.h"

/* Which page holds what: the bookkeeping of a key-value cache, the same for every backend. Pages are numbers
 * here; the memory behind them is the backend's own.
 *
 * One page holds 32 positions of one layer. A full layer of a sequence has a page for every 32 positions; a
 * window layer has a ring of pages whose capacity in positions is a multiple of 32 and at least window +
 * chunk, so that no position still visible to a row of the current step is overwritten by a later row of
 * it. Pages are taken when room is made and go back to a free list.
 *
 * Prefixes are saved by holding on to pages. A page is written only by its one holder: where room is made
 * in a page that is shared, the sequence gets a copy. So a saved ring is exact without being copied when
 * it is saved, and costs a copy only if its sequence goes on and comes round to it.
 *
 * The functions are those of backend_ops (kv_resize and so on), documented there. */

enum { KV_PAGE_POS = 32 };
#define KV_NO_PAGE UINT32_MAX /* no position in it is visible */

/* What a backend does with the memory of a page. */
struct kv_memory {
    void *ctx;
    enum status (*make)(void *ctx, uint32_t page, struct err *err); /* in ascending order, each once */
    enum status (*zero)(void *ctx, uint32_t page, struct err *err);
    enum status (*copy)(void *ctx, uint32_t to, uint32_t from, struct err *err);
};

struct kv_page_state;

struct kv_pages {
    size_t n_layers, n_seqs, n_pos, chunk;
    size_t *windows;  /* (n_layers) 0 = full */
    size_t *ring;     /* (n_layers) pages a sequence can hold; page of position p: p / 32 mod ring */
    size_t *first;    /* (n_layers) where the layer's pages begin in a sequence's */
    size_t seq_pages; /* sum of ring */
    uint32_t *table;  /* (n_seqs, seq_pages) page numbers, KV_NO_PAGE where none */
    bool changed;     /* the table; set here, cleared by whoever sends it somewhere */
    size_t *held_pos; /* (n_seqs) */
    uint32_t max_pages, n_made, n_live;
    /* private to pages.c */
    struct kv_memory memory;
    uint64_t page_b, pos_b;
    size_t *loaded_pos; /* (n_seqs) what was loaded ends here: nothing before is there to be saved */
    struct kv_page_state *state; /* (cap_state) */
    uint32_t cap_state, free_page;
    struct kv_saved *saved; /* all that were saved and not dropped */
};

/* kv_pages_init - an empty cache over *p, which may hold anything; page_b bytes a page. ERR_SHAPE, ERR_MEMORY.
 * kv_pages_release: safe on a zeroed struct; the memory behind the pages is the backend's to free. */
enum status kv_pages_init(struct kv_pages *p, const struct kv_shape *shape, uint64_t page_b,
                          const struct kv_memory *memory, struct err *err);
void kv_pages_release(struct kv_pages *p);

/* kv_pages_make - make pages until there are n, all free: for a pool that is taken whole. */
enum status kv_pages_make(struct kv_pages *p, uint32_t n, struct err *err);

enum status kv_pages_resize(struct kv_pages *p, size_t seq, size_t n_pos, struct err *err);
uint64_t kv_pages_need(const struct kv_pages *p, size_t n_pos);
enum status kv_pages_save(struct kv_pages *p, struct kv_saved **out, size_t seq, size_t from, size_t to,
                          struct err *err);
enum status kv_pages_load(struct kv_pages *p, size_t seq, const struct kv_saved *saved, struct err *err);
void kv_pages_drop(struct kv_pages *p, struct kv_saved *saved);
void kv_pages_count(const struct kv_pages *p, struct kv_bytes *out);

/* kv_pages_check - ERR_RANGE for rows that would read or write outside the pages, or, in a ring, over keys
 * that a row of this step still sees. */
enum status kv_pages_check(const struct kv_pages *p, const struct rows *rows, struct err *err);

/* kv_page_of - the page that holds position pos, which must be held and, in a window layer, in a page with a
 * position that a row of the step can see. */
static inline uint32_t kv_page_of(const struct kv_pages *p, size_t layer, size_t seq, size_t pos)
{
    return p->table[seq * p->seq_pages + p->first[layer] + pos / KV_PAGE_POS % p->ring[layer]];
}

#endif
