#ifndef ASSAY_LIB_INTERRUPT_H
#define ASSAY_LIB_INTERRUPT_H

#include <stdbool.h>

/* SIGINT and SIGTERM. A signal handler can only reach static state, so this file holds the only
 * mutable statics of the library: the names of temporaries to remove, and one flag. */

void interrupt_install(void);          /* handlers that remove temporaries and then die of the signal */
void interrupt_catch(bool on);         /* on: the first signal only raises the flag */
bool interrupt_raised(void);
int interrupt_signal(void);            /* the signal that raised it, or 0 */

/* interrupt_track - remember a temporary; returns a slot, or -1 when all are taken or the name is too
 * long (then it is merely not removed by a signal). interrupt_untrack takes -1. */
int interrupt_track(const char *path);
void interrupt_untrack(int slot);

#endif
