#include "drive/infer_request.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "lib/extract_text.h"

/* The request being read. */
struct reading {
    struct infer_list *l;
    const struct model *m;
    const struct infer_defaults *d;
    const char *where;
    struct err *err;
};

static enum status list_new(struct infer_list *l, size_t n, struct err *err)
{
    void *p;
    *l = (struct infer_list){.n = 0};
    enum status s = arena_new(&l->arena, 0, err);
    if (s)
        return s;
    if (!(s = arena_alloc(l->arena, &p, n, sizeof *l->items, err)))
        l->items = p;
    return s;
}

void infer_list_release(struct infer_list *l)
{
    arena_free(l->arena);
    *l = (struct infer_list){.n = 0};
}

void infer_clean(const char *bytes, size_t n, struct buf *out)
{
    struct utf8_stream stream = {.n = 0};
    struct buf text = BUF_INIT;
    utf8_stream_add(&stream, bytes, n, &text);
    utf8_stream_finish(&stream, &text);
    for (size_t i = 0; i < text.n; i++) {
        if (text.data[i])
            buf_char(out, text.data[i]);
        else
            buf_str(out, "\xEF\xBF\xBD"); // JSON strings of ours hold no NUL
    }
    out->failed |= text.failed;
    buf_release(&text);
}

/* Bytes before the first place where any stop text begins. */
static size_t cut_at_stop(const struct request *r, const char *text, size_t n)
{
    for (size_t at = 0; at < n; at++) {
        for (size_t i = 0; i < r->n_stop_texts; i++) {
            size_t len = strlen(r->stop_texts[i]);
            if (len <= n - at && memcmp(text + at, r->stop_texts[i], len) == 0)
                return at;
        }
    }
    return n;
}

enum status infer_text(const struct model *m, const struct request *r, const int32_t *ids, size_t n, struct buf *out,
                       struct err *err)
{
    struct buf bytes = BUF_INIT;
    enum status s = OK;
    if (!model_tokenizer(m))
        return OK;
    if (!(s = tokenizer_decode(model_tokenizer(m), ids, n, true, &bytes, err)) && bytes.n)
        infer_clean(bytes.data, cut_at_stop(r, bytes.data, bytes.n), out);
    buf_release(&bytes);
    return s ? s : buf_status(out, "text", err);
}

static enum status need_tokenizer(const struct reading *q)
{
    if (model_tokenizer(q->m))
        return OK;
    if (model_info(q->m)->definition)
        return err_set(q->err, ERR_USAGE, "%s: expected token ids for the synthetic model '%s', which has no tokenizer, found text",
                       q->where, model_info(q->m)->name);
    return err_set(q->err, ERR_MISSING, "%s: expected a tokenizer in '%s' for text, found none", q->where,
                   model_info(q->m)->dir);
}

/* Move collected ids to the arena. */
static enum status keep_ids(const struct reading *q, const int32_t *v, size_t n, const int32_t **out)
{
    void *p;
    enum status s = arena_alloc(q->l->arena, &p, n, sizeof(int32_t), q->err);
    if (s)
        return s;
    if (n)
        memcpy(p, v, n * sizeof(int32_t));
    *out = p;
    return OK;
}

/* Plain text that starts a sequence: what the model's files put before every text goes before it. */
static enum status encode(const struct reading *q, const char *text, size_t n, struct ids *out)
{
    enum status s = need_tokenizer(q);
    int32_t bos = model_info(q->m)->bos_id;
    if (out->n == 0 && bos >= 0)
        ids_add(out, bos);
    if (!s)
        s = tokenizer_encode(model_tokenizer(q->m), text, n, out, q->err);
    return s ? s : ids_status(out, q->err);
}

static enum status set_prompt(const struct reading *q, struct request *r, const struct ids *ids)
{
    r->n_prompt = ids->n;
    return keep_ids(q, ids->v, ids->n, &r->prompt);
}

static enum status set_text(const struct reading *q, struct request *r, const char *text)
{
    struct ids ids = {.n = 0};
    enum status s = encode(q, text, strlen(text), &ids);
    if (!s)
        s = set_prompt(q, r, &ids);
    ids_release(&ids);
    return s;
}

