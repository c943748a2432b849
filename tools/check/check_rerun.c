#define _XOPEN_SOURCE 700
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/canon.h"
#include "check/check.h"
#include "lib/paths.h"
#include "lib/prov.h"

/* What is derived is derived again: run the tool with the recorded recipe on the recorded inputs into a
 * scratch folder, and compare bytes. Only tools that touch a model are excused; a tool this program has
 * never heard of is not. */

static bool needs_model(const char *tool)
{
    static const char *const names[] = {"infer", "latency", "memory", "energy", "ablate", "bench", "synth"};
    size_t n = strcspn(tool, " ");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == n && strncmp(names[i], tool, n) == 0)
            return true;
    return false;
}

struct rerun {
    const struct check_context *c;
    char scratch[512];
    char *abs_tree;
    const cJSON **done; /* recipes already run, by index of their folder */
    size_t n_done;
    int *rc; /* exit code of each; -1 could not start */
};

static void remove_dir(const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        struct buf p = BUF_INIT;
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        buf_printf(&p, "%s/%s", dir, e->d_name);
        if (!buf_status(&p, "path", NULL) && lstat(p.data, &st) == 0) {
            if (S_ISDIR(st.st_mode))
                remove_dir(p.data);
            else
                (void)unlink(p.data);
        }
        buf_release(&p);
    }
    if (d)
        (void)closedir(d);
    (void)rmdir(dir);
}

/* fork and exec with stdout dropped and stderr in a file; the exit code, or -1 when it did not start. */
static int run_child(char *const argv[], const char *log)
{
    pid_t pid = fork();
    if (pid < 0)
        return -1;
    if (pid == 0) {
        int out = open("/dev/null", O_RDWR);
        int e = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        if (out < 0 || e < 0 || dup2(out, 0) < 0 || dup2(out, 1) < 0 || dup2(e, 2) < 0)
            _exit(127);
        (void)execv(argv[0], argv);
        _exit(127);
    }
    int st = 0;
    while (waitpid(pid, &st, 0) < 0)
        if (errno != EINTR)
            return -1;
    if (!WIFEXITED(st))
        return 128;
    return WEXITSTATUS(st) == 127 ? -1 : WEXITSTATUS(st);
}

/* execv wants char *, and the words are never written to. */
static char *word(const char *s)
{
    union {
        const char *in;
        char *out;
    } p = {.in = s};
    return p.out;
}

static enum status run_tool(struct rerun *r, const struct tree_file *statement, size_t index, int *rc, struct err *err)
{
    const char *tool = statement->statement->tool;
    size_t n = strcspn(tool, " ");
    struct buf exe = BUF_INIT;
    struct buf rec = BUF_INIT;
    struct buf into = BUF_INIT;
    struct buf log = BUF_INIT;
    buf_printf(&exe, "%s/%.*s", r->c->bin, (int)n, tool);
    buf_printf(&rec, "%s/%s", r->abs_tree, statement->name);
    buf_printf(&into, "%s/%zu", r->scratch, index);
    buf_printf(&log, "%s/%zu.log", r->scratch, index);
    enum status s = buf_status(&exe, "path", err);
    if (!s)
        s = buf_status(&rec, "path", err);
    if (!s)
        s = buf_status(&into, "path", err);
    if (!s)
        s = buf_status(&log, "path", err);
    if (!s && mkdir(into.data, 0777) != 0)
        s = err_set_errno(err, ERR_IO, errno, "cannot make '%s'", into.data);
    if (!s) {
        char *argv[12];
        size_t k = 0;
        argv[k++] = exe.data;
        if (tool[n] == ' ')
            argv[k++] = word(tool + n + 1);
        argv[k++] = word("--recipe");
        argv[k++] = rec.data;
        argv[k++] = word("--root");
        argv[k++] = r->abs_tree;
        argv[k++] = word("--into");
        argv[k++] = into.data;
        argv[k++] = word("--quiet");
        argv[k] = NULL;
        *rc = strchr(tool, '/') ? -1 : run_child(argv, log.data);
    }
    buf_release(&exe);
    buf_release(&rec);
    buf_release(&into);
    buf_release(&log);
    return s;
}

/* First line the tool wrote on stderr. */
static void first_line(const struct rerun *r, size_t index, char *out, size_t n)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/%zu.log", r->scratch, index);
    struct buf b = BUF_INIT;
    out[0] = '\0';
    if (!path_read(path, &b, NULL))
        (void)snprintf(out, n, "%.*s", (int)strcspn(b.data, "\n"), b.data);
    buf_release(&b);
}

static bool has_input(const cJSON *inputs, const cJSON *wanted)
{
    const cJSON *in;
    cJSON_ArrayForEach(in, inputs)
    {
        if (cJSON_Compare(in, wanted, 1))
            return true;
    }
    return false;
}

/* Is what ran now the recipe that was recorded? Everything but the sources must be equal. Where the
 * sources are other ones, the tool may have gained options since, or read less: what both name must be
 * equal, and every input of now must have been recorded, so that none can be dropped by claiming age. */
