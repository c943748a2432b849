#ifndef ASSAY_FUZZ_SCRATCH_H
#define ASSAY_FUZZ_SCRATCH_H

/* What fuzzer entries share: an unconditional assert, and a folder for readers that want files. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Not assert: it must hold in every build. */
static inline void demand(int holds)
{
    if (!holds)
        abort();
}

static char scratch_path[32]; // one program, one folder; removed at its end

static inline void scratch_remove(void)
{
    char command[64];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", scratch_path);
    if (system(command) != 0)
        perror(scratch_path);
}

static inline const char *scratch_dir(void)
{
    if (!scratch_path[0]) {
        (void)snprintf(scratch_path, sizeof scratch_path, "/dev/shm/assay-fuzz-XXXXXX"); // fsync costs nothing there
        if (!mkdtemp(scratch_path)) {
            (void)snprintf(scratch_path, sizeof scratch_path, "/tmp/assay-fuzz-XXXXXX");
            demand(mkdtemp(scratch_path) != NULL);
        }
        demand(atexit(scratch_remove) == 0);
    }
    return scratch_path;
}

/* scratch_put - write a file of the folder whole; path is its name from then on. */
static inline void scratch_put(const char *name, const void *data, size_t n, char path[128])
{
    (void)snprintf(path, 128, "%s/%s", scratch_dir(), name);
    FILE *f = fopen(path, "wb");
    demand(f != NULL && fwrite(data, 1, n, f) == n && fclose(f) == 0);
}

/* scratch_cut - the bytes before the next line `---`, and what follows it; more is at its end when there is none. */
static inline size_t scratch_cut(const char *data, size_t n, const char **rest, size_t *n_rest)
{
    for (size_t i = 0; i + 4 <= n; i++)
        if (memcmp(data + i, "---\n", 4) == 0 && (i == 0 || data[i - 1] == '\n')) {
            *rest = data + i + 4;
            *n_rest = n - i - 4;
            return i;
        }
    *rest = data + n;
    *n_rest = 0;
    return n;
}

#endif
