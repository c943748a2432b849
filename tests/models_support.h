#ifndef TESTS_MODELS_SUPPORT_H
#define TESTS_MODELS_SUPPORT_H

/* Tiny models for unit tests: made by synth's own library in a directory of this process, removed at
 * the end. Static on purpose: each test is a program. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/digest.h"
#include "synth/synth_model.h"

struct test_models {
    char dir[64];
};

/* Group set-up and tear-down; *state is a struct test_models. */
static inline int test_models_setup(void **state)
{
    struct test_models *m = calloc(1, sizeof *m);
    *state = m;
    if (m == NULL)
        return -1;
    (void)snprintf(m->dir, sizeof m->dir, "/tmp/assay-models-XXXXXX");
    return mkdtemp(m->dir) == NULL ? -1 : 0;
}

static inline int test_models_teardown(void **state)
{
    struct test_models *m = *state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", m->dir);
    int rc = system(command);
    free(m);
    return rc;
}

/* Make the preset's model, or find that it is there; path is its directory. */
static inline void test_models_make(const struct test_models *m, const char *preset, char path[128])
{
    struct synth_shape s;
    struct err err = ERR_INIT;
    bool changed = false;
    (void)snprintf(path, 128, "%s/%s", m->dir, preset);
    if (synth_preset(&s, preset, &err) != OK || synth_model_write(path, &s, 1, &changed, &err) != OK)
        fail_msg("%s", err.text);
}

#endif
