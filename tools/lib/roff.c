#include "lib/roff.h"

void roff_text(struct buf *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        buf_str(out, "\\&"); // else a request at the start of a line
    for (const char *s = text; *s; s++) {
        if (*s == '\\')
            buf_str(out, "\\e");
        else if (*s == '-')
            buf_str(out, "\\-");
        else
            buf_char(out, *s);
    }
}
