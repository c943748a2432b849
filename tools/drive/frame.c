#include "drive/frame.h"

#include <string.h>

static enum status render(const struct model *m, const char *content, struct ids *out, struct err *err)
{
    const struct chat_message user = {.role = "user", .content = content};
    const struct chat_options plain = {.effort = NULL};
    return chat_render(model_chat_format(m), model_tokenizer(m), &user, 1, &plain, out, err);
}

/* An empty message is markup alone; where one of a letter departs from it, the content begins. */
enum status chat_frame_of(const struct model *m, struct chat_frame *out, struct err *err)
{
    struct ids empty = {.v = NULL};
    struct ids full = {.v = NULL};
    enum status s = OK;
    *out = (struct chat_frame){.before = {.v = NULL}};
    if (model_chat_format(m) == CHAT_NONE)
        return err_set(err, ERR_UNSUPPORTED, "model '%s' has no chat format", model_info(m)->name);
    s = render(m, "", &empty, err);
    if (!s)
        s = render(m, "x", &full, err);
    size_t at = 0;
    while (!s && at < empty.n && at < full.n && empty.v[at] == full.v[at])
        at++;
    size_t tail = s ? 0 : empty.n - at;
    if (!s && (full.n < empty.n || memcmp(full.v + full.n - tail, empty.v + at, tail * sizeof *full.v) != 0))
        s = err_set(err, ERR_UNSUPPORTED, "model '%s': its chat format changes with the content", model_info(m)->name);
    for (size_t i = 0; !s && i < empty.n; i++)
        ids_add(i < at ? &out->before : &out->after, empty.v[i]);
    if (!s)
        s = ids_status(&out->before, err);
    if (!s)
        s = ids_status(&out->after, err);
    ids_release(&empty);
    ids_release(&full);
    if (s)
        chat_frame_release(out);
    return s;
}

void chat_frame_release(struct chat_frame *f)
{
    ids_release(&f->before);
    ids_release(&f->after);
}
