/* A results tree of one file: its statement, a line `---`, the payload, a line `---`, the manifest. verify
 * works on any of them, and finds them good only when statement and manifest name the payload's digest. */
#include <stdint.h>

#include "base/digest.h"
#include "fuzz/scratch.h"
#include "check/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int names(const char *text, size_t n, const char *hex)
{
    for (size_t i = 0; i + DIGEST_HEX_LEN <= n; i++)
        if (memcmp(text + i, hex, DIGEST_HEX_LEN) == 0)
            return 1;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *statement = (const char *)data;
    const char *payload;
    const char *manifest;
    size_t n_payload;
    size_t n_manifest;
    size_t n_statement = scratch_cut(statement, size, &payload, &n_payload);
    n_payload = scratch_cut(payload, n_payload, &manifest, &n_manifest);
    char path[128];
    scratch_put("x.csv.prov.json", statement, n_statement, path);
    scratch_put("x.csv", payload, n_payload, path);
    scratch_put("SHA256SUMS", manifest, n_manifest, path);

    struct tree *t;
    struct report *r;
    struct err err = ERR_INIT;
    struct buf out = BUF_INIT;
    demand(tree_open(&t, scratch_dir(), &err) == OK && report_new(&r, &err) == OK);
    const struct check_context c = {.tree = t, .report = r};
    demand(check_all(&c, &err) == OK);
    demand(report_count(r) > 0 && report_json(r, &out, &err) == OK);
    if (report_good(r)) {
        uint8_t d[DIGEST_B];
        char hex[DIGEST_HEX_LEN + 1];
        demand(digest_bytes(payload, n_payload, d, NULL) == OK);
        digest_hex(d, hex);
        demand(names(statement, n_statement, hex) && names(manifest, n_manifest, hex));
    }
    (void)tree_expected(t, &out, &err);
    (void)tree_models(t, &out, &err);
    report_free(r);
    tree_free(t);
    buf_release(&out);
    return 0;
}
