/* libFuzzer entry for JSONL files and schema descriptions: the requests people write, our own
 * transcripts, and results/schemas/ themselves.   tests/fuzz/run.sh records SECONDS */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void check_records(const char *schema, const char *data, size_t size)
{
    struct records *r;
    struct records *again;
    struct err err = ERR_INIT;
    struct buf a = BUF_INIT;
    struct buf b = BUF_INIT;
    if (records_parse(&r, schema, data, size, "fuzz.jsonl", RECORDS_ANY, &err)) {
        demand(strncmp(err.text, "fuzz.jsonl", 10) == 0);
        return;
    }
    demand(records_write(r, &a, &err) == OK);
    demand(records_parse(&again, schema, a.data ? a.data : "", a.n, "again", RECORDS_CANONICAL, &err) == OK);
    demand(records_count(r) == records_count(again));
    demand(records_write(again, &b, &err) == OK);
    demand(a.n == b.n && (a.n == 0 || memcmp(a.data, b.data, a.n) == 0));
    records_free(r);
    records_free(again);
    buf_release(&a);
    buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct schema *s;
    struct err err = ERR_INIT;
    check_records("requests", (const char *)data, size);
    check_records("transcripts", (const char *)data, size);
    if (schema_parse(&s, (const char *)data, size, "fuzz.json", &err)) {
        demand(strncmp(err.text, "fuzz.json", 9) == 0);
        return 0;
    }
    for (size_t i = 0; i < s->n_keys; i++)
        demand(s->keys[i] < s->n_columns);
    for (size_t i = 0; i < s->n_columns; i++)
        demand(schema_column(s, s->columns[i].name) == i);
    schema_free(s);
    return 0;
}
