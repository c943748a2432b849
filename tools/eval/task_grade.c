#include "eval/task_grade.h"

#include <string.h>

#include "lib/extract_text.h"
#include "lib/stats.h"

struct grade_owned {
    struct arena *arena;
};

static const char *const label_names[] = {"correct", "wrong", "invalid", "no_final", "error"};

const char *grade_label_name(enum grade_label l)
{
    return label_names[l];
}

/* What is being worked on; everything it makes lives in the arena. */
struct grader {
    const struct task *task;
    const struct task_options *options;
    const struct transcripts *answers;
    const struct grade_options *rules;
    struct arena *arena;
    struct grade_item *items;
    size_t n_docs;
    size_t n_filters;
    struct err *err;
};

static enum status keep(const struct grader *g, const struct buf *b, const char **out)
{
    char *copy;
    enum status s = buf_status(b, "graded text", g->err);
    if (!s && !(s = arena_strndup(g->arena, &copy, b->data ? b->data : "", b->n, g->err)))
        *out = copy;
    return s;
}

static enum status keep_id(const struct grader *g, size_t doc, const char **out)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s/%zu", g->task->name, doc);
    enum status s = keep(g, &b, out);
    buf_release(&b);
    return s;
}

/* Ids of every request, in order: a list of n in arena. */
static enum status request_ids(const struct task *t, const struct task_options *o, struct arena *arena,
                     const char *const **out, size_t *n, struct err *err)
{
    size_t total = 0;
    size_t n_docs = task_docs(t, o);
    void *p;
    for (size_t d = 0; d < n_docs; d++)
        total += task_requests_of(t, d);
    enum status s = arena_alloc(arena, &p, total, sizeof(const char *), err);
    if (s)
        return s;
    const char **ids = p;
    struct buf b = BUF_INIT;
    *n = 0;
    for (size_t d = 0; d < n_docs && !s; d++) {
        for (size_t c = 0; c < task_requests_of(t, d) && !s; c++) {
            char *id = NULL;
            buf_clear(&b);
            task_request_id(t, d, c, &b);
            if (!(s = buf_status(&b, "request id", err)))
                s = arena_strndup(arena, &id, b.data, b.n, err);
            ids[(*n)++] = id;
        }
    }
    buf_release(&b);
    *out = ids;
    return s;
}

/* The choice with the largest log-likelihood, plain or per character. */
static enum status grade_choice(struct grader *g, size_t doc)
{
    const struct task *t = g->task;
    struct grade_item *item = &g->items[doc];
    size_t n = task_doc_choices(t, doc);
    size_t gold = task_doc_gold(t, doc);
    struct buf id = BUF_INIT;
    void *p;
    enum status s = arena_alloc(g->arena, &p, 2 * n, sizeof(double), g->err);
    if (s)
        return s;
    double *logprobs = p;
    double *per_char = logprobs + n;
    bool ok = true;
    for (size_t c = 0; c < n && !s; c++) {
        struct transcript a;
        const char *choice = task_doc_choice(t, doc, c);
        buf_clear(&id);
        task_request_id(t, doc, c, &id);
        if ((s = buf_status(&id, "request id", g->err)) || (s = transcripts_get(g->answers, id.data, true, &a, g->err)))
            break;
        ok = ok && a.ok;
        logprobs[c] = a.logprob;
        per_char[c] = a.logprob / (double)text_n_chars(choice, strlen(choice));
    }
    buf_release(&id);
    if (s)
        return s;
    item->doc = doc;
    item->target = task_doc_choice(t, doc, gold);
    item->response = item->reasoning = item->answer = "";
    item->label = GRADE_ERROR;
    if (ok) {
        item->logprobs = logprobs;
        item->n_logprobs = n;
        for (size_t m = 0; m < t->n_metrics; m++) {
            bool norm = score_metric_kind(t->metrics[m]) == METRIC_ACC_NORM;
            size_t best = score_best(norm ? per_char : logprobs, n);
            item->hit[m] = best == gold;
            if (m == 0)
                item->answer = task_doc_choice(t, doc, best);
        }
        item->label = item->hit[0] ? GRADE_CORRECT : GRADE_WRONG;
    }
    return keep_id(g, doc, &item->id);
}

