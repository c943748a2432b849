#include <string.h>

#include "base/utf8.h"
#include "format/tokbuild.h"
#include "format/tokknown.h"

/* The tokenizer.ggml.* arrays of a GGUF file. */

/* token_type; the numbers are those of SentencePiece's protobuf too. */
enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED, TYPE_BYTE };

static bool is(struct tokfile_span t, const char *text)
{
    return t.s && t.n == strlen(text) && memcmp(t.s, text, t.n) == 0;
}

static enum status unknown(const char *name, const char *key, struct tokfile_span found, const char *expected,
                           struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED, "%s: tokenizer.ggml.%s: expected %s, found %.*s", name, key, expected,
                   (int)(found.s ? found.n > 60 ? 60 : found.n : 4), found.s ? found.s : "none");
}

/* The split rule of a byte-level file, by name. Without one there is no telling the rule: a fallback would
 * give plausible text and wrong ids. */
static enum status read_pre(struct tokfile *f, const struct tokfile_arrays *a, const char *name, struct err *err)
{
    if (is(a->pre, "gpt-4o"))
        f->split = TOKFILE_SPLIT_O200K;
    else if (is(a->pre, "qwen2"))
        f->split = TOKFILE_SPLIT_QWEN2;
    else if (is(a->pre, "llama-bpe"))
        f->split = TOKFILE_SPLIT_LLAMA3;
    else
        return unknown(name, "pre", a->pre, "gpt-4o, qwen2 or llama-bpe", err);
    f->nfc = f->split == TOKFILE_SPLIT_QWEN2;
    f->ignore_merges = !f->nfc;
    return OK;
}

static enum status read_rules(struct tokbuild *b, const struct tokfile_arrays *a)
{
    struct tokfile *f = b->f;
    if (is(a->model, "gpt2")) {
        f->kind = TOKFILE_BYTE_LEVEL;
        if (a->add_space_prefix == TOKFILE_YES)
            return err_set(b->err, ERR_UNSUPPORTED, "%s: tokenizer.ggml.add_space_prefix: expected false with model gpt2, "
                           "found true", b->name);
        return read_pre(f, a, b->name, b->err);
    }
    if (!is(a->model, "llama"))
        return unknown(b->name, "model", a->model, "gpt2 or llama", b->err);
    f->kind = TOKFILE_SPM;
    b->by_score = true;
    if (a->pre.s && !is(a->pre, "default"))
        return unknown(b->name, "pre", a->pre, "default with model llama", b->err);
    if (!a->scores || !a->types)
        return err_set(b->err, ERR_FORMAT, "%s: expected tokenizer.ggml.scores and .token_type with model llama, found no %s",
                       b->name, a->scores ? ".token_type" : ".scores");
    if (a->remove_extra_whitespaces == TOKFILE_YES)
        return err_set(b->err, ERR_UNSUPPORTED, "%s: tokenizer.ggml.remove_extra_whitespaces: expected false, found true",
                       b->name);
    return OK;
}

static int32_t type_of(const struct tokfile_arrays *a, size_t i)
{
    int32_t type = TYPE_NORMAL;
    if (a->types)
        memcpy(&type, (const char *)a->types + i * sizeof type, sizeof type);
    return type;
}

static enum status add_token(struct tokbuild *b, const struct tokfile_arrays *a, size_t i)
{
    const struct tokfile_span t = a->tokens[i];
    bool spm = b->f->kind == TOKFILE_SPM;
    float score = 0;
    if (a->scores)
        memcpy(&score, (const char *)a->scores + i * sizeof score, sizeof score);
    if (!spm)
        score = 0; // some writers fill it, nothing reads it
    if (utf8_valid_prefix((const uint8_t *)t.s, t.n) != t.n)
        return err_set(b->err, ERR_FORMAT, "expected valid UTF-8, found something else");
    switch (type_of(a, i)) {
    case TYPE_NORMAL:
        return spm ? tokbuild_add(b, (int64_t)i, t.s, t.n, 0, score) : tokbuild_spelled(b, (int64_t)i, t.s, t.n);
    case TYPE_UNKNOWN:
    case TYPE_CONTROL:
        return tokbuild_add(b, (int64_t)i, t.s, t.n, TOKFILE_ADDED | TOKFILE_SPECIAL, score);
    case TYPE_USER:
        return tokbuild_add(b, (int64_t)i, t.s, t.n, spm ? TOKFILE_USER : TOKFILE_ADDED, score);
    case TYPE_UNUSED:
        return tokbuild_add(b, (int64_t)i, t.s, t.n, TOKFILE_UNUSED, 0);
    case TYPE_BYTE:
        if (spm)
            return tokbuild_add(b, (int64_t)i, t.s, t.n, TOKFILE_BYTE, score);
        break;
    default:
        break;
    }
    return err_set(b->err, ERR_FORMAT, "expected a token_type from 1 to %d, found %d", spm ? TYPE_BYTE : TYPE_UNUSED,
                   (int)type_of(a, i));
}

static enum status read_space_prefix(struct tokbuild *b, const struct tokfile_arrays *a)
{
    b->f->dummy_prefix = a->add_space_prefix == TOKFILE_YES;
    if (b->f->kind != TOKFILE_SPM || a->add_space_prefix != TOKFILE_ABSENT)
        return OK;
    const struct tokknown *known;
    enum status s = tokknown_find(b->f, &known, b->err);
    if (!s && (!known || known->kind != TOKFILE_SPM))
        return err_set(b->err, ERR_UNSUPPORTED,
                       "%s: tokenizer.ggml.add_space_prefix: expected true or false, found none with a vocabulary not known "
                       "here", b->name);
    b->f->dummy_prefix = !s && known->dummy_prefix;
    return s;
}

static enum status read_bos(struct tokbuild *b, const struct tokfile_arrays *a)
{
    struct tokfile *f = b->f;
    bool add = a->add_bos == TOKFILE_YES || (a->add_bos == TOKFILE_ABSENT && f->split == TOKFILE_SPLIT_LLAMA3);
    if (!add)
        return OK;
    if (a->bos_id < 0 || (size_t)a->bos_id >= f->n_tokens || !(f->flags[a->bos_id] & TOKFILE_PRESENT))
        return err_set(b->err, ERR_FORMAT, "%s: tokenizer.ggml.bos_token_id: expected the id of a token below %zu, found %d",
                       b->name, f->n_tokens, (int)a->bos_id);
    f->bos_id = a->bos_id;
    return OK;
}

static enum status read_all(struct tokbuild *b, const struct tokfile_arrays *a)
{
    enum status s = read_rules(b, a);
    if (s)
        return s;
    for (size_t i = 0; i < a->n_tokens; i++)
        if ((s = add_token(b, a, i))) {
            err_prefix(b->err, "%s: token %zu", b->name, i);
            return s;
        }
    if ((s = tokbuild_index(b)) || (s = read_space_prefix(b, a)) || (s = read_bos(b, a)))
        return s;
    if (b->f->kind == TOKFILE_SPM)
        return tokbuild_derive(b);
    for (size_t i = 0; i < a->n_merges; i++)
        if ((s = tokbuild_spelled_merge(b, a->merges[i].s, a->merges[i].n))) {
            err_prefix(b->err, "%s: merge %zu", b->name, i);
            return s;
        }
    return OK;
}

enum status tokfile_read_arrays(struct tokfile *out, const struct tokfile_arrays *a, const char *name, struct err *err)
{
    struct tokbuild b;
    tokbuild_init(&b, out, name, err);
    return tokbuild_end(&b, read_all(&b, a));
}
