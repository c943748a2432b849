/* plot - draw figures from result files, and write the numbers of the paper.
 *
 * plot figure reads one description (figs/NAME.gp) and writes three files: NAME.gp with the data inline,
 * which is the hashed result, and its renderings NAME.svg and NAME.pdf.
 * plot numbers writes every value the paper prints as a LaTeX macro. */
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/json.h"
#include "figure/figure_desc.h"
#include "figure/figure_tex.h"
#include "figure/gnuplot.h"
#include "lib/tool.h"

/* The inputs queries may name: option, and schema of the file. */
enum { IN_UNIFIED, IN_APE, IN_REQUESTS, IN_HEADLINES, IN_CORRECTED, N_INPUTS };

static const struct {
    const char *name, *schema;
} inputs[N_INPUTS] = {[IN_UNIFIED] = {"unified", "unified"},
                      [IN_APE] = {"ape", "ape"},
                      [IN_REQUESTS] = {"requests", "requests_log"},
                      [IN_HEADLINES] = {"headlines", "study_headlines"},
                      [IN_CORRECTED] = {"corrected", "study_corrected"}};

#define ABSENT "not available on this machine"

struct plot_args {
    struct cli_texts file[N_INPUTS];
    struct cli_texts absent; /* names of inputs this machine does not have */
    const char *style, *manifest, *values;
};

#define PLOT_INPUT(i, name, help) CLI_TEXTS(struct plot_args, file[i], CLI_INPUT, name, 0, "FILE", help)
#define PLOT_ABSENT                                                                              \
    CLI_TEXTS(struct plot_args, absent, CLI_RECIPE, "absent", 0, "NAME",                        \
              "an input this machine does not have; what asks for it says so")

static const struct cli_option figure_options[] = {
    PLOT_INPUT(IN_UNIFIED, "unified", "unified.csv: every metric of every stage"),
    PLOT_INPUT(IN_APE, "ape", "ape.csv: efficiency per active parameter"),
    PLOT_INPUT(IN_REQUESTS, "requests", "requests.csv of latency: one row a timed request"),
    PLOT_ABSENT,
    CLI_TEXT(struct plot_args, style, CLI_INPUT, "style", 0, "FILE", "figs/style.gp", "common look of the figures"),
    CLI_END};

static const struct cli_option numbers_options[] = {
    PLOT_INPUT(IN_UNIFIED, "unified", "unified.csv: every metric of every stage"),
    PLOT_INPUT(IN_APE, "ape", "ape.csv: efficiency per active parameter"),
    PLOT_INPUT(IN_HEADLINES, "headlines", "study_headlines.csv: the published study's headlines beside their corrections"),
    PLOT_INPUT(IN_CORRECTED, "corrected", "study_corrected.csv: the published study's figures beside their corrections"),
    PLOT_ABSENT,
    CLI_TEXT(struct plot_args, manifest, CLI_INPUT, "manifest", 0, "FILE", CLI_REQUIRED, "SHA256SUMS of the result set"),
    CLI_TEXT(struct plot_args, values, CLI_INPUT, "values", 0, "FILE", "paper/values.def", "which numbers and tables"),
    CLI_END};

/* What one run holds. Grids borrow their cells from the tables. */
struct work {
    struct arena *a;
    struct table **table;
    size_t n_tables;
    struct grid grid[N_INPUTS];
    struct grids grids;
};

static void work_release(struct work *w)
{
    for (size_t i = 0; i < w->n_tables; i++)
        table_free(w->table[i]);
    arena_free(w->a);
}

