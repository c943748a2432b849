#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "lib/canon.h"
#include "check/check.h"
#include "lib/paths.h"
#include "lib/prov.h"

/* From every file to its leaves: each input is a file of the tree, a file of the sources, a model that
 * models.lock lists, or a server; and a class is the weakest of what went in. */

static const char *input_digest(const cJSON *input)
{
    const char *hex = cJSON_GetStringValue(json_get(json_get(input, "digest"), "sha256"));
    return hex && canon_is_sha256(hex) ? hex : NULL;
}

/* Does models.lock hold `hex  name`? */
static enum verdict model_listed(const struct check_context *c, const char *name, const char *hex)
{
    struct buf text = BUF_INIT;
    struct err why = ERR_INIT;
    char line[400];
    enum verdict v = VERDICT_MISSING;
    if (c->models && !path_read(c->models, &text, &why)) {
        v = VERDICT_FAIL;
        (void)snprintf(line, sizeof line, "%s  %.300s\n", hex, name);
        const char *at = strstr(text.data, line);
        if (at && (at == text.data || at[-1] == '\n'))
            v = VERDICT_PASS;
    }
    buf_release(&text);
    return v;
}

/* "assay synthetic N NAME,seed=..." of "model:NAME"; no other text may stand in for models.lock. */
static bool defines(const char *definition, const char *name)
{
    static const char generator[] = "assay synthetic ";
    const char *model = name + strlen("model:");
    const char *p = definition + sizeof generator - 1;
    if (strncmp(definition, generator, sizeof generator - 1) != 0)
        return false;
    p += strspn(p, "0123456789");
    return *p == ' ' && strncmp(p + 1, model, strlen(model)) == 0 && strncmp(p + 1 + strlen(model), ",seed=", 6) == 0;
}

/* A model without files is what its definition says: whoever reads the statement can make it again. */
static void check_definition(const struct check_context *c, const char *file, const char *name, const char *hex,
                             const char *definition)
{
    uint8_t d[DIGEST_B];
    char found[DIGEST_HEX_LEN + 1] = "";
    if (!defines(definition, name)) {
        report_add(c->report, VERDICT_FAIL, "inputs", file, "'%s': '%.200s' defines no such model", name, definition);
        return;
    }
    if (digest_bytes(definition, strlen(definition), d, NULL) == OK)
        digest_hex(d, found);
    if (strcmp(found, hex) == 0)
        report_add(c->report, VERDICT_PASS, "inputs", file, "'%s': '%.200s'", name, definition);
    else
        report_add(c->report, VERDICT_FAIL, "inputs", file, "'%s': expected the SHA-256 of its definition %.12s..., found %.12s...",
                   name, found, hex);
}

static void check_model(const struct check_context *c, const char *file, const cJSON *input, const char *name,
                        const char *hex)
{
    const char *definition = cJSON_GetStringValue(json_get(input, "definition"));
    // One name means one model in the whole tree, whether or not it is listed.
    for (size_t i = 0; i < c->tree->n; i++) {
        const struct tree_file *f = &c->tree->files[i];
        const cJSON *in;
        if (!f->is_statement || !f->statement)
            continue;
        cJSON_ArrayForEach(in, f->statement->inputs)
        {
            const char *other = cJSON_GetStringValue(json_get(in, "name"));
            const char *other_hex = input_digest(in);
            if (other && other_hex && strcmp(other, name) == 0 && strcmp(other_hex, hex) != 0) {
                report_add(c->report, VERDICT_FAIL, "inputs", file, "'%s' has another digest than in %s", name, f->name);
                return;
            }
        }
    }
    if (definition) {
        check_definition(c, file, name, hex, definition);
        return;
    }
    enum verdict v = model_listed(c, name, hex);
    report_add(c->report, v, "inputs", file, "'%s'%s", name,
               v == VERDICT_PASS ? "" : v == VERDICT_FAIL ? " with this digest is not in models.lock" : ": there is no models.lock");
}

