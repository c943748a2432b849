#ifndef ASSAY_BASE_STATUS_H
#define ASSAY_BASE_STATUS_H

/* Every fallible function returns one of these. One table holds code, name and text, so that
 * status_name() cannot drift from the enum. OK is 0, so that calls chain with ||. */
#define STATUS_MAP(X)                                                                     \
    X(OK, "ok", "success")                                                                \
    X(ERR_USAGE, "usage", "an option or argument is wrong")                               \
    X(ERR_MISSING, "missing", "an input does not exist")                                  \
    X(ERR_IO, "io", "the operating system refused to read or write")                      \
    X(ERR_FORMAT, "format", "bytes do not follow their format")                           \
    X(ERR_SHAPE, "shape", "a size or shape is not the expected one")                      \
    X(ERR_RANGE, "range", "a value is outside its allowed range")                         \
    X(ERR_UNSUPPORTED, "unsupported", "valid, but not something this program handles")    \
    X(ERR_CONTEXT, "context", "a sequence would exceed the context length")               \
    X(ERR_NUMERIC, "numeric", "a value became non-finite or too large")                   \
    X(ERR_MEMORY, "oom", "not enough memory")                                             \
    X(ERR_DEVICE, "device", "this machine lacks what is needed")                          \
    X(ERR_CANCELLED, "cancelled", "stopped on request")

enum status {
#define X(code, name, text) code,
    STATUS_MAP(X)
#undef X
};

/* status_name - short stable word for a status, as it appears in result rows. Borrowed, static. */
const char *status_name(enum status s);

/* status_text - one clause for people. Borrowed, static. */
const char *status_text(enum status s);

#endif
