#ifndef ASSAY_CPU_AVX512_DOT_H
#define ASSAY_CPU_AVX512_DOT_H

#include <immintrin.h>

#include "cpu/kernels.h"

/* The products on 16 lanes, a whole tile in one register: shared by avx512.c (fused multiply-adds over
 * inputs widened to fp32) and avx512bf16.c (VDPBF16PS over pairs of inputs). Both decode the codes of a
 * place pair to a word of two bf16; what they do with the word is all that differs.
 *
 * Up to 8 pairs of accumulators are alive at once: rows x tiles. Few rows take several tiles side by side, so
 * that there are enough independent chains to hide the latency of an addition, and enough read streams. */

#if defined __AVX512F__ && defined __AVX512BW__

#define INLINE static inline __attribute__((always_inline))

#ifdef __AVX512BF16__
typedef uint32_t staged_word; // two bf16
enum { WORD_INPUTS = 2 };
#else
typedef float staged_word;
enum { WORD_INPUTS = 1 };
#endif

enum { MAX_SUMS = 8 };

/* bf16 of each 4-bit code, twice: VPERMW looks at 5 bits of an index and the fifth is not ours. */
INLINE __m512i code_table(enum tile_format f)
{
    static const uint16_t e2m1[16] = {0x0000, 0x3f00, 0x3f80, 0x3fc0, 0x4000, 0x4040, 0x4080, 0x40c0,
                                      0x8000, 0xbf00, 0xbf80, 0xbfc0, 0xc000, 0xc040, 0xc080, 0xc0c0};
    static const uint16_t minus8[16] = {0xc100, 0xc0e0, 0xc0c0, 0xc0a0, 0xc080, 0xc040, 0xc000, 0xbf80,
                                        0x0000, 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0, 0x40e0};
    const uint16_t *t = f == TILE_MXFP4 ? e2m1 : minus8;
    return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)t));
}

INLINE __m512 int8_values(const uint8_t *codes)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)codes)));
}

/* Words 4g .. 4g + 3 of a block: 8 places. word: the group's 4-bit codes. */
INLINE __m512i bf16_pair(enum tile_format f, const uint8_t *block, size_t g, size_t j, __m512i word, __m512i table)
{
    size_t i = 4 * g + j;
    if (f == TILE_BF16)
        return _mm512_loadu_si512(block + i * 64);
    if (f == TILE_Q8_0) { // small integers: the low halves of both fp32 images are 0
        __m512i low = _mm512_castps_si512(int8_values(block + i * 32));
        __m512i high = _mm512_castps_si512(int8_values(block + i * 32 + 16));
        return _mm512_or_si512(high, _mm512_srli_epi32(low, 16));
    }
    return _mm512_permutexvar_epi16(_mm512_srli_epi16(word, (int)tile_shift(j)), table);
}

#ifdef __AVX512BF16__
/* ORDER_CHAINS: words of even number are two steps of the even chain. The instruction multiplies and
 * adds the high halves, then the low ones, each fused and rounded to nearest even. */
INLINE void accumulate(enum tile_format f, const uint8_t *block, size_t g, size_t j, __m512i word, __m512i table,
                       const staged_word *x, size_t ldx, __m512 *e, __m512 *o, size_t stride, size_t R)
{
    __m512bh w = (__m512bh)bf16_pair(f, block, g, j, word, table);
#pragma GCC unroll 8
    for (size_t r = 0; r < R; r++) {
        __m512 *sum = (j % 2 ? o : e) + r * stride;
        *sum = _mm512_dpbf16_ps(*sum, w, (__m512bh)_mm512_set1_epi32((int)x[r * ldx + 4 * g + j]));
    }
}
#else
INLINE void accumulate(enum tile_format f, const uint8_t *block, size_t g, size_t j, __m512i word, __m512i table,
                       const staged_word *x, size_t ldx, __m512 *e, __m512 *o, size_t stride, size_t R)
{
    size_t i = 8 * g + 2 * j;
    __m512 even, odd;
    if (f == TILE_Q8_0) {
        even = int8_values(block + i * 16);
        odd = int8_values(block + i * 16 + 16);
    } else {
        __m512i pair = bf16_pair(f, block, g, j, word, table);
        even = _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16));
        odd = _mm512_castsi512_ps(_mm512_and_si512(pair, _mm512_set1_epi32((int)0xffff0000u)));
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < R; r++) {
        e[r * stride] = _mm512_fmadd_ps(_mm512_set1_ps(x[r * ldx + i]), even, e[r * stride]);
        o[r * stride] = _mm512_fmadd_ps(_mm512_set1_ps(x[r * ldx + i + 1]), odd, o[r * stride]);
    }
}
#endif

INLINE __m512 lane_scales(enum tile_format f, const uint8_t *scales)
{
    if (f != TILE_MXFP4)
        return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)scales));
    __m512i b = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)scales));
    __mmask16 nan = _mm512_cmpeq_epi32_mask(b, _mm512_set1_epi32(255));
    return _mm512_castsi512_ps(_mm512_mask_set1_epi32(_mm512_slli_epi32(b, 23), nan, 0x7fc00000));
}

/* R rows from `row` on and T tiles from `tile` on; R x T <= MAX_SUMS, and both are constants where this is
 * called, so that the accumulators live in registers. */
