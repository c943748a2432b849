#include "base/dmath.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Doubles with + - * / only. Where one double is too short, values are carried as an unevaluated sum
 * hi + lo built with Dekker's exact sum and product (T. J. Dekker 1971, "A floating-point technique
 * for extending the available precision"). Rounding to nearest even is assumed; flush-to-zero makes
 * no difference, because no result and no operand that matters is subnormal. math.h is included for
 * NAN and INFINITY only. */

struct dd {
    double hi, lo;
};

static const double ln2_hi = 0x1.62e42fefa38p-1;      // 11 trailing zero bits: k * ln2_hi is exact
static const double ln2_lo = 0x1.ef35793c7673p-45;    // ln 2 - ln2_hi
static const double third_lo = 0x1.5555555555555p-56; // 1/3 - (double)(1/3)

// pi / 2 as three doubles, 161 bits in all
static const double half_pi_1 = 0x1.921fb54442d18p+0;
static const double half_pi_2 = 0x1.1a62633145c07p-54;
static const double half_pi_3 = -0x1.f1976b7ed8fbcp-110;

static uint64_t image(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static double from_image(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

// a + b exactly, any magnitudes
static struct dd two_sum(double a, double b)
{
    double s = a + b;
    double bb = s - a;
    return (struct dd){s, (a - (s - bb)) + (b - bb)};
}

// a + b exactly, |a| >= |b| or a == 0
static struct dd fast_two_sum(double a, double b)
{
    double s = a + b;
    return (struct dd){s, b - (s - a)};
}

static struct dd split(double a)
{
    double t = 134217729.0 * a; // 2^27 + 1
    double hi = t - (t - a);
    return (struct dd){hi, a - hi};
}

// a * b exactly, as long as neither overflows 2^996 nor underflows
static struct dd two_prod(double a, double b)
{
    double p = a * b;
    struct dd x = split(a);
    struct dd y = split(b);
    return (struct dd){p, ((x.hi * y.hi - p) + x.hi * y.lo + x.lo * y.hi) + x.lo * y.lo};
}

// nearest integer, |x| < 2^51
static int64_t nearest(double x)
{
    return (int64_t)(x < 0 ? x - 0.5 : x + 0.5);
}

/* exp(x + lo), |lo| far below |x|. x + lo = k ln 2 + r + rl, |r| <= 0.35; Taylor to r^14; the leading
 * 1 + r is kept exact until the last addition. */
static double exp_dd(double x, double lo)
{
    if (x > 710.0)
        return (double)INFINITY;
    if (x < -709.0)
        return 0.0;
    int64_t k = nearest(x * 0x1.71547652b82fep+0);
    double kd = (double)k;
    struct dd r = two_sum(x - kd * ln2_hi, lo - kd * ln2_lo); // the first difference is exact
    double z = r.hi;
    double p = 1.0 / 87178291200.0; // 1/14!
    p = p * z + 1.0 / 6227020800.0;
    p = p * z + 1.0 / 479001600.0;
    p = p * z + 1.0 / 39916800.0;
    p = p * z + 1.0 / 3628800.0;
    p = p * z + 1.0 / 362880.0;
    p = p * z + 1.0 / 40320.0;
    p = p * z + 1.0 / 5040.0;
    p = p * z + 1.0 / 720.0;
    p = p * z + 1.0 / 120.0;
    p = p * z + 1.0 / 24.0;
    p = p * z + 1.0 / 6.0;
    p = p * z + 0.5;
    struct dd s = fast_two_sum(1.0, z);
    double m = s.hi + (s.lo + (r.lo + (r.lo * z + z * z * p)));
    if (k < -1022 || (k == -1022 && m < 1.0))
        return 0.0; // would be subnormal
    if (k > 1023) // 1024 at most, by the test above
        return m * 0x1p1023 * 2.0;
    return m * from_image((uint64_t)(k + 1023) << 52);
}

/* log(x) as hi + lo, relative error below 2^-63, for finite x > 0. x = 2^k m, m in [sqrt 1/2, sqrt 2);
 * s = (m-1)/(m+1); log m = 2s + (2/3) s^3 + s^5 P(s^2): the first two terms in two doubles. */
static struct dd log_dd(double x)
{
    uint64_t u = image(x);
    int64_t k = 0;
    if (u >> 52 == 0) { // subnormal: read as an integer, so that DAZ cannot turn it into 0
        u = image((double)u);
        k = -1074;
    }
    k += (int64_t)(u >> 52) - 1023;
    double m = from_image((u & 0xfffffffffffffu) | 0x3ff0000000000000u);
    if (m > 0x1.6a09e667f3bcdp+0) {
        m *= 0.5;
        k++;
    }
    double f = m - 1.0; // exact
    struct dd den = two_sum(m, 1.0);
    double s = f / den.hi;
    struct dd q = two_prod(s, den.hi);
    double s_lo = (((f - q.hi) - q.lo) - s * den.lo) / den.hi;
    // c = s^2 in two doubles, then t = s * c / 3
    struct dd c = two_prod(s, s);
    c.lo += 2.0 * s * s_lo;
    struct dd t = two_prod(c.hi, 1.0 / 3.0);
    t.lo += c.lo * (1.0 / 3.0) + c.hi * third_lo;
    struct dd v = two_prod(t.hi, s);
    v.lo += t.lo * s + t.hi * s_lo;
    double z = c.hi;
    double p = 1.0 / 23.0;
    p = p * z + 1.0 / 21.0;
    p = p * z + 1.0 / 19.0;
    p = p * z + 1.0 / 17.0;
    p = p * z + 1.0 / 15.0;
    p = p * z + 1.0 / 13.0;
    p = p * z + 1.0 / 11.0;
    p = p * z + 1.0 / 9.0;
    p = p * z + 1.0 / 7.0;
    p = p * z + 1.0 / 5.0;
    double tail = 2.0 * (s * z * z * p);
    struct dd a = two_sum(2.0 * s, 2.0 * v.hi);
    double lo = a.lo + (2.0 * s_lo + (2.0 * v.lo + tail));
    a = fast_two_sum(a.hi, lo);
    double kd = (double)k;
    struct dd b = two_sum(kd * ln2_hi, a.hi);
    return fast_two_sum(b.hi, b.lo + (a.lo + kd * ln2_lo));
}

double dm_exp(double x)
{
    if (x != x)
        return x;
    return exp_dd(x, 0.0);
}

double dm_log(double x)
{
    if (x != x || x == (double)INFINITY)
        return x;
    uint64_t u = image(x);
    if (u << 1 == 0)
        return -(double)INFINITY;
    if (u >> 63)
        return (double)NAN;
    struct dd l = log_dd(x);
    return l.hi + l.lo;
}

double dm_pow(double x, double y)
{
    if (y == 0.0 || x == 1.0)
        return 1.0;
    if (x != x || y != y || x < 0.0)
        return (double)NAN;
    if (image(x) << 1 == 0)
        return y > 0.0 ? 0.0 : (double)INFINITY;
    if (x == (double)INFINITY)
        return y > 0.0 ? x : 0.0;
    struct dd l = log_dd(x);
    double rough = y * l.hi;
    if (rough > 720.0)
        return (double)INFINITY;
    if (rough < -720.0)
        return 0.0;
    struct dd p = two_prod(y, l.hi);
    return exp_dd(p.hi, p.lo + y * l.lo);
}

/* x - k pi/2 as two doubles and k mod 4. With |k| < 2^40 the exact products k * half_pi_1 and
 * k * half_pi_2 plus a rounded third leave an error below 2^-120, and no double up to 2^40 comes
 * nearer to a multiple of pi/2 than about 2^-60. */
static struct dd reduce(double x, unsigned *quadrant)
{
    int64_t k = nearest(x * 0x1.45f306dc9c883p-1);
    double kd = (double)k;
    *quadrant = (unsigned)((uint64_t)k & 3);
    struct dd a = two_prod(kd, half_pi_1);
    struct dd b = two_prod(kd, half_pi_2);
    struct dd r = two_sum(x - a.hi, -a.lo);
    struct dd s = two_sum(r.hi, -b.hi);
    return fast_two_sum(s.hi, s.lo + (r.lo - (b.lo + kd * half_pi_3)));
}

static double sin_kernel(struct dd r)
{
    double x = r.hi;
    double z = x * x;
    double p = 1.0 / 355687428096000.0; // 1/17!
    p = p * z - 1.0 / 1307674368000.0;
    p = p * z + 1.0 / 6227020800.0;
    p = p * z - 1.0 / 39916800.0;
    p = p * z + 1.0 / 362880.0;
    p = p * z - 1.0 / 5040.0;
    p = p * z + 1.0 / 120.0;
    p = p * z - 1.0 / 6.0;
    return x + (r.lo * (1.0 - 0.5 * z) + x * z * p);
}

static double cos_kernel(struct dd r)
{
    double x = r.hi;
    double z = x * x;
    double p = -1.0 / 6402373705728000.0; // 1/18!
    p = p * z + 1.0 / 20922789888000.0;
    p = p * z - 1.0 / 87178291200.0;
    p = p * z + 1.0 / 479001600.0;
    p = p * z - 1.0 / 3628800.0;
    p = p * z + 1.0 / 40320.0;
    p = p * z - 1.0 / 720.0;
    p = p * z + 1.0 / 24.0;
    struct dd w = fast_two_sum(1.0, -0.5 * z);
    return w.hi + (w.lo + (z * z * p - x * r.lo));
}

// sin(x + quarter * pi/2)
static double sine(double x, unsigned quarter)
{
    if (!(x >= -0x1p40 && x <= 0x1p40))
        return (double)NAN;
    unsigned quadrant;
    struct dd r = reduce(x, &quadrant);
    quadrant += quarter;
    double v = quadrant & 1 ? cos_kernel(r) : sin_kernel(r);
    return quadrant & 2 ? -v : v;
}

double dm_sin(double x)
{
    return sine(x, 0);
}

double dm_cos(double x)
{
    return sine(x, 1);
}
