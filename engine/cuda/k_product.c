#include "cuda/activate.h"
#include "cuda/kernels.h"
#include "cuda/layout.h"

/* The canonical product (numerics.md), the one place where weights are read. A thread takes one row of a tile
 * and one 512-wide segment: its loads (for one operand row 16 of 16 bytes are asked for before the first is
 * used, 32 KiB a block of threads; for 8 rows, where arithmetic is the limit, 4) go through one contiguous stripe, with the other 7 rows' beside them; its chains are
 * plain fmaf. The segments of a row are then added ascending. How many tiles and segments a block of
 * threads takes at once, and how many operand rows (M), changes speed and no bit. */

enum { PRODUCT_THREADS = 128, M_MAX = 8 };

SIMT_FN float half_value(uint32_t bits) // exact, subnormal halves too, though the unit flushes
{
    const uint32_t magnitude = bits & 0x7fffu;
    const uint32_t sign = (bits & 0x8000u) << 16;
    const float small = (float)(int32_t)magnitude * 0x1p-24f;
    const uint32_t normal = (magnitude << 13) + ((magnitude >= 0x7c00u ? 255u - 31u : 127u - 15u) << 23);
    return fmf_from_image(sign | (magnitude < 0x400u ? fmf_image(small) : normal));
}

SIMT_FN float e2m1_value(uint32_t code) // 0 .5 1 1.5 2 3 4 6, and their negatives from 8 on
{
    const uint32_t m = code & 7;
    const uint32_t big = (m << 22) + 0x3f000000u; // from 1 on: two exponent bits, one of mantissa
    const uint32_t bits = m == 0 ? 0 : m == 1 ? 0x3f000000u : big;
    return fmf_from_image(bits | (code & 8) << 28);
}

SIMT_FN float q4_value(uint32_t code)
{
    return (float)((int32_t)code - 8);
}

SIMT_FN float byte_value(uint32_t word, uint32_t i)
{
    return (float)(int8_t)(uint8_t)(word >> (8 * i));
}

SIMT_FN float scale_value(uint32_t byte) // 2^(byte - 127), NaN for 255
{
    return fmf_from_image(byte == 255 ? 0x7fc00000u : byte << 23);
}

/* The two chains of a block over inputs [8j, 8j + 8) against four words of operands. */
SIMT_FN void chains_bf16(struct quad w, struct quad x, float *e, float *o)
{
    UNROLL
    for (uint32_t i = 0; i < 4; i++) {
        *e = fmaf(low_half(x.w[i]), low_half(w.w[i]), *e);
        *o = fmaf(high_half(x.w[i]), high_half(w.w[i]), *o);
    }
}

SIMT_FN void chains_nibbles(uint32_t format, uint32_t w, struct quad x, float *e, float *o)
{
    UNROLL
    for (uint32_t i = 0; i < 4; i++) {
        const uint32_t a = w >> (8 * i) & 15u;
        const uint32_t b = w >> (8 * i + 4) & 15u;
        *e = fmaf(low_half(x.w[i]), format == DEVICE_MXFP4 ? e2m1_value(a) : q4_value(a), *e);
        *o = fmaf(high_half(x.w[i]), format == DEVICE_MXFP4 ? e2m1_value(b) : q4_value(b), *o);
    }
}

SIMT_FN void chains_bytes(uint32_t w0, uint32_t w1, struct quad x, float *e, float *o)
{
    UNROLL
    for (uint32_t i = 0; i < 4; i++) {
        const uint32_t w = i < 2 ? w0 : w1;
        *e = fmaf(low_half(x.w[i]), byte_value(w, i % 2 * 2), *e);
        *o = fmaf(high_half(x.w[i]), byte_value(w, i % 2 * 2 + 1), *o);
    }
}

/* The test-only build adds the two chains one after the other: tests/cli/cuda.sh must notice. */
SIMT_FN float add_block(float c, float e, float o)
{
#ifdef ASSAY_WRONG_SEGMENT_ORDER
    return (c + e) + o;
#else
    return c + (e + o);
#endif
}

/* c[m] = the segment's canonical sum for each of m_live operand rows. codes: the thread's first load; the
 * next lie 128 bytes apart. x: shared, operand rows x_step values apart. */
