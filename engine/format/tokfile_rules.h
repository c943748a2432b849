#ifndef ASSAY_FORMAT_TOKFILE_RULES_H
#define ASSAY_FORMAT_TOKFILE_RULES_H

#include <cjson/cJSON.h>

#include "format/tokbuild.h"

/* The small objects of tokenizer.json that say which rules apply. An absent member counts as null. */
struct tokfile_rules {
    const cJSON *normalizer, *pre_tokenizer, *post_processor, *decoder;
};

/* tokfile_rules_read - set kind, split and nfc of f. ERR_UNSUPPORTED names what is not known. */
enum status tokfile_rules_read(struct tokfile *f, const struct tokfile_rules *r, const char *name, struct err *err);

/* tokfile_rules_bos - the id that post_processor puts before every text, into f->bos_id (-1: none); the tokens
 * must be indexed. ERR_FORMAT for an id that is no token. */
enum status tokfile_rules_bos(struct tokfile *f, const cJSON *post_processor, const char *name, struct err *err);

/* tokfile_rules_added - give b the added token that the object a describes (tokenizer.json's added_tokens and
 * tokenizer_config.json's added_tokens_decoder alike). where names the place. ERR_UNSUPPORTED for an option
 * that changes the text around a token. */
enum status tokfile_rules_added(struct tokbuild *b, const cJSON *a, int64_t id, const char *where);

#endif
