#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "drive/bench_run.h"

extern char **environ; // POSIX: declared by the program

/* A peer's output while it is read. */
struct talk {
    const struct bench_cells *cells;
    struct bench_sample *samples;
    struct bench_peer_name *name;
    size_t n_lines;
    char line_name[32]; // "peer:3", for messages
};

static enum status take_name(struct talk *t, const cJSON *o, struct err *err)
{
    const char *engine;
    const char *version;
    enum status s = json_get_str(o, "engine", t->line_name, &engine, err);
    if (!s)
        s = json_get_str(o, "version", t->line_name, &version, err);
    if (!s && (!*engine || !*version || strcmp(engine, "assay") == 0 || strcmp(engine, "machine") == 0))
        s = err_set(err, ERR_FORMAT, "%s: expected the peer's own name and version, found '%.40s' '%.40s'", t->line_name, engine, version);
    if (s)
        return s;
    (void)snprintf(t->name->engine, sizeof t->name->engine, "%s", engine);
    (void)snprintf(t->name->version, sizeof t->name->version, "%s", version);
    return OK;
}

static enum status take_cell(struct talk *t, const cJSON *o, struct err *err)
{
    const char *name;
    enum status s = json_get_str(o, "cell", t->line_name, &name, err);
    if (s)
        return s;
    size_t i = 0;
    while (i < t->cells->n && strcmp(t->cells->items[i].name, name) != 0)
        i++;
    if (i == t->cells->n || t->samples[i].status == OK)
        return err_set(err, ERR_FORMAT, "%s: expected a cell that was asked for, once; found '%.40s'", t->line_name, name);
    struct bench_sample *p = &t->samples[i];
    const enum bench_work work = t->cells->items[i].work;
    int64_t v = 0;
    if (json_get(o, "reason")) {
        const char *reason;
        if ((s = json_get_str(o, "reason", t->line_name, &reason, err)))
            return s;
        p->status = ERR_UNSUPPORTED;
        (void)snprintf(p->reason, sizeof p->reason, "%.150s", reason);
        return OK;
    }
    if (work == BENCH_PEAK) {
        s = json_get_i64(o, "peak_rss_b", 1, INT64_MAX / 2, t->line_name, &p->peak_rss_b, err);
    } else {
        s = json_get_i64(o, "ns", 1, INT64_MAX / 2, t->line_name, &v, err);
        p->ns = (uint64_t)v;
        if (!s && (work == BENCH_PREFILL || work == BENCH_DECODE)) {
            const struct bench_cell *c = &t->cells->items[i];
            const int64_t n_tok = (int64_t)(work == BENCH_PREFILL ? c->in_tok : c->out_tok * c->batch);
            s = json_get_i64(o, "n_tok", n_tok, n_tok, t->line_name, &v, err); // equal work, or no comparison
            p->n_tok = (uint64_t)v;
        }
    }
    if (!s) {
        p->status = OK;
        p->reason[0] = '\0';
    }
    return s;
}

static enum status take_line(struct talk *t, const char *line, size_t n, struct err *err)
{
    cJSON *o = NULL;
    (void)snprintf(t->line_name, sizeof t->line_name, "peer:%zu", ++t->n_lines);
    enum status s = json_parse(&o, line, n, t->line_name, err);
    if (!s)
        s = t->n_lines == 1 ? take_name(t, o, err) : take_cell(t, o, err);
    cJSON_Delete(o);
    return s;
}