/* One document under one filter. response is what may be searched for an answer. */
static enum status grade_filter(struct grader *g, size_t doc, size_t filter, const struct transcript *a,
                                struct grade_item *item)
{
    const struct task *t = g->task;
    struct buf answer = BUF_INIT;
    bool invalid = false;
    enum status s = score_filter_apply(t->filters[filter], item->response, strlen(item->response), &answer, &invalid, g->err);
    if (!s)
        s = keep(g, &answer, &item->answer);
    buf_release(&answer);
    for (size_t m = 0; m < t->n_metrics && !s; m++)
        s = score_exact_match(t->metrics[m], item->answer, item->target, &item->hit[m], g->err);
    if (s) {
        err_prefix(g->err, "%s/%zu, filter %s", t->name, doc, score_filter_name(t->filters[filter]));
        return s;
    }
    bool no_final = g->options->chat && !a->has_final;
    if (!a->ok || no_final)
        item->hit[0] = item->hit[1] = item->hit[2] = false;
    item->label = !a->ok            ? GRADE_ERROR
                  : no_final        ? GRADE_NO_FINAL
                  : invalid         ? GRADE_INVALID
                  : item->hit[0]    ? GRADE_CORRECT
                                    : GRADE_WRONG;
    return OK;
}

/* Chat: the final answer. Text: everything. Both cut at the task's stops. */
static enum status take_response(struct grader *g, const char *id, const struct transcript *a, const char **out,
                                 bool *complete)
{
    const char *all = g->options->chat ? a->final : a->text;
    size_t n = strlen(all);
    size_t cut = text_cut_at_stops(all, n, g->task->stops, g->task->n_stops);
    char *copy;
    if (!g->options->chat && !g->rules->force_raw && strstr(a->text, "<|channel|>"))
        return err_set(g->err, ERR_UNSUPPORTED,
                       "\"%s\": harmony markup in raw text: such a model is scored on its final answer, ask with --chat "
                       "(or --force-raw)",
                       id);
    *complete = cut < n;
    enum status s = arena_strndup(g->arena, &copy, all, cut, g->err);
    if (!s)
        *out = copy;
    return s;
}

static enum status grade_generation(struct grader *g, size_t doc)
{
    const struct task *t = g->task;
    struct buf target = BUF_INIT;
    struct transcript a;
    const char *id = NULL;
    const char *reference = NULL;
    const char *response = NULL;
    bool complete = false;
    enum status s;
    if ((s = keep_id(g, doc, &id)) || (s = transcripts_get(g->answers, id, false, &a, g->err)) ||
        (s = take_response(g, id, &a, &response, &complete)) || (s = task_doc_target(t, doc, &target, g->err)) ||
        (s = keep(g, &target, &reference)))
        goto out;
    for (size_t f = 0; f < t->n_filters && !s; f++) {
        struct grade_item *item = &g->items[f * g->n_docs + doc];
        *item = (struct grade_item){.doc = doc, .filter = f, .truncated = a.truncated && !complete, .out_tok = a.out_tok,
                                    .id = id, .target = reference, .response = response, .reasoning = a.reasoning};
        s = grade_filter(g, doc, f, &a, item);
    }
out:
    buf_release(&target);
    return s;
}

static double chance_of(const struct task *t, size_t doc)
{
    return t->kind == TASK_MULTIPLE_CHOICE ? 1.0 / (double)task_doc_choices(t, doc) : t->chance_pct / 100;
}

