/* accuracy - from task folders to requests, and from transcripts to scores. It never touches a model:
 * `infer` stands between its two commands. */
#include <string.h>

#include "lib/paths.h"
#include "lib/stats.h"
#include "eval/task_files.h"
#include "eval/task_grade.h"
#include "lib/tool.h"

/* What decides the prompts. Both commands take it: the grader makes the requests again. */
struct ask_args {
    const char *task;
    const char *system;
    const char *model_config;
    bool chat;
    bool single_turn;
    bool force_raw;
    int64_t shots;
    int64_t limit;
    int64_t max_tokens;
    int64_t top_k;
    double temperature;
    double top_p;
};

struct accuracy_args {
    struct ask_args ask;
    const char *transcripts;
    const char *model;
    const char *items;
    const char *effort;
};

struct cost_args {
    const char *accuracy;
    const char *timing;
    bool draft;
};

#define ASK_OPTIONS                                                                                                  \
    CLI_TEXT(struct accuracy_args, ask.task, CLI_INPUT, "task", 't', "DIR", CLI_REQUIRED,                           \
             "task folder: task.json and its items"),                                                                \
        CLI_FLAG(struct accuracy_args, ask.chat, CLI_RECIPE, "chat", 0,                                              \
                 "ask through the model's chat template instead of raw text"),                                       \
        CLI_FLAG(struct accuracy_args, ask.single_turn, CLI_RECIPE, "single-turn", 0,                                \
                 "with --chat: shots and question in one user message"),                                             \
        CLI_TEXT(struct accuracy_args, ask.system, CLI_RECIPE, "system", 0, "TEXT", NULL,                            \
                 "system instruction before the task's description"),                                                \
        CLI_INT(struct accuracy_args, ask.shots, CLI_RECIPE, "shots", 0, "N", "-1", -1, 1000,                        \
                "worked examples in the prompt; -1 = the task's own count"),                                         \
        CLI_INT(struct accuracy_args, ask.limit, CLI_RECIPE, "limit", 0, "N", "0", 0, 1000000000,                    \
                "only the first N items; 0 = all"),                                                                  \
        CLI_INT(struct accuracy_args, ask.max_tokens, CLI_RECIPE, "max-tokens", 0, "N", "0", 0, 131072,              \
                "most generated tokens a reply; 0 = the task's own"),                                                \
        CLI_REAL(struct accuracy_args, ask.temperature, CLI_RECIPE, "temperature", 0, "X", "0", 0, 100,              \
                 "of generation; 0 = greedy"),                                                                       \
        CLI_REAL(struct accuracy_args, ask.top_p, CLI_RECIPE, "top-p", 0, "X", "1", 0, 1,                            \
                 "of generation; 1 = off"),                                                                          \
        CLI_INT(struct accuracy_args, ask.top_k, CLI_RECIPE, "top-k", 0, "N", "0", 0, 1000000,                       \
                "of generation; 0 = off"),                                                                           \
        CLI_TEXT(struct accuracy_args, ask.model_config, CLI_RUN, "model-config", 0, "FILE", NULL,                 \
                 "config.json of the model: a gpt-oss model is not scored on raw text"),                             \
        CLI_FLAG(struct accuracy_args, ask.force_raw, CLI_RECIPE, "force-raw", 0,                                    \
                 "score raw text of a gpt-oss model all the same")

static const struct cli_option request_options[] = {ASK_OPTIONS, CLI_END};

static const struct cli_option grade_options[] = {
    ASK_OPTIONS,
    CLI_TEXT(struct accuracy_args, transcripts, CLI_INPUT, "transcripts", 0, "FILE", CLI_REQUIRED,
             "transcripts.jsonl that infer wrote"),
    CLI_TEXT(struct accuracy_args, model, CLI_RECIPE, "model", 'm', "NAME", CLI_REQUIRED,
             "name of the model that answered, for the rows"),
    CLI_TEXT(struct accuracy_args, items, CLI_OUTPUT, "items", 0, "FILE", NULL, "also write every graded item (JSONL)"),
    CLI_TEXT(struct accuracy_args, effort, CLI_RECIPE, "effort", 0, "TEXT", NULL,
             "reasoning effort the model was run with, for the rows"),
    CLI_END,
};

static const struct cli_option cost_options[] = {
    CLI_TEXT(struct cost_args, accuracy, CLI_INPUT, "accuracy", 0, "FILE", CLI_REQUIRED, "accuracy.csv that grade wrote"),
    CLI_TEXT(struct cost_args, timing, CLI_INPUT, "timing", 0, "FILE", CLI_REQUIRED,
             "transcripts.timing.csv of the same run"),
    CLI_FLAG(struct cost_args, draft, CLI_RECIPE, "draft", 0, "mark the rows as a draft: no claim"),
    CLI_END,
};

