#define _GNU_SOURCE // syscall: the permission for AMX has no other way
#include "meter/ceiling_loops.h"

#include <string.h>

/* The loops are written so that nothing but the port in question can be the limit: as many independent
 * accumulators as hide the latency of a multiply-add twice over, operands in registers. Their results
 * are folded into a number that the caller keeps, so that no compiler may leave them out. */

enum { AHEAD_B = 512 }; // how far ahead of the loads a stream is prefetched: farther was slower on Zen 4

static uint64_t read_generic(const uint8_t *p, size_t n_b, size_t n_streams)
{
    const size_t range = n_b / n_streams;
    uint64_t sum[4] = {0};
    for (size_t i = 0; i < range; i += CEILING_STEP_B)
        for (size_t s = 0; s < n_streams; s++) {
            const uint8_t *q = p + s * range + i;
            __builtin_prefetch(q + AHEAD_B);
            for (size_t k = 0; k < CEILING_STEP_B; k += 32)
                for (size_t j = 0; j < 4; j++) {
                    uint64_t v;
                    memcpy(&v, q + k + 8 * j, sizeof v);
                    sum[j] += v;
                }
        }
    return sum[0] + sum[1] + sum[2] + sum[3];
}

static uint64_t fma_generic(uint64_t rounds)
{
    enum { N = 16 };
    float acc[N];
    for (int i = 0; i < N; i++)
        acc[i] = (float)i;
    for (uint64_t r = 0; r < rounds; r++)
        for (int i = 0; i < N; i++)
            acc[i] = acc[i] * 0.5f + 1.0f; // two operations, as a machine without the fused one has them
    float all = 0;
    for (int i = 0; i < N; i++)
        all += acc[i];
    return (uint64_t)all;
}

static const char *runs_everywhere(void)
{
    return NULL;
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *no_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? NULL : "this CPU has no AVX2 and FMA";
}

static const char *no_avx512(void)
{
    return __builtin_cpu_supports("avx512f") ? NULL : "this CPU has no AVX-512";
}

static const char *no_avx512_bf16(void)
{
    return __builtin_cpu_supports("avx512bf16") ? NULL : "this CPU has no AVX-512-BF16";
}

/* CPUID leaf 7: EDX bit 22 AMX-BF16, bit 24 AMX-TILE. The kernel gives the tile registers (state 18)
 * only to a process that asked for them. */
static const char *no_amx(void)
{
    unsigned a;
    unsigned b;
    unsigned c;
    unsigned d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 22 & 1) || !(d >> 24 & 1))
        return "this CPU has no AMX-BF16";
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    if (syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA))
        return "the kernel does not give this process the AMX tile registers";
    return NULL;
}

__attribute__((target("avx2"))) static uint64_t read_avx2(const uint8_t *p, size_t n_b, size_t n_streams)
{
    const size_t range = n_b / n_streams;
    __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    for (size_t i = 0; i < range; i += CEILING_STEP_B)
        for (size_t s = 0; s < n_streams; s++) {
            const uint8_t *q = p + s * range + i;
            for (size_t k = 0; k < CEILING_STEP_B; k += 64) {
                _mm_prefetch((const char *)q + AHEAD_B + k, _MM_HINT_NTA);
                const __m256i *v = (const __m256i *)(const void *)(q + k);
                sum[k / 64] = _mm256_xor_si256(sum[k / 64], _mm256_xor_si256(_mm256_loadu_si256(v), _mm256_loadu_si256(v + 1)));
            }
        }
    const __m256i all = _mm256_xor_si256(_mm256_xor_si256(sum[0], sum[1]), _mm256_xor_si256(sum[2], sum[3]));
    uint64_t out[4];
    memcpy(out, &all, sizeof out);
    return out[0] ^ out[1] ^ out[2] ^ out[3];
}