/* A name below the tree or the sources; hex is what it must have. */
static enum status check_named(const struct check_context *c, const char *file, const char *name, const char *hex,
                               struct err *err)
{
    const struct tree_file *in_tree = tree_find(c->tree, name);
    char found[DIGEST_HEX_LEN + 1] = "";
    if (in_tree) {
        memcpy(found, in_tree->sha256, sizeof found);
    } else {
        struct buf path = BUF_INIT;
        uint8_t d[DIGEST_B];
        enum status s = path_resolve(name, c->tree->dir, &path, err);
        if (!s)
            s = digest_file(path.data, d, err);
        if (!s)
            digest_hex(d, found);
        buf_release(&path);
        if (s == ERR_MISSING || s == ERR_IO) {
            report_add(c->report, VERDICT_MISSING, "inputs", file, "'%s' is neither in the tree nor in the sources", name);
            return OK;
        }
        if (s)
            return s;
    }
    if (strcmp(found, hex) != 0)
        report_add(c->report, VERDICT_FAIL, "inputs", file, "'%s': expected SHA-256 %.12s..., found %.12s...", name, hex, found);
    else
        report_add(c->report, VERDICT_PASS, "inputs", file, "%s", name);
    return OK;
}

static bool digest_in_tree(const struct tree *t, const char *hex)
{
    for (size_t i = 0; i < t->n; i++)
        if (tree_is_payload(&t->files[i]) && strcmp(t->files[i].sha256, hex) == 0)
            return true;
    return false;
}

static enum status check_input(const struct check_context *c, const char *file, const cJSON *input, struct err *err)
{
    const char *name = cJSON_GetStringValue(json_get(input, "name"));
    const char *uri = cJSON_GetStringValue(json_get(input, "uri"));
    const char *hex = input_digest(input);
    if (!name || (!hex && !uri) || (hex && uri)) {
        report_add(c->report, VERDICT_FAIL, "inputs", file, "an input has no name, or not exactly one of digest and uri");
        return OK;
    }
    if (uri) {
        report_add(c->report, VERDICT_PASS, "inputs", file, "%s (a server: no digest)", name);
        return OK;
    }
    if (strncmp(name, "model:", 6) == 0) {
        check_model(c, file, input, name, hex);
        return OK;
    }
    if (strcmp(name, "<stdin>") == 0) {
        bool found = digest_in_tree(c->tree, hex);
        report_add(c->report, found ? VERDICT_PASS : VERDICT_MISSING, "inputs", file, "%s",
                   found ? "standard input" : "standard input came from no file of this tree");
        return OK;
    }
    if (name[0] == '/' || strstr(name, "..")) {
        report_add(c->report, VERDICT_FAIL, "inputs", file, "'%.200s' leaves the tree", name);
        return OK;
    }
    return check_named(c, file, name, hex, err);
}

/* Class that the rule gives: schema, numerics, and every input. */
static bool ruled_class(const struct check_context *ctx, const struct statement *st, enum result_class *out)
{
    const struct tree *t = ctx->tree;
    const struct schema *sc;
    const cJSON *in;
    if (schema_find(t->schemas, st->schema, &sc, NULL))
        return false;
    enum result_class c = sc->class;
    if (c == CLASS_EXACT && strcmp(st->numerics, "exact") != 0)
        c = CLASS_PINNED;
    cJSON_ArrayForEach(in, st->inputs)
    {
        enum result_class k = json_get(in, "uri") ? CLASS_MEASURED : CLASS_EXACT;
        const char *name = cJSON_GetStringValue(json_get(in, "name"));
        const struct tree_file *f = name ? tree_find(t, name) : NULL;
        if (f && f->statement && f->statement->class)
            (void)result_class_parse(f->statement->class, &k); // an unknown word is the statement check's finding
        if (k > c)
            c = k;
    }
    *out = c;
    return true;
}

static void check_class(const struct check_context *c, const struct tree_file *f)
{
    enum result_class want;
    if (!ruled_class(c, f->statement, &want))
        return; // an unknown schema: check_payloads says so
    if (strcmp(f->statement->class, result_class_name(want)) != 0)
        report_add(c->report, VERDICT_FAIL, "class", f->name, "expected '%s', the weakest of its own and its inputs', found '%.40s'",
                   result_class_name(want), f->statement->class);
    else
        report_add(c->report, VERDICT_PASS, "class", f->name, "%s", result_class_name(want));
}

