#include "lib/interrupt.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { N_SLOTS = 24, PATH_B = 1024 };

// A handler can reach nothing but statics (see interrupt.h). A slot is in use while its flag is set;
// the flag is written last, so a handler never sees half a name.
static volatile sig_atomic_t raised;
static volatile sig_atomic_t catching;
static volatile sig_atomic_t used[N_SLOTS];
static char paths[N_SLOTS][PATH_B];

static void on_signal(int sig)
{
    if (catching && !raised) {
        raised = sig;
        return;
    }
    for (int i = 0; i < N_SLOTS; i++)
        if (used[i])
            (void)unlink(paths[i]);
    (void)signal(sig, SIG_DFL); // async-signal-safe; the signal is blocked here and kills on return
    (void)raise(sig);
}

void interrupt_install(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction old;
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN)
            continue; // nohup and background jobs asked for it
        struct sigaction sa = {.sa_handler = on_signal};
        (void)sigemptyset(&sa.sa_mask);
        (void)sigaction(signals[i], &sa, NULL);
    }
}

void interrupt_catch(bool on)
{
    catching = on;
}

bool interrupt_raised(void)
{
    return raised != 0;
}

int interrupt_signal(void)
{
    return raised;
}

int interrupt_track(const char *path)
{
    size_t n = strlen(path) + 1;
    for (int i = 0; i < N_SLOTS && n <= PATH_B; i++)
        if (!used[i]) {
            memcpy(paths[i], path, n);
            used[i] = 1;
            return i;
        }
    return -1;
}

void interrupt_untrack(int slot)
{
    if (slot >= 0)
        used[slot] = 0;
}