static bool same_recipe(const cJSON *was, const cJSON *is)
{
    static const char *const members[] = {"tool", "seed", "parameters", "inputs"};
    bool old = !cJSON_Compare(json_get(was, "sources"), json_get(is, "sources"), 1);
    const cJSON *c;
    for (size_t i = 0; i < (old ? 2 : 4); i++) {
        const cJSON *x = json_get(was, members[i]);
        const cJSON *y = json_get(is, members[i]);
        if ((x == NULL) != (y == NULL) || (x && !cJSON_Compare(x, y, 1)))
            return false;
    }
    cJSON_ArrayForEach(c, json_get(is, "parameters"))
    {
        const cJSON *before = json_get(json_get(was, "parameters"), c->string);
        if (before && !cJSON_Compare(before, c, 1))
            return false;
    }
    cJSON_ArrayForEach(c, json_get(is, "inputs"))
    {
        if (!has_input(json_get(was, "inputs"), c))
            return false;
    }
    return true;
}

static const char *platform_digest(const cJSON *doc)
{
    const char *p = cJSON_GetStringValue(json_get(json_get(doc, "predicate"), "platformDigest"));
    return p ? p : "";
}

static enum status judge(struct rerun *r, const struct tree_file *payload, size_t index, struct err *err)
{
    const struct statement *st = payload->statement;
    const struct schema *sc = NULL;
    struct buf was = BUF_INIT;
    struct buf is = BUF_INIT;
    struct buf path = BUF_INIT;
    cJSON *doc = NULL;
    size_t line = 0;
    size_t column = 0;
    buf_printf(&path, "%s/%zu/%s", r->scratch, index, path_base(payload->name));
    enum status s = buf_status(&path, "path", err);
    if (!s)
        s = tree_read(r->c->tree, payload, &was, err);
    if (s)
        goto done;
    if (path_read(path.data, &is, NULL)) {
        char said[300];
        first_line(r, index, said, sizeof said);
        report_add(r->c->report, VERDICT_FAIL, "rerun", payload->name, "running '%s' again did not make it%s%s", st->tool,
                   *said ? ": " : "", said);
        goto done;
    }
    buf_str(&path, PROV_SUFFIX);
    (void)json_read_file(&doc, path.data, NULL);
    (void)schema_find(r->c->tree->schemas, st->schema, &sc, NULL);
    bool differ = canon_first_difference(was.data, was.n, is.data, is.n, &line, &column);
    if (differ && sc && sc->class == CLASS_PINNED && doc && strcmp(platform_digest(doc), platform_digest(st->doc)) != 0)
        report_add(r->c->report, VERDICT_SKIP, "rerun", payload->name, "rendered on another platform");
    else if (differ)
        report_add(r->c->report, VERDICT_FAIL, "rerun", payload->name, "running '%s' again differs first at %zu:%zu", st->tool,
                   line, column);
    else if (!doc || !same_recipe(st->recipe, json_get(json_get(doc, "predicate"), "recipe")))
        report_add(r->c->report, VERDICT_FAIL, "rerun", payload->name, "running '%s' again gives another recipe", st->tool);
    else
        report_add(r->c->report, VERDICT_PASS, "rerun", payload->name, "%s", st->tool);
done:
    cJSON_Delete(doc);
    buf_release(&was);
    buf_release(&is);
    buf_release(&path);
    return s;
}

static enum status check_one(struct rerun *r, const struct tree_file *payload, struct err *err)
{
    const struct statement *st = payload->statement;
    char name[1100];
    size_t i = 0;
    while (i < r->n_done && !cJSON_Compare(r->done[i], st->recipe, 1))
        i++;
    if (i == r->n_done) { // one run serves all payloads of a recipe
        (void)snprintf(name, sizeof name, "%.1000s" PROV_SUFFIX, payload->name);
        const struct tree_file *beside = tree_find(r->c->tree, name);
        enum status s = run_tool(r, beside, i, &r->rc[i], err);
        if (s)
            return s;
        r->done[r->n_done++] = st->recipe;
    }
    if (r->rc[i] < 0) {
        report_add(r->c->report, VERDICT_SKIP, "rerun", payload->name, "'%.64s' could not be started", st->tool);
        return OK;
    }
    return judge(r, payload, i, err);
}

enum status check_rerun(const struct check_context *c, struct err *err)
{
    struct rerun r = {.c = c};
    void *p = NULL;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(r.scratch, sizeof r.scratch, "%.400s/assay-verify-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(r.scratch))
        return err_set_errno(err, ERR_IO, errno, "cannot make '%s'", r.scratch);
    enum status s = OK;
    r.abs_tree = realpath(c->tree->dir, NULL);
    if (!r.abs_tree)
        s = err_set_errno(err, ERR_IO, errno, "cannot open '%s'", c->tree->dir);
    if (!s)
        s = mem_alloc(&p, c->tree->n, sizeof(const cJSON *), "recipes", err);
    if (!s)
        r.done = p;
    if (!s)
        s = mem_alloc(&p, c->tree->n, sizeof(int), "recipes", err);
    if (!s)
        r.rc = p;
    for (size_t i = 0; i < c->tree->n && !s; i++) {
        const struct tree_file *f = &c->tree->files[i];
        if (tree_is_payload(f) && f->statement && f->statement->sound && !needs_model(f->statement->tool))
            s = check_one(&r, f, err);
    }
    mem_free(r.done);
    mem_free(r.rc);
    free(r.abs_tree);
    remove_dir(r.scratch);
    return s;
}
