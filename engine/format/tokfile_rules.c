#include "format/tokfile_rules.h"

#include <string.h>

#include "base/json.h"

/* The split patterns, as the model repositories' files spell them. Compared whole: the rules are
 * written by hand in text/split.c, so another pattern means another rule. */
static const char o200k_pattern[] =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char qwen2_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"
    "|\\s+(?!\\S)|\\s+";
static const char llama3_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"
    "|\\s+(?!\\S)|\\s+";
static const char metaspace[] = "\xE2\x96\x81"; // U+2581

static const char *text_of(const cJSON *obj, const char *key)
{
    const cJSON *v = json_get(obj, key);
    return cJSON_IsString(v) ? v->valuestring : "";
}

static bool is_type(const cJSON *v, const char *type)
{
    return cJSON_IsObject(v) && strcmp(text_of(v, "type"), type) == 0;
}

static bool is_null(const cJSON *v)
{
    return !v || cJSON_IsNull(v);
}

/* A member that must be exactly this boolean (absent is not the same: defaults differ by type). */
static bool is_flag(const cJSON *v, const char *key, bool want)
{
    const cJSON *b = json_get(v, key);
    return cJSON_IsBool(b) && (bool)cJSON_IsTrue(b) == want;
}

static enum status unknown(const char *name, const char *what, const cJSON *v, const char *expected, struct err *err)
{
    const char *type = text_of(v, "type");
    return err_set(err, ERR_UNSUPPORTED, "%s: %s: expected %s, found %s%.100s", name, what, expected,
                   is_null(v) ? "null" : *type ? "type " : "something else", type);
}

/* Replace every `from` by `to`, both plain strings. */
static bool is_replace(const cJSON *v, const char *from, const char *to)
{
    return is_type(v, "Replace") && strcmp(text_of(json_get(v, "pattern"), "String"), from) == 0 &&
           strcmp(text_of(v, "content"), to) == 0;
}

static const cJSON *nth(const cJSON *list, int i, int of)
{
    return cJSON_IsArray(list) && cJSON_GetArraySize(list) == of ? cJSON_GetArrayItem(list, i) : NULL;
}

static enum status read_split(struct tokfile *f, const cJSON *pre, const char *name, struct err *err)
{
    const cJSON *list = is_type(pre, "Sequence") ? json_get(pre, "pretokenizers") : NULL;
    const cJSON *split = nth(list, 0, 2);
    const cJSON *level = nth(list, 1, 2);
    if (!is_type(split, "Split") || !is_type(level, "ByteLevel"))
        return unknown(name, "pre_tokenizer", pre, "a Sequence of Split and ByteLevel", err);
    const char *pattern = text_of(json_get(split, "pattern"), "Regex");
    if (strcmp(pattern, o200k_pattern) == 0)
        f->split = TOKFILE_SPLIT_O200K;
    else if (strcmp(pattern, qwen2_pattern) == 0)
        f->split = TOKFILE_SPLIT_QWEN2;
    else if (strcmp(pattern, llama3_pattern) == 0)
        f->split = TOKFILE_SPLIT_LLAMA3;
    else
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: pre_tokenizer: expected the o200k, the qwen2 or the llama3 pattern, found '%.400s'", name,
                       pattern);
    if (strcmp(text_of(split, "behavior"), "Isolated") != 0 || !is_flag(split, "invert", false))
        return err_set(err, ERR_UNSUPPORTED, "%s: pre_tokenizer: expected Split to be Isolated and not inverted", name);
    if (!is_flag(level, "add_prefix_space", false) || !is_flag(level, "use_regex", false))
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: pre_tokenizer: expected ByteLevel without add_prefix_space and use_regex", name);
    return OK;
}

static enum status read_byte_level(struct tokfile *f, const struct tokfile_rules *r, const char *name,
                                   struct err *err)
{
    f->kind = TOKFILE_BYTE_LEVEL;
    f->nfc = is_type(r->normalizer, "NFC");
    if (!f->nfc && !is_null(r->normalizer))
        return unknown(name, "normalizer", r->normalizer, "null or NFC", err);
    if (!is_type(r->decoder, "ByteLevel"))
        return unknown(name, "decoder", r->decoder, "ByteLevel", err);
    return read_split(f, r->pre_tokenizer, name, err);
}

