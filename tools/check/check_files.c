#include <stdio.h>
#include <string.h>

#include "lib/canon.h"
#include "check/check.h"
#include "lib/paths.h"
#include "lib/prov.h"
#include "lib/records.h"
#include "lib/table.h"

/* What each file is, apart from how it came to be: pairs, manifest, schema and canonical form. */

enum status check_files(const struct check_context *c, struct err *err)
{
    for (size_t i = 0; i < c->tree->n; i++) {
        const struct tree_file *f = &c->tree->files[i];
        if (f->is_special) {
            report_add(c->report, VERDICT_FAIL, "pair", f->name, "expected a regular file, found a link or device");
        } else if (f->is_statement) {
            char payload[1024];
            (void)snprintf(payload, sizeof payload, "%.*s", (int)(strlen(f->name) - strlen(PROV_SUFFIX)), f->name);
            const struct tree_file *p = tree_find(c->tree, payload);
            if (!p)
                report_add(c->report, VERDICT_MISSING, "pair", f->name, "the file it describes is not there");
            else
                report_add(c->report, VERDICT_PASS, "pair", f->name, "%s", "");
        } else if (!f->is_manifest && !f->statement) {
            char beside[1024];
            (void)snprintf(beside, sizeof beside, "%.900s" PROV_SUFFIX, f->name);
            const struct tree_file *st = tree_find(c->tree, beside);
            report_add(c->report, VERDICT_MISSING, "pair", f->name, "%s",
                       st && st->broken ? st->broken : "it has no statement");
        }
    }
    (void)err;
    return OK;
}

/* One line of a manifest, in place: 64 hex digits, two spaces, a relative name. */
static bool split_line(char *line, const char **hex, const char **name)
{
    if (strlen(line) < 67 || line[64] != ' ' || line[65] != ' ')
        return false;
    line[64] = '\0';
    *hex = line;
    *name = line + 66;
    return canon_is_sha256(line) && (*name)[0] != '/' && !strstr(*name, "..");
}

/* Call fn for each line of a `sha256  name` file; false when a line is malformed or out of order. */
static bool each_line(char *text, void (*fn)(void *arg, const char *hex, const char *name), void *arg, size_t *bad_line)
{
    const char *last = "";
    *bad_line = 0;
    for (char *line = text; *line;) {
        ++*bad_line;
        char *end = strchr(line, '\n');
        const char *hex;
        const char *name;
        if (!end)
            return false;
        *end = '\0';
        if (!split_line(line, &hex, &name) || strcmp(last, name) >= 0)
            return false;
        fn(arg, hex, name);
        last = name;
        line = end + 1;
    }
    return true;
}

struct listing {
    const struct check_context *c;
    const char *check;
    size_t n;
    struct buf seen; /* names, each between two LF */
};

static void check_line(void *arg, const char *hex, const char *name)
{
    struct listing *l = arg;
    const struct tree_file *f = tree_find(l->c->tree, name);
    l->n++;
    buf_printf(&l->seen, "%s\n", name);
    if (!f)
        report_add(l->c->report, VERDICT_MISSING, l->check, name, "it is listed but not there");
    else if (strcmp(f->sha256, hex) != 0)
        report_add(l->c->report, VERDICT_FAIL, l->check, name, "expected SHA-256 %.12s..., found %.12s...", hex, f->sha256);
    else
        report_add(l->c->report, VERDICT_PASS, l->check, name, "%s", "");
}

static bool listed(const struct listing *l, const char *name)
{
    char line[1100];
    (void)snprintf(line, sizeof line, "\n%.1000s\n", name);
    return l->seen.data && strstr(l->seen.data, line);
}

enum status check_manifest(const struct check_context *c, struct err *err)
{
    const struct tree_file *m = tree_find(c->tree, "SHA256SUMS");
    if (!m) {
        report_add(c->report, VERDICT_MISSING, "manifest", "SHA256SUMS", "the tree has no manifest");
        return OK;
    }
    struct listing l = {.c = c, .check = "manifest", .seen = BUF_INIT};
    struct buf text = BUF_INIT;
    size_t bad = 0;
    buf_char(&l.seen, '\n');
    enum status s = tree_read(c->tree, m, &text, err);
    if (!s && !each_line(text.data, check_line, &l, &bad))
        report_add(c->report, VERDICT_FAIL, "manifest", "SHA256SUMS", "line %zu: expected sorted `sha256  name` lines", bad);
    for (size_t i = 0; i < c->tree->n && !s; i++) {
        const struct tree_file *f = &c->tree->files[i];
        // A statement of a late file names its own schema, so the rule covers both.
        if (!f->is_manifest && !f->is_special && !tree_after_manifest(c->tree, f) && !listed(&l, f->name))
            report_add(c->report, VERDICT_FAIL, "manifest", f->name, "the manifest does not list it");
    }
    if (!s)
        s = buf_status(&l.seen, "manifest", err);
    buf_release(&l.seen);
    buf_release(&text);
    return s;
}

