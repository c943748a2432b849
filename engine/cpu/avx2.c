#include "cpu/avx2.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "base/fmath.h"

/* ref.c on 8 lanes. An output row, a position or an element sits in each lane, so every lane performs
 * the scalar sequence and the bits agree by construction; only the horizontal sums need care. What is
 * left over at the end of a row goes through the scalar functions. */

enum { LANES = 8 };

/* fm_exp, operation for operation. */
static inline __m256 exp8(__m256 x)
{
    const __m256 magic = _mm256_set1_ps(12582912.0f);
    __m256 t = _mm256_fmadd_ps(x, _mm256_set1_ps(0x1.715476p+0f), magic);
    __m256 n = _mm256_sub_ps(t, magic);
    __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-0x1.62e4p-1f), x);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(-0x1.7f7d1cp-20f), r);
    __m256 p = _mm256_set1_ps(0x1.a01a02p-13f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.6c16c2p-10f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.111112p-7f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.555556p-5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.555556p-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    __m256i bits = _mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(t), 23));
    __m256 y = _mm256_castsi256_ps(bits);
    y = _mm256_blendv_ps(y, _mm256_setzero_ps(), _mm256_cmp_ps(x, _mm256_set1_ps(FM_EXP_MIN), _CMP_LT_OQ));
    y = _mm256_blendv_ps(y, _mm256_set1_ps(INFINITY), _mm256_cmp_ps(x, _mm256_set1_ps(FM_EXP_MAX), _CMP_GT_OQ));
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

static inline __m256 sigmoid8(__m256 x)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    __m256 minus = _mm256_xor_ps(x, _mm256_set1_ps(-0.0f));
    return _mm256_div_ps(one, _mm256_add_ps(one, exp8(minus)));
}

/* The operand images of 8 values in the low halves; *bad collects lanes that are out of range (0 there). */
static inline __m256i operand8(__m256 x, __m256i *bad)
{
    const __m256i u = _mm256_castps_si256(x);
    const __m256i sign_off = _mm256_set1_epi32(0x7fffffff);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i r = _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd), 16);
    __m256i magnitude = _mm256_and_si256(r, _mm256_set1_epi32(0x7fff));
    __m256i small = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)BF16_OPERAND_MIN), magnitude);
    __m256i large = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32((int)BF16_OPERAND_END - 1));
    __m256i nan = _mm256_cmpgt_epi32(_mm256_and_si256(u, sign_off), _mm256_set1_epi32(0x7f800000));
    large = _mm256_or_si256(large, nan); // adding may have carried a NaN's image into the sign: test it itself
    *bad = _mm256_or_si256(*bad, large);
    return _mm256_andnot_si256(_mm256_or_si256(small, large), r);
}

static inline void store_operands(uint16_t *out, __m256i v)
{
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(v, v), 0x08);
    _mm_storeu_si128((__m128i *)(void *)out, _mm256_castsi256_si128(packed));
}

static inline __m256 widen8(const uint16_t *x)
{
    __m256i v = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)x));
    return _mm256_castsi256_ps(_mm256_slli_epi32(v, 16));
}

/* The halving tree of 32 chains held as 4 registers, chain i in lane i mod 8 of register i / 8. */
static inline float tree(const __m256 c[4])
{
    __m256 v = _mm256_add_ps(_mm256_add_ps(c[0], c[2]), _mm256_add_ps(c[1], c[3]));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

void avx2_expand(const uint16_t *x, size_t n, float *out)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(out + i, widen8(x + i));
    for (; i < n; i++)
        out[i] = bf16_to_f32(x[i]);
}

bool avx2_operands(const float *x, size_t n, uint16_t *out)
{
    __m256i bad = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store_operands(out + i, operand8(_mm256_loadu_ps(x + i), &bad));
    bool good = _mm256_testz_si256(bad, bad);
    return (i == n || cpu_ref_kernels.operands(x + i, n - i, out + i)) && good;
}

float avx2_sum_squares(const float *x, size_t n)
{
    __m256 c[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    float last[N_CHAINS] = {0}; // a zero adds +0 to a chain that is never -0
    for (size_t i = 0; i < n; i += N_CHAINS) {
        const float *at = x + i;
        if (n - i < N_CHAINS) {
            memcpy(last, at, (n - i) * sizeof *last);
            at = last;
        }
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++) {
            __m256 v = _mm256_loadu_ps(at + j * LANES);
            c[j] = _mm256_fmadd_ps(v, v, c[j]);
        }
    }
    return tree(c);
}

