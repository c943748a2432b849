#include "cuda/activate.h"
#include "cuda/kernels.h"
#include "cuda/layout.h"

/* Kernels on rows: RMSNorm, q and k with RoPE into the cache, the gated activation, the router's choice,
 * the weighted sum of experts. engine/cpu/ref.c defines every one; its numbered choices are named here. */

/* The 32 chains of numerics.md in the lanes of a block's first warp, then the halving tree: lane 0 gets
 * the sum. (Lanes past the halved width add what nobody reads.) */
#define CHAIN_TREE(sum, tmp)                              \
    for (uint32_t half = SIMT_WARP / 2; half > 0; half /= 2) { \
        SHUFFLE_DOWN(tmp, sum, half);                     \
        LANES(lane)                                       \
        {                                                 \
            R(sum, lane) = R(sum, lane) + R(tmp, lane);   \
        }                                                 \
    }

struct norm_shared {
    float r;
    uint32_t good;
};

SIMT_KERNEL(norm)
{
    SIMT_SHARED(struct norm_shared, s);
    const uint32_t row = a.pick ? a.pick[BLOCK_X] : BLOCK_X;
    const float *x = a.x + (size_t)row * a.d;
    uint16_t *out = a.out + (size_t)BLOCK_X * a.ld;
    REG(float, sum);
    REG(float, tmp);
    LANES(t)
    {
        float c = 0.0f;
        for (uint32_t i = t; t < SIMT_WARP && i < a.d; i += SIMT_WARP)
            c = fmaf(x[i], x[i], c);
        R(sum, t) = c;
    }
    CHAIN_TREE(sum, tmp)
    PHASE(t)
    {
        if (t == 0) { // choice 3
            float mean = R(sum, t) / (float)a.d;
            s->r = sqrtf(mean + a.eps);
            s->good = simt_finite(mean);
        }
    }
    PHASE(t)
    {
        bool good = s->good;
        for (uint32_t i = t; i < a.ld; i += THREADS) {
            uint16_t v = 0;
            if (s->good && i < a.d)
                good = simt_operand(x[i] / s->r * a.w[i], &v) && good;
            out[i] = v;
        }
        if (!good)
            simt_mark(&a.fault[row], a.site);
    }
}

struct qkv_shared {
    float x[HEAD_DIM_MAX];
    float r;
    uint32_t good;
};

SIMT_KERNEL(qkv_store)
{
    SIMT_SHARED(struct qkv_shared, s);
    const uint32_t n_heads = a.n_heads + 2 * a.n_kv_heads;
    const uint32_t row = BLOCK_X / n_heads;
    const uint32_t head = BLOCK_X % n_heads;
    const uint32_t h = a.head_dim;
    const uint32_t pos = a.pos[row];
    const bool is_q = head < a.n_heads;
    const bool is_v = head >= a.n_heads + a.n_kv_heads;
    const float *norm = is_q ? a.q_norm : is_v ? (const float *)0 : a.k_norm;
    const float *x = a.qkv + (size_t)BLOCK_X * h;
    const uint32_t page = a.kv.table[a.seq[row] * a.kv.seq_pages + a.kv.first + pos / PAGE_POSITIONS % a.kv.ring];
    uint16_t *cache = a.kv.pool + page * a.kv.page_values;
    REG(float, sum);
    REG(float, tmp);
    LANES(t)
    {
        float c = 0.0f;
        for (uint32_t i = t; norm && t < SIMT_WARP && i < h; i += SIMT_WARP)
            c = fmaf(x[i], x[i], c);
        R(sum, t) = c;
    }
    CHAIN_TREE(sum, tmp)
    PHASE(t)
    {
        if (t == 0) {
            float mean = R(sum, t) / (float)h;
            s->r = sqrtf(mean + a.eps);
            s->good = simt_finite(mean);
        }
    }
    PHASE(t)
    {
        for (uint32_t i = t; i < h; i += THREADS)
            s->x[i] = norm ? x[i] / s->r * norm[i] : x[i];
    }
    PHASE(t)
    {
        const size_t angle = (size_t)pos * (h / 2);
        bool good = s->good;
        for (uint32_t i = t; i < h / 2; i += THREADS) {
            float u = s->x[i];
            float v = s->x[i + h / 2];
            uint16_t both[2] = {0, 0};
            if (!is_v) {
                const float c = a.cos[angle + i];
                const float d = a.sin[angle + i];
                const float rotated = fmaf(u, c, -(v * d));
                v = fmaf(v, c, u * d);
                u = rotated;
            }
            if (s->good) {
                good = simt_operand(u, &both[0]) && good;
                good = simt_operand(v, &both[1]) && good;
            }
            UNROLL
            for (uint32_t side = 0; side < 2; side++) {
                const uint32_t at = i + side * (h / 2);
                if (is_q)
                    a.q[(size_t)row * a.ldq + head * h + at] = both[side];
                else if (!is_v)
                    cache[k_at(h, head - a.n_heads, pos % PAGE_POSITIONS, at)] = both[side];
                else
                    cache[v_at(h, head - a.n_heads - a.n_kv_heads, pos % PAGE_POSITIONS, at)] = both[side];
            }
        }
        if (head == 0)
            for (uint32_t i = a.n_heads * h + t; i < a.ldq; i += THREADS)
                a.q[(size_t)row * a.ldq + i] = 0;
        if (!good)
            simt_mark(&a.fault[row], a.site);
    }
}

