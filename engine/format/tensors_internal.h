#ifndef ASSAY_FORMAT_TENSORS_INTERNAL_H
#define ASSAY_FORMAT_TENSORS_INTERNAL_H

#include <stdbool.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "format/tensors.h"

/* The inside of a set of tensors, for the readers that fill one. */

struct tensor_file {
    const char *name; // base name
    const char *path; // for messages
    struct mapfile map;
};

struct tensors {
    struct arena *arena; // holds the set itself and all it points to but the maps
    struct tensor_file *files;
    size_t n_files;
    const char *index_name; // a file read beside them, or NULL
    struct tensor *tensors; // by name
    size_t n;
    const char *generator;
};

/* tensors_new - an empty set in an arena of its own. tensors_close releases it, at any stage of filling. */
enum status tensors_new(struct tensors **out, struct err *err);

/* tensors_sort - after filling: order by name. ERR_FORMAT, naming it, if two tensors share a name. */
enum status tensors_sort(struct tensors *s, struct err *err);

#endif
