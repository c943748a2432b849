#define _XOPEN_SOURCE 700
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/digest.h"
#include "check/check.h"
#include "lib/outfile.h"
#include "lib/paths.h"
#include "lib/tool.h"

/* The checker's own enemies (provenance.md 9). A small tree is made by tools of this test's own, which
 * are this program under other names (main looks at argv[0]), so that verify can run them again. Each
 * mutation must be found by the check it is meant for, first as a vandal would leave it, then as a
 * forger would: with the digests around it made right again. */

/* ---- the tools: infer (stands for a model), trace (a measurement), tally, mix, draw (derived) */

struct io_args {
    const char *model, *items, *totals, *trace, *data;
    int64_t offset;
};

static enum status run_infer(struct tool *t, const void *args, struct err *err)
{
    static const char *const files[] = {"weights.bin"};
    const struct io_args *a = args;
    struct records *r = NULL;
    enum status s = tool_input_model(t, a->model, "toy", a->model, files, 1, err);
    if (!s)
        s = records_new(&r, "transcripts", err);
    for (int i = 0; i < 4 && !s; i++) {
        cJSON *o = cJSON_CreateObject();
        char id[16];
        (void)snprintf(id, sizeof id, "q%d", i);
        (void)cJSON_AddStringToObject(o, "id", id);
        (void)cJSON_AddStringToObject(o, "status", "ok");
        (void)cJSON_AddBoolToObject(o, "is_greedy", i != 2);
        s = records_add(r, o, err);
    }
    if (!s)
        s = tool_put_records(t, tool_out(t), r, err);
    records_free(r);
    return s;
}

static enum status run_trace(struct tool *t, const void *args, struct err *err)
{
    const struct io_args *a = args;
    struct table *p = NULL;
    enum status s = table_new(&p, "power_trace", err);
    for (int i = 0; i < 3 && !s; i++) {
        table_row(p);
        table_set_i64(p, "t_ns", 1000 * i);
        table_set_text(p, "dev", "cpu");
        table_set_i64(p, "energy_uj", 500 * i + a->offset);
        table_set_i64(p, "ok", 1);
    }
    if (!s)
        s = tool_put_table(t, tool_out(t), p, err);
    table_free(p);
    return s;
}

static enum status run_tally(struct tool *t, const void *args, struct err *err)
{
    const struct io_args *a = args;
    struct records *r = NULL;
    struct table *out = NULL;
    int64_t correct = 0;
    enum status s = tool_read_records(t, a->items, "transcripts", &r, err);
    if (!s)
        s = table_new(&out, "bands", err);
    for (size_t i = 0; !s && i < records_count(r); i++)
        correct += cJSON_IsTrue(json_get(records_at(r, i), "is_greedy"));
    if (!s) {
        table_row(out);
        table_set_text(out, "metric", "correct");
        table_set_text(out, "statistic", "value");
        table_set_text(out, "kind", "absolute");
        table_set_f64(out, "band", 1.5);
        table_set_i64(out, "min_samples", correct);
        table_set_text(out, "source", "toy");
        s = tool_put_table(t, tool_out(t), out, err);
    }
    table_free(out);
    records_free(r);
    return s;
}

static enum status run_mix(struct tool *t, const void *args, struct err *err)
{
    const struct io_args *a = args;
    struct table *totals = NULL;
    struct table *trace = NULL;
    struct buf b = BUF_INIT;
    enum status s = tool_read_table(t, a->totals, "bands", &totals, err);
    if (!s)
        s = tool_read_table(t, a->trace, "power_trace", &trace, err);
    if (!s) {
        buf_printf(&b, "{\"correct\":%s,\"name\":\"toy\",\"uj\":%s}\n", table_text(totals, 0, "min_samples"),
                   table_text(trace, table_n_rows(trace) - 1, "energy_uj"));
        s = tool_put(t, tool_out(t), "json", b.data, b.n, err);
    }
    table_free(totals);
    table_free(trace);
    buf_release(&b);
    return s;
}

static enum status run_draw(struct tool *t, const void *args, struct err *err)
{
    const struct io_args *a = args;
    struct buf in = BUF_INIT;
    struct buf out = BUF_INIT;
    enum status s = tool_read(t, a->data, &in, err);
    if (!s) {
        buf_printf(&out, "$d << EOD\n%sEOD\nplot $d\n", in.data);
        s = tool_put(t, tool_out(t), "gnuplot", out.data, out.n, err);
    }
    buf_release(&in);
    buf_release(&out);
    return s;
}

