#include "format/tokmap.h"

#include <string.h>

#include "base/mem.h"

enum status tokmap_init(struct tokmap *m, size_t n, struct err *err)
{
    size_t slots = 16;
    size_t want;
    if (!size_mul(n, 2, &want))
        return err_set(err, ERR_MEMORY, "cannot index %zu tokens", n);
    while (slots < want)
        slots *= 2;
    void *p;
    enum status s = mem_alloc(&p, slots, sizeof(struct tokmap_slot), "token index", err);
    if (s)
        return s;
    m->slots = p;
    m->mask = slots - 1;
    for (size_t i = 0; i < slots; i++)
        m->slots[i].id = -1;
    return OK;
}

void tokmap_release(struct tokmap *m)
{
    mem_free(m->slots);
    *m = (struct tokmap){.slots = NULL, .mask = 0};
}

static uint64_t load8(const char *s)
{
    uint64_t w;
    memcpy(&w, s, sizeof w);
    return w;
}

static uint64_t load4(const char *s)
{
    uint32_t w;
    memcpy(&w, s, sizeof w);
    return w;
}

/* All bytes of a text shorter than eight, in one word; texts of one length give different words. */
static uint64_t load_short(const char *s, size_t n)
{
    if (n >= 4)
        return load4(s) << 32 | load4(s + n - 4);
    uint64_t w = 0;
    for (size_t i = 0; i < n; i++)
        w = w << 8 | (unsigned char)s[i];
    return w;
}

/* Eight bytes at a time, multiplied and folded; only its spread matters, never its value. Tokens are a few
 * bytes long, so calls of memcpy and memcmp would be most of the work here. */
static uint32_t hash_bytes(const char *s, size_t n)
{
    uint64_t h = n * 0x9E3779B97F4A7C15u;
    while (n >= 8) {
        h = (h ^ load8(s)) * 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
        s += 8;
        n -= 8;
    }
    h = (h ^ load_short(s, n)) * 0xD6E8FEB86659FD93u;
    h ^= h >> 29;
    h *= 0x9E3779B97F4A7C15u;
    return (uint32_t)(h >> 32);
}

static bool same(const char *a, const char *b, size_t n)
{
    while (n >= 8) {
        if (load8(a) != load8(b))
            return false;
        a += 8;
        b += 8;
        n -= 8;
    }
    return load_short(a, n) == load_short(b, n);
}

int32_t tokmap_find(const struct tokmap *m, const struct tokmap_key *keys, const char *bytes, const char *s,
                    size_t n)
{
    uint32_t h = hash_bytes(s, n);
    for (size_t i = h & m->mask;; i = (i + 1) & m->mask) {
        const struct tokmap_slot *slot = &m->slots[i];
        if (slot->id < 0)
            return -1;
        if (slot->hash != h)
            continue;
        const struct tokmap_key *k = &keys[slot->id];
        if (k->n == n && same(bytes + k->at, s, n))
            return slot->id;
    }
}

int32_t tokmap_add(struct tokmap *m, const struct tokmap_key *keys, const char *bytes, int32_t id)
{
    const struct tokmap_key *key = &keys[id];
    int32_t there = tokmap_find(m, keys, bytes, bytes + key->at, key->n);
    if (there >= 0)
        return there;
    uint32_t h = hash_bytes(bytes + key->at, key->n);
    size_t i = h & m->mask;
    while (m->slots[i].id >= 0)
        i = (i + 1) & m->mask;
    m->slots[i] = (struct tokmap_slot){.hash = h, .id = id};
    return -1;
}
