#ifndef ASSAY_LIB_TOOL_INTERNAL_H
#define ASSAY_LIB_TOOL_INTERNAL_H

#include "lib/outfile.h"
#include "lib/tool.h"

/* What tool.c (the frame), tool_io.c (reading and writing) and tool_recipe.c (running again) share. */

enum {
    TOOL_N_MASKED = 4, /* members of enum tool_common */
    TOOL_N_PENDING = 16 /* files of one run, statements included */
};

struct tool_common_args {
    const char *out, *format, *root, *statement, *recipe, *into;
    int64_t seed, threads;
    bool quiet, help, version, help_man;
};

struct tool {
    const struct tool_def *def;
    const char *program; /* "accuracy grade" */
    void *args;
    struct tool_common_args common;
    struct cli *cli;
    struct prov *prov;
    struct progress *progress;
    struct outfile *pending[TOOL_N_PENDING]; /* whole on the disk, not yet renamed; in order */
    size_t n_pending;
    int answer_no;
};

/* tool_apply_recipe - set what --recipe's statement records and was not typed. */
enum status tool_apply_recipe(struct tool *t, struct err *err);

/* tool_drop - forget what was put and not committed. */
void tool_drop(struct tool *t);

/* tool_record_options - put every option into the provenance by its role. */
enum status tool_record_options(struct tool *t, struct err *err);

#endif
