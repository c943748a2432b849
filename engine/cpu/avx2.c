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

void avx2_stage(const uint16_t *x, size_t n, void *out)
{
    float *y = out;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(y + i, widen8(x + i));
    for (; i < n; i++)
        y[i] = bf16_to_f32(x[i]);
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

bool avx2_softmax(float *s, size_t from, size_t to, float scale, uint16_t *out, float *max, float *sum)
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
            store_operands(out + at, operand8(p, &unused));
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

/* Products: R rows of x against H halves of tiles, 8 lanes each. R and H are constants wherever dot_rows
 * is called, R x H <= MAX_SUMS, so that the accumulators live in registers. */
#define INLINE static inline __attribute__((always_inline))
enum { MAX_SUMS = 4 };

/* Low and high bytes of the bf16 of each 4-bit code. */
struct code_table {
    __m256i low, high;
};

INLINE struct code_table code_table(enum tile_format f)
{
    __m128i low = _mm_setr_epi8(0, 0, -128, -64, 0, 64, -128, -64, 0, 0, -128, -64, 0, 64, -128, -64);
    __m128i high = _mm_setr_epi8(0, 63, 63, 63, 64, 64, 64, 64, -128, -65, -65, -65, -64, -64, -64, -64);
    if (f == TILE_Q4_0) {
        low = _mm_setr_epi8(0, -32, -64, -96, -128, 64, 0, -128, 0, -128, 0, 64, -128, -96, -64, -32);
        high = _mm_setr_epi8(-63, -64, -64, -64, -64, -64, -64, -65, 0, 63, 64, 64, 64, 64, 64, 64);
    }
    return (struct code_table){_mm256_broadcastsi128_si256(low), _mm256_broadcastsi128_si256(high)};
}

INLINE __m256 int8_values(const uint8_t *codes)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)codes)));
}

/* Multiply inputs i and i + 1 of R rows with their weights, given as words of two bf16 or as fp32. */
INLINE void step(__m256 even, __m256 odd, const float *x, size_t ldx, __m256 *e, __m256 *o, size_t stride, size_t R)
{
#pragma GCC unroll 4
    for (size_t r = 0; r < R; r++) {
        e[r * stride] = _mm256_fmadd_ps(_mm256_broadcast_ss(x + r * ldx), even, e[r * stride]);
        o[r * stride] = _mm256_fmadd_ps(_mm256_broadcast_ss(x + r * ldx + 1), odd, o[r * stride]);
    }
}

INLINE void step_pair(__m256i pair, const float *x, size_t ldx, __m256 *e, __m256 *o, size_t stride, size_t R)
{
    step(_mm256_castsi256_ps(_mm256_slli_epi32(pair, 16)),
         _mm256_castsi256_ps(_mm256_and_si256(pair, _mm256_set1_epi32((int)0xffff0000u))), x, ldx, e, o, stride, R);
}

/* The 8 places of group g of a block, for one half of a tile: w at the half's first lane, x at the group. */
INLINE void step_group(enum tile_format f, const uint8_t *w, size_t g, struct code_table table, const float *x, size_t ldx,
                       __m256 *e, __m256 *o, size_t stride, size_t R)
{
    if (f == TILE_BF16) {
#pragma GCC unroll 4
        for (size_t i = 4 * g; i < 4 * g + 4; i++)
            step_pair(_mm256_loadu_si256((const __m256i *)(const void *)(w + i * 64)), x + 2 * (i - 4 * g), ldx, e, o, stride, R);
    } else if (f == TILE_Q8_0) {
#pragma GCC unroll 4
        for (size_t i = 8 * g; i < 8 * g + 8; i += 2)
            step(int8_values(w + i * TILE), int8_values(w + i * TILE + TILE), x + (i - 8 * g), ldx, e, o, stride, R);
    } else { // the low nibbles of a word's bytes are places 0 2 1 3, the high ones 4 6 5 7
        const __m256i nibbles = _mm256_set1_epi8(15);
        const __m256i odd_bytes = _mm256_set1_epi16((short)0xff00);
        __m256i word = _mm256_loadu_si256((const __m256i *)(const void *)(w + g * 64));
#pragma GCC unroll 2
        for (size_t i = 0; i < 8; i += 4, x += 4) {
            __m256i code = _mm256_and_si256(i ? _mm256_srli_epi16(word, 4) : word, nibbles);
            __m256i low = _mm256_shuffle_epi8(table.low, code);
            __m256i high = _mm256_shuffle_epi8(table.high, code);
            step_pair(_mm256_blendv_epi8(low, _mm256_slli_epi16(high, 8), odd_bytes), x, ldx, e, o, stride, R);
            step_pair(_mm256_blendv_epi8(_mm256_srli_epi16(low, 8), high, odd_bytes), x + 2, ldx, e, o, stride, R);
        }
    }
}

