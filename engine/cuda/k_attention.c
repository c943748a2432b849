#include "cuda/kernels.h"
#include "cuda/layout.h"

/* Attention in the order of numerics.md: key blocks of 256 at absolute positions, each worked off by a block
 * of threads of its own, whatever the batch; the blocks of a row are then merged ascending. So the split is by
 * position alone, and one long sequence fills the device as many short ones do. */

struct attend_shared {
    float q[HEADS_AT_ONCE][HEAD_DIM_MAX]; // zeros up to head_pad
    float s[HEADS_AT_ONCE][KEY_BLOCK_KEYS]; // scaled scores, then p as operands
    float m[HEADS_AT_ONCE], l[HEADS_AT_ONCE];
};

/* Scores of one key for n heads: canonical dots over h, one segment. */
SIMT_FN void score_key(const struct attend_shared *s, const uint16_t *k, uint32_t h, uint32_t n, float *score)
{
    float e[HEADS_AT_ONCE];
    float o[HEADS_AT_ONCE];
    UNROLL
    for (uint32_t g = 0; g < HEADS_AT_ONCE; g++) {
        e[g] = 0.0f;
        o[g] = 0.0f;
        score[g] = 0.0f;
    }
    for (uint32_t i = 0; i < h; i += 8) {
        const struct quad v = load_quad(k + (size_t)i * PAGE_POSITIONS);
        const bool last = i % BLOCK_INPUTS == BLOCK_INPUTS - 8 || i + 8 >= h;
        UNROLL
        for (uint32_t g = 0; g < HEADS_AT_ONCE; g++) {
            if (g >= n)
                continue;
            UNROLL
            for (uint32_t j = 0; j < 4; j++) {
                e[g] = fmaf(s->q[g][i + 2 * j], low_half(v.w[j]), e[g]);
                o[g] = fmaf(s->q[g][i + 2 * j + 1], high_half(v.w[j]), o[g]);
            }
            if (last) {
                score[g] = score[g] + (e[g] + o[g]);
                e[g] = 0.0f;
                o[g] = 0.0f;
            }
        }
    }
}

/* Which keys a row sees: [from, to) absolute. */
struct span {
    uint32_t from, to;
};

SIMT_FN struct span span_of(uint32_t pos, uint32_t window)
{
    struct span v = {0, pos + 1};
    v.from = window && v.to > window ? v.to - window : 0;
    return v;
}

SIMT_FN const uint16_t *page_of(const struct device_kv *kv, uint32_t seq, uint32_t pos)
{
    const uint32_t page = kv->table[seq * kv->seq_pages + kv->first + pos / PAGE_POSITIONS % kv->ring];
    return kv->pool + page * kv->page_values;
}

