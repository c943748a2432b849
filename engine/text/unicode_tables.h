#ifndef ASSAY_TEXT_UNICODE_TABLES_H
#define ASSAY_TEXT_UNICODE_TABLES_H

#include <stddef.h>
#include <stdint.h>

/* Generated data (tests/reference/gen_unicode_tables.py): the character classes of the split rules at
 * Unicode 16.0, and the canonical normalisation data of Unicode 9.0 that the Qwen tokenizer follows. */

enum char_class {
    CLASS_OTHER,
    CLASS_UPPER,   /* Lu, Lt */
    CLASS_LOWER,   /* Ll */
    CLASS_LETTER,  /* Lm, Lo */
    CLASS_MARK,    /* M */
    CLASS_DIGIT,   /* N */
    CLASS_BLANK,   /* White_Space but CR and LF */
    CLASS_NEWLINE, /* CR, LF */
    N_CLASSES
};

/* Two stages below UNICODE_BLOCKS * 128: blocks[pages[cp >> 7]][(cp & 127) / 2] holds the class of an
 * even code point in its low four bits and of the odd one above it in its high four. Above, ranges. */
enum { UNICODE_PAGES = 1608 };
extern const uint8_t unicode_pages[UNICODE_PAGES];
extern const uint8_t unicode_blocks[][64];

struct unicode_range {
    uint32_t first, last;
    uint8_t value; /* enum char_class, or a combining class */
};
extern const struct unicode_range unicode_high[];
extern const size_t unicode_n_high;

/* Sorted by first. A code point in none has combining class 0. */
extern const struct unicode_range nfc_ccc[];
extern const size_t nfc_n_ccc;

/* Sorted by first; value 1. A code point in none stays as it is wherever it stands, and nothing after it reaches
 * across it: it neither is a mark, nor decomposes for good, nor joins what is before it. All are >= U+0300. */
extern const struct unicode_range nfc_checks[];
extern const size_t nfc_n_checks;

struct nfc_pair {
    uint32_t whole, a, b; /* b = 0: a singleton */
};
extern const struct nfc_pair nfc_decompositions[]; /* sorted by whole; one level each */
extern const size_t nfc_n_decompositions;
extern const struct nfc_pair nfc_compositions[]; /* sorted by (a, b) */
extern const size_t nfc_n_compositions;

#endif
