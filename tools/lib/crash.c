#include "lib/crash.h"

#include <stdlib.h> // outside the condition: a release build still needs a translation unit that is not empty

#ifdef ASSAY_FAULTS

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* The counts span every file of the process, so they cannot live in one of them; test builds only. */
static uint64_t n_written;
static uint64_t n_renames;

enum where { NOWHERE, BYTES, BEFORE_RENAME, AFTER_RENAME };

/* Read at each call: no state to set up, and a test may change it. */
static enum where place(uint64_t *at)
{
    static const struct {
        const char *prefix;
        enum where where;
    } forms[] = {{"rename:", BEFORE_RENAME}, {"renamed:", AFTER_RENAME}, {"", BYTES}};
    const char *text = getenv("ASSAY_KILL_AT");
    if (!text || !*text)
        return NOWHERE;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        size_t n = strlen(forms[i].prefix);
        if (strncmp(text, forms[i].prefix, n) != 0)
            continue;
        char *end;
        errno = 0;
        *at = strtoumax(text + n, &end, 10);
        if (end == text + n || *end || errno || text[n] == '-')
            break;
        return forms[i].where;
    }
    abort();
}

_Noreturn void crash_now(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

bool crash_write(size_t *n)
{
    uint64_t at;
    uint64_t before = n_written;
    n_written += *n;
    if (place(&at) != BYTES || at > n_written)
        return false;
    *n = (size_t)(at > before ? at - before : 0);
    return true;
}

void crash_rename(int after)
{
    uint64_t at;
    n_renames += after ? 0 : 1;
    if (place(&at) == (after ? AFTER_RENAME : BEFORE_RENAME) && at == n_renames)
        crash_now();
}

#endif
