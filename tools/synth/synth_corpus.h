#ifndef ASSAY_SYNTH_SYNTH_CORPUS_H
#define ASSAY_SYNTH_SYNTH_CORPUS_H

/* synth_corpus_lines - the project's own text that synthetic tokenizers are trained on: UTF-8 lines
 * without their LF, NULL-ended, static. */
const char *const *synth_corpus_lines(void);

#endif
