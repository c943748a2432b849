#include <immintrin.h>

#include "base/fmath.h"
#include "cpu/avx2.h"

/* Stored rows into tiles, 16 bytes of each row at a time: shuffled within the row, then transposed. */

static __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static void store16(uint8_t *p, __m128i v)
{
    _mm_storeu_si128((__m128i *)(void *)p, v);
}

// words of four rows: v[i] = word i of rows 0..3
static void transpose4(__m128i v[4])
{
    __m128i a = _mm_unpacklo_epi32(v[0], v[1]);
    __m128i b = _mm_unpacklo_epi32(v[2], v[3]);
    __m128i c = _mm_unpackhi_epi32(v[0], v[1]);
    __m128i d = _mm_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm_unpacklo_epi64(a, b);
    v[1] = _mm_unpackhi_epi64(a, b);
    v[2] = _mm_unpacklo_epi64(c, d);
    v[3] = _mm_unpackhi_epi64(c, d);
}

static bool pack_bf16(const struct pack_plan *plan, const uint8_t *const rows[TILE], uint8_t *codes)
{
    const __m128i order = load16(plan->byte);
    const __m128i magnitude = _mm_set1_epi16(0x7fff);
    const __m128i below_min = _mm_set1_epi16(BF16_OPERAND_MIN - 1);
    const __m128i in_range = _mm_set1_epi16(BF16_OPERAND_END - 1);
    __m128i bad = _mm_setzero_si128();
    for (size_t g = 0; g < TILE; g += 4) {
        for (size_t part = 0; part < 4; part++) { // 8 inputs
            __m128i v[4];
            for (size_t r = 0; r < 4; r++) {
                __m128i x = load16(rows[g + r] + 16 * part);
                __m128i m = _mm_and_si128(x, magnitude);
                bad = _mm_or_si128(bad, _mm_cmpgt_epi16(m, in_range));
                v[r] = _mm_shuffle_epi8(_mm_and_si128(x, _mm_cmpgt_epi16(m, below_min)), order);
            }
            transpose4(v);
            for (size_t i = 0; i < 4; i++)
                store16(codes + ((4 * part + i) * TILE + g) * 4, v[i]);
        }
    }
    return _mm_testz_si128(bad, bad);
}

static void pack_bytes(const struct pack_plan *plan, const uint8_t *const rows[TILE], uint8_t *codes)
{
    const __m128i by_place = load16(plan->byte);
    for (size_t part = 0; part < 2; part++) { // 16 inputs
        __m128i v[4][4]; // [rows' group][words' group]
        for (size_t g = 0; g < 4; g++) {
            for (size_t r = 0; r < 4; r++)
                v[g][r] = load16(rows[4 * g + r] + 16 * part);
            transpose4(v[g]);
            for (size_t i = 0; i < 4; i++) // four inputs of four rows: a word an input
                v[g][i] = _mm_shuffle_epi8(v[g][i], by_place);
        }
        for (size_t i = 0; i < 4; i++) {
            __m128i w[4] = {v[0][i], v[1][i], v[2][i], v[3][i]};
            transpose4(w);
            for (size_t k = 0; k < 4; k++)
                store16(codes + (16 * part + 4 * i + k) * TILE, w[k]);
        }
    }
}

static void pack_nibbles(const struct pack_plan *plan, const uint8_t *const rows[TILE], uint8_t *codes)
{
    const __m128i nibble = _mm_set1_epi8(15);
    const __m128i low0 = load16(plan->low[0]);
    const __m128i low1 = load16(plan->low[1]);
    const __m128i high0 = load16(plan->high[0]);
    const __m128i high1 = load16(plan->high[1]);
    for (size_t g = 0; g < TILE; g += 4) {
        __m128i v[4];
        for (size_t r = 0; r < 4; r++) {
            __m128i x = load16(rows[g + r]);
            __m128i a = _mm_and_si128(x, nibble);
            __m128i b = _mm_and_si128(_mm_srli_epi16(x, 4), nibble);
            __m128i low = _mm_or_si128(_mm_shuffle_epi8(a, low0), _mm_shuffle_epi8(b, low1));
            __m128i high = _mm_or_si128(_mm_shuffle_epi8(a, high0), _mm_shuffle_epi8(b, high1));
            v[r] = _mm_or_si128(low, _mm_slli_epi16(high, 4));
        }
        transpose4(v);
        for (size_t i = 0; i < 4; i++)
            store16(codes + (i * TILE + g) * 4, v[i]);
    }
}

bool avx2_pack(const struct pack_plan *plan, const uint8_t *const rows[TILE], uint8_t *codes)
{
    switch (plan->kind) {
    case PACK_BF16:
        return pack_bf16(plan, rows, codes);
    case PACK_BYTES:
        pack_bytes(plan, rows, codes);
        return true;
    case PACK_NIBBLE_HALVES:
    case PACK_NIBBLE_PAIRS:
        pack_nibbles(plan, rows, codes);
        return true;
    }
    return false;
}
