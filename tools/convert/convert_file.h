#ifndef ASSAY_CONVERT_CONVERT_FILE_H
#define ASSAY_CONVERT_CONVERT_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "convert/convert_plan.h"
#include "convert/convert_source.h"
#include "lib/progress.h"

struct convert_options {
    struct plan_types types;
    const char *name; /* general.name; NULL: the source's */
    size_t n_threads;
};

struct convert_result {
    size_t n_tensors, n_bytes;
    bool changed; /* false: the file had these bytes already */
};

/* convert_file - write the model s as a GGUF file at path ("-" is standard output), whole or not at all. The
 * bytes follow from the model, the types and the name. Errors of the plan, the metadata and the writing;
 * the file is then as it was. */
enum status convert_file(const struct convert_source *s, const char *path, const struct convert_options *o,
                         struct progress *progress, struct convert_result *out, struct err *err);

#endif
