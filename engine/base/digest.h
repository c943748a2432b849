#ifndef ASSAY_BASE_DIGEST_H
#define ASSAY_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* SHA-256 over OpenSSL's EVP (FIPS 180-4), the digest of the project. */
enum { DIGEST_B = 32, DIGEST_HEX_LEN = 64 };

struct digest; /* a running hash; one thread at a time */

enum status digest_new(struct digest **out, struct err *err);
void digest_free(struct digest *d); /* NULL is fine */
enum status digest_add(struct digest *d, const void *data, size_t n, struct err *err);

/* digest_finish - write the hash and make d ready for the next message. */
enum status digest_finish(struct digest *d, uint8_t out[DIGEST_B], struct err *err);

/* digest_bytes, digest_file - one-shot forms. digest_file streams the exact bytes of path.
 * ERR_MISSING if it does not exist, ERR_IO if it cannot be read. */
enum status digest_bytes(const void *data, size_t n, uint8_t out[DIGEST_B], struct err *err);
enum status digest_file(const char *path, uint8_t out[DIGEST_B], struct err *err);

/* digest_git_blob - the name git gives these bytes (SHA-1 of "blob N", NUL, data) as 40 lower-case hex
 * digits and NUL. For comparing an imported file with its source's repository, nothing else. */
enum { DIGEST_GIT_HEX_LEN = 40 };
enum status digest_git_blob(const void *data, size_t n, char out[DIGEST_GIT_HEX_LEN + 1], struct err *err);

/* digest_hex - 64 lower-case hex digits and NUL. */
void digest_hex(const uint8_t d[DIGEST_B], char out[DIGEST_HEX_LEN + 1]);

#endif
