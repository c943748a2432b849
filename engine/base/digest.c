#include "base/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/mem.h"

struct digest {
    EVP_MD_CTX *ctx;
};

static enum status fail(struct err *err)
{
    return err_set(err, ERR_IO, "cannot compute SHA-256: OpenSSL refused");
}

enum status digest_new(struct digest **out, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct digest), "digest", err);
    if (s)
        return s;
    struct digest *d = p;
    d->ctx = EVP_MD_CTX_new();
    if (!d->ctx || EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1) {
        digest_free(d);
        return fail(err);
    }
    *out = d;
    return OK;
}

void digest_free(struct digest *d)
{
    if (!d)
        return;
    EVP_MD_CTX_free(d->ctx);
    mem_free(d);
}

enum status digest_add(struct digest *d, const void *data, size_t n, struct err *err)
{
    return EVP_DigestUpdate(d->ctx, data, n) == 1 ? OK : fail(err);
}

enum status digest_finish(struct digest *d, uint8_t out[DIGEST_B], struct err *err)
{
    unsigned n = 0;
    if (EVP_DigestFinal_ex(d->ctx, out, &n) != 1 || n != DIGEST_B ||
        EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1)
        return fail(err);
    return OK;
}

enum status digest_bytes(const void *data, size_t n, uint8_t out[DIGEST_B], struct err *err)
{
    struct digest *d = NULL;
    enum status s = digest_new(&d, err);
    if (s)
        return s;
    s = digest_add(d, data, n, err);
    if (!s)
        s = digest_finish(d, out, err);
    digest_free(d);
    return s;
}

enum status digest_file(const char *path, uint8_t out[DIGEST_B], struct err *err)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return err_set_errno(err, errno == ENOENT ? ERR_MISSING : ERR_IO, errno, "cannot open '%s'", path);
    struct digest *d = NULL;
    enum status s = digest_new(&d, err);
    char chunk[1 << 16];
    while (!s) {
        size_t n = fread(chunk, 1, sizeof chunk, f);
        if (n)
            s = digest_add(d, chunk, n, err);
        if (n < sizeof chunk)
            break;
    }
    if (!s && ferror(f))
        s = err_set_errno(err, ERR_IO, errno, "cannot read '%s'", path);
    if (!s)
        s = digest_finish(d, out, err);
    digest_free(d);
    (void)fclose(f);
    return s;
}

enum status digest_git_blob(const void *data, size_t n, char out[DIGEST_GIT_HEX_LEN + 1], struct err *err)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t d[EVP_MAX_MD_SIZE];
    unsigned n_d = 0;
    char head[32];
    int n_head = snprintf(head, sizeof head, "blob %zu", n) + 1; // with its NUL
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1 && EVP_DigestUpdate(ctx, head, (size_t)n_head) == 1 &&
              EVP_DigestUpdate(ctx, data, n) == 1 && EVP_DigestFinal_ex(ctx, d, &n_d) == 1 &&
              2 * n_d == DIGEST_GIT_HEX_LEN;
    EVP_MD_CTX_free(ctx);
    if (!ok)
        return err_set(err, ERR_IO, "cannot compute a git blob id: OpenSSL refused");
    for (unsigned i = 0; i < n_d; i++) {
        out[2 * i] = hex[d[i] >> 4];
        out[2 * i + 1] = hex[d[i] & 15];
    }
    out[DIGEST_GIT_HEX_LEN] = '\0';
    return OK;
}

void digest_hex(const uint8_t d[DIGEST_B], char out[DIGEST_HEX_LEN + 1])
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < DIGEST_B; i++) {
        out[2 * i] = hex[d[i] >> 4];
        out[2 * i + 1] = hex[d[i] & 15];
    }
    out[DIGEST_HEX_LEN] = '\0';
}
