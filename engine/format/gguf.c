#include "format/gguf.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* Tensor types that exist and that this program has no decoder for: named, so that the message is. */
static const struct foreign {
    uint32_t code;
    const char *name;
} foreign[] = {
    {9, "Q8_1"},     {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"},
    {21, "IQ3_S"},   {22, "IQ2_S"}, {23, "IQ4_XS"},  {24, "I8"},     {25, "I16"},     {26, "I32"},   {27, "I64"},
    {28, "F64"},     {29, "IQ1_M"}, {34, "TQ1_0"},   {35, "TQ2_0"},  {40, "NVFP4"},   {41, "Q1_0"},
};

static const struct stored {
    const char *name;
    enum quant quant;
    uint32_t code;
} stored[] = {
#define X(name, code) {#name, QUANT_##name, (code)},
    GGUF_TENSOR_MAP(X)
#undef X
};

bool gguf_code(enum quant q, uint32_t *code)
{
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++) {
        if (stored[i].quant == q) {
            *code = stored[i].code;
            return true;
        }
    }
    return false;
}

const char *gguf_value_name(enum gguf_value t)
{
    switch (t) {
#define X(name, code, size) \
    case GGUF_##name:       \
        return #name;
        GGUF_VALUE_MAP(X)
#undef X
    }
    return "?";
}

/* Bytes of one value; 0 for strings and arrays. false: no such type. */
static bool value_b(uint32_t type, size_t *out)
{
    switch (type) {
#define X(name, code, size) \
    case (code):            \
        *out = (size);      \
        return true;
        GGUF_VALUE_MAP(X)
#undef X
    default:
        return false;
    }
}

/* A cursor: bytes[at..n) are still to be read. */
struct reading {
    const uint8_t *bytes;
    size_t n, at;
    const char *file;
    struct err *err;
};

static enum status need(const struct reading *r, uint64_t n, const char *what)
{
    if (n <= r->n - r->at)
        return OK;
    return err_set(r->err, ERR_FORMAT, "%s: byte %zu: expected %llu bytes of %s, found %zu", r->file, r->at,
                   (unsigned long long)n, what, r->n - r->at);
}

