#include "eval/task.h"

#include <stdio.h>
#include <string.h>

#include "eval/task_json.h"
#include "eval/task_template.h"

struct task_owned {
    struct arena *arena;
    cJSON *definition;
    struct jsonl items;
};

static enum status parse_choices(struct task *t, const cJSON *d, const char *where, struct err *err)
{
    const cJSON *v = json_get(d, "choices");
    enum status s;
    if (cJSON_IsString(v)) {
        t->choices_field = v->valuestring;
    } else {
        if ((s = json_get_texts(t->owned->arena, d, "choices", where, &t->choices, &t->n_choices, err)))
            return s;
        if (t->n_choices < 2)
            return err_set(err, ERR_FORMAT, "%s: \"choices\": expected a field's name or at least 2 texts", where);
        for (size_t i = 0; i < t->n_choices; i++)
            if (!t->choices[i][0])
                return err_set(err, ERR_FORMAT, "%s: \"choices\": item %zu is empty", where, i);
    }
    return json_get_str(d, "gold", where, &t->gold_field, err);
}

static enum status parse_shots(struct task *t, const cJSON *d, const char *where, struct err *err)
{
    static const char *const keys[] = {"sampler", "n", "items", "doc_to_target", NULL};
    const cJSON *shots = json_get(d, "shots");
    const char *sampler;
    int64_t n;
    enum status s;
    t->shot_to_target = t->doc_to_target;
    if (!shots)
        return OK;
    if ((s = json_only_keys(shots, keys, where, err)) || (s = json_get_str(shots, "sampler", where, &sampler, err)))
        return s;
    if (strcmp(sampler, "first_n") != 0)
        return err_set(err, ERR_UNSUPPORTED, "%s: \"sampler\": expected first_n, found \"%.60s\"", where, sampler);
    if ((s = json_get_array(shots, "items", 1, where, &t->shot_pool, err)))
        return s;
    t->n_shot_pool = (size_t)cJSON_GetArraySize(t->shot_pool);
    if ((s = json_get_i64_or(shots, "n", 0, 0, (int64_t)t->n_shot_pool, where, &n, err)))
        return s;
    t->n_shots = (size_t)n;
    t->zero_shot = json_get(shots, "n") && n == 0;
    if (t->kind == TASK_MULTIPLE_CHOICE && json_get(shots, "doc_to_target"))
        return err_set(err, ERR_FORMAT, "%s: shots: \"doc_to_target\" belongs to generate tasks", where);
    return json_get_str_or(shots, "doc_to_target", t->doc_to_target, where, &t->shot_to_target, err);
}

static enum status parse_filters(struct task *t, const cJSON *d, const char *where, struct err *err)
{
    const cJSON *list;
    const cJSON *one;
    void *p;
    enum status s;
    if ((s = json_get_array(d, "filters", 1, where, &list, err)) ||
        (s = arena_alloc(t->owned->arena, &p, (size_t)cJSON_GetArraySize(list), sizeof(struct score_filter *), err)))
        return s;
    t->filters = p;
    cJSON_ArrayForEach(one, list)
    {
        if ((s = score_filter_parse(&t->filters[t->n_filters], one, where, err)))
            return s;
        t->n_filters++;
        for (size_t i = 0; i + 1 < t->n_filters; i++)
            if (strcmp(score_filter_name(t->filters[i]), score_filter_name(t->filters[t->n_filters - 1])) == 0)
                return err_set(err, ERR_FORMAT, "%s: two filters named \"%s\"", where, score_filter_name(t->filters[i]));
    }
    return OK;
}

static enum status parse_metrics(struct task *t, const cJSON *d, const char *where, struct err *err)
{
    const cJSON *list;
    const cJSON *one;
    void *p;
    enum status s;
    if ((s = json_get_array(d, "metrics", 1, where, &list, err)) ||
        (s = arena_alloc(t->owned->arena, &p, (size_t)cJSON_GetArraySize(list), sizeof(struct score_metric *), err)))
        return s;
    t->metrics = p;
    cJSON_ArrayForEach(one, list)
    {
        if ((s = score_metric_parse(&t->metrics[t->n_metrics], one, where, err)))
            return s;
        const struct score_metric *m = t->metrics[t->n_metrics++];
        if ((score_metric_kind(m) == METRIC_EXACT_MATCH) != (t->kind == TASK_GENERATE))
            return err_set(err, ERR_FORMAT, "%s: metric \"%s\" does not fit a %s task", where, score_metric_name(m),
                           t->kind == TASK_GENERATE ? "generate" : "multiple_choice");
        for (size_t i = 0; i + 1 < t->n_metrics; i++)
            if (score_metric_kind(t->metrics[i]) == score_metric_kind(m))
                return err_set(err, ERR_FORMAT, "%s: metric \"%s\" stands twice", where, score_metric_name(m));
    }
    return OK;
}