static enum status add_sum(struct grader *g, struct grade_sum *sum)
{
    const struct grade_item *items = g->items + sum->filter * g->n_docs;
    void *p;
    enum status s = arena_alloc(g->arena, &p, g->n_docs, sizeof(double), g->err);
    if (s)
        return s;
    double *x = p;
    double chance = 0;
    for (size_t i = 0; i < g->n_docs; i++) {
        if (strcmp(sum->subset, "all") != 0 && strcmp(sum->subset, task_doc_subset(g->task, i)) != 0)
            continue;
        x[sum->n++] = items[i].hit[sum->metric] ? 1 : 0;
        sum->correct += items[i].hit[sum->metric];
        sum->invalid += items[i].label == GRADE_INVALID;
        sum->no_final += items[i].label == GRADE_NO_FINAL;
        sum->error += items[i].label == GRADE_ERROR;
        sum->truncated += items[i].truncated;
        sum->out_tok += items[i].out_tok;
        chance += chance_of(g->task, i);
    }
    sum->mean = stats_mean(x, sum->n);
    sum->has_stderr = sum->n > 1;
    if (sum->has_stderr)
        sum->stderr_mean = score_stderr(x, sum->n);
    sum->chance = chance / (double)sum->n;
    return OK;
}

/* "all" and each subset, in order of first appearance. */
static enum status list_subsets(const struct grader *g, const char ***out, size_t *n)
{
    void *p;
    enum status s = arena_alloc(g->arena, &p, g->n_docs + 1, sizeof(const char *), g->err);
    if (s)
        return s;
    const char **names = p;
    names[0] = "all";
    *n = 1;
    for (size_t d = 0; d < g->n_docs; d++) {
        const char *name = task_doc_subset(g->task, d);
        size_t i = 0;
        while (i < *n && strcmp(names[i], name) != 0)
            i++;
        if (i == *n)
            names[(*n)++] = name;
    }
    *out = names;
    return OK;
}

static enum status sum_up(struct grader *g, struct grade *out)
{
    const char **subsets;
    size_t n_subsets;
    size_t k = 0;
    void *p;
    enum status s = list_subsets(g, &subsets, &n_subsets);
    if (s || (s = arena_alloc(g->arena, &p, g->n_filters * g->task->n_metrics * n_subsets, sizeof(struct grade_sum), g->err)))
        return s;
    struct grade_sum *sums = p;
    for (size_t f = 0; f < g->n_filters; f++)
        for (size_t m = 0; m < g->task->n_metrics; m++)
            for (size_t i = 0; i < n_subsets && !s; i++) {
                sums[k] = (struct grade_sum){.filter = f, .metric = m, .subset = subsets[i]};
                s = add_sum(g, &sums[k++]);
            }
    out->sums = sums;
    out->n_sums = k;
    return s;
}

enum status task_grade(struct grade **out, const struct task *t, const struct task_options *o,
                       const struct transcripts *answers, const struct grade_options *rules, struct err *err)
{
    struct arena *arena = NULL;
    void *p;
    void *q;
    void *items;
    const char *const *ids;
    size_t n_ids;
    enum status s = arena_new(&arena, 1 << 16, err);
    if (s)
        return s;
    struct grader g = {.task = t, .options = o, .answers = answers, .rules = rules, .arena = arena,
                       .n_docs = task_docs(t, o), .n_filters = t->kind == TASK_GENERATE ? t->n_filters : 1, .err = err};
    if ((s = request_ids(t, o, arena, &ids, &n_ids, err)) || (s = transcripts_match(answers, ids, n_ids, err)) ||
        (s = arena_alloc(arena, &items, g.n_docs * g.n_filters, sizeof(struct grade_item), err)) ||
        (s = arena_alloc(arena, &p, 1, sizeof(struct grade), err)) ||
        (s = arena_alloc(arena, &q, 1, sizeof(struct grade_owned), err)))
        goto fail;
    g.items = items;
    for (size_t d = 0; d < g.n_docs; d++)
        if ((s = t->kind == TASK_MULTIPLE_CHOICE ? grade_choice(&g, d) : grade_generation(&g, d)))
            goto fail;
    struct grade *grade = p;
    grade->items = g.items;
    grade->n_items = g.n_docs * g.n_filters;
    grade->owned = q;
    grade->owned->arena = arena;
    if ((s = sum_up(&g, grade)))
        goto fail;
    *out = grade;
    return OK;
fail:
    arena_free(arena);
    return s;
}

void grade_free(struct grade *g)
{
    if (g)
        arena_free(g->owned->arena); // holds g itself
}
