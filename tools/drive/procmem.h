#ifndef ASSAY_DRIVE_PROCMEM_H
#define ASSAY_DRIVE_PROCMEM_H

#include <stdbool.h>
#include <stdint.h>

/* This process's memory as Linux counts it, in bytes; a value it does not give is -1. */
struct procmem {
    int64_t rss_b;      /* VmRSS */
    int64_t peak_rss_b; /* VmHWM, since start or the last procmem_reset_peak */
    int64_t swap_b;     /* VmSwap */
    int64_t pss_b;      /* smaps_rollup */
};

/* procmem_read - proc is the directory "/proc/self" or a stand-in for tests. */
void procmem_read(const char *proc, struct procmem *out);

/* procmem_reset_peak - VmHWM := VmRSS; false where the kernel does not allow it. */
bool procmem_reset_peak(const char *proc);

#endif
