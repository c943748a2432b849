#ifndef ASSAY_FORMAT_TOKFILE_INTERNAL_H
#define ASSAY_FORMAT_TOKFILE_INTERNAL_H

#include "format/jsonpull.h"
#include "format/tokfile.h"

/* What the parts of the tokenizer.json reader share. */

struct tokfile_entry {
    int32_t id;
    struct tokmap_key key;
};

struct tokfile_reader {
    struct tokfile *f;
    struct jsonpull p;
    struct tokfile_entry *entries; /* vocabulary in file order */
    size_t n_entries, cap_entries;
    struct buf spell; /* one merge's bytes while it is looked up */
};

/* tokfile_fail_at - put "name:line:column" of at before the sentence already set; returns s. */
enum status tokfile_fail_at(const struct tokfile_reader *r, size_t at, enum status s);

/* tokfile_spell - append the bytes that a token of the file stands for; at is where it is written.
 * Byte-level files write bytes as letters, SPM files write text. ERR_FORMAT if it is empty or holds
 * something that is no such letter. */
enum status tokfile_spell(const struct tokfile_reader *r, const char *s, size_t n, size_t at, struct buf *out);

/* tokfile_read_merges - read model.merges, which starts at text[from], into f->merges. The
 * vocabulary must have been read. */
enum status tokfile_read_merges(struct tokfile_reader *r, size_t from);

#endif
