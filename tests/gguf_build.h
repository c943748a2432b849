#ifndef TESTS_GGUF_BUILD_H
#define TESTS_GGUF_BUILD_H

/* GGUF files byte by byte, right or wrong, for tests of their reader. Include cmocka.h first. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "format/gguf.h"

struct gguf_build {
    struct buf kvs, table, data;
    uint64_t n_kvs, n_tensors;
    size_t alignment;
};

#define GGUF_BUILD_INIT {.kvs = BUF_INIT, .table = BUF_INIT, .data = BUF_INIT, .alignment = 32}

static inline void gguf_build_release(struct gguf_build *g)
{
    buf_release(&g->kvs);
    buf_release(&g->table);
    buf_release(&g->data);
}

static inline void put_int(struct buf *b, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_char(b, (char)(unsigned char)(i < 8 ? v >> (8 * i) & 255 : 0));
}

static inline void put_text(struct buf *b, const char *s, size_t n)
{
    put_int(b, n, 8);
    buf_add(b, s, n);
}

/* The start of a key's entry; its value follows in g->kvs. */
static inline void put_key(struct gguf_build *g, const char *key, enum gguf_value type)
{
    put_text(&g->kvs, key, strlen(key));
    put_int(&g->kvs, type, 4);
    g->n_kvs++;
}

static inline void put_u32(struct gguf_build *g, const char *key, uint32_t v)
{
    put_key(g, key, GGUF_U32);
    put_int(&g->kvs, v, 4);
}

static inline void put_f32(struct gguf_build *g, const char *key, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_key(g, key, GGUF_F32);
    put_int(&g->kvs, bits, 4);
}

static inline void put_bool(struct gguf_build *g, const char *key, bool v)
{
    put_key(g, key, GGUF_BOOL);
    put_int(&g->kvs, v, 1);
}

static inline void put_str(struct gguf_build *g, const char *key, const char *v)
{
    put_key(g, key, GGUF_STRING);
    put_text(&g->kvs, v, strlen(v));
}

/* The start of an array; its n elements follow. */
static inline void put_array(struct gguf_build *g, const char *key, enum gguf_value element, uint64_t n)
{
    put_key(g, key, GGUF_ARRAY);
    put_int(&g->kvs, element, 4);
    put_int(&g->kvs, n, 8);
}

/* An entry of the table as it is given; ne in the file's order, the contiguous dimension first. */
static inline void put_entry(struct gguf_build *g, const char *name, uint32_t code, const uint64_t *ne, uint32_t n_dims,
                             uint64_t offset)
{
    put_text(&g->table, name, strlen(name));
    put_int(&g->table, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; i++)
        put_int(&g->table, ne[i], 8);
    put_int(&g->table, code, 4);
    put_int(&g->table, offset, 8);
    g->n_tensors++;
}

/* A tensor and its data, padded. */
static inline void put_tensor(struct gguf_build *g, const char *name, uint32_t code, const uint64_t *ne,
                              uint32_t n_dims, const void *bytes, size_t n)
{
    put_entry(g, name, code, ne, n_dims, g->data.n);
    buf_add(&g->data, bytes, n);
    while (g->data.n % g->alignment)
        buf_char(&g->data, '\0');
}

/* The whole file. */
static inline void gguf_build(const struct gguf_build *g, struct buf *out)
{
    buf_str(out, "GGUF");
    put_int(out, 3, 4);
    put_int(out, g->n_tensors, 8);
    put_int(out, g->n_kvs, 8);
    if (g->kvs.n)
        buf_add(out, g->kvs.data, g->kvs.n);
    if (g->table.n)
        buf_add(out, g->table.data, g->table.n);
    while (g->n_tensors && out->n % g->alignment)
        buf_char(out, '\0');
    if (g->data.n)
        buf_add(out, g->data.data, g->data.n);
    if (out->failed || g->kvs.failed || g->table.failed || g->data.failed)
        fail_msg("out of memory");
}

static inline void write_file(const char *path, const struct buf *b)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(b->data, 1, b->n, f) != b->n || fclose(f) != 0)
        fail_msg("cannot write %s", path);
}

#endif
