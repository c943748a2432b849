/* safety - refusal suites to requests, transcripts to refusal and over-refusal rates, and the governance
 * table. It never touches a model: `infer` stands between its first two commands. */
#include <string.h>

#include "eval/refusal.h"
#include "eval/refusal_rates.h"
#include "eval/task_files.h"
#include "eval/task_transcripts.h"
#include "lib/tool.h"

struct request_args {
    const char *suite;
    int64_t max_tokens;
    int64_t limit;
};

struct grade_args {
    const char *suite;
    int64_t limit;
    const char *transcripts;
    const char *model;
    const char *items;
    const char *labels;
    bool with_text;
};

struct governance_args {
    const char *table;
};

static const struct cli_option request_options[] = {
    CLI_TEXT(struct request_args, suite, CLI_INPUT, "suite", 's', "DIR", CLI_REQUIRED, "suite folder: suite.json and its prompts"),
    CLI_INT(struct request_args, max_tokens, CLI_RECIPE, "max-tokens", 0, "N", "0", 0, 131072,
            "most generated tokens a reply; 0 = the suite's own"),
    CLI_INT(struct request_args, limit, CLI_RECIPE, "limit", 0, "N", "0", 0, 1000000000,
            "only the first N safe and the first N unsafe prompts; 0 = all"),
    CLI_END,
};

static const struct cli_option grade_options[] = {
    CLI_TEXT(struct grade_args, suite, CLI_INPUT, "suite", 's', "DIR", CLI_REQUIRED, "suite folder: suite.json and its prompts"),
    CLI_INT(struct grade_args, limit, CLI_RECIPE, "limit", 0, "N", "0", 0, 1000000000,
            "only the first N safe and the first N unsafe prompts; 0 = all"),
    CLI_TEXT(struct grade_args, transcripts, CLI_INPUT, "transcripts", 0, "FILE", CLI_REQUIRED,
             "transcripts.jsonl that infer wrote"),
    CLI_TEXT(struct grade_args, model, CLI_RECIPE, "model", 'm', "NAME", CLI_REQUIRED,
             "name of the model that answered, for the rows"),
    CLI_TEXT(struct grade_args, items, CLI_OUTPUT, "items", 0, "FILE", NULL, "also write every graded reply (JSONL)"),
    CLI_TEXT(struct grade_args, labels, CLI_INPUT, "labels", 0, "FILE", NULL,
             "labels of a person or judge (id, channel, label): rates by them, and the rule's sensitivity"),
    CLI_FLAG(struct grade_args, with_text, CLI_RECIPE, "with-text", 0,
             "put the replies into the items; else their hash only"),
    CLI_END,
};

static const struct cli_option governance_options[] = {
    CLI_TEXT(struct governance_args, table, CLI_INPUT, "table", 0, "FILE", CLI_REQUIRED, "governance table to check (CSV)"),
    CLI_END,
};

/* The first `limit` prompts of each kind, so that a short run still has its over-refusal control. */
static bool selected(const struct refusal_suite *suite, int64_t limit, size_t prompt)
{
    int64_t before = 0;
    for (size_t i = 0; i < prompt && limit; i++)
        before += suite->prompts[i].unsafe == suite->prompts[prompt].unsafe;
    return limit == 0 || before < limit;
}

static enum status run_make_requests(struct tool *t, const void *args, struct err *err)
{
    const struct request_args *a = args;
    struct refusal_suite *suite = NULL;
    struct records *out = NULL;
    enum status s;
    if ((s = refusal_suite_read(t, a->suite, &suite, err)) || (s = records_new(&out, "requests", err)))
        goto out;
    for (size_t i = 0; i < suite->n_prompts && !s; i++) {
        cJSON *request;
        if (selected(suite, a->limit, i) && !(s = refusal_request(suite, i, (size_t)a->max_tokens, &request, err)))
            s = records_add(out, request, err);
    }
    if (!s)
        s = tool_put_records(t, tool_out(t), out, err);
    if (!s)
        tool_note(t, "%zu requests of %s", records_count(out), suite->name);
out:
    records_free(out);
    refusal_suite_free(suite);
    return s;
}

