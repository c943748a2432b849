#ifndef ASSAY_CONVERT_CONVERT_META_H
#define ASSAY_CONVERT_CONVERT_META_H

#include <stddef.h>

#include "base/err.h"
#include "format/config.h"
#include "format/gguf_write.h"
#include "format/tokfile.h"

/* Metadata of a GGUF file (models.md 3.2). */

/* meta_model - general.architecture and the architecture's own keys. ERR_UNSUPPORTED for what GGUF has no
 * key for and readers would take for granted otherwise: another pattern of windows, another activation. */
enum status meta_model(struct gguf_writer *w, const struct model_config *c, struct err *err);

/* meta_vocab - the tokenizer's arrays: one row for each of vocab_size ids, those without text as unused. f NULL:
 * there is no tokenizer, and the file says so. ERR_MEMORY. */
enum status meta_vocab(struct gguf_writer *w, const struct tokfile *f, size_t vocab_size, struct err *err);

/* meta_special - which tokens start, end and pad a text, and the chat template, as tokenizer_config.json and
 * config.json of dir say (absent files and keys: nothing is written); further stop ids of c. ERR_FORMAT, ERR_IO. */
enum status meta_special(struct gguf_writer *w, const struct model_config *c, const struct tokfile *f, const char *dir,
                         struct err *err);

#endif
