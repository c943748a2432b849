#ifndef ASSAY_BASE_ERR_H
#define ASSAY_BASE_ERR_H

#include <stdarg.h>

#include "base/status.h"

/* The sentence that travels with a status: lower case, no full stop, what failed first, the subject
 * in quotes, file:line:column for parse errors, expected and found for shape errors. Untouched on
 * success. Complete enough to print as it is, and always one line: control characters become '?'. */
struct err {
    enum status status;
    char text[1024];
};

#define ERR_INIT {.status = OK, .text = {0}}

/* err_set - store status and formatted sentence; returns s, so `return err_set(err, ...)` reads well.
 * err may be NULL (the sentence is dropped). Long sentences are cut, never overrun. */
enum status err_set(struct err *err, enum status s, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* err_set_errno - as err_set, with ": strerror(errnum)" appended. */
enum status err_set_errno(struct err *err, enum status s, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* err_prefix - put "what: " before the sentence already stored (to add file or position on the way up). */
void err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
