#ifndef ASSAY_CUDA_KERNELS_H
#define ASSAY_CUDA_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What can be launched: one args struct a kernel, passed by value. Pointers are device memory. The grid is
 * given with each kernel; every kernel runs with any number of threads up to SIMT_MAX_THREADS, those
 * of CUDA_KERNELS below being what the backend uses.
 *
 * Faults: `fault` (rows of the step), `site` = (layer + 1) << 8 | enum fault_op; the first site stays. */

#define CUDA_KERNELS(X)                                                                                     \
    X(norm, 128) X(qkv_store, 64) X(glu, 128) X(router, 64) X(combine, 128) X(attend, 256) X(attend_merge, 64) \
    X(group, 256) X(product_1, 128) X(product_8, 128) X(retile_bf16, 128) X(retile_mxfp4, 128)                 \
    X(retile_q, 128)

enum cuda_kernel {
#define X(name, threads) KERNEL_##name,
    CUDA_KERNELS(X)
#undef X
    N_CUDA_KERNELS
};

struct device_matrix;

/* out[i] = operand(x[t] / r * w), t = pick ? pick[i] : i, zeros up to ld. Grid (n_out). */
struct norm_args {
    const float *x, *w;
    const uint32_t *pick; // or NULL
    uint16_t *out;
    uint32_t *fault;
    float eps;
    uint32_t d, ld, site;
};

/* The pages of one session's cache. */
struct device_kv {
    uint16_t *pool;
    const uint32_t *table; // (n_seqs, seq_pages) page numbers
    size_t page_values;
    uint32_t seq_pages;
    uint32_t first, ring; // of the layer at hand: where its pages begin in a sequence's; how many
};

/* qkv (n, (H+2K)h) to operands q (n, ldq) and to the cache. Grid (n * (H+2K)). */
struct qkv_store_args {
    struct device_kv kv;
    const float *qkv;
    const float *q_norm, *k_norm; // or NULL
    const float *cos, *sin;
    const uint32_t *seq, *pos;
    uint16_t *q;
    uint32_t *fault;
    float eps;
    uint32_t n_heads, n_kv_heads, head_dim, ldq, site;
};

struct device_glu {
    float limit, alpha, up_add;
    uint32_t clamped;
};

/* Grid (n * blocks), blocks = ceil(ld / threads). */
struct glu_args {
    struct device_glu glu;
    const float *z;
    uint16_t *out;
    uint32_t *fault;
    uint32_t n_ff, ld, blocks, site;
};

enum { ROUTER_EXPERTS_MAX = 1024 };

/* Grid (n). */
struct router_args {
    const float *logits;
    const uint16_t *forced; // or NULL
    uint16_t *ids;
    float *weights;
    uint32_t *fault;
    uint32_t *error; // largest forced id too large + 1, 0 = none... see router
    uint32_t n_experts, k, site;
};

/* y[t] += sum_j fmaf(w[t][j], ys[t][j]). Grid (n * blocks), blocks = ceil(d / threads). */
struct combine_args {
    const float *weights, *ys;
    float *y;
    uint32_t d, k, blocks;
};

/* One key block of one row and up to HEADS_AT_ONCE heads of one kv head's group: partials
 * (row in chunk, head, block, head_dim + 2): o, then m (NaN: a score was not finite), then l.
 * Grid (rows of the chunk * n_blocks, kv heads * head groups). */
enum { HEADS_AT_ONCE = 8 };
struct attend_args {
    struct device_kv kv;
    const uint16_t *q;
    const uint32_t *seq, *pos;
    float *partial;
    float scale;
    uint32_t row0, n_blocks; // n_blocks: of the row that sees most
    uint32_t n_heads, n_kv_heads, head_dim, ld, window;
};

/* Blocks ascending, a sink first. Grid (rows of the chunk * kv heads). */
struct attend_merge_args {
    const float *partial;
    const float *sinks; // (n_heads) or NULL
    const uint32_t *pos;
    uint16_t *out;
    uint32_t *fault;
    uint32_t row0, n_blocks;
    uint32_t n_heads, n_kv_heads, head_dim, ld, window, site;
};

/* Rows that one product works off together, all of one matrix: m of them from `first` on, of the pair
 * list when there is one. */
struct item {
    uint32_t matrix, first, m;
};

/* Pairs (row * k + slot) sorted by expert, ascending within one; items of at most m_max pairs. Grid (1). */
struct group_args {
    const uint16_t *ids;               // (n_pairs)
    const struct device_matrix *a, *b; // (E) both matrices of each expert, for counting bytes
    uint32_t *pairs;                   // (n_pairs)
    struct item *items;
    uint32_t *n_items;
    uint64_t *weight_bytes; // counter
    uint32_t n_pairs, n_experts, m_max;
};

enum { SEGMENTS_1 = 16, SEGMENTS_8 = 4 }; // most segments at once of product_1, product_8: shared memory
enum product_out { PRODUCT_STORE, PRODUCT_ADD, PRODUCT_GLU };

/* Canonical products of m <= 1 or 8 operand rows with tiles of one matrix.
 *   item i:  input row of p = first + j is pair[p] / in_div, output row pair[p] (p itself without a list)
 *   STORE, ADD: y[output row][r] (+)= dot + bias[matrix][r];  GLU: act[output row][r / 2], 0 up to its ld
 * Grid (ceil(tiles / tiles_each) * max_items): the items of a tile are neighbours in time. */
struct product_args {
    const struct device_matrix *matrices;
    const struct item *items; // or NULL: rows in order, one matrix
    const uint32_t *n_items;  // of items
    const uint32_t *pairs;    // or NULL
    const uint16_t *x;
    const float *bias; // (matrices, bias_ld) or NULL
    float *y;
    uint16_t *act;
    uint32_t *fault;
    struct device_glu glu;
    uint32_t n_rows_in; // without items
    uint32_t ldx, ldy, bias_ld;
    uint32_t in_div, fault_div; // fault row = pair / fault_div
    uint32_t max_items, tiles_each, segments_each;
    uint32_t out; // enum product_out
    uint32_t site;
};

#define product_1_args product_args
#define product_8_args product_args

/* Rows of a file, n of them from row0 on (a multiple of 8), row_b bytes each, into tiles of m. What
 * is smaller than 2^-56 becomes +0; `bad` becomes the least row with a value that no operand can have.
 * Grid (tiles). */
struct retile_bf16_args {
    const uint8_t *rows;
    uint8_t *codes;
    uint32_t *bad;
    uint32_t row0, n, n_rows, n_cols, n_blocks, row_b;
};

/* MXFP4: split (codes 2i, 2i + 1 in byte i, scales in rows of their own) or ggml's 17-byte blocks.
 * `extreme` is set when a scale lies outside what the block's sum may be multiplied by. */
struct retile_mxfp4_args {
    const uint8_t *rows, *scale_rows; // scale_rows NULL: ggml's
    uint8_t *codes, *scales;
    uint32_t *extreme;
    uint32_t row0, n, n_rows, n_blocks, row_b, scale_row_b;
};

/* Q8_0 and Q4_0. */
struct retile_q_args {
    const uint8_t *rows;
    uint8_t *codes, *scales;
    uint32_t *bad; // a scale that is not finite
    uint32_t row0, n, n_rows, n_blocks, row_b, format;
};

/* Each kernel built for the host (simt.h). */
struct simt;
#ifndef __CUDACC__
#define X(name, threads) void sim_##name(struct simt *simt, const void *args);
CUDA_KERNELS(X)
#undef X
#endif

#endif
