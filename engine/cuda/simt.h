#ifndef ASSAY_CUDA_SIMT_H
#define ASSAY_CUDA_SIMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/fmath_formula.h"

/* The language kernels are written in: the common part of C17 and CUDA C++ over the words below. nvcc
 * builds a kernel for the device; the C compiler builds the same lines for the host, where a block runs
 * as plain loops over its threads ("the shim"), under the same warnings and sanitizers as everything else.
 *
 *   SIMT_KERNEL(name) { ... }  args struct `name_args` arrives as `a`, by value
 *   PHASE(t) { ... }           every thread t of the block runs the body once, then a block barrier
 *   LANES(t) { ... }           the same with a warp barrier: may read shared memory, must not write it
 *   REG(type, v)               a variable of each thread that lives across phases; R(v, t) is thread t's
 *   REGS(type, v, n)           n of them; R(v, t)[i]
 *   SHUFFLE_DOWN(to, from, d)  between phases: to of lane i = from of lane i + d of its warp (own, past the end)
 *   SIMT_SHARED(type, s)       `type *s` in the block's shared memory, undefined at first
 *   BLOCK_X/Y/Z, THREADS       which block, and threads in it
 *
 * What stands outside phases is the same for the whole block: loops around phases, early returns. So a barrier
 * can be neither forgotten nor met by half a block, and the host needs no fibers; what is lost is a barrier
 * inside a thread's own control flow, which no kernel here wants. `continue` ends a thread's part of a phase.
 *
 * What the host checks for: it runs the threads of each phase, and the blocks of a launch, in an order of the
 * caller's choice (up, down, or shuffled by seed), so a race shows as bits that depend on the order; it
 * fills shared memory with NaN before each block; it refuses LANES that write shared memory (when asked to).
 * What it cannot see: races between warps in neighbouring LANES, alignment, the cost of anything. */

struct quad { // 16 bytes, one load
    uint32_t w[4];
};

enum { SIMT_WARP = 32, SIMT_MAX_THREADS = 256, SIMT_SHARED_B = 48 * 1024 };

#ifdef __CUDACC__

#define SIMT_FN static __device__ __forceinline__
#define SIMT_SELF // parameter and argument of a function that has phases
#define SIMT_PASS
#define SIMT_KERNEL(name)                                                                            \
    extern "C" __global__ void __launch_bounds__(SIMT_MAX_THREADS) kernel_##name(const struct name##_args a); \
    extern "C" const void *cuda_entry_##name(void);                                                  \
    extern "C" const void *cuda_entry_##name(void)                                                   \
    {                                                                                                \
        return (const void *)kernel_##name;                                                            \
    }                                                                                                \
    extern "C" __global__ void __launch_bounds__(SIMT_MAX_THREADS) kernel_##name(const struct name##_args a)
#define BLOCK_X blockIdx.x
#define BLOCK_Y blockIdx.y
#define BLOCK_Z blockIdx.z
#define THREADS blockDim.x
#define PHASE(t) for (uint32_t t = threadIdx.x, once_##t = 1; once_##t & (t | 1u); once_##t = 0, __syncthreads())
#define LANES(t) for (uint32_t t = threadIdx.x, once_##t = 1; once_##t & (t | 1u); once_##t = 0, __syncwarp())
#define REG(type, v) type v
#define REGS(type, v, n) type v[n]
#define R(v, t) v
#define SHUFFLE_DOWN(to, from, delta) to = __shfl_down_sync(0xffffffffu, from, delta)
#define SIMT_SHARED(type, s)   \
    __shared__ type shared_##s; \
    type *const s = &shared_##s
#define UNROLL _Pragma("unroll")

SIMT_FN struct quad load_quad(const void *p) // p 16-byte aligned
{
    const uint4 v = *(const uint4 *)p;
    struct quad q = {{v.x, v.y, v.z, v.w}};
    return q;
}

SIMT_FN struct quad stream_quad(const void *p) // read once: past the first cache
{
    const uint4 v = __ldcs((const uint4 *)p);
    struct quad q = {{v.x, v.y, v.z, v.w}};
    return q;
}

SIMT_FN uint32_t load_half(const void *p) // p even
{
    return *(const uint16_t *)p;
}

SIMT_FN void store_quad(void *p, struct quad q)
{
    *(uint4 *)p = make_uint4(q.w[0], q.w[1], q.w[2], q.w[3]);
}

