#include <math.h>

#include "lib/stats.h"

enum status stats_fit_line(const double *x, const double *y, size_t n, struct stats_line *out, struct err *err)
{
    if (n < 2)
        return err_set(err, ERR_RANGE, "a line needs at least 2 points, found %zu", n);
    const double mx = stats_mean(x, n);
    const double my = stats_mean(y, n);
    double sxx = 0;
    double sxy = 0;
    double syy = 0;
    for (size_t i = 0; i < n; i++) {
        sxx += (x[i] - mx) * (x[i] - mx);
        sxy += (x[i] - mx) * (y[i] - my);
        syy += (y[i] - my) * (y[i] - my);
    }
    if (!(sxx > 0))
        return err_set(err, ERR_RANGE, "a line needs two different x, found only %g", x[0]);
    struct stats_line f = {.n = n, .slope = sxy / sxx};
    f.intercept = my - f.slope * mx;
    double sse = 0;
    for (size_t i = 0; i < n; i++) {
        double r = y[i] - (f.intercept + f.slope * x[i]);
        sse += r * r;
    }
    f.r2 = syy > 0 ? 1.0 - sse / syy : 1.0;
    f.slope_ci = (struct stats_interval){(double)NAN, (double)NAN, true, true};
    if (n >= 3) {
        double half = stats_t_quantile(0.975, n - 2) * sqrt(sse / (double)(n - 2) / sxx);
        f.slope_ci = (struct stats_interval){.lo = f.slope - half, .hi = f.slope + half};
    }
    *out = f;
    return OK;
}