SIMT_FN void segment(const uint32_t format, const uint32_t M, const uint8_t *codes, const uint8_t *scales,
                     uint32_t n_blocks, const uint16_t *x, uint32_t x_step, uint32_t m_live, float *c)
{
    const uint32_t per_block = loads_of(format);
    const uint32_t ahead = M == 1 ? 16 : 4; // loads
    const uint32_t stage = ahead / per_block; // blocks
    struct quad q[16];
    struct quad s = {{0}}; // MXFP4: the segment's scales
    UNROLL
    for (uint32_t m = 0; m < M; m++)
        c[m] = 0.0f;
    if (format == DEVICE_MXFP4)
        s = stream_quad(scales);
    for (uint32_t b0 = 0; b0 < n_blocks; b0 += stage) {
        UNROLL
        for (uint32_t i = 0; i < ahead; i++)
            if (b0 + i / per_block < n_blocks)
                q[i] = stream_quad(codes + (size_t)(b0 * per_block + i) * TILE_ROWS * LOAD_B);
        UNROLL
        for (uint32_t b = 0; b < stage; b++) {
            float d = 0.0f;
            if (b0 + b >= n_blocks)
                break;
            if (format == DEVICE_MXFP4) // byte b of four words, which move up as the blocks pass
                d = scale_value(s.w[b / 4 % 4] >> (b % 4 * 8) & 255u);
            else if (format != DEVICE_BF16)
                d = half_value(load_half(scales + (size_t)(b0 + b) * 2));
            UNROLL
            for (uint32_t m = 0; m < M; m++) {
                const uint16_t *xb = x + m * x_step + (b0 + b) * BLOCK_INPUTS;
                float e = 0.0f;
                float o = 0.0f;
                if (m >= m_live)
                    break;
                UNROLL
                for (uint32_t j = 0; j < 4; j++) {
                    const struct quad v = load_quad(xb + 8 * j);
                    if (format == DEVICE_BF16)
                        chains_bf16(q[b * per_block + j % per_block], v, &e, &o);
                    else if (format == DEVICE_Q8_0)
                        chains_bytes(q[b * per_block + j / 2 % per_block].w[j % 2 * 2],
                                     q[b * per_block + j / 2 % per_block].w[j % 2 * 2 + 1], v, &e, &o);
                    else
                        chains_nibbles(format, q[b * per_block].w[j], v, &e, &o);
                }
                if (format == DEVICE_BF16)
                    c[m] = add_block(c[m], e, o);
                else if (format == DEVICE_MXFP4)
                    c[m] = c[m] + (e + o) * d;
                else
                    c[m] = fmaf(d, e + o, c[m]);
            }
        }
        if (stage < SEGMENT_BLOCKS) {
            s.w[0] = s.w[1];
            s.w[1] = s.w[2];
            s.w[2] = s.w[3];
        }
    }
}

SIMT_FN void finish_glu(const struct product_args *a, float g, float u, uint32_t out_row, uint32_t unit)
{
    uint16_t v;
    if (!simt_operand(simt_activate(&a->glu, g, u), &v))
        simt_mark(&a->fault[out_row / a->fault_div], a->site);
    a->act[(size_t)out_row * a->ldy + unit] = v;
}

