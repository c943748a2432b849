#include "format/tokfile_rules.h"

#include <string.h>

#include "base/json.h"

/* The two split patterns, as the model repositories' files spell them. Compared whole: the rules are
 * written by hand in text/split.c, so another pattern means another rule. */
static const char o200k_pattern[] =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char qwen2_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"
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
    else
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: pre_tokenizer: expected the o200k or the qwen2 pattern, found '%.400s'", name, pattern);
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

enum status tokfile_rules_read(struct tokfile *f, const struct tokfile_rules *r, const char *name, struct err *err)
{
    // ByteLevel here only trims offsets. Anything else adds ids around a text, which is the chat
    // renderers' business.
    if (!is_null(r->post_processor) && !is_type(r->post_processor, "ByteLevel"))
        return unknown(name, "post_processor", r->post_processor, "null or ByteLevel", err);
    return is_null(r->pre_tokenizer) ? read_spm(f, r, name, err) : read_byte_level(f, r, name, err);
}
