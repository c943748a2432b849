#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/interrupt.h"
#include "lib/journal.h"
#include "lib/outfile.h"
#include "lib/paths.h"
#include "lib/prov.h"

static char dir[] = "/tmp/assay-files-XXXXXX";

static const char *in_dir(const char *name)
{
    static char out[4][200];
    static int turn;
    turn = (turn + 1) % 4;
    (void)snprintf(out[turn], sizeof out[turn], "%s/%s", dir, name);
    return out[turn];
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    char cmd[100];
    (void)state;
    (void)snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd);
}

static int count_files(void)
{
    char cmd[100];
    int n = -1;
    (void)snprintf(cmd, sizeof cmd, "ls -A %s | wc -l", dir);
    FILE *f = popen(cmd, "r");
    assert_int_equal(fscanf(f, "%d", &n), 1);
    (void)pclose(f);
    return n;
}

static void expect_content(const char *path, const char *text)
{
    struct buf b = BUF_INIT;
    assert_int_equal(path_read(path, &b, NULL), OK);
    assert_string_equal(b.data, text);
    buf_release(&b);
}

static void written_only_if_changed(void **state)
{
    (void)state;
    bool changed = false;
    struct stat before;
    struct stat after;
    const char *path = in_dir("a.csv");
    assert_int_equal(outfile_put(path, "one", 3, &changed, NULL), OK);
    assert_true(changed);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(outfile_put(path, "one", 3, &changed, NULL), OK);
    assert_false(changed);
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino == after.st_ino && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
    assert_int_equal(outfile_put(path, "two", 3, &changed, NULL), OK);
    assert_true(changed);
    expect_content(path, "two");
    assert_int_equal(count_files(), 1);
    mode_t mask = umask(0);
    (void)umask(mask);
    assert_int_equal(after.st_mode & 0777, 0666 & ~mask);
}

static void failures_leave_nothing(void **state)
{
    (void)state;
    struct outfile *o;
    struct err err = ERR_INIT;
    int n = count_files();
    assert_int_equal(outfile_put(in_dir("none/a.csv"), "x", 1, NULL, &err), ERR_IO);
    assert_non_null(strstr(err.text, "cannot write"));
    assert_int_equal(outfile_put(dir, "x", 1, NULL, &err), ERR_IO); // a directory
    assert_int_equal(outfile_open(&o, in_dir("b.csv"), &err), OK);
    assert_int_equal(outfile_write(o, "x", 1, &err), OK);
    outfile_abort(o);
    outfile_abort(NULL);
    assert_int_equal(outfile_put("/dev/null", "x", 1, NULL, &err), OK);
    if (path_exists("/dev/full")) { // a full disk
        static char big[100000];
        assert_int_equal(outfile_put("/dev/full", "x", 1, NULL, &err), ERR_IO);
        assert_non_null(strstr(err.text, "No space left"));
        assert_int_equal(outfile_put("/dev/full", big, sizeof big, NULL, &err), ERR_IO);
    }
    assert_int_equal(count_files(), n);
}

/* A signal between opening and committing removes the temporary and still kills. */
static void signals_leave_nothing(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM};
    int n = count_files();
    for (size_t i = 0; i < 2; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            struct outfile *o;
            (void)signal(signals[i], SIG_DFL); // the test may itself run in the background of a shell
            interrupt_install();
            if (!outfile_open(&o, in_dir("c.csv"), NULL) && !outfile_write(o, "x", 1, NULL) && count_files() == n + 1)
                (void)raise(signals[i]);
            _exit(9);
        }
        int st;
        assert_int_equal(waitpid(pid, &st, 0), pid);
        assert_true(WIFSIGNALED(st) && WTERMSIG(st) == signals[i]);
        assert_int_equal(count_files(), n);
    }
}

static void a_caught_signal_is_a_flag(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGINT, SIG_DFL);
        interrupt_install();
        interrupt_catch(true);
        (void)raise(SIGINT);
        if (!interrupt_raised() || interrupt_signal() != SIGINT)
            _exit(9);
        (void)raise(SIGINT); // the second one is meant
        _exit(8);
    }
    int st;
    assert_int_equal(waitpid(pid, &st, 0), pid);
    assert_true(WIFSIGNALED(st) && WTERMSIG(st) == SIGINT);
}

static cJSON *record(const char *id, int v)
{
    cJSON *o = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(o, "id", id);
    (void)cJSON_AddNumberToObject(o, "v", v);
    return o;
}

