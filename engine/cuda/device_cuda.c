#include "cuda/device.h"

#ifndef ASSAY_CUDA

enum status cuda_device_new(struct device **out, struct err *err)
{
    (void)out;
    return err_set(err, ERR_DEVICE, "backend 'cuda': this build has no CUDA (make CUDA=1 needs nvcc)");
}

#else

#include <cuda_runtime_api.h>
#include <stdio.h>

#include "base/mem.h"

/* The first CUDA device: one stream, errors as sentences that name the call. */

struct cuda {
    struct device base; // first
    cudaStream_t stream;
    cudaEvent_t events[DEVICE_EVENTS];
    const void *entries[N_CUDA_KERNELS];
    char arch[16];
};

// each kernel file exports the address that a launch takes
#define X(name, n) const void *cuda_entry_##name(void);
CUDA_KERNELS(X)
#undef X

static struct cuda *cuda_of(struct device *d)
{
    return (struct cuda *)d;
}

static enum status check(cudaError_t e, const char *call, struct err *err)
{
    if (e == cudaSuccess)
        return OK;
    (void)cudaGetLastError(); // it is reported: the next call starts clean
    return err_set(err, e == cudaErrorMemoryAllocation ? ERR_MEMORY : ERR_DEVICE, "%s: %s (%s)", call,
                   cudaGetErrorString(e), cudaGetErrorName(e));
}

static const char *arch(const struct device *d)
{
    return ((const struct cuda *)d)->arch;
}

static enum status memory(struct device *d, uint64_t *free_b, uint64_t *total_b, struct err *err)
{
    size_t f = 0;
    size_t t = 0;
    (void)d;
    enum status s = check(cudaMemGetInfo(&f, &t), "cudaMemGetInfo", err);
    *free_b = f;
    *total_b = t;
    return s;
}

static enum status dev_alloc(struct device *d, void **dev, size_t n, struct err *err)
{
    (void)d;
    return check(cudaMalloc(dev, n), "cudaMalloc", err);
}

static void dev_release(struct device *d, void *dev)
{
    (void)d;
    (void)cudaFree(dev);
}

static enum status pin(struct device *d, void **host, size_t n, struct err *err)
{
    (void)d;
    return check(cudaHostAlloc(host, n, cudaHostAllocDefault), "cudaHostAlloc", err);
}

static void unpin(struct device *d, void *host)
{
    (void)d;
    (void)cudaFreeHost(host);
}

static enum status copy_in(struct device *d, void *dev, const void *host, size_t n, struct err *err)
{
    return check(cudaMemcpyAsync(dev, host, n, cudaMemcpyHostToDevice, cuda_of(d)->stream), "cudaMemcpyAsync", err);
}

static enum status copy_out(struct device *d, void *host, const void *dev, size_t n, struct err *err)
{
    return check(cudaMemcpyAsync(host, dev, n, cudaMemcpyDeviceToHost, cuda_of(d)->stream), "cudaMemcpyAsync", err);
}

static enum status move(struct device *d, void *to, const void *from, size_t n, struct err *err)
{
    return check(cudaMemcpyAsync(to, from, n, cudaMemcpyDeviceToDevice, cuda_of(d)->stream), "cudaMemcpyAsync", err);
}

static enum status fill(struct device *d, void *dev, uint8_t byte, size_t n, struct err *err)
{
    return check(cudaMemsetAsync(dev, byte, n, cuda_of(d)->stream), "cudaMemsetAsync", err);
}

static enum status launch(struct device *d, enum cuda_kernel k, size_t grid_x, size_t grid_y, const void *args,
                          size_t args_b, struct err *err)
{
    (void)args_b; // the driver knows the size of each kernel's one parameter
    union {
        const void *in;
        void *out;
    } p = {.in = args}; // cudaLaunchKernel reads what its table points to
    void *table[] = {p.out};
    struct dim3 grid = {(unsigned)grid_x, (unsigned)grid_y, 1};
    struct dim3 block = {cuda_kernel_threads(k), 1, 1};
    return check(cudaLaunchKernel(cuda_of(d)->entries[k], grid, block, table, 0, cuda_of(d)->stream),
                 cuda_kernel_name(k), err);
}

static enum status record(struct device *d, size_t event, struct err *err)
{
    return check(cudaEventRecord(cuda_of(d)->events[event], cuda_of(d)->stream), "cudaEventRecord", err);
}

static enum status wait(struct device *d, size_t event, struct err *err)
{
    return check(cudaEventSynchronize(cuda_of(d)->events[event]), "cudaEventSynchronize", err);
}

static enum status stream_sync(struct device *d, struct err *err)
{
    return check(cudaStreamSynchronize(cuda_of(d)->stream), "cudaStreamSynchronize", err);
}

static void cuda_free(struct device *d)
{
    struct cuda *c = cuda_of(d);
    for (size_t i = 0; i < DEVICE_EVENTS; i++)
        if (c->events[i])
            (void)cudaEventDestroy(c->events[i]);
    if (c->stream)
        (void)cudaStreamDestroy(c->stream);
    mem_free(c);
}

static const struct device_ops cuda_ops = {
    .name = "cuda",
    .free = cuda_free,
    .arch = arch,
    .memory = memory,
    .alloc = dev_alloc,
    .release = dev_release,
    .pin = pin,
    .unpin = unpin,
    .copy_in = copy_in,
    .copy_out = copy_out,
    .move = move,
    .fill = fill,
    .launch = launch,
    .record = record,
    .wait = wait,
    .sync = stream_sync,
};

enum status cuda_device_new(struct device **out, struct err *err)
{
    int n = 0;
    int major = 0;
    int minor = 0;
    void *p;
    enum status s;
    cudaError_t e = cudaGetDeviceCount(&n);
    if (e != cudaSuccess || n == 0)
        return err_set(err, ERR_DEVICE, "backend 'cuda': expected a CUDA device, found none (%s)",
                       e == cudaSuccess ? "no device" : cudaGetErrorString(e));
    if ((s = mem_alloc(&p, 1, sizeof(struct cuda), "cuda device", err)))
        return s;
    struct cuda *c = p;
    c->base.ops = &cuda_ops;
    const void *const entries[N_CUDA_KERNELS] = {
#define X(name, t) [KERNEL_##name] = cuda_entry_##name(),
        CUDA_KERNELS(X)
#undef X
    };
    for (size_t i = 0; i < N_CUDA_KERNELS; i++)
        c->entries[i] = entries[i];
    s = check(cudaSetDevice(0), "cudaSetDevice", err);
    if (!s)
        s = check(cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags", err);
    for (size_t i = 0; i < DEVICE_EVENTS && !s; i++)
        s = check(cudaEventCreateWithFlags(&c->events[i], cudaEventDisableTiming), "cudaEventCreateWithFlags", err);
    if (!s)
        s = check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), "cudaDeviceGetAttribute", err);
    if (!s)
        s = check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0), "cudaDeviceGetAttribute", err);
    if (s) {
        cuda_free(&c->base);
        return s;
    }
    (void)snprintf(c->arch, sizeof c->arch, "sm_%d%d", major, minor);
    *out = &c->base;
    return OK;
}

#endif
