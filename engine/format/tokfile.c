#include "format/tokfile.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "format/jsonpull.h"
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
    "type",      "vocab",  "merges", "byte_fallback", "ignore_merges", "dropout", "unk_token", "continuing_subword_prefix",
    "end_of_word_suffix", "fuse_unk"};

struct span {
    size_t from, to; /* to == 0: absent */
};

struct entry {
    int32_t id;
    struct tokmap_key key;
};

struct reader {
    struct tokfile *f;
    struct jsonpull p;
    struct span top[N_TOP];
    struct span model[N_MODEL];
    struct entry *entries; /* vocabulary in file order */
    size_t n_entries, cap_entries;
    struct buf spell; /* one token's bytes while it is looked up */
};

static enum status fail_at(const struct reader *r, size_t at, enum status s)
{
    size_t line;
    size_t column;
    jsonpull_where(&r->p, at, &line, &column);
    err_prefix(r->p.err, "%s:%zu:%zu", r->p.name, line, column);
    return s;
}

/* Find the members of the object at p; every key must be one of names and come once. */
static enum status find_members(struct reader *r, const char *const *names, size_t n_names, struct span *spans,
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
            return fail_at(r, at,
                           err_set(p->err, ERR_UNSUPPORTED, "%s has the unknown member \"%.*s\"", what,
                                   (int)(key.n > 60 ? 60 : key.n), key.s));
        if (spans[i].to)
            return fail_at(r, at, err_set(p->err, ERR_FORMAT, "%s has \"%s\" twice", what, names[i]));
        s = jsonpull_skip(p, &spans[i].from, &spans[i].to);
    }
    return s;
}

static bool span_is(const struct reader *r, struct span at, const char *literal)
{
    size_t n = strlen(literal);
    return at.to - at.from == n && memcmp(r->p.text + at.from, literal, n) == 0;
}

static enum status read_bool(struct reader *r, struct span at, bool *out)
{
    *out = span_is(r, at, "true");
    if (at.to == 0 || *out || span_is(r, at, "false"))
        return OK;
    return jsonpull_fail(&r->p, at.from, ERR_FORMAT, "true or false");
}

