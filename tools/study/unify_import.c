#include "study/unify_import.h"

#include <string.h>

#include "base/digest.h"
#include "base/mapfile.h"

struct args {
    const char *schema, *repository, *commit, *blob, *licence;
};

static const struct cli_option options[] = {
    CLI_TEXT(struct args, schema, CLI_RECIPE, "schema", 0, "NAME", CLI_REQUIRED, "what the file is: study_latency, study_memory, study_energy, ..."),
    CLI_TEXT(struct args, repository, CLI_RECIPE, "repository", 0, "NAME", CLI_REQUIRED, "where it was published"),
    CLI_TEXT(struct args, commit, CLI_RECIPE, "commit", 0, "HEX", CLI_REQUIRED, "commit it was taken from"),
    CLI_TEXT(struct args, blob, CLI_RECIPE, "blob", 0, "HEX", CLI_REQUIRED, "git blob id, at least 12 digits: the bytes must have it"),
    CLI_TEXT(struct args, licence, CLI_RECIPE, "licence", 0, "NAME", CLI_REQUIRED, "licence it was published under"),
    CLI_END,
};

/* The file is checked to be what its schema says before it is let in. */
static enum status check(const struct args *a, const char *path, const struct mapfile *m, struct err *err)
{
    char id[DIGEST_GIT_HEX_LEN + 1];
    struct table *t = NULL;
    enum status s = digest_git_blob(m->data, m->size, id, err);
    size_t n = strlen(a->blob);
    if (!s && (n < 12 || n > DIGEST_GIT_HEX_LEN || strncmp(a->blob, id, n) != 0))
        s = err_set(err, ERR_FORMAT, "%s: expected git blob %s, found %s", path, a->blob, id);
    if (!s)
        s = table_parse(&t, a->schema, (const char *)m->data, m->size, path, TABLE_ANY, err);
    table_free(t);
    return s;
}

static enum status run(struct tool *t, const void *args, struct err *err)
{
    const struct args *a = args;
    const char *path = tool_operands(t).items[0];
    struct mapfile m;
    enum status s = mapfile_open(&m, path, err);
    if (s)
        return s;
    s = check(a, path, &m, err);
    if (!s)
        s = tool_put(t, tool_out(t), a->schema, m.data, m.size, err);
    mapfile_close(&m);
    return s;
}

const struct tool_def unify_import = {
    .name = "import",
    .summary = "bring a published file into a results tree, with where it came from",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .common = TOOL_OUT,
    .args_b = sizeof(struct args),
    .run = run,
};
