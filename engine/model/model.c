#include "model/source.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/pool.h"
#include "model/fault.h"
#include "model/params.h"

/* The first that matches is taken. */
static const struct source_kind *const kinds[] = {&source_synthetic, &source_gguf, &source_hf};

/* What every turn of a format begins with. */
static const char *mark_of(enum chat_format f)
{
    switch (f) {
    case CHAT_HARMONY:
        return "<|start|>";
    case CHAT_QWEN3:
    case CHAT_YI:
        return "<|im_start|>";
    case CHAT_NONE:
        break;
    }
    return "";
}

static enum chat_format chat_format_of(const struct source *o)
{
    const char *mark = mark_of(CHAT_YI);
    switch (o->m->config.arch) {
    case ARCH_GPTOSS:
        return CHAT_HARMONY;
    case ARCH_QWEN3:
        return CHAT_QWEN3;
    case ARCH_LLAMA:
        break;
    }
    // a base model follows no turns: only a file with a template is a chat model
    return o->template && strstr(o->template, mark) && o->m->tokenizer && tokenizer_special(o->m->tokenizer, mark) >= 0
               ? CHAT_YI
               : CHAT_NONE;
}

/* No template is executed: the format is the architecture's. One that does not even write the marks of that
 * format was made for something else, and whoever chats should know. */
static enum status check_template(struct source *o)
{
    struct model *m = o->m;
    const char *mark = mark_of(m->chat);
    struct buf b = BUF_INIT;
    char *copy = NULL;
    if (!o->template || strstr(o->template, mark))
        return OK;
    buf_printf(&b, "model '%s': its chat template has no '%s': chats are rendered in the format of %s all the same", o->text,
               mark, m->arch->name);
    enum status s = buf_status(&b, "note", o->err);
    if (!s)
        s = arena_strndup(m->arena, &copy, b.data, b.n, o->err);
    m->info.chat_note = copy;
    buf_release(&b);
    return s;
}

/* What follows from config and tokenizer together: where a text begins and ends, and what may be said. */
static enum status finish_vocabulary(struct source *o)
{
    struct model *m = o->m;
    enum status s;
    void *p;
    if (m->tokenizer && tokenizer_size(m->tokenizer) > m->config.vocab_size)
        return err_set(o->err, ERR_SHAPE, "%s: tokenizer: expected ids below vocab_size %zu, found %zu", o->text,
                       m->config.vocab_size, tokenizer_size(m->tokenizer) - 1);
    m->info.bos_id = o->says_bos ? o->bos_id : m->tokenizer ? tokenizer_bos(m->tokenizer) : -1;
    if (m->info.prefix_id < 0)
        m->info.prefix_id = m->config.bos_id >= 0 ? m->config.bos_id : m->config.eos_id;
    m->chat = chat_format_of(o);
    if ((s = check_template(o)))
        return s;
    if (m->chat == CHAT_YI && (s = source_stop_name(o, "<|im_end|>")))
        return s;
    for (const char *const *name = m->arch->stop_names; *name; name++)
        if ((s = source_stop_name(o, *name)))
            return s;
    if ((s = arena_alloc(m->arena, &p, m->config.vocab_size, sizeof *m->allowed, o->err)))
        return s;
    m->allowed = p;
    for (size_t i = 0; i < m->config.vocab_size; i++)
        m->allowed[i] = !m->tokenizer || (i < tokenizer_size(m->tokenizer) && tokenizer_has_text(m->tokenizer, (int32_t)i));
    return OK;
}

