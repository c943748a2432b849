#include "cpu/avx512_dot.h"

#include "cpu/avx2.h"

/* AVX-512 without BF16: products by fused multiply-add. Row kernels are avx2.c's. */

const struct cpu_kernels cpu_avx512_kernels = {
    .isa = "avx512",
#ifdef ASSAY_WRONG_SEGMENT_ORDER
    .wrong_segments = true,
#endif
    .order = ORDER_PAIRS,
    .pack = avx2_pack,
    .staged_b = sizeof(float),
    .stage = avx2_stage,
    .dot = dot,
    .operands = avx2_operands,
    .sum_squares = avx2_sum_squares,
    .norm_scale = avx2_norm_scale,
    .rope = avx2_rope,
    .glu = avx2_glu,
    .softmax = avx2_softmax,
    .merge = avx2_merge,
    .combine = avx2_combine,
};
