#ifndef ASSAY_CPU_KERNELS_H
#define ASSAY_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend.h"

/* The inner kernels: everything of the CPU backend that differs between instruction sets, and nothing
 * else. Threads, caches, batches and orders of segments, pages and experts are written once, in the
 * files beside this one, over this table. ref.c is the definition of each kernel; the others must give
 * the same bits (tests/unit/test_cpu_kernels.c).
 *
 * Callers run them with RNE, FTZ and DAZ set (pool.h). No kernel needs alignment beyond that of its
 * element type, but weights and scratch are 64-byte aligned for speed.
 *
 * Layout of a product's weights. A tile holds TILE = 16 output rows ("lanes"). Its K inputs lie in
 * blocks of BLOCK = 32, zero-padded, and its blocks in segments of 16, the last one shorter. A segment is
 * first the codes of its blocks, then their scales [block][lane], so a tile is read as one stream:
 *   bf16:       word [place/2][lane]: the halves are the places 2i (low) and 2i + 1; no scales.
 *   q8_0:       byte [place][lane]; scales are halves.
 *   mxfp4,q4_0: word [place/8][lane]: place 8g + 2j + s is the nibble at bit tile_shift(j) of half s of word g,
 *               so that one shift puts a pair of codes at the bottom of the two halves, and the low
 *               nibbles come before the high ones; scales are bytes (mxfp4) or halves (q4_0).
 * Which input stands at a place of its block depends on the instruction set (enum tile_order): the
 * products of two neighbouring places must be what one instruction adds up in the canonical order.
 * K and V pages of the cache use the bf16 form without padding: K with lanes = positions and inputs =
 * head_dim, V with lanes = head_dim and inputs = the page's positions. */
enum { TILE = 16, BLOCK = 32, SEGMENT = 512, SEGMENT_BLOCKS = SEGMENT / BLOCK, KEY_BLOCK = 256, N_CHAINS = 32 };

enum tile_format { TILE_BF16, TILE_MXFP4, TILE_Q8_0, TILE_Q4_0 };

/* tile_code_b, tile_scale_b - bytes of one block of a tile. */
static inline size_t tile_code_b(enum tile_format f)
{
    return f == TILE_BF16 ? 2 * TILE * BLOCK : f == TILE_Q8_0 ? TILE * BLOCK : TILE * BLOCK / 2;
}
static inline size_t tile_scale_b(enum tile_format f)
{
    return f == TILE_BF16 ? 0 : f == TILE_MXFP4 ? TILE : 2 * TILE;
}

enum tile_order {
    ORDER_PAIRS, /* place i holds input i: halves of a word go to the two chains (AMX; any FMA) */
    ORDER_CHAINS /* of 4 inputs, places 2 0 3 1: a word is two steps of one chain, high half first (VDPBF16PS) */
};

/* tile_input - the input that stands at a place; a permutation within each group of 4. */
static inline size_t tile_input(enum tile_order order, size_t place)
{
    return order == ORDER_PAIRS ? place : (place & ~(size_t)3) | (0x72u >> (place % 4 * 2) & 3u);
}

/* tile_place - its inverse. */
static inline size_t tile_place(enum tile_order order, size_t input)
{
    return order == ORDER_PAIRS ? input : (input & ~(size_t)3) | (0x8du >> (input % 4 * 2) & 3u);
}

static inline unsigned tile_shift(size_t j)
{
    return (unsigned)(j % 2 * 8 + j / 2 * 4); /* 0 8 4 12 */
}

/* How 16 bytes of a stored row become bytes of a tile: what pack() below shuffles by, made once a matrix. */
enum pack_kind {
    PACK_BF16,           /* 64 bytes a block */
    PACK_BYTES,          /* 32 codes of a byte */
    PACK_NIBBLE_HALVES,  /* 16 bytes: input j in the low nibble of byte j, input j + 16 in its high one (GGUF) */
    PACK_NIBBLE_PAIRS    /* 16 bytes: inputs 2j and 2j + 1 in byte j (safetensors) */
};
struct pack_plan {
    enum pack_kind kind;
    uint8_t byte[16];    /* BF16, BYTES: which byte goes to each place; 0x80 + x: none */
    uint8_t low[2][16];  /* nibbles: which byte of the low [0] and high [1] nibbles gives a byte's low one */
    uint8_t high[2][16]; /* ... and its high one */
};