static enum status read_model_options(struct reader *r)
{
    struct tokfile *f = r->f;
    const struct span *m = r->model;
    if (!span_is(r, m[MODEL_TYPE], "\"BPE\""))
        return fail_at(r, m[MODEL_TYPE].from,
                       err_set(r->p.err, ERR_UNSUPPORTED, "expected a model of type \"BPE\", found %.*s",
                               (int)(m[MODEL_TYPE].to - m[MODEL_TYPE].from > 40 ? 40 : m[MODEL_TYPE].to - m[MODEL_TYPE].from),
                               m[MODEL_TYPE].to ? r->p.text + m[MODEL_TYPE].from : ""));
    static const enum model_member off[] = {MODEL_DROPOUT, MODEL_PREFIX, MODEL_SUFFIX};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (m[off[i]].to && !span_is(r, m[off[i]], "null") && !span_is(r, m[off[i]], "\"\""))
            return fail_at(r, m[off[i]].from,
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

/* The byte a letter of the byte alphabet stands for, or -1: printable Latin-1 stands for itself, the
 * other 68 bytes, ascending, are U+0100, U+0101, ... */
static int byte_of_letter(uint32_t cp)
{
    if ((cp >= 33 && cp <= 126) || (cp >= 161 && cp <= 172) || (cp >= 174 && cp <= 255))
        return (int)cp;
    if (cp < 256 || cp > 323)
        return -1;
    uint32_t k = cp - 256;
    return (int)(k < 33 ? k : k < 67 ? 127 + (k - 33) : 173);
}

/* Append the bytes a token of the file stands for to out; at is where it stands. */
static enum status spell(struct reader *r, const char *s, size_t n, size_t at, struct buf *out)
{
    if (n == 0)
        return fail_at(r, at, err_set(r->p.err, ERR_FORMAT, "expected a token, found an empty string"));
    if (r->f->kind == TOKFILE_SPM) {
        buf_add(out, s, n);
        return OK;
    }
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += utf8_decode((const uint8_t *)s + i, n - i, &cp); // checked when the string was read
        int b = byte_of_letter(cp);
        if (b < 0)
            return fail_at(r, at,
                           err_set(r->p.err, ERR_FORMAT, "expected letters of the byte alphabet, found U+%04X",
                                   (unsigned)cp));
        buf_char(out, (char)b);
    }
    return OK;
}

static enum status grow_entries(struct reader *r)
{
    if (r->n_entries < r->cap_entries)
        return OK;
    size_t cap = r->cap_entries ? r->cap_entries * 2 : 1024;
    void *p;
    enum status s = mem_alloc(&p, cap, sizeof(struct entry), "vocabulary", r->p.err);
    if (s)
        return s;
    if (r->n_entries)
        memcpy(p, r->entries, r->n_entries * sizeof(struct entry));
    mem_free(r->entries);
    r->entries = p;
    r->cap_entries = cap;
    return OK;
}

static enum status read_vocab(struct reader *r)
{
    struct jsonpull *p = &r->p;
    struct buf *bytes = &r->f->bytes;
    p->at = r->model[MODEL_VOCAB].from;
    enum status s = jsonpull_enter(p, '{');
    bool first = true;
    bool more = true;
    while (!s) {
        if ((s = jsonpull_next(p, '{', &first, &more)) || !more)
            break;
        (void)jsonpull_peek(p);
        size_t at = p->at;
        size_t from = bytes->n;
        struct jsonpull_text key;
        int64_t id;
        if ((s = jsonpull_key(p, &key)) || (s = spell(r, key.s, key.n, at, bytes)) ||
            (s = jsonpull_int(p, 0, TOKFILE_MAX_ID, &id)) || (s = grow_entries(r)))
            break;
        r->entries[r->n_entries++] = (struct entry){
            .id = (int32_t)id, .key = {.at = (uint32_t)from, .n = (uint32_t)(bytes->n - from)}};
    }
    return s ? s : buf_status(bytes, "vocabulary", p->err);
}

/* The largest id of vocabulary and added tokens decides how long the tables are. */
static enum status make_tables(struct reader *r, const cJSON *added)
{
    struct tokfile *f = r->f;
    enum status s;
    size_t n_base = 0;
    for (size_t i = 0; i < r->n_entries; i++)
        if ((size_t)r->entries[i].id >= n_base)
            n_base = (size_t)r->entries[i].id + 1;
    f->n_tokens = n_base;
    f->n_added = added ? (size_t)cJSON_GetArraySize(added) : 0;
    const cJSON *a;
    cJSON_ArrayForEach(a, added)
    {
        int64_t id;
        if ((s = json_get_i64(a, "id", 0, TOKFILE_MAX_ID, r->p.name, &id, r->p.err)))
            return s;
        if ((size_t)id >= f->n_tokens)
            f->n_tokens = (size_t)id + 1;
    }
    void *tokens;
    void *flags;
    void *list;
    if ((s = mem_alloc(&tokens, f->n_tokens, sizeof *f->tokens, "token table", r->p.err)))
        return s;
    f->tokens = tokens;
    if ((s = mem_alloc(&flags, f->n_tokens, 1, "token table", r->p.err)))
        return s;
    f->flags = flags;
    if ((s = mem_alloc(&list, f->n_added, sizeof *f->added, "token table", r->p.err)))
        return s;
    f->added = list;
    if ((s = tokmap_init(&f->index, r->n_entries + f->n_added, r->p.err)))
        return s;
    for (size_t i = 0; i < r->n_entries; i++) {
        const struct entry *e = &r->entries[i];
        if (f->flags[e->id] & TOKFILE_PRESENT)
            return err_set(r->p.err, ERR_FORMAT, "%s: model.vocab: expected each id once, found %d twice", r->p.name,
                           (int)e->id);
        f->tokens[e->id] = e->key;
        f->flags[e->id] = TOKFILE_PRESENT;
        int32_t there = tokmap_add(&f->index, f->tokens, f->bytes.data, e->id);
        if (there >= 0)
            return err_set(r->p.err, ERR_FORMAT, "%s: model.vocab: expected each text once, found ids %d and %d for one",
                           r->p.name, (int)there, (int)e->id);
    }
    return OK;
}

static enum status read_added(struct reader *r, const cJSON *list)
{
    struct tokfile *f = r->f;
    struct err *err = r->p.err;
    char where[256];
    (void)snprintf(where, sizeof where, "%.200s: added_tokens", r->p.name);
    size_t i = 0;
    const cJSON *a;
    cJSON_ArrayForEach(a, list)
    {
        int64_t id64;
        const char *text;
        bool special;
        enum status s = json_get_i64(a, "id", 0, TOKFILE_MAX_ID, where, &id64, err);
        if (s || (s = json_get_str(a, "content", where, &text, err)) ||
            (s = json_get_bool_or(a, "special", false, where, &special, err)))
            return s;
        int32_t id = (int32_t)id64;
        static const char *const off[] = {"lstrip", "rstrip", "single_word", "normalized"};
        for (size_t k = 0; k < 4; k++) {
            bool on;
            if ((s = json_get_bool_or(a, off[k], false, where, &on, err)))
                return s;
            if (on)
                return err_set(err, ERR_UNSUPPORTED, "%s: \"%.60s\" has \"%s\"", where, text, off[k]);
        }
        size_t n = strlen(text);
        if (n == 0)
            return err_set(err, ERR_FORMAT, "%s: expected a text for id %d, found an empty string", where, (int)id);
        if (f->flags[id] & TOKFILE_ADDED)
            return err_set(err, ERR_FORMAT, "%s: expected each id once, found %d twice", where, (int)id);
        int32_t there = tokfile_find(f, text, n);
        if ((there >= 0 && there != id) || (there < 0 && (f->flags[id] & TOKFILE_PRESENT)))
            return err_set(err, ERR_FORMAT, "%s: \"%.60s\" with id %d contradicts another token of that %s", where, text,
                           (int)id, there >= 0 ? "text" : "id");
        if (there < 0) {
            f->tokens[id] = (struct tokmap_key){.at = (uint32_t)f->bytes.n, .n = (uint32_t)n};
            buf_add(&f->bytes, text, n);
            if ((s = buf_status(&f->bytes, "vocabulary", err)))
                return s;
            (void)tokmap_add(&f->index, f->tokens, f->bytes.data, id);
        }
        f->flags[id] = (uint8_t)(f->flags[id] | TOKFILE_PRESENT | TOKFILE_ADDED | (special ? TOKFILE_SPECIAL : 0));
        f->added[i++] = id;
    }
    return OK;
}

/* No gap below the vocabulary's largest id (after it, reserved ids may be missing); all bytes there. */
static enum status check_table(struct reader *r)
{
    struct tokfile *f = r->f;
    int32_t last = -1;
    for (size_t i = 0; i < r->n_entries; i++)
        if (r->entries[i].id > last)
            last = r->entries[i].id;
    for (int32_t id = 0; id < last; id++)
        if (!(f->flags[id] & TOKFILE_PRESENT))
            return err_set(r->p.err, ERR_FORMAT, "%s: model.vocab: expected every id up to %d, found none with id %d",
                           r->p.name, (int)last, (int)id);
    for (unsigned b = 0; b < 256; b++) {
        char text[8];
        int n = f->kind == TOKFILE_SPM ? snprintf(text, sizeof text, "<0x%02X>", b) : 1;
        if (f->kind == TOKFILE_BYTE_LEVEL)
            text[0] = (char)b;
        int32_t id = tokfile_find(f, text, (size_t)n);
        if (id < 0 || (f->flags[id] & TOKFILE_ADDED))
            return err_set(r->p.err, ERR_FORMAT, "%s: model.vocab: expected a token for every byte, found none for 0x%02X",
                           r->p.name, b);
        f->byte_id[b] = id;
        if (f->kind == TOKFILE_SPM)
            f->flags[id] |= TOKFILE_BYTE;
    }
    return OK;
}

/* One side of a merge: append its bytes to r->spell, and look it up. */
static enum status read_side(struct reader *r, const char *s, size_t n, size_t at, int32_t *id)
{
    size_t from = r->spell.n;
    enum status st = spell(r, s, n, at, &r->spell);
    if (st || (st = buf_status(&r->spell, "a merge", r->p.err)))
        return st;
    *id = tokfile_find(r->f, r->spell.data + from, r->spell.n - from);
    if (*id < 0 || (r->f->flags[*id] & (TOKFILE_ADDED | TOKFILE_BYTE)))
        return fail_at(r, at,
                       err_set(r->p.err, ERR_FORMAT, "expected a merge of known pieces, found \"%.*s\"",
                               (int)(n > 60 ? 60 : n), s));
    return OK;
}

static enum status read_merge(struct reader *r, struct tokfile_merge *m)
{
    struct jsonpull *p = &r->p;
    struct jsonpull_text t;
    enum status s;
    char c = jsonpull_peek(p);
    size_t at = p->at;
    buf_clear(&r->spell);
    if (c == '[') { // ["a", "b"]
        bool first = true;
        bool more;
        if ((s = jsonpull_enter(p, '[')) || (s = jsonpull_next(p, '[', &first, &more)) ||
            (s = jsonpull_string(p, &t)) || (s = read_side(r, t.s, t.n, at, &m->left)) ||
            (s = jsonpull_next(p, '[', &first, &more)))
            return s;
        if (!more)
            return jsonpull_fail(p, p->at - 1, ERR_FORMAT, "the second piece of a merge");
        if ((s = jsonpull_string(p, &t)) || (s = read_side(r, t.s, t.n, at, &m->right)) ||
            (s = jsonpull_next(p, '[', &first, &more)))
            return s;
        if (more)
            return jsonpull_fail(p, p->at - 1, ERR_FORMAT, "a merge of two pieces");
    } else { // "a b", as files before 2024 have it
        if ((s = jsonpull_string(p, &t)))
            return s;
        const char *blank = memchr(t.s, ' ', t.n);
        size_t k = blank ? (size_t)(blank - t.s) : 0;
        if (!blank || memchr(blank + 1, ' ', t.n - k - 1))
            return jsonpull_fail(p, at, ERR_FORMAT, "a merge of two pieces with one blank between");
        if ((s = read_side(r, t.s, k, at, &m->left)) || (s = read_side(r, t.s + k + 1, t.n - k - 1, at, &m->right)))
            return s;
    }
    m->result = tokfile_find(r->f, r->spell.data, r->spell.n);
    if (m->result < 0 || (r->f->flags[m->result] & (TOKFILE_ADDED | TOKFILE_BYTE)))
        return fail_at(r, at,
                       err_set(p->err, ERR_FORMAT, "expected a merge whose result is a piece, found none for ids %d and %d",
                               (int)m->left, (int)m->right));
    return OK;
}

static enum status read_merges(struct reader *r)
{
    struct jsonpull *p = &r->p;
    struct tokfile *f = r->f;
    size_t cap = 0;
    p->at = r->model[MODEL_MERGES].from;
    enum status s = jsonpull_enter(p, '[');
    bool first = true;
    bool more = true;
    int32_t last = -1;
    while (!s) {
        if ((s = jsonpull_next(p, '[', &first, &more)) || !more)
            break;
        (void)jsonpull_peek(p);
        size_t at = p->at;
        if (f->n_merges == cap) {
            cap = cap ? cap * 2 : 1024;
            void *q;
            if ((s = mem_alloc(&q, cap, sizeof *f->merges, "merges", p->err)))
                break;
            if (f->n_merges)
                memcpy(q, f->merges, f->n_merges * sizeof *f->merges);
            mem_free(f->merges);
            f->merges = q;
        }
        struct tokfile_merge m = {-1, -1, -1};
        if ((s = read_merge(r, &m)))
            break;
        // The order of the ids is the order of the merges in every known file; a file that breaks it
        // is damaged or of a kind not tested here.
        if (m.result < last)
            return fail_at(r, at,
                           err_set(p->err, ERR_FORMAT, "expected merges whose result ids never fall, found %d after %d",
                                   (int)m.result, (int)last));
        last = m.result;
        f->flags[last] |= TOKFILE_MERGED;
        f->merges[f->n_merges++] = m;
    }
    return s;
}

/* A small member as a tree; *out stays NULL when it is absent. */
static enum status read_tree(const struct reader *r, enum member which, cJSON **out)
{
    struct span at = r->top[which];
    if (at.to == 0)
        return OK;
    char name[256];
    (void)snprintf(name, sizeof name, "%.200s: %s", r->p.name, top_name[which]);
    return json_parse(out, r->p.text + at.from, at.to - at.from, name, r->p.err);
}

static enum status read_all(struct reader *r, cJSON *tree[N_TOP])
{
    struct jsonpull *p = &r->p;
    enum status s = find_members(r, top_name, N_TOP, r->top, "the file");
    if (s || (s = jsonpull_end(p)))
        return s;
    if (r->top[TOP_MODEL].to == 0)
        return err_set(p->err, ERR_FORMAT, "%s: expected a \"model\", found none", p->name);
    p->at = r->top[TOP_MODEL].from;
    if ((s = find_members(r, model_name, N_MODEL, r->model, "the model")))
        return s;
    if (r->model[MODEL_VOCAB].to == 0 || r->model[MODEL_MERGES].to == 0)
        return err_set(p->err, ERR_FORMAT, "%s: expected model.vocab and model.merges, found no %s", p->name,
                       r->model[MODEL_VOCAB].to ? "merges" : "vocab");
    for (enum member i = TOP_ADDED; i <= TOP_DECODER; i++)
        if ((s = read_tree(r, i, &tree[i])))
            return s;
    struct tokfile_rules rules = {.normalizer = tree[TOP_NORMALIZER],
                                  .pre_tokenizer = tree[TOP_PRE],
                                  .post_processor = tree[TOP_POST],
                                  .decoder = tree[TOP_DECODER]};
    if ((s = tokfile_rules_read(r->f, &rules, p->name, p->err)) || (s = read_model_options(r)))
        return s;
    const cJSON *added = cJSON_IsNull(tree[TOP_ADDED]) ? NULL : tree[TOP_ADDED];
    if (added && !cJSON_IsArray(added))
        return err_set(p->err, ERR_FORMAT, "%s: added_tokens: expected an array", p->name);
    if ((s = read_vocab(r)) || (s = make_tables(r, added)) || (s = read_added(r, added)) || (s = check_table(r)))
        return s;
    return read_merges(r);
}

enum status tokfile_read(struct tokfile *out, const char *text, size_t n, const char *name, struct err *err)
{
    *out = (struct tokfile){.kind = TOKFILE_BYTE_LEVEL, .bytes = BUF_INIT};
    if (n > (size_t)1 << 30)
        return err_set(err, ERR_RANGE, "%s: expected at most 1 GiB, found %zu bytes", name, n);
    struct reader r = {.f = out, .spell = BUF_INIT};
    cJSON *tree[N_TOP] = {NULL};
    jsonpull_init(&r.p, text, n, name, err);
    enum status s = read_all(&r, tree);
    for (size_t i = 0; i < N_TOP; i++)
        cJSON_Delete(tree[i]);
    jsonpull_release(&r.p);
    mem_free(r.entries);
    buf_release(&r.spell);
    if (s)
        tokfile_release(out);
    return s;
}

void tokfile_release(struct tokfile *f)
{
    mem_free(f->tokens);
    mem_free(f->flags);
    mem_free(f->added);
    mem_free(f->merges);
    tokmap_release(&f->index);
    buf_release(&f->bytes);
    *f = (struct tokfile){.kind = TOKFILE_BYTE_LEVEL, .bytes = BUF_INIT};
}

int32_t tokfile_find(const struct tokfile *f, const char *s, size_t n)
{
    return tokmap_find(&f->index, f->tokens, f->bytes.data, s, n);
}

const char *tokfile_text(const struct tokfile *f, int32_t id, size_t *n)
{
    *n = f->tokens[id].n;
    return f->bytes.data + f->tokens[id].at;
}
