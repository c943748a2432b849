#ifndef ASSAY_CPU_CPU_H
#define ASSAY_CPU_CPU_H

#include <stdatomic.h>

#include "base/pool.h"
#include "cpu/kernels.h"
#include "cpu/tilecache.h"
#include "kv/pages.h"

/* What the files of the CPU backend share. */

/* One worker's counters, alone on its cache line. */
struct cpu_worker {
    _Alignas(64) size_t index;
    uint64_t weight_bytes_read;
    uint64_t dots;
};

struct cpu_backend {
    struct backend base; // first: a struct backend * is a struct cpu_backend *
    const struct cpu_kernels *kernels;
    struct pool *pool;
    struct cpu_worker *workers; // (pool_size)
    size_t grain; // least work (multiply-adds) worth handing to another thread
    uint64_t alloc_b, alloc_peak_b;
    struct tile_cache *cache; // NULL: tiles lie in memory of their own
    void *scratch; // one buffer for the operator at hand, kept and grown
    size_t scratch_b;
};

static inline struct cpu_backend *cpu_of(struct backend *b)
{
    return (struct cpu_backend *)b;
}

/* cpu_run - fn over the items [0, n), on all workers as they come free, in grains of at least b->grain
 * units of work; `work` is the cost of one item in multiply-adds, roughly. What fits one grain stays
 * on the caller: waking a worker costs some microseconds, and far more on a busy machine.
 * Which worker takes an item never shows in a result: fn writes only what belongs to its items. */
void cpu_run(struct cpu_backend *b, size_t n, size_t work,
             void (*fn)(void *ctx, struct cpu_worker *w, size_t from, size_t to), void *ctx);

/* cpu_alloc, cpu_release - counted memory: n_b zeroed bytes, 64-byte aligned; *b's counters follow. */
enum status cpu_alloc(struct cpu_backend *b, void **out, size_t n_b, const char *what, struct err *err);
void cpu_release(struct cpu_backend *b, void *p); // NULL is fine

/* The operator's scratch is asked for as a list of pieces and laid out in one buffer, each piece
 * 64-byte aligned. Contents are undefined. Valid until the next call. */
struct cpu_piece {
    void **at;
    size_t n, size; // elements and bytes of one
};
enum status cpu_scratch(struct cpu_backend *b, const struct cpu_piece *pieces, size_t n_pieces, struct err *err);

