#define _XOPEN_SOURCE 700
#include <ctype.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "lib/canon.h"
#include "check/check.h"
#include "lib/paths.h"
#include "lib/prov.h"

/* Each statement on its own: form, the payload's digest, the two derived digests, age, privacy. */

static void check_form(const struct check_context *c, const struct tree_file *f)
{
    struct report *r = c->report;
    const struct statement *st = f->statement;
    struct buf raw = BUF_INIT;
    struct buf again = BUF_INIT;
    struct err why = ERR_INIT;
    size_t line = 0;
    size_t column = 0;
    enum result_class class;
    const char *type = cJSON_GetStringValue(json_get(st->doc, "_type"));
    const char *predicate = cJSON_GetStringValue(json_get(st->doc, "predicateType"));
    enum status s = tree_read(c->tree, f, &raw, &why);
    if (!s)
        s = json_write_canonical(&again, st->doc, &why);
    buf_char(&again, '\n');
    if (s)
        report_add(r, VERDICT_MISSING, "statement", f->name, "%s", why.text);
    else if (canon_first_difference(raw.data, raw.n, again.data, again.n, &line, &column))
        report_add(r, VERDICT_FAIL, "statement", f->name, "%zu:%zu: expected canonical JSON", line, column);
    else if (!type || strcmp(type, PROV_STATEMENT_TYPE) != 0 || !predicate || strcmp(predicate, PROV_PREDICATE_TYPE) != 0)
        report_add(r, VERDICT_FAIL, "statement", f->name, "expected type %s with predicate %s", PROV_STATEMENT_TYPE,
                   PROV_PREDICATE_TYPE);
    else if (!st->sound)
        report_add(r, VERDICT_FAIL, "statement", f->name, "a required member is missing or has another type");
    else if (!result_class_parse(st->class, &class))
        report_add(r, VERDICT_FAIL, "statement", f->name, "unknown class '%.40s'", st->class);
    else if (strcmp(st->numerics, "exact") != 0 && strcmp(st->numerics, "fast") != 0)
        report_add(r, VERDICT_FAIL, "statement", f->name, "unknown numerics '%.40s'", st->numerics);
    else if (strncmp(path_base(f->name), st->subject, strlen(st->subject)) != 0 ||
             strcmp(path_base(f->name) + strlen(st->subject), PROV_SUFFIX) != 0)
        report_add(r, VERDICT_FAIL, "statement", f->name, "its subject is '%.200s'", st->subject);
    else
        report_add(r, VERDICT_PASS, "statement", f->name, "%s", "");
    buf_release(&raw);
    buf_release(&again);
}

static void check_digest(const struct check_context *c, const struct tree_file *f)
{
    char name[1024];
    (void)snprintf(name, sizeof name, "%.*s", (int)(strlen(f->name) - strlen(PROV_SUFFIX)), f->name);
    const struct tree_file *payload = tree_find(c->tree, name);
    const char *sha = f->statement->sha256;
    if (!payload || !sha)
        return; // pair and statement say so
    if (strcmp(payload->sha256, sha) != 0)
        report_add(c->report, VERDICT_FAIL, "digest", name, "expected SHA-256 %.12s... as its statement says, found %.12s...", sha,
                   payload->sha256);
    else
        report_add(c->report, VERDICT_PASS, "digest", name, "%s", "");
}

static void check_recipe(const struct check_context *c, const struct tree_file *f)
{
    const cJSON *p = f->statement->predicate;
    const char *recipe = cJSON_GetStringValue(json_get(p, "recipeDigest"));
    const char *platform = cJSON_GetStringValue(json_get(p, "platformDigest"));
    const cJSON *numeric = json_get(json_get(p, "platform"), "numeric");
    char hex[DIGEST_HEX_LEN + 1];
    struct err why = ERR_INIT;
    if (!cJSON_IsObject(json_get(f->statement->recipe, "parameters")) ||
        !cJSON_IsObject(json_get(f->statement->recipe, "sources")))
        report_add(c->report, VERDICT_FAIL, "recipe", f->name, "parameters or sources are missing");
    else if (canon_hex(f->statement->recipe, hex, &why) || !recipe || strcmp(recipe, hex) != 0)
        report_add(c->report, VERDICT_FAIL, "recipe", f->name, "recipeDigest is not the digest of the recipe");
    else if (!numeric || canon_hex(numeric, hex, &why) || !platform || strcmp(platform, hex) != 0)
        report_add(c->report, VERDICT_FAIL, "recipe", f->name, "platformDigest is not the digest of platform.numeric");
    else
        report_add(c->report, VERDICT_PASS, "recipe", f->name, "%s", "");
}

