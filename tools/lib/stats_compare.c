#include "base/mem.h"
#include "lib/stats.h"

double stats_mcnemar(uint64_t b, uint64_t c)
{
    const uint64_t fewer = b < c ? b : c;
    const double p = 2.0 * stats_binom_cdf(b + c, 500, (int64_t)fewer);
    return p > 1.0 ? 1.0 : p;
}

enum status stats_holm(const double *p, size_t n, double *adj, struct err *err)
{
    void *taken = NULL;
    enum status s = mem_alloc(&taken, n, sizeof(bool), "Holm's order", err);
    if (s != OK)
        return s;
    bool *done = taken;
    double worst = 0;
    for (size_t k = 0; k < n; k++) { // smallest p first, lowest index on ties
        size_t at = n;
        for (size_t i = 0; i < n; i++)
            if (!done[i] && (at == n || p[i] < p[at]))
                at = i;
        const double scaled = p[at] * (double)(n - k);
        worst = scaled > worst ? scaled : worst;
        adj[at] = worst > 1.0 ? 1.0 : worst;
        done[at] = true;
    }
    mem_free(taken);
    return OK;
}

uint64_t stats_early_stop(unsigned permille, uint64_t t)
{
    if (permille == 0 || permille >= 1000)
        return 0;
    // P(Bin(n, miss) <= t) falls with n: double until low enough, then bisect.
    const unsigned miss = 1000 - permille;
    uint64_t low = t;      // too few
    uint64_t high = t + 1; // to be enough
    while (stats_binom_cdf(high, miss, (int64_t)t) > 0.01) {
        low = high;
        high *= 2;
    }
    while (high - low > 1) {
        const uint64_t mid = low + (high - low) / 2;
        if (stats_binom_cdf(mid, miss, (int64_t)t) > 0.01)
            low = mid;
        else
            high = mid;
    }
    return high;
}