static const struct cli_option infer_options[] = {
    CLI_TEXT(struct io_args, model, CLI_INPUT, "model", 'm', "DIR", CLI_REQUIRED, "model"), CLI_END};
static const struct cli_option trace_options[] = {
    CLI_INT(struct io_args, offset, CLI_RUN, "offset", 0, "N", "0", 0, 1000, "stands for chance"), CLI_END};
static const struct cli_option tally_options[] = {
    CLI_TEXT(struct io_args, items, CLI_INPUT, "items", 0, "FILE", CLI_REQUIRED, "items"), CLI_END};
static const struct cli_option mix_options[] = {
    CLI_TEXT(struct io_args, totals, CLI_INPUT, "totals", 0, "FILE", CLI_REQUIRED, "totals"),
    CLI_TEXT(struct io_args, trace, CLI_INPUT, "trace", 0, "FILE", CLI_REQUIRED, "trace"), CLI_END};
static const struct cli_option draw_options[] = {
    CLI_TEXT(struct io_args, data, CLI_INPUT, "data", 0, "FILE", CLI_REQUIRED, "data"), CLI_END};

#define DEF(name_, run_, options_) \
    {.name = name_, .summary = "a test's tool", .options = options_, .common = TOOL_OUT, .args_b = sizeof(struct io_args), .run = run_}
static const struct tool_def tools[] = {
    DEF("infer", run_infer, infer_options), DEF("energy", run_trace, trace_options), DEF("tally", run_tally, tally_options),
    DEF("mix", run_mix, mix_options),       DEF("draw", run_draw, draw_options),
};

static const struct tool_def *tool_named(const char *name)
{
    for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++)
        if (strcmp(tools[i].name, name) == 0)
            return &tools[i];
    return NULL;
}

/* ---- the tree */

#define ITEMS "any/toy/infer/transcripts.jsonl"
#define TRACE "cpu/toy/energy/power.csv"
#define TOTALS "any/toy/tally/totals.csv"
#define MIX "cpu/all/mix.json"
#define FIGURE "cpu/figs/mix.gp"

struct world {
    char dir[256];  /* scratch of the whole program */
    char base[300]; /* the sound tree */
    char tree[300]; /* the one being mutated */
    char bin[300], lock[300], expected[300];
};

static void sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void sh(const char *fmt, ...)
{
    char cmd[2048];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(cmd, sizeof cmd, fmt, ap);
    va_end(ap);
    if (system(cmd) != 0)
        fail_msg("failed: %s", cmd);
}

/* Run a tool of this test in this process: words after its name, NULL-ended. */
static void tool(const char *name, ...)
{
    char *argv[16];
    int argc = 0;
    va_list ap;
    va_start(ap, name);
    argv[argc++] = strdup(name);
    const char *w;
    while ((w = va_arg(ap, const char *)))
        argv[argc++] = strdup(w);
    argv[argc] = NULL;
    va_end(ap);
    int rc = tool_main(tool_named(name), argc, argv);
    while (argc > 0)
        free(argv[--argc]);
    assert_int_equal(rc, 0);
}

static const char *at(const char *dir, const char *name, char out[600])
{
    (void)snprintf(out, 600, "%.300s/%.290s", dir, name);
    return out;
}

static void make_tree(const struct world *w, const char *dir, const char *offset)
{
    char a[600];
    char b[600];
    char c[600];
    char model[600];
    sh("mkdir -p %s/any/toy/infer %s/any/toy/tally %s/cpu/toy/energy %s/cpu/all %s/cpu/figs", dir, dir, dir, dir, dir);
    tool("infer", "-qm", at(w->dir, "model", model), "--root", dir, "-o", at(dir, ITEMS, a), NULL);
    tool("energy", "-q", "--root", dir, "--offset", offset, "-o", at(dir, TRACE, a), NULL);
    tool("tally", "-q", "--root", dir, "--items", at(dir, ITEMS, a), "-o", at(dir, TOTALS, b), NULL);
    tool("mix", "-q", "--root", dir, "--totals", at(dir, TOTALS, a), "--trace", at(dir, TRACE, b), "-o", at(dir, MIX, c), NULL);
    tool("draw", "-q", "--root", dir, "--data", at(dir, MIX, a), "-o", at(dir, FIGURE, b), NULL);
}

