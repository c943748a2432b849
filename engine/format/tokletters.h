#ifndef ASSAY_FORMAT_TOKLETTERS_H
#define ASSAY_FORMAT_TOKLETTERS_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* The byte alphabet of byte-level BPE files (tokenizer.json, vocab.json, merges.txt, GGUF): printable
 * Latin-1 (33..126, 161..172, 174..255) stands for itself, the other 68 bytes, ascending, are U+0100,
 * U+0101, ... Added tokens are plain text and not in it.
 * Source: openai/gpt-2 encoder.py, bytes_to_unicode. */

/* tokletters_read - append the bytes that the letters s[0..n), valid UTF-8, stand for.
 * ERR_FORMAT naming a character that is no such letter; what was appended before it stays. */
enum status tokletters_read(const char *s, size_t n, struct buf *out, struct err *err);

/* tokletters_write - append the letters of the bytes s[0..n). */
void tokletters_write(const char *s, size_t n, struct buf *out);

#endif
