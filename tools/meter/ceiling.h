#ifndef ASSAY_METER_CEILING_H
#define ASSAY_METER_CEILING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* What this machine can do at most, by small loops of our own: bytes read from memory in a second, and
 * arithmetic of the kinds that the engine and its peers use. A speed is judged against the ceiling
 * measured in the same run, never against a data sheet (measurement.md 17, figure 12). */

enum ceiling_kind {
    CEILING_READ,     /* bytes read from memory, nothing kept */
    CEILING_FMA_FP32, /* fused multiply-adds, 2 operations each: the canonical product without AMX */
    CEILING_DOT_BF16, /* VDPBF16PS, 4 operations a 32-bit lane: the canonical product, two links of a chain at a time */
    CEILING_AMX_BF16, /* TDPBF16PS: the canonical product with AMX */
};
const char *ceiling_kind_name(enum ceiling_kind k); /* "read" "fma_fp32" "dot_bf16" "amx_bf16" */
const char *ceiling_kind_unit(enum ceiling_kind k); /* "GB/s" "GFLOP/s": 1e9 of work in a second */

/* One probe. Every kind is listed on every machine, so that what is absent has its row. */
struct ceiling {
    enum ceiling_kind kind;
    const char *isa;     /* what the loop is compiled for: "generic" "avx2" "avx512" "avx512bf16" "amx" */
    size_t n_threads;
    size_t n_streams;    /* READ: separate ranges that a thread reads in turn; else 0 */
    const char *missing; /* why it cannot run here; NULL when it can */
};

struct ceilings; /* the threads, the memory they read, the list */

/* ceilings_new - probes for one thread and for n_threads. read_b is the memory to read: several
 * times the last-level cache, or the cache is what is measured. It is touched here by the threads that
 * will read it. ERR_RANGE, ERR_MEMORY, ERR_DEVICE. The caller frees. */
enum status ceilings_new(struct ceilings **out, size_t n_threads, size_t read_b, struct err *err);
void ceilings_free(struct ceilings *c); /* NULL is fine */

size_t ceilings_count(const struct ceilings *c);
const struct ceiling *ceilings_at(const struct ceilings *c, size_t i); /* borrowed until ceilings_free */

/* ceilings_run - run probe i (not a missing one) once, for about min_ns: *work bytes or operations in
 * *ns, from the first thread's begin to the last one's end. */
void ceilings_run(struct ceilings *c, size_t i, uint64_t min_ns, uint64_t *work, uint64_t *ns);

#endif
