#ifndef ASSAY_DRIVE_INFER_TOKENIZE_H
#define ASSAY_DRIVE_INFER_TOKENIZE_H

#include "base/buf.h"
#include "engine.h"

/* infer_tokenize - for each line {"text": "..."} of in[0..n) append {"ids":[...]} and LF to out. Everything is
 * text, U+0000 too; special tokens are not parsed and nothing is put before it. name stands for the input in
 * messages. ERR_FORMAT with name:line:column. */
enum status infer_tokenize(const struct tokenizer *t, const char *in, size_t n, const char *name, struct buf *out,
                           struct err *err);

#endif