/* x: shared, (M, segments_each, 512); part, total: shared, PRODUCT_THREADS * M each. */
SIMT_FN void product(SIMT_SELF const struct product_args *a, const uint32_t M, uint16_t *x, float *part, float *total)
{
    const uint32_t index = BLOCK_X % a->max_items;
    const uint32_t tile0 = BLOCK_X / a->max_items * a->tiles_each;
    if (a->items && index >= *a->n_items)
        return;
    const uint32_t first = a->items ? a->items[index].first : index * M;
    const uint32_t left = a->items ? a->items[index].m : a->n_rows_in - first;
    const uint32_t m_live = left < M ? left : M;
    const uint32_t which = a->items ? a->items[index].matrix : 0;
    const struct device_matrix w = a->matrices[which];
    const uint32_t n_segments = segments_of(w.n_blocks);
    const uint32_t S = a->segments_each;
    const uint32_t T = a->tiles_each;
    const float *bias = a->bias ? a->bias + (size_t)which * a->bias_ld : (const float *)0;
    for (uint32_t seg0 = 0; seg0 < n_segments; seg0 += S) {
        PHASE(t)
        {
            for (uint32_t i = t; i < m_live * S * (SEGMENT_INPUTS / 8); i += THREADS) {
                const uint32_t m = i / (S * (SEGMENT_INPUTS / 8));
                const uint32_t k = i % (S * (SEGMENT_INPUTS / 8)) * 8;
                const uint32_t p = first + m;
                const uint32_t row = (a->pairs ? a->pairs[p] : p) / a->in_div;
                if (seg0 * SEGMENT_INPUTS + k < a->ldx)
                    store_quad(x + (size_t)i * 8, load_quad(a->x + (size_t)row * a->ldx + seg0 * SEGMENT_INPUTS + k));
            }
        }
        PHASE(t)
        {
            const uint32_t row = t % TILE_ROWS;
            const uint32_t s = t / TILE_ROWS % S;
            const uint32_t tile = tile0 + t / TILE_ROWS / S;
            const uint32_t seg = seg0 + s;
            float c[M_MAX];
            if (t >= T * S * TILE_ROWS || tile >= w.n_tiles || seg >= n_segments)
                continue;
            const uint32_t b0 = seg * SEGMENT_BLOCKS;
            const uint32_t nb = w.n_blocks - b0 < SEGMENT_BLOCKS ? w.n_blocks - b0 : SEGMENT_BLOCKS;
            const uint8_t *codes = w.codes + code_at(w.format, w.n_blocks, tile, b0, 0, row);
            const uint8_t *scales = w.scales + (w.scales ? scale_at(w.format, w.n_blocks, tile, b0, row) : 0);
            const uint16_t *xs = x + s * SEGMENT_INPUTS;
            if (w.format == DEVICE_BF16)
                segment(DEVICE_BF16, M, codes, scales, nb, xs, S * SEGMENT_INPUTS, m_live, c);
            else if (w.format == DEVICE_MXFP4)
                segment(DEVICE_MXFP4, M, codes, scales, nb, xs, S * SEGMENT_INPUTS, m_live, c);
            else if (w.format == DEVICE_Q8_0)
                segment(DEVICE_Q8_0, M, codes, scales, nb, xs, S * SEGMENT_INPUTS, m_live, c);
            else
                segment(DEVICE_Q4_0, M, codes, scales, nb, xs, S * SEGMENT_INPUTS, m_live, c);
            UNROLL
            for (uint32_t m = 0; m < M; m++)
                part[m * PRODUCT_THREADS + t] = c[m];
        }
        PHASE(t)
        {
            for (uint32_t i = t; i < m_live * T * TILE_ROWS; i += THREADS) {
                const uint32_t m = i / (T * TILE_ROWS);
                const uint32_t at = i % (T * TILE_ROWS); // tile * 8 + row
                float sum = seg0 == 0 ? 0.0f : total[i];
                for (uint32_t s = 0; s < S && seg0 + s < n_segments; s++) {
                    const float v = part[m * PRODUCT_THREADS + (at / TILE_ROWS * S + s) * TILE_ROWS + at % TILE_ROWS];
                    sum = seg0 + s == 0 ? v : sum + v;
                }
                total[i] = sum;
            }
        }
    }
    PHASE(t)
    {
        const uint32_t f = w.n_rows / 2;
        for (uint32_t i = t; i < m_live * T * TILE_ROWS; i += THREADS) {
            const uint32_t p = first + i / (T * TILE_ROWS);
            const uint32_t out_row = a->pairs ? a->pairs[p] : p;
            const uint32_t r = tile0 * TILE_ROWS + i % (T * TILE_ROWS);
            if (r >= w.n_rows)
                continue;
            const float v = bias ? total[i] + bias[r] : total[i];
            float *y = a->y + (size_t)out_row * a->ldy + r;
            if (a->out == PRODUCT_STORE)
                *y = v;
            else if (a->out == PRODUCT_ADD)
                *y = *y + v;
            else if (r % 2 == 0)
                finish_glu(a, v, bias ? total[i + 1] + bias[r + 1] : total[i + 1], out_row, r / 2);
        }
        if (a->out == PRODUCT_GLU && tile0 + T >= w.n_tiles)
            for (uint32_t i = t; i < m_live * (a->ldy - f); i += THREADS) {
                const uint32_t p = first + i / (a->ldy - f);
                a->act[(size_t)(a->pairs ? a->pairs[p] : p) * a->ldy + f + i % (a->ldy - f)] = 0;
            }
    }
}

struct product_1_shared {
    struct quad x[SEGMENTS_1 * SEGMENT_INPUTS / 8];
    float part[PRODUCT_THREADS], total[PRODUCT_THREADS];
};

SIMT_KERNEL(product_1)
{
    SIMT_SHARED(struct product_1_shared, s);
    product(SIMT_PASS & a, 1, (uint16_t *)s->x, s->part, s->total);
}

struct product_8_shared {
    struct quad x[M_MAX * SEGMENTS_8 * SEGMENT_INPUTS / 8];
    float part[PRODUCT_THREADS * M_MAX], total[PRODUCT_THREADS * M_MAX];
};

SIMT_KERNEL(product_8)
{
    SIMT_SHARED(struct product_8_shared, s);
    product(SIMT_PASS & a, M_MAX, (uint16_t *)s->x, s->part, s->total);
}
