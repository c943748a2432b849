/* libFuzzer entry for the reader of vocab.json, merges.txt and tokenizer_config.json, which the input holds one
 * after another with lines `---` between them (no third part: no config).
 *   tests/fuzz/run.sh tokvocab SECONDS */
#include "fuzz/tok_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[3] = {"fuzz/vocab.json", "fuzz/merges.txt", "fuzz/tokenizer_config.json"};
    struct tokfile_part p[3];
    struct tokfile f;
    struct err err = ERR_INIT;
    const char *s = (const char *)data;
    size_t n = size;
    for (size_t i = 0; i < 3; i++) {
        const char *rest;
        size_t n_rest;
        p[i] = (struct tokfile_part){.name = names[i], .text = s, .n = scratch_cut(s, n, &rest, &n_rest)};
        s = rest;
        n = n_rest;
    }
    enum status st = tokfile_read_vocab(&f, &p[0], &p[1], p[2].n ? &p[2] : NULL, &err);
    tok_check_file(&f, st, &err, p[1].text, p[1].n);
    return 0;
}
