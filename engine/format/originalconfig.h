#ifndef ASSAY_FORMAT_ORIGINALCONFIG_H
#define ASSAY_FORMAT_ORIGINALCONFIG_H

#include <stdbool.h>

#include "base/json.h"
#include "format/config.h"

/* The config.json that stands beside gpt-oss's weights in their authors' own layout (models.md 2.3). */

/* originalconfig_is - it names no architecture, and YaRN's bounds as only these files do. */
bool originalconfig_is(const cJSON *root);

/* originalconfig_read - eps, biases, the layer pattern and the stop ids are implied. ERR_FORMAT, ERR_RANGE with file and key. */
enum status originalconfig_read(struct model_config *out, const cJSON *root, const char *name, struct err *err);

#endif
