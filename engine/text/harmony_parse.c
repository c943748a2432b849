#include <string.h>

#include "base/mem.h"
#include "text/chat_harmony.h"
#include "text/chat_internal.h"
#include "text/utf8_text.h"

/* The marks a parser meets; -1 for one the tokenizer lacks matches nothing. */
struct marks {
    int32_t start, message, end, ret, call;
};

struct parser {
    const struct tokenizer *t;
    const int32_t *ids;
    size_t n, at;
    struct marks mark;
    bool strict;
    struct err *err;
};

static void parsed_release(struct harmony_parsed *m)
{
    mem_free(m->role);
    mem_free(m->name);
    mem_free(m->recipient);
    mem_free(m->channel);
    mem_free(m->content_type);
    buf_release(&m->content);
}

void harmony_log_release(struct harmony_log *l)
{
    for (size_t i = 0; i < l->n; i++)
        parsed_release(&l->v[i]);
    mem_free(l->v);
    *l = (struct harmony_log){.v = NULL};
}

static enum status copy(char **out, const char *s, size_t n, struct err *err)
{
    void *p;
    enum status st = mem_alloc(&p, n + 1, 1, "message header", err);
    if (st)
        return st;
    memcpy(p, s, n);
    *out = p;
    return OK;
}

static bool stops(const struct parser *p, int32_t id)
{
    return id >= 0 && (id == p->mark.end || id == p->mark.ret || id == p->mark.call);
}

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Blank-separated words of a header. */
struct words {
    const char *s[4];
    size_t n[4];
    size_t count; /* may exceed 4: then the header is too long anyway */
};

static void split_words(const char *s, size_t n, struct words *w)
{
    w->count = 0;
    for (size_t i = 0; i < n;) {
        while (i < n && blank(s[i]))
            i++;
        size_t from = i;
        while (i < n && !blank(s[i]))
            i++;
        if (i > from) {
            if (w->count < 4) {
                w->s[w->count] = s + from;
                w->n[w->count] = i - from;
            }
            w->count++;
        }
    }
}

static bool word_is(const struct words *w, size_t i, const char *text)
{
    return w->n[i] == strlen(text) && memcmp(w->s[i], text, w->n[i]) == 0;
}

static bool known_role(const struct words *w, size_t i)
{
    return word_is(w, i, "system") || word_is(w, i, "developer") || word_is(w, i, "user") ||
           word_is(w, i, "assistant") || word_is(w, i, "tool");
}

static enum status recipient(struct harmony_parsed *m, const struct words *w, size_t i, struct err *err)
{
    size_t skip = w->n[i] >= 3 && memcmp(w->s[i], "to=", 3) == 0 ? 3 : 0;
    return copy(&m->recipient, w->s[i] + skip, w->n[i] - skip, err);
}

/* A channel's name ends at a blank or '<'. */
static size_t channel_len(const char *name)
{
    size_t len = 0;
    while (name[len] && !blank(name[len]) && name[len] != '<')
        len++;
    return len;
}

/* Cut "<|channel|>NAME" out of the header text. */
static enum status take_channel(struct harmony_parsed *m, struct buf *h, struct err *err)
{
    static const char mark[] = "<|channel|>";
    char *at = h->data ? strstr(h->data, mark) : NULL;
    if (!at)
        return OK;
    char *name = at + sizeof mark - 1;
    size_t len = channel_len(name);
    if (len == 0)
        return err_set(err, ERR_FORMAT, "expected a channel after <|channel|>, found none");
    enum status s = copy(&m->channel, name, len, err);
    size_t rest = h->n - (size_t)(name + len - h->data);
    *at = ' '; // the role before and the words after must not become one
    memmove(at + 1, name + len, rest + 1);
    h->n = (size_t)(at + 1 - h->data) + rest;
    return s;
}

/* "<|constrain|>json" may stand glued to the word before it. */
static void space_constrain(struct buf *h)
{
    static const char mark[] = "<|constrain|>";
    const char *at = h->data ? strstr(h->data, mark) : NULL;
    if (!at)
        return;
    size_t before = (size_t)(at - h->data);
    struct buf out = BUF_INIT;
    buf_add(&out, h->data, before);
    buf_char(&out, ' ');
    buf_add(&out, at, h->n - before);
    buf_release(h);
    *h = out;
}

/* Header text -> role, name, recipient, channel, content type. role NULL: the text starts with it. */
static enum status read_header(struct harmony_parsed *m, struct buf *h, const char *role, struct err *err)
{
    enum status s = take_channel(m, h, err);
    if (s)
        return s;
    space_constrain(h);
    if ((s = buf_status(h, "message header", err)))
        return s;
    struct words w;
    split_words(h->data ? h->data : "", h->n, &w);
    size_t first = 0;
    if (role) {
        s = copy(&m->role, role, strlen(role), err);
        first = w.count && word_is(&w, 0, role);
    } else if (w.count && known_role(&w, 0)) {
        s = copy(&m->role, w.s[0], w.n[0], err);
        first = 1;
    } else if (w.count > 1) { // a tool speaks under its own name
        if (!(s = copy(&m->role, "tool", 4, err)))
            s = copy(&m->name, w.s[0], w.n[0], err);
        first = 1;
    } else {
        return err_set(err, ERR_FORMAT, "expected a role, found \"%.60s\"", h->data ? h->data : "");
    }
    size_t n = w.count - first;
    if (s || n == 0)
        return s;
    if (n > 2 || w.count > 4)
        return err_set(err, ERR_FORMAT,
                       "expected at most a recipient and a content type in a message header, found %zu words", n);
    size_t last = w.count - 1;
    bool to = w.n[last] >= 3 && memcmp(w.s[last], "to=", 3) == 0;
    if (n == 1)
        return recipient(m, &w, last, err);
    if (to)
        return err_set(err, ERR_FORMAT, "expected the recipient last in a message header, found a word before it");
    if ((s = copy(&m->content_type, w.s[last], w.n[last], err)))
        return s;
    return recipient(m, &w, last - 1, err);
}

