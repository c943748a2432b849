#include "base/bulk.h"

#include <stdbool.h>
#include <string.h>

#include "base/fmath.h"
#include "base/rng.h"

enum status bulk_key(uint64_t *out, uint64_t seed, const char *name, struct err *err)
{
    struct rng_key k;
    enum status s = rng_key_new(&k, seed, name, err);
    if (!s)
        *out = rng_u64(&k, 0);
    return s;
}

/* The definition, eight at a time. What it gains is the 64-bit product of AVX-512DQ; AVX2 has none, and
 * with it this is no faster than one at a time. */
#if defined(__x86_64__)
#ifndef __clang__
// gcc 12's analyzer takes a shift of a vector for one of a 3-bit number
#pragma GCC diagnostic ignored "-Wanalyzer-shift-count-overflow"
#endif
enum { WIDE = 8 };
typedef uint64_t u64s __attribute__((vector_size(64)));
typedef int64_t i64s __attribute__((vector_size(64)));
typedef double f64s __attribute__((vector_size(64)));
typedef uint16_t u16s __attribute__((vector_size(16)));
#define ON_AVX512 __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl")))
#define MIX(z)                                    \
    ((z) = ((z) ^ (z) >> 30) * 0xbf58476d1ce4e5b9u, \
     (z) = ((z) ^ (z) >> 27) * 0x94d049bb133111ebu, (z) ^= (z) >> 31)

static bool has_wide(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

ON_AVX512 static void wide_bf16(uint64_t key, double mean, double scale, uint64_t from, size_t n, uint16_t *out)
{
    const u64s words = {1, 4, 7, 10, 13, 16, 19, 22};
    const uint64_t low = 0x0000ffff0000ffffu;
    for (size_t i = 0; i < n; i += WIDE) {
        u64s base = key + (words + 3 * (from + i)) * BULK_STEP;
        u64s sum = {0};
        for (uint64_t j = 0; j < 3; j++) {
            u64s w = base + j * BULK_STEP;
            MIX(w);
            sum += (w & low) + (w >> 16 & low);
        }
        i64s v = (i64s)(2 * ((sum & 0xffffffffu) + (sum >> 32))) - 12 * 65535;
        f64s x = mean + scale * __builtin_convertvector(v, f64s);
        u64s u = (u64s)x; // from here on bf16_from_f64
        u64s rounded = (u & ~((uint64_t)1 << 63)) + (((uint64_t)1 << 44) - 1) + (u >> 45 & 1);
        u64s image = (rounded >> 45) - ((uint64_t)(1023 - 127) << 7) + (u >> 63 << 15);
        image &= (u64s)((u >> 52 & 0x7ff) > 1023 - 127);
        u16s b = __builtin_convertvector(image, u16s);
        memcpy(out + i, &b, sizeof b);
    }
}

ON_AVX512 static void wide_words(uint64_t key, uint64_t from, size_t n, uint8_t *out)
{
    const u64s words = {1, 2, 3, 4, 5, 6, 7, 8};
    for (size_t i = 0; i < n; i += WIDE) {
        u64s w = key + (words + from + i) * BULK_STEP;
        MIX(w);
        memcpy(out + 8 * i, &w, sizeof w);
    }
}
#else
enum { WIDE = 1 };
static bool has_wide(void)
{
    return false;
}
static void wide_bf16(uint64_t key, double mean, double scale, uint64_t from, size_t n, uint16_t *out)
{
    (void)key, (void)mean, (void)scale, (void)from, (void)n, (void)out;
}
static void wide_words(uint64_t key, uint64_t from, size_t n, uint8_t *out)
{
    (void)key, (void)from, (void)n, (void)out;
}
#endif

void bulk_bf16(uint64_t key, double mean, double scale, uint64_t from, size_t n, uint16_t *out)
{
    size_t wide = has_wide() ? n / WIDE * WIDE : 0;
    wide_bf16(key, mean, scale, from, wide, out);
    for (size_t i = wide; i < n; i++)
        out[i] = bf16_from_f64(mean + scale * (double)bulk_normal(key, from + i));
}

/* Bytes [at, to) one by one. */
static void some_bytes(uint64_t key, uint64_t at, uint64_t to, uint8_t *out)
{
    while (at < to) {
        uint64_t w = bulk_word(key, at / 8) >> at % 8 * 8;
        for (uint64_t end = at / 8 * 8 + 8; at < end && at < to; at++, w >>= 8)
            *out++ = (uint8_t)w;
    }
}

void bulk_bytes(uint64_t key, uint64_t from, size_t n, uint8_t *out)
{
    uint64_t whole = (from + 7) / 8 * 8; // the first word that lies inside, if one does
    uint64_t end = from + n;
    if (!has_wide() || whole >= end) {
        some_bytes(key, from, end, out);
        return;
    }
    uint64_t n_words = (end - whole) / 8 / WIDE * WIDE;
    some_bytes(key, from, whole, out);
    wide_words(key, whole / 8, n_words, out + (whole - from));
    some_bytes(key, whole + 8 * n_words, end, out + (whole - from) + 8 * n_words);
}
