/* libFuzzer entry for the tokenizer.json reader. Whatever the bytes: an error with a sentence that names
 * the file, or tables that keep every promise of format/tokfile.h, with which text survives a round trip.
 *   tests/fuzz/run.sh tokfile SECONDS */
#include "fuzz/tok_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokfile f;
    struct err err = ERR_INIT;
    enum status s = tokfile_read_json(&f, (const char *)data, size, "fuzz", &err);
    size_t n = size < 300 ? size : 300;
    tok_check_file(&f, s, &err, (const char *)data + size - n, n);
    return 0;
}