/* Rows of tables[0..n) of one schema, one after another. */
static enum status fill_grid(struct grid *g, struct arena *a, struct table *const *tables, size_t n, struct err *err)
{
    const struct schema *s = table_schema(tables[0]);
    void *mem = NULL;
    size_t n_cells = 0, at = 0;
    g->n_cols = s->n_columns;
    for (size_t i = 0; i < n; i++)
        g->n_rows += table_n_rows(tables[i]);
    enum status st = arena_alloc(a, &mem, g->n_cols, sizeof(char *), err);
    g->cols = mem;
    if (!st && !size_mul(g->n_rows, g->n_cols, &n_cells))
        st = err_set(err, ERR_MEMORY, "'%s' is too large", g->path);
    if (!st)
        st = arena_alloc(a, &mem, n_cells + 1, sizeof(char *), err);
    g->cells = mem;
    if (st)
        return st;
    for (size_t c = 0; c < g->n_cols; c++)
        g->cols[c] = s->columns[c].name;
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < table_n_rows(tables[i]); r++)
            for (size_t c = 0; c < g->n_cols; c++)
                g->cells[at++] = table_text(tables[i], r, g->cols[c]);
    return OK;
}

static bool is_absent(const struct plot_args *args, const char *name)
{
    for (size_t i = 0; i < args->absent.n; i++)
        if (strcmp(args->absent.items[i], name) == 0)
            return true;
    return false;
}

/* Read every input that was given. One that is declared absent says so wherever it is asked for; one
 * that was not mentioned is unknown to the queries, which is an error. */
static enum status read_inputs(struct work *w, struct tool *t, const struct plot_args *args, struct err *err)
{
    void *mem = NULL;
    size_t n = 0;
    enum status st = arena_new(&w->a, 1U << 18, err);
    for (size_t i = 0; i < N_INPUTS; i++)
        n += args->file[i].n;
    if (!st)
        st = arena_alloc(w->a, &mem, n + 1, sizeof(struct table *), err);
    w->table = mem;
    w->grids.grid = w->grid;
    for (size_t i = 0; i < N_INPUTS && !st; i++) {
        const struct cli_texts *f = &args->file[i];
        size_t first = w->n_tables;
        bool absent = is_absent(args, inputs[i].name);
        if (f->n == 0 && !absent)
            continue;
        if (f->n && absent)
            return err_set(err, ERR_USAGE, "--absent %s: but --%s names a file", inputs[i].name, inputs[i].name);
        struct grid *g = &w->grid[w->grids.n++];
        *g = (struct grid){.name = inputs[i].name, .path = f->n ? f->items[0] : inputs[i].name};
        if (absent)
            g->absent = ABSENT;
        for (size_t k = 0; k < f->n && !st; k++) {
            st = tool_read_table(t, f->items[k], inputs[i].schema, &w->table[w->n_tables], err);
            w->n_tables += !st;
        }
        if (!st && f->n)
            st = fill_grid(g, w->a, &w->table[first], f->n, err);
    }
    return st;
}

static enum status read_text(struct work *w, struct tool *t, const char *path, const char **out, struct err *err)
{
    struct buf b = BUF_INIT;
    char *copy = NULL;
    enum status st = tool_read(t, path, &b, err);
    if (!st && b.n && memchr(b.data, '\0', b.n))
        st = err_set(err, ERR_FORMAT, "%s: expected text, found a NUL byte", path);
    if (!st)
        st = arena_strndup(w->a, &copy, b.n ? b.data : "", b.n, err);
    *out = copy;
    buf_release(&b);
    return st;
}

/* A picture stands beside its script: NAME.gp -> NAME.svg. */
static enum status put_picture(struct tool *t, const char *gp, const char *extension, const char *schema,
                               const struct buf *picture, struct err *err)
{
    struct buf path = BUF_INIT;
    buf_printf(&path, "%.*s%s", (int)strlen(gp) - 3, gp, extension);
    enum status st = buf_status(&path, "path", err);
    if (!st)
        st = tool_put(t, path.data, schema, picture->data, picture->n, err);
    buf_release(&path);
    return st;
}

/* Everything is drawn before anything is written, so a script that fails leaves no file. gnuplot's
 * version can change the pictures but not the script: it enters the platform after the script's statement. */
