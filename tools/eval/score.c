#include "eval/score.h"

#include <math.h>
#include <string.h>

#include "eval/extract_regex.h"
#include "eval/task_json.h"
#include "lib/extract_text.h"
#include "lib/stats.h"

enum step_kind { STEP_REGEX, STEP_STRIP, STEP_TAKE_FIRST };

struct step {
    enum step_kind kind;
    struct regex *re;
    bool last; /* of all matches, not the first */
};

struct score_filter {
    const char *name; /* borrowed from the task's JSON */
    size_t n_steps;
    struct step *steps;
};

struct score_metric {
    enum score_metric_kind kind;
    bool ignore_case;
    bool ignore_punctuation;
    size_t n_ignore;
    struct regex **ignore;
};

static enum status parse_step(struct step *out, const cJSON *obj, const char *where, struct err *err)
{
    static const char *const keys[] = {"function", "pattern", "select", NULL};
    const char *function;
    const char *pattern;
    const char *select;
    enum status s;
    if ((s = json_only_keys(obj, keys, where, err)) || (s = json_get_str(obj, "function", where, &function, err)))
        return s;
    if (strcmp(function, "regex") != 0 && (json_get(obj, "pattern") || json_get(obj, "select")))
        return err_set(err, ERR_FORMAT, "%s: \"%s\" takes no pattern", where, function);
    if (strcmp(function, "strip") == 0) {
        out->kind = STEP_STRIP;
        return OK;
    }
    if (strcmp(function, "take_first") == 0) {
        out->kind = STEP_TAKE_FIRST;
        return OK;
    }
    if (strcmp(function, "regex") != 0)
        return err_set(err, ERR_FORMAT, "%s: \"function\": expected regex, strip or take_first, found \"%.60s\"", where,
                       function);
    out->kind = STEP_REGEX;
    if ((s = json_get_str(obj, "pattern", where, &pattern, err)) ||
        (s = json_get_str_or(obj, "select", "first", where, &select, err)))
        return s;
    out->last = strcmp(select, "last") == 0;
    if (!out->last && strcmp(select, "first") != 0)
        return err_set(err, ERR_FORMAT, "%s: \"select\": expected first or last, found \"%.60s\"", where, select);
    if ((s = regex_new(&out->re, pattern, err)))
        err_prefix(err, "%s", where);
    return s;
}

enum status score_filter_parse(struct score_filter **out, const cJSON *obj, const char *where, struct err *err)
{
    static const char *const keys[] = {"name", "steps", NULL};
    const cJSON *steps;
    const cJSON *one;
    const char *name;
    void *p;
    enum status s;
    if ((s = json_only_keys(obj, keys, where, err)) || (s = json_get_str(obj, "name", where, &name, err)) ||
        (s = json_check_name(name, "filter name", where, err)) ||
        (s = json_get_array(obj, "steps", 1, where, &steps, err)) ||
        (s = mem_alloc(&p, 1, sizeof(struct score_filter), "filter", err)))
        return s;
    struct score_filter *f = p;
    f->name = name;
    if ((s = mem_alloc(&p, (size_t)cJSON_GetArraySize(steps), sizeof(struct step), "filter steps", err)))
        goto fail;
    f->steps = p;
    cJSON_ArrayForEach(one, steps)
    {
        if (f->n_steps && f->steps[f->n_steps - 1].kind == STEP_TAKE_FIRST) {
            s = err_set(err, ERR_FORMAT, "%s: filter %s: expected nothing after take_first", where, name);
            goto fail;
        }
        if ((s = parse_step(&f->steps[f->n_steps], one, where, err)))
            goto fail;
        f->n_steps++;
    }
    *out = f;
    return OK;
fail:
    score_filter_free(f);
    return s;
}

void score_filter_free(struct score_filter *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n_steps; i++)
        regex_free(f->steps[i].re);
    mem_free(f->steps);
    mem_free(f);
}