static uint64_t little(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static enum status read_u32(struct reading *r, const char *what, uint32_t *out)
{
    enum status s = need(r, 4, what);
    if (s)
        return s;
    *out = (uint32_t)little(r->bytes + r->at, 4);
    r->at += 4;
    return OK;
}

static enum status read_u64(struct reading *r, const char *what, uint64_t *out)
{
    enum status s = need(r, 8, what);
    if (s)
        return s;
    *out = little(r->bytes + r->at, 8);
    r->at += 8;
    return OK;
}

static enum status read_text(struct reading *r, const char *what, const uint8_t **out, size_t *n)
{
    uint64_t len = 0;
    enum status s = read_u64(r, what, &len);
    if (s || (s = need(r, len, what)))
        return s;
    *out = r->bytes + r->at;
    *n = (size_t)len;
    r->at += *n;
    return OK;
}

/* A key or a name: copied, not empty, with a limit. */
static enum status read_name(struct reading *r, struct arena *a, const char *what, size_t limit, const char **out)
{
    size_t at = r->at;
    const uint8_t *text = NULL;
    size_t n = 0;
    enum status s = read_text(r, what, &text, &n);
    if (s)
        return s;
    if (n == 0 || n >= limit)
        return err_set(r->err, ERR_RANGE, "%s: byte %zu: expected %s of 1 to %zu bytes, found %zu", r->file, at, what,
                       limit - 1, n);
    if (memchr(text, 0, n) || utf8_valid_prefix(text, n) != n)
        return err_set(r->err, ERR_FORMAT, "%s: byte %zu: expected %s in UTF-8 without NUL, found other bytes", r->file,
                       at, what);
    char *copy;
    s = arena_strndup(a, &copy, (const char *)text, n, r->err);
    if (!s)
        *out = copy;
    return s;
}

static enum status read_array(struct reading *r, struct gguf_kv *kv)
{
    uint32_t type = 0;
    uint64_t n = 0;
    size_t size = 0;
    enum status s;
    if ((s = read_u32(r, "an array's type", &type)) || (s = read_u64(r, "an array's length", &n)))
        return s;
    if (!value_b(type, &size))
        return err_set(r->err, ERR_FORMAT, "%s: key '%.200s': expected an array of a type from 0 to 12, found %u",
                       r->file, kv->key, (unsigned)type);
    if (type == GGUF_ARRAY)
        return err_set(r->err, ERR_UNSUPPORTED, "%s: key '%.200s': expected no array in an array, found one", r->file,
                       kv->key);
    kv->element = (enum gguf_value)type;
    kv->data = r->bytes + r->at;
    // each element takes a byte at least, so a count that passes here can be walked and allocated for
    if (n > (r->n - r->at) / (size ? size : 8))
        return err_set(r->err, ERR_FORMAT, "%s: key '%.200s': expected %llu elements, found %zu bytes of file", r->file,
                       kv->key, (unsigned long long)n, r->n - r->at);
    kv->n = (size_t)n;
    if (size) {
        r->at += kv->n * size;
        return OK;
    }
    for (size_t i = 0; i < kv->n; i++) {
        const uint8_t *text;
        size_t len;
        if ((s = read_text(r, "an array's string", &text, &len)))
            return s;
    }
    return OK;
}

static enum status read_kv(struct reading *r, struct arena *a, struct gguf_kv *kv)
{
    uint32_t type = 0;
    size_t size = 0;
    enum status s;
    kv->at = r->at;
    if ((s = read_name(r, a, "a key", 65536, &kv->key)) || (s = read_u32(r, "a value's type", &type)))
        return s;
    if (!value_b(type, &size))
        return err_set(r->err, ERR_FORMAT, "%s: key '%.200s': expected a type from 0 to 12, found %u", r->file, kv->key,
                       (unsigned)type);
    kv->type = (enum gguf_value)type;
    if (type == GGUF_ARRAY)
        return read_array(r, kv);
    if (type == GGUF_STRING)
        return read_text(r, "a string", &kv->data, &kv->n);
    if ((s = need(r, size, "a value")))
        return s;
    kv->n = 1;
    kv->data = r->bytes + r->at;
    r->at += size;
    if (type == GGUF_BOOL && *kv->data > 1)
        return err_set(r->err, ERR_FORMAT, "%s: key '%.200s': expected a bool of 0 or 1, found %u", r->file, kv->key,
                       (unsigned)*kv->data);
    return OK;
}

static int by_key(const void *a, const void *b)
{
    const struct gguf_kv *x = a;
    const struct gguf_kv *y = b;
    return strcmp(x->key, y->key);
}

static enum status read_kvs(struct reading *r, struct arena *a, uint64_t n, struct gguf *g)
{
    void *p;
    enum status s;
    enum { KV_MIN_B = 8 + 1 + 4 + 1 };
    if (n > (r->n - r->at) / KV_MIN_B)
        return err_set(r->err, ERR_FORMAT, "%s: byte 16: expected %llu keys, found %zu bytes of file", r->file,
                       (unsigned long long)n, r->n - r->at);
    if ((s = arena_alloc(a, &p, (size_t)n, sizeof *g->kvs, r->err)))
        return s;
    g->kvs = p;
    for (; g->n_kvs < n; g->n_kvs++)
        if ((s = read_kv(r, a, &g->kvs[g->n_kvs])))
            return s;
    if (n)
        qsort(g->kvs, g->n_kvs, sizeof *g->kvs, by_key);
    for (size_t i = 1; i < g->n_kvs; i++)
        if (strcmp(g->kvs[i].key, g->kvs[i - 1].key) == 0)
            return err_set(r->err, ERR_FORMAT, "%s: byte %zu: expected key '%.200s' once, found it twice", r->file,
                           g->kvs[i].at, g->kvs[i].key);
    return OK;
}

static enum status read_type(const struct reading *r, uint32_t code, struct tensor *t)
{
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++) {
        if (stored[i].code == code) {
            t->quant = stored[i].quant;
            t->type_name = stored[i].name;
            return OK;
        }
    }
    const char *name = "unknown";
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (foreign[i].code == code)
            name = foreign[i].name;
    return err_set(r->err, ERR_UNSUPPORTED,
                   "%s: tensor '%s': expected F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K to Q6_K or MXFP4, found "
                   "type %u (%s)",
                   r->file, t->name, (unsigned)code, name);
}

