/* libFuzzer entry for the reader of SentencePiece's tokenizer.model: an error with a sentence that names the
 * file, or tables that keep every promise, with which text survives a round trip.
 *   tests/fuzz/run.sh tokspm SECONDS */
#include "fuzz/tok_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokfile f;
    struct err err = ERR_INIT;
    enum status s = tokfile_read_spm(&f, data, size, "fuzz", &err);
    tok_check_file(&f, s, &err, (const char *)data, size);
    return 0;
}
