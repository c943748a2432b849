#include "eval/task_prompt.h"

#include <string.h>

#include "base/digest.h"
#include "lib/extract_text.h"
#include "eval/task_template.h"

enum status task_shots(const struct task *t, const struct task_options *o, size_t *out, struct err *err)
{
    *out = t->n_shots;
    if (o->n_shots < 0 || t->zero_shot)
        return OK;
    if ((uint64_t)o->n_shots > t->n_shot_pool)
        return err_set(err, ERR_USAGE, "task %s: %lld shots asked for, its definition has %zu", t->name,
                       (long long)o->n_shots, t->n_shot_pool);
    *out = (size_t)o->n_shots;
    return OK;
}

size_t task_docs(const struct task *t, const struct task_options *o)
{
    return o->limit && o->limit < t->n_docs ? o->limit : t->n_docs;
}

size_t task_requests_of(const struct task *t, size_t doc)
{
    return t->kind == TASK_MULTIPLE_CHOICE ? task_doc_choices(t, doc) : 1;
}

/* System instruction and description; one delimiter between them unless white space is there. */
static void system_text(const struct task *t, const struct task_options *o, struct buf *out)
{
    const char *s = o->system ? o->system : "";
    const char *d = t->description;
    buf_str(out, s);
    if (s[0] && d[0] && !text_ends_space(s, strlen(s)) && !text_starts_space(d, strlen(d)))
        buf_str(out, t->shot_delimiter);
    buf_str(out, d);
}

static enum status shot_answer(const struct task *t, const cJSON *shot, struct buf *out, struct err *err)
{
    if (t->kind == TASK_GENERATE)
        return template_render(out, t->shot_to_target, shot, t->name, err);
    size_t gold = (size_t)json_get(shot, t->gold_field)->valuedouble;
    buf_str(out, t->choices_field ? cJSON_GetArrayItem(json_get(shot, t->choices_field), (int)gold)->valuestring
                                  : t->choices[gold]);
    return OK;
}

/* The text-mode concatenation without the system text. */
static enum status body_text(const struct task *t, const struct task_options *o, size_t doc, struct buf *out,
                             struct err *err)
{
    size_t n = 0;
    enum status s = task_shots(t, o, &n, err);
    for (size_t i = 0; i < n && !s; i++) {
        const cJSON *shot = cJSON_GetArrayItem(t->shot_pool, (int)i);
        if ((s = template_render(out, t->doc_to_text, shot, t->name, err)))
            break;
        buf_str(out, t->target_delimiter);
        s = shot_answer(t, shot, out, err);
        buf_str(out, t->shot_delimiter);
    }
    return s ? s : template_render(out, t->doc_to_text, t->docs[doc], t->name, err);
}

enum status task_prompt_text(const struct task *t, const struct task_options *o, size_t doc, struct buf *out,
                             struct err *err)
{
    system_text(t, o, out);
    enum status s = body_text(t, o, doc, out, err);
    return s ? s : buf_status(out, "prompt", err);
}

static enum status add_message(cJSON *list, const char *role, const struct buf *content, struct err *err)
{
    cJSON *m = cJSON_CreateObject();
    if (!m || !cJSON_AddStringToObject(m, "role", role) ||
        !cJSON_AddStringToObject(m, "content", content->data ? content->data : "") || !cJSON_AddItemToArray(list, m)) {
        cJSON_Delete(m);
        return err_set(err, ERR_MEMORY, "not enough memory for a message");
    }
    return buf_status(content, "message", err);
}

static enum status add_shots(const struct task *t, size_t n, cJSON *list, struct buf *b, struct err *err)
{
    enum status s = OK;
    for (size_t i = 0; i < n && !s; i++) {
        const cJSON *shot = cJSON_GetArrayItem(t->shot_pool, (int)i);
        buf_clear(b);
        if ((s = template_render(b, t->doc_to_text, shot, t->name, err)) || (s = add_message(list, "user", b, err)))
            break;
        buf_clear(b);
        if (!(s = shot_answer(t, shot, b, err)))
            s = add_message(list, "assistant", b, err);
    }
    return s;
}

enum status task_prompt_messages(const struct task *t, const struct task_options *o, size_t doc, cJSON **out,
                                 struct err *err)
{
    struct buf b = BUF_INIT;
    size_t n = 0;
    cJSON *list = cJSON_CreateArray();
    enum status s = list ? task_shots(t, o, &n, err) : err_set(err, ERR_MEMORY, "not enough memory for messages");
    if (s)
        goto out;
    system_text(t, o, &b);
    if (b.n && (s = add_message(list, "system", &b, err)))
        goto out;
    if (!o->single_turn && (s = add_shots(t, n, list, &b, err)))
        goto out;
    buf_clear(&b);
    s = o->single_turn ? body_text(t, o, doc, &b, err) : template_render(&b, t->doc_to_text, t->docs[doc], t->name, err);
    if (!s)
        s = add_message(list, "user", &b, err);
out:
    buf_release(&b);
    if (s)
        cJSON_Delete(list);
    else
        *out = list;
    return s;
}