static enum status set_messages(const struct reading *q, struct infer_request *ir, const struct chat_message *v, size_t n)
{
    struct ids ids = {.n = 0};
    const struct chat_options opt = {.effort = NULL};
    enum chat_format f = model_chat_format(q->m);
    enum status s = need_tokenizer(q);
    if (!s && f == CHAT_NONE)
        s = err_set(q->err, ERR_UNSUPPORTED, "%s: expected a model with a chat format, found base model '%s'", q->where,
                    model_info(q->m)->name);
    if (!s && !(s = chat_render(f, model_tokenizer(q->m), v, n, &opt, &ids, q->err)) && !(s = ids_status(&ids, q->err)))
        s = set_prompt(q, &ir->r, &ids);
    ids_release(&ids);
    ir->chat = true;
    return s;
}

static enum status read_messages(const struct reading *q, struct infer_request *ir, const cJSON *list)
{
    size_t n = 0;
    void *p;
    const cJSON *c;
    if (!cJSON_IsArray(list) || !list->child)
        return err_set(q->err, ERR_FORMAT, "%s: \"messages\": expected an array of {\"role\",\"content\"}, found other",
                       q->where);
    cJSON_ArrayForEach(c, list) n++;
    enum status s = arena_alloc(q->l->arena, &p, n, sizeof(struct chat_message), q->err);
    if (s)
        return s;
    struct chat_message *v = p;
    n = 0;
    cJSON_ArrayForEach(c, list)
    {
        struct chat_message *m = &v[n++];
        const cJSON *k;
        cJSON_ArrayForEach(k, c)
        {
            if (!k->string || (strcmp(k->string, "role") != 0 && strcmp(k->string, "content") != 0))
                return err_set(q->err, ERR_FORMAT, "%s: \"messages\": expected only role and content, found \"%.80s\"",
                               q->where, k->string ? k->string : "an element");
        }
        if ((s = json_get_str(c, "role", q->where, &m->role, q->err)) ||
            (s = json_get_str(c, "content", q->where, &m->content, q->err)))
            return s;
    }
    return set_messages(q, ir, v, n);
}

static enum status read_ids(const struct reading *q, struct request *r, const cJSON *list)
{
    struct ids ids = {.n = 0};
    const cJSON *c;
    cJSON_ArrayForEach(c, list)
    {
        // the session checks the range; here only what an int32 holds
        ids_add(&ids, c->valuedouble >= 0 && c->valuedouble < 2147483648.0 ? (int32_t)c->valuedouble : -1);
    }
    enum status s = ids_status(&ids, q->err);
    if (!s)
        s = set_prompt(q, r, &ids);
    ids_release(&ids);
    return s;
}

/* Length of the prompt without its trailing white space, as Python's rstrip counts it. */
static size_t trimmed(const char *text)
{
    struct text_span t = text_strip(text, strlen(text));
    return t.n ? (size_t)(t.at - text) + t.n : 0;
}

/* Prompt and continuation of a log-likelihood request, as ids. */
static enum status set_score(const struct reading *q, struct request *r, const char *context, const char *continuation)
{
    struct buf whole = BUF_INIT;
    struct ids all = {.n = 0};
    struct ids head = {.n = 0};
    const struct model_info *info = model_info(q->m);
    size_t keep = trimmed(context);
    buf_str(&whole, context);
    buf_str(&whole, continuation);
    enum status s = buf_status(&whole, "text", q->err);
    if (keep == 0 && !s) { // nothing to condition on: the prefix id stands for it
        if (info->prefix_id < 0)
            s = err_set(q->err, ERR_UNSUPPORTED, "%s: expected a prompt, or a model with a BOS or EOS id, found neither",
                        q->where);
        ids_add(&all, info->prefix_id);
        ids_add(&head, info->prefix_id);
    } else if (!s) {
        s = encode(q, context, keep, &head);
    }
    if (!s)
        s = encode(q, whole.data ? whole.data : "", whole.n, &all);
    if (!s && all.n <= head.n)
        s = err_set(q->err, ERR_RANGE, "%s: \"continuation\": expected text of at least one token, found none", q->where);
    if (!s) {
        size_t n_score = all.n - head.n;
        // max length, plus one because the last token is scored but not fed
        size_t room = info->max_context_tok + 1;
        size_t drop = all.n > room ? all.n - room : 0;
        if (drop >= head.n)
            s = err_set(q->err, ERR_CONTEXT, "%s: \"continuation\": expected fewer than %zu tokens, found %zu", q->where,
                        room, n_score);
        else if (!(s = keep_ids(q, all.v + drop, head.n - drop, &r->prompt)))
            s = keep_ids(q, all.v + head.n, n_score, &r->score);
        r->n_prompt = head.n - drop;
        r->n_score = n_score;
    }
    buf_release(&whole);
    ids_release(&all);
    ids_release(&head);
    return s;
}

