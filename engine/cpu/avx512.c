#include <immintrin.h>

#include "cpu/avx2.h"

/* The products on 16 lanes: a whole tile in one register, up to 8 rows at a time. Row kernels are
 * avx2.c's. */

#define INLINE static inline __attribute__((always_inline))
enum { MAX_ROWS = 8 };

INLINE void bf16_rows(const uint32_t *w, size_t n_pairs, const float *x, size_t ldx, float *c, size_t ldc, size_t R)
{
    const __m512i high = _mm512_set1_epi32((int)0xffff0000u);
    __m512 sum[MAX_ROWS];
#pragma GCC unroll 8
    for (size_t r = 0; r < R; r++)
        sum[r] = _mm512_loadu_ps(c + r * ldc);
    for (size_t begin = 0; begin < n_pairs; begin += BLOCK / 2) {
        size_t end = begin + BLOCK / 2 < n_pairs ? begin + BLOCK / 2 : n_pairs;
        __m512 e[MAX_ROWS], o[MAX_ROWS];
#pragma GCC unroll 8
        for (size_t r = 0; r < R; r++)
            e[r] = o[r] = _mm512_setzero_ps();
        for (size_t p = begin; p < end; p++) {
            __m512i word = _mm512_loadu_si512(w + p * TILE);
            __m512 even = _mm512_castsi512_ps(_mm512_slli_epi32(word, 16));
            __m512 odd = _mm512_castsi512_ps(_mm512_and_si512(word, high));
#pragma GCC unroll 8
            for (size_t r = 0; r < R; r++) {
                e[r] = _mm512_fmadd_ps(_mm512_set1_ps(x[r * ldx + 2 * p]), even, e[r]);
                o[r] = _mm512_fmadd_ps(_mm512_set1_ps(x[r * ldx + 2 * p + 1]), odd, o[r]);
            }
        }
#pragma GCC unroll 8
        for (size_t r = 0; r < R; r++)
            sum[r] = _mm512_add_ps(sum[r], _mm512_add_ps(e[r], o[r]));
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < R; r++)
        _mm512_storeu_ps(c + r * ldc, sum[r]);
}

static void dot_bf16(const uint32_t *w, size_t n_pairs, const float *x, size_t ldx, size_t m, float *c, size_t ldc)
{
    for (; m >= 8; m -= 8, x += 8 * ldx, c += 8 * ldc)
        bf16_rows(w, n_pairs, x, ldx, c, ldc, 8);
    if (m >= 4) {
        bf16_rows(w, n_pairs, x, ldx, c, ldc, 4);
        m -= 4, x += 4 * ldx, c += 4 * ldc;
    }
    if (m >= 2) {
        bf16_rows(w, n_pairs, x, ldx, c, ldc, 2);
        m -= 2, x += 2 * ldx, c += 2 * ldc;
    }
    if (m)
        bf16_rows(w, n_pairs, x, ldx, c, ldc, 1);
}

INLINE __m512 scale16(const uint8_t *scales)
{
    __m512i b = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)scales));
    __mmask16 nan = _mm512_cmpeq_epi32_mask(b, _mm512_set1_epi32(255));
    return _mm512_castsi512_ps(_mm512_mask_set1_epi32(_mm512_slli_epi32(b, 23), nan, 0x7fc00000));
}

INLINE void mxfp4_rows(const uint32_t *codes, const uint8_t *scales, size_t n_blocks, const float *x, size_t ldx,
                       float *c, size_t ldc, size_t R)
{
    const __m512 table = _mm512_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f, -0.0f, -0.5f, -1.0f, -1.5f,
                                        -2.0f, -3.0f, -4.0f, -6.0f);
    __m512 sum[MAX_ROWS];
#pragma GCC unroll 8
    for (size_t r = 0; r < R; r++)
        sum[r] = _mm512_loadu_ps(c + r * ldc);
    for (size_t b = 0; b < n_blocks; b++) {
        __m512 e[MAX_ROWS], o[MAX_ROWS];
#pragma GCC unroll 8
        for (size_t r = 0; r < R; r++)
            e[r] = o[r] = _mm512_setzero_ps();
        for (size_t g = b * BLOCK / 8; g < (b + 1) * BLOCK / 8; g++) {
            __m512i word = _mm512_loadu_si512(codes + g * TILE);
#pragma GCC unroll 4
            for (unsigned i = 0; i < 8; i += 2) { // the shuffle looks at the low 4 bits of each lane only
                __m512 even = _mm512_permutexvar_ps(_mm512_srli_epi32(word, 4 * i), table);
                __m512 odd = _mm512_permutexvar_ps(_mm512_srli_epi32(word, 4 * i + 4), table);
                const float *at = x + g * 8 + i;
#pragma GCC unroll 8
                for (size_t r = 0; r < R; r++) {
                    e[r] = _mm512_fmadd_ps(_mm512_set1_ps(at[r * ldx]), even, e[r]);
                    o[r] = _mm512_fmadd_ps(_mm512_set1_ps(at[r * ldx + 1]), odd, o[r]);
                }
            }
        }
        __m512 scale = scale16(scales + b * TILE);
#pragma GCC unroll 8
        for (size_t r = 0; r < R; r++)
            sum[r] = _mm512_add_ps(sum[r], _mm512_mul_ps(_mm512_add_ps(e[r], o[r]), scale));
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < R; r++)
        _mm512_storeu_ps(c + r * ldc, sum[r]);
}

static void dot_mxfp4(const uint32_t *codes, const uint8_t *scales, size_t n_blocks, const float *x, size_t ldx,
                      size_t m, float *c, size_t ldc)
{
    for (; m >= 8; m -= 8, x += 8 * ldx, c += 8 * ldc)
        mxfp4_rows(codes, scales, n_blocks, x, ldx, c, ldc, 8);
    if (m >= 4) {
        mxfp4_rows(codes, scales, n_blocks, x, ldx, c, ldc, 4);
        m -= 4, x += 4 * ldx, c += 4 * ldc;
    }
    if (m >= 2) {
        mxfp4_rows(codes, scales, n_blocks, x, ldx, c, ldc, 2);
        m -= 2, x += 2 * ldx, c += 2 * ldc;
    }
    if (m)
        mxfp4_rows(codes, scales, n_blocks, x, ldx, c, ldc, 1);
}

const struct cpu_kernels cpu_avx512_kernels = {
    .isa = "avx512",
#ifdef ASSAY_WRONG_SEGMENT_ORDER
    .wrong_segments = true,
#endif
    .dot_bf16 = dot_bf16,
    .dot_mxfp4 = dot_mxfp4,
    .expand = avx2_expand,
    .operands = avx2_operands,
    .sum_squares = avx2_sum_squares,
    .norm_scale = avx2_norm_scale,
    .rope = avx2_rope,
    .glu = avx2_glu,
    .softmax = avx2_softmax,
    .merge = avx2_merge,
    .combine = avx2_combine,
};
