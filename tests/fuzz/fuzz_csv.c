/* libFuzzer entry for the CSV reader, the table reader on two schemas, and the JSON form of a table.
 * Accepted bytes, written and read again, give the same fields and then the same bytes.
 *   tests/fuzz/run.sh csv SECONDS */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/csvio.h"
#include "lib/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void write_all(const struct csv *c, struct buf *out)
{
    const char **fields = malloc((c->n_cols + 1) * sizeof *fields);
    demand(fields != NULL);
    for (size_t r = 0; r < c->n_rows; r++) {
        for (size_t i = 0; i < c->n_cols; i++)
            fields[i] = csv_at(c, r, i)->text;
        csv_write_row(out, fields, c->n_cols);
    }
    free(fields);
}

static void check_csv(const char *data, size_t size)
{
    struct csv c;
    struct csv again;
    struct err err = ERR_INIT;
    struct buf a = BUF_INIT;
    struct buf b = BUF_INIT;
    if (csv_parse_bytes(&c, data, size, "fuzz.csv", &err)) {
        demand(strncmp(err.text, "fuzz.csv", 8) == 0);
        return;
    }
    write_all(&c, &a);
    demand(csv_parse_bytes(&again, a.data, a.n, "again", &err) == OK);
    demand(again.n_rows == c.n_rows && again.n_cols == c.n_cols);
    for (size_t i = 0; i < c.n_rows * c.n_cols; i++)
        demand(strcmp(c.fields[i].text, again.fields[i].text) == 0 && c.fields[i].n == strlen(c.fields[i].text));
    write_all(&again, &b);
    demand(a.n == b.n && memcmp(a.data, b.data, a.n) == 0);
    csv_release(&c);
    csv_release(&again);
    buf_release(&a);
    buf_release(&b);
}

static void check_table(const char *schema, const char *data, size_t size)
{
    struct table *t;
    struct table *again;
    struct err err = ERR_INIT;
    struct buf a = BUF_INIT;
    struct buf b = BUF_INIT;
    struct buf j = BUF_INIT;
    if (table_parse(&t, schema, data, size, "fuzz.csv", TABLE_ANY, &err)) {
        demand(err.text[0] != '\0');
        return;
    }
    demand(table_write_csv(t, &a, &err) == OK);
    demand(table_parse(&again, schema, a.data, a.n, "again", TABLE_CANONICAL, &err) == OK);
    table_free(again);
    demand(table_write_json(t, &j, &err) == OK);
    demand(table_parse_json(&again, schema, j.data, j.n, "again", TABLE_CANONICAL, &err) == OK);
    demand(table_write_csv(again, &b, &err) == OK);
    demand(a.n == b.n && memcmp(a.data, b.data, a.n) == 0);
    table_free(again);
    table_free(t);
    buf_release(&a);
    buf_release(&b);
    buf_release(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_csv((const char *)data, size);
    check_table("power_trace", (const char *)data, size);
    check_table("bands", (const char *)data, size);
    return 0;
}
