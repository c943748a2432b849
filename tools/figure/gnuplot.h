#ifndef ASSAY_FIGURE_GNUPLOT_H
#define ASSAY_FIGURE_GNUPLOT_H

#include "base/buf.h"
#include "base/err.h"

enum plot_format { PLOT_SVG, PLOT_PDF };

/* gnuplot_render - run gnuplot on a script and read back the picture it drew.
 * The script must honour the two variables set before it: `format` ("svg" or "pdf") and `output`
 * (the file to draw into). The same script, gnuplot and fonts give the same bytes: no settings file
 * is read, the locale is C.UTF-8, and the creation date of a PDF is overwritten (cairo before 1.17 writes the
 * clock's date whatever SOURCE_DATE_EPOCH says).
 * scratch: prefix of the temporary file gnuplot draws into; it is gone on return.
 * out: the picture is appended; untouched on error.
 * Returns OK; ERR_DEVICE if gnuplot cannot be started; ERR_FORMAT with gnuplot's first complaint
 * when it fails or warns (a warning means a figure that shows less than was asked); ERR_IO. */
enum status gnuplot_render(struct buf *out, const char *script, enum plot_format format,
                           const char *scratch, struct err *err);

/* gnuplot_version - append the line `gnuplot --version` prints, without its line end: what may change a
 * picture. ERR_DEVICE if gnuplot cannot be started. */
enum status gnuplot_version(struct buf *out, struct err *err);

/* gnuplot_quote - append text as a gnuplot string in single quotes (no escapes are interpreted). */
void gnuplot_quote(struct buf *out, const char *text);

#endif