static void a_journal_resumes(void **state)
{
    (void)state;
    struct journal *j;
    struct err err = ERR_INIT;
    const char *path = in_dir("j");
    char id[16];
    assert_int_equal(journal_open(&j, path, "abc", &err), OK);
    for (int i = 0; i < 200; i++) {
        (void)snprintf(id, sizeof id, "r%d", i);
        assert_int_equal(journal_add(j, record(id, i), &err), OK);
    }
    assert_int_equal(journal_add(j, record("r7", 0), &err), ERR_USAGE); // twice
    assert_int_equal(journal_close(j, false, &err), OK);
    assert_int_equal(journal_open(&j, path, "other", &err), ERR_USAGE);
    assert_int_equal(journal_open(&j, path, "abc", &err), OK);
    assert_int_equal(journal_count(j), 200);
    assert_true(journal_has(j, "r199"));
    assert_false(journal_has(j, "r200"));
    assert_int_equal(json_get(journal_at(j, 7), "v")->valueint, 7);
    assert_int_equal(journal_close(j, true, &err), OK);
    assert_false(path_exists(path));
}

/* Cut the file at every byte: what was whole before the cut is there, nothing else, and adding the rest
 * ends in the same bytes as an uninterrupted run. */
static void cut_at_every_byte(void **state)
{
    (void)state;
    struct journal *j;
    struct err err = ERR_INIT;
    struct buf whole = BUF_INIT;
    const char *path = in_dir("cut");
    static const char *const ids[] = {"a", "b", "c"};
    assert_int_equal(journal_open(&j, path, "abc", &err), OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(journal_add(j, record(ids[i], i), &err), OK);
    assert_int_equal(journal_close(j, false, &err), OK);
    assert_int_equal(path_read(path, &whole, &err), OK);
    for (size_t n = 0; n <= whole.n; n++) {
        struct buf again = BUF_INIT;
        size_t lines = 0;
        for (size_t i = 0; i < n; i++)
            lines += whole.data[i] == '\n';
        assert_int_equal(outfile_put(path, whole.data, n, NULL, NULL), OK);
        if (journal_open(&j, path, "abc", &err))
            fail_msg("cut at %zu: %s", n, err.text);
        assert_int_equal(journal_count(j), lines ? lines - 1 : 0);
        for (int i = 0; i < 3; i++)
            if (!journal_has(j, ids[i]))
                assert_int_equal(journal_add(j, record(ids[i], i), &err), OK);
        assert_int_equal(journal_close(j, false, &err), OK);
        assert_int_equal(path_read(path, &again, &err), OK);
        assert_string_equal(again.data, whole.data);
        buf_release(&again);
    }
    for (size_t i = 0; i < whole.n; i += 3) { // damage that is no torn end is never passed over
        size_t last = whole.n - 1;
        while (whole.data[last - 1] != '\n')
            last--;
        if (i >= last)
            break;
        char was = whole.data[i];
        whole.data[i] ^= 1;
        assert_int_equal(outfile_put(path, whole.data, whole.n, NULL, NULL), OK);
        assert_int_not_equal(journal_open(&j, path, "abc", &err), OK);
        whole.data[i] = was;
    }
    buf_release(&whole);
}

static void one_process_at_a_time(void **state)
{
    (void)state;
    struct journal *j;
    assert_int_equal(journal_open(&j, in_dir("lock"), "abc", NULL), OK);
    pid_t pid = fork();
    if (pid == 0) {
        struct journal *k;
        _exit(journal_open(&k, in_dir("lock"), "abc", NULL) == ERR_IO ? 0 : 1);
    }
    int st;
    assert_int_equal(waitpid(pid, &st, 0), pid);
    assert_true(WIFEXITED(st) && WEXITSTATUS(st) == 0);
    assert_int_equal(journal_close(j, true, NULL), OK);
}

static void names_of_files(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    char cmd[600];
    (void)snprintf(cmd, sizeof cmd,
                   "cd %s && mkdir -p src/engine src/tasks src/out/any && touch src/engine/engine.h src/tasks/t.json "
                   "src/out/any/x.csv lone.csv && mkdir -p set/any && touch set/SHA256SUMS set/any/y.csv", dir);
    assert_int_equal(system(cmd), 0);
    static const char *const cases[][3] = {
        {"src/out/any/x.csv", "src/out", "any/x.csv"},   {"src/out/any/x.csv", NULL, "out/any/x.csv"},
        {"src/tasks/t.json", "src/out", "tasks/t.json"}, {"lone.csv", "src/out", "lone.csv"},
        {"set/any/y.csv", NULL, "any/y.csv"},            {"src/out/../tasks/t.json", NULL, "tasks/t.json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buf_clear(&b);
        assert_int_equal(path_name(in_dir(cases[i][0]), cases[i][1] ? in_dir(cases[i][1]) : NULL, &b, NULL), OK);
        assert_string_equal(b.data, cases[i][2]);
    }
    assert_int_equal(path_resolve("any/x.csv", in_dir("src/out"), &b, NULL), OK);
    assert_string_equal(b.data, in_dir("src/out/any/x.csv"));
    assert_int_equal(path_resolve("tasks/t.json", in_dir("src/out"), &b, NULL), OK);
    assert_int_equal(path_resolve("nothing", in_dir("src/out"), &b, NULL), ERR_MISSING);
    buf_release(&b);
}

static void model_digests(void **state)
{
    (void)state;
    char cmd[400];
    uint8_t a[DIGEST_B];
    uint8_t b[DIGEST_B];
    uint8_t c[DIGEST_B];
    struct buf lines = BUF_INIT;
    static const char *const files[] = {"w.bin", "c.json"};
    static const char *const turned[] = {"c.json", "w.bin"};
    // Over the cache's threshold and older than its racy time; the second change keeps size and mtime.
    (void)snprintf(cmd, sizeof cmd, "mkdir -p %s/m && cd %s/m && head -c 1500000 /dev/zero > w.bin && echo x > c.json && "
                                    "touch -d @1000000 w.bin", dir, dir);
    assert_int_equal(system(cmd), 0);
    assert_int_equal(setenv("ASSAY_CACHE", in_dir("cache"), 1), 0);
    assert_int_equal(model_digest(in_dir("m"), files, 2, false, &lines, a, NULL), OK);
    assert_int_equal(model_digest(in_dir("m"), turned, 2, false, NULL, b, NULL), OK);
    assert_memory_equal(a, b, DIGEST_B);
    assert_true(path_exists(in_dir("cache/digest")));
    assert_non_null(strstr(lines.data, "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac  c.json\n"));
    (void)snprintf(cmd, sizeof cmd, "cd %s/m && printf y | dd of=w.bin conv=notrunc status=none && touch -d @1000000 w.bin", dir);
    assert_int_equal(system(cmd), 0);
    assert_int_equal(model_digest(in_dir("m"), files, 2, false, NULL, b, NULL), OK);
    assert_int_equal(model_digest(in_dir("m"), files, 2, true, NULL, c, NULL), OK);
    assert_memory_equal(b, c, DIGEST_B); // the change time gave it away
    assert_memory_not_equal(a, b, DIGEST_B);
    (void)snprintf(cmd, sizeof cmd, "rm -rf %s/m %s/cache", dir, dir);
    assert_int_equal(system(cmd), 0);
    assert_int_equal(model_digest(in_dir("m"), files, 2, false, NULL, b, NULL), ERR_MISSING);
    buf_release(&lines);
}

static void inputs_are_told_apart(void **state)
{
    (void)state;
    struct prov *p;
    struct err err = ERR_INIT;
    char cmd[400];
    (void)snprintf(cmd, sizeof cmd, "mkdir -p %s/p %s/q && echo 1 > %s/p/x && echo 2 > %s/q/x", dir, dir, dir, dir);
    assert_int_equal(system(cmd), 0);
    assert_int_equal(prov_new(&p, "t", NULL, &err), OK);
    assert_int_equal(prov_input_file(p, in_dir("p/x"), &err), OK);
    assert_int_equal(prov_input_file(p, in_dir("p/x"), &err), OK);
    assert_int_equal(prov_input_file(p, in_dir("q/x"), &err), ERR_USAGE); // both are called x
    assert_int_equal(prov_input_bytes(p, "-", "abc", 3, &err), OK);
    assert_string_equal(prov_input_name(p, "-"), "<stdin>");
    assert_string_equal(prov_input_name(p, in_dir("p/x")), "x");
    assert_null(prov_input_name(p, "never"));
    prov_free(p);
    // A statement beside an input that does not fit its bytes is refused.
    (void)snprintf(cmd, sizeof cmd, "echo '{\"subject\":[{\"digest\":{\"sha256\":\"00\"}}],\"predicate\":{\"class\":\"exact\"}}' > %s/p/x.prov.json", dir);
    assert_int_equal(system(cmd), 0);
    assert_int_equal(prov_new(&p, "t", NULL, &err), OK);
    assert_int_equal(prov_input_file(p, in_dir("p/x"), &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "as its statement says"));
    prov_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_only_if_changed),   cmocka_unit_test(failures_leave_nothing),
        cmocka_unit_test(signals_leave_nothing),     cmocka_unit_test(a_caught_signal_is_a_flag),
        cmocka_unit_test(a_journal_resumes),         cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(one_process_at_a_time),     cmocka_unit_test(names_of_files),
        cmocka_unit_test(model_digests),             cmocka_unit_test(inputs_are_told_apart),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
