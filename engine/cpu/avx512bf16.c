#include "cpu/avx512_dot.h"

#include "cpu/avx2.h"

/* AVX-512 with VDPBF16PS, which does two steps of a canonical chain: acc = fma(high halves, acc), then
 * acc = fma(low halves, acc), rounding to nearest even, subnormals flushed. With inputs k (high) and k + 2
 * (low) in a word that is the order of the even chain, or of the odd one. Row kernels are avx2.c's. */

static void stage(const uint16_t *x, size_t n, void *out)
{
    uint16_t *y = out;
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m512i v = _mm512_loadu_si512(x + i);
        v = _mm512_shufflehi_epi16(_mm512_shufflelo_epi16(v, 0x72), 0x72); // tile_input
        _mm512_storeu_si512(y + i, v);
    }
    for (; i < n; i++)
        y[i] = x[tile_input(ORDER_CHAINS, i)];
}

const struct cpu_kernels cpu_avx512bf16_kernels = {
    .isa = "avx512bf16",
#ifdef ASSAY_WRONG_SEGMENT_ORDER
    .wrong_segments = true,
#endif
    .order = ORDER_CHAINS,
    .pack = avx2_pack,
    .staged_b = sizeof(uint16_t),
    .stage = stage,
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
