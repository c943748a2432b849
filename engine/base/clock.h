#ifndef ASSAY_BASE_CLOCK_H
#define ASSAY_BASE_CLOCK_H

#include <stdint.h>

/* clock_ns - CLOCK_MONOTONIC in ns: the one clock of every duration. */
uint64_t clock_ns(void);

#endif