enum status task_prompt_sha256(const struct task *t, const struct task_options *o, size_t doc, char *out,
                               struct err *err)
{
    struct buf b = BUF_INIT;
    uint8_t d[DIGEST_B];
    enum status s;
    if (o->chat) {
        cJSON *messages = NULL;
        if (!(s = task_prompt_messages(t, o, doc, &messages, err)))
            s = json_write_canonical(&b, messages, err);
        cJSON_Delete(messages);
    } else {
        s = task_prompt_text(t, o, doc, &b, err);
    }
    if (!s && !(s = digest_bytes(b.data ? b.data : "", b.n, d, err)))
        digest_hex(d, out);
    buf_release(&b);
    return s;
}

void task_continuation(const struct task *t, const struct task_options *o, size_t doc, size_t choice,
                       struct buf *out)
{
    if (!o->chat)
        buf_str(out, t->target_delimiter);
    buf_str(out, task_doc_choice(t, doc, choice));
}

void task_request_id(const struct task *t, size_t doc, size_t choice, struct buf *out)
{
    buf_printf(out, "%s/%zu", t->name, doc);
    if (t->kind == TASK_MULTIPLE_CHOICE)
        buf_printf(out, "/%zu", choice);
}

static bool add_text(cJSON *obj, const char *key, const struct buf *b)
{
    return cJSON_AddStringToObject(obj, key, b->data ? b->data : "");
}

static bool add_sampling(cJSON *obj, const struct task *t, const struct task_options *o)
{
    cJSON *stop = cJSON_AddArrayToObject(obj, "stop");
    for (size_t i = 0; stop && !o->chat && i < t->n_stops; i++)
        if (!cJSON_AddItemToArray(stop, cJSON_CreateString(t->stops[i])))
            return false;
    return stop && cJSON_AddNumberToObject(obj, "max_tokens", (double)(o->max_tokens ? o->max_tokens : t->max_tokens)) &&
           cJSON_AddNumberToObject(obj, "temperature", o->temperature) &&
           cJSON_AddNumberToObject(obj, "top_p", o->top_p) &&
           cJSON_AddNumberToObject(obj, "top_k", (double)o->top_k) &&
           cJSON_AddNumberToObject(obj, "seed", (double)o->seed);
}

enum status task_request(const struct task *t, const struct task_options *o, size_t doc, size_t choice, cJSON **out,
                         struct err *err)
{
    struct buf id = BUF_INIT;
    struct buf prompt = BUF_INIT;
    struct buf continuation = BUF_INIT;
    cJSON *messages = NULL;
    cJSON *obj = cJSON_CreateObject();
    bool scored = t->kind == TASK_MULTIPLE_CHOICE;
    bool ok = obj != NULL;
    enum status s = OK;
    task_request_id(t, doc, choice, &id);
    if (o->chat) {
        if ((s = task_prompt_messages(t, o, doc, &messages, err)))
            goto out;
        ok = ok && cJSON_AddItemToObject(obj, "messages", messages);
        if (ok)
            messages = NULL; // obj's now
    } else {
        if ((s = task_prompt_text(t, o, doc, &prompt, err)))
            goto out;
        size_t keep = prompt.n;
        while (scored && text_ends_space(prompt.data, keep)) {
            do
                keep--;
            while (((unsigned char)prompt.data[keep] & 0xC0) == 0x80);
        }
        if (keep < prompt.n) {
            buf_add(&continuation, prompt.data + keep, prompt.n - keep);
            prompt.data[keep] = '\0';
        }
        ok = ok && add_text(obj, "prompt", &prompt);
    }
    ok = ok && add_text(obj, "id", &id) && cJSON_AddStringToObject(obj, "kind", scored ? "score" : "generate");
    if (scored) {
        task_continuation(t, o, doc, choice, &continuation);
        ok = ok && add_text(obj, "continuation", &continuation);
    } else {
        ok = ok && add_sampling(obj, t, o);
    }
    if (!ok)
        s = err_set(err, ERR_MEMORY, "not enough memory for a request");
    else if (!(s = buf_status(&id, "request", err)))
        s = buf_status(&continuation, "request", err);
out:
    buf_release(&id);
    buf_release(&prompt);
    buf_release(&continuation);
    cJSON_Delete(messages);
    if (s)
        cJSON_Delete(obj);
    else
        *out = obj;
    return s;
}
