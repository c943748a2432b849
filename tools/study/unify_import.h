#ifndef ASSAY_STUDY_UNIFY_IMPORT_H
#define ASSAY_STUDY_UNIFY_IMPORT_H

#include "lib/tool.h"

/* unify import - bring a published file into a results tree, bytes unchanged, as class external: its
 * statement says from which repository and commit, as which git blob, under which licence
 * (provenance.md 4). Bytes that are not that blob are refused. */
extern const struct tool_def unify_import;

#endif