__attribute__((target("avx512f"))) static uint64_t read_avx512(const uint8_t *p, size_t n_b, size_t n_streams)
{
    const size_t range = n_b / n_streams;
    __m512i sum[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    for (size_t i = 0; i < range; i += CEILING_STEP_B)
        for (size_t s = 0; s < n_streams; s++) {
            const uint8_t *q = p + s * range + i;
            for (size_t k = 0; k < CEILING_STEP_B; k += 64) {
                _mm_prefetch((const char *)q + AHEAD_B + k, _MM_HINT_NTA);
                sum[k / 64] = _mm512_xor_si512(sum[k / 64], _mm512_loadu_si512(q + k));
            }
        }
    const __m512i all = _mm512_xor_si512(_mm512_xor_si512(sum[0], sum[1]), _mm512_xor_si512(sum[2], sum[3]));
    uint64_t out[8];
    memcpy(out, &all, sizeof out);
    return out[0] ^ out[1] ^ out[2] ^ out[3] ^ out[4] ^ out[5] ^ out[6] ^ out[7];
}

/* Accumulators of the vector loops: latency 4, two issued in a cycle, and some to spare. */
enum { N_ACC = 12 };

__attribute__((target("avx2,fma"))) static uint64_t fma_avx2(uint64_t rounds)
{
    const __m256 x = _mm256_set1_ps(0.5f);
    const __m256 y = _mm256_set1_ps(1.0f);
    __m256 acc[N_ACC];
    for (int i = 0; i < N_ACC; i++)
        acc[i] = _mm256_set1_ps((float)i);
    for (uint64_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < N_ACC; i++)
            acc[i] = _mm256_fmadd_ps(acc[i], x, y);
    for (int i = 1; i < N_ACC; i++)
        acc[0] = _mm256_add_ps(acc[0], acc[i]);
    return (uint64_t)_mm256_cvtss_f32(acc[0]);
}

__attribute__((target("avx512f"))) static uint64_t fma_avx512(uint64_t rounds)
{
    const __m512 x = _mm512_set1_ps(0.5f);
    const __m512 y = _mm512_set1_ps(1.0f);
    __m512 acc[N_ACC];
    for (int i = 0; i < N_ACC; i++)
        acc[i] = _mm512_set1_ps((float)i);
    for (uint64_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < N_ACC; i++)
            acc[i] = _mm512_fmadd_ps(acc[i], x, y);
    for (int i = 1; i < N_ACC; i++)
        acc[0] = _mm512_add_ps(acc[0], acc[i]);
    return (uint64_t)_mm512_cvtss_f32(acc[0]);
}

__attribute__((target("avx512f,avx512bf16"))) static uint64_t dot_avx512_bf16(uint64_t rounds)
{
    const __m512bh x = (__m512bh)_mm512_set1_epi16(0x3F00); // bf16 0.5
    const __m512bh y = (__m512bh)_mm512_set1_epi16(0x3F80); // bf16 1
    __m512 acc[N_ACC];
    for (int i = 0; i < N_ACC; i++)
        acc[i] = _mm512_set1_ps((float)i);
    for (uint64_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < N_ACC; i++)
            acc[i] = _mm512_dpbf16_ps(acc[i], x, y);
    for (int i = 1; i < N_ACC; i++)
        acc[0] = _mm512_add_ps(acc[0], acc[i]);
    return (uint64_t)_mm512_cvtss_f32(acc[0]);
}

/* Four products in flight, each 16 x 16 sums over 32 inputs: 16384 operations. */
__attribute__((target("amx-tile,amx-bf16"))) static uint64_t dot_amx_bf16(uint64_t rounds)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_b[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    _Alignas(64) uint8_t tile[1024] = {0};
    _Static_assert(sizeof config == 64, "the tile configuration is 64 bytes");
    for (int i = 0; i < 6; i++) {
        config.row_b[i] = 64;
        config.rows[i] = 16;
    }
    for (size_t i = 1; i < sizeof tile; i += 2)
        tile[i] = 0x3F; // bf16 0.5
    __asm__ volatile("" ::"r"(&config), "r"(tile) : "memory"); // gcc 12's intrinsics do not say that they read memory
    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, tile, 64);
    _tile_loadd(5, tile, 64);
    for (uint64_t r = 0; r < rounds; r++) {
        _tile_dpbf16ps(0, 4, 5);
        _tile_dpbf16ps(1, 4, 5);
        _tile_dpbf16ps(2, 4, 5);
        _tile_dpbf16ps(3, 4, 5);
    }
    _tile_stored(0, tile, 64);
    _tile_release();
    __asm__ volatile("" ::"r"(tile) : "memory");
    uint64_t out;
    memcpy(&out, tile, sizeof out);
    return out;
}

static const struct ceiling_loop loops[] = {
    {.kind = CEILING_READ, .isa = "avx512", .missing = no_avx512, .read = read_avx512},
    {.kind = CEILING_READ, .isa = "avx2", .missing = no_avx2, .read = read_avx2},
    {.kind = CEILING_READ, .isa = "generic", .missing = runs_everywhere, .read = read_generic},
    {.kind = CEILING_FMA_FP32, .isa = "generic", .missing = runs_everywhere, .compute = fma_generic, .round_flop = 2 * 16},
    {.kind = CEILING_FMA_FP32, .isa = "avx2", .missing = no_avx2, .compute = fma_avx2, .round_flop = 2 * 8 * N_ACC},
    {.kind = CEILING_FMA_FP32, .isa = "avx512", .missing = no_avx512, .compute = fma_avx512, .round_flop = 2 * 16 * N_ACC},
    {.kind = CEILING_DOT_BF16, .isa = "avx512bf16", .missing = no_avx512_bf16, .compute = dot_avx512_bf16, .round_flop = 4 * 16 * N_ACC},
    {.kind = CEILING_AMX_BF16, .isa = "amx", .missing = no_amx, .compute = dot_amx_bf16, .round_flop = 4 * 16384},
};
#else
static const struct ceiling_loop loops[] = {
    {.kind = CEILING_READ, .isa = "generic", .missing = runs_everywhere, .read = read_generic},
    {.kind = CEILING_FMA_FP32, .isa = "generic", .missing = runs_everywhere, .compute = fma_generic, .round_flop = 2 * 16},
};
#endif

const struct ceiling_loop *ceiling_loops(size_t *n)
{
    *n = sizeof loops / sizeof *loops;
    return loops;
}
