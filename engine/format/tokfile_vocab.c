#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "format/tokfile_internal.h"
#include "format/tokfile_rules.h"
#include "format/tokknown.h"

/* vocab.json and merges.txt, the form before tokenizer.json. The split rule and the added tokens are in
 * tokenizer_config.json, when there is one. */

static enum status read_vocab(struct tokbuild *b, const struct tokfile_part *vocab)
{
    struct tokfile_reader r = {.b = *b, .spell = BUF_INIT};
    jsonpull_init(&r.p, vocab->text, vocab->n, vocab->name, b->err);
    enum status s = tokfile_read_vocab_at(&r, 0);
    if (!s)
        s = jsonpull_end(&r.p);
    jsonpull_release(&r.p);
    *b = r.b;
    return s;
}

static enum status read_merges(struct tokbuild *b, const struct tokfile_part *merges)
{
    static const char version[] = "#version: 0.2";
    size_t line = 1;
    for (size_t at = 0; at < merges->n; line++) {
        const char *s = merges->text + at;
        const char *end = memchr(s, '\n', merges->n - at);
        size_t n = end ? (size_t)(end - s) : merges->n - at;
        at += n + 1;
        if (line == 1 && n == sizeof version - 1 && memcmp(s, version, n) == 0)
            continue;
        enum status st = utf8_valid_prefix((const uint8_t *)s, n) == n
                             ? tokbuild_spelled_merge(b, s, n)
                             : err_set(b->err, ERR_FORMAT, "expected valid UTF-8, found something else");
        if (st) {
            err_prefix(b->err, "%s:%zu", merges->name, line);
            return st;
        }
    }
    return OK;
}

/* "151643": {"content": ...}, ascending or not; the order of the ids is kept as the order of the tokens. */
static enum status read_added(struct tokbuild *b, const cJSON *config, const char *name)
{
    const cJSON *list = json_get(config, "added_tokens_decoder");
    const cJSON *a;
    char where[300];
    (void)snprintf(where, sizeof where, "%.200s: added_tokens_decoder", name);
    if (list && !cJSON_IsObject(list))
        return err_set(b->err, ERR_FORMAT, "%s: expected an object", where);
    cJSON_ArrayForEach(a, list)
    {
        char *end;
        long id = strtol(a->string, &end, 10);
        if (a->string[0] < '0' || a->string[0] > '9' || *end)
            return err_set(b->err, ERR_FORMAT, "%s: expected an id, found \"%.60s\"", where, a->string);
        enum status s = tokfile_rules_added(b, a, id, where);
        if (s)
            return s;
    }
    return OK;
}

/* By the class that transformers would load: Qwen2's is the one known. */
static enum status rule_of_class(struct tokfile *f, const cJSON *config, const char *name, bool *found, struct err *err)
{
    const cJSON *class = json_get(config, "tokenizer_class");
    const char *text = cJSON_IsString(class) ? class->valuestring : "";
    *found = strcmp(text, "Qwen2Tokenizer") == 0 || strcmp(text, "Qwen2TokenizerFast") == 0;
    if (*text && !*found)
        return err_set(err, ERR_UNSUPPORTED, "%s: tokenizer_class: expected Qwen2Tokenizer beside a vocab.json, found %.60s",
                       name, text);
    f->split = TOKFILE_SPLIT_QWEN2;
    f->nfc = true;
    return OK;
}

static enum status rule_of_known(struct tokfile *f, const char *name, struct err *err)
{
    const struct tokknown *known;
    enum status s = tokknown_find(f, &known, err);
    if (!s && (!known || known->kind != TOKFILE_BYTE_LEVEL))
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: expected a tokenizer_config.json that names the tokenizer_class, or a known vocabulary, found "
                       "neither", name);
    if (!s) {
        f->split = known->split;
        f->nfc = known->nfc;
    }
    return s;
}

static enum status read_all(struct tokbuild *b, const struct tokfile_part *vocab, const struct tokfile_part *merges,
                            const cJSON *config, const char *config_name)
{
    bool found = false;
    enum status s = config ? rule_of_class(b->f, config, config_name, &found, b->err) : OK;
    if (s || (s = read_vocab(b, vocab)) || (s = read_added(b, config, config_name)) || (s = tokbuild_index(b)))
        return s;
    if (!found && (s = rule_of_known(b->f, vocab->name, b->err)))
        return s;
    return read_merges(b, merges);
}

enum status tokfile_read_vocab(struct tokfile *out, const struct tokfile_part *vocab, const struct tokfile_part *merges,
                               const struct tokfile_part *config, struct err *err)
{
    struct tokbuild b;
    cJSON *tree = NULL;
    tokbuild_init(&b, out, vocab->name, err);
    enum status s = config ? json_parse(&tree, config->text, config->n, config->name, err) : OK;
    if (!s)
        s = read_all(&b, vocab, merges, tree, config ? config->name : "");
    cJSON_Delete(tree);
    return tokbuild_end(&b, s);
}
