#ifndef ASSAY_TESTS_TASK_SHARED_H
#define ASSAY_TESTS_TASK_SHARED_H

/* Reading the optional reference data of tests (ASSAY_SHARED, else ../shared). static inline: a unit
 * test is one translation unit. Include after cmocka.h. */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "eval/task_json.h"

/* Path of a shared file; skips the running test when the folder is not there. */
static inline void shared_path(const char *rel, char *out, size_t n)
{
    const char *root = getenv("ASSAY_SHARED");
    snprintf(out, n, "%s/%s", root ? root : "../shared", rel);
    if (access(out, R_OK) != 0) {
        print_message("# no %s\n", out);
        skip();
    }
}

static inline void shared_jsonl(const char *rel, struct jsonl *out)
{
    char path[512];
    struct mapfile m;
    struct err err = ERR_INIT;
    shared_path(rel, path, sizeof path);
    assert_int_equal(mapfile_open(&m, path, &err), OK);
    if (jsonl_parse(out, (const char *)m.data, m.size, rel, &err))
        fail_msg("%s", err.text);
    mapfile_close(&m);
}

#endif
