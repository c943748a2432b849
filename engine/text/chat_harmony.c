#include "text/chat_harmony.h"

#include <string.h>

#include "base/mem.h"
#include "text/chat_internal.h"

static bool is(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

/* Sections stand a blank line apart. */
static void section(struct buf *out, size_t from)
{
    if (out->n > from)
        buf_str(out, "\n\n");
}

void harmony_system_text(const struct harmony_system *sys, struct buf *out)
{
    size_t from = out->n;
    if (sys->identity)
        buf_str(out, sys->identity);
    if (sys->cutoff)
        buf_printf(out, "%sKnowledge cutoff: %s", out->n > from ? "\n" : "", sys->cutoff);
    if (sys->date)
        buf_printf(out, "%sCurrent date: %s", out->n > from ? "\n" : "", sys->date);
    if (sys->effort) {
        section(out, from);
        buf_printf(out, "Reasoning: %s", sys->effort);
    }
    if (sys->channels && sys->channels[0]) {
        section(out, from);
        buf_str(out, "# Valid channels: ");
        for (size_t i = 0; sys->channels[i]; i++)
            buf_printf(out, "%s%s", i ? ", " : "", sys->channels[i]);
        buf_str(out, ". Channel must be included for every message.");
    }
}

void harmony_developer_text(const char *instructions, struct buf *out)
{
    if (instructions)
        buf_printf(out, "# Instructions\n\n%s", instructions);
}

/* One part of a header: encoded on its own, never joined with its neighbours. */
static void part(struct chat_writer *w, const char *before, const char *text)
{
    chat_text(w, before);
    chat_text(w, text);
    chat_flush(w);
}

static void content_type(struct chat_writer *w, const char *type)
{
    static const char constrain[] = "<|constrain|>";
    if (strncmp(type, constrain, sizeof constrain - 1) != 0) {
        part(w, " ", type);
        return;
    }
    part(w, " ", "");
    chat_mark(w, constrain);
    part(w, "", type + sizeof constrain - 1);
}

static void message(struct chat_writer *w, const struct harmony_message *m, bool training_end)
{
    bool assistant = is(m->role, "assistant");
    bool tool = is(m->role, "tool");
    chat_mark(w, "<|start|>");
    part(w, "", tool ? m->name : m->role);
    if (m->name && !tool)
        part(w, ":", m->name);
    if (m->recipient && strcmp(m->recipient, "all") != 0)
        part(w, " to=", m->recipient);
    if (m->channel) {
        chat_mark(w, "<|channel|>");
        part(w, "", m->channel);
    }
    if (m->content_type)
        content_type(w, m->content_type);
    chat_mark(w, "<|message|>");
    part(w, "", m->content ? m->content : "");
    chat_mark(w, assistant && m->recipient ? "<|call|>" : training_end ? "<|return|>" : "<|end|>");
}

enum status harmony_render(const struct tokenizer *t, const struct harmony_message *m, size_t n, unsigned flags,
                           struct ids *out, struct err *err)
{
    size_t first_final = n;
    bool last_is_final = false;
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
    for (size_t i = 0; i < n; i++) {
        size_t r = 0;
        while (r < 5 && !is(m[i].role, roles[r]))
            r++;
        if (r == 5)
            return err_set(err, ERR_USAGE, "message %zu: expected a role of the harmony format, found \"%.60s\"", i,
                           m[i].role);
        if (r == 4 && !m[i].name)
            return err_set(err, ERR_USAGE, "message %zu: expected the name of the tool, found none", i);
        if (r == 3)
            last_is_final = is(m[i].channel, "final");
        if (is(m[i].channel, "final") && first_final == n)
            first_final = i;
    }
    bool drop = flags & HARMONY_DROP_ANALYSIS && last_is_final;
    struct chat_writer w;
    chat_writer_init(&w, t, out, err);
    for (size_t i = 0; i < n; i++) {
        if (drop && i < first_final && is(m[i].channel, "analysis"))
            continue;
        bool final = is(m[i].role, "assistant") && is(m[i].channel, "final");
        message(&w, &m[i], flags & HARMONY_TRAINING && i + 1 == n && final);
    }
    if (flags & HARMONY_COMPLETION) {
        chat_mark(&w, "<|start|>");
        part(&w, "", "assistant");
    }
    return chat_writer_end(&w);
}

/* The caller's conversation in the format's messages: a system message of our own first, system and
 * developer text as developer messages, an assistant turn as analysis and final. Analysis of a finished
 * turn (one that has content) is dropped, every turn's, as the format guide and the model's own template
 * do; the reference library keeps it after the first turn. */
enum status chat_harmony_render(const struct tokenizer *t, const struct chat_message *m, size_t n,
                                const struct chat_options *opt, struct ids *out, struct err *err)
{
    static const char *const channels[] = {"analysis", "commentary", "final", NULL};
    const char *effort = opt->effort ? opt->effort : "medium";
    if (!is(effort, "low") && !is(effort, "medium") && !is(effort, "high"))
        return err_set(err, ERR_USAGE, "expected reasoning effort low, medium or high, found \"%.60s\"", effort);
    struct harmony_system sys = {.identity = "You are ChatGPT, a large language model trained by OpenAI.",
                                 .cutoff = "2024-06",
                                 .date = opt->date,
                                 .effort = effort,
                                 .channels = channels};
    struct buf system = BUF_INIT;
    struct buf *texts = NULL; // of the developer messages
    void *p = NULL;
    void *q = NULL;
    enum status s = mem_alloc(&p, n + 1, sizeof(struct harmony_message), "conversation", err);
    if (s || (s = mem_alloc(&q, n, sizeof *texts, "conversation", err)))
        goto done;
    struct harmony_message *h = p;
    texts = q;
    harmony_system_text(&sys, &system);
    if ((s = buf_status(&system, "system message", err)))
        goto done;
    h[0] = (struct harmony_message){.role = "system", .content = system.data};
    for (size_t i = 0; i < n; i++) {
        bool assistant = is(m[i].role, "assistant");
        bool finished = m[i].content && *m[i].content;
        if (is(m[i].role, "system") || is(m[i].role, "developer")) {
            harmony_developer_text(m[i].content ? m[i].content : "", &texts[i]);
            if ((s = buf_status(&texts[i], "developer message", err)))
                goto done;
            h[i + 1] = (struct harmony_message){.role = "developer", .content = texts[i].data};
        } else if (assistant && !finished && m[i].reasoning) {
            h[i + 1] = (struct harmony_message){.role = "assistant", .channel = "analysis", .content = m[i].reasoning};
        } else if (assistant || is(m[i].role, "user")) {
            h[i + 1] = (struct harmony_message){
                .role = m[i].role, .channel = assistant ? "final" : NULL, .content = m[i].content};
        } else {
            s = err_set(err, is(m[i].role, "tool") ? ERR_UNSUPPORTED : ERR_USAGE,
                        "message %zu: expected a role among system, developer, user, assistant, found \"%.60s\"", i,
                        m[i].role);
            goto done;
        }
    }
    s = harmony_render(t, h, n + 1, HARMONY_COMPLETION, out, err);
done:
    for (size_t i = 0; texts && i < n; i++)
        buf_release(&texts[i]);
    mem_free(q);
    mem_free(p);
    buf_release(&system);
    return s;
}

/* Add what the messages of one log hold to out; *read_to is the end of the last one's content. */
static void add_messages(const struct harmony_log *log, struct chat_parts *out, size_t *read_to)
{
    for (size_t i = 0; i < log->n; i++) {
        const struct harmony_parsed *m = &log->v[i];
        const char *text = m->content.data ? m->content.data : "";
        *read_to = m->to;
        if (m->recipient)
            continue; // a tool call: nobody reads it here
        if (is(m->channel, "analysis")) {
            buf_add(&out->reasoning, text, m->content.n);
            out->reason_tok += m->to - m->from;
        } else { // final, a preamble (commentary to the user), or no channel at all
            buf_add(&out->final, text, m->content.n);
            out->final_tok += m->to - m->from;
            out->has_final = out->has_final || !is(m->channel, "commentary");
        }
    }
}

/* Whether ids hold no more than marks and the start of a header: generation was cut there. */
static bool only_a_header(const struct tokenizer *t, const int32_t *ids, size_t n)
{
    int32_t start = tokenizer_special(t, "<|start|>");
    int32_t channel = tokenizer_special(t, "<|channel|>");
    int32_t message = tokenizer_special(t, "<|message|>");
    bool in_header = false;
    for (size_t i = 0; i < n; i++) {
        in_header = in_header || ids[i] == channel || ids[i] == start;
        if (ids[i] == message || !(in_header || tokenizer_is_special(t, ids[i])))
            return false;
    }
    return true;
}

enum status chat_harmony_split(const struct tokenizer *t, const int32_t *ids, size_t n, struct chat_parts *out,
                               struct err *err)
{
    enum status s = OK;
    size_t from = 0;
    for (;;) {
        struct harmony_log log = {.v = NULL};
        struct err why = ERR_INIT;
        size_t read_to = 0;
        s = harmony_parse(t, ids + from, n - from, "assistant", false, &log, &why);
        add_messages(&log, out, &read_to);
        bool some = log.n > 0;
        harmony_log_release(&log);
        if (s != ERR_FORMAT) {
            if (s)
                (void)err_set(err, s, "%s", why.text);
            break;
        }
        s = OK;
        if (out->has_final || only_a_header(t, ids + from + read_to, n - from - read_to))
            break; // surplus after a finished answer, or a header that was cut off
        out->repaired = true;
        from += read_to;
        // The stop that ended the last message is at from. Without <|start|> after it the model left
        // that out and a header follows; with it, or with no message at all, the header is unreadable,
        // and the raw text is the answer: an answer is never lost for its header.
        if (some && from + 1 < n && ids[from + 1] != tokenizer_special(t, "<|start|>")) {
            from++;
            continue;
        }
        s = chat_decode(t, ids + from, n - from, &out->final, err);
        out->final_tok += n - from;
        out->has_final = true;
        break;
    }
    out->markup_tok = n - out->reason_tok - out->final_tok;
    if (!s)
        s = buf_status(&out->reasoning, "reasoning", err);
    return s ? s : buf_status(&out->final, "final text", err);
}