static enum status start(const char *command, const char *model, size_t n_threads, const struct bench_cells *cells,
                         pid_t *pid, int *out_fd, struct err *err)
{
    int fd[2];
    char threads[24];
    char *script = NULL;
    void *p;
    const size_t n_args = 6 + cells->n;
    enum status s = mem_alloc(&p, n_args + 1, sizeof(char *), "arguments of the peer", err);
    if (s)
        return s;
    char **argv = p;
    struct buf text = BUF_INIT;
    buf_printf(&text, "exec %s \"$@\"", command);
    if ((s = buf_status(&text, "command of the peer", err)))
        goto free_args;
    (void)snprintf(threads, sizeof threads, "%zu", n_threads);
    script = text.data;
    // posix_spawn takes strings that it may not change as if it might: copies would be the only other way.
    const char *const fixed[] = {"sh", "-c", script, "peer", model, threads};
    memcpy(argv, fixed, sizeof fixed);
    for (size_t k = 0; k < cells->n; k++) {
        const char *name = cells->items[cells->order[k]].name;
        memcpy(&argv[6 + k], &name, sizeof name);
    }
    if (pipe(fd)) {
        s = err_set_errno(err, ERR_DEVICE, errno, "cannot open a pipe to the peer");
        goto free_args;
    }
    (void)fcntl(fd[0], F_SETFD, FD_CLOEXEC);
    posix_spawn_file_actions_t actions;
    int e = posix_spawn_file_actions_init(&actions);
    if (!e) {
        e = posix_spawn_file_actions_adddup2(&actions, fd[1], STDOUT_FILENO);
        if (!e)
            e = posix_spawn_file_actions_addclose(&actions, fd[1]);
        if (!e)
            e = posix_spawnp(pid, "sh", &actions, NULL, argv, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    (void)close(fd[1]);
    *out_fd = fd[0];
    if (e) {
        (void)close(fd[0]);
        s = err_set_errno(err, ERR_DEVICE, e, "cannot start the peer '%.100s'", command);
    }
free_args:
    buf_release(&text);
    mem_free(argv);
    return s;
}

/* Read to the end of the output, whatever was wrong with it: a peer must not die of a closed pipe and be
 * blamed for that. The first mistake is kept. */
static enum status listen_to(struct talk *t, int fd, struct err *err)
{
    FILE *f = fdopen(fd, "r");
    if (!f) {
        (void)close(fd);
        return err_set_errno(err, ERR_DEVICE, errno, "cannot read what the peer prints");
    }
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    enum status s = OK;
    while ((n = getline(&line, &cap, f)) > 0) {
        if (line[n - 1] == '\n')
            n--;
        if (!s)
            s = take_line(t, line, (size_t)n, err);
    }
    free(line);
    (void)fclose(f);
    return s;
}

enum status bench_visit_peer(const char *command, const char *model, size_t n_threads, const struct bench_cells *cells,
                             struct bench_sample *samples, struct bench_peer_name *name, struct err *err)
{
    pid_t pid;
    int fd = -1;
    int wstatus = 0;
    struct err said = ERR_INIT;
    memset(samples, 0, cells->n * sizeof *samples);
    *name = (struct bench_peer_name){.engine = "peer", .version = "unknown"};
    for (size_t k = 0; k < cells->n; k++) {
        struct bench_sample *p = &samples[cells->order[k]];
        p->status = ERR_MISSING;
        p->peak_rss_b = -1;
        p->order_idx = k;
    }
    enum status s = start(command, model, n_threads, cells, &pid, &fd, err);
    if (s)
        return s;
    struct talk t = {.cells = cells, .samples = samples, .name = name};
    s = listen_to(&t, fd, &said);
    while (waitpid(pid, &wstatus, 0) < 0 && errno == EINTR)
        ;
    char why[160];
    if (s)
        (void)snprintf(why, sizeof why, "%.150s", said.text);
    else if (WIFSIGNALED(wstatus))
        (void)snprintf(why, sizeof why, "the peer was ended by signal %d", WTERMSIG(wstatus));
    else if (WEXITSTATUS(wstatus))
        (void)snprintf(why, sizeof why, "the peer ended with exit status %d", WEXITSTATUS(wstatus));
    else
        (void)snprintf(why, sizeof why, "the peer said nothing of this cell");
    const bool broken = s || wstatus;
    for (size_t i = 0; i < cells->n; i++)
        if (broken || (samples[i].status == ERR_MISSING && !samples[i].reason[0])) {
            samples[i].status = broken ? ERR_FORMAT : ERR_MISSING;
            (void)snprintf(samples[i].reason, sizeof samples[i].reason, "%s", why);
        }
    return OK;
}
