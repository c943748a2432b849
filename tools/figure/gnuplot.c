#include "figure/gnuplot.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "base/mem.h"

extern char **environ;

void gnuplot_quote(struct buf *out, const char *text)
{
    buf_char(out, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_char(out, '\'');
        buf_char(out, *text == '\n' ? ' ' : *text);
    }
    buf_char(out, '\'');
}

/* The caller's environment without what could change the picture, plus what fixes it. The strings
 * are borrowed, the array is the caller's. */
static enum status make_env(char ***out, char *locale, char *epoch, struct err *err)
{
    static const char *const drop[] = {"LC_", "LANG", "GNUTERM=", "GNUPLOT", "SOURCE_DATE_EPOCH="};
    size_t n = 0, kept = 0;
    void *mem = NULL;
    while (environ[n])
        n++;
    enum status st = mem_alloc(&mem, n + 3, sizeof(char *), "environment", err);
    if (st)
        return st;
    char **env = mem;
    for (size_t i = 0; i < n; i++) {
        bool dropped = false;
        for (size_t j = 0; j < sizeof drop / sizeof drop[0]; j++)
            dropped = dropped || strncmp(environ[i], drop[j], strlen(drop[j])) == 0;
        if (!dropped)
            env[kept++] = environ[i];
    }
    env[kept++] = locale;
    env[kept++] = epoch;
    env[kept] = NULL;
    *out = env;
    return OK;
}

/* The first line of gnuplot's stderr that is a complaint about the script: an "error" or "warning:",
 * or with `any` simply the first non-blank line. Font configuration chatter is not about the script. */
static bool first_complaint(FILE *log, bool any, char *line, size_t line_b)
{
    rewind(log);
    while (fgets(line, (int)line_b, log)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "Fontconfig", 10) == 0 || line[strspn(line, " \t^")] == '\0')
            continue;
        if (strstr(line, "warning:") || strstr(line, "error") || (any && strstr(line, "line ")))
            return true;
    }
    return false;
}

/* Run `gnuplot OPTION` with stdin from script (may be NULL) and stdout and stderr into log. */
static enum status spawn_gnuplot(char *option, FILE *script, FILE *log, int *wait_status, struct err *err)
{
    char name[] = "gnuplot", locale[] = "LC_ALL=C.UTF-8", epoch[] = "SOURCE_DATE_EPOCH=0";
    char *argv[] = {name, option, NULL};
    char **env = NULL;
    pid_t pid = 0;
    posix_spawn_file_actions_t act;
    enum status st = make_env(&env, locale, epoch, err);
    if (st)
        return st;
    int rc = posix_spawn_file_actions_init(&act);
    if (rc) {
        mem_free(env);
        return err_set_errno(err, ERR_MEMORY, rc, "cannot prepare to start gnuplot");
    }
    if (script)
        rc = posix_spawn_file_actions_adddup2(&act, fileno(script), 0);
    if (!rc)
        rc = posix_spawn_file_actions_adddup2(&act, fileno(log), 1);
    if (!rc)
        rc = posix_spawn_file_actions_adddup2(&act, fileno(log), 2);
    if (!rc)
        rc = posix_spawnp(&pid, name, &act, NULL, argv, env);
    posix_spawn_file_actions_destroy(&act);
    mem_free(env);
    if (rc)
        return err_set_errno(err, ERR_DEVICE, rc, "cannot start 'gnuplot' (package gnuplot-nox)");
    while (waitpid(pid, wait_status, 0) < 0)
        if (errno != EINTR)
            return err_set_errno(err, ERR_IO, errno, "cannot wait for gnuplot");
    return OK;
}

/* Overwrite the date of a PDF in place, same length, so that no offset of its cross-reference table
 * moves: "/CreationDate (D:20260131235959Z)" -> all zeros but a valid date. */
static void erase_pdf_date(char *data, size_t n)
{
    static const char key[] = "/CreationDate (D:", fixed[] = "19700101000000";
    for (size_t at = 0; at + sizeof key + sizeof fixed < n; at++) {
        if (memcmp(data + at, key, sizeof key - 1) == 0) {
            memcpy(data + at + sizeof key - 1, fixed, sizeof fixed - 1);
            return;
        }
    }
}

