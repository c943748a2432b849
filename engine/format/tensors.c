#include "format/tensors_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

void tensor_read(const struct tensor *t, size_t at_b, size_t n_b, uint8_t *out)
{
    if (t->data)
        memcpy(out, t->data + at_b, n_b);
    else
        t->fill(t, at_b, n_b, out);
}

void tensor_shape_text(const size_t *shape, size_t n_dims, char out[TENSOR_SHAPE_TEXT_B])
{
    struct buf b = BUF_INIT;
    buf_char(&b, '[');
    for (size_t i = 0; i < n_dims; i++)
        buf_printf(&b, "%s%zu", i ? ", " : "", shape[i]);
    buf_char(&b, ']');
    size_t n = b.failed ? 0 : b.n < TENSOR_SHAPE_TEXT_B ? b.n : TENSOR_SHAPE_TEXT_B - 1;
    if (n)
        memcpy(out, b.data, n);
    out[n] = '\0';
    buf_release(&b);
}

enum status tensors_new(struct tensors **out, struct err *err)
{
    struct arena *a = NULL;
    void *p;
    enum status s = arena_new(&a, 0, err);
    if (s)
        return s;
    if ((s = arena_alloc(a, &p, 1, sizeof(struct tensors), err))) {
        arena_free(a);
        return s;
    }
    *out = p;
    (*out)->arena = a;
    return OK;
}

void tensors_close(struct tensors *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_files; i++)
        mapfile_close(&s->files[i].map);
    arena_free(s->arena);
}

static int by_name(const void *a, const void *b)
{
    const struct tensor *x = a;
    const struct tensor *y = b;
    return strcmp(x->name, y->name);
}

enum status tensors_sort(struct tensors *s, struct err *err)
{
    if (s->n)
        qsort(s->tensors, s->n, sizeof *s->tensors, by_name);
    for (size_t i = 1; i < s->n; i++)
        if (strcmp(s->tensors[i].name, s->tensors[i - 1].name) == 0)
            return err_set(err, ERR_FORMAT, "%s: tensor '%.200s': expected it once, found it twice",
                           tensors_file_of(s, &s->tensors[i]), s->tensors[i].name);
    return OK;
}

size_t tensors_count(const struct tensors *s)
{
    return s->n;
}

const struct tensor *tensors_at(const struct tensors *s, size_t i)
{
    return &s->tensors[i];
}

const struct tensor *tensors_find(const struct tensors *s, const char *name)
{
    struct tensor key = {.name = name};
    return s->n ? bsearch(&key, s->tensors, s->n, sizeof *s->tensors, by_name) : NULL;
}

size_t tensors_n_files(const struct tensors *s)
{
    return s->n_files + (s->index_name ? 1 : 0);
}

const char *tensors_file(const struct tensors *s, size_t i)
{
    if (s->index_name && i == 0)
        return s->index_name;
    return s->files[s->index_name ? i - 1 : i].name;
}

const char *tensors_file_of(const struct tensors *s, const struct tensor *t)
{
    return s->n_files ? s->files[t->file].path : s->generator;
}

const char *tensors_generator(const struct tensors *s)
{
    return s->generator;
}

void tensors_drop(const struct tensors *s, const struct tensor *t)
{
    tensors_drop_part(s, t, 0, t->n_bytes);
}

void tensors_drop_part(const struct tensors *s, const struct tensor *t, size_t at_b, size_t n_b)
{
    if (!t->data)
        return;
    const struct mapfile *m = &s->files[t->file].map;
    mapfile_drop(m, (size_t)(t->data - m->data) + at_b, n_b);
}
