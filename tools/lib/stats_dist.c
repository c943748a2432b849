#include <math.h>

#include "base/dmath.h"
#include "lib/stats.h"

double stats_normal_cdf(double z)
{
    if (z < -8.0)
        return 0.0;
    if (z > 8.0)
        return 1.0;
    // Phi(z) = 1/2 + phi(z) (z + z^3/3 + z^5/(3 5) + ...)
    double term = z;
    double sum = 0;
    for (int k = 3; sum + term != sum; k += 2) {
        sum += term;
        term = term * z * z / (double)k;
    }
    return 0.5 + sum * dm_exp(-z * z / 2.0) * 0.3989422804014327; // 1 / sqrt(2 pi)
}

double stats_binom_cdf(uint64_t n, unsigned permille, int64_t k)
{
    if (k < 0)
        return 0.0;
    if ((uint64_t)k >= n || permille == 0)
        return 1.0;
    if (permille >= 1000)
        return 0.0;
    const uint64_t upto = (uint64_t)k;
    const double odds = (double)permille / (double)(1000 - permille);
    const uint64_t mode = (n + 1) / 1000 * permille + (n + 1) % 1000 * permille / 1000;
    // Relative terms from the mode (1.0) down to 0, then up to n; both walks stop when nothing is left.
    double below = 0; // terms <= k
    double total = 0;
    double term = 1.0;
    for (uint64_t i = mode;; i--) {
        total += term;
        if (i <= upto)
            below += term;
        if (i == 0 || term < total * 1e-18)
            break;
        term = term * (double)i / ((double)(n - i + 1) * odds);
    }
    term = 1.0;
    for (uint64_t i = mode + 1; i <= n; i++) {
        term = term * (double)(n - i + 1) * odds / (double)i;
        total += term;
        if (i <= upto)
            below += term;
        if (term < total * 1e-18)
            break;
    }
    return below / total;
}

/* arc tangent of x >= 0: halve the angle four times, atan x = 2 atan(x / (1 + sqrt(1 + x^2))), then the
 * Taylor series, whose argument is below 0.1 by then. */
static double arctan(double x)
{
    for (int i = 0; i < 4; i++)
        x = x / (1.0 + sqrt(1.0 + x * x));
    const double x2 = x * x;
    double sum = 0;
    for (int k = 21; k >= 1; k -= 2) // smallest terms first
        sum = (double)((k & 2) != 0 ? -1 : 1) / (double)k + x2 * sum;
    return 16.0 * x * sum;
}

double stats_t_cdf(double t, size_t df)
{
    const double pi = 3.14159265358979323846;
    const double u = fabs(t);
    const double cos2 = (double)df / ((double)df + u * u);
    const double sin1 = u / sqrt((double)df + u * u);
    double inside; // P(|T| <= u)
    double term;
    double sum;
    if (df % 2 == 0) {
        term = sum = 1.0;
        for (size_t i = 2; i + 2 <= df; i += 2) {
            term = term * cos2 * (double)(i - 1) / (double)i;
            sum += term;
        }
        inside = sin1 * sum;
    } else {
        term = sum = df > 1 ? sqrt(cos2) : 0.0;
        for (size_t i = 3; i + 2 <= df; i += 2) {
            term = term * cos2 * (double)(i - 1) / (double)i;
            sum += term;
        }
        inside = 2.0 / pi * (arctan(u / sqrt((double)df)) + sin1 * sum);
    }
    return t < 0 ? 0.5 - inside / 2 : 0.5 + inside / 2;
}

double stats_t_quantile(double p, size_t df)
{
    if (!(p > 0.0 && p < 1.0) || df == 0)
        return (double)NAN;
    if (p < 0.5)
        return -stats_t_quantile(1.0 - p, df);
    double lo = 0.0;
    double hi = 1.0;
    while (hi < 1e15 && stats_t_cdf(hi, df) < p)
        hi *= 2;
    for (int i = 0; i < 200; i++) { // bisection until the bits stop moving
        double mid = lo + (hi - lo) / 2;
        if (mid <= lo || mid >= hi)
            break;
        if (stats_t_cdf(mid, df) < p)
            lo = mid;
        else
            hi = mid;
    }
    return hi;
}