SIMT_KERNEL(glu)
{
    const uint32_t row = BLOCK_X / a.blocks;
    const uint32_t first = BLOCK_X % a.blocks * THREADS;
    PHASE(t)
    {
        const uint32_t i = first + t;
        const float *z = a.z + ((size_t)row * a.n_ff + i) * 2;
        uint16_t v = 0;
        if (i >= a.ld)
            continue;
        if (i < a.n_ff && !simt_operand(simt_activate(&a.glu, z[0], z[1]), &v))
            simt_mark(&a.fault[row], a.site);
        a.out[(size_t)row * a.ld + i] = v;
    }
}

struct router_shared {
    float logit[ROUTER_EXPERTS_MAX];
    uint8_t taken[ROUTER_EXPERTS_MAX];
    float best[SIMT_MAX_THREADS];
    uint32_t at[SIMT_MAX_THREADS];
    uint32_t bad[SIMT_MAX_THREADS];
    uint32_t good; // every logit is finite
};

/* Choice 9; ties take the lower expert. A row with a bad logit gets experts 0, 1, ... and weights 0. */
SIMT_KERNEL(router)
{
    SIMT_SHARED(struct router_shared, s);
    const uint32_t row = BLOCK_X;
    const float *logits = a.logits + (size_t)row * a.n_experts;
    uint16_t *ids = a.ids + (size_t)row * a.k;
    float *weights = a.weights + (size_t)row * a.k;
    const uint16_t *forced = a.forced ? a.forced + (size_t)row * a.k : (const uint16_t *)0;
    const bool is_forced = forced && forced[0] != UINT16_MAX;
    PHASE(t)
    {
        s->bad[t] = 0;
        for (uint32_t e = t; e < a.n_experts; e += THREADS) {
            s->logit[e] = logits[e];
            s->taken[e] = 0;
            s->bad[t] |= !simt_finite(logits[e]);
        }
    }
    PHASE(t)
    {
        if (t == 0) {
            uint32_t bad = 0;
            for (uint32_t i = 0; i < THREADS; i++)
                bad |= s->bad[i];
            s->good = !bad;
        }
    }
    for (uint32_t j = 0; j < a.k; j++) {
        PHASE(t)
        {
            uint32_t at = UINT32_MAX;
            for (uint32_t e = t; e < a.n_experts; e += THREADS)
                if (!s->taken[e] && (at == UINT32_MAX || s->logit[e] > s->logit[at]))
                    at = e;
            s->at[t] = at;
            s->best[t] = at == UINT32_MAX ? 0.0f : s->logit[at];
        }
        PHASE(t)
        {
            if (t != 0)
                continue;
            uint32_t best = 0;
            uint32_t id = j;
            for (uint32_t i = 1; i < THREADS; i++)
                if (s->at[i] != UINT32_MAX &&
                    (s->at[best] == UINT32_MAX || s->best[i] > s->best[best] ||
                     (s->best[i] == s->best[best] && s->at[i] < s->at[best])))
                    best = i;
            if (s->good)
                id = s->at[best];
            if (is_forced) {
                id = forced[j];
                if (id >= a.n_experts) { // reported at the end of the step
                    simt_mark(a.error, row << 16 | id);
                    id = 0;
                }
            }
            if (s->good && !is_forced)
                s->taken[id] = 1;
            ids[j] = (uint16_t)id;
        }
    }
    PHASE(t)
    {
        if (t != 0)
            continue;
        bool good = s->good;
        if (good) {
            float chain[SIMT_WARP];
            for (uint32_t i = 0; i < SIMT_WARP; i++)
                chain[i] = 0.0f;
            for (uint32_t j = 0; j < a.k; j++) {
                weights[j] = fmf_exp(s->logit[ids[j]] - s->logit[ids[0]]);
                chain[j % SIMT_WARP] = chain[j % SIMT_WARP] + weights[j];
            }
            for (uint32_t half = SIMT_WARP / 2; half > 0; half /= 2)
                for (uint32_t i = 0; i < half; i++)
                    chain[i] = chain[i] + chain[i + half];
            for (uint32_t j = 0; j < a.k; j++) {
                weights[j] = weights[j] / chain[0];
                good = simt_finite(weights[j]) && good; // forced far below the first, exp may overflow
            }
        }
        for (uint32_t j = 0; j < a.k && !good; j++)
            weights[j] = 0.0f;
        if (!good)
            simt_mark(&a.fault[row], a.site);
    }
}

SIMT_KERNEL(combine)
{
    const uint32_t row = BLOCK_X / a.blocks;
    const uint32_t first = BLOCK_X % a.blocks * THREADS;
    PHASE(t)
    {
        const uint32_t i = first + t;
        float acc = 0.0f;
        if (i >= a.d)
            continue;
        for (uint32_t j = 0; j < a.k; j++)
            acc = fmaf(a.weights[(size_t)row * a.k + j], a.ys[((size_t)row * a.k + j) * a.d + i], acc);
        a.y[(size_t)row * a.d + i] = a.y[(size_t)row * a.d + i] + acc;
    }
}