static enum status finish_config(struct source *o)
{
    struct model *m = o->m;
#ifdef ASSAY_FAULTS
    enum status s = fault_apply(&m->config, o->err);
    if (s)
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

/* The ramp that llama.cpp computes, for which no file has a key (models.md 9.1). */
static enum status truncate_yarn(struct source *o)
{
    static const char suffix[] = "+yarn-truncate";
    size_t n = strlen(o->name);
    void *p;
    if (o->m->config.rope.kind != ROPE_YARN)
        return err_set(o->err, ERR_USAGE, "model '%s': expected YaRN, whose ramp is to be truncated, found none", o->text);
    enum status s = arena_alloc(o->m->arena, &p, n + sizeof suffix, 1, o->err);
    if (s)
        return s;
    memcpy(p, o->name, n);
    memcpy((char *)p + n, suffix, sizeof suffix);
    o->name = p;
    o->m->config.rope.truncate = true;
    return OK;
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

static void fill_info(struct source *o)
{
    struct model *m = o->m;
    const struct model_config *c = &m->config;
    struct model_info *info = &m->info;
    struct params p = params_count(c);
    if (o->n_files)
        qsort(o->files, o->n_files, sizeof *o->files, by_text);
    info->name = o->name;
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
    info->decode_weights_b = m->decode_b;
    info->expert_b = m->expert_b;
    info->kv_b_per_tok_full = p.kv_full_b;
    info->kv_b_per_tok_window = p.kv_window_b;
    info->n_files = o->n_files;
    info->files = o->files;
    info->n_stop_ids = c->n_stop_ids;
    info->stop_ids = c->stop_ids;
}

static const struct source_kind *kind_of(const char *text)
{
    size_t i = 0;
    while (!kinds[i]->matches(text))
        i++;
    return kinds[i];
}

static enum status check_source(const char *text, struct err *err)
{
    if (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "model '%s': expected a directory, a .gguf file or synthetic:NAME, found another kind of source", text);
    return OK;
}

static enum status open_backend(struct model *m, const struct model_options *opt, size_t n_threads, struct err *err)
{
    if (!opt->backend || strcmp(opt->backend, "cpu") == 0)
        return cpu_backend_new(&m->backend, opt->isa ? opt->isa : "auto", n_threads, err);
    if (opt->isa && strcmp(opt->isa, "auto") != 0)
        return err_set(err, ERR_USAGE, "isa: expected 'auto' with backend '%s', found '%s'", opt->backend, opt->isa);
    return cuda_backend_new(&m->backend, opt->backend, n_threads, opt->device_memory_b, err);
}

/* Where tiled weights are kept for the next start, if they shall be. */
static enum status open_cache(struct source *o, const char *dir)
{
    const struct backend_ops *ops = o->m->backend->ops;
    char key[DIGEST_HEX_LEN + 1];
    if (!dir)
        return OK;
    if (!ops->cache_open)
        return err_set(o->err, ERR_UNSUPPORTED, "tile cache '%s': expected a backend that keeps tiles in a file, found %s", dir,
                       ops->name);
    enum status s = source_cache_key(o, key);
    return s ? s : ops->cache_open(o->m->backend, dir, key, o->err);
}

/* A page that is not there is found by being killed, long after it was promised; so ask before. Tiles kept in a
 * file, and those on a device, are no memory of this process. */
static enum status check_memory(const struct source *o, const struct model_options *opt)
{
    uint64_t needed = bind_least_b(o->m);
    uint64_t available = mem_available_b("/proc/meminfo");
    if (needed <= available || opt->tile_cache_dir || strcmp(o->m->backend->ops->name, "cpu") != 0)
        return OK;
    return err_set(o->err, ERR_MEMORY, "model '%s': expected %.2f GB of memory for its weights, found %.2f GB available",
                   o->text, (double)needed / 1e9, (double)available / 1e9);
}

static enum status open_all(struct source *o, const struct source_kind *kind, const struct model_options *opt)
{
    struct model *m = o->m;
    uint64_t from = clock_ns();
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n_threads = opt->n_threads ? opt->n_threads : online > 0 ? (size_t)online : 1;
    enum status s;
    m->info.prefix_id = -1;
    if ((s = kind->config(o)) || (opt->yarn_truncate && (s = truncate_yarn(o))) || (s = finish_config(o)) ||
        (s = kind->vocabulary(o)) || (s = finish_vocabulary(o)) ||
        (s = open_backend(m, opt, n_threads, o->err)) ||
        (s = kind->weights(o)) || (s = check_memory(o, opt)) || (s = open_cache(o, opt->tile_cache_dir)) || (s = bind_weights(m, o->err)) ||
        (opt->tile_cache_dir && (s = m->backend->ops->cache_finish(m->backend, o->err))))
        return s;
    fill_info(o);
    m->info.load_ns = clock_ns() - from;
    return OK;
}

enum status model_open_as(struct model **out, const struct source_kind *kind, const char *source, const void *own,
                          const struct model_options *opt, struct err *err)
{
    const struct model_options defaults = {.isa = "auto", .n_threads = 0};
    struct arena *a = NULL;
    void *p;
    char *text;
    enum status s = arena_new(&a, 0, err);
    if (s)
        return s;
    if ((s = arena_alloc(a, &p, 1, sizeof(struct model), err)) ||
        (s = arena_strndup(a, &text, source, strlen(source), err))) {
        arena_free(a);
        return s;
    }
    struct model *m = p;
    m->arena = a;
    struct source o = {.m = m, .text = text, .own = own, .err = err};
    unsigned env = pool_numeric_env_enter();
    s = open_all(&o, kind, opt ? opt : &defaults);
    pool_numeric_env_leave(env);
    if (s) {
        model_free(m);
        return s;
    }
    *out = m;
    return OK;
}

enum status model_open(struct model **out, const char *source, const struct model_options *opt, struct err *err)
{
    enum status s = check_source(source, err);
    return s ? s : model_open_as(out, kind_of(source), source, NULL, opt, err);
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
