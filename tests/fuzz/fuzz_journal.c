/* Any bytes as a journal of the recipe "fuzz": refused with a sentence that names the file, or opened; then
 * a record can be added, and a second opening finds the same records and that one. */
#include <stdint.h>

#include "fuzz/scratch.h"
#include "lib/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char id[] = "a record that nobody had";
    struct journal *j;
    struct err err = ERR_INIT;
    char path[128];
    scratch_put("journal", data, size, path);
    if (journal_open(&j, path, "fuzz", &err)) {
        demand(strstr(err.text, "journal") != NULL);
        return 0;
    }
    size_t n = journal_count(j);
    for (size_t i = 0; i < n; i++) {
        const char *known = cJSON_GetStringValue(json_get(journal_at(j, i), "id"));
        demand(known != NULL && journal_has(j, known));
    }
    cJSON *record = cJSON_CreateObject();
    demand(record != NULL && cJSON_AddStringToObject(record, "id", id) != NULL);
    size_t one = !journal_has(j, id);
    demand((journal_add(j, record, &err) == OK) == (one == 1));
    demand(journal_close(j, false, &err) == OK);
    demand(journal_open(&j, path, "fuzz", &err) == OK);
    demand(journal_count(j) == n + one && journal_has(j, id));
    demand(journal_close(j, true, &err) == OK);
    return 0;
}
