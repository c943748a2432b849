/* Any bytes as a safetensors file: what is accepted must hold what the header promises. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert: these must hold in every build. */
static void must(int condition)
{
    if (!condition)
        abort();
}

/* Bits in the name itself: U8, BF16, F8_E4M3, ... */
static size_t bits_of(const char *type_name)
{
    if (strcmp(type_name, "BOOL") == 0)
        return 8;
    return (size_t)strtoul(type_name + strcspn(type_name, "0123456789"), NULL, 10);
}

static size_t n_bits(const struct tensor *t)
{
    size_t bits = bits_of(t->type_name);
    for (size_t d = 0; d < t->n_dims; d++)
        if (t->shape[d] == 0)
            return 0;
    for (size_t d = 0; d < t->n_dims; d++)
        must(size_mul(bits, (size_t)t->shape[d], &bits));
    return bits;
}

static void check(const struct container *c, const uint8_t *data, size_t size)
{
    const uint8_t *end = NULL;
    for (size_t i = 0; i < c->n; i++) {
        const struct tensor *t = &c->tensors[i];
        must(t->name != NULL && t->data >= data + 8 && t->data <= data + size);
        must(t->n_bytes <= (size_t)(data + size - t->data));
        must(t->n_dims <= TENSOR_MAX_DIMS && t->type_name != NULL);
        must(n_bits(t) == t->n_bytes * 8);
        must(i == 0 || t->data == end); // no holes, no overlap
        end = t->data + t->n_bytes;
        for (size_t j = 0; j < i; j++)
            must(strcmp(t->name, c->tensors[j].name) != 0);
        volatile uint8_t sum = 0; // every byte can be read
        for (size_t b = 0; b < t->n_bytes; b++)
            sum = (uint8_t)(sum + t->data[b]);
    }
    must(c->n == 0 || end == data + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a;
    struct container c;
    struct err err = ERR_INIT;
    if (arena_new(&a, 0, NULL) != OK)
        return 0;
    if (safetensors_parse(&c, a, data, size, "fuzz", &err) == OK)
        check(&c, data, size);
    else
        must(err.status != OK && err.text[0] != '\0' && strchr(err.text, '\n') == NULL);
    arena_free(a);
    return 0;
}