static enum status put_figure(struct tool *t, const struct figure *f, const char *gp, struct err *err)
{
    struct buf version = BUF_INIT, svg = BUF_INIT, pdf = BUF_INIT;
    enum status st = gnuplot_version(&version, err);
    if (!st)
        st = gnuplot_render(&svg, f->script, PLOT_SVG, gp, err);
    if (!st)
        st = gnuplot_render(&pdf, f->script, PLOT_PDF, gp, err);
    if (!st)
        st = tool_put(t, gp, "gnuplot", f->script, strlen(f->script), err);
    if (!st)
        prov_platform_fact(tool_prov(t), true, "gnuplot", cJSON_CreateString(version.data));
    if (!st)
        st = put_picture(t, gp, ".svg", "figure", &svg, err);
    if (!st)
        st = put_picture(t, gp, ".pdf", "pdf", &pdf, err);
    buf_release(&pdf);
    buf_release(&svg);
    buf_release(&version);
    return st;
}

static enum status run_figure(struct tool *t, const void *v, struct err *err)
{
    const struct plot_args *args = v;
    const char *path = tool_operands(t).items[0], *out = tool_out(t), *text = NULL, *style = NULL;
    bool to_file = out && strcmp(out, "-") != 0;
    struct work w = {0};
    struct desc d;
    struct figure f;
    if (to_file && (strlen(out) < 4 || strcmp(out + strlen(out) - 3, ".gp") != 0))
        return err_set(err, ERR_USAGE, "--out: expected a name that ends in '.gp', found '%s'", out);
    enum status st = read_inputs(&w, t, args, err);
    if (!st)
        st = read_text(&w, t, path, &text, err);
    if (!st)
        st = read_text(&w, t, args->style, &style, err);
    if (!st)
        st = desc_parse(&d, text, path, w.a, err);
    if (!st)
        st = figure_build(&f, &d, &w.grids, style, w.a, err);
    if (!st)
        st = to_file ? put_figure(t, &f, out, err)
                     : tool_put(t, out, "gnuplot", f.script, strlen(f.script), err);
    if (!st && f.empty)
        tool_note(t, "%s: empty: %s", f.name, f.empty);
    work_release(&w);
    return st;
}

/* The recipe digest in a file's statement, or "" where there is none. The statement is not an input: it
 * holds times, and the recipe digest is the part of it that does not change. */
static enum status recipe_digest(const char *path, struct arena *a, const char **out, struct err *err)
{
    struct buf beside = BUF_INIT;
    cJSON *root = NULL;
    char *copy = NULL;
    const char *hex = "";
    struct err missing = ERR_INIT;
    buf_printf(&beside, "%s" PROV_SUFFIX, path);
    enum status st = buf_status(&beside, "path", err);
    if (!st) {
        enum status found = json_read_file(&root, beside.data, &missing);
        if (found == ERR_MISSING)
            hex = "";
        else if (found)
            st = err_set(err, found, "%s", missing.text);
        else
            st = json_get_str(json_get(root, "predicate"), "recipeDigest", beside.data, &hex, err);
    }
    if (!st)
        st = arena_strndup(a, &copy, hex, strlen(hex), err);
    *out = copy;
    cJSON_Delete(root);
    buf_release(&beside);
    return st;
}

static void add_digest(struct buf *out, const char *key, const char *what, const char *hex)
{
    buf_printf(out, "\\assayvalue{%s:%s}{%s}\n\\assayvalue{%s:%s-short}{%.12s}\n", key, what, *hex ? hex : "none", key,
               what, *hex ? hex : "none");
}

