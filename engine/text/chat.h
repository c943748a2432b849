#ifndef ASSAY_TEXT_CHAT_H
#define ASSAY_TEXT_CHAT_H

#include "base/err.h"
#include "text/tokenizer.h"

enum chat_format { CHAT_NONE, CHAT_HARMONY, CHAT_QWEN3, CHAT_YI };

/* One message. role: "system", "user", "assistant", "developer", "tool". Borrowed strings. */
struct chat_message {
    const char *role;
    const char *content;
    const char *reasoning; /* assistant: analysis / <think> text, or NULL */
};

struct chat_options {
    const char *effort; /* harmony: "low" "medium" "high", NULL = medium */
    const char *date;   /* harmony: "2025-06-28" or NULL = no date line */
    bool no_thinking;   /* qwen3: enable_thinking = false */
};

/* chat_render - append the ids of a conversation up to where the assistant writes next. The caller's
 * system text goes to harmony's developer message. Content never becomes markup. */
enum status chat_render(enum chat_format f, const struct tokenizer *t, const struct chat_message *messages,
                        size_t n, const struct chat_options *opt, struct ids *out, struct err *err);

/* chat_split - the generated ids of one assistant turn, taken apart: reasoning (analysis, <think>) and
 * final text appended to the buffers. has_final false: generation ended inside the reasoning (harmony:
 * no final message; qwen3: no </think> after <think>). Lenient as tokenizers-and-chat.md 8 says. */
struct chat_parts {
    struct buf reasoning;
    struct buf final;
    bool has_final;
    size_t reason_tok, final_tok, markup_tok; /* sum: all generated ids */
    bool repaired; /* the ids broke the format and the text was rescued: worth a warning */
};
enum status chat_split(enum chat_format f, const struct tokenizer *t, const int32_t *ids, size_t n,
                       struct chat_parts *out, struct err *err);
void chat_parts_release(struct chat_parts *p);

#endif