static void write_lists(const char *dir, const char *lock, const char *expected)
{
    struct tree *t;
    struct buf b = BUF_INIT;
    char path[600];
    struct err err = ERR_INIT;
    if (tree_open(&t, dir, &err))
        fail_msg("%s", err.text);
    assert_int_equal(tree_manifest(t, &b, NULL), OK);
    assert_int_equal(outfile_put(at(dir, "SHA256SUMS", path), b.data, b.n, NULL, NULL), OK);
    buf_clear(&b);
    if (lock) {
        assert_int_equal(tree_models(t, &b, NULL), OK);
        assert_int_equal(outfile_put(lock, b.data, b.n, NULL, NULL), OK);
        buf_clear(&b);
        assert_int_equal(tree_expected(t, &b, NULL), OK);
        assert_int_equal(outfile_put(expected, b.data, b.n, NULL, NULL), OK);
    }
    buf_release(&b);
    tree_free(t);
}

static int setup_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"; // a hundred fsyncs cost nothing there
    (void)setenv("TMPDIR", tmp, 1);
    (void)snprintf(w->dir, sizeof w->dir, "%s/assay-mutate-XXXXXX", tmp);
    if (!w || !mkdtemp(w->dir))
        return -1;
    (void)snprintf(w->base, sizeof w->base, "%s/base", w->dir);
    (void)snprintf(w->tree, sizeof w->tree, "%s/tree", w->dir);
    (void)snprintf(w->bin, sizeof w->bin, "%s/bin", w->dir);
    (void)snprintf(w->lock, sizeof w->lock, "%s/models.lock", w->dir);
    (void)snprintf(w->expected, sizeof w->expected, "%s/toy.sha256", w->dir);
    char self[512];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return -1;
    self[n] = '\0';
    sh("mkdir -p %s %s/model && printf weights > %s/model/weights.bin", w->bin, w->dir, w->dir);
    for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++)
        sh("ln -s %s %s/%s", self, w->bin, tools[i].name);
    make_tree(w, w->base, "7");
    write_lists(w->base, w->lock, w->expected);
    *state = w;
    return 0;
}

static int remove_world(void **state)
{
    struct world *w = *state;
    sh("rm -rf %s", w->dir);
    free(w);
    return 0;
}

static struct world *fresh(void **state)
{
    struct world *w = *state;
    sh("rm -rf %s && cp -r %s %s", w->tree, w->base, w->tree);
    return w;
}

/* ---- looking */

static struct report *look(const struct world *w, const char *dir)
{
    struct tree *t;
    struct report *r;
    struct err err = ERR_INIT;
    assert_int_equal(report_new(&r, NULL), OK);
    if (tree_open(&t, dir, &err))
        fail_msg("%s", err.text);
    struct check_context c = {.tree = t, .report = r, .bin = w->bin, .models = w->lock, .expected = w->expected};
    if (check_all(&c, &err))
        fail_msg("%s", err.text);
    tree_free(t);
    return r;
}

static void print_report(const struct report *r)
{
    struct buf b = BUF_INIT;
    report_text(r, "verify", false, &b);
    print_message("%s", b.data);
    buf_release(&b);
}

/* The tree is bad, and `check` says so with this verdict about a file whose name ends in `file`. */
static void expect(const struct world *w, enum verdict v, const char *check, const char *file)
{
    struct report *r = look(w, w->tree);
    bool found = false;
    for (size_t i = 0; i < report_count(r); i++) {
        const struct finding *f = report_at(r, i);
        size_t n = strlen(f->subject);
        size_t m = strlen(file);
        found = found || (f->verdict == v && strcmp(f->check, check) == 0 && n >= m && strcmp(f->subject + n - m, file) == 0);
    }
    if (!found || report_good(r)) {
        print_report(r);
        fail_msg("expected %s of check %s about %s", verdict_name(v), check, file);
    }
    report_free(r);
}

/* ---- doing */

static void load(const struct world *w, const char *name, struct buf *out)
{
    char path[600];
    assert_int_equal(path_read(at(w->tree, name, path), out, NULL), OK);
}

static void store(const struct world *w, const char *name, const char *data, size_t n)
{
    char path[600];
    assert_int_equal(outfile_put(at(w->tree, name, path), data, n, NULL, NULL), OK);
}

/* Replace the first `from` by `to`. */
static void edit(const struct world *w, const char *name, const char *from, const char *to)
{
    struct buf b = BUF_INIT;
    struct buf out = BUF_INIT;
    load(w, name, &b);
    const char *p = strstr(b.data, from);
    if (!p)
        fail_msg("no '%s' in %s", from, name);
    buf_add(&out, b.data, (size_t)(p - b.data));
    buf_str(&out, to);
    buf_str(&out, p + strlen(from));
    store(w, name, out.data, out.n);
    buf_release(&b);
    buf_release(&out);
}

