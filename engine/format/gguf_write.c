#include "format/gguf_write.h"

#include <string.h>

#include "base/mem.h"

void gguf_writer_release(struct gguf_writer *w)
{
    buf_release(&w->kvs);
    buf_release(&w->infos);
    *w = (struct gguf_writer)GGUF_WRITER_INIT;
}

/* The file's byte order is that of every machine this program builds for. */
static void put_u32(struct buf *b, uint32_t v)
{
    buf_add(b, &v, sizeof v);
}

static void put_u64(struct buf *b, uint64_t v)
{
    buf_add(b, &v, sizeof v);
}

static void put_text(struct buf *b, const char *s, size_t n)
{
    put_u64(b, n);
    buf_add(b, s, n);
}

static void put_key(struct gguf_writer *w, const char *key, enum gguf_value type)
{
    put_text(&w->kvs, key, strlen(key));
    put_u32(&w->kvs, type);
    w->n_kvs++;
}

void gguf_write_u32(struct gguf_writer *w, const char *key, uint32_t v)
{
    put_key(w, key, GGUF_U32);
    put_u32(&w->kvs, v);
}

void gguf_write_f32(struct gguf_writer *w, const char *key, float v)
{
    put_key(w, key, GGUF_F32);
    buf_add(&w->kvs, &v, sizeof v);
}

void gguf_write_bool(struct gguf_writer *w, const char *key, bool v)
{
    put_key(w, key, GGUF_BOOL);
    buf_char(&w->kvs, v ? 1 : 0);
}

void gguf_write_str(struct gguf_writer *w, const char *key, const char *s, size_t n)
{
    put_key(w, key, GGUF_STRING);
    put_text(&w->kvs, s, n);
}

static void put_array(struct gguf_writer *w, const char *key, enum gguf_value element, size_t n)
{
    put_key(w, key, GGUF_ARRAY);
    put_u32(&w->kvs, element);
    put_u64(&w->kvs, n);
}

void gguf_write_strs(struct gguf_writer *w, const char *key, size_t n)
{
    put_array(w, key, GGUF_STRING, n);
}

void gguf_write_strs_add(struct gguf_writer *w, const char *s, size_t n)
{
    put_text(&w->kvs, s, n);
}

void gguf_write_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n)
{
    put_array(w, key, GGUF_I32, n);
    buf_add(&w->kvs, v, n * sizeof *v);
}

void gguf_write_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n)
{
    put_array(w, key, GGUF_F32, n);
    buf_add(&w->kvs, v, n * sizeof *v);
}

static size_t value_b(enum gguf_value t)
{
    switch (t) {
#define X(name, code, size) \
    case GGUF_##name:       \
        return (size);
        GGUF_VALUE_MAP(X)
#undef X
    }
    return 0;
}

void gguf_write_kv(struct gguf_writer *w, const struct gguf_kv *kv)
{
    put_key(w, kv->key, kv->type);
    if (kv->type == GGUF_STRING) {
        put_text(&w->kvs, (const char *)kv->data, kv->n);
        return;
    }
    if (kv->type != GGUF_ARRAY) {
        buf_add(&w->kvs, kv->data, value_b(kv->type));
        return;
    }
    put_u32(&w->kvs, kv->element);
    put_u64(&w->kvs, kv->n);
    size_t n_bytes = kv->n * value_b(kv->element); // inside the file it was read from: no overflow
    if (kv->element == GGUF_STRING) {
        for (size_t i = 0; i < kv->n; i++) {
            uint64_t len;
            memcpy(&len, kv->data + n_bytes, sizeof len);
            n_bytes += sizeof len + (size_t)len;
        }
    }
    buf_add(&w->kvs, kv->data, n_bytes);
}

size_t gguf_padded(size_t n_bytes)
{
    return (n_bytes + GGUF_ALIGNMENT - 1) & ~(size_t)(GGUF_ALIGNMENT - 1);
}

enum status gguf_write_tensor(struct gguf_writer *w, const char *name, enum quant q, const size_t *shape,
                              size_t n_dims, struct err *err)
{
    const struct quant_type *type = quant_type(q);
    uint32_t code;
    size_t n_bytes;
    if (!gguf_code(q, &code))
        return err_set(err, ERR_UNSUPPORTED, "tensor '%s': expected a type that GGUF has, found %s", name,
                       type ? type->name : "none");
    if (n_dims < 1 || n_dims > GGUF_MAX_DIMS || strlen(name) >= GGUF_NAME_B)
        return err_set(err, ERR_SHAPE, "tensor '%s': expected 1 to %d dimensions and a name below %d bytes, found %zu and %zu",
                       name, GGUF_MAX_DIMS, GGUF_NAME_B, n_dims, strlen(name));
    if (!quant_row_b(q, shape[n_dims - 1], &n_bytes))
        return err_set(err, ERR_SHAPE, "tensor '%s': expected rows of whole blocks of %s, found rows of %zu", name,
                       type ? type->name : "none", shape[n_dims - 1]);
    bool fits = true;
    for (size_t i = 0; i + 1 < n_dims; i++)
        fits = fits && size_mul(n_bytes, shape[i], &n_bytes);
    size_t end = 0;
    if (!fits || !size_add(w->data_b, n_bytes, &end) || end > INT64_MAX)
        return err_set(err, ERR_RANGE, "tensor '%s': expected a file below 2^63 bytes, found more", name);
    put_text(&w->infos, name, strlen(name));
    put_u32(&w->infos, (uint32_t)n_dims);
    for (size_t i = n_dims; i-- > 0;)
        put_u64(&w->infos, shape[i]);
    put_u32(&w->infos, code);
    put_u64(&w->infos, w->data_b);
    w->data_b = gguf_padded(end);
    w->n_tensors++;
    return OK;
}

enum status gguf_write_head(const struct gguf_writer *w, struct buf *out, struct err *err)
{
    static const char zeros[GGUF_ALIGNMENT] = {0};
    enum status s;
    if ((s = buf_status(&w->kvs, "metadata", err)) || (s = buf_status(&w->infos, "tensor table", err)))
        return s;
    size_t from = out->n;
    buf_add(out, "GGUF", 4);
    put_u32(out, GGUF_VERSION);
    put_u64(out, w->n_tensors);
    put_u64(out, w->n_kvs);
    buf_add(out, w->kvs.data ? w->kvs.data : "", w->kvs.n);
    buf_add(out, w->infos.data ? w->infos.data : "", w->infos.n);
    size_t n = out->n - from;
    buf_add(out, zeros, gguf_padded(n) - n);
    return buf_status(out, "head", err);
}