enum status check_expected_digests(const struct check_context *c, struct err *err)
{
    struct buf expected = BUF_INIT;
    struct buf now = BUF_INIT;
    struct listing l = {.c = c, .check = "expected", .seen = BUF_INIT};
    size_t bad = 0;
    if (!c->expected)
        return OK;
    enum status s = path_read(c->expected, &expected, err);
    if (s == ERR_MISSING) {
        report_add(c->report, VERDICT_MISSING, "expected", path_base(c->expected), "the list of expected digests is not there");
        buf_release(&expected);
        return OK;
    }
    buf_char(&l.seen, '\n');
    if (!s && (!each_line(expected.data, check_line, &l, &bad) || l.n == 0))
        report_add(c->report, VERDICT_FAIL, "expected", path_base(c->expected),
                   "line %zu: expected sorted `sha256  name` lines", bad);
    if (!s)
        s = tree_expected(c->tree, &now, err);
    for (char *line = s ? NULL : now.data, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0'; // what is exact here and not promised there
        if (!listed(&l, line + 66))
            report_add(c->report, VERDICT_MISSING, "expected", line + 66, "an exact result without an expected digest");
    }
    buf_release(&expected);
    buf_release(&now);
    buf_release(&l.seen);
    return s;
}

static enum status parse_json_payload(const struct schema *sc, const struct buf *b, const char *name, struct err *err)
{
    cJSON *doc = NULL;
    struct buf again = BUF_INIT;
    size_t line;
    size_t column;
    enum status s = json_parse(&doc, b->data, b->n, name, err);
    if (!s)
        s = record_check(sc, doc, name, err);
    if (!s)
        s = json_write_canonical(&again, doc, err);
    buf_char(&again, '\n');
    if (!s && canon_first_difference(b->data, b->n, again.data, again.n, &line, &column))
        s = err_set(err, ERR_FORMAT, "%s:%zu:%zu: expected canonical JSON", name, line, column);
    cJSON_Delete(doc);
    buf_release(&again);
    return s;
}

static enum status parse_payload(const struct schema *sc, const struct buf *b, const char *name, struct err *err)
{
    struct table *t = NULL;
    struct records *r = NULL;
    enum status s = OK;
    unsigned flags = sc->canonical ? TABLE_CANONICAL : TABLE_ANY;
    switch (sc->format) {
    case SCHEMA_CSV:
        s = b->n && b->data[0] == '{' ? table_parse_json(&t, sc->id, b->data, b->n, name, flags, err)
                                      : table_parse(&t, sc->id, b->data, b->n, name, flags, err);
        if (!s)
            table_free(t);
        break;
    case SCHEMA_JSONL:
        s = records_parse(&r, sc->id, b->data, b->n, name, sc->canonical ? RECORDS_CANONICAL : RECORDS_ANY, err);
        if (!s)
            records_free(r);
        break;
    case SCHEMA_JSON:
        s = parse_json_payload(sc, b, name, err);
        break;
    case SCHEMA_BYTES:
        if (b->n == 0)
            s = err_set(err, ERR_FORMAT, "%s: expected bytes, found an empty file", name);
        break;
    }
    return s;
}

enum status check_payloads(const struct check_context *c, struct err *err)
{
    for (size_t i = 0; i < c->tree->n; i++) {
        const struct tree_file *f = &c->tree->files[i];
        if (!tree_is_payload(f) || !f->statement || !f->statement->schema)
            continue; // check_files or check_statements says so
        const struct schema *sc;
        struct buf b = BUF_INIT;
        struct err why = ERR_INIT;
        if (schema_find(c->tree->schemas, f->statement->schema, &sc, &why)) {
            report_add(c->report, VERDICT_FAIL, "schema", f->name, "%s", why.text);
            continue;
        }
        enum status s = tree_read(c->tree, f, &b, err);
        if (!s && parse_payload(sc, &b, f->name, &why))
            report_add(c->report, why.status == ERR_MEMORY ? VERDICT_MISSING : VERDICT_FAIL, "schema", f->name, "%s", why.text);
        else if (!s)
            report_add(c->report, VERDICT_PASS, "schema", f->name, "%s", sc->id);
        buf_release(&b);
        if (s)
            return s;
    }
    return OK;
}
