#ifndef ASSAY_BASE_DMATH_H
#define ASSAY_BASE_DMATH_H

/* The project's own double transcendentals, from + - * / sqrt alone (no libm, no fma): the same bits
 * on every machine and compiler. For tables (RoPE) and statistics, not for hot loops. */

double dm_exp(double x);            /* within 2 ulp; overflow gives +inf, underflow 0 */
double dm_log(double x);            /* x > 0, within 2 ulp; 0 gives -inf, x < 0 NaN */
double dm_sin(double x);            /* |x| <= 2^40: Cody-Waite reduction in three parts */
double dm_cos(double x);
double dm_pow(double x, double y);  /* x > 0: exp(y log x) with log carried in two doubles */

#endif
