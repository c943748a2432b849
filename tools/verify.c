#define _XOPEN_SOURCE 700
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check/check.h"
#include "lib/outfile.h"
#include "lib/paths.h"
#include "lib/tool.h"

/* verify: checks results trees, compares two, and writes the lists that are committed. It builds
 * nothing, repairs nothing, and fails closed. */

struct verify_args {
    struct cli_texts trees;
    const char *expected, *bin, *models, *allow, *format;
    bool all;
};

#define FORMAT(S) CLI_CHOICE(S, format, CLI_RUN, "format", 0, "text|json", "text", "form of the report")
#define ALL(S) CLI_FLAG(S, all, CLI_RUN, "all", 'a', "also print what passed, and what older sources made")
#define ALLOW(S) \
    CLI_TEXT(S, allow, CLI_RUN, "allow", 0, "FILE", NULL, "list of skips that are accepted (pipelines/verify.allow)")

static const struct cli_option verify_options[] = {
    CLI_TEXTS(struct verify_args, trees, CLI_RUN, "tree", 'd', "DIR",
              "results set to check; without it, every one in results/ and build/out/"),
    CLI_TEXT(struct verify_args, expected, CLI_RUN, "expected", 'e', "FILE", NULL,
             "digests that must come out, as in results/expected/"),
    CLI_TEXT(struct verify_args, bin, CLI_RUN, "bin", 0, "DIR", NULL, "tools to run again (this program's folder)"),
    CLI_TEXT(struct verify_args, models, CLI_RUN, "models", 0, "FILE", NULL, "model digests (pipelines/models.lock)"),
    ALLOW(struct verify_args),
    FORMAT(struct verify_args),
    ALL(struct verify_args),
    CLI_END};

struct compare_args {
    const char *expected, *bands, *allow, *format;
    bool all;
};

static const struct cli_option compare_options[] = {
    CLI_TEXT(struct compare_args, expected, CLI_RUN, "expected", 'e', "FILE", NULL,
             "digests that must come out of the first tree"),
    CLI_TEXT(struct compare_args, bands, CLI_RUN, "bands", 0, "FILE", NULL, "bands of measured values (pipelines/bands.csv)"),
    ALLOW(struct compare_args),
    FORMAT(struct compare_args),
    ALL(struct compare_args),
    CLI_END};

/* A file of the sources: given, else below the source root of the working directory. NULL if absent. */
static const char *source_file(const char *given, const char *name, struct buf *out)
{
    struct buf top = BUF_INIT;
    const char *found = given;
    if (!given && path_source_root(".", &top)) {
        buf_printf(out, "%s/%s", top.data, name);
        if (!buf_status(out, "path", NULL) && path_exists(out->data))
            found = out->data;
    }
    buf_release(&top);
    return found;
}

static enum status show(struct tool *t, const struct report *r, const char *format, bool all, struct err *err)
{
    struct buf b = BUF_INIT;
    enum status s = OK;
    if (strcmp(format, "json") == 0)
        s = report_json(r, &b, err);
    else
        report_text(r, "verify", all, &b);
    if (!s)
        s = buf_status(&b, "report", err);
    if (!s)
        s = outfile_put(tool_out(t), b.data, b.n, NULL, err);
    if (!s && !report_good(r))
        tool_answer_no(t);
    buf_release(&b);
    return s;
}

static enum status finish(struct tool *t, struct report *r, const char *allow, const char *format, bool all,
                          struct err *err)
{
    struct buf path = BUF_INIT;
    const char *list = source_file(allow, "pipelines/verify.allow", &path);
    enum status s = list ? report_allow(r, list, err) : OK;
    if (!s)
        s = show(t, r, format, all, err);
    buf_release(&path);
    return s;
}

static enum status own_folder(struct buf *out, struct err *err)
{
    char self[1024];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return err_set(err, ERR_UNSUPPORTED, "cannot tell where this program lies; give --bin");
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    buf_str(out, self);
    return buf_status(out, "path", err);
}

static enum status check_tree(struct tool *t, const struct verify_args *a, const char *dir, struct report *r, struct err *err)
{
    struct buf bin = BUF_INIT;
    struct buf models = BUF_INIT;
    struct tree *tree = NULL;
    enum status s = tree_open(&tree, dir, err);
    if (!s && !a->bin)
        s = own_folder(&bin, err);
    if (!s) {
        struct check_context c = {.tree = tree,
                                  .report = r,
                                  .bin = a->bin ? a->bin : bin.data,
                                  .models = source_file(a->models, "pipelines/models.lock", &models),
                                  .expected = a->expected};
        tool_note(t, "%s: %zu files", dir, tree->n);
        if (tree->n == 0)
            report_add(r, VERDICT_MISSING, "tree", path_base(dir), "it is empty");
        s = check_all(&c, err);
    }
    tree_free(tree);
    buf_release(&bin);
    buf_release(&models);
    return s;
}