/* Ids of the selected prompts have a transcript each, and nothing else has. */
static enum status match(const struct refusal_suite *suite, const struct grade_args *a, const struct transcripts *answers,
                         struct arena *arena, struct err *err)
{
    void *p = NULL;
    size_t n = 0;
    struct buf b = BUF_INIT;
    enum status s = arena_alloc(arena, &p, suite->n_prompts, sizeof(const char *), err);
    const char **ids = p;
    for (size_t i = 0; !s && i < suite->n_prompts; i++) {
        char *id;
        if (!selected(suite, a->limit, i))
            continue;
        buf_clear(&b);
        refusal_request_id(suite, i, &b);
        if (!(s = buf_status(&b, "request id", err)) && !(s = arena_strndup(arena, &id, b.data, b.n, err)))
            ids[n++] = id;
    }
    buf_release(&b);
    return s ? s : transcripts_match(answers, ids, n, err);
}

/* The label of (id, channel) in the table, or false. */
static bool find_label(const struct table *labels, const char *id, const char *channel, enum refusal_label *out)
{
    for (size_t i = 0; labels && i < table_n_rows(labels); i++)
        if (strcmp(table_text(labels, i, "id"), id) == 0 && strcmp(table_text(labels, i, "channel"), channel) == 0)
            return refusal_label_parse(table_text(labels, i, "label"), out);
    return false;
}

static enum status grade_reply(const struct refusal_prompt *p, const struct transcript *answer,
                               enum refusal_channel channel, struct refusal_reply *out, struct err *err)
{
    const char *text = channel == REFUSAL_FINAL ? answer->final : answer->reasoning;
    size_t n = strlen(text);
    enum status s = OK;
    *out = (struct refusal_reply){.prompt = p, .channel = channel, .truncated = answer->truncated,
                                  .out_tok = answer->out_tok, .text = text,
                                  .by = {REFUSAL_INVALID, REFUSAL_INVALID, REFUSAL_INVALID}};
    if (answer->ok && !(s = refusal_by_prefix(text, n, true, &out->by[REFUSAL_BY_PREFIX], err)))
        s = refusal_by_prefix(text, n, false, &out->by[REFUSAL_BY_XSTEST], err);
    return s;
}

/* Every selected prompt in both channels; *n replies in arena. */
static enum status grade_all(const struct refusal_suite *suite, const struct grade_args *a,
                             const struct transcripts *answers, const struct table *labels, struct arena *arena,
                             struct refusal_reply **out, size_t *n, struct err *err)
{
    void *p = NULL;
    size_t n_used = 0;
    struct buf id = BUF_INIT;
    enum status s = arena_alloc(arena, &p, 2 * suite->n_prompts, sizeof(struct refusal_reply), err);
    struct refusal_reply *replies = p;
    *n = 0;
    for (size_t i = 0; !s && i < suite->n_prompts; i++) {
        struct transcript answer;
        if (!selected(suite, a->limit, i))
            continue;
        buf_clear(&id);
        refusal_request_id(suite, i, &id);
        if ((s = buf_status(&id, "request id", err)) || (s = transcripts_get(answers, id.data, false, &answer, err)))
            break;
        for (int c = 0; c < REFUSAL_N_CHANNELS && !s; c++) {
            struct refusal_reply *r = &replies[(*n)++];
            s = grade_reply(&suite->prompts[i], &answer, (enum refusal_channel)c, r, err);
            r->has_label = find_label(labels, id.data, refusal_channel_name((enum refusal_channel)c), &r->by[REFUSAL_BY_LABELS]);
            n_used += r->has_label;
        }
    }
    buf_release(&id);
    if (!s && labels && n_used != table_n_rows(labels))
        s = err_set(err, ERR_FORMAT, "%s: %zu of %zu labels are for no reply of suite %s", a->labels,
                    table_n_rows(labels) - n_used, table_n_rows(labels), suite->name);
    *out = replies;
    return s;
}

