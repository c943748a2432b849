#include "base/mem.h"
#include "format/gguf.h"
#include "format/tokfile.h"

/* The tokenizer.ggml.* keys of a GGUF file, found and checked for type; their meaning is tokfile_arrays.c's. */

static enum status wrong_type(const struct gguf *g, const struct gguf_kv *kv, const char *expected, struct err *err)
{
    return err_set(err, ERR_FORMAT, "%s: key '%.200s': expected %s, found %s%s%s", g->name, kv->key, expected,
                   gguf_value_name(kv->type), kv->type == GGUF_ARRAY ? " of " : "",
                   kv->type == GGUF_ARRAY ? gguf_value_name(kv->element) : "");
}

static enum status text(const struct gguf *g, const char *key, struct tokfile_span *out, struct err *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    if (kv && kv->type != GGUF_STRING)
        return wrong_type(g, kv, "a string", err);
    if (kv)
        *out = (struct tokfile_span){.s = (const char *)kv->data, .n = kv->n};
    return OK;
}

static enum status setting(const struct gguf *g, const char *key, enum tokfile_setting *out, struct err *err)
{
    bool on = false;
    enum status s = gguf_bool(g, key, &on, err);
    *out = !gguf_find(g, key) ? TOKFILE_ABSENT : on ? TOKFILE_YES : TOKFILE_NO;
    return s;
}

/* An array of 4-byte values as it lies in the file, one for each token; NULL when absent. */
static enum status words(const struct gguf *g, const char *key, bool real, size_t n, const void **out, struct err *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    *out = NULL;
    if (!kv)
        return OK;
    bool fits = real ? kv->element == GGUF_F32 : kv->element == GGUF_I32 || kv->element == GGUF_U32;
    if (kv->type != GGUF_ARRAY || !fits)
        return wrong_type(g, kv, real ? "an array of F32" : "an array of I32", err);
    if (kv->n != n)
        return err_set(err, ERR_FORMAT, "%s: key '%.200s': expected %zu values, one a token, found %zu", g->name, kv->key, n,
                       kv->n);
    *out = kv->data;
    return OK;
}

static enum status spans(const struct gguf *g, const char *key, struct arena *a, const struct tokfile_span **out, size_t *n,
                         struct err *err)
{
    const struct gguf_text *list = NULL;
    void *p;
    *n = 0;
    enum status s = gguf_strs(g, key, a, &list, n, err);
    if (s || (s = arena_alloc(a, &p, *n, sizeof **out, err)))
        return s;
    struct tokfile_span *copy = p;
    for (size_t i = 0; i < *n; i++)
        copy[i] = (struct tokfile_span){.s = list[i].s, .n = list[i].n};
    *out = copy;
    return OK;
}

static enum status read_all(struct tokfile *out, const struct gguf *g, struct arena *a, struct err *err)
{
    struct tokfile_arrays v = {.bos_id = -1};
    int64_t bos = -1;
    enum status s;
    if ((s = text(g, "tokenizer.ggml.model", &v.model, err)) || (s = text(g, "tokenizer.ggml.pre", &v.pre, err)) ||
        (s = spans(g, "tokenizer.ggml.tokens", a, &v.tokens, &v.n_tokens, err)) ||
        (s = spans(g, "tokenizer.ggml.merges", a, &v.merges, &v.n_merges, err)) ||
        (s = words(g, "tokenizer.ggml.token_type", false, v.n_tokens, &v.types, err)) ||
        (s = words(g, "tokenizer.ggml.scores", true, v.n_tokens, &v.scores, err)) ||
        (s = gguf_int(g, "tokenizer.ggml.bos_token_id", -1, INT32_MAX, &bos, err)) ||
        (s = setting(g, "tokenizer.ggml.add_bos_token", &v.add_bos, err)) ||
        (s = setting(g, "tokenizer.ggml.add_space_prefix", &v.add_space_prefix, err)) ||
        (s = setting(g, "tokenizer.ggml.remove_extra_whitespaces", &v.remove_extra_whitespaces, err)))
        return s;
    v.bos_id = (int32_t)bos;
    return tokfile_read_arrays(out, &v, g->name, err);
}

enum status tokfile_read_gguf(struct tokfile *out, const struct gguf *g, struct err *err)
{
    struct arena *a = NULL;
    *out = (struct tokfile){.kind = TOKFILE_BYTE_LEVEL};
    enum status s = arena_new(&a, 0, err);
    if (!s)
        s = read_all(out, g, a, err);
    arena_free(a);
    return s;
}