const char *score_filter_name(const struct score_filter *f)
{
    return f->name;
}

/* What Python's findall gives for one match: the group, the first non-empty group, or all of it. */
static bool match_text(const struct regex *re, const struct regex_match *m, const char *text, struct text_span *out)
{
    size_t n = regex_n_groups(re);
    for (size_t g = n ? 1 : 0; g <= n; g++) {
        bool set = m->start[g] != REGEX_UNSET;
        *out = (struct text_span){.at = set ? text + m->start[g] : text, .n = set ? m->end[g] - m->start[g] : 0};
        if (n <= 1 || out->n > 0)
            return true;
    }
    return false;
}

static enum status apply_regex(const struct step *st, const struct buf *in, struct buf *out, struct err *err)
{
    struct regex_match m;
    struct regex_match kept;
    bool found = false;
    bool any = false;
    const char *text = in->data ? in->data : "";
    enum status s;
    do {
        if ((s = regex_search(st->re, text, in->n, any ? &m : NULL, &found, &m, err)))
            return s;
        if (found) {
            any = true;
            kept = m;
        }
    } while (found && st->last);
    struct text_span hit;
    if (any && match_text(st->re, &kept, text, &hit)) {
        hit = text_strip(hit.at, hit.n);
        buf_add(out, hit.at, hit.n);
    } else {
        buf_str(out, SCORE_INVALID);
    }
    return OK;
}

enum status score_filter_apply(const struct score_filter *f, const char *response, size_t n, struct buf *answer,
                               bool *invalid, struct err *err)
{
    struct buf in = BUF_INIT;
    struct buf out = BUF_INIT;
    enum status s = OK;
    buf_add(&in, response, n);
    for (size_t i = 0; i < f->n_steps && !s; i++) {
        if (f->steps[i].kind == STEP_TAKE_FIRST)
            continue;
        buf_clear(&out);
        if (f->steps[i].kind == STEP_STRIP) {
            struct text_span t = text_strip(in.data ? in.data : "", in.n);
            buf_add(&out, t.at, t.n);
        } else {
            s = apply_regex(&f->steps[i], &in, &out, err);
        }
        struct buf swap = in;
        in = out;
        out = swap;
    }
    if (!s) {
        *invalid = in.n == strlen(SCORE_INVALID) && memcmp(in.data, SCORE_INVALID, in.n) == 0;
        buf_add(answer, in.data ? in.data : "", in.n);
        if (!(s = buf_status(&in, "filtered answer", err)) && !(s = buf_status(&out, "filtered answer", err)))
            s = buf_status(answer, "filtered answer", err);
    }
    buf_release(&in);
    buf_release(&out);
    return s;
}

static enum status parse_exact_match(struct score_metric *m, const cJSON *obj, const char *where, struct err *err)
{
    const cJSON *list;
    const cJSON *one;
    void *p;
    enum status s;
    if ((s = json_get_bool_or(obj, "ignore_case", false, where, &m->ignore_case, err)) ||
        (s = json_get_bool_or(obj, "ignore_punctuation", false, where, &m->ignore_punctuation, err)))
        return s;
    if (!json_get(obj, "ignore_regexes"))
        return OK;
    if ((s = json_get_array(obj, "ignore_regexes", 0, where, &list, err)) ||
        (s = mem_alloc(&p, (size_t)cJSON_GetArraySize(list), sizeof(struct regex *), "metric regexes", err)))
        return s;
    m->ignore = p;
    cJSON_ArrayForEach(one, list)
    {
        if (!cJSON_IsString(one))
            return err_set(err, ERR_FORMAT, "%s: \"ignore_regexes\": expected strings", where);
        if ((s = regex_new(&m->ignore[m->n_ignore], one->valuestring, err))) {
            err_prefix(err, "%s", where);
            return s;
        }
        m->n_ignore++;
    }
    return OK;
}

