#ifndef ASSAY_FIGURE_FIGURE_DESC_H
#define ASSAY_FIGURE_FIGURE_DESC_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "figure/figure_query.h"

/* A description: lines `# key: value`, a line `#   text` continuing the one before, other comments
 * not allowed inside; the first line that is no comment begins the body. One form serves figures
 * (the body is a gnuplot script) and the numbers of the paper (no body). */
struct desc_entry {
    const char *key, *value;
    size_t line; /* 1-based */
};

struct desc {
    const char *path; /* for messages */
    struct desc_entry *entry;
    size_t n;
    const char *body;
    size_t body_line;
};

/* desc_parse - text must be NUL-terminated and outlive nothing: all is copied into the arena. */
enum status desc_parse(struct desc *d, const char *text, const char *path, struct arena *a, struct err *err);

/* desc_get - value of the only entry of that key; dflt when absent. */
const char *desc_get(const struct desc *d, const char *key, const char *dflt);

/* A figure, ready to be drawn or to be set in the paper. */
struct figure {
    const char *name;
    const char *title;
    const char *caption;  /* placeholders filled in */
    const char *empty;    /* NULL, or why it shows no data */
    double width_cm, height_cm;
    const char *script;   /* the self-contained gnuplot script */
};

/* figure_build - run the queries of a description over the inputs and write the self-contained script:
 * header (figure, title, caption, state), settings for SVG and PDF, style, data inline as `$NAME << EOD`
 * with NAME_n blocks, NAME_rows, NAME_key[i], NAME_ls[i] (or
 * NAME_reason when there is nothing), then the body. A figure one of whose `data`
 * is empty draws the reason instead; `maybe` data may be empty.
 * Keys: figure, title, caption, empty, width (column|page), height_cm, data, maybe.
 * In a caption, {NAME.COL} becomes the range (numbers) or list (words) of a column, {NAME.rows} the
 * number of rows.
 * style: the text of the common style script. Line styles follow the order of all models of all inputs, so a
 * model looks the same in every figure.
 * Returns ERR_FORMAT with file:line. Everything lives in the arena. */
enum status figure_build(struct figure *f, const struct desc *d, const struct grids *grids, const char *style,
                         struct arena *a, struct err *err);

/* figure_header - read figure, title, caption and state back from a script that figure_build wrote. */
enum status figure_header(struct figure *f, const char *script, const char *path, struct arena *a,
                          struct err *err);

#endif
