#include "format/tokfile.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "format/tokfile_internal.h"
#include "format/tokfile_rules.h"

/* One pass finds where each member lies and checks the grammar of the whole file; then the members are
 * read in the order they need each other, whatever their order in the file. */

enum member {
    TOP_ADDED,
    TOP_NORMALIZER,
    TOP_PRE,
    TOP_POST,
    TOP_DECODER,
    TOP_MODEL,
    TOP_VERSION,
    TOP_TRUNCATION, // options of a call, which callers of the reference library override each time
    TOP_PADDING,
    N_TOP
};
static const char *const top_name[N_TOP] = {"added_tokens", "normalizer", "pre_tokenizer", "post_processor",
                                            "decoder",      "model",      "version",       "truncation",
                                            "padding"};

enum model_member {
    MODEL_TYPE,
    MODEL_VOCAB,
    MODEL_MERGES,
    MODEL_BYTE_FALLBACK,
    MODEL_IGNORE_MERGES,
    MODEL_DROPOUT,
    MODEL_UNK,
    MODEL_PREFIX,
    MODEL_SUFFIX,
    MODEL_FUSE_UNK,
    N_MODEL
};
static const char *const model_name[N_MODEL] = {
    "type",      "vocab",     "merges",                    "byte_fallback",      "ignore_merges",
    "dropout",   "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk"};

struct span {
    size_t from, to; /* to == 0: absent */
};

enum status tokfile_fail_at(const struct tokfile_reader *r, size_t at, enum status s)
{
    size_t line;
    size_t column;
    jsonpull_where(&r->p, at, &line, &column);
    err_prefix(r->p.err, "%s:%zu:%zu", r->p.name, line, column);
    return s;
}

/* Find the members of the object at p; every key must be one of names and come once. */
static enum status find_members(struct tokfile_reader *r, const char *const *names, size_t n_names, struct span *spans,
                                const char *what)
{
    struct jsonpull *p = &r->p;
    enum status s = jsonpull_enter(p, '{');
    bool first = true;
    bool more = true;
    while (!s) {
        if ((s = jsonpull_next(p, '{', &first, &more)) || !more)
            break;
        (void)jsonpull_peek(p);
        size_t at = p->at;
        struct jsonpull_text key;
        if ((s = jsonpull_key(p, &key)))
            break;
        size_t i = 0;
        while (i < n_names && (strlen(names[i]) != key.n || memcmp(names[i], key.s, key.n) != 0))
            i++;
        if (i == n_names)
            return tokfile_fail_at(r, at,
                                   err_set(p->err, ERR_UNSUPPORTED, "%s has the unknown member \"%.*s\"", what,
                                           (int)(key.n > 60 ? 60 : key.n), key.s));
        if (spans[i].to)
            return tokfile_fail_at(r, at, err_set(p->err, ERR_FORMAT, "%s has \"%s\" twice", what, names[i]));
        s = jsonpull_skip(p, &spans[i].from, &spans[i].to);
    }
    return s;
}

static bool span_is(const struct tokfile_reader *r, struct span at, const char *literal)
{
    size_t n = strlen(literal);
    return at.to - at.from == n && memcmp(r->p.text + at.from, literal, n) == 0;
}

static enum status read_bool(struct tokfile_reader *r, struct span at, bool *out)
{
    *out = span_is(r, at, "true");
    if (at.to == 0 || *out || span_is(r, at, "false"))
        return OK;
    return jsonpull_fail(&r->p, at.from, ERR_FORMAT, "true or false");
}

static enum status read_model_options(struct tokfile_reader *r, const struct span m[N_MODEL])
{
    struct tokfile *f = r->b.f;
    struct span type = m[MODEL_TYPE];
    size_t type_len = type.to - type.from;
    if (!span_is(r, type, "\"BPE\""))
        return tokfile_fail_at(r, type.from,
                               err_set(r->p.err, ERR_UNSUPPORTED, "expected a model of type \"BPE\", found %.*s",
                                       (int)(type_len > 40 ? 40 : type_len), r->p.text + type.from));
    static const enum model_member off[] = {MODEL_DROPOUT, MODEL_PREFIX, MODEL_SUFFIX};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (m[off[i]].to && !span_is(r, m[off[i]], "null") && !span_is(r, m[off[i]], "\"\""))
            return tokfile_fail_at(r, m[off[i]].from,
                                   err_set(r->p.err, ERR_UNSUPPORTED, "model has a \"%s\"", model_name[off[i]]));
    bool byte_fallback;
    bool fuse_unk;
    enum status s = read_bool(r, m[MODEL_BYTE_FALLBACK], &byte_fallback);
    if (s || (s = read_bool(r, m[MODEL_IGNORE_MERGES], &f->ignore_merges)) ||
        (s = read_bool(r, m[MODEL_FUSE_UNK], &fuse_unk)))
        return s;
    // With every byte a token nothing is unknown, so unk_token and fuse_unk decide nothing.
    if (byte_fallback != (f->kind == TOKFILE_SPM))
        return err_set(r->p.err, ERR_UNSUPPORTED, "%s: expected byte_fallback %s with this pre_tokenizer, found %s",
                       r->p.name, byte_fallback ? "false" : "true", byte_fallback ? "true" : "false");
    if (f->kind == TOKFILE_SPM && f->ignore_merges)
        return err_set(r->p.err, ERR_UNSUPPORTED, "%s: ignore_merges without a pre_tokenizer", r->p.name);
    return OK;
}