/* gnuplot does not look whether its writes succeed: on a full disk it ends well with half a picture. */
static bool is_whole(const struct mapfile *m, enum plot_format format)
{
    static const char *const ends[] = {[PLOT_SVG] = "</svg>", [PLOT_PDF] = "%%EOF"};
    size_t n = m->size;
    while (n && (m->data[n - 1] == '\n' || m->data[n - 1] == '\r'))
        n--;
    size_t len = strlen(ends[format]);
    return n >= len && memcmp(m->data + n - len, ends[format], len) == 0;
}

static enum status read_picture(struct buf *out, const char *path, enum plot_format format,
                                struct err *err)
{
    struct mapfile m = {0};
    enum status st = mapfile_open(&m, path, err);
    if (st)
        return st;
    if (m.size == 0) {
        st = err_set(err, ERR_FORMAT, "cannot draw '%s': gnuplot drew nothing (a script without a plot, or a full disk)", path);
    } else if (!is_whole(&m, format)) {
        st = err_set(err, ERR_IO, "cannot draw '%s': expected a whole picture, found %zu bytes without its end (a full disk?)",
                     path, m.size);
    } else {
        size_t at = out->n;
        buf_add(out, m.data, m.size);
        st = buf_status(out, "picture", err);
        if (!st && format == PLOT_PDF)
            erase_pdf_date(out->data + at, m.size);
    }
    mapfile_close(&m);
    return st;
}

enum status gnuplot_render(struct buf *out, const char *script, enum plot_format format,
                           const char *scratch, struct err *err)
{
    char line[512];
    int wait_status = 0, fd = -1;
    FILE *in = NULL, *log = NULL;
    struct buf path = BUF_INIT, head = BUF_INIT;
    enum status st = OK;

    buf_printf(&path, "%s.XXXXXX", scratch);
    st = buf_status(&path, "scratch path", err);
    if (st)
        goto out;
    fd = mkstemp(path.data);
    if (fd < 0) {
        st = err_set_errno(err, ERR_IO, errno, "cannot make '%s'", path.data);
        goto out;
    }
    close(fd);
    buf_printf(&head, "format = '%s'\noutput = ", format == PLOT_SVG ? "svg" : "pdf");
    gnuplot_quote(&head, path.data);
    buf_char(&head, '\n');
    st = buf_status(&head, "gnuplot script", err);
    if (st)
        goto unlink_scratch;

    /* The whole script stands in a file before gnuplot starts: unlike a pipe it cannot break half
     * way, so a gnuplot that dies early is an exit status and never a SIGPIPE. */
    in = tmpfile();
    log = tmpfile();
    if (!in || !log) {
        st = err_set_errno(err, ERR_IO, errno, "cannot make a temporary file");
        goto unlink_scratch;
    }
    if (fputs(head.data, in) == EOF || fputs(script, in) == EOF || fflush(in) == EOF) {
        st = err_set_errno(err, ERR_IO, errno, "cannot write the gnuplot script");
        goto unlink_scratch;
    }
    rewind(in);
    char fresh[] = "--default-settings";
    st = spawn_gnuplot(fresh, in, log, &wait_status, err);
    if (st)
        goto unlink_scratch;
    bool failed = !WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0;
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 127)
        st = err_set(err, ERR_DEVICE, "cannot start 'gnuplot' (package gnuplot-nox)");
    else if (first_complaint(log, failed, line, sizeof line))
        st = err_set(err, ERR_FORMAT, "gnuplot: %s", line);
    else if (failed)
        st = err_set(err, ERR_FORMAT, "gnuplot ended with wait status 0x%x and no message",
                     (unsigned)wait_status);
    else
        st = read_picture(out, path.data, format, err);

unlink_scratch:
    unlink(path.data);
out:
    if (in)
        fclose(in);
    if (log)
        fclose(log);
    buf_release(&path);
    buf_release(&head);
    return st;
}

enum status gnuplot_version(struct buf *out, struct err *err)
{
    char line[128] = "", option[] = "--version";
    int wait_status = 0;
    FILE *log = tmpfile();
    if (!log)
        return err_set_errno(err, ERR_IO, errno, "cannot make a temporary file");
    enum status st = spawn_gnuplot(option, NULL, log, &wait_status, err);
    rewind(log);
    if (!st && (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) || !fgets(line, sizeof line, log)))
        st = err_set(err, ERR_DEVICE, "'gnuplot --version' prints nothing");
    fclose(log);
    line[strcspn(line, "\n")] = '\0';
    if (!st)
        buf_str(out, line);
    return st ? st : buf_status(out, "version", err);
}
