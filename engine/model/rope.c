#include "model/rope.h"

#include <math.h>

#include "base/dmath.h"

static const double two_pi = 6.283185307179586476925;

/* A wavelength well inside the trained context stays, one beyond it is stretched by factor, and
 * between the two bounds the frequencies are blended. */
static double llama3_frequency(const struct rope_config *r, double w)
{
    double wavelength = two_pi / w;
    if (wavelength < r->original_tok / r->high_freq_factor)
        return w;
    if (wavelength > r->original_tok / r->low_freq_factor)
        return w / r->factor;
    double s = (r->original_tok / wavelength - r->low_freq_factor) / (r->high_freq_factor - r->low_freq_factor);
    return (1.0 - s) * w / r->factor + s * w;
}

/* Pair index at which a frequency makes `rotations` turns over the original context. */
static double yarn_index(const struct rope_config *r, double head_dim, double rotations)
{
    return head_dim * dm_log(r->original_tok / (two_pi * rotations)) / (2.0 * dm_log(r->theta));
}

static void yarn_ramp(const struct rope_config *r, size_t head_dim, double *low, double *high)
{
    double h = (double)head_dim;
    double lo = yarn_index(r, h, r->beta_fast);
    double hi = yarn_index(r, h, r->beta_slow);
    if (r->truncate) {
        lo = floor(lo);
        hi = ceil(hi);
    }
    lo = lo < 0 ? 0 : lo;
    hi = hi > h - 1 ? h - 1 : hi;
    *low = lo;
    *high = hi > lo || hi < lo ? hi : hi + 0.001; // equal ends would divide by zero
}

void rope_frequencies(const struct rope_config *r, size_t head_dim, double *w)
{
    double low = 0;
    double high = 1;
    if (r->kind == ROPE_YARN)
        yarn_ramp(r, head_dim, &low, &high);
    for (size_t i = 0; i < head_dim / 2; i++) {
        double plain = dm_pow(r->theta, -2.0 * (double)i / (double)head_dim);
        double t = ((double)i - low) / (high - low);
        t = t < 0 ? 0 : t > 1 ? 1 : t;
        switch (r->kind) {
        case ROPE_PLAIN:
            w[i] = r->divisors ? plain / (double)r->divisors[i] : plain;
            break;
        case ROPE_LLAMA3:
            w[i] = llama3_frequency(r, plain);
            break;
        case ROPE_YARN:
            w[i] = (1.0 - t) * plain + t * plain / r->factor;
            break;
        }
    }
}

void rope_table(const double *w, size_t n_pairs, size_t n_pos, double factor, float *cos, float *sin)
{
    for (size_t pos = 0; pos < n_pos; pos++) {
        for (size_t i = 0; i < n_pairs; i++) {
            double angle = (double)pos * w[i];
            cos[pos * n_pairs + i] = (float)(factor * dm_cos(angle));
            sin[pos * n_pairs + i] = (float)(factor * dm_sin(angle));
        }
    }
}