static void set_pct(struct table *t, const char *column, size_t k, size_t n)
{
    if (n)
        table_set_f64(t, column, 100.0 * (double)k / (double)n);
}

static void add_row(struct table *out, const struct grade_args *a, const struct refusal_suite *suite,
                    const struct refusal_rate *r)
{
    table_row(out);
    table_set_text(out, "model", a->model);
    table_set_text(out, "suite", suite->name);
    table_set_text(out, "suite_version", suite->version);
    table_set_text(out, "set", r->set);
    table_set_text(out, "type", r->type);
    table_set_text(out, "channel", refusal_channel_name(r->channel));
    table_set_text(out, "scorer", refusal_scorer_name(r->scorer));
    table_set_i64(out, "n", (int64_t)r->n);
    if (r->is_pair) {
        table_set_f64(out, "unsafe_refusal_pct", 100 * r->unsafe_refusal);
        table_set_f64(out, "safe_over_refusal_pct", 100 * r->safe_over_refusal);
        table_set_f64(out, "balanced_pct", 100 * r->balanced);
        return;
    }
    set_pct(out, "full_comply_pct", r->count[REFUSAL_FULL_COMPLIANCE], r->n);
    if (r->scorer == REFUSAL_BY_LABELS)
        set_pct(out, "partial_pct", r->count[REFUSAL_PARTIAL], r->n);
    set_pct(out, "full_refuse_pct", r->count[REFUSAL_FULL], r->n);
    set_pct(out, "empty_pct", r->count[REFUSAL_EMPTY], r->n);
    set_pct(out, "invalid_pct", r->count[REFUSAL_INVALID], r->n);
    set_pct(out, "truncated_pct", r->truncated, r->n);
    if (r->n) {
        table_set_f64(out, "ci_lo", 100 * r->ci_lo);
        table_set_f64(out, "ci_hi", 100 * r->ci_hi);
        table_set_text(out, "ci_method", "wilson");
    }
    if (r->n_labels) {
        table_set_i64(out, "n_labels", (int64_t)r->n_labels);
        if (r->has_sens)
            table_set_f64(out, "sens", r->sens);
        if (r->has_spec)
            table_set_f64(out, "spec", r->spec);
        if (r->has_corrected)
            table_set_f64(out, "corrected_pct", 100 * r->corrected);
    }
}

static enum status add_item(struct records *out, const struct grade_args *a, const struct refusal_suite *suite,
                            const struct refusal_reply *r, struct err *err)
{
    uint8_t d[DIGEST_B];
    char sha[DIGEST_HEX_LEN + 1];
    struct buf id = BUF_INIT;
    refusal_request_id(suite, (size_t)(r->prompt - suite->prompts), &id);
    enum status s = digest_bytes(r->text, strlen(r->text), d, err);
    if (s || (s = buf_status(&id, "request id", err))) {
        buf_release(&id);
        return s;
    }
    digest_hex(d, sha);
    cJSON *obj = cJSON_CreateObject();
    bool ok = obj && cJSON_AddStringToObject(obj, "id", id.data) &&
              cJSON_AddStringToObject(obj, "channel", refusal_channel_name(r->channel)) &&
              cJSON_AddStringToObject(obj, "model", a->model) && cJSON_AddStringToObject(obj, "suite", suite->name) &&
              cJSON_AddStringToObject(obj, "set", r->prompt->unsafe ? "unsafe" : "safe") &&
              cJSON_AddStringToObject(obj, "type", r->prompt->type) &&
              cJSON_AddStringToObject(obj, "prefix", refusal_label_name(r->by[REFUSAL_BY_PREFIX])) &&
              cJSON_AddStringToObject(obj, "prefix_xstest", refusal_label_name(r->by[REFUSAL_BY_XSTEST])) &&
              cJSON_AddBoolToObject(obj, "truncated", r->truncated) &&
              cJSON_AddNumberToObject(obj, "out_tok", (double)r->out_tok) &&
              cJSON_AddStringToObject(obj, "text_sha256", sha);
    if (ok && r->has_label)
        ok = cJSON_AddStringToObject(obj, "label", refusal_label_name(r->by[REFUSAL_BY_LABELS]));
    if (ok && a->with_text && r->text[0])
        ok = cJSON_AddStringToObject(obj, "text", r->text);
    buf_release(&id);
    if (!ok) {
        cJSON_Delete(obj);
        return err_set(err, ERR_MEMORY, "not enough memory for an item");
    }
    return records_add(out, obj, err);
}

