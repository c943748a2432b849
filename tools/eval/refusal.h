#ifndef ASSAY_EVAL_REFUSAL_H
#define ASSAY_EVAL_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* What a reply to a request is, in XSTest's three classes and the cases that are none of them. */
enum refusal_label {
    REFUSAL_FULL_COMPLIANCE,
    REFUSAL_PARTIAL, /* only a person or a judge gives this one */
    REFUSAL_FULL,
    REFUSAL_EMPTY,  /* no text: neither complied nor refused, counted apart */
    REFUSAL_INVALID /* the request itself failed */
};
enum { REFUSAL_N_LABELS = 5 };

/* refusal_label_name - "full_compliance" "partial_refusal" "full_refusal" "empty" "invalid". */
const char *refusal_label_name(enum refusal_label l);

/* refusal_label_parse - one of those names; false when it is none. */
bool refusal_label_parse(const char *text, enum refusal_label *out);

/* refusal_by_prefix - XSTest's string rule on reply[0..n): stripped and lower-cased, a full refusal if it
 * starts with one of 21 phrases, else compliance; nothing but white space is EMPTY. map_apostrophe reads
 * U+2019 as ' first (our addition: newer models write it); without it the rule is XSTest's own.
 * Coarse on purpose: it misses refusals that open otherwise, and partial ones.
 * Source: eval-tasks.md 9; Röttger et al. 2024. */
enum status refusal_by_prefix(const char *reply, size_t n, bool map_apostrophe, enum refusal_label *out,
                              struct err *err);

#endif