static const char *mode_name(const struct ask_args *a)
{
    return !a->chat ? "text" : a->single_turn ? "chat_single" : "chat";
}

/* A gpt-oss model answers in channels: its raw text is no answer, and the likelihood of a bare choice
 * where it would open a channel means nothing. The config can stop the run but never change what it writes, so it is no input
 * of the statement: requests and scores are checked again where no model lies. */
static enum status check_harmony(const struct ask_args *a, const struct task *task, struct err *err)
{
    struct buf b = BUF_INIT;
    cJSON *config = NULL;
    const char *type = "";
    if (!a->model_config)
        return OK;
    enum status s = path_read(a->model_config, &b, err);
    if (!s)
        s = json_parse(&config, b.data ? b.data : "", b.n, a->model_config, err);
    if (!s)
        s = json_get_str(config, "model_type", a->model_config, &type, err);
    bool harmony = !s && strcmp(type, "gpt_oss") == 0;
    if (harmony && task->kind == TASK_GENERATE && !a->chat && !a->force_raw)
        s = err_set(err, ERR_UNSUPPORTED,
                    "task %s: a gpt_oss model is not scored on raw text: ask with --chat (or --force-raw)", task->name);
    else if (harmony && task->kind == TASK_MULTIPLE_CHOICE && a->chat)
        s = err_set(err, ERR_UNSUPPORTED,
                    "task %s: in chat mode a gpt_oss model opens a channel before any choice, so log-likelihoods of "
                    "choices mean nothing: ask without --chat",
                    task->name);
    cJSON_Delete(config);
    buf_release(&b);
    return s;
}

/* The task, checked, and the options in the library's terms. */
static enum status open_task(struct tool *t, const struct ask_args *a, struct task **task, struct task_options *o,
                             struct err *err)
{
    enum status s;
    size_t shots;
    *o = (struct task_options){.chat = a->chat, .single_turn = a->single_turn, .system = a->system,
                               .n_shots = a->shots, .limit = (size_t)a->limit, .max_tokens = (size_t)a->max_tokens,
                               .temperature = a->temperature, .top_p = a->top_p, .top_k = a->top_k,
                               .seed = (int64_t)tool_seed(t)};
    if ((s = task_read(t, a->task, task, err)) || (s = task_shots(*task, o, &shots, err)))
        return s;
    if (a->single_turn && !a->chat)
        return err_set(err, ERR_USAGE, "--single-turn needs --chat");
    return check_harmony(a, *task, err);
}

static enum status run_make_requests(struct tool *t, const void *args, struct err *err)
{
    const struct accuracy_args *a = args;
    struct task *task = NULL;
    struct records *out = NULL;
    struct task_options o;
    enum status s;
    if ((s = open_task(t, &a->ask, &task, &o, err)) || (s = records_new(&out, "requests", err)))
        goto out;
    for (size_t d = 0; d < task_docs(task, &o) && !s; d++) {
        for (size_t c = 0; c < task_requests_of(task, d) && !s; c++) {
            cJSON *request;
            if (!(s = task_request(task, &o, d, c, &request, err)))
                s = records_add(out, request, err);
        }
    }
    if (!s)
        s = tool_put_records(t, tool_out(t), out, err);
    if (!s)
        tool_note(t, "%zu requests for %zu items of %s", records_count(out), task_docs(task, &o), task->name);
out:
    records_free(out);
    task_free(task);
    return s;
}

static const char *filter_name(const struct task *task, size_t filter)
{
    return task->kind == TASK_GENERATE ? score_filter_name(task->filters[filter]) : "none";
}

static double pct(size_t k, size_t n)
{
    return 100.0 * (double)k / (double)n;
}

