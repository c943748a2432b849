#include <math.h>
#include <string.h>

#include "base/fmath.h"
#include "cpu/kernels.h"
#include "quant/quant.h"

/* The scalar twin: what each kernel means, in C for baseline x86-64. numerics.md is the law. Where it
 * leaves a choice, the choice is made here (or in the file named) and every other backend follows:
 *
 *  1. An operand is out of range when its bf16 image after rounding is >= 2^60 or NaN, so 2^60 - 1 ulp
 *     (which rounds up to 2^60) is a fault. A faulty value counts as 0 and marks its row.
 *  2. -0 as an activation operand becomes +0 (its magnitude is below 2^-56); weights keep -0. No bit of
 *     a result depends on it: chains and C start at +0, and +0 + -0 = +0.
 *  3. RMSNorm divides the chain sum by fp32(d), adds eps, takes one square root r; y = (x / r) * w.
 *     A sum that is not finite is a fault of the whole row, even if x / inf = 0 would look harmless.
 *  4. silu(g) * u is (g * sigmoid(g)) * u. The clamped form is (g * sigmoid(alpha * g)) * (u + up_add)
 *     after g = g > limit ? limit : g, u = u > limit ? limit : u, u = u < -limit ? -limit : u: compare
 *     and select, so NaN stays NaN.
 *  5. A score is scaled before the maximum is taken; the maximum is a compare and select over visible
 *     keys (the sign of a zero maximum cannot be seen: exp(+-0) = 1). A visible score that is not
 *     finite is a fault, -inf too.
 *  6. p becomes an operand by bf16_operand, so p < 2^-56 counts as 0 in o_b; l_b sums p unrounded.
 *  7. Merging (attention.c): n = m > m_b ? m : m_b, a = exp(m - n), b = exp(m_b - n),
 *     l = fmaf(l, a, l_b * b), o = fmaf(o, a, o_b * b), m = n. Without a sink the first block with a
 *     visible key is the start value, unmerged. out = operand(o / l).
 *  8. A 32-key group without a visible key is left out of o_b: it would add +0 to a sum that is never -0.
 *  9. Router softmax (moe.c): e_j = exp(l_j - l_0) with l_0 the first chosen logit, forced or not; sum
 *     in 32 chains by slot mod 32, halving tree; w_j = e_j / sum.
 * 10. A residual addition is y + (dot + bias); a product without bias adds nothing in its place. */

static float chain_tree(float c[N_CHAINS])
{
    for (size_t half = N_CHAINS / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            c[i] = c[i] + c[i + half];
    return c[0];
}

static float scale_value(uint8_t byte) // 2^(byte - 127) for 1..254
{
    uint32_t u = byte == 255 ? 0x7fc00000u : (uint32_t)byte << 23;
    float s;
    memcpy(&s, &u, sizeof s);
    return s;
}

/* The code at a place of a block, and the block's scale, for one lane. */
static float code_value(enum tile_format f, const uint8_t *block, size_t place, size_t lane)
{
    static const float e2m1[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                   -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
    if (f == TILE_BF16) {
        const uint8_t *v = block + (place / 2 * TILE + lane) * 4 + place % 2 * 2;
        return bf16_to_f32((uint16_t)(v[0] | v[1] << 8));
    }
    if (f == TILE_Q8_0)
        return (float)(int8_t)block[place * TILE + lane];
    const uint8_t *v = block + (place / 8 * TILE + lane) * 4 + place % 2 * 2;
    unsigned code = (unsigned)(v[0] | v[1] << 8) >> tile_shift(place % 8 / 2) & 15u;
    return f == TILE_MXFP4 ? e2m1[code] : (float)((int)code - 8);
}

static float block_scale(enum tile_format f, const uint8_t *scales, size_t lane)
{
    return f == TILE_MXFP4 ? scale_value(scales[lane])
                           : f16_to_f32((uint16_t)(scales[2 * lane] | scales[2 * lane + 1] << 8));
}

static void dot(const struct dot *d)
{
    float w[BLOCK];
    for (size_t row = 0; row < d->n_tiles * TILE; row++) {
        const uint8_t *codes = d->w + row / TILE * d->tile_b;
        const uint8_t *scales = codes + d->n / BLOCK * tile_code_b(d->format);
        for (size_t k = 0; k < d->n; k += BLOCK) {
            size_t n = d->n - k < BLOCK ? d->n - k : BLOCK;
            for (size_t i = 0; i < n; i++)
                w[i] = code_value(d->format, codes + k / BLOCK * tile_code_b(d->format), i, row % TILE);
            float scale = 1.0f;
            if (d->format != TILE_BF16)
                scale = block_scale(d->format, scales + k / BLOCK * tile_scale_b(d->format), row % TILE);
            for (size_t t = 0; t < d->m; t++) {
                const float *x = (const float *)d->x + t * d->ldx + k;
                float *c = d->c + t * d->ldc + row;
                float e = 0.0f;
                float o = 0.0f;
                for (size_t i = 0; i < n; i += 2) {
                    e = fmaf(x[i], w[i], e);
                    o = fmaf(x[i + 1], w[i + 1], o);
                }
                if (d->format == TILE_BF16)
                    *c = *c + (e + o);
                else if (d->format == TILE_MXFP4)
                    *c = *c + (e + o) * scale;
                else
                    *c = fmaf(scale, e + o, *c);
            }
        }
    }
}

static void stage(const uint16_t *x, size_t n, void *out)
{
    float *y = out;
    for (size_t i = 0; i < n; i++)
        y[i] = bf16_to_f32(x[i]);
}

static bool operands(const float *x, size_t n, uint16_t *out)
{
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        uint16_t b = bf16_operand(x[i]);
        if (!bf16_in_range(b)) {
            b = 0;
            good = false;
        }
        out[i] = b;
    }
    return good;
}

static float sum_squares(const float *x, size_t n)
{
    float chain[N_CHAINS] = {0};
    for (size_t i = 0; i < n; i++)
        chain[i % N_CHAINS] = fmaf(x[i], x[i], chain[i % N_CHAINS]);
    return chain_tree(chain);
}

static void norm_scale(const float *x, const float *w, float r, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] / r * w[i];
}

