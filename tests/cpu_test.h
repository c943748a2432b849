#ifndef ASSAY_TESTS_CPU_TEST_H
#define ASSAY_TESTS_CPU_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend.h"
#include "base/fmath.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "cpu/cpu.h"

/* Shared by the tests of the CPU backend: random data from counters, and numerics.md's rules written
 * down a second time, straight from the page, over plain row-major arrays. */

static inline void *new_mem(size_t n, size_t size)
{
    void *p;
    struct err err = ERR_INIT;
    if (mem_alloc(&p, n, size, "test", &err))
        abort();
    return p;
}

/* 7, so that a run is like the last; ASSAY_TEST_SEED draws others (make check-gpu does). */
static inline uint64_t test_seed(void)
{
    const char *text = getenv("ASSAY_TEST_SEED");
    return text ? strtoull(text, NULL, 10) : 7;
}

static inline float random_float(const char *name, uint64_t i)
{
    struct rng_key k = rng_key(test_seed(), name);
    return (float)rng_normal(&k, i);
}

static inline float *random_floats(const char *name, size_t n, float sd)
{
    float *p = new_mem(n, sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = random_float(name, i) * sd;
    return p;
}

/* bf16 rows with leading dimension operand_ld(k), zeros behind. */
static inline uint16_t *random_operands(const char *name, size_t rows, size_t k)
{
    uint16_t *p = new_mem(rows * operand_ld(k), sizeof *p);
    for (size_t t = 0; t < rows; t++)
        for (size_t i = 0; i < k; i++)
            p[t * operand_ld(k) + i] = bf16_operand(random_float(name, t * k + i));
    return p;
}

/* A little-endian bf16 file image (rows, k). */
static inline uint8_t *random_bf16(const char *name, size_t rows, size_t k, float sd)
{
    uint8_t *p = new_mem(rows * k, 2);
    for (size_t i = 0; i < rows * k; i++) {
        uint16_t v = bf16_from_f32(random_float(name, i) * sd);
        p[2 * i] = (uint8_t)v;
        p[2 * i + 1] = (uint8_t)(v >> 8);
    }
    return p;
}

static inline uint8_t *random_bytes(const char *name, size_t n, unsigned lo, unsigned hi)
{
    uint8_t *p = new_mem(n, 1);
    struct rng_key k = rng_key(test_seed(), name);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(lo + rng_u64(&k, i) % (hi - lo + 1));
    return p;
}

/* numerics.md, "The canonical dot product", over fp32 values of operands; d: the scales of Q8_0 and Q4_0
 * blocks, over codes. */
static inline float scaled_dot(const float *a, const float *w, const float *d, size_t k)
{
    float total = 0.0f;
    for (size_t s = 0; s < k; s += 512) {
        float c = 0.0f;
        for (size_t b = s; b < s + 512 && b < k; b += 32) {
            float e = 0.0f;
            float o = 0.0f;
            for (size_t i = b; i < b + 32 && i < k; i += 2) {
                e = fmaf(a[i], w[i], e);
                if (i + 1 < k)
                    o = fmaf(a[i + 1], w[i + 1], o);
            }
            c = d ? fmaf(d[b / 32], e + o, c) : c + (e + o);
        }
        total = s == 0 ? c : total + c;
    }
    return total;
}

static inline float canonical_dot(const float *a, const float *w, size_t k)
{
    return scaled_dot(a, w, NULL, k);
}

static inline float chains_of(const float *x, const float *y, size_t n) // y NULL: plain sum
{
    float c[32] = {0};
    for (size_t i = 0; i < n; i++)
        c[i % 32] = y ? fmaf(x[i], y[i], c[i % 32]) : c[i % 32] + x[i];
    for (size_t h = 16; h > 0; h /= 2)
        for (size_t i = 0; i < h; i++)
            c[i] = c[i] + c[i + h];
    return c[0];
}

static inline float mxfp4_value(unsigned code, unsigned scale)
{
    static const float magnitude[8] = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
    float v = (float)ldexp((double)magnitude[code & 7], (int)scale - 127);
    return code & 8 ? -v : v;
}

static inline void widen_row(const uint16_t *x, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = bf16_to_f32(x[i]);
}

static inline struct backend *new_backend(const char *isa, size_t n_threads)
{
    struct backend *b = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(cpu_backend_new(&b, isa, n_threads, &err), OK);
    cpu_of(b)->grain = 1; // small shapes must cross threads too
    return b;
}

/* One part of a matrix_source, in place. */
#define PART(n, data, scale_bytes)                                      \
    (struct matrix_part)                                                \
    {                                                                   \
        .n_rows = (n), .rows = {.base = (data)}, .scales = {.base = (scale_bytes)} \
    }

#endif