/* 256 threads: one a key, one warp a head, then any number an output. */
SIMT_KERNEL(attend)
{
    SIMT_SHARED(struct attend_shared, s);
    const uint32_t row = a.row0 + BLOCK_X / a.n_blocks;
    const uint32_t group = a.n_heads / a.n_kv_heads;
    const uint32_t tiles = (group + HEADS_AT_ONCE - 1) / HEADS_AT_ONCE;
    const uint32_t kv_head = BLOCK_Y / tiles;
    const uint32_t head0 = kv_head * group + BLOCK_Y % tiles * HEADS_AT_ONCE; // first of this block's
    const uint32_t left = (kv_head + 1) * group - head0;
    const uint32_t n = left < HEADS_AT_ONCE ? left : HEADS_AT_ONCE;
    const uint32_t h = a.head_dim;
    const uint32_t seq = a.seq[row];
    const struct span see = span_of(a.pos[row], a.window);
    const uint32_t block = BLOCK_X % a.n_blocks;
    const uint32_t key0 = (see.from / KEY_BLOCK_KEYS + block) * KEY_BLOCK_KEYS;
    const uint32_t from = see.from > key0 ? see.from - key0 : 0;
    const uint32_t to = see.to - key0 < KEY_BLOCK_KEYS ? see.to - key0 : KEY_BLOCK_KEYS;
    float *out = a.partial + (((size_t)(row - a.row0) * a.n_heads + head0) * a.n_blocks + block) * (h + 2);
    const size_t out_step = (size_t)a.n_blocks * (h + 2); // from head to head
    REG(float, top);
    REG(float, bad);
    REG(float, sum);
    REG(float, tmp);
    if (key0 >= see.to)
        return;
    PHASE(t)
    {
        for (uint32_t i = t; i < n * head_pad(h); i += THREADS) {
            const uint32_t g = i / head_pad(h);
            const uint32_t j = i % head_pad(h);
            s->q[g][j] = j < h ? fmf_from_bf16(a.q[(size_t)row * a.ld + (head0 + g) * h + j]) : 0.0f;
        }
    }
    PHASE(t)
    {
        float score[HEADS_AT_ONCE];
        if (t >= from && t < to) {
            const uint16_t *page = page_of(&a.kv, seq, key0 + t);
            score_key(s, page + k_at(h, kv_head, t % PAGE_POSITIONS, 0), h, n, score);
        }
        UNROLL
        for (uint32_t g = 0; g < HEADS_AT_ONCE; g++)
            s->s[g][t] = t >= from && t < to ? score[g] * a.scale : 0.0f;
    }
    LANES(t) // warp g: the maximum of head g
    {
        const float *v = s->s[t / SIMT_WARP];
        float m = -INFINITY;
        float b = 0.0f;
        for (uint32_t i = t % SIMT_WARP; i < to && t / SIMT_WARP < n; i += SIMT_WARP) {
            if (i < from)
                continue;
            m = v[i] > m ? v[i] : m;
            b = simt_finite(v[i]) ? b : 1.0f;
        }
        R(top, t) = m;
        R(bad, t) = b;
    }
    for (uint32_t half = SIMT_WARP / 2; half > 0; half /= 2) {
        SHUFFLE_DOWN(tmp, top, half);
        LANES(t)
        {
            R(top, t) = R(tmp, t) > R(top, t) ? R(tmp, t) : R(top, t);
        }
        SHUFFLE_DOWN(tmp, bad, half);
        LANES(t)
        {
            R(bad, t) = R(bad, t) + R(tmp, t);
        }
    }
    PHASE(t)
    {
        if (t % SIMT_WARP == 0 && t / SIMT_WARP < n) {
            s->m[t / SIMT_WARP] = R(top, t) + 0.0f;
            if (R(bad, t) != 0.0f)
                s->m[t / SIMT_WARP] = NAN;
        }
    }
    PHASE(t) // lane c of warp g: chain c of head g, positions c mod 32 ascending
    {
        const uint32_t g = t / SIMT_WARP;
        float c = 0.0f;
        for (uint32_t i = from / 32 * 32 + t % SIMT_WARP; i < (to + 31) / 32 * 32 && g < n; i += SIMT_WARP) {
            const float p = i >= from && i < to ? fmf_exp(s->s[g][i] - s->m[g]) : 0.0f;
            c = c + p;
            s->s[g][i] = fmf_from_bf16(fmf_operand(p));
        }
        R(sum, t) = c;
    }
    for (uint32_t half = SIMT_WARP / 2; half > 0; half /= 2) {
        SHUFFLE_DOWN(tmp, sum, half);
        LANES(t)
        {
            R(sum, t) = R(sum, t) + R(tmp, t);
        }
    }
    PHASE(t)
    {
        const uint32_t g = t / SIMT_WARP;
        if (t % SIMT_WARP == 0 && g < n) {
            out[g * out_step + h] = s->m[g];
            out[g * out_step + h + 1] = R(sum, t);
        }
        for (uint32_t i = t; i < n * h; i += THREADS) { // choice 8: groups without a visible key are left out
            const float *p = s->s[i / h];
            float c = 0.0f;
            for (uint32_t k = from / 32 * 32; k < to; k += 32) {
                const uint16_t *v = page_of(&a.kv, seq, key0 + k) + v_at(h, kv_head, 0, i % h);
                float e = 0.0f;
                float o = 0.0f;
                UNROLL
                for (uint32_t j = 0; j < 4; j++) {
                    const struct quad q = load_quad(v + (size_t)j * head_pad(h) * 8);
                    UNROLL
                    for (uint32_t w = 0; w < 4; w++) {
                        e = fmaf(p[k + 8 * j + 2 * w], low_half(q.w[w]), e);
                        o = fmaf(p[k + 8 * j + 2 * w + 1], high_half(q.w[w]), o);
                    }
                }
                c = c + (e + o);
            }
            out[i / h * out_step + i % h] = c;
        }
    }
}

struct merge_shared {
    uint32_t bad;
};

/* Choice 7. A head group with a score that is not finite, or an output no operand can hold, is a fault
 * and counts as 0. */
SIMT_KERNEL(attend_merge)
{
    SIMT_SHARED(struct merge_shared, s);
    const uint32_t row = a.row0 + BLOCK_X / a.n_kv_heads;
    const uint32_t group = a.n_heads / a.n_kv_heads;
    const uint32_t head0 = BLOCK_X % a.n_kv_heads * group;
    const uint32_t h = a.head_dim;
    const struct span see = span_of(a.pos[row], a.window);
    const uint32_t n = (see.to - 1) / KEY_BLOCK_KEYS - see.from / KEY_BLOCK_KEYS + 1;
    const float *partial = a.partial + ((size_t)(row - a.row0) * a.n_heads + head0) * a.n_blocks * (h + 2);
    uint16_t *out = a.out + (size_t)row * a.ld + head0 * h;
    PHASE(t)
    {
        if (t == 0)
            s->bad = 0;
    }
    PHASE(t)
    {
        for (uint32_t i = t; i < group * h; i += THREADS) {
            const float *b = partial + (size_t)(i / h) * a.n_blocks * (h + 2);
            const uint32_t sinks = a.sinks != (const float *)0;
            float m = sinks ? a.sinks[head0 + i / h] : b[h];
            float l = sinks ? 1.0f : b[h + 1];
            float o = sinks ? 0.0f : b[i % h];
            bool good = simt_finite(b[h]);
            for (uint32_t k = sinks ? 0 : 1; k < n; k++) {
                const float *p = b + (size_t)k * (h + 2);
                const float top = m > p[h] ? m : p[h];
                const float x = fmf_exp(m - top);
                const float y = fmf_exp(p[h] - top);
                good = simt_finite(p[h]) && good;
                l = fmaf(l, x, p[h + 1] * y);
                o = fmaf(o, x, p[i % h] * y);
                m = top;
            }
            uint16_t v;
            good = simt_operand(o / l, &v) && good;
            out[i] = v;
            if (!good)
                simt_mark(&s->bad, 1);
        }
    }
    PHASE(t)
    {
        for (uint32_t i = t; i < group * h && s->bad; i += THREADS)
            out[i] = 0;
        if (head0 == 0)
            for (uint32_t i = a.n_heads * h + t; i < a.ld; i += THREADS)
                a.out[(size_t)row * a.ld + i] = 0;
        if (t == 0 && s->bad)
            simt_mark(&a.fault[row], a.site);
    }
}
