#define _XOPEN_SOURCE 700 // realpath
#include "model/model.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/pool.h"
#include "format/hfconfig.h"
#include "format/safetensors.h"
#include "model/fault.h"
#include "model/params.h"

enum { MAX_FILES = 4096 };

static const char config_name[] = "config.json";
static const char generation_name[] = "generation_config.json";
static const char tokenizer_name[] = "tokenizer.json";
static const char tokenizer_config_name[] = "tokenizer_config.json";
static const char template_name[] = "chat_template.jinja";

/* A model being opened: its directory, and the files read so far. */
struct opening {
    struct model *m;
    const char *dir;
    const char **files;
    size_t n_files;
    struct err *err;
};

static enum status path_of(const struct opening *o, const char *name, const char **out)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s/%s", o->dir, name);
    char *copy = NULL;
    enum status s = buf_status(&b, "path", o->err);
    if (!s)
        s = arena_strndup(o->m->arena, &copy, b.data, b.n, o->err);
    buf_release(&b);
    *out = copy;
    return s;
}

static enum status note_file(struct opening *o, const char *name)
{
    if (o->n_files == MAX_FILES)
        return err_set(o->err, ERR_RANGE, "%s: expected at most %d files, found more", o->dir, MAX_FILES);
    char *copy;
    enum status s = arena_strndup(o->m->arena, &copy, name, strlen(name), o->err);
    if (!s)
        o->files[o->n_files++] = copy;
    return s;
}

/* path is NULL when the directory has no such file; else the file counts as read. */
static enum status optional(struct opening *o, const char *name, const char **path)
{
    enum status s = path_of(o, name, path);
    if (s)
        return s;
    if (access(*path, F_OK) != 0) {
        *path = NULL;
        return OK;
    }
    return note_file(o, name);
}

static enum status add_stop_name(struct opening *o, const char *name)
{
    int32_t id = o->m->tokenizer ? tokenizer_special(o->m->tokenizer, name) : -1;
    if (id < 0 || (size_t)id >= o->m->config.vocab_size || config_add_stop(&o->m->config, id))
        return OK;
    return err_set(o->err, ERR_RANGE, "%s: expected at most %d stop ids, found more", o->dir, CONFIG_MAX_STOP_IDS);
}

/* "bos_token" or "eos_token" of tokenizer_config.json: a string, or an added-token object. NULL: none. */
static const char *token_name(const cJSON *root, const char *key)
{
    const cJSON *v = json_get(root, key);
    if (cJSON_IsObject(v))
        v = json_get(v, "content");
    return cJSON_IsString(v) ? v->valuestring : NULL;
}

/* tokenizer_config.json: the ends of a text, and whether there is a chat template. Sources of stop ids
 * disagree in the wild, so the union of all is taken. */
static enum status read_tokenizer_config(struct opening *o, const char *path, bool *has_template)
{
    cJSON *root = NULL;
    enum status s = json_read_file(&root, path, o->err);
    if (s)
        return s;
    const char *bos = token_name(root, "bos_token");
    const char *eos = token_name(root, "eos_token");
    const char *prefix = bos ? bos : eos;
    const cJSON *template = json_get(root, "chat_template");
    *has_template |= template && !cJSON_IsNull(template);
    if (prefix && o->m->tokenizer)
        o->m->info.prefix_id = tokenizer_special(o->m->tokenizer, prefix);
    if (eos)
        s = add_stop_name(o, eos);
    cJSON_Delete(root);
    return s;
}

static enum chat_format chat_format_of(const struct model *m, bool has_template)
{
    switch (m->config.arch) {
    case ARCH_GPTOSS:
        return CHAT_HARMONY;
    case ARCH_QWEN3:
        return CHAT_QWEN3;
    case ARCH_LLAMA:
        break;
    }
    // a base model follows no turns: only a file with a template is a chat model
    return has_template && m->tokenizer && tokenizer_special(m->tokenizer, "<|im_start|>") >= 0 ? CHAT_YI : CHAT_NONE;
}

