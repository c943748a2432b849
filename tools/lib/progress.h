#ifndef ASSAY_LIB_PROGRESS_H
#define ASSAY_LIB_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* One line per stage on stderr. Live (rewritten in place) only when stderr is a terminal, this process
 * is in its foreground and NO_COLOR is unset; else one line when a stage ends. Nothing when quiet. */
struct progress;

enum status progress_new(struct progress **out, const char *program, bool quiet, struct err *err);
void progress_free(struct progress *p); /* an open stage ends without a line; NULL is fine */

/* progress_stage - begin a stage of `total` steps (0 = unknown), ending the one before.
 * progress_step - `done` steps are done; at most ten redraws a second. detail may be NULL ("p50 12 ms").
 * progress_end - print the stage's last line, with its wall time. progress_drop - end it without one. A stage that fails is left open: the
 * error is the one line then. All take NULL for p. */
void progress_stage(struct progress *p, const char *name, size_t total);
void progress_step(struct progress *p, size_t done, const char *detail);
void progress_end(struct progress *p, const char *detail);
void progress_drop(struct progress *p);

bool progress_live(const struct progress *p); /* steps are drawn as they come */

/* progress_break - finish a live line, so that another message starts on a line of its own. */
void progress_break(struct progress *p);

#endif
