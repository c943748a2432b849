#include "cuda/device.h"

/* What both kinds of device share: the list of kernels. */

uint32_t cuda_kernel_threads(enum cuda_kernel k)
{
    static const uint32_t threads[N_CUDA_KERNELS] = {
#define X(name, n) [KERNEL_##name] = n,
        CUDA_KERNELS(X)
#undef X
    };
    return threads[k];
}

const char *cuda_kernel_name(enum cuda_kernel k)
{
    static const char *const names[N_CUDA_KERNELS] = {
#define X(name, n) [KERNEL_##name] = #name,
        CUDA_KERNELS(X)
#undef X
    };
    return names[k];
}