/* cpu_fault - mark a row unless it is marked already; workers may meet at one row. */
static inline void cpu_fault(const struct rows *rows, size_t t, size_t layer, enum fault_op op)
{
    uint32_t none = 0;
    (void)__atomic_compare_exchange_n(&rows->fault[t], &none, (uint32_t)(layer + 1) << 8 | (uint32_t)op, false,
                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* weights.c: a matrix in tiles (kernels.h). */
struct matrix {
    enum tile_format format; // what has no tile of its own, and MXFP4 with extreme scales, is kept as BF16
    size_t n_rows, n_cols;
    size_t n_blocks;      // ceil(n_cols / 32)
    size_t n_tiles;       // ceil(n_rows / 16)
    size_t tile_b;        // bytes from tile to tile, a multiple of 64
    uint8_t *data;        // (n_tiles, tile_b)
    size_t bytes;
    bool cached;          // data is the cache's
};

/* cpu_segment - where the segment that begins with block b lies in a tile. */
static inline const uint8_t *cpu_segment(const struct matrix *m, size_t tile, size_t b)
{
    return m->data + tile * m->tile_b + b * (tile_code_b(m->format) + tile_scale_b(m->format));
}

enum status cpu_cache_open(struct backend *b, const char *dir, const char *key, struct err *err);
enum status cpu_cache_finish(struct backend *b, struct err *err);
enum status cpu_matrix_new(struct backend *b, struct matrix **out, const struct matrix_source *src,
                           struct err *err);
void cpu_matrix_free(struct backend *b, struct matrix *m);
size_t cpu_matrix_bytes(const struct matrix *m);
void cpu_matrix_poison(struct matrix *m);

/* table.c */
struct table;
enum status cpu_table_new(struct backend *b, struct table **out, const struct matrix_source *src, struct err *err);
void cpu_table_free(struct backend *b, struct table *t);
size_t cpu_table_bytes(const struct table *t);
enum status cpu_embed(struct backend *b, const struct table *table, const int32_t *ids, size_t n, float *x,
                      size_t d, struct err *err);

/* linear.c */
enum {
    PASS_ROWS = 512,   // rows that one pass over the tiles serves: bounds the scratch of a long chunk
    STRIP_TILES = 4,
    STRIP_LANES = STRIP_TILES * TILE,
    PRODUCT_ROWS = 64 // rows of one product
};
struct product_room {
    float total[PRODUCT_ROWS * STRIP_LANES], part[PRODUCT_ROWS * STRIP_LANES];
};

/* Some neighbouring tiles of a matrix: an item of work. */
struct strip {
    const struct matrix *a;
    size_t tile, n_tiles;
    size_t r0, n;         // their rows
    const uint8_t *ahead; // the tiles that the worker takes next, or NULL
};
size_t cpu_strips(const struct matrix *a, size_t n_tiles); // items of n_tiles tiles
struct strip cpu_strip(const struct matrix *a, size_t n_tiles, size_t i);

/* cpu_strip_tiles - how many tiles an item should have, of n_tiles in all. */
size_t cpu_strip_tiles(const struct cpu_backend *b, size_t n_tiles);

/* cpu_product - room->total[t][lane] = canonical dots of a strip with up to PRODUCT_ROWS rows of staged x:
 * segments of 512 inputs, each from +0, added ascending from the first. Counts dots in w, bytes not. */
void cpu_product(const struct cpu_kernels *k, struct cpu_worker *w, const struct strip *s, const void *x, size_t ldx,
                 size_t m, struct product_room *room);

enum status cpu_linear(struct backend *b, const struct matrix *w, const uint16_t *x, size_t n, const float *bias,
                       bool add, float *y, struct err *err);

/* rowops.c */
enum status cpu_norm(struct backend *b, const float *x, const float *w, float eps, size_t d,
                     const struct rows *rows, const uint32_t *pick, size_t n_out, size_t layer, uint16_t *out,
                     struct err *err);
enum status cpu_glu(struct backend *b, const struct glu *g, const float *z, size_t n_ff, const struct rows *rows,
                    size_t layer, uint16_t *out, struct err *err);

/* cpu_rms - sqrt(mean(x^2) + eps) of one row; false if the sum is not finite. */
bool cpu_rms(const struct cpu_kernels *k, const float *x, size_t d, float eps, float *r);

/* moe.c */
enum status cpu_router(struct backend *b, const float *logits, size_t n_experts, size_t k, const uint16_t *forced,
                       const struct rows *rows, size_t layer, uint16_t *ids, float *weights, struct err *err);
enum status cpu_moe(struct backend *b, const struct moe *m, const uint16_t *x, size_t d, const uint16_t *ids,
                    const float *weights, const struct rows *rows, size_t layer, float *y, struct err *err);

/* kv.c: pages of PAGE_POS positions of one layer, all kv heads. Within a page, kv head after kv head:
 * K, 2 tiles of 16 positions by kv_k_dim inputs; then V, ceil(head_dim / 16) tiles by 32 positions. */
enum { PAGE_POS = KV_PAGE_POS };
struct kv {
    struct cpu_backend *owner;
    struct kv_pages pages;
    size_t n_kv_heads, head_dim;
    size_t page_b;
    void **data; // (cap_data) of the pages made
    size_t cap_data;
};
enum status cpu_kv_new(struct backend *b, struct kv **out, const struct kv_shape *shape, struct err *err);
void cpu_kv_free(struct backend *b, struct kv *kv);
enum status cpu_kv_resize(struct kv *kv, size_t seq, size_t n_pos, struct err *err);
uint64_t cpu_kv_need(const struct kv *kv, size_t n_pos);
enum status cpu_kv_save(struct kv *kv, struct kv_saved **out, size_t seq, size_t from, size_t to, struct err *err);
enum status cpu_kv_load(struct kv *kv, size_t seq, const struct kv_saved *saved, struct err *err);
void cpu_kv_drop(struct kv *kv, struct kv_saved *saved);
void cpu_kv_count(const struct kv *kv, struct kv_bytes *out);

static inline size_t kv_dim_tiles(const struct kv *kv)
{
    return (kv->head_dim + TILE - 1) / TILE;
}

/* kv_k_dim - inputs of a K tile: head_dim rounded up to what dot() takes. */
static inline size_t kv_k_dim(const struct kv *kv)
{
    return (kv->head_dim + 3) & ~(size_t)3;
}

/* kv_k, kv_v - one head's part of the page that holds position pos, under the terms of kv_page_of. */
static inline uint32_t *kv_k(const struct kv *kv, size_t layer, size_t seq, size_t pos, size_t head)
{
    uint32_t *page = kv->data[kv_page_of(&kv->pages, layer, seq, pos)];
    return page + head * (kv_k_dim(kv) * TILE + kv_dim_tiles(kv) * TILE * TILE);
}
static inline uint32_t *kv_v(const struct kv *kv, size_t layer, size_t seq, size_t pos, size_t head)
{
    return kv_k(kv, layer, seq, pos, head) + kv_k_dim(kv) * TILE;
}

/* attention.c */
enum status cpu_qkv_store(struct backend *b, struct kv *kv, size_t layer, const struct qkv_args *a,
                          const float *qkv, const struct rows *rows, uint16_t *q, struct err *err);
enum status cpu_attention(struct backend *b, const struct kv *kv, size_t layer, const struct attention_args *a,
                          const uint16_t *q, const struct rows *rows, uint16_t *out, struct err *err);

#endif
