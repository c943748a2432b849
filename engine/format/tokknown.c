#include "format/tokknown.h"

#include <string.h>

#include "base/digest.h"

static const struct tokknown known[] = {
    {.name = "Qwen2, Qwen2.5, Qwen3",
     .sha256 = "33bc5cb3ea15d95094254600052ea2af5a2b1f2329fe534700587ac0e40a8b2d",
     .kind = TOKFILE_BYTE_LEVEL,
     .split = TOKFILE_SPLIT_QWEN2,
     .nfc = true},
    {.name = "Llama, Llama-2",
     .sha256 = "baa49f19a8f5450794f6b599f411035c330f6f14249d1cee8a702a00567527e2",
     .kind = TOKFILE_SPM,
     .dummy_prefix = true},
    {.name = "Yi",
     .sha256 = "f120506037ad48ad18ee9ba0367f1798a061f64ced0936542914828aa149a7ac",
     .kind = TOKFILE_SPM,
     .dummy_prefix = false},
};

static enum status hash_pieces(const struct tokfile *f, struct digest *d, struct err *err)
{
    enum status s = OK;
    for (size_t id = 0; id < f->n_tokens && !s; id++) {
        size_t n;
        const char *text = tokfile_text(f, (int32_t)id, &n);
        if (!(f->flags[id] & TOKFILE_PRESENT) || f->flags[id] & TOKFILE_ADDED)
            continue;
        const uint8_t len[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24)};
        if (!(s = digest_add(d, len, sizeof len, err)))
            s = digest_add(d, text, n, err);
    }
    return s;
}

enum status tokknown_find(const struct tokfile *f, const struct tokknown **out, struct err *err)
{
    struct digest *d = NULL;
    uint8_t sum[DIGEST_B];
    char hex[DIGEST_HEX_LEN + 1];
    *out = NULL;
    enum status s = digest_new(&d, err);
    if (!s && !(s = hash_pieces(f, d, err)) && !(s = digest_finish(d, sum, err))) {
        digest_hex(sum, hex);
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (strcmp(hex, known[i].sha256) == 0)
                *out = &known[i];
    }
    digest_free(d);
    return s;
}
