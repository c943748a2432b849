#ifndef ASSAY_CUDA_DEVICE_H
#define ASSAY_CUDA_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "cuda/kernels.h"

/* What the backend asks of a device: memory, copies, launches, in one stream. Two kinds: the CUDA runtime,
 * and the host with the same kernels (simt.h), for tests and machines without a GPU.
 *
 * Everything between two syncs is queued in order. Host memory of a copy must be pinned, and neither
 * changed nor read until a sync or an event behind the copy has been waited for. Errors of queued work show
 * at the next sync. */

struct backend;
struct device;

enum { DEVICE_EVENTS = 4 };

struct device_ops {
    const char *name; /* "cuda", "cuda-sim" */
    void (*free)(struct device *d);
    const char *(*arch)(const struct device *d); /* "sm_90" */
    enum status (*memory)(struct device *d, uint64_t *free_b, uint64_t *total_b, struct err *err);
    /* alloc - device memory, 256-byte aligned, undefined. ERR_MEMORY. */
    enum status (*alloc)(struct device *d, void **dev, size_t n, struct err *err);
    void (*release)(struct device *d, void *dev);
    enum status (*pin)(struct device *d, void **host, size_t n, struct err *err); /* pinned host memory */
    void (*unpin)(struct device *d, void *host);
    enum status (*copy_in)(struct device *d, void *dev, const void *host, size_t n, struct err *err);
    enum status (*copy_out)(struct device *d, void *host, const void *dev, size_t n, struct err *err);
    enum status (*move)(struct device *d, void *to, const void *from, size_t n, struct err *err); /* within it */
    enum status (*fill)(struct device *d, void *dev, uint8_t byte, size_t n, struct err *err);
    enum status (*launch)(struct device *d, enum cuda_kernel k, size_t grid_x, size_t grid_y, const void *args,
                          size_t args_b, struct err *err);
    enum status (*record)(struct device *d, size_t event, struct err *err); /* event: all queued so far */
    enum status (*wait)(struct device *d, size_t event, struct err *err);   /* none recorded: at once */
    enum status (*sync)(struct device *d, struct err *err);
};

struct device {
    const struct device_ops *ops;
};

/* cuda_kernel_threads, cuda_kernel_name - of each kernel; static. */
uint32_t cuda_kernel_threads(enum cuda_kernel k);
const char *cuda_kernel_name(enum cuda_kernel k);

/* cuda_device_new - the first CUDA device. ERR_DEVICE when this build has no CUDA or the machine no device. */
enum status cuda_device_new(struct device **out, struct err *err);

/* How the host runs blocks and threads: the least first, the greatest first, or shuffled by seed. */
enum sim_order { SIM_UP, SIM_DOWN, SIM_SHUFFLED };

struct sim_options {
    enum sim_order order;
    uint64_t seed;
    uint64_t memory_b; /* what the device pretends to have; 0 = 8 GiB */
    bool check_lanes;  /* LANES that write shared memory fail the launch */
};

/* sim_device_new - the host as a device. Work is done at sync, wait and when the queue is long, so that a buffer
 * used again too early shows; device memory cannot be touched in between (it is mapped without access). */
enum status sim_device_new(struct device **out, const struct sim_options *opt, struct err *err);

/* cuda_backend_on - the backend on a device, which it owns from now on, whatever is returned. memory_b: size
 * of the arena, 0 = what is free. ERR_MEMORY, with the numbers, when the device has less. */
enum status cuda_backend_on(struct backend **out, struct device *d, size_t n_threads, uint64_t memory_b,
                            struct err *err);

#endif
