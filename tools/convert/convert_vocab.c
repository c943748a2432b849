#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "convert/convert_meta.h"
#include "format/tokletters.h"
#include "lib/paths.h"

/* The tokenizer.* keys. */

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED, TYPE_BYTE };

/* An SPM piece of several characters that nothing merges: tokenizer.json cannot form it, tokenizer.model has
 * such pieces as user defined (Yi's <|im_start|>). A normal one could be formed from its parts by scores. */
static bool is_whole(const struct tokfile *f, size_t id)
{
    size_t n;
    uint32_t cp;
    const char *text = tokfile_text(f, (int32_t)id, &n);
    return f->kind == TOKFILE_SPM && !(f->flags[id] & TOKFILE_MERGED) && utf8_decode((const uint8_t *)text, n, &cp) < n;
}

static int32_t type_of(const struct tokfile *f, size_t id)
{
    unsigned flags = id < f->n_tokens ? f->flags[id] : 0;
    size_t n;
    if (!(flags & TOKFILE_PRESENT) || (flags & TOKFILE_UNUSED))
        return TYPE_UNUSED;
    const char *text = tokfile_text(f, (int32_t)id, &n);
    if (flags & TOKFILE_BYTE)
        return TYPE_BYTE;
    if (f->kind == TOKFILE_SPM && n == 5 && memcmp(text, "<unk>", 5) == 0)
        return TYPE_UNKNOWN;
    if (flags & TOKFILE_ADDED)
        return flags & TOKFILE_SPECIAL ? TYPE_CONTROL : TYPE_USER;
    return flags & TOKFILE_USER || is_whole(f, id) ? TYPE_USER : TYPE_NORMAL;
}

/* Text of an id as GGUF spells it: pieces of byte-level vocabularies in letters, all else as it is. */
static void spell(const struct tokfile *f, size_t id, int32_t type, struct buf *out)
{
    size_t n = 0;
    const char *text = id < f->n_tokens ? tokfile_text(f, (int32_t)id, &n) : "";
    if (n == 0)
        buf_printf(out, "[PAD%zu]", id);
    else if (type == TYPE_NORMAL && f->kind == TOKFILE_BYTE_LEVEL)
        tokletters_write(text, n, out);
    else
        buf_add(out, text, n);
}

static enum status write_tokens(struct gguf_writer *w, const struct tokfile *f, int32_t *types, size_t n, struct err *err)
{
    struct buf b = BUF_INIT;
    gguf_write_strs(w, "tokenizer.ggml.tokens", n);
    for (size_t i = 0; i < n; i++) {
        types[i] = type_of(f, i);
        buf_clear(&b);
        spell(f, i, types[i], &b);
        gguf_write_strs_add(w, b.data ? b.data : "", b.n);
    }
    enum status s = buf_status(&b, "a token", err);
    buf_release(&b);
    gguf_write_i32s(w, "tokenizer.ggml.token_type", types, n);
    return s;
}

static void add_letters(const struct tokfile *f, int32_t id, struct buf *out)
{
    size_t n;
    const char *text = tokfile_text(f, id, &n);
    tokletters_write(text, n, out);
}

static enum status write_merges(struct gguf_writer *w, const struct tokfile *f, struct err *err)
{
    struct buf b = BUF_INIT;
    gguf_write_strs(w, "tokenizer.ggml.merges", f->n_merges);
    for (size_t i = 0; i < f->n_merges; i++) {
        buf_clear(&b);
        add_letters(f, f->merges[i].left, &b);
        buf_char(&b, ' ');
        add_letters(f, f->merges[i].right, &b);
        gguf_write_strs_add(w, b.data ? b.data : "", b.n);
    }
    enum status s = buf_status(&b, "a merge", err);
    buf_release(&b);
    return s;
}

/* Scores that give pieces the order their merges have: the earlier merged, the higher; pieces that nothing
 * merges come last. Files that had scores keep them. */
static enum status write_scores(struct gguf_writer *w, const struct tokfile *f, const int32_t *types, size_t n, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, n, sizeof(float), "scores", err);
    if (s)
        return s;
    float *v = p;
    for (size_t i = 0; i < n; i++)
        v[i] = types[i] != TYPE_NORMAL ? 0.0f : f->scores ? f->scores[i] : -(float)(f->n_merges + i);
    for (size_t i = f->n_merges; i-- > 0 && !f->scores;)
        if (types[f->merges[i].result] == TYPE_NORMAL)
            v[f->merges[i].result] = -(float)i;
    gguf_write_f32s(w, "tokenizer.ggml.scores", v, n);
    mem_free(p);
    return OK;
}

static const char *pre_of(enum tokfile_split split)
{
    switch (split) {
    case TOKFILE_SPLIT_O200K:
        return "gpt-4o";
    case TOKFILE_SPLIT_QWEN2:
        return "qwen2";
    case TOKFILE_SPLIT_LLAMA3:
        return "llama-bpe";
    case TOKFILE_SPLIT_NONE:
        break;
    }
    return "default";
}

static void put(struct gguf_writer *w, const char *key, const char *text)
{
    gguf_write_str(w, key, text, strlen(text));
}

