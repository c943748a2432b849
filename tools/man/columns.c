/* columns SCHEMA... - what the files of the schemas hold, as man(7) text for the OUTPUT part of a
 * page. Run by tools/man/build.sh; a schema that does not exist ends the build. */

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "lib/roff.h"
#include "lib/schema.h"

static const char *form_text(const struct schema *s)
{
    switch (s->format) {
    case SCHEMA_CSV:
        return "CSV";
    case SCHEMA_JSONL:
        return "JSON, one object a line";
    case SCHEMA_JSON:
        return "JSON";
    case SCHEMA_BYTES:
        return "bytes";
    }
    return "";
}

static const char *type_text(const struct schema_column *c)
{
    switch (c->type) {
    case COLUMN_INT:
        return "integer";
    case COLUMN_REAL:
        return "real";
    case COLUMN_TEXT:
        return "text";
    case COLUMN_SHA256:
        return "sha256";
    case COLUMN_ENUM:
        return "word";
    case COLUMN_BOOL:
        return "bool";
    case COLUMN_INTS:
        return "integers";
    case COLUMN_TEXTS:
        return "texts";
    case COLUMN_REALS:
        return "reals";
    case COLUMN_JSON:
        return "JSON";
    }
    return "";
}

static void column(const struct schema *s, const struct schema_column *c, struct buf *out)
{
    buf_str(out, ".TP\n\\fB");
    roff_text(out, c->name);
    buf_printf(out, "\\fR (%s", type_text(c));
    if (c->unit[0]) {
        buf_str(out, ", ");
        roff_text(out, c->unit);
    }
    if (c->nullable)
        buf_str(out, s->format == SCHEMA_CSV ? ", may be empty" : ", may be absent");
    buf_str(out, ")\n");
    roff_text(out, c->doc);
    for (size_t i = 0; i < c->n_values; i++) {
        buf_str(out, i ? ", " : c->doc[0] ? ": " : "");
        roff_text(out, c->values[i]);
    }
    buf_str(out, ".\n");
}

static void describe(const struct schema *s, struct buf *out)
{
    buf_str(out, ".SS ");
    roff_text(out, s->file);
    buf_char(out, '\n');
    roff_text(out, s->title);
    buf_printf(out, ". Form: %s; class: %s", form_text(s), result_class_name(s->class));
    for (size_t i = 0; i < s->n_keys; i++) {
        buf_str(out, i ? ", " : "; sorted by ");
        roff_text(out, s->columns[s->keys[i]].name);
    }
    buf_str(out, ".\n");
    for (size_t i = 0; i < s->n_columns; i++)
        column(s, &s->columns[i], out);
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct buf out = BUF_INIT;
    enum status s = OK;
    for (int i = 1; i < argc && !s; i++) {
        struct schema *schema = NULL;
        s = schema_load(&schema, argv[i], &err);
        if (!s)
            describe(schema, &out);
        schema_free(schema);
    }
    if (!s)
        s = buf_status(&out, "text", &err);
    if (!s && out.n && (fwrite(out.data, 1, out.n, stdout) != out.n || fflush(stdout) != 0))
        s = err_set(&err, ERR_IO, "cannot write standard output");
    if (s)
        (void)fprintf(stderr, "columns: %s\n", err.text);
    buf_release(&out);
    return s ? 2 : 0;
}