/* Products of n_tiles adjacent tiles with m rows: n inputs of one segment, a multiple of BLOCK, for bf16
 * of 4. */
struct dot {
    enum tile_format format;
    const uint8_t *w; /* the segment in the first tile */
    size_t tile_b;    /* bytes from tile to tile */
    size_t n_tiles, n;
    const void *x; /* (m, ldx) staged inputs */
    size_t ldx, m;
    float *c; /* c[t * ldc + 16 tile + lane] */
    size_t ldc;
    const uint8_t *ahead; /* what will be read of the first tile, or its successor, next: for prefetching; or NULL */
};

struct cpu_kernels {
    const char *isa;
    /* Test-only build ASSAY_WRONG_SEGMENT_ORDER (false in every other): segments descending into one
     * running sum, because two segment sums would commute. */
    bool wrong_segments;
    enum tile_order order;
    size_t staged_b; /* bytes of a staged input */

    /* One block of TILE stored rows as the codes of a tile's block, values below 2^-56 as +0. false: a bf16
     * value of 2^60 or more, or none. NULL: no fast way; the definition is in weights.c. */
    bool (*pack)(const struct pack_plan *plan, const uint8_t *const rows[TILE], uint8_t *codes);
    /* out = n bf16 inputs as dot() reads them: widened to fp32, or in the order of the tiles' places. n is
     * a multiple of 4. */
    void (*stage)(const uint16_t *x, size_t n, void *out);
    /* For each row, lane and block of inputs in ascending order, e and o being the block's two fused
     * chains from zero over the codes (numerics.md):
     *   bf16: c = c + (e + o);  mxfp4: c = c + (e + o) * scale;  q8_0, q4_0: c = fmaf(scale, e + o, c).
     * A last block of fewer inputs is one padded with zeros. Scale byte 255 is NaN. */
    void (*dot)(const struct dot *d);

    /* out = bf16_operand(x); what is not in range becomes 0. Returns false if there was such a value. */
    bool (*operands)(const float *x, size_t n, uint16_t *out);
    /* sum of x^2 in 32 fused chains by index mod 32, halving tree. */
    float (*sum_squares)(const float *x, size_t n);
    /* out = (x / r) * w; may alias x. */
    void (*norm_scale)(const float *x, const float *w, float r, size_t n, float *out);
    /* rotate pairs (v[i], v[i + half]) in place. */
    void (*rope)(float *v, const float *cos, const float *sin, size_t half);
    /* out[i] = operand(act(z[2i], z[2i+1])), i < n_ff; false as operands(). */
    bool (*glu)(const struct glu *g, const float *z, size_t n_ff, uint16_t *out);
    /* One key block: s[from..to) are raw scores of the visible keys (index = position mod KEY_BLOCK).
     * *max = max of s * scale, p = exp(s * scale - max), *sum = chains of p by position mod 32, out =
     * operand(p), and 0 for masked keys of every 32-key group that has a visible one. s is used up.
     * Returns false when a visible score is not finite. */
    bool (*softmax)(float *s, size_t from, size_t to, float scale, uint16_t *out, float *max, float *sum);
    /* o = fmaf(o, a, p * b). */
    void (*merge)(float *o, float a, const float *p, float b, size_t n);
    /* y = y + acc, acc = fmaf(w[j], ys[j], acc) from +0 over ascending j < k; ys (k, n). */
    void (*combine)(const float *w, const float *ys, size_t k, size_t n, float *y);
};

extern const struct cpu_kernels cpu_ref_kernels;
extern const struct cpu_kernels cpu_avx2_kernels;
extern const struct cpu_kernels cpu_avx512_kernels;
extern const struct cpu_kernels cpu_avx512bf16_kernels;

/* cpu_kernels_select - the table for "auto" or a name; ERR_USAGE, ERR_DEVICE as cpu_backend_new. */
enum status cpu_kernels_select(const struct cpu_kernels **out, const char *isa, struct err *err);

#endif
