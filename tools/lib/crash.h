#ifndef ASSAY_LIB_CRASH_H
#define ASSAY_LIB_CRASH_H

#include <stdbool.h>
#include <stddef.h>

/* Deliberate deaths for the kill tests: a result file or a journal must survive SIGKILL at any byte and
 * on either side of a rename. Only a build with -DASSAY_FAULTS defines and calls these.
 *
 * The environment says where, once a process:
 *   ASSAY_KILL_AT=N          after N bytes in all have been written to outfiles and journals
 *   ASSAY_KILL_AT=rename:K   just before the K-th rename of an outfile (K from 1)
 *   ASSAY_KILL_AT=renamed:K  just after it
 * Unset: nothing. Any other text aborts, since a test that kills nobody proves nothing. */

/* crash_write - about to write n bytes: true when the process must die after the first *n of them. */
bool crash_write(size_t *n);

/* crash_now - SIGKILL to the own process; does not return. */
_Noreturn void crash_now(void);

/* crash_rename - call before (after = 0) and after (after = 1) each rename; may not return. */
void crash_rename(int after);

#endif
