#ifndef ASSAY_TEXT_IDS_INTERNAL_H
#define ASSAY_TEXT_IDS_INTERNAL_H

#include "text/tokenizer.h"

/* ids_reserve - room for more ids beyond a->n, or a->failed is set and false returned. */
bool ids_reserve(struct ids *a, size_t more);

#endif
