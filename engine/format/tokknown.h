#ifndef ASSAY_FORMAT_TOKKNOWN_H
#define ASSAY_FORMAT_TOKKNOWN_H

#include "base/err.h"
#include "format/tokfile.h"

/* Some files do not say the rule their vocabulary goes with: vocab.json has no split pattern, old GGUF files
 * do not say whether a text gets a blank before it. For a few vocabularies the rule is a fact all the same,
 * told by the digest of their pieces; any other is refused, since a guess gives plausible text and wrong ids. */
struct tokknown {
    const char *name;
    const char *sha256; /* over the pieces by id, added tokens left out: length (u32, little-endian), bytes */
    enum tokfile_kind kind;
    enum tokfile_split split;
    bool nfc, dummy_prefix;
};

/* tokknown_find - the entry for f's vocabulary, whose tokens are indexed; *out NULL when there is none. */
enum status tokknown_find(const struct tokfile *f, const struct tokknown **out, struct err *err);

#endif
