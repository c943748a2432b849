#ifndef ASSAY_TEXT_SPLIT_H
#define ASSAY_TEXT_SPLIT_H

#include <stddef.h>
#include <stdint.h>

enum split_rule { SPLIT_O200K, SPLIT_QWEN2, SPLIT_LLAMA3 };

/* split_next - length of the first piece of s[0..n), n >= 1; always >= 1 and a whole number of
 * characters. s is valid UTF-8 and runs to the end of the text (the rules look ahead). The cut is the one
 * of the pattern in tokenizer.json, alternatives in order, greedy with backtracking; classes are Unicode 16.0.
 * Constant extra work a character but for runs of blanks, which are walked twice. */
size_t split_next(enum split_rule rule, const uint8_t *s, size_t n);

#endif
