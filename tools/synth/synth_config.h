#ifndef ASSAY_SYNTH_SYNTH_CONFIG_H
#define ASSAY_SYNTH_SYNTH_CONFIG_H

#include "base/err.h"
#include "synth/synth_shape.h"
#include "synth/synth_tokenizer.h"

/* The JSON files of a model directory beside weights and tokenizer.json, with every key of the real
 * families' files that readers use (models.md 1 and 7, tokenizers-and-chat.md 7). */

/* synth_config_write - dir/config.json. mark goes into the key SYNTH_MARK_KEY. */
enum status synth_config_write(const struct synth_shape *s, const struct synth_tokenizer *t, const char *dir,
                               const char *mark, struct err *err);

/* synth_generation_config_write - dir/generation_config.json: stop ids and the family's sampling defaults. */
enum status synth_generation_config_write(const struct synth_shape *s, const struct synth_tokenizer *t,
                                          const char *dir, struct err *err);

/* synth_tokenizer_config_write - dir/tokenizer_config.json: added tokens and a chat template of our own
 * that gives the text our renderers (engine/text) give. */
enum status synth_tokenizer_config_write(const struct synth_shape *s, const struct synth_tokenizer *t,
                                         const char *dir, struct err *err);

#define SYNTH_MARK_KEY "assay_synth"

#endif
