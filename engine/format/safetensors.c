#include "format/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/* Limit of the reference reader; a longer header is damage or an attack, not a model. */
enum { LENGTH_B = 8, HEADER_MAX_B = 100000000 };

static const struct dtype {
    const char *name;
    unsigned bits;
    enum quant quant;
} dtypes[] = {
    {"BOOL", 8, QUANT_NONE},    {"U8", 8, QUANT_NONE},      {"I8", 8, QUANT_NONE},      {"F8_E4M3", 8, QUANT_NONE},
    {"F8_E5M2", 8, QUANT_NONE}, {"F8_E8M0", 8, QUANT_NONE}, {"I16", 16, QUANT_NONE},    {"U16", 16, QUANT_NONE},
    {"F16", 16, QUANT_F16},     {"BF16", 16, QUANT_BF16},   {"I32", 32, QUANT_NONE},    {"U32", 32, QUANT_NONE},
    {"F32", 32, QUANT_F32},     {"I64", 64, QUANT_NONE},    {"U64", 64, QUANT_NONE},    {"F64", 64, QUANT_NONE},
    {"F4", 4, QUANT_NONE},      {"F6_E2M3", 6, QUANT_NONE}, {"F6_E3M2", 6, QUANT_NONE},
};

/* What is being read, for messages. */
struct reading {
    const char *file;
    const char *tensor;
    struct err *err;
};

static enum status read_index(const struct reading *r, const cJSON *v, const char *what, size_t *out)
{
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0) || v->valuedouble > 9007199254740991.0 ||
        (double)(uint64_t)v->valuedouble < v->valuedouble)
        return err_set(r->err, ERR_FORMAT,
                       "%s: tensor '%.200s': \"%s\": expected integers from 0 to 2^53-1, found something else",
                       r->file, r->tensor, what);
    *out = (size_t)v->valuedouble;
    return OK;
}

static enum status read_dtype(const struct reading *r, const cJSON *v, const struct dtype **out)
{
    if (!cJSON_IsString(v))
        return err_set(r->err, ERR_FORMAT, "%s: tensor '%.200s': expected a string \"dtype\", found none",
                       r->file, r->tensor);
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(v->valuestring, dtypes[i].name) == 0) {
            *out = &dtypes[i];
            return OK;
        }
    }
    return err_set(r->err, ERR_UNSUPPORTED, "%s: tensor '%.200s': expected a known dtype, found '%.40s'", r->file,
                   r->tensor, v->valuestring);
}

static enum status read_shape(const struct reading *r, const cJSON *v, struct tensor *t)
{
    if (!cJSON_IsArray(v))
        return err_set(r->err, ERR_FORMAT, "%s: tensor '%.200s': expected an array \"shape\", found none", r->file,
                       r->tensor);
    const cJSON *c;
    cJSON_ArrayForEach(c, v)
    {
        if (t->n_dims == TENSOR_MAX_DIMS)
            return err_set(r->err, ERR_UNSUPPORTED, "%s: tensor '%.200s': expected at most %d dimensions, found more",
                           r->file, r->tensor, TENSOR_MAX_DIMS);
        enum status s = read_index(r, c, "shape", &t->shape[t->n_dims]);
        if (s)
            return s;
        t->n_dims++;
    }
    return OK;
}

/* Bytes that dtype and shape ask for. A zero anywhere makes the product 0 whatever the others are. */
static enum status wanted_bytes(const struct reading *r, const struct tensor *t, const struct dtype *d, size_t *out)
{
    char text[TENSOR_SHAPE_TEXT_B];
    size_t n = 1;
    size_t bits = 0;
    for (size_t i = 0; i < t->n_dims; i++)
        if (t->shape[i] == 0)
            n = 0;
    bool fits = true;
    for (size_t i = 0; i < t->n_dims && n; i++)
        fits = fits && size_mul(n, t->shape[i], &n);
    fits = fits && size_mul(n, d->bits, &bits);
    if (!fits) {
        tensor_shape_text(t->shape, t->n_dims, text);
        return err_set(r->err, ERR_RANGE, "%s: tensor '%.200s': expected a size below 2^61 bytes, found shape %s",
                       r->file, r->tensor, text);
    }
    if (bits % 8) {
        tensor_shape_text(t->shape, t->n_dims, text);
        return err_set(r->err, ERR_SHAPE, "%s: tensor '%.200s': expected whole bytes, found shape %s of %u bits each",
                       r->file, r->tensor, text, d->bits);
    }
    *out = bits / 8;
    return OK;
}