/* Result sets of a folder: its sub-folders, without the schemas and the lists of expected digests. */
static enum status check_sets(struct tool *t, const struct verify_args *a, const char *root, const char *below,
                              struct report *r, size_t *n, struct err *err)
{
    struct buf dir = BUF_INIT;
    enum status s = OK;
    buf_printf(&dir, "%s/%s", root, below);
    DIR *d = buf_status(&dir, "path", NULL) ? NULL : opendir(dir.data);
    const struct dirent *e;
    while (d && !s && (e = readdir(d))) {
        struct buf set = BUF_INIT;
        struct stat st;
        const char *name = e->d_name;
        const char *dot = strrchr(name, '.'); // build/out/tiny.make holds stamps
        if (name[0] == '.' || dot || strcmp(name, "schemas") == 0 || strcmp(name, "expected") == 0)
            continue;
        buf_printf(&set, "%s/%s", dir.data, name);
        s = buf_status(&set, "path", err);
        if (!s && stat(set.data, &st) == 0 && S_ISDIR(st.st_mode)) {
            ++*n;
            struct verify_args one = *a;
            struct buf expected = BUF_INIT;
            buf_printf(&expected, "%s/results/expected/%s.sha256", root, name);
            if (!a->expected && !buf_status(&expected, "path", NULL) && path_exists(expected.data))
                one.expected = expected.data;
            s = check_tree(t, &one, set.data, r, err);
            buf_release(&expected);
        }
        buf_release(&set);
    }
    if (d)
        (void)closedir(d);
    buf_release(&dir);
    return s;
}

static enum status check_everything(struct tool *t, const struct verify_args *a, struct report *r, struct err *err)
{
    struct buf top = BUF_INIT;
    size_t n = 0;
    if (!path_source_root(".", &top)) {
        buf_release(&top);
        return err_set(err, ERR_USAGE, "not below a source tree; give --tree DIR");
    }
    enum status s = check_sets(t, a, top.data, "results", r, &n, err);
    if (!s)
        s = check_sets(t, a, top.data, "build/out", r, &n, err);
    if (!s && n == 0)
        report_add(r, VERDICT_MISSING, "tree", "results", "there is no result set; `make reproduce` makes one");
    buf_release(&top);
    return s;
}

static enum status run_verify(struct tool *t, const void *args, struct err *err)
{
    const struct verify_args *a = args;
    struct report *r;
    enum status s = report_new(&r, err);
    if (s)
        return s;
    for (size_t i = 0; i < a->trees.n && !s; i++)
        s = check_tree(t, a, a->trees.items[i], r, err);
    if (a->trees.n == 0)
        s = check_everything(t, a, r, err);
    if (!s)
        s = finish(t, r, a->allow, a->format, a->all, err);
    report_free(r);
    return s;
}

static enum status run_compare(struct tool *t, const void *args, struct err *err)
{
    const struct compare_args *a = args;
    struct cli_texts dirs = tool_operands(t);
    struct report *r = NULL;
    struct tree *x = NULL;
    struct tree *y = NULL;
    struct buf bands = BUF_INIT;
    enum status s = report_new(&r, err);
    if (!s)
        s = tree_open(&x, dirs.items[0], err);
    if (!s)
        s = tree_open(&y, dirs.items[1], err);
    if (!s)
        s = check_compare(x, y, source_file(a->bands, "pipelines/bands.csv", &bands), r, err);
    if (!s && a->expected) {
        struct check_context c = {.tree = x, .report = r, .expected = a->expected};
        s = check_expected_digests(&c, err);
    }
    if (!s)
        s = finish(t, r, a->allow, a->format, a->all, err);
    tree_free(x);
    tree_free(y);
    report_free(r);
    buf_release(&bands);
    return s;
}

/* Print one list of a tree: what tree_expected or tree_models says. */
static enum status print_list(struct tool *t, enum status (*list)(const struct tree *, struct buf *, struct err *),
                              struct err *err)
{
    struct tree *tree;
    struct buf b = BUF_INIT;
    enum status s = tree_open(&tree, tool_operands(t).items[0], err);
    if (s)
        return s;
    s = list(tree, &b, err);
    if (!s)
        s = outfile_put(tool_out(t), b.n ? b.data : "", b.n, NULL, err);
    tree_free(tree);
    buf_release(&b);
    return s;
}

static enum status run_expected(struct tool *t, const void *args, struct err *err)
{
    (void)args;
    return print_list(t, tree_expected, err);
}

static enum status run_models(struct tool *t, const void *args, struct err *err)
{
    (void)args;
    return print_list(t, tree_models, err);
}

static enum status run_manifest(struct tool *t, const void *args, struct err *err)
{
    (void)args;
    return print_list(t, tree_manifest, err);
}

static const struct tool_def manifest = {
    .name = "manifest",
    .summary = "print `sha256  name` of every file that belongs into the tree's SHA256SUMS",
    .operands = "TREE",
    .min_operands = 1,
    .max_operands = 1,
    .common = TOOL_OUT,
    .run = run_manifest,
};

static const struct tool_def compare = {
    .name = "compare",
    .summary = "hold a new results tree against a committed one",
    .operands = "NEW COMMITTED",
    .min_operands = 2,
    .max_operands = 2,
    .options = compare_options,
    .common = TOOL_OUT,
    .args_b = sizeof(struct compare_args),
    .run = run_compare,
};

static const struct tool_def expected = {
    .name = "expected",
    .summary = "print `sha256  name` of every result that is exact to its leaves",
    .operands = "TREE",
    .min_operands = 1,
    .max_operands = 1,
    .common = TOOL_OUT,
    .run = run_expected,
};

static const struct tool_def models = {
    .name = "models",
    .summary = "print `sha256  model:NAME` of every model a tree was made from, for pipelines/models.lock",
    .operands = "TREE",
    .min_operands = 1,
    .max_operands = 1,
    .common = TOOL_OUT,
    .run = run_models,
};

static const struct tool_def verify = {
    .name = "verify",
    .summary = "check every hash, chain and expected digest of results trees; fails closed",
    .options = verify_options,
    .common = TOOL_OUT,
    .args_b = sizeof(struct verify_args),
    .run = run_verify,
    .commands = (const struct tool_def *const[]){&manifest, &compare, &expected, &models, NULL},
};

int main(int argc, char **argv)
{
    return tool_main(&verify, argc, argv);
}
