#define _XOPEN_SOURCE 700
#include <string.h>
#include <sys/stat.h>

#include "lib/outfile.h"
#include "lib/paths.h"
#include "lib/tool_internal.h"

enum status tool_read(struct tool *t, const char *path, struct buf *out, struct err *err)
{
    enum status s = path_read(path, out, err);
    return s ? s : prov_input_bytes(t->prov, path, out->data, out->n, err);
}

static const char *label(const char *path)
{
    return strcmp(path, "-") == 0 ? "<stdin>" : path;
}

enum status tool_read_table(struct tool *t, const char *path, const char *schema, struct table **out,
                            struct err *err)
{
    struct buf b = BUF_INIT;
    enum status s = tool_read(t, path, &b, err);
    if (!s && b.n && b.data[0] == '{')
        s = table_parse_json(out, schema, b.data, b.n, label(path), TABLE_ANY, err);
    else if (!s)
        s = table_parse(out, schema, b.data, b.n, label(path), TABLE_ANY, err);
    buf_release(&b);
    return s;
}

enum status tool_read_records(struct tool *t, const char *path, const char *schema, struct records **out,
                              struct err *err)
{
    struct buf b = BUF_INIT;
    enum status s = tool_read(t, path, &b, err);
    if (!s)
        s = records_parse(out, schema, b.data, b.n, label(path), RECORDS_ANY, err);
    buf_release(&b);
    return s;
}

enum status tool_input_model(struct tool *t, const char *source, const char *name, const char *dir,
                             const char *const *files, size_t n, struct err *err)
{
    return prov_input_model(t->prov, source, name, dir, files, n, err);
}

enum status tool_input_definition(struct tool *t, const char *source, const char *name, const char *definition,
                                  struct err *err)
{
    return prov_input_definition(t->prov, source, name, definition, err);
}

/* A statement belongs beside a regular file, not beside /dev/null or a pipe. */
static bool takes_statement(const char *path)
{
    struct stat st;
    return path && strcmp(path, "-") != 0 && (stat(path, &st) != 0 || S_ISREG(st.st_mode));
}

static enum status put_file(struct tool *t, const char *path, const void *data, size_t n, struct err *err)
{
    struct outfile *o;
    if (t->n_pending == TOOL_N_PENDING)
        return err_set(err, ERR_USAGE, "cannot write '%s': expected at most %d files, found more", path, TOOL_N_PENDING);
    enum status s = outfile_open(&o, path, err);
    if (s)
        return s;
    if ((s = outfile_write(o, data, n, err)) || (s = outfile_flush(o, err))) {
        outfile_abort(o);
        return s;
    }
    t->pending[t->n_pending++] = o;
    return OK;
}

/* All files are whole before the first is renamed, so the window in which some are new and some old is a
 * few system calls wide; make sees no stage.stamp then and runs the stage again. */
enum status tool_commit(struct tool *t, struct err *err)
{
    enum status s = OK;
    for (size_t i = 0; i < t->n_pending; i++) {
        if (s)
            outfile_abort(t->pending[i]);
        else
            s = outfile_commit(t->pending[i], NULL, err);
    }
    t->n_pending = 0;
    return s;
}

void tool_drop(struct tool *t)
{
    for (size_t i = 0; i < t->n_pending; i++)
        outfile_abort(t->pending[i]);
    t->n_pending = 0;
}

static enum status put(struct tool *t, const char *path, const struct schema *schema, const void *data, size_t n,
                       struct err *err)
{
    struct buf statement = BUF_INIT;
    struct buf beside = BUF_INIT;
    uint8_t d[DIGEST_B];
    enum status s = OK;
    bool to_file = takes_statement(path);
    if (to_file)
        buf_printf(&beside, "%s" PROV_SUFFIX, path);
    else if (t->common.statement)
        buf_str(&beside, t->common.statement);
    if (beside.n) {
        s = tool_record_options(t, err);
        if (!s)
            s = digest_bytes(data, n, d, err);
        if (!s)
            s = prov_statement(t->prov, schema, to_file ? path_base(path) : "<stdout>", d, &statement, err);
        if (!s)
            s = buf_status(&beside, "path", err);
    }
    progress_break(t->progress);
    if (!s)
        s = put_file(t, path, data, n, err);
    if (!s && beside.n)
        s = put_file(t, beside.data, statement.data, statement.n, err);
    buf_release(&statement);
    buf_release(&beside);
    return s;
}

enum status tool_put_table(struct tool *t, const char *path, struct table *table, struct err *err)
{
    struct buf b = BUF_INIT;
    enum status s = tool_json(t) ? table_write_json(table, &b, err) : table_write_csv(table, &b, err);
    if (!s)
        s = put(t, path, table_schema(table), b.data, b.n, err);
    buf_release(&b);
    return s;
}

enum status tool_put_records(struct tool *t, const char *path, struct records *records, struct err *err)
{
    struct buf b = BUF_INIT;
    enum status s = records_write(records, &b, err);
    if (!s)
        s = put(t, path, records_schema(records), b.n ? b.data : "", b.n, err);
    buf_release(&b);
    return s;
}

enum status tool_put(struct tool *t, const char *path, const char *schema, const void *data, size_t n,
                     struct err *err)
{
    struct schema *sc;
    enum status s = schema_load(&sc, schema, err);
    if (s)
        return s;
    s = put(t, path, sc, data, n, err);
    schema_free(sc);
    return s;
}
