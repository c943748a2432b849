/* libFuzzer entry for base/json. Whatever the bytes: a sentence that names the file, or a tree whose
 * canonical text parses to the same tree and is its own canonical text; and what the canonical writer
 * accepts holds no duplicate key.   tests/fuzz/run.sh json SECONDS */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON *v = NULL;
    cJSON *again = NULL;
    struct err err = ERR_INIT;
    struct buf a = BUF_INIT;
    struct buf b = BUF_INIT;
    if (json_parse(&v, (const char *)data, size, "fuzz.json", &err)) {
        demand(strncmp(err.text, "fuzz.json", 9) == 0);
        return 0;
    }
    demand(json_write_canonical(&a, v, &err) == OK);
    demand(json_parse(&again, a.data, a.n, "again", &err) == OK); // parse(write(x)) = x
    demand(cJSON_Compare(v, again, 1));
    demand(json_write_canonical(&b, again, &err) == OK); // write(parse(b)) = b
    demand(a.n == b.n && memcmp(a.data, b.data, a.n) == 0);
    cJSON_Delete(v);
    cJSON_Delete(again);
    buf_release(&a);
    buf_release(&b);
    return 0;
}
