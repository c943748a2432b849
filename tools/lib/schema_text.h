#ifndef ASSAY_LIB_SCHEMA_TEXT_H
#define ASSAY_LIB_SCHEMA_TEXT_H

#include <stddef.h>

/* Bytes of results/schemas/NAME.json, sorted by name; defined in build/<config>/gen/schema_text.c, which
 * tools/lib/embed.sh writes. The entry with name NULL ends the list. */
struct schema_text {
    const char *name;
    const unsigned char *data;
    size_t n;
};
extern const struct schema_text schema_texts[];

#endif