static enum status open_text(struct opening *o)
{
    struct model *m = o->m;
    const char *path;
    bool has_template = false;
    enum status s;
    void *p;
    m->info.prefix_id = -1;
    if ((s = optional(o, tokenizer_name, &path)) || (path && (s = tokenizer_open(&m->tokenizer, path, o->err))))
        return s;
    if ((s = optional(o, template_name, &path)))
        return s;
    has_template = path != NULL;
    if ((s = optional(o, tokenizer_config_name, &path)) ||
        (path && (s = read_tokenizer_config(o, path, &has_template))))
        return s;
    if (m->tokenizer && tokenizer_size(m->tokenizer) > m->config.vocab_size)
        return err_set(o->err, ERR_SHAPE, "%s/%s: expected ids below vocab_size %zu, found %zu", o->dir, tokenizer_name,
                       m->config.vocab_size, tokenizer_size(m->tokenizer) - 1);
    if (m->info.prefix_id < 0)
        m->info.prefix_id = m->config.bos_id >= 0 ? m->config.bos_id : m->config.eos_id;
    m->chat = chat_format_of(m, has_template);
    if (m->chat == CHAT_YI && (s = add_stop_name(o, "<|im_end|>")))
        return s;
    for (const char *const *name = m->arch->stop_names; *name; name++)
        if ((s = add_stop_name(o, *name)))
            return s;
    if ((s = arena_alloc(m->arena, &p, m->config.vocab_size, sizeof *m->allowed, o->err)))
        return s;
    m->allowed = p;
    for (size_t i = 0; i < m->config.vocab_size; i++)
        m->allowed[i] = !m->tokenizer || (i < tokenizer_size(m->tokenizer) && tokenizer_has_text(m->tokenizer, (int32_t)i));
    return OK;
}

static enum status open_config(struct opening *o)
{
    struct model *m = o->m;
    const char *path;
    enum status s;
    if ((s = path_of(o, config_name, &path)) || (s = hfconfig_read(&m->config, path, o->err)) ||
        (s = note_file(o, config_name)) || (s = optional(o, generation_name, &path)) ||
        (path && (s = hfconfig_read_generation(&m->config, path, o->err))))
        return s;
#ifdef ASSAY_FAULTS
    if ((s = fault_apply(&m->config, o->err)))
        return s;
#endif
    m->arch = arch_get(m->config.arch);
    m->glu = m->config.n_experts ? (struct glu){.kind = GLU_CLAMPED,
                                                .limit = (float)m->config.swiglu_limit,
                                                .alpha = (float)m->config.swiglu_alpha,
                                                .up_add = (float)m->config.swiglu_up_add}
                                 : (struct glu){.kind = GLU_SILU};
    return OK;
}

static enum status open_weights(struct opening *o)
{
    struct model *m = o->m;
    enum status s = safetensors_open(&m->tensors, o->dir, o->err);
    if (s)
        return s;
    for (size_t i = 0; i < tensors_n_files(m->tensors) && !s; i++)
        s = note_file(o, tensors_file(m->tensors, i));
    const char *generator = tensors_generator(m->tensors);
    m->info.synthetic = generator && strncmp(generator, "assay synth", 11) == 0;
    return s ? s : bind_weights(m, o->err);
}

