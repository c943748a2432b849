#ifndef ASSAY_METER_CEILING_LOOPS_H
#define ASSAY_METER_CEILING_LOOPS_H

#include <stddef.h>
#include <stdint.h>

#include "meter/ceiling.h"

/* The inner loops, one set for each kind of machine (private to tools/meter). */

enum { CEILING_MAX_STREAMS = 4, CEILING_STEP_B = 256 }; /* a stream is read in steps of 4 cache lines */

/* One way of running a kind. */
struct ceiling_loop {
    enum ceiling_kind kind;
    const char *isa;
    const char *(*missing)(void); /* why this processor cannot run it, or NULL */
    /* READ: read n_b bytes (a multiple of n_streams * CEILING_STEP_B) as n_streams equal ranges in turn.
     * Returns something that depends on every byte. */
    uint64_t (*read)(const uint8_t *p, size_t n_b, size_t n_streams);
    /* The others: run `rounds` rounds of round_flop operations. Returns something that depends on them. */
    uint64_t (*compute)(uint64_t rounds);
    uint64_t round_flop;
};

/* ceiling_loops - all loops of this architecture, *n of them; of READ the best that runs stands first. */
const struct ceiling_loop *ceiling_loops(size_t *n);

#endif
