#ifndef ASSAY_FORMAT_TOKFILE_RULES_H
#define ASSAY_FORMAT_TOKFILE_RULES_H

#include <cjson/cJSON.h>

#include "format/tokfile.h"

/* The small objects of tokenizer.json that say which rules apply. An absent member counts as null. */
struct tokfile_rules {
    const cJSON *normalizer, *pre_tokenizer, *post_processor, *decoder;
};

/* tokfile_rules_read - set kind, split and nfc of f. ERR_UNSUPPORTED names what is not known. */
enum status tokfile_rules_read(struct tokfile *f, const struct tokfile_rules *r, const char *name, struct err *err);

#endif