static enum status read_stops(const struct reading *q, struct request *r, const cJSON *list)
{
    size_t n = 0;
    const cJSON *c;
    void *p;
    cJSON_ArrayForEach(c, list) n++;
    enum status s = arena_alloc(q->l->arena, &p, n, sizeof(const char *), q->err);
    if (s)
        return s;
    const char **v = p;
    cJSON_ArrayForEach(c, list) if (*c->valuestring) v[r->n_stop_texts++] = c->valuestring; // an empty one is ignored
    r->stop_texts = v;
    return r->n_stop_texts ? need_tokenizer(q) : OK;
}

/* max_tokens and the context the request needs. */
static enum status set_room(const struct reading *q, struct request *r, bool explicit_max)
{
    size_t max = model_info(q->m)->max_context_tok;
    size_t need;
    if (r->n_score) {
        r->max_tokens = 0;
        need = r->n_prompt + r->n_score - 1;
    } else {
        size_t left = r->n_prompt < max ? max - r->n_prompt : 0;
        if (left == 0 && r->max_tokens)
            return err_set(q->err, ERR_CONTEXT, "%s: expected a prompt of fewer tokens than the model's %zu, found %zu",
                           q->where, max, r->n_prompt);
        if (r->max_tokens > left && explicit_max)
            return err_set(q->err, ERR_CONTEXT,
                           "%s: max_tokens: expected at most %zu behind %zu prompt tokens in a context of %zu, found %zu",
                           q->where, left, r->n_prompt, max, r->max_tokens);
        r->max_tokens = r->max_tokens > left ? left : r->max_tokens;
        need = r->n_prompt + r->max_tokens;
    }
    if (r->n_prompt == 0)
        return err_set(q->err, ERR_USAGE, "%s: expected a prompt of at least one token, found none", q->where);
    for (size_t i = 0; i < r->n_prompt; i++)
        if (r->prompt[i] < 0 || (size_t)r->prompt[i] >= model_info(q->m)->vocab_size)
            return err_set(q->err, ERR_RANGE, "%s: prompt token %zu: expected an id from 0 to %zu, found %d", q->where, i,
                           model_info(q->m)->vocab_size - 1, r->prompt[i]);
    q->l->context_tok = need > q->l->context_tok ? need : q->l->context_tok;
    return OK;
}

static enum status read_sampling(const struct reading *q, const cJSON *row, struct request *r, bool *explicit_max)
{
    struct sampling *p = &r->sampling;
    int64_t top_k;
    int64_t seed;
    int64_t max;
    enum status s;
    *explicit_max = json_get(row, "max_tokens") != NULL || q->d->max_tokens_given;
    if ((s = json_get_f64_or(row, "temperature", p->temperature, 0, 1e6, q->where, &p->temperature, q->err)) ||
        (s = json_get_f64_or(row, "top_p", p->top_p, 1e-9, 1, q->where, &p->top_p, q->err)) ||
        (s = json_get_f64_or(row, "min_p", p->min_p, 0, 1, q->where, &p->min_p, q->err)) ||
        (s = json_get_i64_or(row, "top_k", (int64_t)p->top_k, 0, INT32_MAX, q->where, &top_k, q->err)) ||
        (s = json_get_i64_or(row, "seed", (int64_t)p->seed, 0, 9007199254740991, q->where, &seed, q->err)) ||
        (s = json_get_i64_or(row, "max_tokens", (int64_t)q->d->max_tokens, 0, INT32_MAX, q->where, &max, q->err)))
        return s;
    p->top_k = (size_t)top_k;
    p->seed = (uint64_t)seed;
    r->max_tokens = (size_t)max;
    return OK;
}

