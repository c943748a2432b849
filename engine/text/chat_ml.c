#include <string.h>

#include "text/chat_internal.h"

/* ChatML: <|im_start|>ROLE\nTEXT<|im_end|>\n. Yi's is just that; Qwen3's adds thinking. */

/* Text with leading (and trailing) newlines cut, as Jinja's strip('\n') does. */
struct slice {
    const char *s;
    size_t n;
};

static struct slice slice(const char *s)
{
    return (struct slice){.s = s ? s : "", .n = s ? strlen(s) : 0};
}

static struct slice lstrip(struct slice a)
{
    while (a.n && a.s[0] == '\n') {
        a.s++;
        a.n--;
    }
    return a;
}

static struct slice rstrip(struct slice a)
{
    while (a.n && a.s[a.n - 1] == '\n')
        a.n--;
    return a;
}

/* Position of the first or last needle in a, or a.n. */
static size_t find(struct slice a, const char *needle, bool last)
{
    size_t k = strlen(needle);
    size_t hit = a.n;
    for (size_t i = 0; k <= a.n && i <= a.n - k; i++)
        if (memcmp(a.s + i, needle, k) == 0) {
            hit = i;
            if (!last)
                break;
        }
    return hit;
}

static bool is_tool_response(const char *content)
{
    struct slice c = slice(content);
    static const char open[] = "<tool_response>";
    static const char close[] = "</tool_response>";
    return c.n >= sizeof open - 1 && c.n >= sizeof close - 1 && memcmp(c.s, open, sizeof open - 1) == 0 &&
           memcmp(c.s + c.n - (sizeof close - 1), close, sizeof close - 1) == 0;
}

/* The last message that asks something: thoughts before it are finished and dropped. */
static size_t last_query(const struct chat_message *m, size_t n)
{
    for (size_t i = n; i-- > 0;)
        if (strcmp(m[i].role, "user") == 0 && !is_tool_response(m[i].content))
            return i;
    return n ? n - 1 : 0;
}

static void open_turn(struct chat_writer *w, const char *role)
{
    chat_mark(w, "<|im_start|>");
    chat_text(w, role);
}

static void close_turn(struct chat_writer *w)
{
    chat_mark(w, "<|im_end|>");
    chat_text(w, "\n");
}

static void think(struct chat_writer *w, struct slice reasoning)
{
    chat_mark(w, "<think>");
    chat_text(w, "\n");
    chat_text_n(w, reasoning.s, reasoning.n);
    chat_text(w, "\n");
    chat_mark(w, "</think>");
    chat_text(w, "\n\n");
}

static void qwen3_assistant(struct chat_writer *w, const struct chat_message *m, bool after_query, bool last)
{
    static const char open[] = "<think>";
    static const char close[] = "</think>";
    struct slice content = slice(m->content);
    struct slice reasoning = slice(m->reasoning);
    size_t end = find(content, close, false);
    if (!m->reasoning && end < content.n) { // thoughts inside the content
        reasoning = rstrip((struct slice){.s = content.s, .n = end});
        size_t from = find(reasoning, open, true);
        if (from < reasoning.n) {
            reasoning.s += from + sizeof open - 1;
            reasoning.n -= from + sizeof open - 1;
        }
        reasoning = lstrip(reasoning);
        size_t at = find(content, close, true) + sizeof close - 1;
        content = lstrip((struct slice){.s = content.s + at, .n = content.n - at});
    }
    chat_text(w, "\n");
    if (after_query && (last || reasoning.n)) {
        think(w, lstrip(rstrip(reasoning)));
        content = lstrip(content);
    }
    chat_text_n(w, content.s, content.n);
}

static void qwen3_tool(struct chat_writer *w, const struct chat_message *m, bool first, bool last)
{
    if (first)
        open_turn(w, "user");
    chat_text(w, "\n");
    chat_mark(w, "<tool_response>");
    chat_text(w, "\n");
    chat_text(w, m->content ? m->content : "");
    chat_text(w, "\n");
    chat_mark(w, "</tool_response>");
    if (last)
        close_turn(w);
}