static void rope(float *v, const float *cos, const float *sin, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        float a = v[i];
        float b = v[i + half];
        v[i] = fmaf(a, cos[i], -(b * sin[i]));
        v[i + half] = fmaf(b, cos[i], a * sin[i]);
    }
}

static float activate(const struct glu *k, float g, float u)
{
    if (k->kind == GLU_SILU)
        return g * fm_sigmoid(g) * u;
    g = g > k->limit ? k->limit : g;
    u = u > k->limit ? k->limit : u;
    u = u < -k->limit ? -k->limit : u;
    return g * fm_sigmoid(k->alpha * g) * (u + k->up_add);
}

static bool glu(const struct glu *k, const float *z, size_t n_ff, uint16_t *out)
{
    bool good = true;
    for (size_t i = 0; i < n_ff; i++) {
        float a = activate(k, z[2 * i], z[2 * i + 1]);
        good = operands(&a, 1, &out[i]) && good;
    }
    return good;
}

static bool softmax(float *s, size_t from, size_t to, float scale, uint16_t *out, float *max, float *sum)
{
    bool good = true;
    float top = -INFINITY;
    for (size_t i = from; i < to; i++) {
        s[i] = s[i] * scale;
        good = isfinite(s[i]) && good;
        top = s[i] > top ? s[i] : top;
    }
    float chain[N_CHAINS] = {0};
    size_t end = (to + BLOCK - 1) / BLOCK * BLOCK;
    for (size_t i = from / BLOCK * BLOCK; i < end; i++) {
        float p = i >= from && i < to ? fm_exp(s[i] - top) : 0.0f;
        chain[i % N_CHAINS] = chain[i % N_CHAINS] + p;
        out[i] = bf16_operand(p);
    }
    *max = top + 0.0f; // +0 for either zero, whatever the order they were met in
    *sum = chain_tree(chain);
    return good;
}

static void merge(float *o, float a, const float *p, float b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        o[i] = fmaf(o[i], a, p[i] * b);
}

static void combine(const float *w, const float *ys, size_t k, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++) {
        float acc = 0.0f;
        for (size_t j = 0; j < k; j++)
            acc = fmaf(w[j], ys[j * n + i], acc);
        y[i] = y[i] + acc;
    }
}

const struct cpu_kernels cpu_ref_kernels = {
    .isa = "scalar",
    .order = ORDER_PAIRS,
    .staged_b = sizeof(float),
    .stage = stage,
    .dot = dot,
    .operands = operands,
    .sum_squares = sum_squares,
    .norm_scale = norm_scale,
    .rope = rope,
    .glu = glu,
    .softmax = softmax,
    .merge = merge,
    .combine = combine,
};
