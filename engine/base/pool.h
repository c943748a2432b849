#ifndef ASSAY_BASE_POOL_H
#define ASSAY_BASE_POOL_H

#include <stddef.h>

#include "base/err.h"

/* A fixed set of threads that runs one function at a time on all of them. The caller is worker 0.
 * On every worker MXCSR is set as numerics.md asks (RNE, FTZ, DAZ) for the time of the call, and the
 * caller's is restored. One pool is used by one thread at a time. */
struct pool;

enum { POOL_MAX_THREADS = 1024 };

/* pool_new - n_threads in 1..POOL_MAX_THREADS, the caller included. ERR_RANGE, ERR_MEMORY, or
 * ERR_DEVICE when a thread cannot be started. */
enum status pool_new(struct pool **out, size_t n_threads, struct err *err);
void pool_free(struct pool *p); /* joins; NULL is fine */
size_t pool_size(const struct pool *p);

/* pool_run - call fn(arg, worker, n_workers) once on each worker and return when all are done.
 * Everything written before is seen by the workers; everything they wrote is seen after. */
void pool_run(struct pool *p, void (*fn)(void *arg, size_t worker, size_t n_workers), void *arg);

/* pool_numeric_env_enter, _leave - set MXCSR for canonical arithmetic and give back the old value;
 * for single-threaded callers of operators. */
unsigned pool_numeric_env_enter(void);
void pool_numeric_env_leave(unsigned saved);

#endif