static enum status header_text(const struct parser *p, size_t from, size_t to, struct buf *out)
{
    struct buf raw = BUF_INIT;
    enum status s = tokenizer_decode(p->t, p->ids + from, to - from, false, &raw, p->err);
    if (!s)
        utf8_lossy(raw.data ? raw.data : "", raw.n, out);
    buf_release(&raw);
    return s ? s : buf_status(out, "message header", p->err);
}

static enum status read_content(struct parser *p, struct harmony_parsed *m, size_t from, size_t to)
{
    struct buf raw = BUF_INIT;
    enum status s = tokenizer_decode(p->t, p->ids + from, to - from, false, &raw, p->err);
    if (!s)
        utf8_lossy(raw.data ? raw.data : "", raw.n, &m->content);
    buf_release(&raw);
    m->from = from;
    m->to = to;
    return s ? s : buf_status(&m->content, "message content", p->err);
}

/* A header that met a stop before <|message|>: what follows role and channel is the content. */
static enum status headless(struct parser *p, struct harmony_parsed *m, size_t from, size_t to, const char *role)
{
    static const char mark[] = "<|channel|>";
    static const char assistant[] = "assistant";
    enum status s = copy(&m->role, role ? role : assistant, strlen(role ? role : assistant), p->err);
    if (s || (s = read_content(p, m, from, to)))
        return s;
    const char *text = m->content.data ? m->content.data : "";
    if (!role && strncmp(text, assistant, sizeof assistant - 1) == 0)
        text += sizeof assistant - 1;
    if (strncmp(text, mark, sizeof mark - 1) == 0) {
        const char *name = text + sizeof mark - 1;
        size_t len = channel_len(name);
        if (len == 0)
            return err_set(p->err, ERR_FORMAT, "expected a channel after <|channel|>, found none");
        if ((s = copy(&m->channel, name, len, p->err)))
            return s;
        text = name + len;
        while (blank(*text))
            text++;
    }
    struct buf rest = BUF_INIT;
    buf_add(&rest, text, m->content.n - (size_t)(text - (m->content.data ? m->content.data : text)));
    buf_release(&m->content);
    m->content = rest;
    return buf_status(&m->content, "message content", p->err);
}

static enum status one_message(struct parser *p, struct harmony_parsed *m, const char *role)
{
    size_t from = p->at;
    size_t i = from;
    while (i < p->n && p->ids[i] != p->mark.message && (p->strict || !stops(p, p->ids[i])))
        i++;
    if (i == p->n)
        return err_set(p->err, ERR_FORMAT, "token %zu: expected <|message|>, found the end", i);
    enum status s;
    if (p->ids[i] != p->mark.message) {
        p->at = i + 1;
        m->complete = true;
        return headless(p, m, from, i, role);
    }
    struct buf h = BUF_INIT;
    if (!(s = header_text(p, from, i, &h)))
        s = read_header(m, &h, role, p->err);
    buf_release(&h);
    if (s)
        return s;
    size_t end = i + 1;
    while (end < p->n && !stops(p, p->ids[end]))
        end++;
    m->complete = end < p->n;
    p->at = m->complete ? end + 1 : end;
    return read_content(p, m, i + 1, end);
}

static enum status new_message(struct harmony_log *l, struct err *err)
{
    if (l->n < l->cap)
        return OK;
    size_t cap = l->cap ? l->cap * 2 : 4;
    void *p;
    enum status s = mem_alloc(&p, cap, sizeof *l->v, "messages", err);
    if (s)
        return s;
    if (l->n)
        memcpy(p, l->v, l->n * sizeof *l->v);
    mem_free(l->v);
    l->v = p;
    l->cap = cap;
    return OK;
}

enum status harmony_parse(const struct tokenizer *t, const int32_t *ids, size_t n, const char *role, bool strict,
                          struct harmony_log *out, struct err *err)
{
    struct parser p = {.t = t, .ids = ids, .n = n, .strict = strict, .err = err};
    p.mark = (struct marks){.start = tokenizer_special(t, "<|start|>"),
                            .message = tokenizer_special(t, "<|message|>"),
                            .end = tokenizer_special(t, "<|end|>"),
                            .ret = tokenizer_special(t, "<|return|>"),
                            .call = tokenizer_special(t, "<|call|>")};
    bool in_header = role != NULL;
    while (p.at < n || in_header) {
        if (!in_header) {
            if (ids[p.at] != p.mark.start)
                return err_set(err, ERR_FORMAT, "token %zu: expected <|start|>, found id %d", p.at, (int)ids[p.at]);
            p.at++;
        }
        struct harmony_parsed m = {.content = BUF_INIT};
        enum status s = new_message(out, err);
        if (!s)
            s = one_message(&p, &m, in_header ? role : NULL);
        in_header = false;
        if (s) {
            parsed_release(&m);
            return s;
        }
        out->v[out->n++] = m;
    }
    return OK;
}
