/* Any bytes as a GGUF file: what is accepted must hold what its table promises, every look-up in its
 * metadata ends in a value or a sentence, and a model it describes has sizes that can be worked with. */
#include <stdint.h>
#include <string.h>

#include "config_check.h"
#include "format/ggufconfig.h"
#include "format/tensors_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sum_of(const uint8_t *p, size_t n)
{
    volatile uint8_t sum = 0; // every byte can be read
    for (size_t i = 0; i < n; i++)
        sum = (uint8_t)(sum + p[i]);
}

static void check_tensors(const struct gguf *g, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct tensor *t = &g->tensors[i];
        size_t n = 0;
        demand(t->name != NULL && t->name[0] != '\0' && strlen(t->name) < GGUF_NAME_B && t->type_name != NULL);
        demand(t->n_dims >= 1 && t->n_dims <= GGUF_MAX_DIMS);
        demand(t->data > data && t->n_bytes <= (size_t)(data + size - t->data));
        demand((size_t)(t->data - data) % g->alignment == 0);
        demand(i == 0 || t->data >= g->tensors[i - 1].data + g->tensors[i - 1].n_bytes);
        demand(quant_row_b(t->quant, t->shape[t->n_dims - 1], &n));
        for (size_t d = 0; d + 1 < t->n_dims; d++)
            demand(size_mul(n, t->shape[d], &n));
        demand(n == t->n_bytes && n > 0);
        for (size_t j = 0; j < i; j++)
            demand(strcmp(t->name, g->tensors[j].name) != 0);
        sum_of(t->data, t->n_bytes);
    }
}

static void good(enum status s, const struct err *err)
{
    demand(s == OK || (err->status == s && err->text[0] != '\0' && strchr(err->text, '\n') == NULL));
}

static void check_key(const struct gguf *g, const char *key, struct arena *a)
{
    struct err err = ERR_INIT;
    int64_t i = 5;
    double x = 5;
    bool b = false;
    const char *s = "";
    const struct gguf_text *texts = NULL;
    const int64_t *ints = NULL;
    size_t n = 0;
    good(gguf_int(g, key, -10, 10, &i, &err), &err);
    demand(i >= -10 && i <= 10);
    good(gguf_real(g, key, -10, 10, &x, &err), &err);
    demand(x >= -10 && x <= 10);
    good(gguf_bool(g, key, &b, &err), &err);
    good(gguf_str(g, key, a, &s, &err), &err);
    demand(strlen(s) <= gguf_find(g, key)->n);
    good(gguf_ints(g, key, a, &ints, &n, &err), &err);
    n = 0;
    good(gguf_strs(g, key, a, &texts, &n, &err), &err);
    for (size_t k = 0; k < n; k++)
        sum_of((const uint8_t *)texts[k].s, texts[k].n);
}

static void check_config(const struct gguf *g, struct arena *a)
{
    struct tensor_file file = {.name = "fuzz", .path = "fuzz"};
    struct tensors set = {.arena = a, .files = &file, .n_files = 1, .tensors = g->tensors, .n = g->n_tensors};
    struct model_config c;
    struct err err = ERR_INIT;
    demand(tensors_sort(&set, &err) == OK);
    enum status s = ggufconfig_read(&c, g, &set, a, &err);
    good(s, &err);
    if (s == OK)
        config_check(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a;
    struct gguf g;
    struct err err = ERR_INIT;
    if (arena_new(&a, 0, NULL) != OK)
        return 0;
    enum status s = gguf_parse(&g, a, data, size, "fuzz", &err);
    good(s, &err);
    if (s == OK) {
        check_tensors(&g, data, size);
        for (size_t i = 0; i < g.n_kvs; i++) {
            demand(gguf_find(&g, g.kvs[i].key) == &g.kvs[i]); // sorted, unique
            check_key(&g, g.kvs[i].key, a);
        }
        check_config(&g, a); // sorts the tensors
    }
    arena_free(a);
    return 0;
}
