#ifndef ASSAY_BASE_MEM_H
#define ASSAY_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Checked size arithmetic, heap with a status, and the arena. */

/* size_mul, size_add - *out = a op b. Return false on overflow and leave *out alone. */
bool size_mul(size_t a, size_t b, size_t *out);
bool size_add(size_t a, size_t b, size_t *out);

/* mem_alloc - n * size zeroed bytes, 64-byte aligned. Returns OK, or ERR_MEMORY naming what.
 * n * size == 0 gives a valid pointer. Caller frees with mem_free. */
enum status mem_alloc(void **out, size_t n, size_t size, const char *what, struct err *err);
void mem_free(void *p);

/* mem_map - n_b zeroed bytes in whole pages of their own, taken from the system as they are first touched, in
 * large pages where it has them: for what is large and filled by many threads. Returns OK or ERR_MEMORY. The
 * caller gives them back with mem_unmap and the same n_b. */
enum status mem_map(void **out, size_t n_b, const char *what, struct err *err);
void mem_unmap(void *p, size_t n_b);

/* mem_available_b - bytes that could be taken now without swapping, as the file meminfo ("/proc/meminfo", or
 * a stand-in for tests) has them under MemAvailable; UINT64_MAX where it says nothing. */
uint64_t mem_available_b(const char *meminfo);

/* mem_fail_after - test hook: make the n-th allocation from now (1 = the next) fail once; 0 turns it
 * off. Thread-local, so tests in one thread do not disturb pools. */
void mem_fail_after(size_t n);

/* Arena: things that die together. Blocks are zeroed. Not thread-safe. */
struct arena;
enum status arena_new(struct arena **out, size_t block_b, struct err *err);
void arena_free(struct arena *a); /* NULL is fine */

/* arena_alloc - n * size zeroed bytes, 64-byte aligned when size >= 64, else 16. Lives until
 * arena_free. Returns OK or ERR_MEMORY. */
enum status arena_alloc(struct arena *a, void **out, size_t n, size_t size, struct err *err);

/* arena_strndup - NUL-terminated copy of s[0..n). */
enum status arena_strndup(struct arena *a, char **out, const char *s, size_t n, struct err *err);

#endif
