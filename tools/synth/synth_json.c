#include "synth/synth_json.h"

#include <string.h>

/* Only '"', '\' and control characters are escaped. */
static void quote(struct buf *out, const char *text, size_t n)
{
    buf_char(out, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') {
            buf_char(out, '\\');
            buf_char(out, (char)c);
        } else if (c == '\n') {
            buf_str(out, "\\n");
        } else if (c == '\r') {
            buf_str(out, "\\r");
        } else if (c == '\t') {
            buf_str(out, "\\t");
        } else if (c < 0x20 || c == 0x7F) {
            buf_printf(out, "\\u%04x", (unsigned)c);
        } else {
            buf_char(out, (char)c);
        }
    }
    buf_char(out, '"');
}

static void line(struct jsonw *w)
{
    if (w->compact)
        return;
    buf_char(w->out, '\n');
    for (size_t i = 0; i < w->depth; i++)
        buf_str(w->out, "  ");
}

static void begin(struct jsonw *w, const char *key)
{
    if (w->needs_comma)
        buf_char(w->out, ',');
    if (w->depth > 0)
        line(w);
    if (key != NULL) {
        quote(w->out, key, strlen(key));
        buf_str(w->out, w->compact ? ":" : ": ");
    }
    w->needs_comma = true;
}

void jsonw_open(struct jsonw *w, const char *key, char bracket)
{
    begin(w, key);
    buf_char(w->out, bracket);
    w->depth++;
    w->needs_comma = false;
}

void jsonw_close(struct jsonw *w, char bracket)
{
    bool empty = !w->needs_comma;
    w->depth--;
    if (!empty)
        line(w);
    buf_char(w->out, bracket);
    w->needs_comma = true;
    if (w->depth == 0 && !w->compact)
        buf_char(w->out, '\n');
}

void jsonw_strn(struct jsonw *w, const char *key, const char *value, size_t n)
{
    begin(w, key);
    quote(w->out, value, n);
}

void jsonw_str(struct jsonw *w, const char *key, const char *value)
{
    jsonw_strn(w, key, value, strlen(value));
}

void jsonw_int(struct jsonw *w, const char *key, int64_t value)
{
    begin(w, key);
    buf_printf(w->out, "%lld", (long long)value);
}

void jsonw_raw(struct jsonw *w, const char *key, const char *value)
{
    begin(w, key);
    buf_str(w->out, value);
}