/* Bytes of the tensor; a row, not the whole, must be whole blocks (models.md 9.16). */
static enum status tensor_size(const struct reading *r, struct tensor *t)
{
    size_t n = 0;
    char text[TENSOR_SHAPE_TEXT_B];
    bool fits = quant_row_b(t->quant, t->shape[t->n_dims - 1], &n);
    if (!fits) {
        const struct quant_type *q = quant_type(t->quant);
        return err_set(r->err, q ? ERR_SHAPE : ERR_UNSUPPORTED,
                       "%s: tensor '%s': expected rows of whole blocks of %zu values of %s, found rows of %zu", r->file,
                       t->name, q ? q->block : 0, t->type_name, t->shape[t->n_dims - 1]);
    }
    for (size_t i = 0; i + 1 < t->n_dims; i++)
        fits = fits && size_mul(n, t->shape[i], &n);
    if (!fits || n > INT64_MAX) {
        tensor_shape_text(t->shape, t->n_dims, text);
        return err_set(r->err, ERR_RANGE, "%s: tensor '%s': expected a size below 2^63 bytes, found shape %s", r->file,
                       t->name, text);
    }
    t->n_bytes = n;
    return OK;
}

static enum status read_tensor(struct reading *r, struct arena *a, struct tensor *t, uint64_t *offset)
{
    uint32_t n_dims = 0;
    uint32_t code = 0;
    enum status s;
    if ((s = read_name(r, a, "a tensor's name", GGUF_NAME_B, &t->name)) ||
        (s = read_u32(r, "a tensor's dimensions", &n_dims)))
        return s;
    if (n_dims < 1 || n_dims > GGUF_MAX_DIMS)
        return err_set(r->err, ERR_RANGE, "%s: tensor '%s': expected 1 to %d dimensions, found %u", r->file, t->name,
                       GGUF_MAX_DIMS, (unsigned)n_dims);
    t->n_dims = n_dims;
    for (size_t i = n_dims; i-- > 0;) { // the file has the contiguous dimension first
        uint64_t ne = 0;
        if ((s = read_u64(r, "a tensor's dimensions", &ne)))
            return s;
        if (ne < 1 || ne > INT64_MAX)
            return err_set(r->err, ERR_RANGE, "%s: tensor '%s': expected dimensions from 1 to 2^63-1, found %llu",
                           r->file, t->name, (unsigned long long)ne);
        t->shape[i] = (size_t)ne;
    }
    if ((s = read_u32(r, "a tensor's type", &code)) || (s = read_u64(r, "a tensor's offset", offset)) ||
        (s = read_type(r, code, t)))
        return s;
    return tensor_size(r, t);
}

/* Rounds up; false if that does not fit. */
static bool align_up(size_t n, size_t alignment, size_t *out)
{
    size_t up;
    if (!size_add(n, alignment - 1, &up))
        return false;
    *out = up & ~(alignment - 1);
    return true;
}

/* Each tensor must lie right behind the one before it: nothing between, nothing shared, nothing cut. The
 * padding behind the last may be missing: its bytes belong to nobody. */
static enum status place(const struct reading *r, struct gguf *g, const uint64_t *offsets)
{
    size_t at = 0; // from data_at on
    size_t end = 0;
    size_t room = r->n > g->data_at ? r->n - g->data_at : 0;
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct tensor *t = &g->tensors[i];
        if (offsets[i] != at)
            return err_set(r->err, ERR_FORMAT, "%s: tensor '%s': expected data at offset %zu, found %llu", r->file,
                           t->name, at, (unsigned long long)offsets[i]);
        if (at > room || t->n_bytes > room - at)
            return err_set(r->err, ERR_FORMAT, "%s: tensor '%s': expected %zu bytes of data at offset %zu, found %zu: truncated",
                           r->file, t->name, t->n_bytes, at, at > room ? 0 : room - at);
        t->data = r->bytes + g->data_at + at;
        end = at + t->n_bytes;
        if (!align_up(end, g->alignment, &at))
            return err_set(r->err, ERR_RANGE, "%s: tensor '%s': expected an end below 2^64, found more", r->file, t->name);
    }
    if (room > at)
        return err_set(r->err, ERR_FORMAT, "%s: expected %zu bytes of data behind the table, found %zu", r->file, end,
                       room);
    return OK;
}

