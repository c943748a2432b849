#include <math.h>

#include "lib/stats.h"

struct stats_interval stats_order_interval(const double *sorted, size_t n, unsigned permille)
{
    struct stats_interval ci = {.lo = (double)NAN, .hi = (double)NAN, .lo_open = true, .hi_open = true};
    if (permille == 0 || permille >= 1000)
        return ci;
    // l = the number of ranks r with P(Bin <= r-1) <= 2.5 %; u = the first r with P(Bin <= r-1) >= 97.5 %.
    // The distribution function rises with r, so both are found by bisection.
    size_t from = 0;
    size_t to = n;
    while (from < to) {
        size_t r = from + (to - from + 1) / 2;
        if (stats_binom_cdf(n, permille, (int64_t)r - 1) <= 0.025)
            from = r;
        else
            to = r - 1;
    }
    if (from > 0) {
        ci.lo = sorted[from - 1];
        ci.lo_open = false;
    }
    from = 1;
    to = n + 1; // n + 1 = none
    while (from < to) {
        size_t r = from + (to - from) / 2;
        if (stats_binom_cdf(n, permille, (int64_t)r - 1) >= 0.975)
            to = r;
        else
            from = r + 1;
    }
    if (from <= n) {
        ci.hi = sorted[from - 1];
        ci.hi_open = false;
    }
    return ci;
}

struct stats_interval stats_wilson(uint64_t k, uint64_t n)
{
    if (n == 0)
        return (struct stats_interval){(double)NAN, (double)NAN, true, true};
    const double z = 1.959963984540054; // normal quantile at 0.975
    const double z2 = z * z;
    const double share = (double)k / (double)n;
    const double middle = share + z2 / (2.0 * (double)n);
    const double half = z * sqrt(share * (1.0 - share) / (double)n + z2 / (4.0 * (double)n * (double)n));
    const double scale = 1.0 + z2 / (double)n;
    struct stats_interval ci = {.lo = (middle - half) / scale, .hi = (middle + half) / scale};
    // At the ends the formula gives 0 and 1 but for rounding.
    if (k == 0)
        ci.lo = 0.0;
    if (k == n)
        ci.hi = 1.0;
    return ci;
}
