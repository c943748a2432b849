#include "text/chat.h"

#include <string.h>

#include "text/chat_harmony.h"
#include "text/chat_internal.h"
#include "text/utf8_text.h"

void chat_writer_init(struct chat_writer *w, const struct tokenizer *t, struct ids *out, struct err *err)
{
    *w = (struct chat_writer){.t = t, .out = out, .err = err, .status = OK, .text = BUF_INIT};
}

void chat_text_n(struct chat_writer *w, const char *s, size_t n)
{
    buf_add(&w->text, s, n);
}

void chat_text(struct chat_writer *w, const char *s)
{
    buf_str(&w->text, s);
}

void chat_flush(struct chat_writer *w)
{
    if (!w->status)
        w->status = buf_status(&w->text, "prompt text", w->err);
    if (!w->status && w->text.n)
        w->status = tokenizer_encode_content(w->t, w->text.data, w->text.n, w->out, w->err);
    buf_clear(&w->text);
}

void chat_mark(struct chat_writer *w, const char *name)
{
    chat_flush(w);
    if (w->status)
        return;
    int32_t id = tokenizer_special(w->t, name);
    if (id < 0)
        w->status = err_set(w->err, ERR_UNSUPPORTED,
                            "cannot render this chat format: expected the tokenizer to have %s, found none", name);
    else
        ids_add(w->out, id);
}

enum status chat_writer_end(struct chat_writer *w)
{
    chat_flush(w);
    buf_release(&w->text);
    return w->status ? w->status : ids_status(w->out, w->err);
}

enum status chat_decode(const struct tokenizer *t, const int32_t *ids, size_t n, struct buf *out, struct err *err)
{
    struct buf raw = BUF_INIT;
    enum status s = tokenizer_decode(t, ids, n, true, &raw, err);
    if (!s) {
        utf8_lossy(raw.data ? raw.data : "", raw.n, out);
        s = buf_status(out, "decoded text", err);
    }
    buf_release(&raw);
    return s;
}

void chat_parts_release(struct chat_parts *p)
{
    buf_release(&p->reasoning);
    buf_release(&p->final);
}

enum status chat_render(enum chat_format f, const struct tokenizer *t, const struct chat_message *messages, size_t n,
                        const struct chat_options *opt, struct ids *out, struct err *err)
{
    struct chat_options none = {.effort = NULL};
    opt = opt ? opt : &none;
    switch (f) {
    case CHAT_HARMONY:
        return chat_harmony_render(t, messages, n, opt, out, err);
    case CHAT_QWEN3:
        return chat_ml_render(true, t, messages, n, opt->no_thinking, out, err);
    case CHAT_YI:
        return chat_ml_render(false, t, messages, n, false, out, err);
    case CHAT_NONE:
        break;
    }
    return err_set(err, ERR_UNSUPPORTED, "this model has no chat format: give it plain text");
}

enum status chat_split(enum chat_format f, const struct tokenizer *t, const int32_t *ids, size_t n,
                       struct chat_parts *out, struct err *err)
{
    *out = (struct chat_parts){.reasoning = BUF_INIT, .final = BUF_INIT};
    enum status s = OK;
    switch (f) {
    case CHAT_HARMONY:
        s = chat_harmony_split(t, ids, n, out, err);
        break;
    case CHAT_QWEN3:
    case CHAT_YI:
        s = chat_ml_split(f == CHAT_QWEN3, t, ids, n, out, err);
        break;
    case CHAT_NONE:
        out->has_final = true;
        out->final_tok = n;
        s = chat_decode(t, ids, n, &out->final, err);
        break;
    }
    if (s)
        chat_parts_release(out);
    return s;
}