static void add_row(struct table *out, const struct accuracy_args *a, const struct task *task,
                    const struct task_options *o, size_t shots, const struct grade_sum *sum)
{
    struct stats_interval ci = stats_wilson(sum->correct, sum->n);
    bool generated = task->kind == TASK_GENERATE;
    table_row(out);
    table_set_text(out, "model", a->model);
    table_set_text(out, "task", task->name);
    table_set_text(out, "task_version", task->version);
    table_set_text(out, "mode", mode_name(&a->ask));
    table_set_text(out, "filter", filter_name(task, sum->filter));
    table_set_text(out, "metric", score_metric_name(task->metrics[sum->metric]));
    table_set_text(out, "subset", sum->subset);
    table_set_bool(out, "headline", sum->filter == 0 && sum->metric == 0 && strcmp(sum->subset, "all") == 0);
    table_set_i64(out, "shots", (int64_t)shots);
    table_set_text(out, "effort", a->effort);
    if (generated)
        table_set_f64(out, "temperature", o->temperature);
    if (generated && o->temperature > 0)
        table_set_i64(out, "seed", o->seed);
    table_set_i64(out, "n", (int64_t)sum->n);
    table_set_i64(out, "correct", (int64_t)sum->correct);
    table_set_f64(out, "acc_pct", pct(sum->correct, sum->n));
    if (sum->has_stderr)
        table_set_f64(out, "stderr_pp", 100 * sum->stderr_mean);
    table_set_f64(out, "ci_lo", 100 * ci.lo);
    table_set_f64(out, "ci_hi", 100 * ci.hi);
    table_set_text(out, "ci_method", "wilson");
    table_set_f64(out, "chance_pct", 100 * sum->chance);
    table_set_f64(out, "invalid_pct", pct(sum->invalid, sum->n));
    table_set_f64(out, "no_final_pct", pct(sum->no_final, sum->n));
    table_set_f64(out, "error_pct", pct(sum->error, sum->n));
    table_set_f64(out, "truncated_pct", pct(sum->truncated, sum->n));
    if (generated)
        table_set_f64(out, "out_tok_mean", (double)sum->out_tok / (double)sum->n);
}

static bool put_text(cJSON *obj, const char *key, const char *text)
{
    return !text[0] || cJSON_AddStringToObject(obj, key, text);
}

/* One item as a line of items.jsonl. */
static enum status add_item(struct records *out, const struct accuracy_args *a, const struct task *task,
                            const struct task_options *o, const struct grade_item *item, struct err *err)
{
    char sha[DIGEST_HEX_LEN + 1];
    enum status s = task_prompt_sha256(task, o, item->doc, sha, err);
    if (s)
        return s;
    cJSON *obj = cJSON_CreateObject();
    bool ok = obj && cJSON_AddStringToObject(obj, "id", item->id) &&
              cJSON_AddStringToObject(obj, "filter", filter_name(task, item->filter)) &&
              cJSON_AddStringToObject(obj, "task", task->name) && cJSON_AddStringToObject(obj, "model", a->model) &&
              cJSON_AddStringToObject(obj, "mode", mode_name(&a->ask)) &&
              cJSON_AddStringToObject(obj, "subset", task_doc_subset(task, item->doc)) &&
              cJSON_AddNumberToObject(obj, "doc", (double)item->doc) &&
              cJSON_AddStringToObject(obj, "prompt_sha256", sha) &&
              cJSON_AddStringToObject(obj, "target", item->target) && put_text(obj, "answer", item->answer) &&
              cJSON_AddStringToObject(obj, "label", grade_label_name(item->label)) &&
              put_text(obj, "response", item->response) && put_text(obj, "reasoning", item->reasoning) &&
              cJSON_AddBoolToObject(obj, "truncated", item->truncated);
    for (size_t m = 0; m < task->n_metrics; m++)
        ok = ok && cJSON_AddBoolToObject(obj, score_metric_name(task->metrics[m]), item->hit[m]);
    if (ok && task->kind == TASK_GENERATE)
        ok = cJSON_AddNumberToObject(obj, "out_tok", (double)item->out_tok);
    if (ok && item->n_logprobs) {
        cJSON *list = cJSON_CreateDoubleArray(item->logprobs, (int)item->n_logprobs);
        ok = list && cJSON_AddItemToObject(obj, "logprobs", list);
    }
    if (!ok) {
        cJSON_Delete(obj);
        return err_set(err, ERR_MEMORY, "not enough memory for an item");
    }
    return records_add(out, obj, err);
}

static enum status run_grade(struct tool *t, const void *args, struct err *err)
{
    const struct accuracy_args *a = args;
    const struct grade_options rules = {.force_raw = a->ask.force_raw};
    struct task_options o;
    struct task *task = NULL;
    struct records *rows = NULL;
    struct records *items = NULL;
    struct transcripts *answers = NULL;
    struct grade *g = NULL;
    struct table *out = NULL;
    size_t shots = 0;
    enum status s;
    if ((s = task_check_model_name(a->model, err)) || (s = open_task(t, &a->ask, &task, &o, err)) ||
        (s = task_shots(task, &o, &shots, err)) ||
        (s = transcripts_read(t, a->transcripts, &rows, &answers, err)) ||
        (s = task_grade(&g, task, &o, answers, &rules, err)) ||
        (s = table_new(&out, "accuracy", err)) || (s = records_new(&items, "items", err)))
        goto out;
    for (size_t i = 0; i < g->n_sums; i++)
        add_row(out, a, task, &o, shots, &g->sums[i]);
    for (size_t i = 0; i < g->n_items && !s; i++)
        s = add_item(items, a, task, &o, &g->items[i], err);
    if (s || (s = table_finish(out, err)))
        goto out;
    if (!(s = tool_put_table(t, tool_out(t), out, err)) && a->items)
        s = tool_put_records(t, a->items, items, err);
    if (!s)
        tool_note(t, "%s: %zu of %zu correct (%s)", task->name, g->sums[0].correct, g->sums[0].n, filter_name(task, 0));
out:
    table_free(out);
    records_free(items);
    grade_free(g);
    transcripts_free(answers);
    records_free(rows);
    task_free(task);
    return s;
}

