#ifndef ASSAY_FIGURE_FIGURE_TEX_H
#define ASSAY_FIGURE_FIGURE_TEX_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "figure/figure_desc.h"
#include "figure/figure_query.h"

/* The numbers of the paper: \assayvalue{KEY}{TEXT} lines for LaTeX, from a description with
 *
 *   # number: KEY HOW FORMAT from ...      one value; HOW is only, min, max, range ("5 to 40", or "5"), sum, count, distinct, list
 *   # table: KEY [by COL] [key COL...] from ...
 *   # column: TITLE | FORMAT | COL [LO HI]    of the table above; columns counted from 1 as gnuplot does
 *
 * FORMAT is fN (N decimals), gN (N significant digits, never an exponent), n (as the file has it), text, or
 * par (text that may break). A number over no
 * row is the reason its rows give, set in italics; without a reason it is an error, and so is `only`
 * over several rows. An empty table is its reason; an empty cell is a dash. */

/* tex_numbers - append the values of a description. ERR_FORMAT with file:line. */
enum status tex_numbers(struct buf *out, const struct desc *d, const struct grids *grids, struct arena *a,
                        struct err *err);

/* tex_value - append \assayvalue{key}{text}; text is escaped for LaTeX. */
void tex_value(struct buf *out, const char *key, const char *text);

#endif
