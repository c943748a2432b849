#ifndef ASSAY_LIB_ROFF_H
#define ASSAY_LIB_ROFF_H

#include "base/buf.h"

/* roff_text - text that man(7) shows as it stands: backslashes, hyphens and a leading request
 * character are escaped. Failure shows in buf_status. Source: groff(7), groff_char(7). */
void roff_text(struct buf *out, const char *text);

#endif
