#include "model/synthetic.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/bulk.h"
#include "base/fmath.h"
#include "base/num.h"
#include "format/layout.h"
#include "format/tensors_internal.h"
#include "model/registry.h"

static const char prefix[] = "synthetic:";

bool synthetic_matches(const char *source)
{
    return strncmp(source, prefix, sizeof prefix - 1) == 0;
}

static enum status unknown(const char *source, const char *found, struct err *err)
{
    return err_set(err, ERR_USAGE, "model '%.200s': expected synthetic:NAME[,seed=N][,format=q8_0|q4_0], found ',%.80s'",
                   source, found);
}

/* The value of "key=value", when `option` begins so. */
static const char *value_of(const char *option, const char *key)
{
    size_t n = strlen(key);
    return strncmp(option, key, n) == 0 && option[n] == '=' ? option + n + 1 : NULL;
}

/* One option, option[0..n). */
static enum status parse_option(struct synthetic *out, const char *source, const char *option, size_t n, struct err *err)
{
    char text[80];
    int64_t seed = 0;
    const char *v;
    (void)snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), option);
    if ((v = value_of(text, "seed"))) {
        enum status s = num_parse_i64(v, 0, INT64_MAX, "seed", &seed, err);
        if (s && err)
            err_prefix(err, "model '%.200s'", source);
        out->seed = (uint64_t)seed;
        return s;
    }
    if (!(v = value_of(text, "format")))
        return unknown(source, text, err);
    if (strcmp(v, "q8_0") == 0)
        out->format = QUANT_Q8_0;
    else if (strcmp(v, "q4_0") == 0)
        out->format = QUANT_Q4_0;
    else
        return unknown(source, text, err);
    return OK;
}

enum status synthetic_parse(struct synthetic *out, const char *source, struct err *err)
{
    const char *name = source + sizeof prefix - 1;
    size_t n = strcspn(name, ",");
    const char *known;
    enum status s = registry_find(name, n, &known, &out->config, err);
    if (s) {
        if (err)
            err_prefix(err, "model '%.200s'", source);
        return s;
    }
    out->seed = 0;
    out->format = QUANT_BF16;
    for (const char *p = name + n; *p == ',' && !s; p += n) {
        n = strcspn(++p, ",");
        s = parse_option(out, source, p, n, err);
    }
    const bool published = out->format == QUANT_BF16;
    (void)snprintf(out->name, sizeof out->name, "%s%s%s", known, published ? "" : "-",
                   published ? "" : quant_type(out->format)->name);
    return s;
}

enum { CHUNK = 512 }; // values made at a time

/* How a tensor's values come about. */
struct recipe {
    uint64_t key;
    double mean, sd; // normals; sd is already times 2^-17
    uint8_t scale;   // scales: the lower of two
};

static void encode(const struct quant_type *q, const uint16_t *v, size_t n_blocks, uint8_t *out)
{
    float x[CHUNK];
    for (size_t i = 0; i < n_blocks * q->block; i++)
        x[i] = bf16_to_f32(v[i]);
    for (size_t i = 0; i < n_blocks; i++)
        (void)q->encode(x + i * q->block, out + i * q->block_b); // what is finite has an encoding
}

/* Normals, stored as t->quant: bf16 as they are, or blocks of them encoded. CHUNK values at a time, from the
 * block that holds the first byte on. */
static void fill_normals(const struct tensor *t, size_t at_b, size_t n_b, uint8_t *out)
{
    const struct recipe *r = t->ctx;
    const struct quant_type *q = quant_type(t->quant);
    uint16_t v[CHUNK];
    uint8_t encoded[CHUNK * sizeof(float)];
    const uint8_t *blocks = t->quant == QUANT_BF16 ? (const uint8_t *)v : encoded;
    for (size_t end = at_b + n_b; at_b < end;) {
        size_t first = at_b / q->block_b;
        size_t skip = at_b % q->block_b;
        size_t n = (end - 1) / q->block_b + 1 - first;
        n = n < CHUNK / q->block ? n : CHUNK / q->block;
        bulk_bf16(r->key, r->mean, r->sd, first * q->block, n * q->block, v);
        if (blocks == encoded)
            encode(q, v, n, encoded);
        size_t take = n * q->block_b - skip < end - at_b ? n * q->block_b - skip : end - at_b;
        memcpy(out, blocks + skip, take);
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

static enum status add(struct making *k, const char *name, enum quant q, enum tensor_kind kind, const size_t *shape,
                       size_t n_dims, struct recipe recipe)
{
    struct tensor t = {.type_name = "U8", .quant = q, .n_dims = n_dims};
    char *copy;
    void *p;
    enum status s;
    bool good = true;
    if (q == QUANT_NONE) {
        t.fill = kind == KIND_CODES ? fill_codes : fill_scales;
        t.n_bytes = shape[n_dims - 1];
    } else {
        t.type_name = quant_type(q)->name;
        t.fill = fill_normals;
        good = quant_row_b(q, shape[n_dims - 1], &t.n_bytes);
    }
    for (size_t i = 0; i < n_dims; i++) {
        t.shape[i] = shape[i];
        good = good && (i + 1 == n_dims || size_mul(t.n_bytes, shape[i], &t.n_bytes));
    }
    if (!good)
        return err_set(k->err, ERR_UNSUPPORTED, "tensor '%s': expected rows of whole blocks of %s, found %zu values", name,
                       t.type_name, shape[n_dims - 1]);
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

/* How a tensor of a layer is stored. */
static enum quant stored(const struct synthetic *of, const struct tensor_spec *spec)
{
    if (spec->kind == KIND_CODES || spec->kind == KIND_SCALES)
        return QUANT_NONE;
    if (spec->kind == KIND_VECTOR || spec->role == ROLE_ROUTER)
        return of->format == QUANT_BF16 ? QUANT_BF16 : QUANT_F32;
    return of->format;
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
        s = add(k, name, stored(k->of, p), p->kind, shape, p->n_dims, recipe_of(p, shape[p->n_dims - 1]));
    }
    return s;
}

static enum status add_ends(struct making *k)
{
    const struct model_config *c = &k->of->config;
    const size_t shape[2] = {c->vocab_size, c->d_model};
    const enum quant vector = k->of->format == QUANT_BF16 ? QUANT_BF16 : QUANT_F32;
    const enum quant output = k->of->format == QUANT_BF16 ? QUANT_BF16 : QUANT_Q8_0;
    const struct recipe head = normal(0, 3 / sqrt((double)c->d_model)); // logits of sd 3: the final norm has rms 1
    // a tied embedding is also the head: at sd 1 its logits would have sd sqrt(d)
    enum status s = add(k, layout_hf.embed, c->tied ? output : k->of->format, KIND_MATRIX, shape, 2,
                        c->tied ? head : normal(0, 1));
    if (!s)
        s = add(k, layout_hf.norm, vector, KIND_VECTOR, &c->d_model, 1, normal(1, 0.1));
    return s || c->tied ? s : add(k, layout_hf.head, output, KIND_MATRIX, shape, 2, head);
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
