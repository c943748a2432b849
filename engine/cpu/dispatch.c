#include <stdio.h>
#include <string.h>

#include "base/fmath.h"
#include "base/pool.h"
#include "cpu/kernels.h"

/* Which instruction set runs. __builtin_cpu_supports asks CPUID and XGETBV, so a set that the operating
 * system does not save is absent. Every CPU with AVX2 has F16C. */

static const struct cpu_kernels *const tables[] = {&cpu_ref_kernels, &cpu_avx2_kernels, &cpu_avx512_kernels,
                                                   &cpu_avx512bf16_kernels};
enum { N_ISA = sizeof tables / sizeof tables[0] };

/* What a machine can have, best last. Sets are nested but for one: VDPBF16PS is twice as fast as FMA on AMD and
 * half as fast on Intel, where it is there to be compared with. */
static const char *const names_1[] = {"scalar", NULL};
static const char *const names_2[] = {"scalar", "avx2", NULL};
static const char *const names_3[] = {"scalar", "avx2", "avx512", NULL};
static const char *const names_4[] = {"scalar", "avx2", "avx512", "avx512bf16", NULL};
static const char *const names_4_intel[] = {"scalar", "avx2", "avx512bf16", "avx512", NULL};

/* A random operand: any exponent that is allowed, or one of three, so that sums cancel. Steele and others'
 * SplitMix64; rng.h would take longer than the check. */
static uint16_t random_operand(uint64_t *state)
{
    uint64_t r = *state += 0x9e3779b97f4a7c15u;
    r = (r ^ r >> 30) * 0xbf58476d1ce4e5b9u;
    r = (r ^ r >> 27) * 0x94d049bb133111ebu;
    r ^= r >> 31;
    unsigned low = r >> 32 & 1 ? BF16_OPERAND_MIN : 0x3f80u;
    unsigned span = r >> 32 & 1 ? BF16_OPERAND_END - BF16_OPERAND_MIN : 3u << 7;
    return (uint16_t)((r >> 33 & 1) << 15 | (low + (uint32_t)r % span));
}

/* Intel's and AMD's manuals give VDPBF16PS the order that avx512bf16.c needs, and no other vendor has promised
 * it: 4096 blocks against the scalar twin, or the set is not offered. */
static bool vdpbf16_exact(void)
{
    enum { ROWS = 8, ROUNDS = 32 };
    uint16_t x16[ROWS * BLOCK];
    _Alignas(64) uint16_t w[2][BLOCK * TILE];
    _Alignas(64) float x[2][ROWS * BLOCK], c[2][ROWS * TILE];
    static const struct cpu_kernels *const pair[2] = {&cpu_ref_kernels, &cpu_avx512bf16_kernels};
    unsigned saved = pool_numeric_env_enter();
    bool same = true;
    uint64_t state = 1;
    for (size_t round = 0; round < ROUNDS && same; round++) {
        for (size_t i = 0; i < ROWS * BLOCK; i++)
            x16[i] = random_operand(&state);
        for (size_t i = 0; i < BLOCK * TILE; i++) {
            uint16_t v = random_operand(&state);
            for (size_t k = 0; k < 2; k++) {
                size_t place = tile_place(pair[k]->order, i / TILE);
                w[k][(place / 2 * TILE + i % TILE) * 2 + place % 2] = v;
            }
        }
        memset(c, 0, sizeof c);
        for (size_t k = 0; k < 2; k++) {
            pair[k]->stage(x16, ROWS * BLOCK, x[k]);
            const struct dot d = {.format = TILE_BF16, .w = (const uint8_t *)w[k], .n_tiles = 1, .n = BLOCK, .x = x[k],
                                  .ldx = BLOCK, .m = ROWS, .c = c[k], .ldc = TILE};
            pair[k]->dot(&d);
        }
        same = memcmp(c[0], c[1], sizeof c[0]) == 0;
    }
    pool_numeric_env_leave(saved);
    return same;
}

const char *const *cpu_isa_list(void)
{
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return names_1;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
        return names_2;
    if (!__builtin_cpu_supports("avx512bf16") || !vdpbf16_exact())
        return names_3;
    return __builtin_cpu_is("intel") ? names_4_intel : names_4;
}

static const char *best_of(const char *const *list)
{
    while (list[1])
        list++;
    return *list;
}

enum status cpu_kernels_select(const struct cpu_kernels **out, const char *isa, struct err *err)
{
    const char *const *list = cpu_isa_list();
    const char *wanted = strcmp(isa, "auto") == 0 ? best_of(list) : isa;
    for (size_t i = 0; i < N_ISA; i++) {
        if (strcmp(wanted, tables[i]->isa) != 0)
            continue;
        for (const char *const *have = list; *have; have++) {
            if (strcmp(wanted, *have) == 0) {
                *out = tables[i];
                return OK;
            }
        }
        return err_set(err, ERR_DEVICE, "this CPU cannot run isa '%s': the best it has is '%s'", isa, best_of(list));
    }
    char names[128];
    size_t n = 0;
    for (const char *const *have = list; *have; have++)
        n += (size_t)snprintf(names + n, sizeof names - n, ", '%s'", *have);
    return err_set(err, ERR_USAGE, "isa: expected 'auto'%s, found '%s'", names, isa);
}