static int by_text(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

static uint64_t matrix_bytes_held(const struct model *m)
{
    size_t (*bytes)(const struct matrix *) = m->backend->ops->matrix_bytes;
    uint64_t n = m->backend->ops->table_bytes(m->embed) + bytes(m->lm_head);
    for (size_t i = 0; i < m->config.n_layers; i++) {
        const struct layer *l = &m->layers[i];
        n += bytes(l->qkv) + bytes(l->o);
        n += l->gate_up ? bytes(l->gate_up) + bytes(l->down) : bytes(l->router);
        for (size_t e = 0; e < m->config.n_experts; e++)
            n += bytes(l->expert_gate_up[e]) + bytes(l->expert_down[e]);
    }
    return n;
}

static void fill_info(struct opening *o, const char *name)
{
    struct model *m = o->m;
    const struct model_config *c = &m->config;
    struct model_info *info = &m->info;
    struct params p = params_count(c, strcmp(m->weight_format, "mxfp4+bf16") == 0);
    qsort(o->files, o->n_files, sizeof *o->files, by_text);
    info->name = name;
    info->dir = o->dir;
    info->arch = m->arch->name;
    info->weight_format = m->weight_format;
    info->backend = m->backend->ops->name;
    info->isa = m->backend->ops->isa(m->backend);
    info->numerics = "exact";
    info->n_threads = m->backend->ops->n_threads(m->backend);
    info->n_layers = c->n_layers;
    info->d_model = c->d_model;
    info->n_ff = c->n_ff;
    info->n_heads = c->n_heads;
    info->n_kv_heads = c->n_kv_heads;
    info->head_dim = c->head_dim;
    info->vocab_size = c->vocab_size;
    info->n_experts = c->n_experts;
    info->n_experts_used = c->n_experts_used;
    info->window = config_window(c);
    info->max_context_tok = c->max_context_tok;
    info->total_params = p.total;
    info->active_params = p.active;
    info->weights_file_b = m->source_b;
    info->weights_b = matrix_bytes_held(m) + m->vector_b;
    info->decode_weights_b = p.decode_b;
    info->kv_b_per_tok_full = p.kv_full_b;
    info->kv_b_per_tok_window = p.kv_window_b;
    info->n_files = o->n_files;
    info->files = o->files;
    info->n_stop_ids = c->n_stop_ids;
    info->stop_ids = c->stop_ids;
}

/* The directory's own name: the last part of its true path, so that "." and "dir/" have one too. */
static enum status name_of(struct model *m, const char *dir, const char **out, struct err *err)
{
    char *full = realpath(dir, NULL);
    const char *from = full ? full : dir;
    const char *slash = strrchr(from, '/');
    const char *last = slash && slash[1] ? slash + 1 : from;
    char *copy = NULL;
    enum status s = arena_strndup(m->arena, &copy, last, strlen(last), err);
    free(full);
    *out = copy;
    return s;
}

static enum status check_source(const char *source, struct err *err)
{
    size_t n = strlen(source);
    if (strncmp(source, "synthetic:", 10) == 0 || strncmp(source, "http://", 7) == 0 ||
        strncmp(source, "https://", 8) == 0 || (n > 5 && strcmp(source + n - 5, ".gguf") == 0))
        return err_set(err, ERR_UNSUPPORTED, "model '%s': expected a Hugging Face directory, found another kind of source",
                       source);
    return OK;
}

static enum status open_all(struct opening *o, const struct model_options *opt)
{
    struct model *m = o->m;
    uint64_t from = clock_ns();
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n_threads = opt->n_threads ? opt->n_threads : online > 0 ? (size_t)online : 1;
    const char *name;
    enum status s;
    void *p;
    if ((s = arena_alloc(m->arena, &p, MAX_FILES, sizeof *o->files, o->err)))
        return s;
    o->files = p;
    if ((s = name_of(m, o->dir, &name, o->err)) || (s = open_config(o)) || (s = open_text(o)) ||
        (s = cpu_backend_new(&m->backend, opt->isa ? opt->isa : "auto", n_threads, o->err)) || (s = open_weights(o)))
        return s;
    fill_info(o, name);
    m->info.load_ns = clock_ns() - from;
    return OK;
}

enum status model_open(struct model **out, const char *source, const struct model_options *opt, struct err *err)
{
    const struct model_options defaults = {.isa = "auto", .n_threads = 0};
    struct arena *a = NULL;
    void *p;
    char *dir;
    enum status s = check_source(source, err);
    if (s || (s = arena_new(&a, 0, err)))
        return s;
    if ((s = arena_alloc(a, &p, 1, sizeof(struct model), err)) ||
        (s = arena_strndup(a, &dir, source, strlen(source), err))) {
        arena_free(a);
        return s;
    }
    struct model *m = p;
    m->arena = a;
    struct opening o = {.m = m, .dir = dir, .err = err};
    unsigned env = pool_numeric_env_enter();
    s = open_all(&o, opt ? opt : &defaults);
    pool_numeric_env_leave(env);
    if (s) {
        model_free(m);
        return s;
    }
    *out = m;
    return OK;
}

/* A model that failed half-way has matrices missing. */
static void drop(const struct model *m, struct matrix *x)
{
    if (x)
        m->backend->ops->matrix_free(m->backend, x);
}

static void free_layer(const struct model *m, struct layer *l)
{
    drop(m, l->qkv);
    drop(m, l->o);
    drop(m, l->gate_up);
    drop(m, l->down);
    drop(m, l->router);
    for (size_t e = 0; e < m->config.n_experts; e++) {
        if (l->expert_gate_up)
            drop(m, l->expert_gate_up[e]);
        if (l->expert_down)
            drop(m, l->expert_down[e]);
    }
}

void model_free(struct model *m)
{
    if (!m)
        return;
    tokenizer_free(m->tokenizer);
    if (m->backend) {
        for (size_t i = 0; m->layers && i < m->config.n_layers; i++)
            free_layer(m, &m->layers[i]);
        drop(m, m->lm_head);
        if (m->embed)
            m->backend->ops->table_free(m->backend, m->embed);
        for (size_t i = 0; i < m->n_vectors; i++)
            m->backend->ops->release(m->backend, m->vectors[i]);
        m->backend->ops->free(m->backend);
    }
    tensors_close(m->tensors);
    arena_free(m->arena); // holds m itself
}

const struct model_info *model_info(const struct model *m)
{
    return &m->info;
}

const struct tokenizer *model_tokenizer(const struct model *m)
{
    return m->tokenizer;
}

enum chat_format model_chat_format(const struct model *m)
{
    return m->chat;
}

const char *const *isa_list(void)
{
    return cpu_isa_list();
}

void model_poison_experts(struct model *m, const bool *keep)
{
    size_t n = m->config.n_experts;
    for (size_t i = 0; i < m->config.n_layers; i++) {
        for (size_t e = 0; e < n; e++) {
            if (keep[i * n + e])
                continue;
            m->backend->ops->matrix_poison(m->layers[i].expert_gate_up[e]);
            m->backend->ops->matrix_poison(m->layers[i].expert_down[e]);
        }
    }
}