void avx2_norm_scale(const float *x, const float *w, float r, size_t n, float *out)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        __m256 v = _mm256_div_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(r));
        _mm256_storeu_ps(out + i, _mm256_mul_ps(v, _mm256_loadu_ps(w + i)));
    }
    cpu_ref_kernels.norm_scale(x + i, w + i, r, n - i, out + i);
}

void avx2_rope(float *v, const float *cos, const float *sin, size_t half)
{
    size_t i = 0;
    for (; i + LANES <= half; i += LANES) {
        __m256 a = _mm256_loadu_ps(v + i);
        __m256 b = _mm256_loadu_ps(v + half + i);
        __m256 c = _mm256_loadu_ps(cos + i);
        __m256 s = _mm256_loadu_ps(sin + i);
        _mm256_storeu_ps(v + i, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
        _mm256_storeu_ps(v + half + i, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
    }
    for (; i < half; i++) {
        float a = v[i];
        float b = v[i + half];
        v[i] = fmaf(a, cos[i], -(b * sin[i]));
        v[i + half] = fmaf(b, cos[i], a * sin[i]);
    }
}

bool avx2_glu(const struct glu *k, const float *z, size_t n_ff, uint16_t *out)
{
    const __m256 limit = _mm256_set1_ps(k->limit);
    const __m256 minus_limit = _mm256_set1_ps(-k->limit);
    __m256i bad = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + LANES <= n_ff; i += LANES) {
        __m256 z0 = _mm256_loadu_ps(z + 2 * i);
        __m256 z1 = _mm256_loadu_ps(z + 2 * i + LANES);
        __m256 g = _mm256_shuffle_ps(z0, z1, 0x88); // even elements, in pairs of quarters
        __m256 u = _mm256_shuffle_ps(z0, z1, 0xdd);
        g = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(g), 0xd8));
        u = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(u), 0xd8));
        __m256 a;
        if (k->kind == GLU_SILU) {
            a = _mm256_mul_ps(_mm256_mul_ps(g, sigmoid8(g)), u);
        } else {
            g = _mm256_blendv_ps(g, limit, _mm256_cmp_ps(g, limit, _CMP_GT_OQ));
            u = _mm256_blendv_ps(u, limit, _mm256_cmp_ps(u, limit, _CMP_GT_OQ));
            u = _mm256_blendv_ps(u, minus_limit, _mm256_cmp_ps(u, minus_limit, _CMP_LT_OQ));
            a = _mm256_mul_ps(g, sigmoid8(_mm256_mul_ps(_mm256_set1_ps(k->alpha), g)));
            a = _mm256_mul_ps(a, _mm256_add_ps(u, _mm256_set1_ps(k->up_add)));
        }
        store_operands(out + i, operand8(a, &bad));
    }
    bool good = _mm256_testz_si256(bad, bad);
    return (i == n_ff || cpu_ref_kernels.glu(k, z + 2 * i, n_ff - i, out + i)) && good;
}

static inline __m256 visible8(size_t i, size_t from, size_t to) // all ones where from <= i + lane < to
{
    __m256i at = _mm256_add_epi32(_mm256_set1_epi32((int)i), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)from), at);
    __m256i inside = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)to), at);
    return _mm256_castsi256_ps(_mm256_andnot_si256(below, inside));
}

