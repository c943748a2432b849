#include "model/synthetic.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/bulk.h"
#include "base/num.h"
#include "format/layout.h"
#include "format/tensors_internal.h"
#include "model/registry.h"

static const char prefix[] = "synthetic:";

bool synthetic_matches(const char *source)
{
    return strncmp(source, prefix, sizeof prefix - 1) == 0;
}

enum status synthetic_parse(struct synthetic *out, const char *source, struct err *err)
{
    static const char seed_key[] = "seed=";
    const char *name = source + sizeof prefix - 1;
    const char *option = strchr(name, ',');
    int64_t seed = 0;
    enum status s = OK;
    if (option && strncmp(option + 1, seed_key, sizeof seed_key - 1) != 0)
        return err_set(err, ERR_USAGE, "model '%.200s': expected synthetic:NAME[,seed=N], found '%.80s'", source, option);
    if (option)
        s = num_parse_i64(option + sizeof seed_key, 0, INT64_MAX, "seed", &seed, err);
    if (!s)
        s = registry_find(name, option ? (size_t)(option - name) : strlen(name), &out->name, &out->config, err);
    if (s && err)
        err_prefix(err, "model '%.200s'", source);
    out->seed = (uint64_t)seed;
    return s;
}

enum { CHUNK = 512 }; // values made at a time

/* How a tensor's values come about. */
struct recipe {
    uint64_t key;
    double mean, sd; // normals; sd is already times 2^-17
    uint8_t scale;   // scales: the lower of two
};

/* Rows begin at even bytes and are whole; other ranges go through a value at their ends. */
static void fill_normals(const struct tensor *t, size_t at_b, size_t n_b, uint8_t *out)
{
    const struct recipe *r = t->ctx;
    uint16_t v[CHUNK];
    for (size_t end = at_b + n_b; at_b < end;) {
        size_t skip = at_b % 2;
        size_t n = (end - at_b + skip + 1) / 2 < CHUNK ? (end - at_b + skip + 1) / 2 : CHUNK;
        size_t take = 2 * n - skip < end - at_b ? 2 * n - skip : end - at_b;
        bulk_bf16(r->key, r->mean, r->sd, at_b / 2, n, v);
        memcpy(out, (const uint8_t *)v + skip, take);
        out += take;
        at_b += take;
    }
}

/* A byte is two codes. */
static void fill_codes(const struct tensor *t, size_t at_b, size_t n_b, uint8_t *out)
{
    const struct recipe *r = t->ctx;
    bulk_bytes(r->key, at_b, n_b, out);
}

/* A bit a scale. */
static void fill_scales(const struct tensor *t, size_t at_b, size_t n_b, uint8_t *out)
{
    const struct recipe *r = t->ctx;
    for (size_t i = at_b; i < at_b + n_b;) {
        uint64_t w = bulk_word(r->key, i / 64) >> i % 64;
        for (size_t end = i / 64 * 64 + 64; i < end && i < at_b + n_b; i++, w >>= 1)
            *out++ = (uint8_t)(r->scale + (w & 1));
    }
}

/* Codes have sd 2.926, and two scales 2^s and 2^(s + 1) an rms of sqrt(2.5) 2^s. The recipe's `scale` suits
 * `width` inputs; sums over n of them grow with sqrt(n), so every factor of 4 takes one power off. */
static uint8_t scale_for(unsigned scale, size_t width, size_t n)
{
    for (size_t w = width; w * 2 < n; w *= 4) // from half way, in powers of two
        scale--;
    return (uint8_t)scale;
}

static struct recipe normal(double mean, double sd)
{
    return (struct recipe){.mean = mean, .sd = sd * 0x1p-17};
}

/* The recipe of models.md 8 for the tensors of a layer. */
static const struct rule {
    double mean, sd;
    bool per_input; // sd is divided by the square root of the inputs
    unsigned scale; // SCALES: the lower of two, for `width` inputs
    size_t width;
} rules[ROLE_COUNT] = {
    [ROLE_ATTN_NORM] = {.mean = 1, .sd = 0.1},
    [ROLE_MLP_NORM] = {.mean = 1, .sd = 0.1},
    [ROLE_Q] = {.sd = 1, .per_input = true},
    [ROLE_K] = {.sd = 1, .per_input = true},
    [ROLE_V] = {.sd = 1, .per_input = true},
    [ROLE_O] = {.sd = 1, .per_input = true},
    [ROLE_Q_BIAS] = {.sd = 0.1},
    [ROLE_K_BIAS] = {.sd = 0.1},
    [ROLE_V_BIAS] = {.sd = 0.1},
    [ROLE_O_BIAS] = {.sd = 0.1},
    [ROLE_Q_NORM] = {.mean = 1, .sd = 0.1},
    [ROLE_K_NORM] = {.mean = 1, .sd = 0.1},
    [ROLE_SINKS] = {.sd = 1},
    [ROLE_GATE] = {.sd = 1, .per_input = true},
    [ROLE_UP] = {.sd = 1, .per_input = true},
    [ROLE_DOWN] = {.sd = 1, .per_input = true},
    [ROLE_ROUTER] = {.sd = 2, .per_input = true},
    [ROLE_ROUTER_BIAS] = {.sd = 0.5},
    [ROLE_EXPERTS_GATE_UP_SCALES] = {.scale = 123, .width = 96}, // outputs of sd 2 to 4: some meet the clamp at 7
    [ROLE_EXPERTS_DOWN_SCALES] = {.scale = 120, .width = 160},   // an expert adds an rms near 1
    [ROLE_EXPERTS_GATE_UP_BIAS] = {.sd = 0.5},
    [ROLE_EXPERTS_DOWN_BIAS] = {.sd = 0.1},
};

