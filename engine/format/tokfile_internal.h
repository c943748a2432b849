#ifndef ASSAY_FORMAT_TOKFILE_INTERNAL_H
#define ASSAY_FORMAT_TOKFILE_INTERNAL_H

#include "base/jsonpull.h"
#include "format/tokbuild.h"

/* What the readers of tokenizer.json and vocab.json share. */

struct tokfile_reader {
    struct tokbuild b;
    struct jsonpull p;
    struct buf spell; /* one merge's bytes while it is looked up */
};

/* tokfile_fail_at - put "name:line:column" of at before the sentence already set; returns s. */
enum status tokfile_fail_at(const struct tokfile_reader *r, size_t at, enum status s);

/* tokfile_read_vocab_at - read the object of tokens and ids that starts at text[from]. */
enum status tokfile_read_vocab_at(struct tokfile_reader *r, size_t from);

/* tokfile_read_merges - read model.merges, which starts at text[from]. The vocabulary must have been indexed. */
enum status tokfile_read_merges(struct tokfile_reader *r, size_t from);

#endif
