#include "convert/convert_file.h"

#include <string.h>

#include "base/digest.h"
#include "convert/convert_meta.h"
#include "convert/convert_write.h"
#include "lib/platform.h"
#include "lib/prov.h"

/* general.file_type: a label, for people and for programs that show one. */
static uint32_t file_type(const struct plan_types *t, bool has_experts)
{
    static const struct {
        enum quant quant;
        uint32_t label;
    } labels[] = {{QUANT_F16, 1}, {QUANT_Q4_0, 2}, {QUANT_Q8_0, 7}, {QUANT_BF16, 32}};
    if (has_experts && t->experts == QUANT_MXFP4 && t->matrices == QUANT_Q8_0)
        return 38; // MXFP4_MOE
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        if (labels[i].quant == t->matrices)
            return labels[i].label;
    return 0; // F32
}

static void put(struct gguf_writer *w, const char *key, const char *text)
{
    gguf_write_str(w, key, text, strlen(text));
}

/* Where the file comes from, by name and content, never by path. A generator's weights are what its own key
 * says they are. */
static enum status write_origin(struct gguf_writer *w, const struct convert_source *s, struct err *err)
{
    uint8_t d[DIGEST_B];
    char hex[DIGEST_HEX_LEN + 1];
    if (s->n_files) {
        enum status st = model_digest(s->dir, s->files, s->n_files, false, NULL, d, err);
        if (st)
            return st;
        digest_hex(d, hex);
        put(w, "assay.source.sha256", hex);
    }
    put(w, "assay.source.name", s->name);
    put(w, "assay.convert.version", build_info()->version);
    const char *generator = tensors_generator(s->set);
    if (generator)
        put(w, GGUF_GENERATOR_KEY, generator);
    return OK;
}

/* A GGUF file's own keys stay, but for those written anew and those that only its cutting into parts had. */
static bool is_replaced(const char *key, bool renamed)
{
    static const char *const replaced[] = {"general.file_type",     "general.quantization_version", "general.alignment",
                                           "assay.source.sha256",   "assay.source.name",            "assay.convert.version",
                                           GGUF_GENERATOR_KEY};
    for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++)
        if (strcmp(key, replaced[i]) == 0)
            return true;
    return strncmp(key, "split.", 6) == 0 || (renamed && strcmp(key, "general.name") == 0);
}

static void copy_meta(struct gguf_writer *w, const struct gguf *g, bool renamed)
{
    for (size_t i = 0; i < g->n_kvs; i++)
        if (!is_replaced(g->kvs[i].key, renamed))
            gguf_write_kv(w, &g->kvs[i]);
}

static enum status make_meta(struct gguf_writer *w, const struct convert_source *s, struct err *err)
{
    const struct tokfile *f = s->has_tokenizer ? &s->tokenizer : NULL;
    enum status st = meta_model(w, &s->config, err);
    if (st && err)
        err_prefix(err, "model '%s'", s->name);
    if (st || (st = meta_vocab(w, f, s->config.vocab_size, err)))
        return st;
    put(w, "general.type", "model");
    return s->n_files ? meta_special(w, &s->config, f, s->dir, err) : OK;
}

static enum status write_meta(struct gguf_writer *w, const struct convert_source *s, const struct convert_options *o,
                              struct err *err)
{
    enum status st = OK;
    if (s->gguf)
        copy_meta(w, s->gguf, o->name != NULL);
    else
        st = make_meta(w, s, err);
    if (st)
        return st;
    if (o->name || !s->gguf)
        put(w, "general.name", o->name ? o->name : s->name);
    gguf_write_u32(w, "general.file_type", file_type(&o->types, s->config.n_experts > 0));
    gguf_write_u32(w, "general.quantization_version", 2); // of ggml's block formats
    return write_origin(w, s, err);
}

static enum status write_all(const struct convert_source *s, const struct plan *p, const struct buf *head, const char *path,
                             size_t n_threads, struct progress *progress, bool *changed, struct err *err)
{
    struct pool *pool = NULL;
    struct outfile *out = NULL;
    enum status st = pool_new(&pool, n_threads, err);
    if (!st && !(st = outfile_open(&out, path, err))) {
        if ((st = outfile_write(out, head->data, head->n, err)) ||
            (st = plan_write(p, s->set, pool, out, progress, err)))
            outfile_abort(out);
        else
            st = outfile_commit(out, changed, err);
    }
    pool_free(pool);
    return st;
}

enum status convert_file(const struct convert_source *s, const char *path, const struct convert_options *o,
                         struct progress *progress, struct convert_result *out, struct err *err)
{
    struct gguf_writer w = GGUF_WRITER_INIT;
    struct buf head = BUF_INIT;
    struct plan plan;
    struct arena *a = NULL;
    bool changed = false;
    enum status st = arena_new(&a, 0, err);
    if (!st && !(st = plan_make(&plan, a, &s->config, s->set, &o->types, err)) && !(st = write_meta(&w, s, o, err)) &&
        !(st = plan_announce(&plan, &w, err)) && !(st = gguf_write_head(&w, &head, err)))
        st = write_all(s, &plan, &head, path, o->n_threads, progress, &changed, err);
    if (!st)
        *out = (struct convert_result){.n_tensors = plan.n, .n_bytes = head.n + w.data_b, .changed = changed};
    buf_release(&head);
    gguf_writer_release(&w);
    arena_free(a);
    return st;
}
