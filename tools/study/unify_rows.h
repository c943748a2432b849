#ifndef ASSAY_STUDY_UNIFY_ROWS_H
#define ASSAY_STUDY_UNIFY_ROWS_H

#include <stddef.h>

#include "lib/table.h"

/* How a row of each stage's file becomes rows of the unified table (measurement.md 15). */

struct unifier {
    struct table *out;
    struct table *const *facts; /* measured tables: what an exact file does not say about its model */
    size_t n_facts;
};

struct unify_stage {
    const char *schema;
    /* Add the rows that one row of the stage's file stands for; mistakes stay with u->out (table.h). */
    void (*rows)(struct unifier *u, const struct table *in, size_t row);
};

/* latency, throughput, memory, energy, ablation (these know their model), accuracy_cost, accuracy, safety. */
enum { UNIFY_N_STAGES = 8 };
const struct unify_stage *unify_stage(size_t i);

#endif
