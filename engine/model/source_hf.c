/* A Hugging Face directory: config.json, safetensors, and what there is of tokenizer and template. */
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mapfile.h"
#include "format/hfconfig.h"
#include "format/safetensors.h"
#include "format/tokfile.h"
#include "model/source.h"

static const char config_name[] = "config.json";
static const char generation_name[] = "generation_config.json";
static const char tokenizer_config_name[] = "tokenizer_config.json";
static const char template_name[] = "chat_template.jinja";

static bool matches(const char *text)
{
    (void)text;
    return true;
}

static enum status path_of(const struct source *o, const char *name, const char **out)
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

/* path is NULL when the directory has no such file; else the file counts as read. */
static enum status optional(struct source *o, const char *name, const char **path)
{
    enum status s = path_of(o, name, path);
    if (s)
        return s;
    if (access(*path, F_OK) != 0) {
        *path = NULL;
        return OK;
    }
    return source_note_file(o, name);
}

/* "bos_token" or "eos_token" of tokenizer_config.json: a string, or an added-token object. NULL: none. */
static const char *token_name(const cJSON *root, const char *key)
{
    const cJSON *v = json_get(root, key);
    if (cJSON_IsObject(v))
        v = json_get(v, "content");
    return cJSON_IsString(v) ? v->valuestring : NULL;
}

/* "chat_template": a text, or several with names, of which the default counts. NULL: none. */
static const char *template_text(const cJSON *v)
{
    const cJSON *one;
    if (!cJSON_IsArray(v))
        return cJSON_GetStringValue(v);
    cJSON_ArrayForEach(one, v)
    {
        const char *name = cJSON_GetStringValue(json_get(one, "name"));
        if (name && strcmp(name, "default") == 0)
            return cJSON_GetStringValue(json_get(one, "template"));
    }
    return NULL;
}

static enum status read_template(struct source *o, const char *path)
{
    struct mapfile map;
    enum status s = mapfile_open(&map, path, o->err);
    if (s)
        return s;
    s = source_template(o, map.data ? (const char *)map.data : "", map.size);
    mapfile_close(&map);
    return s;
}

/* tokenizer_config.json: the ends of a text, whether a text starts with one of them (the vocabulary's own file may
 * have said so too; this one has the last word), and whether there is a chat template. Sources of stop ids
 * disagree in the wild, so the union of all is taken. */
static enum status read_tokenizer_config(struct source *o, const char *path)
{
    cJSON *root = NULL;
    enum status s = json_read_file(&root, path, o->err);
    if (s)
        return s;
    const char *bos = token_name(root, "bos_token");
    const char *eos = token_name(root, "eos_token");
    const char *prefix = bos ? bos : eos;
    const char *template = template_text(json_get(root, "chat_template"));
    if (prefix && o->m->tokenizer)
        o->m->info.prefix_id = tokenizer_special(o->m->tokenizer, prefix);
    const cJSON *add_bos = json_get(root, "add_bos_token");
    o->says_bos = cJSON_IsBool(add_bos) && o->m->tokenizer;
    o->bos_id = o->says_bos && cJSON_IsTrue(add_bos) && bos ? tokenizer_special(o->m->tokenizer, bos) : -1;
    if (o->says_bos && cJSON_IsTrue(add_bos) && o->bos_id < 0)
        s = err_set(o->err, ERR_FORMAT, "%s: add_bos_token: expected a bos_token that is an added token, found \"%.60s\"", path,
                    bos ? bos : "");
    if (!s && eos)
        s = source_stop_name(o, eos);
    if (!s && template && !o->template) // a file of its own has the last word
        s = source_template(o, template, strlen(template));
    cJSON_Delete(root);
    return s;
}

static enum status open_tokenizer(struct source *o)
{
    const char *const *names;
    const char *path;
    enum status s = tokfile_of_dir(o->dir, &names, o->err);
    if (s || !names)
        return s;
    for (size_t i = 0; names[i]; i++)
        if ((s = source_note_file(o, names[i])))
            return s;
    s = path_of(o, names[0], &path);
    return s ? s : tokenizer_open(&o->m->tokenizer, path, o->err);
}

static enum status vocabulary(struct source *o)
{
    const char *path;
    enum status s;
    if ((s = open_tokenizer(o)))
        return s;
    if ((s = optional(o, template_name, &path)))
        return s;
    if (path && (s = read_template(o, path)))
        return s;
    if ((s = optional(o, tokenizer_config_name, &path)))
        return s;
    return path ? read_tokenizer_config(o, path) : OK;
}

static enum status config(struct source *o)
{
    struct model_config *c = &o->m->config;
    const char *path;
    enum status s;
    o->dir = o->text;
    if ((s = source_dir_name(o, o->dir, &o->name)) || (s = path_of(o, config_name, &path)) ||
        (s = hfconfig_read(c, path, o->err)) || (s = source_note_file(o, config_name)) ||
        (s = optional(o, generation_name, &path)))
        return s;
    return path ? hfconfig_read_generation(c, path, o->err) : OK;
}

static enum status weights(struct source *o)
{
    struct model *m = o->m;
    enum status s = safetensors_open(&m->tensors, o->dir, o->err);
    if (s)
        return s;
    const char *generator = tensors_generator(m->tensors);
    m->info.synthetic = generator && strncmp(generator, "assay synth", 11) == 0;
    return source_note_tensors(o);
}

const struct source_kind source_hf = {.matches = matches, .config = config, .vocabulary = vocabulary, .weights = weights};
