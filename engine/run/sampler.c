#include "run/sampler.h"

#include <math.h>
#include <string.h>

#include "base/dmath.h"
#include "base/mem.h"

struct sampler {
    size_t vocab_size;
    uint32_t *ids; // candidates, ascending
    uint64_t *q;   // their masses, > 0
    size_t n;
};

static const double unit = 1099511627776.0; // 2^40

bool logits_finite(const float *logits, size_t n)
{
    bool good = true;
    for (size_t i = 0; i < n; i++)
        good &= logits[i] - logits[i] == 0;
    return good;
}

int32_t logits_argmax(const float *logits, size_t n, const bool *allowed)
{
    int32_t best = -1;
    for (size_t i = 0; i < n; i++)
        if ((!allowed || allowed[i]) && (best < 0 || logits[i] > logits[best]))
            best = (int32_t)i;
    return best;
}

double logits_logprob(const float *logits, size_t n, int32_t id)
{
    double chain[32] = {0};
    double max = (double)logits[logits_argmax(logits, n, NULL)];
    for (size_t i = 0; i < n; i++)
        chain[i % 32] += dm_exp((double)logits[i] - max);
    for (size_t half = 16; half; half /= 2)
        for (size_t i = 0; i < half; i++)
            chain[i] += chain[i + half];
    return ((double)logits[id] - max) - dm_log(chain[0]);
}

enum status sampler_new(struct sampler **out, size_t vocab_size, struct err *err)
{
    void *p;
    enum status st = mem_alloc(&p, 1, sizeof(struct sampler), "sampler", err);
    if (st)
        return st;
    struct sampler *s = p;
    s->vocab_size = vocab_size;
    if ((st = mem_alloc(&p, vocab_size, sizeof *s->ids, "candidates", err)))
        goto fail;
    s->ids = p;
    if ((st = mem_alloc(&p, vocab_size, sizeof *s->q, "candidates", err)))
        goto fail;
    s->q = p;
    *out = s;
    return OK;
fail:
    sampler_free(s);
    return st;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    mem_free(s->ids);
    mem_free(s->q);
    mem_free(s);
}

uint64_t sampler_bytes(const struct sampler *s)
{
    return s->vocab_size * (sizeof *s->ids + sizeof *s->q);
}

/* An integer that orders as the float does. */
static uint32_t order_of(float x)
{
    uint32_t u;
    x = x + 0.0f; // -0 and +0 are equal
    memcpy(&u, &x, sizeof u);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}

/* The k-th largest allowed logit, as order_of gives it: the largest bound that at least k values reach,
 * found bit by bit. */
static uint32_t kth_largest(const float *logits, size_t n, const bool *allowed, size_t k)
{
    uint32_t bound = 0;
    for (uint32_t bit = 0x80000000u; bit; bit >>= 1) {
        size_t count = 0;
        for (size_t i = 0; i < n; i++)
            count += allowed[i] && order_of(logits[i]) >= (bound | bit);
        if (count >= k)
            bound |= bit;
    }
    return bound; // 0, so everything, when fewer than k are allowed
}

static uint64_t total_of(const struct sampler *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s->n; i++)
        sum += s->q[i];
    return sum;
}

static uint64_t mass_from(const struct sampler *s, uint64_t bound)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s->n; i++)
        sum += s->q[i] >= bound ? s->q[i] : 0;
    return sum;
}

static void keep_mass(struct sampler *s, double p)
{
    uint64_t need = (uint64_t)ceil(p * (double)total_of(s));
    need = need ? need : 1;
    uint64_t bound = 0; // largest bound whose mass still reaches need
    for (uint64_t bit = (uint64_t)1 << 40; bit; bit >>= 1)
        if (mass_from(s, bound | bit) >= need)
            bound |= bit;
    uint64_t mass = mass_from(s, bound + 1);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        bool tied = s->q[i] == bound && mass < need;
        if (s->q[i] <= bound && !tied)
            continue;
        mass += tied ? s->q[i] : 0;
        s->ids[n] = s->ids[i];
        s->q[n++] = s->q[i];
    }
    s->n = n;
}

static void keep_above(struct sampler *s, double min_p)
{
    uint64_t bound = (uint64_t)ceil(min_p * unit); // the most likely id has exactly 2^40
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->q[i] < bound)
            continue;
        s->ids[n] = s->ids[i];
        s->q[n++] = s->q[i];
    }
    s->n = n;
}

int32_t sampler_draw(struct sampler *s, const float *logits, const bool *allowed, const struct sampling *p,
                     const struct rng_key *key, uint64_t position)
{
    double max = (double)logits[logits_argmax(logits, s->vocab_size, allowed)];
    uint32_t bound = p->top_k ? kth_largest(logits, s->vocab_size, allowed, p->top_k) : 0;
    s->n = 0;
    for (size_t i = 0; i < s->vocab_size; i++) {
        if (!allowed[i] || order_of(logits[i]) < bound)
            continue;
        uint64_t q = (uint64_t)rint(dm_exp(((double)logits[i] - max) / p->temperature) * unit);
        if (q == 0)
            continue;
        s->ids[s->n] = (uint32_t)i;
        s->q[s->n++] = q;
    }
    if (p->top_p < 1.0)
        keep_mass(s, p->top_p);
    if (p->min_p > 0.0)
        keep_above(s, p->min_p);
    uint64_t u = rng_below(key, position, total_of(s));
    size_t i = 0;
    while (u >= s->q[i])
        u -= s->q[i++];
    return (int32_t)s->ids[i];
}