static void hex_of(const void *data, size_t n, char hex[65])
{
    uint8_t d[DIGEST_B];
    assert_int_equal(digest_bytes(data, n, d, NULL), OK);
    digest_hex(d, hex);
}

/* As a forger would: subject digest, recipe and platform digests, manifest, all made right again. */
static void resign(const struct world *w, const char *payload)
{
    char name[600];
    char path[600];
    char hex[65];
    cJSON *doc;
    struct buf b = BUF_INIT;
    (void)snprintf(name, sizeof name, "%.500s.prov.json", payload);
    load(w, payload, &b);
    hex_of(b.data, b.n, hex);
    assert_int_equal(json_read_file(&doc, at(w->tree, name, path), NULL), OK);
    cJSON *subject = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(doc, "subject"), 0);
    cJSON *predicate = cJSON_GetObjectItemCaseSensitive(doc, "predicate");
    (void)cJSON_SetValuestring(cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(subject, "digest"), "sha256"), hex);
    buf_clear(&b);
    assert_int_equal(json_write_canonical(&b, json_get(predicate, "recipe"), NULL), OK);
    hex_of(b.data, b.n, hex);
    (void)cJSON_SetValuestring(cJSON_GetObjectItemCaseSensitive(predicate, "recipeDigest"), hex);
    buf_clear(&b);
    assert_int_equal(json_write_canonical(&b, json_get(json_get(predicate, "platform"), "numeric"), NULL), OK);
    hex_of(b.data, b.n, hex);
    (void)cJSON_SetValuestring(cJSON_GetObjectItemCaseSensitive(predicate, "platformDigest"), hex);
    buf_clear(&b);
    assert_int_equal(json_write_canonical(&b, doc, NULL), OK);
    buf_char(&b, '\n');
    store(w, name, b.data, b.n);
    buf_release(&b);
    cJSON_Delete(doc);
    write_lists(w->tree, NULL, NULL);
}

/* ---- the tests */

static void untouched_passes_anywhere(void **state)
{
    struct world *w = fresh(state);
    struct report *r = look(w, w->base);
    if (!report_good(r)) {
        print_report(r);
        fail_msg("a sound tree must pass");
    }
    size_t n = report_total(r, VERDICT_PASS);
    assert_true(n > 40);
    report_free(r);
    mode_t old = umask(077);
    (void)setlocale(LC_ALL, "de_DE.UTF-8"); // where it is not installed, the C locale stays
    sh("mkdir -p '%s/another path/x' && cp -r %s '%s/another path/x/moved'", w->dir, w->base, w->dir);
    char moved[400];
    (void)snprintf(moved, sizeof moved, "%s/another path/x/moved", w->dir);
    r = look(w, moved);
    (void)setlocale(LC_ALL, "C");
    (void)umask(old);
    if (!report_good(r))
        print_report(r);
    assert_true(report_good(r));
    assert_int_equal(report_total(r, VERDICT_PASS), n);
    report_free(r);
}

static void bytes(void **state)
{
    struct world *w = fresh(state);
    edit(w, TOTALS, ",3,", ",4,"); // forged totals
    expect(w, VERDICT_FAIL, "manifest", TOTALS);
    expect(w, VERDICT_FAIL, "digest", TOTALS);
    resign(w, TOTALS);
    expect(w, VERDICT_FAIL, "rerun", TOTALS);
    expect(w, VERDICT_FAIL, "inputs", MIX ".prov.json");
    expect(w, VERDICT_FAIL, "expected", TOTALS);
    w = fresh(state);
    edit(w, FIGURE, "plot", "plpt"); // figures are not in the manifest: made again
    resign(w, FIGURE);
    expect(w, VERDICT_FAIL, "rerun", FIGURE);
}

static void rows(void **state)
{
    struct world *w = fresh(state);
    edit(w, TRACE, "1000,cpu,507,,1\n", "");
    resign(w, TRACE);
    expect(w, VERDICT_FAIL, "inputs", MIX ".prov.json");
    w = fresh(state);
    edit(w, TRACE, "1000,cpu", "1000,cpu,5,,1\n1000,cpu");
    resign(w, TRACE);
    expect(w, VERDICT_FAIL, "schema", TRACE); // key twice
    w = fresh(state);
    edit(w, TRACE, "0,cpu,7,,1\n1000,cpu,507,,1\n", "1000,cpu,507,,1\n0,cpu,7,,1\n");
    resign(w, TRACE);
    expect(w, VERDICT_FAIL, "schema", TRACE);
}