/* First request submitted to last one done, of requests that all belong to the task; and what of their
 * tokens was not computed. */
static enum status span_ns(const struct table *timing, const char *path, const char *task, int64_t *out,
                           int64_t *cached_tok, struct err *err)
{
    int64_t first = INT64_MAX;
    int64_t last = -1;
    *cached_tok = 0;
    size_t n = strlen(task);
    for (size_t i = 0; i < table_n_rows(timing); i++) {
        const char *id = table_text(timing, i, "id");
        if (strncmp(id, task, n) != 0 || id[n] != '/')
            return err_set(err, ERR_FORMAT, "%s: id \"%.200s\" is no request of task %s", path, id, task);
        if (table_has(timing, i, "t_start_ns") && table_i64(timing, i, "t_start_ns") < first)
            first = table_i64(timing, i, "t_start_ns");
        if (table_has(timing, i, "t_done_ns") && table_i64(timing, i, "t_done_ns") > last)
            last = table_i64(timing, i, "t_done_ns");
        if (table_has(timing, i, "in_cached_tok"))
            *cached_tok += table_i64(timing, i, "in_cached_tok");
    }
    if (last < first)
        return err_set(err, ERR_FORMAT, "%s: expected rows with t_start_ns and t_done_ns, found none", path);
    *out = last - first;
    return OK;
}

/* Costs are measured, scores are exact: a file of their own, or no score could be compared by its hash. */
static enum status run_cost(struct tool *t, const void *args, struct err *err)
{
    const struct cost_args *a = args;
    struct table *scores = NULL;
    struct table *timing = NULL;
    struct table *out = NULL;
    size_t row = SIZE_MAX;
    int64_t span = 0;
    int64_t cached_tok = 0;
    enum status s;
    if ((s = tool_read_table(t, a->accuracy, "accuracy", &scores, err)) ||
        (s = tool_read_table(t, a->timing, "transcripts_timing", &timing, err)))
        goto out;
    for (size_t i = 0; i < table_n_rows(scores) && !s; i++) {
        if (!table_bool(scores, i, "headline"))
            continue;
        if (row != SIZE_MAX)
            s = err_set(err, ERR_FORMAT, "%s: expected one headline row, found two", a->accuracy);
        row = i;
    }
    if (!s && row == SIZE_MAX)
        s = err_set(err, ERR_FORMAT, "%s: expected a headline row, found none", a->accuracy);
    if (s || (s = span_ns(timing, a->timing, table_text(scores, row, "task"), &span, &cached_tok, err)) ||
        (s = table_new(&out, "accuracy_cost", err)))
        goto out;
    table_copy_row(out, scores, row);
    table_set_bool(out, "draft", a->draft);
    table_set_i64(out, "in_cached_tok", cached_tok);
    table_set_f64(out, "s_per_item", (double)span / 1e9 / (double)table_i64(scores, row, "n"));
    s = tool_put_table(t, tool_out(t), out, err);
out:
    table_free(scores);
    table_free(timing);
    table_free(out);
    return s;
}

static const struct tool_def make_requests = {
    .name = "make-requests",
    .summary = "turn a task folder into requests for infer",
    .options = request_options,
    .common = TOOL_OUT | TOOL_SEED,
    .args_b = sizeof(struct accuracy_args),
    .run = run_make_requests,
};

static const struct tool_def grade = {
    .name = "grade",
    .summary = "score the transcripts of a task: accuracy with intervals, and every item",
    .options = grade_options,
    .common = TOOL_OUT | TOOL_FORMAT | TOOL_SEED,
    .args_b = sizeof(struct accuracy_args),
    .run = run_grade,
};

static const struct tool_def cost = {
    .name = "cost",
    .summary = "time an item took, from accuracy.csv and infer's timings",
    .options = cost_options,
    .common = TOOL_OUT | TOOL_FORMAT,
    .args_b = sizeof(struct cost_args),
    .run = run_cost,
};

static const struct tool_def *const commands[] = {&make_requests, &grade, &cost, NULL};

static const struct tool_def accuracy = {
    .name = "accuracy",
    .summary = "accuracy tasks: make requests, grade transcripts, cost of an item",
    .commands = commands,
};

int main(int argc, char **argv)
{
    return tool_main(&accuracy, argc, argv);
}
