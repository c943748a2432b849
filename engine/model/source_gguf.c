/* A .gguf file, or the first of several: configuration, vocabulary and weights are all in it. */
#include <string.h>

#include "format/ggufconfig.h"
#include "model/source.h"

static const char ending[] = ".gguf";

static bool matches(const char *text)
{
    size_t n = strlen(text);
    return n >= sizeof ending && strcmp(text + n - (sizeof ending - 1), ending) == 0;
}

/* The file's name without what only says where it lies and how it is cut: "m-00001-of-00003.gguf" is "m". */
static enum status name_of(struct source *o, const char *base)
{
    static const char pattern[] = "-00001-of-00000";
    size_t n = strlen(base) - (sizeof ending - 1);
    size_t k = sizeof pattern - 1;
    bool part = n > k;
    for (size_t i = 0; i < k && part; i++) {
        char c = base[n - k + i];
        part = pattern[i] == '0' || pattern[i] == '1' ? c >= '0' && c <= '9' : c == pattern[i];
    }
    char *copy;
    enum status s = arena_strndup(o->m->arena, &copy, base, part ? n - k : n, o->err);
    if (!s)
        o->name = copy;
    return s;
}

static enum status config(struct source *o)
{
    struct model *m = o->m;
    const struct gguf *meta = NULL;
    const char *slash = strrchr(o->text, '/');
    const char *base = slash ? slash + 1 : o->text;
    char *dir;
    enum status s;
    if ((s = name_of(o, base)) ||
        (s = arena_strndup(m->arena, &dir, slash ? o->text : ".", slash ? (size_t)(slash - o->text) + (slash == o->text) : 1,
                           o->err)))
        return s;
    o->dir = dir;
    if ((s = gguf_open(&m->tensors, &meta, o->text, o->err)))
        return s;
    o->own = meta;
    return ggufconfig_read(&m->config, meta, m->tensors, m->arena, o->err);
}

/* Files for tests by ids have no vocabulary, and say so or say nothing. */
static enum status vocabulary(struct source *o)
{
    const struct gguf *meta = o->own;
    const char *kind = "no_vocab";
    enum status s = gguf_str(meta, "tokenizer.ggml.model", o->m->arena, &kind, o->err);
    if (s || strcmp(kind, "no_vocab") == 0)
        return s;
    if ((s = gguf_str(meta, "tokenizer.chat_template", o->m->arena, &o->template, o->err)))
        return s;
    return tokenizer_from_gguf(&o->m->tokenizer, meta, o->err);
}

static enum status weights(struct source *o)
{
    const char *generator = tensors_generator(o->m->tensors);
    o->m->info.synthetic = generator && strncmp(generator, "assay synth", 11) == 0;
    return source_note_tensors(o);
}

const struct source_kind source_gguf = {.matches = matches, .config = config, .vocabulary = vocabulary, .weights = weights};