static void form(void **state)
{
    static const char *const edits[][3] = {
        {TRACE, "energy_uj", "energy_mj"},       {TOTALS, "1.5", "1.50"},
        {TRACE, ",ok\n", ",ok\r\n"},             {TRACE, "t_ns,", "\xEF\xBB\xBFt_ns,"},
        {TRACE, ",,1\n", ",\"\",1\n"},           {ITEMS, "{\"id\"", "{\"id\":\"q0\",\"id\""},
        {ITEMS, "\"id\":\"q1\"", "\"id\" :\"q1\""}, {ITEMS, "true", "\"yes\""},
        {MIX, "\"correct\"", "\"corre\\u0063t\""}, {TRACE, "507", "5o7"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        struct world *w = fresh(state);
        edit(w, edits[i][0], edits[i][1], edits[i][2]);
        resign(w, edits[i][0]);
        expect(w, VERDICT_FAIL, "schema", edits[i][0]);
    }
}

static void statements(void **state)
{
    struct world *w = fresh(state);
    edit(w, MIX ".prov.json", "{\"_type\"", "{\"_type\":\"x\",\"_type\"");
    expect(w, VERDICT_FAIL, "statement", MIX ".prov.json");
    w = fresh(state);
    edit(w, MIX ".prov.json", "\"class\":\"measured\"", "\"class\":\"exact\"");
    resign(w, MIX);
    expect(w, VERDICT_FAIL, "class", MIX ".prov.json");
    w = fresh(state);
    edit(w, TOTALS ".prov.json", "\"class\":\"exact\"", "\"class\":\"pinned\"");
    resign(w, TOTALS);
    expect(w, VERDICT_FAIL, "class", TOTALS ".prov.json");
    w = fresh(state);
    edit(w, TRACE ".prov.json", "\"arch\":\"", "\"arch\":\"not ");
    write_lists(w->tree, NULL, NULL);
    expect(w, VERDICT_FAIL, "recipe", TRACE ".prov.json");
    w = fresh(state);
    edit(w, TRACE ".prov.json", "\"schema\":\"power_trace/1\"", "\"schema\":\"power_trace/2\"");
    resign(w, TRACE);
    expect(w, VERDICT_FAIL, "schema", TRACE);
    w = fresh(state);
    edit(w, TRACE ".prov.json", "result/v1", "result/v2");
    resign(w, TRACE);
    expect(w, VERDICT_FAIL, "statement", TRACE ".prov.json");
    w = fresh(state);
    edit(w, TRACE ".prov.json", "\"inputs\":[]", "\"inputs\":{}");
    resign(w, TRACE);
    expect(w, VERDICT_FAIL, "statement", TRACE ".prov.json");
}

static void inputs(void **state)
{
    struct world *w = fresh(state);
    struct buf b = BUF_INIT;
    char input[300];
    char hex[65];
    load(w, TRACE, &b);
    hex_of(b.data, b.n, hex);
    (void)snprintf(input, sizeof input, ",{\"digest\":{\"sha256\":\"%s\"},\"name\":\"" TRACE "\"}", hex);
    edit(w, MIX ".prov.json", input, ""); // drop an input
    write_lists(w->tree, NULL, NULL);
    expect(w, VERDICT_FAIL, "recipe", MIX ".prov.json");
    resign(w, MIX);
    expect(w, VERDICT_FAIL, "rerun", MIX);
    w = fresh(state);
    edit(w, MIX ".prov.json", hex, "0000000000000000000000000000000000000000000000000000000000000000");
    resign(w, MIX);
    expect(w, VERDICT_FAIL, "inputs", MIX ".prov.json");
    w = fresh(state);
    edit(w, MIX ".prov.json", "\"name\":\"" TRACE "\"", "\"name\":\"cpu/toy/energy/gone.csv\"");
    resign(w, MIX);
    expect(w, VERDICT_MISSING, "inputs", MIX ".prov.json");
    w = fresh(state);
    edit(w, MIX ".prov.json", "\"name\":\"" TRACE "\"", "\"name\":\"../outside.csv\"");
    resign(w, MIX);
    expect(w, VERDICT_FAIL, "inputs", MIX ".prov.json");
    w = fresh(state);
    edit(w, ITEMS ".prov.json", "\"name\":\"model:toy\"", "\"name\":\"model:other\"");
    resign(w, ITEMS);
    expect(w, VERDICT_FAIL, "inputs", ITEMS ".prov.json");
    w = fresh(state);
    (void)snprintf(input, sizeof input, "{\"digest\":{\"sha256\":\"%s\"},\"name\":\"" TRACE "\"}", hex);
    edit(w, MIX ".prov.json", input, "{\"name\":\"" TRACE "\"}");
    resign(w, MIX);
    expect(w, VERDICT_FAIL, "inputs", MIX ".prov.json");
    buf_release(&b);
}

/* Say that ITEMS came from a model that `definition` defines, with that text's digest or another. */
static void define(const struct world *w, const char *definition, bool right)
{
    char from[300];
    char to[600];
    char path[600];
    char hex[65];
    cJSON *doc;
    assert_int_equal(json_read_file(&doc, at(w->tree, ITEMS ".prov.json", path), NULL), OK);
    const cJSON *in = json_get(json_get(json_get(doc, "predicate"), "recipe"), "inputs")->child;
    assert_string_equal(cJSON_GetStringValue(json_get(in, "name")), "model:toy");
    (void)snprintf(from, sizeof from, "{\"digest\":{\"sha256\":\"%s\"},\"name\":\"model:toy\"}",
                   cJSON_GetStringValue(json_get(json_get(in, "digest"), "sha256")));
    hex_of(definition, strlen(definition) - (right ? 0 : 1), hex);
    (void)snprintf(to, sizeof to, "{\"definition\":\"%s\",\"digest\":{\"sha256\":\"%s\"},\"name\":\"model:toy\"}", definition, hex);
    edit(w, ITEMS ".prov.json", from, to);
    resign(w, ITEMS);
    cJSON_Delete(doc);
}

/* A synthetic model needs no models.lock: its digest is that of the definition beside it, and of nothing else. */
static void definitions(void **state)
{
    struct world *w = fresh(state);
    struct buf lines = BUF_INIT;
    struct tree *t = NULL;
    struct err err = ERR_INIT;
    define(w, "assay synthetic 1 toy,seed=7", true);
    struct report *r = look(w, w->tree);
    if (!report_good(r)) {
        print_report(r);
        fail_msg("expected a good tree");
    }
    report_free(r);
    assert_int_equal(tree_open(&t, w->tree, &err), OK);
    assert_int_equal(tree_models(t, &lines, &err), OK);
    assert_int_equal(lines.n, 0);
    tree_free(t);
    buf_release(&lines);
    static const char *const wrong[] = {"assay synthetic 1 toys,seed=7", "assay synthetic 1 to,seed=7", "assay synthetic 1 toy",
                                        "assay synthetic toy,seed=7", "assay synth 1 toy,seed=7", "toy", ""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        w = fresh(state);
        define(w, wrong[i], true);
        expect(w, VERDICT_FAIL, "inputs", ITEMS ".prov.json");
    }
    w = fresh(state);
    define(w, "assay synthetic 1 toy,seed=7", false);
    expect(w, VERDICT_FAIL, "inputs", ITEMS ".prov.json");
}

/* A server's weights cannot be hashed, so nothing made from it may be exact. */
static void servers(void **state)
{
    struct world *w = fresh(state);
    edit(w, ITEMS ".prov.json", "\"inputs\":[", "\"inputs\":[{\"name\":\"http://localhost:1/v1\",\"uri\":\"http://localhost:1/v1\"},");
    resign(w, ITEMS);
    expect(w, VERDICT_FAIL, "class", ITEMS ".prov.json");
}

static void files(void **state)
{
    struct world *w = fresh(state);
    sh("rm %s/" TOTALS ".prov.json", w->tree);
    write_lists(w->tree, NULL, NULL);
    expect(w, VERDICT_MISSING, "pair", TOTALS);
    w = fresh(state);
    sh("rm %s/" FIGURE ".prov.json", w->tree); // an orphan figure
    write_lists(w->tree, NULL, NULL);
    expect(w, VERDICT_MISSING, "pair", FIGURE);
    w = fresh(state);
    sh("rm %s/" MIX " %s/" MIX ".prov.json", w->tree, w->tree); // a figure without its data
    write_lists(w->tree, NULL, NULL);
    expect(w, VERDICT_MISSING, "inputs", FIGURE ".prov.json");
    w = fresh(state);
    sh("rm %s/" TRACE, w->tree);
    expect(w, VERDICT_MISSING, "pair", TRACE ".prov.json");
    expect(w, VERDICT_MISSING, "manifest", TRACE);
    w = fresh(state);
    sh("rm %s/SHA256SUMS", w->tree);
    expect(w, VERDICT_MISSING, "manifest", "SHA256SUMS");
    w = fresh(state);
    sh("echo more > %s/notes.txt", w->tree);
    expect(w, VERDICT_FAIL, "manifest", "notes.txt");
    expect(w, VERDICT_MISSING, "pair", "notes.txt");
    w = fresh(state);
    sh("cd %s && mv " TRACE " real && ln -s ../../../real " TRACE, w->tree);
    expect(w, VERDICT_FAIL, "pair", TRACE);
    w = fresh(state);
    sh("cd %s && sort -r SHA256SUMS > x && mv x SHA256SUMS", w->tree);
    expect(w, VERDICT_FAIL, "manifest", "SHA256SUMS");
}

static void private_words(void **state)
{
    struct world *w = fresh(state);
    edit(w, TRACE ".prov.json", "\"offset\":7", "\"cache\":\"/home/someone/cache\",\"offset\":7");
    resign(w, TRACE);
    expect(w, VERDICT_FAIL, "privacy", TRACE ".prov.json");
    w = fresh(state);
    edit(w, TRACE ".prov.json", "\"offset\":7", "\"hostname\":\"box\",\"offset\":7");
    resign(w, TRACE);
    expect(w, VERDICT_FAIL, "privacy", TRACE ".prov.json");
    w = fresh(state);
    edit(w, MIX, "\"toy\"", "\"/home/someone/x\"");
    resign(w, MIX);
    expect(w, VERDICT_FAIL, "privacy", MIX);
}

static void lists(void **state)
{
    struct world *w = fresh(state);
    struct world other = *w;
    (void)snprintf(other.lock, sizeof other.lock, "%s/none", w->dir);
    expect(&other, VERDICT_MISSING, "inputs", ITEMS ".prov.json");
    other = *w;
    (void)snprintf(other.expected, sizeof other.expected, "%s/none", w->dir);
    expect(&other, VERDICT_MISSING, "expected", "none");
    (void)snprintf(other.expected, sizeof other.expected, "%s/short", w->dir);
    sh(": > %s", other.expected); // promises nothing
    expect(&other, VERDICT_FAIL, "expected", "short");
    expect(&other, VERDICT_MISSING, "expected", ITEMS);
    other = *w;
    (void)snprintf(other.bin, sizeof other.bin, "%s/nobin", w->dir);
    expect(&other, VERDICT_SKIP, "rerun", TOTALS); // not run is not passed
}

/* Old sources are no fault, but they are counted. */
static void old_sources(void **state)
{
    struct world *w = fresh(state);
    struct buf b = BUF_INIT;
    char was[200];
    (void)snprintf(was, sizeof was, "\"engine\":\"%s\"", build_info()->engine);
    edit(w, TRACE ".prov.json", was, "\"engine\":\"0123456789012345678901234567890123456789\"");
    resign(w, TRACE);
    struct report *r = look(w, w->tree);
    assert_int_equal(report_total(r, VERDICT_OLD), 1);
    assert_true(report_good(r));
    report_free(r);
    // A derived file of older sources: what it records must still be run, ...
    w = fresh(state);
    edit(w, MIX ".prov.json", was, "\"engine\":\"0123456789012345678901234567890123456789\"");
    edit(w, MIX ".prov.json", "\"parameters\":{", "\"parameters\":{\"chat\":null,");
    resign(w, MIX);
    expect(w, VERDICT_FAIL, "rerun", MIX); // (one that the tool does not have any more is)
    // ... but an input that was dropped is found at any age.
    w = fresh(state);
    char input[300];
    char hex[65];
    load(w, TRACE, &b);
    hex_of(b.data, b.n, hex);
    (void)snprintf(input, sizeof input, ",{\"digest\":{\"sha256\":\"%s\"},\"name\":\"" TRACE "\"}", hex);
    edit(w, MIX ".prov.json", input, "");
    edit(w, MIX ".prov.json", was, "\"engine\":\"0123456789012345678901234567890123456789\"");
    resign(w, MIX);
    expect(w, VERDICT_FAIL, "rerun", MIX);
    buf_release(&b);
}

static void an_allowed_skip_passes(void **state)
{
    struct world *w = fresh(state);
    struct world other = *w;
    (void)snprintf(other.bin, sizeof other.bin, "%s/nobin", w->dir);
    struct report *r = look(&other, w->tree);
    char list[400];
    struct err err = ERR_INIT;
    assert_false(report_good(r));
    (void)snprintf(list, sizeof list, "%s/allow", w->dir);
    sh("echo 'rerun *' > %s", list);
    assert_int_equal(report_allow(r, list, &err), ERR_FORMAT); // a reason is due
    sh("printf '# why\\nrerun * the tools are not built here\\n' > %s", list);
    assert_int_equal(report_allow(r, list, &err), OK);
    assert_true(report_good(r));
    struct buf b = BUF_INIT;
    assert_int_equal(report_json(r, &b, &err), OK);
    assert_non_null(strstr(b.data, "\"good\":true"));
    buf_release(&b);
    report_free(r);
}

static size_t compared(const struct world *w, const char *bands, enum verdict v, bool *good)
{
    struct tree *a;
    struct tree *b;
    struct report *r;
    assert_int_equal(tree_open(&a, w->tree, NULL), OK);
    assert_int_equal(tree_open(&b, w->base, NULL), OK);
    assert_int_equal(report_new(&r, NULL), OK);
    assert_int_equal(check_compare(a, b, bands, r, NULL), OK);
    size_t n = report_total(r, v);
    *good = report_good(r);
    tree_free(a);
    tree_free(b);
    report_free(r);
    return n;
}

static void two_trees(void **state)
{
    struct world *w = fresh(state);
    bool good;
    char bands[400];
    assert_int_equal(compared(w, NULL, VERDICT_PASS, &good), 5);
    assert_true(good);
    edit(w, ITEMS, "true", "false"); // exact: one failure, and what hangs on it is derived
    resign(w, ITEMS);
    edit(w, TOTALS, ",3,", ",2,");
    resign(w, TOTALS);
    assert_int_equal(compared(w, NULL, VERDICT_FAIL, &good), 1);
    assert_int_equal(compared(w, NULL, VERDICT_DERIVED, &good), 1);
    assert_false(good);
    sh("rm -rf %s", w->tree);
    make_tree(w, w->tree, "100"); // another measurement: keys equal, values by bands
    (void)snprintf(bands, sizeof bands, "%s/bands.csv", w->dir);
    sh("printf 'metric,statistic,kind,band,min_samples,source\\nenergy_uj,value,absolute,100,0,test\\n' > %s", bands);
    assert_int_equal(compared(w, bands, VERDICT_FAIL, &good), 0);
    sh("printf 'metric,statistic,kind,band,min_samples,source\\nenergy_uj,value,absolute,10,0,test\\n' > %s", bands);
    assert_int_equal(compared(w, bands, VERDICT_FAIL, &good), 1);
    assert_false(good);
    sh("rm %s/" TRACE " %s/" TRACE ".prov.json", w->tree, w->tree);
    assert_int_equal(compared(w, bands, VERDICT_MISSING, &good), 1);
    assert_false(good);
    w = fresh(state); // another platform: what was measured there is no loss, what is exact must be equal
    sh("mv %s/cpu %s/gpu", w->tree, w->tree);
    assert_int_equal(compared(w, bands, VERDICT_PASS, &good), 2);
    assert_int_equal(compared(w, bands, VERDICT_SKIP, &good), 6);
    assert_int_equal(compared(w, bands, VERDICT_MISSING, &good), 0);
    sh("rm %s/" TOTALS " %s/" TOTALS ".prov.json", w->tree, w->tree);
    assert_int_equal(compared(w, bands, VERDICT_MISSING, &good), 1);
}

int main(int argc, char **argv)
{
    const struct tool_def *def = tool_named(path_base(argv[0]));
    if (def)
        return tool_main(def, argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(untouched_passes_anywhere), cmocka_unit_test(bytes),         cmocka_unit_test(rows),
        cmocka_unit_test(form),                      cmocka_unit_test(statements),    cmocka_unit_test(inputs),
        cmocka_unit_test(definitions),
        cmocka_unit_test(servers),                   cmocka_unit_test(files),         cmocka_unit_test(private_words),
        cmocka_unit_test(lists),                     cmocka_unit_test(old_sources),   cmocka_unit_test(an_allowed_skip_passes),
        cmocka_unit_test(two_trees),
    };
    return cmocka_run_group_tests(tests, setup_world, remove_world);
}
