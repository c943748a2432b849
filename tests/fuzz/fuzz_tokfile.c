/* libFuzzer entry for the tokenizer.json reader. Whatever the bytes: an error with a sentence that names
 * the file, or tables that keep every promise of format/tokfile.h, with which text survives a round trip.
 *   tests/fuzz/run.sh tokfile SECONDS */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/tokfile.h"
#include "text/encode.h"
#include "text/utf8_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void check_tables(const struct tokfile *f)
{
    demand(f->n_tokens >= 256 && f->n_tokens <= (size_t)TOKFILE_MAX_ID + 1);
    for (size_t id = 0; id < f->n_tokens; id++) {
        size_t n;
        const char *s = tokfile_text(f, (int32_t)id, &n);
        demand((n > 0) == ((f->flags[id] & TOKFILE_PRESENT) != 0));
        if (!n)
            continue;
        demand(f->tokens[id].at <= f->bytes.n && n <= f->bytes.n - f->tokens[id].at);
        demand(tokfile_find(f, s, n) == (int32_t)id); // one id a text
    }
    for (size_t b = 0; b < 256; b++) {
        int32_t id = f->byte_id[b];
        demand(id >= 0 && (size_t)id < f->n_tokens && !(f->flags[id] & TOKFILE_ADDED));
    }
    int32_t last = -1;
    for (size_t i = 0; i < f->n_merges; i++) {
        const struct tokfile_merge *m = &f->merges[i];
        size_t a;
        size_t b;
        size_t n;
        const char *left = tokfile_text(f, m->left, &a);
        const char *right = tokfile_text(f, m->right, &b);
        const char *whole = tokfile_text(f, m->result, &n);
        demand(m->result >= last && n == a + b && memcmp(whole, left, a) == 0 && memcmp(whole + a, right, b) == 0);
        demand(!(f->flags[m->result] & (TOKFILE_ADDED | TOKFILE_BYTE)));
        last = m->result;
    }
}

/* decode(encode(x)) = x: exactly, but for NFC and for U+2581 standing for a blank. */
static void check_round_trip(const struct tokenizer *t, const char *s, size_t n, bool parse)
{
    struct buf want = BUF_INIT;
    struct buf got = BUF_INIT;
    struct ids ids = {.v = NULL};
    struct err err = ERR_INIT;
    utf8_lossy(s, n, &want);
    demand((parse ? tokenizer_encode_parsed : tokenizer_encode)(t, s, n, &ids, &err) == OK);
    demand(tokenizer_decode(t, ids.v, ids.n, false, &got, &err) == OK);
    if (!t->file.nfc && t->file.kind == TOKFILE_BYTE_LEVEL)
        demand(got.n == want.n && (got.n == 0 || memcmp(got.data, want.data, got.n) == 0));
    buf_release(&want);
    buf_release(&got);
    ids_release(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokenizer t = {.whole = NULL};
    struct err err = ERR_INIT;
    enum status s = tokfile_read_json(&t.file, (const char *)data, size, "fuzz", &err);
    if (s) {
        demand(err.status == s && strncmp(err.text, "fuzz:", 5) == 0);
        return 0;
    }
    check_tables(&t.file);
    if (!(s = bpe_init(&t.bpe, &t.file, "fuzz", &err)) && !(s = special_init(&t.special, &t.file, TOKFILE_ADDED, &err))) {
        if (t.file.kind == TOKFILE_BYTE_LEVEL)
            demand(encode_find_whole(&t, &err) == OK);
        else
            demand(spm_init(&t.spm, &t.file, &t.bpe, &err) == OK);
        size_t n = size < 300 ? size : 300;
        check_round_trip(&t, (const char *)data + size - n, n, false);
        check_round_trip(&t, (const char *)data + size - n, n, true);
        static const char fixed[] = "hello <|end|> \xE4\xB8\xAD\xFF 123'S aaaaaaaa\n\n";
        check_round_trip(&t, fixed, sizeof fixed - 1, true);
    } else {
        demand(s == ERR_FORMAT);
    }
    bpe_release(&t.bpe);
    special_release(&t.special);
    spm_release(&t.spm);
    tokfile_release(&t.file);
    mem_free(t.whole);
    return 0;
}