INLINE __m256 lane_scales(enum tile_format f, const uint8_t *scales)
{
    if (f != TILE_MXFP4)
        return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)scales));
    __m256i b = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)scales));
    __m256i nan = _mm256_cmpeq_epi32(b, _mm256_set1_epi32(255));
    __m256i v = _mm256_or_si256(_mm256_slli_epi32(b, 23), _mm256_and_si256(nan, _mm256_set1_epi32(0x00400000)));
    return _mm256_castsi256_ps(v);
}

INLINE void dot_rows(const struct dot *d, enum tile_format f, size_t half, size_t row, size_t R, size_t H)
{
    const struct code_table table = code_table(f);
    const size_t lane_b = f == TILE_Q8_0 ? 1 : 4;                      // from lane to lane
    const size_t scale_lane_b = f == TILE_MXFP4 ? 1 : 2;
    const uint8_t *w[MAX_SUMS];
    const uint8_t *scales[MAX_SUMS];
    const float *x = (const float *)d->x + row * d->ldx;
    float *c = d->c + row * d->ldc + half * LANES;
    __m256 sum[MAX_SUMS], e[MAX_SUMS], o[MAX_SUMS];
#pragma GCC unroll 4
    for (size_t h = 0; h < H; h++) {
        const uint8_t *tile = d->w + (half + h) / 2 * d->tile_b;
        w[h] = tile + (half + h) % 2 * LANES * lane_b;
        scales[h] = tile + d->n / BLOCK * tile_code_b(f) + (half + h) % 2 * LANES * scale_lane_b;
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < R * H; i++)
        sum[i] = _mm256_loadu_ps(c + i / H * d->ldc + i % H * LANES);
    for (size_t k = 0; k < d->n; k += BLOCK, x += BLOCK) {
        size_t n = f == TILE_BF16 && d->n - k < BLOCK ? d->n - k : BLOCK;
#pragma GCC unroll 4
        for (size_t i = 0; i < R * H; i++)
            e[i] = o[i] = _mm256_setzero_ps();
        for (size_t g = 0; g < n / 8; g++) {
#pragma GCC unroll 4
            for (size_t h = 0; h < H; h++)
                step_group(f, w[h], g, table, x + 8 * g, d->ldx, e + h, o + h, H, R);
        }
        for (size_t i = n / 8 * 8; f == TILE_BF16 && i < n; i += 2)
#pragma GCC unroll 4
            for (size_t h = 0; h < H; h++)
                step_pair(_mm256_loadu_si256((const __m256i *)(const void *)(w[h] + i * 32)), x + i, d->ldx, e + h, o + h, H,
                          R);
#pragma GCC unroll 4
        for (size_t i = 0; i < R * H; i++) {
            __m256 block = _mm256_add_ps(e[i], o[i]);
            if (f == TILE_BF16) // a power of two is exact, fused or not
                sum[i] = _mm256_add_ps(sum[i], block);
            else
                sum[i] = _mm256_fmadd_ps(block, lane_scales(f, scales[i % H]), sum[i]);
        }
#pragma GCC unroll 4
        for (size_t h = 0; h < H; h++) {
            w[h] += tile_code_b(f);
            scales[h] += tile_scale_b(f);
        }
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < R * H; i++)
        _mm256_storeu_ps(c + i / H * d->ldc + i % H * LANES, sum[i]);
}

INLINE void dot_format(const struct dot *d, enum tile_format f)
{
    size_t row = 0;
    for (size_t half = 0; half < 2 * d->n_tiles; half += 2) {
        for (row = 0; row + 4 <= d->m; row += 4) {
            dot_rows(d, f, half, row, 4, 1);
            dot_rows(d, f, half + 1, row, 4, 1);
        }
        for (; row + 2 <= d->m; row += 2)
            dot_rows(d, f, half, row, 2, 2);
    }
    if (row == d->m)
        return;
    size_t half = 0;
    for (; half + 4 <= 2 * d->n_tiles; half += 4)
        dot_rows(d, f, half, row, 1, 4);
    for (; half < 2 * d->n_tiles; half += 2)
        dot_rows(d, f, half, row, 1, 2);
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

const struct cpu_kernels cpu_avx2_kernels = {
    .isa = "avx2",
#ifdef ASSAY_WRONG_SEGMENT_ORDER
    .wrong_segments = true,
#endif
    .order = ORDER_PAIRS,
    .pack = avx2_pack,
    .staged_b = sizeof(float),
    .stage = avx2_stage,
    .dot = dot,
    .operands = avx2_operands,
    .sum_squares = avx2_sum_squares,
    .norm_scale = avx2_norm_scale,
    .rope = avx2_rope,
    .glu = avx2_glu,
    .softmax = avx2_softmax,
    .merge = avx2_merge,
    .combine = avx2_combine,
};