enum status chat_ml_render(bool qwen3, const struct tokenizer *t, const struct chat_message *m, size_t n,
                           bool no_thinking, struct ids *out, struct err *err)
{
    static const char *const roles[] = {"system", "user", "assistant", "developer"};
    struct chat_writer w;
    size_t query = last_query(m, n);
    chat_writer_init(&w, t, out, err);
    for (size_t i = 0; i < n && !w.status; i++) {
        size_t r = 0;
        while (r < 4 && strcmp(m[i].role, roles[r]) != 0)
            r++;
        bool tool = strcmp(m[i].role, "tool") == 0;
        if (r == 4 && !(tool && qwen3)) {
            w.status = err_set(err, tool ? ERR_UNSUPPORTED : ERR_USAGE,
                               "message %zu: expected a role among system, user, assistant, developer, found \"%.60s\"",
                               i, m[i].role);
            break;
        }
        if (tool) {
            qwen3_tool(&w, &m[i], i == 0 || strcmp(m[i - 1].role, "tool") != 0,
                       i + 1 == n || strcmp(m[i + 1].role, "tool") != 0);
            continue;
        }
        open_turn(&w, r == 3 ? "system" : m[i].role); // these formats have no developer
        if (qwen3 && r == 2) {
            qwen3_assistant(&w, &m[i], i > query, i + 1 == n);
        } else {
            chat_text(&w, "\n");
            chat_text(&w, m[i].content ? m[i].content : "");
        }
        close_turn(&w);
    }
    open_turn(&w, "assistant");
    chat_text(&w, "\n");
    if (qwen3 && no_thinking)
        think(&w, (struct slice){.s = "", .n = 0});
    return chat_writer_end(&w);
}

static size_t index_of(const int32_t *ids, size_t n, int32_t id)
{
    size_t i = 0;
    while (i < n && (id < 0 || ids[i] != id))
        i++;
    return i;
}

/* Append the text of ids, newlines cut at the start, and at the end too if both. */
static enum status add_stripped(const struct tokenizer *t, const int32_t *ids, size_t n, bool both, struct buf *out,
                                struct err *err)
{
    struct buf text = BUF_INIT;
    enum status s = chat_decode(t, ids, n, &text, err);
    struct slice a = lstrip((struct slice){.s = text.data, .n = text.n});
    if (both)
        a = rstrip(a);
    if (!s && a.n)
        buf_add(out, a.s, a.n);
    buf_release(&text);
    return s ? s : buf_status(out, "decoded text", err);
}

enum status chat_ml_split(bool qwen3, const struct tokenizer *t, const int32_t *ids, size_t n, struct chat_parts *out,
                          struct err *err)
{
    size_t all = n;
    n = index_of(ids, n, tokenizer_special(t, "<|im_end|>"));
    n = index_of(ids, n, tokenizer_special(t, "<|endoftext|>"));
    out->markup_tok = all - n; // the stop id and whatever was generated past it
    if (!qwen3) {
        out->has_final = true;
        out->final_tok = n;
        return chat_decode(t, ids, n, &out->final, err);
    }
    size_t open = index_of(ids, n, tokenizer_special(t, "<think>"));
    size_t close = index_of(ids, n, tokenizer_special(t, "</think>"));
    bool thinks = open < n || close < n; // a turn may also answer at once
    size_t from = open < close ? open + 1 : 0;
    size_t reason_end = thinks ? close : 0;
    size_t final_from = close < n ? close + 1 : thinks ? n : 0;
    out->has_final = close < n || !thinks;
    out->reason_tok = reason_end > from ? reason_end - from : 0;
    out->final_tok = n - final_from;
    out->markup_tok = all - out->reason_tok - out->final_tok;
    enum status s = OK;
    if (out->reason_tok)
        s = add_stripped(t, ids + from, out->reason_tok, true, &out->reasoning, err);
    if (!s && out->final_tok)
        s = add_stripped(t, ids + final_from, out->final_tok, false, &out->final, err);
    return s;
}