static enum status read_offsets(const struct reading *r, const cJSON *v, size_t n_data, size_t at[2])
{
    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) != 2)
        return err_set(r->err, ERR_FORMAT, "%s: tensor '%.200s': expected two numbers in \"data_offsets\", found other",
                       r->file, r->tensor);
    enum status s;
    if ((s = read_index(r, v->child, "data_offsets", &at[0])) ||
        (s = read_index(r, v->child->next, "data_offsets", &at[1])))
        return s;
    if (at[0] > at[1] || at[1] > n_data)
        return err_set(r->err, ERR_RANGE,
                       "%s: tensor '%.200s': expected data_offsets ascending within %zu bytes of data, found [%zu, %zu]",
                       r->file, r->tensor, n_data, at[0], at[1]);
    return OK;
}

static enum status read_tensor(const struct reading *r, const cJSON *v, const uint8_t *data, size_t n_data,
                               struct tensor *t)
{
    if (!cJSON_IsObject(v))
        return err_set(r->err, ERR_FORMAT, "%s: tensor '%.200s': expected an object, found something else", r->file,
                       r->tensor);
    const cJSON *c;
    cJSON_ArrayForEach(c, v)
    {
        // a key this reader does not know could change what the bytes mean
        if (strcmp(c->string, "dtype") != 0 && strcmp(c->string, "shape") != 0 &&
            strcmp(c->string, "data_offsets") != 0)
            return err_set(r->err, ERR_UNSUPPORTED,
                           "%s: tensor '%.200s': expected dtype, shape and data_offsets, found key '%.80s'", r->file,
                           r->tensor, c->string);
    }
    enum status s;
    const struct dtype *d = NULL;
    size_t at[2] = {0, 0};
    size_t wanted = 0;
    if ((s = read_dtype(r, json_get(v, "dtype"), &d)) || (s = read_shape(r, json_get(v, "shape"), t)) ||
        (s = read_offsets(r, json_get(v, "data_offsets"), n_data, at)) || (s = wanted_bytes(r, t, d, &wanted)))
        return s;
    if (at[1] - at[0] != wanted) {
        char text[TENSOR_SHAPE_TEXT_B];
        tensor_shape_text(t->shape, t->n_dims, text);
        return err_set(r->err, ERR_SHAPE, "%s: tensor '%.200s': expected %zu bytes for %s %s, found %zu", r->file,
                       r->tensor, wanted, d->name, text, at[1] - at[0]);
    }
    t->type_name = d->name;
    t->quant = d->quant;
    t->data = data + at[0];
    t->n_bytes = wanted;
    return OK;
}

static int by_offset(const void *a, const void *b)
{
    const struct tensor *x = a;
    const struct tensor *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    if (x->n_bytes != y->n_bytes)
        return x->n_bytes < y->n_bytes ? -1 : 1; // an empty tensor before the one that starts there
    return strcmp(x->name, y->name);
}

/* Sorted by offset, each tensor must start where the one before ends. */
static enum status check_cover(const struct container *c, const uint8_t *data, size_t n_data, const char *file,
                               struct err *err)
{
    size_t at = 0;
    for (size_t i = 0; i < c->n; i++) {
        size_t begin = (size_t)(c->tensors[i].data - data);
        if (begin != at)
            return err_set(err, ERR_FORMAT, "%s: tensor '%.200s': expected data at offset %zu, found %zu: %s", file,
                           c->tensors[i].name, at, begin, begin < at ? "tensors overlap" : "a hole");
        at += c->tensors[i].n_bytes;
    }
    if (at != n_data)
        return err_set(err, ERR_FORMAT, "%s: expected %zu bytes of data behind the header, found %zu", file, at,
                       n_data);
    return OK;
}

