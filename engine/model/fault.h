#ifndef ASSAY_MODEL_FAULT_H
#define ASSAY_MODEL_FAULT_H

/* Deliberate mistakes for the parity test, which must notice each of them (models.md 8). Only a build
 * with -DASSAY_FAULTS defines and calls this. */

#include "base/err.h"
#include "format/config.h"

/* fault_apply - edit the parsed config as ASSAY_FAULT says: no_sinks, window_ignored,
 * window_off_by_one, window_doubled, no_up_plus_one, no_clamp, yarn_truncate. Unset: nothing.
 * ERR_USAGE for another word. */
enum status fault_apply(struct model_config *c, struct err *err);

#endif
