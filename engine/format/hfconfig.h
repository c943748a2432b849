#ifndef ASSAY_FORMAT_HFCONFIG_H
#define ASSAY_FORMAT_HFCONFIG_H

#include "base/err.h"
#include "format/config.h"

/* hfconfig_parse - read the text of a Hugging Face config.json (gpt_oss, qwen3, llama; every alias of
 * models.md 1), or the one of gpt-oss's original layout (originalconfig.h). Anything that would change the
 * forward pass and is not handled is refused, never ignored: an unknown architecture or rope type, windows or
 * biases where none belong.
 * ERR_FORMAT, ERR_RANGE, ERR_UNSUPPORTED, ERR_SHAPE with file, key, expected and found. */
enum status hfconfig_parse(struct model_config *out, const char *text, size_t n, const char *name, struct err *err);
enum status hfconfig_read(struct model_config *out, const char *path, struct err *err);

/* hfconfig_add_generation - add the stop ids of a generation_config.json ("eos_token_id": one or many). */
enum status hfconfig_add_generation(struct model_config *c, const char *text, size_t n, const char *name,
                                    struct err *err);
enum status hfconfig_read_generation(struct model_config *c, const char *path, struct err *err);

#endif