enum status check_chain(const struct check_context *c, struct err *err)
{
    enum status s = OK;
    for (size_t i = 0; i < c->tree->n && !s; i++) {
        const struct tree_file *f = &c->tree->files[i];
        const cJSON *in;
        if (!f->is_statement || !f->statement || !f->statement->sound)
            continue; // check_statements says so
        cJSON_ArrayForEach(in, f->statement->inputs)
        {
            if (s)
                break;
            s = check_input(c, f->name, in, err);
        }
        check_class(c, f);
    }
    return s;
}

/* Exact itself, and so is everything of the tree it was made from. */
static bool exact_to_leaves(const struct tree *t, const struct tree_file *f, int depth)
{
    const cJSON *in;
    if (depth > 64 || !f->statement || !f->statement->sound || strcmp(f->statement->class, "exact") != 0)
        return false;
    cJSON_ArrayForEach(in, f->statement->inputs)
    {
        const char *name = cJSON_GetStringValue(json_get(in, "name"));
        const struct tree_file *from = name ? tree_find(t, name) : NULL;
        if (!name || json_get(in, "uri") || strcmp(name, "<stdin>") == 0 || (from && !exact_to_leaves(t, from, depth + 1)))
            return false;
    }
    return true;
}

enum status tree_expected(const struct tree *t, struct buf *out, struct err *err)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct tree_file *f = &t->files[i];
        if (tree_is_payload(f) && exact_to_leaves(t, f, 0))
            buf_printf(out, "%s  %s\n", f->sha256, f->name);
    }
    return buf_status(out, "expected digests", err);
}

struct model_line {
    const char *name, *hex; /* borrowed from the statements */
};

static int compare_models(const void *a, const void *b)
{
    return strcmp(((const struct model_line *)a)->name, ((const struct model_line *)b)->name);
}

/* Model inputs of all statements that models.lock must hold, into lines unless it is NULL; returns how many there are. */
static size_t list_models(const struct tree *t, struct model_line *lines)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        const cJSON *in;
        if (!t->files[i].is_statement || !t->files[i].statement)
            continue;
        cJSON_ArrayForEach(in, t->files[i].statement->inputs)
        {
            const char *name = cJSON_GetStringValue(json_get(in, "name"));
            const char *hex = input_digest(in);
            if (!name || !hex || strncmp(name, "model:", 6) != 0 || json_get(in, "definition"))
                continue;
            if (lines)
                lines[n] = (struct model_line){.name = name, .hex = hex};
            n++;
        }
    }
    return n;
}

enum status tree_models(const struct tree *t, struct buf *out, struct err *err)
{
    void *p;
    size_t n = list_models(t, NULL);
    enum status s = mem_alloc(&p, n, sizeof(struct model_line), "models", err);
    if (s)
        return s;
    struct model_line *lines = p;
    (void)list_models(t, lines);
    if (n)
        qsort(lines, n, sizeof *lines, compare_models);
    for (size_t i = 0; i < n && !s; i++) {
        bool again = i && strcmp(lines[i - 1].name, lines[i].name) == 0;
        if (again && strcmp(lines[i - 1].hex, lines[i].hex) != 0)
            s = err_set(err, ERR_FORMAT, "'%s' has two digests in this tree", lines[i].name);
        else if (!again)
            buf_printf(out, "%s  %s\n", lines[i].hex, lines[i].name);
    }
    mem_free(lines);
    return s ? s : buf_status(out, "models", err);
}

enum status check_all(const struct check_context *c, struct err *err)
{
    enum status s = check_files(c, err);
    if (!s)
        s = check_manifest(c, err);
    if (!s)
        s = check_statements(c, err);
    if (!s)
        s = check_payloads(c, err);
    if (!s)
        s = check_chain(c, err);
    if (!s)
        s = check_expected_digests(c, err);
    if (!s && c->bin)
        s = check_rerun(c, err);
    return s;
}
