#include "eval/task_files.h"

#include <string.h>

#include "base/mem.h"

/* dir + '/' + name, without a doubled slash. */
static enum status join(struct buf *out, const char *dir, const char *name, struct err *err)
{
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    buf_clear(out);
    buf_add(out, dir, n);
    buf_char(out, '/');
    buf_str(out, name);
    return buf_status(out, "path", err);
}

static enum status read_one(struct tool *t, const char *dir, const char *name, struct buf *path, struct buf *bytes,
                            struct err *err)
{
    buf_clear(bytes);
    enum status s = join(path, dir, name, err);
    return s ? s : tool_read(t, path->data, bytes, err);
}

static const char *data_of(const struct buf *b)
{
    return b->data ? b->data : "";
}

enum status task_read(struct tool *t, const char *dir, struct task **out, struct err *err)
{
    struct buf path = BUF_INIT;
    struct buf bytes = BUF_INIT;
    struct task *task = NULL;
    enum status s;
    if (!(s = read_one(t, dir, "task.json", &path, &bytes, err)) &&
        !(s = task_parse(&task, data_of(&bytes), bytes.n, path.data, err)) &&
        !(s = read_one(t, dir, task->items, &path, &bytes, err)))
        s = task_add_items(task, data_of(&bytes), bytes.n, path.data, err);
    if (s)
        task_free(task);
    else
        *out = task;
    buf_release(&path);
    buf_release(&bytes);
    return s;
}

enum status refusal_suite_read(struct tool *t, const char *dir, struct refusal_suite **out, struct err *err)
{
    struct buf path = BUF_INIT;
    struct buf bytes = BUF_INIT;
    struct refusal_suite *suite = NULL;
    enum status s;
    if (!(s = read_one(t, dir, "suite.json", &path, &bytes, err)))
        s = refusal_suite_parse(&suite, data_of(&bytes), bytes.n, path.data, err);
    for (size_t i = 0; !s && i < suite->n_files; i++)
        if (!(s = read_one(t, dir, suite->files[i], &path, &bytes, err)))
            s = refusal_suite_add(suite, data_of(&bytes), bytes.n, path.data, err);
    if (!s)
        s = refusal_suite_check(suite, dir, err);
    if (s)
        refusal_suite_free(suite);
    else
        *out = suite;
    buf_release(&path);
    buf_release(&bytes);
    return s;
}

enum status transcripts_read(struct tool *t, const char *path, struct records **records, struct transcripts **out,
                             struct err *err)
{
    void *p;
    enum status s = tool_read_records(t, path, "transcripts", records, err);
    if (s || (s = mem_alloc(&p, records_count(*records), sizeof(const cJSON *), "transcripts", err)))
        return s;
    const cJSON **rows = p;
    for (size_t i = 0; i < records_count(*records); i++)
        rows[i] = records_at(*records, i);
    s = transcripts_new(out, rows, records_count(*records), path, err);
    mem_free(p);
    return s;
}

enum status task_check_model_name(const char *name, struct err *err)
{
    for (const char *c = name; *c; c++)
        if (*c == '/' || (unsigned char)*c < 0x20 || *c == 0x7F)
            return err_set(err, ERR_USAGE, "--model: expected a name without '/', found '%.100s'", name);
    return name[0] ? OK : err_set(err, ERR_USAGE, "--model: expected a name, found nothing");
}