enum status meta_vocab(struct gguf_writer *w, const struct tokfile *f, size_t vocab_size, struct err *err)
{
    void *p;
    if (!f) {
        put(w, "tokenizer.ggml.model", "no_vocab");
        return OK;
    }
    if (f->n_tokens > vocab_size)
        return err_set(err, ERR_SHAPE, "tokenizer: expected ids below vocab_size %zu, found %zu", vocab_size, f->n_tokens - 1);
    enum status s = mem_alloc(&p, vocab_size, sizeof(int32_t), "token types", err);
    if (s)
        return s;
    int32_t *types = p;
    bool spm = f->kind == TOKFILE_SPM;
    put(w, "tokenizer.ggml.model", spm ? "llama" : "gpt2");
    put(w, "tokenizer.ggml.pre", pre_of(f->split));
    s = write_tokens(w, f, types, vocab_size, err);
    if (!s)
        s = spm ? write_scores(w, f, types, vocab_size, err) : write_merges(w, f, err);
    if (spm) {
        gguf_write_bool(w, "tokenizer.ggml.add_space_prefix", f->dummy_prefix);
        gguf_write_bool(w, "tokenizer.ggml.remove_extra_whitespaces", false);
    }
    mem_free(p);
    return s;
}

/* The id of a token that tokenizer_config.json names, a string or an added-token object; -1: none. */
static int64_t id_by_name(const struct tokfile *f, const cJSON *root, const char *key)
{
    const cJSON *v = json_get(root, key);
    if (cJSON_IsObject(v))
        v = json_get(v, "content");
    return cJSON_IsString(v) && f ? tokfile_find(f, v->valuestring, strlen(v->valuestring)) : -1;
}

/* The id that config.json gives: one, or the first of a list; -1: none. */
static int64_t id_by_number(const cJSON *root, const char *key)
{
    const cJSON *v = json_get(root, key);
    if (cJSON_IsArray(v))
        v = v->child;
    return cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble <= TOKFILE_MAX_ID ? (int64_t)v->valuedouble : -1;
}

/* Ids that end a text beside the first: GGUF has keys for two more. gpt-oss's are known by name. */
static void write_stops(struct gguf_writer *w, const struct model_config *c, int64_t eos)
{
    static const char *const more[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    size_t n = 0;
    for (size_t i = 0; i < c->n_stop_ids && n < 2 && c->arch != ARCH_GPTOSS; i++)
        if (c->stop_ids[i] != eos)
            gguf_write_u32(w, more[n++], (uint32_t)c->stop_ids[i]);
}

static void write_ids(struct gguf_writer *w, const struct model_config *c, const struct tokfile *f, const cJSON *tokens,
                      const cJSON *config)
{
    enum { BOS, EOS, PAD, UNK, N };
    static const struct {
        const char *name, *number, *key;
    } ids[N] = {
        [BOS] = {"bos_token", "bos_token_id", "tokenizer.ggml.bos_token_id"},
        [EOS] = {"eos_token", "eos_token_id", "tokenizer.ggml.eos_token_id"},
        [PAD] = {"pad_token", "pad_token_id", "tokenizer.ggml.padding_token_id"},
        [UNK] = {"unk_token", "unk_token_id", "tokenizer.ggml.unknown_token_id"},
    };
    // whether a text starts with a token is the vocabulary's rule, unless tokenizer_config.json says
    const cJSON *add_bos = json_get(tokens, "add_bos_token");
    bool says = cJSON_IsBool(add_bos);
    if (f)
        gguf_write_bool(w, "tokenizer.ggml.add_bos_token", says ? cJSON_IsTrue(add_bos) : f->bos_id >= 0);
    for (size_t i = 0; i < N; i++) {
        int64_t id = i == BOS && f && !says ? f->bos_id : -1;
        if (id < 0)
            id = id_by_name(f, tokens, ids[i].name);
        if (id < 0)
            id = id_by_number(config, ids[i].number);
        if (id >= 0 && (size_t)id < c->vocab_size)
            gguf_write_u32(w, ids[i].key, (uint32_t)id);
        if (i == EOS)
            write_stops(w, c, id);
    }
}

/* "chat_template": the text, or a list of named ones of which "default" counts. */
static const char *template_of(const cJSON *root)
{
    const cJSON *v = json_get(root, "chat_template");
    const cJSON *one;
    if (cJSON_IsString(v))
        return v->valuestring;
    cJSON_ArrayForEach(one, v)
    {
        const char *name = cJSON_GetStringValue(json_get(one, "name"));
        if (name && strcmp(name, "default") == 0)
            return cJSON_GetStringValue(json_get(one, "template"));
    }
    return NULL;
}

/* An object of dir, or NULL when there is no such file. */
static enum status optional_json(const char *dir, const char *name, cJSON **out, struct err *err)
{
    struct buf path = BUF_INIT;
    buf_printf(&path, "%s/%s", dir, name);
    enum status s = buf_status(&path, "path", err);
    if (!s && path_exists(path.data))
        s = json_read_file(out, path.data, err);
    buf_release(&path);
    return s;
}

static enum status optional_text(const char *dir, const char *name, struct buf *out, struct err *err)
{
    struct buf path = BUF_INIT;
    buf_printf(&path, "%s/%s", dir, name);
    enum status s = buf_status(&path, "path", err);
    if (!s && path_exists(path.data))
        s = path_read(path.data, out, err);
    buf_release(&path);
    return s;
}

enum status meta_special(struct gguf_writer *w, const struct model_config *c, const struct tokfile *f, const char *dir,
                         struct err *err)
{
    cJSON *tokens = NULL;
    cJSON *config = NULL;
    struct buf file = BUF_INIT;
    enum status s = optional_json(dir, "tokenizer_config.json", &tokens, err);
    if (!s)
        s = optional_json(dir, "config.json", &config, err);
    if (!s)
        s = optional_text(dir, "chat_template.jinja", &file, err);
    if (!s) {
        write_ids(w, c, f, tokens, config);
        const char *template = file.n ? file.data : template_of(tokens);
        if (template)
            put(w, "tokenizer.chat_template", template);
    }
    buf_release(&file);
    cJSON_Delete(tokens);
    cJSON_Delete(config);
    return s;
}