static enum status parse_kind(struct task *t, const cJSON *d, const char *where, struct err *err)
{
    static const char *const common[] = {"schema", "name", "version", "title", "kind", "items", "description",
                                         "doc_to_text", "subset", "target_delimiter", "shot_delimiter", "shots",
                                         "metrics"};
    static const char *const choice[] = {"choices", "gold"};
    static const char *const generate[] = {"doc_to_target", "stop", "max_tokens", "chance_pct", "filters"};
    const char *keys[24] = {NULL};
    const char *kind;
    enum status s = json_get_str(d, "kind", where, &kind, err);
    if (s)
        return s;
    bool is_choice = strcmp(kind, "multiple_choice") == 0;
    if (!is_choice && strcmp(kind, "generate") != 0)
        return err_set(err, ERR_FORMAT, "%s: \"kind\": expected multiple_choice or generate, found \"%.60s\"", where, kind);
    t->kind = is_choice ? TASK_MULTIPLE_CHOICE : TASK_GENERATE;
    size_t n = sizeof common / sizeof common[0];
    memcpy(keys, common, sizeof common);
    if (is_choice)
        memcpy(keys + n, choice, sizeof choice);
    else
        memcpy(keys + n, generate, sizeof generate);
    return json_only_keys(d, keys, where, err);
}

static enum status parse_generate(struct task *t, const cJSON *d, const char *where, struct err *err)
{
    int64_t max_tokens;
    enum status s;
    if ((s = json_get_str(d, "doc_to_target", where, &t->doc_to_target, err)) ||
        (s = json_get_texts(t->owned->arena, d, "stop", where, &t->stops, &t->n_stops, err)) ||
        (s = json_get_i64(d, "max_tokens", 1, 131072, where, &max_tokens, err)) ||
        (s = json_get_f64(d, "chance_pct", 0, 100, where, &t->chance_pct, err)))
        return s;
    t->max_tokens = (size_t)max_tokens;
    for (size_t i = 0; i < t->n_stops; i++)
        if (!t->stops[i][0])
            return err_set(err, ERR_FORMAT, "%s: \"stop\": item %zu is empty", where, i);
    return parse_filters(t, d, where, err);
}

static enum status parse_definition(struct task *t, const cJSON *d, const char *where, struct err *err)
{
    const char *schema;
    enum status s;
    if ((s = json_get_str(d, "schema", where, &schema, err)))
        return s;
    if (strcmp(schema, "task/1") != 0)
        return err_set(err, ERR_UNSUPPORTED, "%s: \"schema\": expected task/1, found \"%.60s\"", where, schema);
    if ((s = parse_kind(t, d, where, err)) || (s = json_get_str(d, "name", where, &t->name, err)) ||
        (s = json_check_name(t->name, "task name", where, err)) ||
        (s = json_get_str(d, "version", where, &t->version, err)) ||
        (s = json_get_str(d, "items", where, &t->items, err)) ||
        (s = json_get_str_or(d, "description", "", where, &t->description, err)) ||
        (s = json_get_str(d, "doc_to_text", where, &t->doc_to_text, err)) ||
        (s = json_get_str_or(d, "subset", NULL, where, &t->subset_field, err)) ||
        (s = json_get_str_or(d, "target_delimiter", " ", where, &t->target_delimiter, err)) ||
        (s = json_get_str_or(d, "shot_delimiter", "\n\n", where, &t->shot_delimiter, err)))
        return s;
    if (!t->items[0] || t->items[0] == '/')
        return err_set(err, ERR_FORMAT, "%s: \"items\": expected a relative path, found \"%.200s\"", where, t->items);
    s = t->kind == TASK_GENERATE ? parse_generate(t, d, where, err) : parse_choices(t, d, where, err);
    if (s || (s = parse_shots(t, d, where, err)))
        return s;
    return parse_metrics(t, d, where, err);
}

