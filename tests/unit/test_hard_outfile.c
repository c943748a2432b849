#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/outfile.h"

/* What stays of a writer that dies without a word, and what the next one makes of it. */

static int setup(void **state)
{
    char *dir = calloc(1, 64);
    *state = dir;
    if (!dir)
        return -1;
    (void)snprintf(dir, 64, "/tmp/assay-outfile-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[96];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
    int rc = system(command);
    free(*state);
    return rc;
}

static size_t n_files(const char *dir)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return n;
}

/* A child that has begun path: it says so on the pipe, and waits to be killed. */
static pid_t begin(const char *path)
{
    int ready[2];
    char c = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct outfile *o;
        (void)alarm(20); // should the parent die first
        if (outfile_open(&o, path, NULL) || outfile_write(o, "half", 4, NULL) || outfile_flush(o, NULL) ||
            write(ready[1], &c, 1) != 1)
            _exit(1);
        for (;;)
            (void)pause();
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    (void)close(ready[0]);
    return pid;
}

static void put_to_death(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void the_dead_are_swept_the_living_are_not(void **state)
{
    char path[96];
    char other[96];
    char odd[96];
    bool changed;
    (void)snprintf(path, sizeof path, "%s/result.csv", (char *)*state);
    (void)snprintf(other, sizeof other, "%s/result.csv.more", (char *)*state);
    (void)snprintf(odd, sizeof odd, "%s/.result.csv.tmp.7x", (char *)*state);
    pid_t dead = begin(path);
    pid_t alive = begin(path);
    pid_t elsewhere = begin(other);
    FILE *f = fopen(odd, "w"); // nobody's temporary: the name only looks like one
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    put_to_death(dead);
    put_to_death(elsewhere);
    assert_int_equal(n_files(*state), 4); // three temporaries and the odd one, no result
    assert_int_equal(outfile_put(path, "whole", 5, &changed, NULL), OK);
    assert_true(changed);
    assert_int_equal(n_files(*state), 4); // the result in place of the first temporary
    put_to_death(alive);
    assert_int_equal(outfile_put(path, "whole", 5, &changed, NULL), OK);
    assert_false(changed);
    assert_int_equal(n_files(*state), 3);
    assert_int_equal(outfile_put(other, "x", 1, NULL, NULL), OK);
    assert_int_equal(n_files(*state), 3);
}

/* A file system without room says so before anything is renamed. */
static void flush_finds_a_full_disk(void **state)
{
    (void)state;
    if (access("/dev/full", W_OK) != 0) {
        print_message("no /dev/full here\n");
        skip();
    }
    struct outfile *o;
    struct err err = ERR_INIT;
    assert_int_equal(outfile_open(&o, "/dev/full", &err), OK);
    assert_int_equal(outfile_write(o, "x", 1, &err), OK); // still in the stream's buffer
    assert_int_equal(outfile_flush(o, &err), ERR_IO);
    assert_non_null(strstr(err.text, "/dev/full"));
    assert_int_equal(outfile_commit(o, NULL, &err), ERR_IO); // and it stays so
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_dead_are_swept_the_living_are_not),
        cmocka_unit_test(flush_finds_a_full_disk),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