bool avx2_softmax(float *s, size_t from, size_t to, float scale, float *max, float *sum)
{
    const __m256 inf = _mm256_set1_ps(INFINITY);
    const __m256 minus_inf = _mm256_set1_ps(-INFINITY);
    size_t begin = from / BLOCK * BLOCK;
    size_t end = (to + BLOCK - 1) / BLOCK * BLOCK;
    __m256 top8 = minus_inf;
    __m256 bad = _mm256_setzero_ps();
    for (size_t i = begin; i < end; i += LANES) {
        __m256 see = visible8(i, from, to);
        __m256 v = _mm256_mul_ps(_mm256_loadu_ps(s + i), _mm256_set1_ps(scale));
        __m256 magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
        bad = _mm256_or_ps(bad, _mm256_and_ps(see, _mm256_cmp_ps(magnitude, inf, _CMP_NLT_UQ)));
        v = _mm256_blendv_ps(minus_inf, v, see);
        top8 = _mm256_max_ps(v, top8); // v > top ? v : top
        _mm256_storeu_ps(s + i, v);
    }
    float lane[LANES];
    _mm256_storeu_ps(lane, top8);
    float top = lane[0];
    for (size_t i = 1; i < LANES; i++)
        top = lane[i] > top ? lane[i] : top;
    top = top + 0.0f;
    __m256 c[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    __m256i unused = _mm256_setzero_si256();
    for (size_t i = begin; i < end; i += BLOCK) {
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++) {
            size_t at = i + j * LANES;
            __m256 p = exp8(_mm256_sub_ps(_mm256_loadu_ps(s + at), _mm256_set1_ps(top)));
            p = _mm256_and_ps(p, visible8(at, from, to));
            c[j] = _mm256_add_ps(c[j], p);
            __m256i b = operand8(p, &unused);
            _mm256_storeu_ps(s + at, _mm256_castsi256_ps(_mm256_slli_epi32(b, 16)));
        }
    }
    *max = top;
    *sum = tree(c);
    return _mm256_testz_si256(_mm256_castps_si256(bad), _mm256_castps_si256(bad));
}

void avx2_merge(float *o, float a, const float *p, float b, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        __m256 add = _mm256_mul_ps(_mm256_loadu_ps(p + i), _mm256_set1_ps(b));
        _mm256_storeu_ps(o + i, _mm256_fmadd_ps(_mm256_loadu_ps(o + i), _mm256_set1_ps(a), add));
    }
    cpu_ref_kernels.merge(o + i, a, p + i, b, n - i);
}

void avx2_combine(const float *w, const float *ys, size_t k, size_t n, float *y)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        __m256 acc = _mm256_setzero_ps();
        for (size_t j = 0; j < k; j++)
            acc = _mm256_fmadd_ps(_mm256_set1_ps(w[j]), _mm256_loadu_ps(ys + j * n + i), acc);
        _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(y + i), acc));
    }
    for (; i < n; i++) {
        float acc = 0.0f;
        for (size_t j = 0; j < k; j++)
            acc = fmaf(w[j], ys[j * n + i], acc);
        y[i] = y[i] + acc;
    }
}

/* Products: R rows of x against the 16 lanes of a tile, as two halves of 8. R is a constant wherever
 * these are called, so that the accumulators live in registers. */
#define INLINE static inline __attribute__((always_inline))
enum { MAX_ROWS = 4 };

INLINE void bf16_rows(const uint32_t *w, size_t n_pairs, const float *x, size_t ldx, float *c, size_t ldc, size_t R)
{
    const __m256i high = _mm256_set1_epi32((int)0xffff0000u);
    for (size_t half = 0; half < TILE; half += LANES) {
        __m256 sum[MAX_ROWS];
#pragma GCC unroll 4
        for (size_t r = 0; r < R; r++)
            sum[r] = _mm256_loadu_ps(c + r * ldc + half);
        for (size_t begin = 0; begin < n_pairs; begin += BLOCK / 2) {
            size_t end = begin + BLOCK / 2 < n_pairs ? begin + BLOCK / 2 : n_pairs;
            __m256 e[MAX_ROWS], o[MAX_ROWS];
#pragma GCC unroll 4
            for (size_t r = 0; r < R; r++)
                e[r] = o[r] = _mm256_setzero_ps();
            for (size_t p = begin; p < end; p++) {
                __m256i word = _mm256_loadu_si256((const __m256i *)(const void *)(w + p * TILE + half));
                __m256 even = _mm256_castsi256_ps(_mm256_slli_epi32(word, 16));
                __m256 odd = _mm256_castsi256_ps(_mm256_and_si256(word, high));
#pragma GCC unroll 4
                for (size_t r = 0; r < R; r++) {
                    e[r] = _mm256_fmadd_ps(_mm256_broadcast_ss(x + r * ldx + 2 * p), even, e[r]);
                    o[r] = _mm256_fmadd_ps(_mm256_broadcast_ss(x + r * ldx + 2 * p + 1), odd, o[r]);
                }
            }
#pragma GCC unroll 4
            for (size_t r = 0; r < R; r++)
                sum[r] = _mm256_add_ps(sum[r], _mm256_add_ps(e[r], o[r]));
        }
#pragma GCC unroll 4
        for (size_t r = 0; r < R; r++)
            _mm256_storeu_ps(c + r * ldc + half, sum[r]);
    }
}