/* A document or shot of a multiple-choice task: its choices are texts, its gold index one of them. */
static enum status check_choice_doc(const struct task *t, const cJSON *doc, const char *where, struct err *err)
{
    int64_t gold;
    int64_t n = (int64_t)t->n_choices;
    enum status s;
    if (t->choices_field) {
        const cJSON *list;
        const cJSON *one;
        if ((s = json_get_array(doc, t->choices_field, 2, where, &list, err)))
            return s;
        n = cJSON_GetArraySize(list);
        cJSON_ArrayForEach(one, list)
        {
            if (!cJSON_IsString(one) || !one->valuestring[0])
                return err_set(err, ERR_FORMAT, "%s: \"%s\": expected texts that are not empty", where,
                               t->choices_field);
        }
    }
    return json_get_i64(doc, t->gold_field, 0, n - 1, where, &gold, err);
}

static enum status check_doc(const struct task *t, const cJSON *doc, const char *to_target, const char *where,
                             struct err *err)
{
    struct buf b = BUF_INIT;
    enum status s = template_render(&b, t->doc_to_text, doc, where, err);
    if (!s)
        s = t->kind == TASK_GENERATE ? template_render(&b, to_target, doc, where, err)
                                     : check_choice_doc(t, doc, where, err);
    buf_release(&b);
    return s;
}

static enum status check_shots(const struct task *t, const char *name, struct err *err)
{
    char where[300];
    size_t k = 0;
    enum status s = OK;
    const cJSON *shot;
    cJSON_ArrayForEach(shot, t->shot_pool)
    {
        snprintf(where, sizeof where, "%.250s: shot %zu", name, k++);
        if (!s)
            s = check_doc(t, shot, t->shot_to_target, where, err);
    }
    return s;
}

enum status task_parse(struct task **out, const char *data, size_t n, const char *name, struct err *err)
{
    struct arena *arena = NULL;
    void *p;
    void *q;
    enum status s = arena_new(&arena, 4096, err);
    if (s)
        return s;
    if ((s = arena_alloc(arena, &p, 1, sizeof(struct task), err)) ||
        (s = arena_alloc(arena, &q, 1, sizeof(struct task_owned), err))) {
        arena_free(arena);
        return s;
    }
    struct task *t = p;
    t->owned = q;
    t->owned->arena = arena;
    if ((s = json_parse(&t->owned->definition, data, n, name, err)) ||
        (s = parse_definition(t, t->owned->definition, name, err)) || (s = check_shots(t, name, err))) {
        task_free(t);
        return s;
    }
    *out = t;
    return OK;
}

void task_free(struct task *t)
{
    if (!t)
        return;
    struct task_owned *o = t->owned;
    for (size_t i = 0; i < t->n_filters; i++)
        score_filter_free(t->filters[i]);
    for (size_t i = 0; i < t->n_metrics; i++)
        score_metric_free(t->metrics[i]);
    jsonl_release(&o->items);
    cJSON_Delete(o->definition);
    arena_free(o->arena); // holds t itself
}

enum status task_add_items(struct task *t, const char *data, size_t n, const char *name, struct err *err)
{
    struct jsonl *items = &t->owned->items;
    char where[300];
    enum status s = jsonl_parse(items, data, n, name, err);
    if (s)
        return s;
    for (size_t i = 0; i < items->n && !s; i++) {
        const char *subset;
        snprintf(where, sizeof where, "%.250s:%zu", name, i + 1);
        s = check_doc(t, items->objects[i], t->doc_to_target, where, err);
        if (!s && t->subset_field && !(s = json_get_str(items->objects[i], t->subset_field, where, &subset, err))) {
            if (!(s = json_check_name(subset, t->subset_field, where, err)) && strcmp(subset, "all") == 0)
                s = err_set(err, ERR_FORMAT, "%s: \"%s\": \"all\" means the whole task", where, t->subset_field);
        }
    }
    if (s)
        return s;
    t->docs = items->objects;
    t->n_docs = items->n;
    return OK;
}

size_t task_doc_choices(const struct task *t, size_t doc)
{
    return t->choices_field ? (size_t)cJSON_GetArraySize(json_get(t->docs[doc], t->choices_field)) : t->n_choices;
}

const char *task_doc_choice(const struct task *t, size_t doc, size_t choice)
{
    return t->choices_field
               ? cJSON_GetArrayItem(json_get(t->docs[doc], t->choices_field), (int)choice)->valuestring
               : t->choices[choice];
}

size_t task_doc_gold(const struct task *t, size_t doc)
{
    return (size_t)json_get(t->docs[doc], t->gold_field)->valuedouble;
}

enum status task_doc_target(const struct task *t, size_t doc, struct buf *out, struct err *err)
{
    return template_render(out, t->doc_to_target, t->docs[doc], t->name, err);
}

const char *task_doc_subset(const struct task *t, size_t doc)
{
    return t->subset_field ? json_get(t->docs[doc], t->subset_field)->valuestring : "all";
}