static const char *text_of(const cJSON *row, const char *key)
{
    const cJSON *v = json_get(row, key);
    return cJSON_IsString(v) ? v->valuestring : NULL;
}

static enum status read_row(const struct reading *q, const cJSON *row, struct infer_request *ir)
{
    struct request *r = &ir->r;
    const char *kind = text_of(row, "kind");
    const char *prompt = text_of(row, "prompt");
    const char *continuation = text_of(row, "continuation");
    const cJSON *messages = json_get(row, "messages");
    const cJSON *ids = json_get(row, "prompt_token_ids");
    const cJSON *stop = json_get(row, "stop");
    bool score = kind && strcmp(kind, "score") == 0;
    bool explicit_max;
    *ir = (struct infer_request){.r = {.id = text_of(row, "id"), .sampling = q->d->sampling}};
    if ((prompt != NULL) + (messages != NULL) + (ids != NULL) != 1)
        return err_set(q->err, ERR_FORMAT, "%s: expected one of prompt, messages, prompt_token_ids, found %s", q->where,
                       prompt || messages || ids ? "several" : "none");
    if (score != (continuation != NULL))
        return err_set(q->err, ERR_FORMAT, "%s: expected a continuation with kind \"score\" and only there, found %s",
                       q->where, score ? "none" : "one");
    if (continuation && !prompt)
        return err_set(q->err, ERR_UNSUPPORTED, "%s: expected a text prompt with kind \"score\", found other", q->where);
    enum status s = read_sampling(q, row, r, &explicit_max);
    if (!s)
        s = continuation ? set_score(q, r, prompt, continuation)
            : prompt     ? set_text(q, r, prompt)
            : messages   ? read_messages(q, ir, messages)
                         : read_ids(q, r, ids);
    if (!s && stop)
        s = read_stops(q, r, stop);
    return s ? s : set_room(q, r, explicit_max);
}

enum status infer_list_parse(struct infer_list *l, const struct model *m, const struct records *rows, const char *file,
                             const struct infer_defaults *d, struct err *err)
{
    enum status s = list_new(l, records_count(rows), err);
    for (size_t i = 0; i < records_count(rows) && !s; i++) {
        char where[300];
        (void)snprintf(where, sizeof where, "%.200s:%zu", strcmp(file, "-") == 0 ? "<stdin>" : file, records_line(rows, i));
        const struct reading q = {.l = l, .m = m, .d = d, .where = where, .err = err};
        s = read_row(&q, records_at(rows, i), &l->items[l->n++]);
    }
    return s;
}

enum status infer_one(struct infer_list *l, const struct model *m, const char *text, const int32_t *ids, size_t n_ids,
                      bool chat, const struct infer_defaults *d, struct err *err)
{
    enum status s = list_new(l, 1, err);
    if (s)
        return s;
    const struct reading q = {.l = l, .m = m, .d = d, .where = text ? "--prompt" : "--tokens", .err = err};
    struct infer_request *ir = &l->items[l->n++];
    *ir = (struct infer_request){.r = {.id = "", .sampling = d->sampling, .max_tokens = d->max_tokens}};
    const struct chat_message message = {.role = "user", .content = text};
    if (!text) {
        ir->r.n_prompt = n_ids;
        s = keep_ids(&q, ids, n_ids, &ir->r.prompt);
    } else {
        s = chat ? set_messages(&q, ir, &message, 1) : set_text(&q, &ir->r, text);
    }
    return s ? s : set_room(&q, &ir->r, d->max_tokens_given);
}
