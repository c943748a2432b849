/* Look-ups in the metadata of a GGUF file. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "format/gguf.h"

static int by_key(const void *key, const void *kv)
{
    const struct gguf_kv *x = kv;
    return strcmp(key, x->key);
}

const struct gguf_kv *gguf_find(const struct gguf *g, const char *key)
{
    return g->n_kvs ? bsearch(key, g->kvs, g->n_kvs, sizeof *g->kvs, by_key) : NULL;
}

static uint64_t little(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static float f32_at(const uint8_t *p)
{
    float v;
    uint32_t bits = (uint32_t)little(p, 4);
    memcpy(&v, &bits, sizeof v);
    return v;
}

static double f64_at(const uint8_t *p)
{
    double v;
    uint64_t bits = little(p, 8);
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* Element i as an integer. False: of another type, or beyond int64. */
static bool int_at(enum gguf_value type, const uint8_t *data, size_t i, int64_t *out)
{
    switch (type) {
    case GGUF_BOOL:
    case GGUF_U8:
        *out = data[i];
        return true;
    case GGUF_I8:
        *out = (int8_t)data[i];
        return true;
    case GGUF_U16:
        *out = (int64_t)little(data + 2 * i, 2);
        return true;
    case GGUF_I16:
        *out = (int16_t)little(data + 2 * i, 2);
        return true;
    case GGUF_U32:
        *out = (int64_t)little(data + 4 * i, 4);
        return true;
    case GGUF_I32:
        *out = (int32_t)little(data + 4 * i, 4);
        return true;
    case GGUF_U64:
    case GGUF_I64:
        *out = (int64_t)little(data + 8 * i, 8);
        return type == GGUF_I64 || *out >= 0;
    case GGUF_F32:
    case GGUF_STRING:
    case GGUF_ARRAY:
    case GGUF_F64:
        break;
    }
    return false;
}

static enum status wrong_type(const struct gguf *g, const struct gguf_kv *kv, const char *expected, struct err *err)
{
    return err_set(err, ERR_FORMAT, "%s: key '%.200s': expected %s, found %s%s%s", g->name, kv->key, expected,
                   gguf_value_name(kv->type), kv->type == GGUF_ARRAY ? " of " : "",
                   kv->type == GGUF_ARRAY ? gguf_value_name(kv->element) : "");
}

enum status gguf_int(const struct gguf *g, const char *key, int64_t lo, int64_t hi, int64_t *out, struct err *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    int64_t v = 0;
    if (!kv)
        return OK;
    if (kv->type == GGUF_BOOL || !int_at(kv->type, kv->data, 0, &v))
        return wrong_type(g, kv, "an integer", err);
    if (v < lo || v > hi)
        return err_set(err, ERR_RANGE, "%s: key '%.200s': expected %lld to %lld, found %lld", g->name, key,
                       (long long)lo, (long long)hi, (long long)v);
    *out = v;
    return OK;
}

enum status gguf_real(const struct gguf *g, const char *key, double lo, double hi, double *out, struct err *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    if (!kv)
        return OK;
    if (kv->type != GGUF_F32 && kv->type != GGUF_F64)
        return wrong_type(g, kv, "a float", err);
    double v = kv->type == GGUF_F32 ? (double)f32_at(kv->data) : f64_at(kv->data);
    if (!(v >= lo && v <= hi)) // NaN too
        return err_set(err, ERR_RANGE, "%s: key '%.200s': expected %g to %g, found %g", g->name, key, lo, hi, v);
    *out = v;
    return OK;
}

enum status gguf_bool(const struct gguf *g, const char *key, bool *out, struct err *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    if (!kv)
        return OK;
    if (kv->type != GGUF_BOOL)
        return wrong_type(g, kv, "a bool", err);
    *out = *kv->data != 0;
    return OK;
}

enum status gguf_str(const struct gguf *g, const char *key, struct arena *a, const char **out, struct err *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    char *copy;
    if (!kv)
        return OK;
    if (kv->type != GGUF_STRING)
        return wrong_type(g, kv, "a string", err);
    if (memchr(kv->data, 0, kv->n) || utf8_valid_prefix(kv->data, kv->n) != kv->n)
        return err_set(err, ERR_FORMAT, "%s: key '%.200s': expected UTF-8 without NUL, found other bytes", g->name, key);
    enum status s = arena_strndup(a, &copy, (const char *)kv->data, kv->n, err);
    if (!s)
        *out = copy;
    return s;
}

static enum status array(const struct gguf *g, const struct gguf_kv *kv, const char *expected, bool fits,
                         struct arena *a, size_t size, void **out, struct err *err)
{
    if (kv->type != GGUF_ARRAY || !fits)
        return wrong_type(g, kv, expected, err);
    return arena_alloc(a, out, kv->n, size, err);
}

enum status gguf_strs(const struct gguf *g, const char *key, struct arena *a, const struct gguf_text **out,
                      size_t *n, struct err *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    void *p;
    if (!kv)
        return OK;
    enum status s = array(g, kv, "an array of strings", kv->element == GGUF_STRING, a, sizeof **out, &p, err);
    if (s)
        return s;
    struct gguf_text *v = p;
    const uint8_t *at = kv->data; // gguf_parse has walked them
    for (size_t i = 0; i < kv->n; i++) {
        v[i] = (struct gguf_text){.s = (const char *)at + 8, .n = (size_t)little(at, 8)};
        at += 8 + v[i].n;
    }
    *out = v;
    *n = kv->n;
    return OK;
}

enum status gguf_ints(const struct gguf *g, const char *key, struct arena *a, const int64_t **out, size_t *n,
                      struct err *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    void *p;
    if (!kv)
        return OK;
    int64_t probe;
    static const uint8_t zeros[8] = {0};
    enum status s = array(g, kv, "an array of integers", int_at(kv->element, zeros, 0, &probe), a, sizeof **out, &p, err);
    if (s)
        return s;
    int64_t *v = p;
    for (size_t i = 0; i < kv->n; i++)
        if (!int_at(kv->element, kv->data, i, &v[i]))
            return err_set(err, ERR_RANGE, "%s: key '%.200s': expected integers below 2^63, found more at index %zu",
                           g->name, key, i);
    *out = v;
    *n = kv->n;
    return OK;
}