INLINE void dot_rows(const struct dot *d, enum tile_format f, size_t tile, size_t row, size_t R, size_t T)
{
    const __m512i table = code_table(f);
    const uint8_t *w = d->w + tile * d->tile_b;
    const uint8_t *scales = w + d->n / BLOCK * tile_code_b(f);
    const uint8_t *ahead = row == 0 && d->ahead ? d->ahead + tile * d->tile_b : NULL;
    const size_t ldx = d->ldx / WORD_INPUTS;
    const staged_word *x = (const staged_word *)d->x + row * ldx;
    float *c = d->c + row * d->ldc + tile * TILE;
    __m512 sum[MAX_SUMS], e[MAX_SUMS], o[MAX_SUMS];
#pragma GCC unroll 8
    for (size_t i = 0; i < R * T; i++)
        sum[i] = _mm512_loadu_ps(c + i / T * d->ldc + i % T * TILE);
    for (size_t k = 0; k < d->n; k += BLOCK, w += tile_code_b(f), scales += tile_scale_b(f), x += BLOCK / WORD_INPUTS) {
        size_t n = f == TILE_BF16 && d->n - k < BLOCK ? d->n - k : BLOCK;
        if (ahead) {
#pragma GCC unroll 4
            for (size_t t = 0; t < T; t++)
                for (size_t i = 0; i < tile_code_b(f) + tile_scale_b(f); i += 64)
                    _mm_prefetch((const char *)ahead + t * d->tile_b + i, _MM_HINT_T0);
            ahead += tile_code_b(f) + tile_scale_b(f);
        }
#pragma GCC unroll 8
        for (size_t i = 0; i < R * T; i++)
            e[i] = o[i] = _mm512_setzero_ps();
        for (size_t g = 0; g < n / 8; g++) {
            __m512i word[MAX_SUMS];
#pragma GCC unroll 4
            for (size_t t = 0; t < T; t++)
                word[t] = f == TILE_MXFP4 || f == TILE_Q4_0 ? _mm512_loadu_si512(w + t * d->tile_b + g * 64) : table;
#pragma GCC unroll 4
            for (size_t j = 0; j < 4; j++)
#pragma GCC unroll 4
                for (size_t t = 0; t < T; t++)
                    accumulate(f, w + t * d->tile_b, g, j, word[t], table, x, ldx, e + t, o + t, T, R);
        }
        for (size_t j = 0; j < n % 8 / 2; j++)
#pragma GCC unroll 4
            for (size_t t = 0; t < T; t++)
                accumulate(f, w + t * d->tile_b, n / 8, j, table, table, x, ldx, e + t, o + t, T, R);
#pragma GCC unroll 8
        for (size_t i = 0; i < R * T; i++) {
            __m512 block = _mm512_add_ps(e[i], o[i]);
            if (f == TILE_BF16) // a power of two is exact, fused or not
                sum[i] = _mm512_add_ps(sum[i], block);
            else
                sum[i] = _mm512_fmadd_ps(block, lane_scales(f, scales + i % T * d->tile_b), sum[i]);
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < R * T; i++)
        _mm512_storeu_ps(c + i / T * d->ldc + i % T * TILE, sum[i]);
}

/* All tiles with the same R rows, T tiles at a time. */
INLINE void dot_tiles(const struct dot *d, enum tile_format f, size_t R, size_t T)
{
    size_t tile = 0;
    for (; tile + T <= d->n_tiles; tile += T)
        dot_rows(d, f, tile, 0, R, T);
    for (; tile < d->n_tiles; tile++)
        dot_rows(d, f, tile, 0, R, 1);
}

/* Many rows: each tile with groups of 4 to 8 of them. */
INLINE void dot_many(const struct dot *d, enum tile_format f)
{
    for (size_t tile = 0; tile < d->n_tiles; tile++) {
        for (size_t row = 0; row < d->m;) {
            size_t left = d->m - row;
            size_t n_groups = (left + MAX_SUMS - 1) / MAX_SUMS;
            size_t n = (left + n_groups - 1) / n_groups;
            switch (n) {
            case 8: dot_rows(d, f, tile, row, 8, 1); break;
            case 7: dot_rows(d, f, tile, row, 7, 1); break;
            case 6: dot_rows(d, f, tile, row, 6, 1); break;
            case 5: dot_rows(d, f, tile, row, 5, 1); break;
            default: dot_rows(d, f, tile, row, 4, 1); break;
            }
            row += n;
        }
    }
}

INLINE void dot_format(const struct dot *d, enum tile_format f)
{
    switch (d->m) {
    case 0: break;
    case 1: dot_tiles(d, f, 1, 4); break;
    case 2: dot_tiles(d, f, 2, 4); break;
    case 3: dot_tiles(d, f, 3, 2); break;
    case 4: dot_tiles(d, f, 4, 2); break;
    default: dot_many(d, f); break;
    }
}

static void dot(const struct dot *d)
{
    switch (d->format) {
    case TILE_BF16: dot_format(d, TILE_BF16); break;
    case TILE_MXFP4: dot_format(d, TILE_MXFP4); break;
    case TILE_Q8_0: dot_format(d, TILE_Q8_0); break;
    case TILE_Q4_0: dot_format(d, TILE_Q4_0); break;
    }
}

#endif
#endif
