#include "model/fault.h"

#include <stdlib.h> // outside the condition: a release build still needs a translation unit that is not empty

#ifdef ASSAY_FAULTS

#include <float.h>
#include <string.h>

static void no_sinks(struct model_config *c)
{
    c->sinks = false;
}

static void window_ignored(struct model_config *c)
{
    memset(c->windows, 0, sizeof c->windows);
}

/* One key too many: the window no longer counts the query itself. */
static void window_off_by_one(struct model_config *c)
{
    for (size_t i = 0; i < c->n_layers; i++)
        c->windows[i] += c->windows[i] > 0;
}

static void window_doubled(struct model_config *c)
{
    for (size_t i = 0; i < c->n_layers; i++)
        c->windows[i] *= 2;
}

static void no_up_plus_one(struct model_config *c)
{
    c->swiglu_up_add = 0;
}

static void no_clamp(struct model_config *c)
{
    c->swiglu_limit = (double)FLT_MAX;
}

static void yarn_truncate(struct model_config *c)
{
    c->rope.truncate = true;
}

static const struct fault {
    const char *name;
    void (*apply)(struct model_config *c);
} faults[] = {
    {"no_sinks", no_sinks},
    {"window_ignored", window_ignored},
    {"window_off_by_one", window_off_by_one},
    {"window_doubled", window_doubled},
    {"no_up_plus_one", no_up_plus_one},
    {"no_clamp", no_clamp},
    {"yarn_truncate", yarn_truncate},
};

enum status fault_apply(struct model_config *c, struct err *err)
{
    const char *name = getenv("ASSAY_FAULT");
    if (!name || !*name)
        return OK;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        if (strcmp(name, faults[i].name) == 0) {
            faults[i].apply(c);
            return OK;
        }
    }
    return err_set(err, ERR_USAGE, "ASSAY_FAULT: expected a known fault, found '%.80s'", name);
}

#endif
