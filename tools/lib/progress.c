#define _XOPEN_SOURCE 700
#include "lib/progress.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { REDRAW_NS = 100000000, NAME_B = 96 };

struct progress {
    char program[64];
    char stage[NAME_B];
    bool quiet, live, open, drawn;
    size_t total, done;
    uint64_t began_ns, drawn_ns;
};

enum status progress_new(struct progress **out, const char *program, bool quiet, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct progress), "progress", err);
    if (s)
        return s;
    struct progress *g = p;
    (void)snprintf(g->program, sizeof g->program, "%s", program);
    g->quiet = quiet;
    const char *no_color = getenv("NO_COLOR");
    g->live = isatty(STDERR_FILENO) && tcgetpgrp(STDERR_FILENO) == getpgrp() && !(no_color && *no_color);
    *out = g;
    return OK;
}

void progress_free(struct progress *p)
{
    progress_break(p);
    mem_free(p);
}

static void line(const struct progress *p, const char *detail)
{
    (void)fprintf(stderr, "%s: %s", p->program, p->stage);
    if (p->total)
        (void)fprintf(stderr, " %zu/%zu", p->done, p->total);
    else if (p->done)
        (void)fprintf(stderr, " %zu", p->done);
    if (detail && *detail)
        (void)fprintf(stderr, ", %s", detail);
}

void progress_stage(struct progress *p, const char *name, size_t total)
{
    if (!p)
        return;
    progress_end(p, NULL);
    (void)snprintf(p->stage, sizeof p->stage, "%s", name);
    p->total = total;
    p->done = 0;
    p->open = true;
    p->began_ns = clock_ns();
    p->drawn_ns = 0;
}

void progress_step(struct progress *p, size_t done, const char *detail)
{
    if (!p)
        return;
    p->done = done;
    if (!progress_live(p) || !p->open)
        return;
    uint64_t now = clock_ns();
    if (p->drawn_ns && now - p->drawn_ns < REDRAW_NS)
        return;
    p->drawn_ns = now;
    (void)fputs("\r\033[K", stderr);
    line(p, detail);
    double s = (double)(now - p->began_ns) * 1e-9;
    if (p->total && done && done < p->total)
        (void)fprintf(stderr, ", %.0f s left", s / (double)done * (double)(p->total - done));
    (void)fflush(stderr);
    p->drawn = true;
}

bool progress_live(const struct progress *p)
{
    return p && p->live && !p->quiet;
}

void progress_break(struct progress *p)
{
    if (p && p->drawn) {
        (void)fputs("\r\033[K", stderr);
        p->drawn = false;
    }
}

void progress_drop(struct progress *p)
{
    if (!p)
        return;
    progress_break(p);
    p->open = false;
}

void progress_end(struct progress *p, const char *detail)
{
    if (!p || !p->open)
        return;
    progress_break(p);
    p->open = false;
    if (p->quiet)
        return;
    line(p, detail);
    (void)fprintf(stderr, ", %.1f s\n", (double)(clock_ns() - p->began_ns) * 1e-9);
}