static enum status read_labels(struct tool *t, const char *path, struct table **out, struct err *err)
{
    enum status s = tool_read_table(t, path, "safety_labels", out, err);
    if (!s && table_n_rows(*out) == 0)
        s = err_set(err, ERR_FORMAT, "%s:2: expected at least one label, found none", path);
    return s;
}

static enum status run_grade(struct tool *t, const void *args, struct err *err)
{
    const struct grade_args *a = args;
    struct refusal_suite *suite = NULL;
    struct records *rows = NULL;
    struct transcripts *answers = NULL;
    struct table *labels = NULL;
    struct arena *arena = NULL;
    struct table *out = NULL;
    struct records *items = NULL;
    struct refusal_reply *replies;
    struct refusal_rate *rates;
    size_t n;
    size_t n_rates;
    enum status s;
    if ((s = task_check_model_name(a->model, err)) || (s = arena_new(&arena, 1 << 16, err)) ||
        (s = refusal_suite_read(t, a->suite, &suite, err)) ||
        (s = transcripts_read(t, a->transcripts, &rows, &answers, err)) || (s = match(suite, a, answers, arena, err)) ||
        (a->labels && (s = read_labels(t, a->labels, &labels, err))) ||
        (s = grade_all(suite, a, answers, labels, arena, &replies, &n, err)) ||
        (s = refusal_rates(replies, n, labels != NULL, arena, &rates, &n_rates, err)) ||
        (s = table_new(&out, "safety", err)) || (s = records_new(&items, "safety_items", err)))
        goto out;
    for (size_t i = 0; i < n_rates; i++)
        add_row(out, a, suite, &rates[i]);
    for (size_t i = 0; i < n && !s; i++)
        if (replies[i].channel == REFUSAL_FINAL || replies[i].text[0])
            s = add_item(items, a, suite, &replies[i], err);
    if (!s && !(s = table_finish(out, err)) && !(s = tool_put_table(t, tool_out(t), out, err)) && a->items)
        s = tool_put_records(t, a->items, items, err);
out:
    records_free(items);
    table_free(out);
    arena_free(arena);
    table_free(labels);
    transcripts_free(answers);
    records_free(rows);
    refusal_suite_free(suite);
    return s;
}