static int by_text(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

static enum status check_unique(const struct reading *r, const struct gguf *g)
{
    void *p;
    enum status s = mem_alloc(&p, g->n_tensors, sizeof(char *), "tensor names", r->err);
    if (s)
        return s;
    const char **names = p;
    for (size_t i = 0; i < g->n_tensors; i++)
        names[i] = g->tensors[i].name;
    if (g->n_tensors)
        qsort(names, g->n_tensors, sizeof *names, by_text);
    for (size_t i = 1; i < g->n_tensors && !s; i++)
        if (strcmp(names[i], names[i - 1]) == 0)
            s = err_set(r->err, ERR_FORMAT, "%s: tensor '%s': expected it once, found it twice", r->file, names[i]);
    mem_free(p);
    return s;
}

static enum status read_tensors(struct reading *r, struct arena *a, uint64_t n, struct gguf *g)
{
    void *p;
    enum status s;
    enum { TENSOR_MIN_B = 8 + 1 + 4 + 8 + 4 + 8 };
    if (n > (r->n - r->at) / TENSOR_MIN_B)
        return err_set(r->err, ERR_FORMAT, "%s: byte 8: expected %llu tensors, found %zu bytes of file", r->file,
                       (unsigned long long)n, r->n - r->at);
    if ((s = arena_alloc(a, &p, (size_t)n, sizeof *g->tensors, r->err)))
        return s;
    g->tensors = p;
    if ((s = mem_alloc(&p, (size_t)n, sizeof(uint64_t), "tensor offsets", r->err)))
        return s;
    uint64_t *offsets = p;
    for (; g->n_tensors < n && !s; g->n_tensors += !s)
        s = read_tensor(r, a, &g->tensors[g->n_tensors], &offsets[g->n_tensors]);
    if (!s)
        s = check_unique(r, g);
    if (!s && !align_up(r->at, g->alignment, &g->data_at))
        s = err_set(r->err, ERR_RANGE, "%s: expected data below byte 2^64, found none", r->file);
    if (!s)
        s = place(r, g, offsets);
    mem_free(p);
    return s;
}

static enum status read_alignment(struct gguf *g, struct err *err)
{
    int64_t v = GGUF_ALIGNMENT;
    enum status s = gguf_int(g, "general.alignment", 1, 1 << 24, &v, err);
    if (!s && (v & (v - 1)))
        s = err_set(err, ERR_RANGE, "%s: key 'general.alignment': expected a power of two, found %lld", g->name,
                    (long long)v);
    g->alignment = (size_t)v;
    return s;
}

enum status gguf_parse(struct gguf *out, struct arena *a, const uint8_t *bytes, size_t n, const char *name,
                       struct err *err)
{
    struct reading r = {.bytes = bytes, .n = n, .at = 4, .file = name, .err = err};
    uint32_t version = 0;
    uint64_t n_tensors = 0;
    uint64_t n_kvs = 0;
    enum status s;
    *out = (struct gguf){.name = name};
    if (n < 4 || memcmp(bytes, "GGUF", 4) != 0)
        return err_set(err, ERR_FORMAT, "%s: byte 0: expected 'GGUF', found %s", name, n < 4 ? "too few bytes" : "other bytes");
    if ((s = read_u32(&r, "version", &version)))
        return s;
    if (version != GGUF_VERSION)
        return err_set(err, ERR_UNSUPPORTED, "%s: byte 4: expected version 3, little-endian, found %u%s", name,
                       (unsigned)version, version && version % 65536 == 0 ? ": big-endian" : "");
    if ((s = read_u64(&r, "tensor count", &n_tensors)) || (s = read_u64(&r, "key count", &n_kvs)) ||
        (s = read_kvs(&r, a, n_kvs, out)) || (s = read_alignment(out, err)))
        return s;
    return read_tensors(&r, a, n_tensors, out);
}
