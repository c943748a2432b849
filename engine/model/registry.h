#ifndef ASSAY_MODEL_REGISTRY_H
#define ASSAY_MODEL_REGISTRY_H

#include <stddef.h>

#include "base/err.h"
#include "format/config.h"

/* The models whose shapes are known by name (models.md 1): what their config.json says, without a file. */

/* registry_find - the configuration of a model by its name, text[0..n): in any case, with or without the
 * owner before a '/', and whatever stands between its parts ('-', '_', ':', ' '): "gpt-oss-20b",
 * "openai/GPT-OSS-20B" and "gpt-oss:20b" are one. *name is the name as result rows write it, static.
 * ERR_USAGE, with the known names, for any other. */
enum status registry_find(const char *text, size_t n, const char **name, struct model_config *out, struct err *err);

#endif