/* Caption, state and digests of one figure. */
static enum status add_figure(struct work *w, struct tool *t, const char *path, struct buf *out, size_t *n_empty,
                              struct err *err)
{
    const char *text = NULL, *recipe = NULL;
    uint8_t digest[DIGEST_B];
    char hex[DIGEST_HEX_LEN + 1], key[96];
    struct figure f;
    enum status st = read_text(w, t, path, &text, err);
    if (!st)
        st = figure_header(&f, text, path, w->a, err);
    if (!st)
        st = digest_bytes(text, strlen(text), digest, err);
    if (!st)
        st = recipe_digest(path, w->a, &recipe, err);
    if (st)
        return st;
    digest_hex(digest, hex);
    (void)snprintf(key, sizeof key, "fig:%s:title", f.name);
    tex_value(out, key, f.title);
    (void)snprintf(key, sizeof key, "fig:%s:caption", f.name);
    tex_value(out, key, f.caption);
    (void)snprintf(key, sizeof key, "fig:%s:state", f.name);
    tex_value(out, key, f.empty ? f.empty : "drawn from the results");
    (void)snprintf(key, sizeof key, "fig:%s", f.name);
    add_digest(out, key, "sha", hex);
    add_digest(out, key, "recipe", recipe);
    *n_empty += f.empty != NULL;
    return OK;
}

static enum status add_manifest(struct work *w, struct tool *t, const char *path, struct buf *out, struct err *err)
{
    const char *text = NULL;
    uint8_t digest[DIGEST_B];
    char hex[DIGEST_HEX_LEN + 1];
    size_t lines = 0;
    enum status st = read_text(w, t, path, &text, err);
    if (!st)
        st = digest_bytes(text, strlen(text), digest, err);
    if (st)
        return st;
    for (const char *s = text; *s; s++)
        lines += *s == '\n';
    digest_hex(digest, hex);
    add_digest(out, "manifest", "sha", hex);
    buf_printf(out, "\\assayvalue{manifest:files}{%zu}\n", lines);
    return OK;
}

static enum status run_numbers(struct tool *t, const void *v, struct err *err)
{
    const struct plot_args *args = v;
    struct cli_texts figs = tool_operands(t);
    const char *text = NULL;
    struct work w = {0};
    struct desc d;
    struct buf out = BUF_INIT;
    size_t n_empty = 0;
    buf_str(&out, "% Made by `plot numbers` from result files: every value the paper prints. Do not edit.\n");
    enum status st = read_inputs(&w, t, args, err);
    if (!st)
        st = add_manifest(&w, t, args->manifest, &out, err);
    for (size_t i = 0; i < figs.n && !st; i++)
        st = add_figure(&w, t, figs.items[i], &out, &n_empty, err);
    buf_printf(&out, "\\assayvalue{figures}{%zu}\n\\assayvalue{figures:empty}{%zu}\n", figs.n, n_empty);
    if (!st)
        st = read_text(&w, t, args->values, &text, err);
    if (!st)
        st = desc_parse(&d, text, args->values, w.a, err);
    if (!st)
        st = tex_numbers(&out, &d, &w.grids, w.a, err);
    if (!st)
        st = tool_put(t, tool_out(t), "tex", out.data, out.n, err);
    if (!st && n_empty)
        tool_note(t, "%zu of %zu figures are empty", n_empty, figs.n);
    buf_release(&out);
    work_release(&w);
    return st;
}

static const struct tool_def figure_def = {
    .name = "figure",
    .summary = "draw one figure from its description: NAME.gp with the data inline, NAME.svg, NAME.pdf",
    .operands = "DESCRIPTION",
    .min_operands = 1,
    .max_operands = 1,
    .operands_are_inputs = true,
    .options = figure_options,
    .common = TOOL_OUT,
    .args_b = sizeof(struct plot_args),
    .run = run_figure,
};

static const struct tool_def numbers_def = {
    .name = "numbers",
    .summary = "write every number of the paper as a LaTeX macro, with the digests of its figures",
    .operands = "FIGURE.gp...",
    .min_operands = 0,
    .max_operands = 64,
    .operands_are_inputs = true,
    .options = numbers_options,
    .common = TOOL_OUT,
    .args_b = sizeof(struct plot_args),
    .run = run_numbers,
};

static const struct tool_def *const commands[] = {&figure_def, &numbers_def, NULL};

static const struct tool_def plot = {
    .name = "plot",
    .summary = "draw figures and write the paper's numbers from result files",
    .commands = commands,
};

int main(int argc, char **argv)
{
    return tool_main(&plot, argc, argv);
}
