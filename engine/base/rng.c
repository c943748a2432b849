#include "base/rng.h"

#include <string.h>

#include "base/digest.h"

void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
    uint32_t k0 = key[0];
    uint32_t k1 = key[1];
    for (int r = 0; r < 10; r++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c[0];
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c[1] ^ k0;
        uint32_t n2 = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
        c[1] = (uint32_t)p1;
        c[3] = (uint32_t)p0;
        c[0] = n0;
        c[2] = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    memcpy(out, c, sizeof c);
}

enum status rng_key_new(struct rng_key *out, uint64_t seed, const char *name, struct err *err)
{
    uint8_t d[DIGEST_B];
    enum status s = digest_bytes(name, strlen(name), d, err);
    if (s)
        return s;
    *out = (struct rng_key){.seed = {(uint32_t)seed, (uint32_t)(seed >> 32)}};
    for (unsigned i = 0; i < 8; i++)
        out->name[i / 4] |= (uint32_t)d[i] << (8 * (i % 4));
    return OK;
}

struct rng_key rng_key(uint64_t seed, const char *name)
{
    struct rng_key k = {.seed = {0}};
    (void)rng_key_new(&k, seed, name, NULL);
    return k;
}

static void words(const struct rng_key *k, uint64_t i, uint32_t out[4])
{
    const uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), k->name[0], k->name[1]};
    philox4x32(counter, k->seed, out);
}

uint64_t rng_u64(const struct rng_key *k, uint64_t i)
{
    uint32_t w[4];
    words(k, i, w);
    return (uint64_t)w[1] << 32 | w[0];
}

uint64_t rng_below(const struct rng_key *k, uint64_t i, uint64_t n)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % n;
    for (;; i += (uint64_t)1 << 32) {
        uint64_t v = rng_u64(k, i);
        if (v < limit)
            return v % n;
    }
}

double rng_normal(const struct rng_key *k, uint64_t i)
{
    // Twelve uniforms need six words: two counters, so index i owns counters 2i and 2i + 1.
    uint32_t w[8];
    words(k, 2 * i, w);
    words(k, 2 * i + 1, w + 4);
    int32_t sum = 0;
    for (unsigned j = 0; j < 6; j++)
        sum += (int32_t)(w[j] & 0xFFFFu) + (int32_t)(w[j] >> 16);
    return (double)(2 * sum - 12 * 65535) * 0x1p-17;
}