/* mark - the first non-zero word stays. */
SIMT_FN void simt_mark(uint32_t *p, uint32_t v)
{
    atomicCAS(p, 0u, v);
}

SIMT_FN void simt_min(uint32_t *p, uint32_t v)
{
    atomicMin(p, v);
}

SIMT_FN void simt_count(uint64_t *p, uint64_t v) // integers: any order gives the same sum
{
    atomicAdd((unsigned long long *)p, (unsigned long long)v);
}

#else

/* A block being run on the host. */
struct simt {
    uint32_t block[3];
    uint32_t n_threads;
    const uint32_t *order; // (n_threads) in which threads run
    uint8_t *shared;
    size_t shared_b;     // taken by the kernel
    bool check;          // LANES must not write shared memory
    bool wrote;          // they did
    uint64_t before;     // digest of shared memory at the begin of LANES
};

#define SIMT_FN static inline
#define SIMT_SELF struct simt *simt,
#define SIMT_PASS simt,
#define SIMT_KERNEL(name)                                                  \
    static void host_##name(struct simt *simt, const struct name##_args a); \
    void sim_##name(struct simt *simt, const void *args)                   \
    {                                                                      \
        struct name##_args a;                                              \
        memcpy(&a, args, sizeof a);                                        \
        host_##name(simt, a);                                              \
    }                                                                      \
    static void host_##name(struct simt *simt, const struct name##_args a)
#define BLOCK_X (simt->block[0])
#define BLOCK_Y (simt->block[1])
#define BLOCK_Z (simt->block[2])
#define THREADS (simt->n_threads)
#define PHASE(t) for (uint32_t t = 0, turn_##t = 0; simt_turn(simt, &turn_##t, &t);)
#define LANES(t) for (uint32_t t = 0, turn_##t = (simt_lanes(simt), 0); simt_turn(simt, &turn_##t, &t) || simt_same(simt);)
#define REG(type, v) type v[SIMT_MAX_THREADS] = {0}
#define REGS(type, v, n) type v[SIMT_MAX_THREADS][n] = {0}
#define R(v, t) v[t]
#define SHUFFLE_DOWN(to, from, delta) simt_shuffle_down(simt, to, from, delta)
#define SIMT_SHARED(type, s)                                                  \
    _Static_assert(sizeof(type) <= SIMT_SHARED_B, "48 KiB, CUDA's static limit"); \
    type *const s = (type *)simt_shared(simt, sizeof(type))
#define UNROLL

static inline bool simt_turn(const struct simt *simt, uint32_t *turn, uint32_t *t)
{
    if (*turn == simt->n_threads)
        return false;
    *t = simt->order[(*turn)++];
    return true;
}

void simt_lanes(struct simt *simt);           /* LANES begin */
bool simt_same(struct simt *simt);            /* LANES end: false; notes when shared memory changed */
void *simt_shared(struct simt *simt, size_t n); /* the block's shared memory, full of NaN */
void simt_shuffle_down(const struct simt *simt, float *to, const float *from, uint32_t delta);

SIMT_FN struct quad load_quad(const void *p)
{
    struct quad q;
    memcpy(&q, p, sizeof q);
    return q;
}

SIMT_FN struct quad stream_quad(const void *p)
{
    return load_quad(p);
}

SIMT_FN uint32_t load_half(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

SIMT_FN void store_quad(void *p, struct quad q)
{
    memcpy(p, &q, sizeof q);
}

SIMT_FN void simt_mark(uint32_t *p, uint32_t v)
{
    *p = *p ? *p : v;
}

SIMT_FN void simt_min(uint32_t *p, uint32_t v)
{
    *p = v < *p ? v : *p;
}

SIMT_FN void simt_count(uint64_t *p, uint64_t v)
{
    *p += v;
}

#endif

/* Bits that more than one kernel needs. */
SIMT_FN bool simt_finite(float x)
{
    return x - x == 0.0f;
}

SIMT_FN float low_half(uint32_t pair) // bf16 of the even input
{
    return fmf_from_image(pair << 16);
}

SIMT_FN float high_half(uint32_t pair)
{
    return fmf_from_image(pair & 0xffff0000u);
}

/* simt_operand - operand(x); false and 0 when it is out of range (engine/cpu/ref.c, choices 1 and 2). */
SIMT_FN bool simt_operand(float x, uint16_t *out)
{
    uint16_t b = fmf_operand(x);
    bool good = (b & 0x7fffu) < BF16_OPERAND_END;
    *out = good ? b : (uint16_t)0;
    return good;
}

#endif
