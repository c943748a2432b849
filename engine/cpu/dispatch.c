#include <string.h>

#include "cpu/kernels.h"

/* Which instruction set runs. __builtin_cpu_supports asks CPUID and XGETBV, so a set that the operating
 * system does not save is absent. AMX-BF16 has no kernels yet: numerics.md's order is its own, so it
 * can be added here without changing a bit. */

enum { N_ISA = 3 };

static const struct cpu_kernels *const tables[N_ISA] = {&cpu_ref_kernels, &cpu_avx2_kernels, &cpu_avx512_kernels};
static const char *const names_1[] = {"scalar", NULL};
static const char *const names_2[] = {"scalar", "avx2", NULL};
static const char *const names_3[] = {"scalar", "avx2", "avx512", NULL};

// sets are nested: a machine with AVX-512 has AVX2
static size_t n_present(void)
{
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return 1;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
        return 2;
    return 3;
}

const char *const *cpu_isa_list(void)
{
    size_t n = n_present();
    return n == 1 ? names_1 : n == 2 ? names_2 : names_3;
}

enum status cpu_kernels_select(const struct cpu_kernels **out, const char *isa, struct err *err)
{
    size_t n = n_present();
    if (strcmp(isa, "auto") == 0) {
        *out = tables[n - 1];
        return OK;
    }
    for (size_t i = 0; i < N_ISA; i++) {
        if (strcmp(isa, tables[i]->isa) != 0)
            continue;
        if (i >= n)
            return err_set(err, ERR_DEVICE, "this CPU cannot run isa '%s': the best it has is '%s'", isa,
                           tables[n - 1]->isa);
        *out = tables[i];
        return OK;
    }
    return err_set(err, ERR_USAGE, "isa: expected 'auto', 'scalar', 'avx2' or 'avx512', found '%s'", isa);
}