static void dot_bf16(const uint32_t *w, size_t n_pairs, const float *x, size_t ldx, size_t m, float *c, size_t ldc)
{
    for (; m >= 4; m -= 4, x += 4 * ldx, c += 4 * ldc)
        bf16_rows(w, n_pairs, x, ldx, c, ldc, 4);
    if (m >= 2) {
        bf16_rows(w, n_pairs, x, ldx, c, ldc, 2);
        m -= 2, x += 2 * ldx, c += 2 * ldc;
    }
    if (m)
        bf16_rows(w, n_pairs, x, ldx, c, ldc, 1);
}

/* Code i of each word: 3 bits of magnitude pick from a table, the fourth becomes the sign. */
INLINE __m256 e2m1(__m256i word, int i, __m256 table)
{
    __m256 v = _mm256_permutevar8x32_ps(table, _mm256_srli_epi32(word, 4 * i));
    __m256i sign = _mm256_and_si256(_mm256_slli_epi32(word, 28 - 4 * i), _mm256_set1_epi32((int)0x80000000u));
    return _mm256_xor_ps(v, _mm256_castsi256_ps(sign));
}

INLINE __m256 scale8(const uint8_t *scales)
{
    __m256i b = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)scales));
    __m256i nan = _mm256_cmpeq_epi32(b, _mm256_set1_epi32(255));
    __m256i v = _mm256_or_si256(_mm256_slli_epi32(b, 23), _mm256_and_si256(nan, _mm256_set1_epi32(0x00400000)));
    return _mm256_castsi256_ps(v);
}

INLINE void mxfp4_rows(const uint32_t *codes, const uint8_t *scales, size_t n_blocks, const float *x, size_t ldx,
                       float *c, size_t ldc, size_t R)
{
    const __m256 table = _mm256_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f);
    for (size_t half = 0; half < TILE; half += LANES) {
        __m256 sum[MAX_ROWS];
#pragma GCC unroll 4
        for (size_t r = 0; r < R; r++)
            sum[r] = _mm256_loadu_ps(c + r * ldc + half);
        for (size_t b = 0; b < n_blocks; b++) {
            __m256 e[MAX_ROWS], o[MAX_ROWS];
#pragma GCC unroll 4
            for (size_t r = 0; r < R; r++)
                e[r] = o[r] = _mm256_setzero_ps();
            for (size_t g = b * BLOCK / 8; g < (b + 1) * BLOCK / 8; g++) {
                __m256i word = _mm256_loadu_si256((const __m256i *)(const void *)(codes + g * TILE + half));
#pragma GCC unroll 4
                for (int i = 0; i < 8; i += 2) {
                    __m256 even = e2m1(word, i, table);
                    __m256 odd = e2m1(word, i + 1, table);
                    const float *at = x + g * 8 + (size_t)i;
#pragma GCC unroll 4
                    for (size_t r = 0; r < R; r++) {
                        e[r] = _mm256_fmadd_ps(_mm256_broadcast_ss(at + r * ldx), even, e[r]);
                        o[r] = _mm256_fmadd_ps(_mm256_broadcast_ss(at + r * ldx + 1), odd, o[r]);
                    }
                }
            }
            __m256 scale = scale8(scales + b * TILE + half);
#pragma GCC unroll 4
            for (size_t r = 0; r < R; r++)
                sum[r] = _mm256_add_ps(sum[r], _mm256_mul_ps(_mm256_add_ps(e[r], o[r]), scale));
        }
#pragma GCC unroll 4
        for (size_t r = 0; r < R; r++)
            _mm256_storeu_ps(c + r * ldc + half, sum[r]);
    }
}

static void dot_mxfp4(const uint32_t *codes, const uint8_t *scales, size_t n_blocks, const float *x, size_t ldx,
                      size_t m, float *c, size_t ldc)
{
    for (; m >= 4; m -= 4, x += 4 * ldx, c += 4 * ldc)
        mxfp4_rows(codes, scales, n_blocks, x, ldx, c, ldc, 4);
    if (m >= 2) {
        mxfp4_rows(codes, scales, n_blocks, x, ldx, c, ldc, 2);
        m -= 2, x += 2 * ldx, c += 2 * ldc;
    }
    if (m)
        mxfp4_rows(codes, scales, n_blocks, x, ldx, c, ldc, 1);
}

const struct cpu_kernels cpu_avx2_kernels = {
    .isa = "avx2",
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
