#include "base/status.h"

const char *status_name(enum status s)
{
    switch (s) {
#define X(code, name, text) \
    case code:              \
        return name;
        STATUS_MAP(X)
#undef X
    }
    return "unknown";
}

const char *status_text(enum status s)
{
    switch (s) {
#define X(code, name, text) \
    case code:              \
        return text;
        STATUS_MAP(X)
#undef X
    }
    return "unknown status";
}
