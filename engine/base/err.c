#include "base/err.h"

#include <stdio.h>
#include <string.h>

/* Sentences quote names from foreign files; a line break or an escape in one must not reach a terminal. */
static void one_line(struct err *err)
{
    for (char *c = err->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            *c = '?';
}

enum status err_set(struct err *err, enum status s, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
        one_line(err);
        err->status = s;
    }
    return s;
}

enum status err_set_errno(struct err *err, enum status s, int errnum, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
        size_t n = strlen(err->text);
        char reason[128];
        if (strerror_r(errnum, reason, sizeof reason) != 0)
            (void)snprintf(reason, sizeof reason, "error %d", errnum);
        (void)snprintf(err->text + n, sizeof err->text - n, ": %s", reason);
        one_line(err);
        err->status = s;
    }
    return s;
}

void err_prefix(struct err *err, const char *fmt, ...)
{
    if (!err)
        return;
    char old[sizeof err->text];
    memcpy(old, err->text, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    size_t n = strlen(err->text);
    (void)snprintf(err->text + n, sizeof err->text - n, ": %.*s", (int)(sizeof err->text - n - 3), old);
    one_line(err);
}