enum status tokfile_read_vocab_at(struct tokfile_reader *r, size_t from)
{
    struct jsonpull *p = &r->p;
    p->at = from;
    enum status s = jsonpull_enter(p, '{');
    bool first = true;
    bool more = true;
    while (!s) {
        if ((s = jsonpull_next(p, '{', &first, &more)) || !more)
            break;
        (void)jsonpull_peek(p);
        size_t at = p->at;
        struct jsonpull_text key;
        int64_t id;
        if ((s = jsonpull_key(p, &key)) || (s = jsonpull_int(p, 0, TOKFILE_MAX_ID, &id)))
            break;
        if ((s = tokbuild_spelled(&r->b, id, key.s, key.n)))
            return tokfile_fail_at(r, at, s);
    }
    return s;
}

static enum status read_added(struct tokfile_reader *r, const cJSON *list)
{
    struct err *err = r->p.err;
    char where[256];
    (void)snprintf(where, sizeof where, "%.200s: added_tokens", r->p.name);
    const cJSON *a;
    cJSON_ArrayForEach(a, list)
    {
        int64_t id;
        enum status s = json_get_i64(a, "id", 0, TOKFILE_MAX_ID, where, &id, err);
        if (s || (s = tokfile_rules_added(&r->b, a, id, where)))
            return s;
    }
    return OK;
}

/* A small member as a tree; *out stays NULL when it is absent. */
static enum status read_tree(const struct tokfile_reader *r, enum member which, struct span at, cJSON **out)
{
    if (at.to == 0)
        return OK;
    char name[256];
    (void)snprintf(name, sizeof name, "%.200s: %s", r->p.name, top_name[which]);
    return json_parse(out, r->p.text + at.from, at.to - at.from, name, r->p.err);
}

static enum status read_all(struct tokfile_reader *r, cJSON *tree[N_TOP])
{
    struct jsonpull *p = &r->p;
    struct span top[N_TOP] = {{0, 0}};
    struct span model[N_MODEL] = {{0, 0}};
    enum status s = find_members(r, top_name, N_TOP, top, "the file");
    if (s || (s = jsonpull_end(p)))
        return s;
    if (top[TOP_MODEL].to == 0)
        return err_set(p->err, ERR_FORMAT, "%s: expected a \"model\", found none", p->name);
    p->at = top[TOP_MODEL].from;
    if ((s = find_members(r, model_name, N_MODEL, model, "the model")))
        return s;
    if (model[MODEL_VOCAB].to == 0 || model[MODEL_MERGES].to == 0)
        return err_set(p->err, ERR_FORMAT, "%s: expected model.vocab and model.merges, found no %s", p->name,
                       model[MODEL_VOCAB].to ? "merges" : "vocab");
    for (enum member i = TOP_ADDED; i <= TOP_DECODER; i++)
        if ((s = read_tree(r, i, top[i], &tree[i])))
            return s;
    struct tokfile_rules rules = {.normalizer = tree[TOP_NORMALIZER],
                                  .pre_tokenizer = tree[TOP_PRE],
                                  .post_processor = tree[TOP_POST],
                                  .decoder = tree[TOP_DECODER]};
    if ((s = tokfile_rules_read(r->b.f, &rules, p->name, p->err)) || (s = read_model_options(r, model)))
        return s;
    const cJSON *added = cJSON_IsNull(tree[TOP_ADDED]) ? NULL : tree[TOP_ADDED];
    if (added && !cJSON_IsArray(added))
        return err_set(p->err, ERR_FORMAT, "%s: added_tokens: expected an array", p->name);
    if ((s = tokfile_read_vocab_at(r, model[MODEL_VOCAB].from)) || (s = read_added(r, added)) || (s = tokbuild_index(&r->b)) ||
        (s = tokfile_read_merges(r, model[MODEL_MERGES].from)))
        return s;
    return tokfile_rules_bos(r->b.f, tree[TOP_POST], p->name, p->err);
}

enum status tokfile_read_json(struct tokfile *out, const char *text, size_t n, const char *name, struct err *err)
{
    struct tokfile_reader r = {.spell = BUF_INIT};
    cJSON *tree[N_TOP] = {NULL};
    tokbuild_init(&r.b, out, name, err);
    if (n > (size_t)1 << 30)
        return err_set(err, ERR_RANGE, "%s: expected at most 1 GiB, found %zu bytes", name, n);
    jsonpull_init(&r.p, text, n, name, err);
    enum status s = read_all(&r, tree);
    for (size_t i = 0; i < N_TOP; i++)
        cJSON_Delete(tree[i]);
    jsonpull_release(&r.p);
    buf_release(&r.spell);
    return tokbuild_end(&r.b, s);
}