static const char *const metric_names[] = {"acc", "acc_norm", "exact_match"};

enum status score_metric_parse(struct score_metric **out, const cJSON *obj, const char *where, struct err *err)
{
    static const char *const plain_keys[] = {"metric", NULL};
    static const char *const match_keys[] = {"metric", "ignore_case", "ignore_punctuation", "ignore_regexes", NULL};
    const char *name;
    void *p;
    enum status s;
    if ((s = json_get_str(obj, "metric", where, &name, err)))
        return s;
    size_t kind = 0;
    while (kind < 3 && strcmp(metric_names[kind], name) != 0)
        kind++;
    if (kind == 3)
        return err_set(err, ERR_FORMAT, "%s: \"metric\": expected acc, acc_norm or exact_match, found \"%.60s\"", where,
                       name);
    if ((s = json_only_keys(obj, kind == METRIC_EXACT_MATCH ? match_keys : plain_keys, where, err)) ||
        (s = mem_alloc(&p, 1, sizeof(struct score_metric), "metric", err)))
        return s;
    struct score_metric *m = p;
    m->kind = (enum score_metric_kind)kind;
    if (kind == METRIC_EXACT_MATCH && (s = parse_exact_match(m, obj, where, err))) {
        score_metric_free(m);
        return s;
    }
    *out = m;
    return OK;
}

void score_metric_free(struct score_metric *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n_ignore; i++)
        regex_free(m->ignore[i]);
    mem_free(m->ignore);
    mem_free(m);
}

const char *score_metric_name(const struct score_metric *m)
{
    return metric_names[m->kind];
}

enum score_metric_kind score_metric_kind(const struct score_metric *m)
{
    return m->kind;
}

/* re.sub(pattern, "", text) */
static enum status delete_matches(const struct regex *re, const struct buf *in, struct buf *out, struct err *err)
{
    struct regex_match m;
    const char *text = in->data ? in->data : "";
    size_t from = 0;
    for (bool found = false, first = true;; first = false) {
        enum status s = regex_search(re, text, in->n, first ? NULL : &m, &found, &m, err);
        if (s)
            return s;
        if (!found)
            break;
        buf_add(out, text + from, m.start[0] - from);
        from = m.end[0];
    }
    buf_add(out, text + from, in->n - from);
    return OK;
}

static enum status normalise(const struct score_metric *m, const char *text, struct buf *out, struct err *err)
{
    struct buf spare = BUF_INIT;
    enum status s = OK;
    buf_str(out, text);
    for (size_t i = 0; i < m->n_ignore + 2 && !s; i++) {
        const char *data = out->data ? out->data : "";
        buf_clear(&spare);
        if (i < m->n_ignore)
            s = delete_matches(m->ignore[i], out, &spare, err);
        else if (i == m->n_ignore && m->ignore_case)
            text_lower(&spare, data, out->n);
        else if (i == m->n_ignore + 1 && m->ignore_punctuation)
            text_drop_punctuation(&spare, data, out->n);
        else
            continue;
        struct buf swap = *out;
        *out = spare;
        spare = swap;
    }
    if (!s && !(s = buf_status(out, "answer", err)))
        s = buf_status(&spare, "answer", err);
    buf_release(&spare);
    return s;
}

enum status score_exact_match(const struct score_metric *m, const char *answer, const char *target, bool *hit,
                              struct err *err)
{
    struct buf a = BUF_INIT;
    struct buf t = BUF_INIT;
    enum status s = normalise(m, answer, &a, err);
    if (!s)
        s = normalise(m, target, &t, err);
    if (!s)
        *hit = a.n == t.n && (a.n == 0 || memcmp(a.data, t.data, a.n) == 0);
    buf_release(&a);
    buf_release(&t);
    return s;
}

size_t score_best(const double *values, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

double score_stderr(const double *x, size_t n)
{
    return stats_sd(x, n) / sqrt((double)n);
}