static enum status read_metadata(const cJSON *v, struct arena *a, const char *file, struct container *out,
                                 struct err *err)
{
    const cJSON *c;
    if (!cJSON_IsObject(v))
        return err_set(err, ERR_FORMAT, "%s: \"__metadata__\": expected an object of strings, found other", file);
    cJSON_ArrayForEach(c, v)
    {
        if (!cJSON_IsString(c))
            return err_set(err, ERR_FORMAT, "%s: \"__metadata__\": \"%.80s\": expected a string, found other", file,
                           c->string);
        if (strcmp(c->string, "generator") == 0) {
            char *copy;
            enum status s = arena_strndup(a, &copy, c->valuestring, strlen(c->valuestring), err);
            if (s)
                return s;
            out->generator = copy;
        }
    }
    return OK;
}

static enum status header_length(const uint8_t *bytes, size_t n, const char *file, size_t *out, struct err *err)
{
    if (n < LENGTH_B)
        return err_set(err, ERR_FORMAT, "%s: expected 8 bytes of header length, found a file of %zu", file, n);
    uint64_t len = 0;
    for (unsigned i = 0; i < LENGTH_B; i++)
        len |= (uint64_t)bytes[i] << (8 * i);
    if (len > HEADER_MAX_B)
        return err_set(err, ERR_RANGE, "%s: byte 0: expected a header of at most %d bytes, found %llu", file,
                       HEADER_MAX_B, (unsigned long long)len);
    if (len > n - LENGTH_B)
        return err_set(err, ERR_FORMAT, "%s: byte 0: expected a header of %llu bytes, found only %zu: truncated", file,
                       (unsigned long long)len, n - LENGTH_B);
    if (len == 0 || bytes[LENGTH_B] != '{')
        return err_set(err, ERR_FORMAT, "%s: byte 8: expected a header that starts with '{', found another byte", file);
    *out = (size_t)len;
    return OK;
}

static enum status read_table(struct container *out, struct arena *a, const cJSON *root, const uint8_t *data,
                              size_t n_data, const char *name, struct err *err)
{
    size_t count = 0;
    const cJSON *c;
    void *p;
    cJSON_ArrayForEach(c, root) count++;
    enum status s = arena_alloc(a, &p, count, sizeof *out->tensors, err);
    if (s)
        return s;
    out->tensors = p;
    cJSON_ArrayForEach(c, root)
    {
        if (strcmp(c->string, "__metadata__") == 0) {
            if ((s = read_metadata(c, a, name, out, err)))
                return s;
            continue;
        }
        struct tensor *t = &out->tensors[out->n];
        char *copy;
        if ((s = arena_strndup(a, &copy, c->string, strlen(c->string), err)))
            return s;
        t->name = copy;
        struct reading r = {.file = name, .tensor = copy, .err = err};
        if ((s = read_tensor(&r, c, data, n_data, t)))
            return s;
        out->n++;
    }
    if (out->n)
        qsort(out->tensors, out->n, sizeof *out->tensors, by_offset);
    return check_cover(out, data, n_data, name, err);
}

enum status safetensors_parse(struct container *out, struct arena *a, const uint8_t *bytes, size_t n,
                              const char *name, struct err *err)
{
    size_t len = 0;
    *out = (struct container){.n = 0};
    enum status s = header_length(bytes, n, name, &len, err);
    if (s)
        return s;
    cJSON *root = NULL;
    if ((s = json_parse(&root, (const char *)bytes + LENGTH_B, len, name, err)))
        return s;
    s = read_table(out, a, root, bytes + LENGTH_B + len, n - LENGTH_B - len, name, err);
    cJSON_Delete(root);
    return s;
}