/* A result of older sources is not wrong, only old: a re-run decides (provenance.md 3). */
static void check_age(const struct check_context *c, const struct tree_file *f)
{
    const cJSON *sources = json_get(f->statement->recipe, "sources");
    const char *engine = cJSON_GetStringValue(json_get(sources, "engine"));
    const char *tools = cJSON_GetStringValue(json_get(sources, "tools"));
    const struct build_info *b = build_info();
    if (!engine || !tools)
        report_add(c->report, VERDICT_FAIL, "old", f->name, "the recipe names no sources");
    else if (strcmp(engine, b->engine) != 0 || strcmp(tools, b->tools) != 0)
        report_add(c->report, VERDICT_OLD, "old", f->name, "made by engine %.12s tools %.12s, this is %.12s %.12s", engine, tools,
                   b->engine, b->tools);
    else
        report_add(c->report, VERDICT_PASS, "old", f->name, "%s", "");
}

struct private_words {
    char host[256], user[64], home[256];
};

static void find_private_words(struct private_words *w)
{
    *w = (struct private_words){.host = ""};
    if (gethostname(w->host, sizeof w->host) != 0 || strlen(w->host) < 4 || strcmp(w->host, "localhost") == 0)
        w->host[0] = '\0';
    const struct passwd *pw = getpwuid(getuid());
    if (pw && strcmp(pw->pw_name, "root") != 0 && strlen(pw->pw_name) > 2)
        (void)snprintf(w->user, sizeof w->user, "%s", pw->pw_name);
    const char *home = pw ? pw->pw_dir : getenv("HOME");
    if (home && strlen(home) > 2)
        (void)snprintf(w->home, sizeof w->home, "%s", home);
}

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_';
}

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = text; n && (p = strstr(p, word)); p++)
        if ((p == text || !word_char(p[-1])) && !word_char(p[n]))
            return true;
    return false;
}

static bool absolute_path(const char *s)
{
    if (s[0] == '/' && (isalpha((unsigned char)s[1]) || s[1] == '.'))
        return true;
    return strstr(s, "/home/") || strstr(s, "/root/") || strstr(s, "/Users/") || strstr(s, "/tmp/") || strstr(s, ":\\") ||
           strncmp(s, "file:", 5) == 0;
}

/* The first private thing in v, described; NULL when there is none. Facts about hardware and compiler
 * are free text of their makers and are not searched for the host's name ("debian" is one). */
static const char *private_in(const cJSON *v, const struct private_words *w, bool facts)
{
    static const char *const keys[] = {"host", "hostname", "user", "username", "serial", "uuid", "gpuUuid", "cwd", "argv"};
    for (size_t i = 0; v->string && i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(v->string, keys[i]) == 0)
            return "a member that names a host, user or serial number";
    if (cJSON_IsString(v)) {
        if (absolute_path(v->valuestring))
            return "an absolute path";
        if (w->home[0] && strstr(v->valuestring, w->home))
            return "this user's home";
        if (!facts && (has_word(v->valuestring, w->host) || (w->user[0] && strcmp(v->valuestring, w->user) == 0)))
            return "this host's or user's name";
    }
    const cJSON *c;
    cJSON_ArrayForEach(c, v)
    {
        bool inner = facts || (c->string && strcmp(c->string, "platform") == 0);
        const char *found = private_in(c, w, inner);
        if (found)
            return found;
    }
    return NULL;
}

static void check_privacy(const struct check_context *c, const struct tree_file *f, const struct private_words *w)
{
    const char *found = private_in(f->statement->doc, w, false);
    if (found)
        report_add(c->report, VERDICT_FAIL, "privacy", f->name, "it holds %s", found);
    else
        report_add(c->report, VERDICT_PASS, "privacy", f->name, "%s", "");
}

/* Payloads: only paths of a person's machine, since a model may write anything and a task may quote
 * "/etc"; transcripts and items are content, not ours to judge. */
static enum status check_payload_privacy(const struct check_context *c, const struct tree_file *f,
                                         const struct private_words *w, struct err *err)
{
    const struct schema *sc;
    struct buf b = BUF_INIT;
    if (!f->statement || !f->statement->schema || schema_find(c->tree->schemas, f->statement->schema, &sc, NULL) ||
        sc->format == SCHEMA_JSONL || strcmp(sc->name, "pdf") == 0)
        return OK;
    enum status s = tree_read(c->tree, f, &b, err);
    if (!s && b.n && (strstr(b.data, "/home/") || strstr(b.data, "/root/") || strstr(b.data, "/Users/") ||
                      (strlen(w->home) > 5 && strstr(b.data, w->home)) || has_word(b.data, w->host)))
        report_add(c->report, VERDICT_FAIL, "privacy", f->name, "it holds a home path or this host's name");
    buf_release(&b);
    return s;
}

enum status check_statements(const struct check_context *c, struct err *err)
{
    struct private_words words;
    enum status s = OK;
    find_private_words(&words);
    for (size_t i = 0; i < c->tree->n && !s; i++) {
        const struct tree_file *f = &c->tree->files[i];
        if (tree_is_payload(f))
            s = check_payload_privacy(c, f, &words, err);
        if (!f->is_statement)
            continue;
        if (!f->statement) {
            report_add(c->report, VERDICT_FAIL, "statement", f->name, "%s", f->broken ? f->broken : "unreadable");
            continue;
        }
        check_form(c, f);
        check_digest(c, f);
        check_recipe(c, f);
        check_age(c, f);
        check_privacy(c, f, &words);
    }
    return s;
}
