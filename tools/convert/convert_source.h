#ifndef ASSAY_CONVERT_CONVERT_SOURCE_H
#define ASSAY_CONVERT_CONVERT_SOURCE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/config.h"
#include "format/gguf.h"
#include "format/tensors.h"
#include "format/tokfile.h"

/* A model as it is read: a Hugging Face directory, a GGUF file, or a name of the registry with a generator for
 * weights. */
struct convert_source {
    struct arena *arena;
    const char *name; /* of directory or file, without path and ending; of the registry, with its seed */
    const char *dir;  /* in which the files lie */
    struct model_config config;
    struct tensors *set;
    const struct gguf *gguf; /* metadata of a GGUF file, which is taken as it is; else NULL */
    bool has_tokenizer;      /* of a directory */
    struct tokfile tokenizer;
    const char **files; /* base names of all that was read, as the engine lists them for a model's digest */
    size_t n_files;
};

/* source_open - config, tensors (mapped) and tokenizer. ERR_MISSING, ERR_FORMAT, ... as their readers say;
 * ERR_UNSUPPORTED for a source of another kind. The caller closes, after OK. */
enum status source_open(struct convert_source *out, const char *source, struct err *err);
void source_close(struct convert_source *s); /* safe on a zeroed struct */

#endif
