/* The tensors of a GGUF model: one file, or the parts of a split one. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "format/gguf.h"
#include "format/tensors_internal.h"

/* Parts are named NAME-00001-of-00003.gguf; the numbers have five digits. */
enum { MAX_PARTS = 1024, SUFFIX_B = 64 };

struct parts {
    struct tensors *set; // what is being filled
    struct gguf *tables; // of the set's files
    size_t n;            // parts there are
    struct err *err;
};

static void suffix(char out[SUFFIX_B], size_t part, size_t n)
{
    (void)snprintf(out, SUFFIX_B, "-%05zu-of-%05zu.gguf", part + 1, n);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static enum status open_part(struct parts *p, const char *path)
{
    size_t i = p->set->n_files;
    struct tensor_file *f = &p->set->files[i];
    char *copy;
    enum status s = arena_strndup(p->set->arena, &copy, path, strlen(path), p->err);
    if (s || (s = mapfile_open(&f->map, path, p->err)))
        return s;
    f->path = copy;
    f->name = base_name(copy);
    p->set->n_files++; // from here tensors_close unmaps it
    return gguf_parse(&p->tables[i], p->set->arena, f->map.data, f->map.size, f->path, p->err);
}

/* What a part says about itself must be what its name says; the first has the metadata. */
static enum status check_part(const struct parts *p, size_t i)
{
    const struct gguf *g = &p->tables[i];
    int64_t no = 0;
    int64_t count = 1;
    enum status s;
    if ((s = gguf_int(g, "split.no", 0, INT64_MAX, &no, p->err)) ||
        (s = gguf_int(g, "split.count", 0, INT64_MAX, &count, p->err)))
        return s;
    if (count == 0)
        count = 1; // some writers say that an unsplit file has no parts
    if ((size_t)no != i || (i && (size_t)count != p->n))
        return err_set(p->err, ERR_FORMAT, "%s: expected part %zu of %zu, found part %lld of %lld%s", g->name, i + 1,
                       i ? p->n : (size_t)count, (long long)no + 1, (long long)count,
                       i ? "" : ": give the first, the others are found by their names");
    return OK;
}

static enum status count_parts(struct parts *p)
{
    const struct gguf *g = &p->tables[0];
    int64_t count = 1;
    enum status s = gguf_int(g, "split.count", 0, MAX_PARTS, &count, p->err);
    p->n = count > 1 ? (size_t)count : 1;
    return s;
}

static enum status open_others(struct parts *p, const char *path)
{
    char end[SUFFIX_B];
    struct buf b = BUF_INIT;
    enum status s = OK;
    suffix(end, 0, p->n);
    size_t n = strlen(path);
    size_t k = strlen(end);
    if (n < k || strcmp(path + n - k, end) != 0)
        return err_set(p->err, ERR_FORMAT, "%s: expected a name that ends in %s, as the first of %zu parts has, found other",
                       path, end, p->n);
    for (size_t i = 1; i < p->n && !s; i++) {
        suffix(end, i, p->n);
        buf_clear(&b);
        buf_add(&b, path, n - k);
        buf_str(&b, end);
        if ((s = buf_status(&b, "path", p->err)) || (s = open_part(p, b.data)))
            break;
        s = check_part(p, i);
    }
    buf_release(&b);
    return s;
}

static enum status room_for(struct parts *p)
{
    void *q;
    enum status s = arena_alloc(p->set->arena, &q, MAX_PARTS, sizeof *p->set->files, p->err);
    if (s)
        return s;
    p->set->files = q;
    if ((s = arena_alloc(p->set->arena, &q, MAX_PARTS, sizeof *p->tables, p->err)))
        return s;
    p->tables = q;
    return OK;
}

static enum status gather(struct parts *p)
{
    struct tensors *set = p->set;
    void *q;
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += p->tables[i].n_tensors; // each takes bytes of a mapped file: no overflow
    int64_t wanted = (int64_t)n;
    enum status s;
    if ((s = gguf_int(&p->tables[0], "split.tensors.count", 0, INT64_MAX, &wanted, p->err)))
        return s;
    if (wanted != (int64_t)n)
        return err_set(p->err, ERR_FORMAT, "%s: expected %lld tensors in %zu parts, found %zu", p->tables[0].name,
                       (long long)wanted, p->n, n);
    if ((s = arena_alloc(set->arena, &q, n, sizeof *set->tensors, p->err)))
        return s;
    set->tensors = q;
    for (size_t i = 0; i < p->n; i++) {
        for (size_t j = 0; j < p->tables[i].n_tensors; j++) {
            set->tensors[set->n] = p->tables[i].tensors[j];
            set->tensors[set->n++].file = i;
        }
    }
    if ((s = gguf_str(&p->tables[0], GGUF_GENERATOR_KEY, set->arena, &set->generator, p->err)))
        return s;
    return tensors_sort(set, p->err);
}

enum status gguf_open(struct tensors **out, const struct gguf **meta, const char *path, struct err *err)
{
    struct parts p = {.n = 1, .err = err};
    enum status s = tensors_new(&p.set, err);
    if (s)
        return s;
    if ((s = room_for(&p)) || (s = open_part(&p, path)) || (s = count_parts(&p)) || (s = check_part(&p, 0)) ||
        (p.n > 1 && (s = open_others(&p, path))) || (s = gather(&p))) {
        tensors_close(p.set);
        return s;
    }
    *out = p.set;
    *meta = &p.tables[0];
    return OK;
}