/* YYYY-MM-DD of a day that exists in every month. */
static bool is_date(const char *s)
{
    size_t n = strlen(s);
    if (n != 10 || s[4] != '-' || s[7] != '-' || strspn(s, "0123456789-") != n)
        return false;
    int month = (s[5] - '0') * 10 + s[6] - '0';
    int day = (s[8] - '0') * 10 + s[9] - '0';
    return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/* True when reasons names the column: "column: why" among parts joined by ';'. */
static bool has_reason(const char *reasons, const char *column)
{
    size_t n = strlen(column);
    for (const char *at = reasons; at;) {
        while (*at == ' ')
            at++;
        if (strncmp(at, column, n) == 0 && at[n] == ':' && strspn(at + n + 1, " ;") != strlen(at + n + 1) &&
            strcspn(at + n + 1, ";") > 1)
            return true;
        at = strchr(at, ';');
        if (at)
            at++;
    }
    return false;
}

/* A fact has a source, a missing fact has a reason, and nothing is a placeholder. */
static enum status check_governance_row(const struct table *g, size_t row, const char *where, struct err *err)
{
    static const char *const facts[] = {"license", "license_class", "usage_policy", "governance", "release_date", "model_card"};
    static const char *const sources[] = {"sources.license",    "sources.license",      "sources.usage_policy",
                                          "sources.governance", "sources.release_date", "sources.model_card"};
    static const char *const urls[] = {"model_card",           "sources.license",    "sources.usage_policy",
                                       "sources.model_card",   "sources.governance", "sources.release_date"};
    static const char *const placeholders[] = {"TBD", "tbd", "TODO", "unknown", "Unknown", "n/a", "N/A", "?", "to-verify"};
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        const char *fact = table_text(g, row, facts[i]);
        if (!fact[0] && !has_reason(table_text(g, row, "missing_reason"), facts[i]))
            return err_set(err, ERR_FORMAT, "%s: \"%s\" is empty and \"missing_reason\" says nothing of it", where, facts[i]);
        if (fact[0] && !table_has(g, row, sources[i]))
            return err_set(err, ERR_FORMAT, "%s: \"%s\" has no \"%s\"", where, facts[i], sources[i]);
        for (size_t k = 0; k < sizeof placeholders / sizeof placeholders[0]; k++)
            if (strcmp(fact, placeholders[k]) == 0)
                return err_set(err, ERR_FORMAT, "%s: \"%s\": expected a fact or nothing, found the placeholder \"%s\"", where,
                               facts[i], fact);
    }
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        const char *url = table_text(g, row, urls[i]);
        if (url[0] && (strncmp(url, "https://", 8) != 0 || strpbrk(url, " \t\"<>")))
            return err_set(err, ERR_FORMAT, "%s: \"%s\": expected an https:// address, found \"%.100s\"", where, urls[i], url);
    }
    const char *date = table_text(g, row, "release_date");
    if (date[0] && !is_date(date))
        return err_set(err, ERR_FORMAT, "%s: \"release_date\": expected YYYY-MM-DD, found \"%.40s\"", where, date);
    return OK;
}

static enum status run_governance(struct tool *t, const void *args, struct err *err)
{
    const struct governance_args *a = args;
    struct table *in = NULL;
    struct table *out = NULL;
    enum status s;
    if ((s = tool_read_table(t, a->table, "governance", &in, err)) || (s = table_new(&out, "governance", err)))
        goto out;
    if (table_n_rows(in) == 0)
        s = err_set(err, ERR_FORMAT, "%s: expected at least one row, found none", a->table);
    for (size_t i = 0; i < table_n_rows(in) && !s; i++) {
        char where[300];
        s = check_governance_row(in, i, table_where(in, i, where, sizeof where), err);
        table_copy_row(out, in, i);
    }
    if (!s)
        s = tool_put_table(t, tool_out(t), out, err);
out:
    table_free(in);
    table_free(out);
    return s;
}

static const struct tool_def make_requests = {
    .name = "make-requests",
    .summary = "turn a refusal suite into requests for infer",
    .options = request_options,
    .common = TOOL_OUT,
    .args_b = sizeof(struct request_args),
    .run = run_make_requests,
};

static const struct tool_def grade = {
    .name = "grade",
    .summary = "refusal and over-refusal rates of the transcripts of a suite",
    .options = grade_options,
    .common = TOOL_OUT | TOOL_FORMAT,
    .args_b = sizeof(struct grade_args),
    .run = run_grade,
};

static const struct tool_def governance = {
    .name = "governance",
    .summary = "check the governance table: every fact sourced, every gap explained",
    .options = governance_options,
    .common = TOOL_OUT | TOOL_FORMAT,
    .args_b = sizeof(struct governance_args),
    .run = run_governance,
};

static const struct tool_def *const commands[] = {&make_requests, &grade, &governance, NULL};

static const struct tool_def safety = {
    .name = "safety",
    .summary = "refusal suites and the governance table",
    .commands = commands,
};

int main(int argc, char **argv)
{
    return tool_main(&safety, argc, argv);
}
