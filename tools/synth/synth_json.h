#ifndef ASSAY_SYNTH_SYNTH_JSON_H
#define ASSAY_SYNTH_SYNTH_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* A streaming JSON writer for files that imitate other programs': keys stay in the order written, two
 * spaces a level, so that a synthetic file can be read beside a real one. (Our own results are
 * canonical JSON: base/json.h.) Failures are kept in the buffer: check buf_status at the end. */
struct jsonw {
    struct buf *out;   /* borrowed */
    size_t depth;
    bool compact;      /* no line breaks: headers of safetensors files */
    bool needs_comma;
};

/* key is NULL for an element of an array and for the outermost value. */
void jsonw_open(struct jsonw *w, const char *key, char bracket); /* '{' or '[' */
void jsonw_close(struct jsonw *w, char bracket);                 /* '}' or ']' */
void jsonw_str(struct jsonw *w, const char *key, const char *value);
void jsonw_strn(struct jsonw *w, const char *key, const char *value, size_t n);
void jsonw_int(struct jsonw *w, const char *key, int64_t value);
void jsonw_raw(struct jsonw *w, const char *key, const char *value); /* true, null, 1e-05, ... */

#endif
