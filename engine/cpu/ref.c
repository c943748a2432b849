#include <math.h>
#include <string.h>

#include "base/fmath.h"
#include "cpu/kernels.h"

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

static void dot_bf16(const uint32_t *w, size_t n_pairs, const float *x, size_t ldx, size_t m, float *c, size_t ldc)
{
    for (size_t t = 0; t < m; t++) {
        for (size_t lane = 0; lane < TILE; lane++) {
            float sum = c[t * ldc + lane];
            for (size_t begin = 0; begin < n_pairs; begin += BLOCK / 2) {
                size_t end = begin + BLOCK / 2 < n_pairs ? begin + BLOCK / 2 : n_pairs;
                float e = 0.0f;
                float o = 0.0f;
                for (size_t p = begin; p < end; p++) {
                    uint32_t word = w[p * TILE + lane];
                    e = fmaf(x[t * ldx + 2 * p], bf16_to_f32((uint16_t)word), e);
                    o = fmaf(x[t * ldx + 2 * p + 1], bf16_to_f32((uint16_t)(word >> 16)), o);
                }
                sum = sum + (e + o);
            }
            c[t * ldc + lane] = sum;
        }
    }
}

static float scale_value(uint8_t byte) // 2^(byte - 127) for 1..254
{
    uint32_t u = byte == 255 ? 0x7fc00000u : (uint32_t)byte << 23;
    float s;
    memcpy(&s, &u, sizeof s);
    return s;
}

static void dot_mxfp4(const uint32_t *codes, const uint8_t *scales, size_t n_blocks, const float *x, size_t ldx,
                      size_t m, float *c, size_t ldc)
{
    static const float value[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                    -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
    for (size_t t = 0; t < m; t++) {
        for (size_t lane = 0; lane < TILE; lane++) {
            float sum = c[t * ldc + lane];
            for (size_t b = 0; b < n_blocks; b++) {
                float e = 0.0f;
                float o = 0.0f;
                for (size_t k = 0; k < BLOCK; k += 2) {
                    uint32_t pair = codes[(b * BLOCK + k) / 8 * TILE + lane] >> (k % 8 * 4);
                    e = fmaf(x[t * ldx + b * BLOCK + k], value[pair & 15], e);
                    o = fmaf(x[t * ldx + b * BLOCK + k + 1], value[pair >> 4 & 15], o);
                }
                sum = sum + (e + o) * scale_value(scales[b * TILE + lane]);
            }
            c[t * ldc + lane] = sum;
        }
    }
}

static void expand(const uint16_t *x, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = bf16_to_f32(x[i]);
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

static bool softmax(float *s, size_t from, size_t to, float scale, float *max, float *sum)
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
        s[i] = bf16_to_f32(bf16_operand(p));
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
    .dot_bf16 = dot_bf16,
    .dot_mxfp4 = dot_mxfp4,
    .expand = expand,
    .operands = operands,
    .sum_squares = sum_squares,
    .norm_scale = norm_scale,
    .rope = rope,
    .glu = glu,
    .softmax = softmax,
    .merge = merge,
    .combine = combine,
};