static struct recipe recipe_of(const struct tensor_spec *spec, size_t n_in)
{
    const struct rule *r = &rules[spec->role];
    if (spec->kind == KIND_SCALES)
        return (struct recipe){.scale = scale_for(r->scale, r->width, n_in * 32)};
    return normal(r->mean, r->per_input ? r->sd / sqrt((double)n_in) : r->sd);
}

/* A set being filled. */
struct making {
    struct tensors *set;
    const struct synthetic *of;
    struct err *err;
};

static enum status add(struct making *k, const char *name, enum tensor_kind kind, const size_t *shape, size_t n_dims,
                       struct recipe recipe)
{
    struct tensor t = {.type_name = "BF16", .quant = QUANT_BF16, .n_dims = n_dims, .fill = fill_normals, .n_bytes = 2};
    char *copy;
    void *p;
    enum status s;
    if (kind == KIND_CODES || kind == KIND_SCALES) {
        t.type_name = "U8";
        t.quant = QUANT_NONE;
        t.fill = kind == KIND_CODES ? fill_codes : fill_scales;
        t.n_bytes = 1;
    }
    for (size_t i = 0; i < n_dims; i++) {
        t.shape[i] = shape[i];
        if (!size_mul(t.n_bytes, shape[i], &t.n_bytes))
            return err_set(k->err, ERR_SHAPE, "tensor '%s': its size overflows", name);
    }
    if ((s = arena_strndup(k->set->arena, &copy, name, strlen(name), k->err)) ||
        (s = arena_alloc(k->set->arena, &p, 1, sizeof recipe, k->err)) ||
        (s = bulk_key(&recipe.key, k->of->seed, name, k->err)))
        return s;
    *(struct recipe *)p = recipe;
    t.name = copy;
    t.ctx = p;
    k->set->tensors[k->set->n++] = t;
    return OK;
}

static enum status add_specs(struct making *k, size_t layer, const struct tensor_spec *specs)
{
    const struct model_config *c = &k->of->config;
    enum status s = OK;
    for (const struct tensor_spec *p = specs; p->role != ROLE_NONE && !s; p++) {
        char name[160];
        size_t shape[TENSOR_MAX_DIMS] = {0};
        if (!layout_has(c, p->when))
            continue;
        for (size_t i = 0; i < p->n_dims; i++)
            shape[i] = layout_dim(c, p->dims[i]);
        (void)snprintf(name, sizeof name, "%s%zu.%s", layout_hf.prefix, layer, p->suffix);
        s = add(k, name, p->kind, shape, p->n_dims, recipe_of(p, shape[p->n_dims - 1]));
    }
    return s;
}

static enum status add_ends(struct making *k)
{
    const struct model_config *c = &k->of->config;
    const size_t shape[2] = {c->vocab_size, c->d_model};
    const struct recipe head = normal(0, 3 / sqrt((double)c->d_model)); // logits of sd 3: the final norm has rms 1
    // a tied embedding is also the head: at sd 1 its logits would have sd sqrt(d)
    enum status s = add(k, layout_hf.embed, KIND_MATRIX, shape, 2, c->tied ? head : normal(0, 1));
    if (!s)
        s = add(k, layout_hf.norm, KIND_VECTOR, &c->d_model, 1, normal(1, 0.1));
    return s || c->tied ? s : add(k, layout_hf.head, KIND_MATRIX, shape, 2, head);
}

static size_t count(const struct tensor_spec *specs)
{
    size_t n = 0;
    while (specs[n].role != ROLE_NONE)
        n++;
    return n;
}

/* Of the ways in which files store a part of a layer, the first this model can have is the published one. */
static const struct tensor_spec *published(const struct model_config *c, const struct tensor_spec *const *ways)
{
    while (!layout_has(c, (*ways)->when))
        ways++;
    return *ways;
}

static enum status describe(struct making *k)
{
    struct buf b = BUF_INIT;
    char *copy = NULL;
    buf_printf(&b, "assay synthetic " SYNTHETIC_GENERATOR " %s,seed=%llu", k->of->name, (unsigned long long)k->of->seed);
    enum status s = buf_status(&b, "name", k->err);
    if (!s)
        s = arena_strndup(k->set->arena, &copy, b.data, b.n, k->err);
    k->set->generator = copy;
    buf_release(&b);
    return s;
}

enum status synthetic_tensors(struct tensors **out, const struct synthetic *of, struct err *err)
{
    const struct model_config *c = &of->config;
    const struct tensor_spec *const parts[] = {layout_hf.rest, published(c, layout_hf.attention), published(c, layout_hf.ffn)};
    struct making k = {.of = of, .err = err};
    size_t per_layer = 0;
    void *p;
    enum status s = tensors_new(&k.set, err);
    if (s)
        return s;
    for (size_t i = 0; i < 3; i++)
        per_layer += count(parts[i]);
    if ((s = describe(&k)) ||
        (s = arena_alloc(k.set->arena, &p, c->n_layers * per_layer + 3, sizeof *k.set->tensors, err)))
        goto fail;
    k.set->tensors = p;
    s = add_ends(&k);
    for (size_t i = 0; i < c->n_layers * 3 && !s; i++)
        s = add_specs(&k, i / 3, parts[i % 3]);
    if (s || (s = tensors_sort(k.set, err)))
        goto fail;
    *out = k.set;
    return OK;
fail:
    tensors_close(k.set);
    return s;
}
