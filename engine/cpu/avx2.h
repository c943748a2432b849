#ifndef ASSAY_CPU_AVX2_H
#define ASSAY_CPU_AVX2_H

#include "cpu/kernels.h"

/* The row kernels of avx2.c: AVX-512 uses them as they are, since products are where wider registers pay. */
bool avx2_pack(const struct pack_plan *plan, const uint8_t *const rows[TILE], uint8_t *codes);
void avx2_stage(const uint16_t *x, size_t n, void *out);
bool avx2_operands(const float *x, size_t n, uint16_t *out);
float avx2_sum_squares(const float *x, size_t n);
void avx2_norm_scale(const float *x, const float *w, float r, size_t n, float *out);
void avx2_rope(float *v, const float *cos, const float *sin, size_t half);
bool avx2_glu(const struct glu *k, const float *z, size_t n_ff, uint16_t *out);
bool avx2_softmax(float *s, size_t from, size_t to, float scale, uint16_t *out, float *max, float *sum);
void avx2_merge(float *o, float a, const float *p, float b, size_t n);
void avx2_combine(const float *w, const float *ys, size_t k, size_t n, float *y);

#endif
