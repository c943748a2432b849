#ifndef TESTS_SAFETENSORS_BUILD_H
#define TESTS_SAFETENSORS_BUILD_H

/* A safetensors file tensor by tensor, for tests that store a model another way. Include cmocka.h first. */
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "format/tensors.h"

struct st_build {
    struct buf header, data;
};

#define ST_BUILD_INIT {.header = BUF_INIT, .data = BUF_INIT}

static inline void st_add(struct st_build *b, const char *name, const char *dtype, const size_t *shape, size_t n_dims,
                          const void *bytes, size_t n)
{
    buf_printf(&b->header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", b->header.n ? "," : "{", name, dtype);
    for (size_t i = 0; i < n_dims; i++)
        buf_printf(&b->header, "%s%zu", i ? "," : "", shape[i]);
    buf_printf(&b->header, "],\"data_offsets\":[%zu,%zu]}", b->data.n, b->data.n + n);
    buf_add(&b->data, bytes, n);
}

/* A tensor as it is, under a name of its own or another. */
static inline void st_copy(struct st_build *b, const struct tensor *t, const char *name)
{
    st_add(b, name, t->type_name, t->shape, t->n_dims, t->data, t->n_bytes);
}

/* Writes dir/model.safetensors, whose data lies at an odd byte on purpose, and releases b. */
static inline void st_write(struct st_build *b, const char *dir)
{
    char path[400];
    buf_str(&b->header, b->header.n % 2 ? "} " : "}");
    (void)snprintf(path, sizeof path, "%s/model.safetensors", dir);
    FILE *f = fopen(path, "wb");
    bool good = f && !b->header.failed && !b->data.failed;
    for (unsigned i = 0; i < 8 && good; i++)
        good = fputc((int)((uint64_t)b->header.n >> (8 * i) & 255), f) != EOF;
    good = good && fwrite(b->header.data, 1, b->header.n, f) == b->header.n &&
           fwrite(b->data.data, 1, b->data.n, f) == b->data.n;
    if (!f || fclose(f) != 0 || !good)
        fail_msg("cannot write %s", path);
    buf_release(&b->header);
    buf_release(&b->data);
}

#endif