static enum status read_spm(struct tokfile *f, const struct tokfile_rules *r, const char *name, struct err *err)
{
    f->kind = TOKFILE_SPM;
    f->split = TOKFILE_SPLIT_NONE;
    const cJSON *norm = r->normalizer;
    if (is_type(norm, "Sequence"))
        norm = nth(json_get(norm, "normalizers"), 0, 1);
    if (!is_replace(norm, " ", metaspace))
        return unknown(name, "normalizer", r->normalizer, "one Replace of ' ' by U+2581", err);
    const cJSON *list = is_type(r->decoder, "Sequence") ? json_get(r->decoder, "decoders") : NULL;
    if (!is_replace(nth(list, 0, 3), metaspace, " ") || !is_type(nth(list, 1, 3), "ByteFallback") ||
        !is_type(nth(list, 2, 3), "Fuse"))
        return unknown(name, "decoder", r->decoder, "Replace of U+2581 by ' ', ByteFallback, Fuse", err);
    return OK;
}

/* The TemplateProcessing that puts one special token before a text and nothing after it; NULL: v is none. */
static const cJSON *bos_template(const cJSON *v)
{
    const cJSON *single = json_get(v, "single");
    const cJSON *special = json_get(nth(single, 0, 2), "SpecialToken");
    const cJSON *text = json_get(nth(single, 1, 2), "Sequence");
    bool good = is_type(v, "TemplateProcessing") && *text_of(special, "id") && strcmp(text_of(text, "id"), "A") == 0;
    return good ? json_get(json_get(v, "special_tokens"), text_of(special, "id")) : NULL;
}

/* ByteLevel here only trims offsets, and stands alone or before the template. */
static const cJSON *post_template(const cJSON *v)
{
    if (is_type(v, "Sequence")) {
        const cJSON *list = json_get(v, "processors");
        v = is_type(nth(list, 0, 2), "ByteLevel") ? nth(list, 1, 2) : NULL;
    }
    return bos_template(v);
}

enum status tokfile_rules_bos(struct tokfile *f, const cJSON *post_processor, const char *name, struct err *err)
{
    const cJSON *token = post_template(post_processor);
    const cJSON *id = nth(json_get(token, "ids"), 0, 1);
    if (!token)
        return OK;
    int32_t there = tokfile_find(f, text_of(token, "id"), strlen(text_of(token, "id")));
    if (there < 0 || !(f->flags[there] & TOKFILE_ADDED) || !cJSON_IsNumber(id) || id->valuedouble < there ||
        id->valuedouble > there)
        return err_set(err, ERR_FORMAT, "%s: post_processor: expected the id of an added token for \"%.60s\"", name,
                       text_of(token, "id"));
    f->bos_id = there;
    return OK;
}

enum status tokfile_rules_read(struct tokfile *f, const struct tokfile_rules *r, const char *name, struct err *err)
{
    const cJSON *post = r->post_processor;
    if (!is_null(post) && !is_type(post, "ByteLevel") && !post_template(post))
        return unknown(name, "post_processor", post, "null, ByteLevel, or one special token before the text", err);
    return is_null(r->pre_tokenizer) ? read_spm(f, r, name, err) : read_byte_level(f, r, name, err);
}

enum status tokfile_rules_added(struct tokbuild *b, const cJSON *a, int64_t id, const char *where)
{
    static const char *const off[] = {"lstrip", "rstrip", "single_word", "normalized"};
    const char *text;
    bool special;
    enum status s = json_get_str(a, "content", where, &text, b->err);
    if (s || (s = json_get_bool_or(a, "special", false, where, &special, b->err)))
        return s;
    for (size_t k = 0; k < sizeof off / sizeof *off; k++) {
        bool on;
        if ((s = json_get_bool_or(a, off[k], false, where, &on, b->err)))
            return s;
        if (on)
            return err_set(b->err, ERR_UNSUPPORTED, "%s: \"%.60s\" has \"%s\"", where, text, off[k]);
    }
    if ((s = tokbuild_add(b, id, text, strlen(text), special ? TOKFILE_ADDED | TOKFILE_SPECIAL : TOKFILE_ADDED, 0)))
        err_prefix(b->err, "%s", where);
    return s;
}
