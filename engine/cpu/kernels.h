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
 * blocks of BLOCK = 32, zero-padded.
 *   bf16:  word [k/2][lane] = row lane's inputs k (low half) and k+1 (high half), k even:
 *          1024 bytes a block, 64 bytes a pair of inputs.
 *   mxfp4: word [k/8][lane] = row lane's 8 codes k..k+7, code k in the lowest nibble: 256 bytes a
 *          block; the scale bytes [block][lane] follow after the codes of the whole tile.
 * K and V pages of the cache use the bf16 form: K with lanes = positions and inputs = head_dim, V with
 * lanes = head_dim and inputs = positions. */
enum { TILE = 16, BLOCK = 32, SEGMENT = 512, SEGMENT_BLOCKS = SEGMENT / BLOCK, KEY_BLOCK = 256, N_CHAINS = 32 };

struct cpu_kernels {
    const char *isa;
    /* Test-only build ASSAY_WRONG_SEGMENT_ORDER (false in every other): segments descending into one
     * running sum, because two segment sums would commute. */
    bool wrong_segments;

    /* c[t][lane] = c[t][lane] + (e + o) for each block of inputs in ascending order, e and o being the
     * block's two fused chains from zero (numerics.md). x (m, ldx) holds operands widened to fp32.
     * n_pairs = inputs / 2; the last block may be short (as if padded with zeros). */
    void (*dot_bf16)(const uint32_t *w, size_t n_pairs, const float *x, size_t ldx, size_t m, float *c, size_t ldc);
    /* The same over MXFP4 codes, (e + o) * scale in place of e + o. Scale byte 255 is NaN. */
    void (*dot_mxfp4)(const uint32_t *codes, const uint8_t *scales, size_t n_blocks, const float *x, size_t ldx,
                      size_t m, float *c, size_t ldc);

    /* out = the fp32 values of n bf16. */
    void (*expand)(const uint16_t *x, size_t n, float *out);
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
     * *max = max of s * scale, p = exp(s * scale - max), *sum = chains of p by position mod 32, then
     * s = the fp32 value of operand(p), and 0 for masked keys of every 32-key group that has a visible
     * one. Returns false when a visible score is not finite. */
    bool (*softmax)(float *s, size_t from, size_t to, float scale, float *max, float *sum);
    /* o = fmaf(o, a, p * b). */
    void (*merge)(float *o, float a, const float *p, float b, size_t n);
    /* y = y + acc, acc = fmaf(w[j], ys[j], acc) from +0 over ascending j < k; ys (k, n). */
    void (*combine)(const float *w, const float *ys, size_t k, size_t n, float *y);
};

extern const struct cpu_kernels cpu_ref_kernels;
extern const struct cpu_kernels cpu_avx2_kernels;
extern const struct cpu_kernels cpu_avx512_kernels;

/* cpu_kernels_select - the table for "auto" or a name; ERR_USAGE, ERR_DEVICE as cpu_backend_new. */
enum status cpu_kernels_select(const struct cpu_kernels **out, const char *isa, struct err *err);

#endif
