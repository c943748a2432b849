/* libFuzzer entry for tokenizers in GGUF metadata: an error with a sentence that names the file, or tables that
 * keep every promise, with which text survives a round trip.
 *   tests/fuzz/run.sh tokgguf SECONDS */
#include "format/gguf.h"
#include "fuzz/tok_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = NULL;
    struct gguf g;
    struct tokfile f;
    struct err err = ERR_INIT;
    demand(arena_new(&a, 0, &err) == OK);
    if (gguf_parse(&g, a, data, size, "fuzz", &err) == OK) {
        enum status s = tokfile_read_gguf(&f, &g, &err);
        tok_check_file(&f, s, &err, (const char *)data, size);
    }
    arena_free(a);
    return 0;
}
