#include <string.h>

#include "cpu/kernels.h"

/* Which instruction set runs. __builtin_cpu_supports asks CPUID and XGETBV, so a set that the operating
 * system does not save is absent. AMX-BF16 has no kernels yet: numerics.md's order is its own, so it
 * can be added here without changing a bit. */

enum { N_ISA = 1 };

static const struct cpu_kernels *const tables[N_ISA] = {&cpu_ref_kernels};
static const char *const names_1[] = {"scalar", NULL};

const char *const *cpu_isa_list(void)
{
    return names_1;
}

enum status cpu_kernels_select(const struct cpu_kernels **out, const char *isa, struct err *err)
{
    size_t n = N_ISA;
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
