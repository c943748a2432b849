#ifndef ASSAY_TEXT_SPECIAL_H
#define ASSAY_TEXT_SPECIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "format/tokfile.h"

/* Finds tokens of one sort in text, the longest at a position: added tokens where special tokens are parsed,
 * user-defined pieces in every SPM text. A table by first byte, then a trie. */
struct special_node {
    uint32_t child, sibling; /* index of the first longer node, of the next with another byte here; 0: none */
    int32_t id;              /* of the token that ends here; -1: none */
    uint8_t byte;
};
struct special {
    uint32_t first[256];       /* node of the first byte; 0: no token starts so */
    struct special_node *node; /* node[0] is unused */
};

/* special_init - the tokens of f that have flag, TOKFILE_ADDED or TOKFILE_USER. The caller releases, after
 * a failure too. */
enum status special_init(struct special *sp, const struct tokfile *f, unsigned flag, struct err *err);
void special_release(struct special *sp);

/* special_at - the longest token at s[0..n), n >= 1, whose flags in f have none of `without`; -1: none. */
int32_t special_at(const struct special *sp, const struct tokfile *f, const char *s, size_t n, unsigned without);

/* special_find - first token in s[from..n): its start and *id, or n and *id = -1. */
size_t special_find(const struct special *sp, const struct tokfile *f, const char *s, size_t n, size_t from,
                    int32_t *id);

#endif
