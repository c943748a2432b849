#ifndef ASSAY_TEXT_CHAT_HARMONY_H
#define ASSAY_TEXT_CHAT_HARMONY_H

#include "text/chat.h"

/* The harmony format of gpt-oss. Function definitions and the built-in tools are not rendered yet.
 * Source: openai/harmony docs/format.md; "Harmony" in this project's design notes. */

/* One message of the format, all strings borrowed, NULL = absent. role: "system" "developer" "user"
 * "assistant" "tool"; a tool message's name is the tool's full name. */
struct harmony_message {
    const char *role, *name, *recipient, *channel, *content_type, *content;
};

/* The sections of a system message; NULL = left out. */
struct harmony_system {
    const char *identity, *cutoff, *date, *effort;
    const char *const *channels; /* NULL-ended list, or NULL */
};

/* harmony_system_text, harmony_developer_text - the content of those messages, appended. */
void harmony_system_text(const struct harmony_system *sys, struct buf *out);
void harmony_developer_text(const char *instructions, struct buf *out);

enum harmony_flags {
    HARMONY_DROP_ANALYSIS = 1u << 0, /* as the library: analysis before the first final message goes when
                                        the last assistant message is final */
    HARMONY_COMPLETION = 1u << 1,    /* end with <|start|>assistant */
    HARMONY_TRAINING = 1u << 2       /* a last final message ends with <|return|> */
};

/* harmony_render - append the ids of a conversation. ERR_USAGE for an unknown role or a tool message
 * without a name; ERR_UNSUPPORTED if the tokenizer lacks a mark. */
enum status harmony_render(const struct tokenizer *t, const struct harmony_message *m, size_t n, unsigned flags,
                           struct ids *out, struct err *err);

/* One parsed message. Strings are owned, NULL = absent. [from, to) are the ids of its content. */
struct harmony_parsed {
    char *role, *name, *recipient, *channel, *content_type;
    struct buf content; /* valid UTF-8: what is not becomes U+FFFD */
    size_t from, to;
    bool complete; /* ended by <|end|>, <|return|> or <|call|> */
};
struct harmony_log {
    struct harmony_parsed *v;
    size_t n, cap;
};
void harmony_log_release(struct harmony_log *l);

/* harmony_parse - take ids apart. role: the one already given by the prompt ("assistant"), or NULL when
 * ids start with <|start|>. strict follows the format to the letter; otherwise a header without
 * <|message|> becomes content. ERR_FORMAT for what cannot be read; the messages before it stay in *out.
 * The caller releases *out in either case (zero-initialised). */
enum status harmony_parse(const struct tokenizer *t, const int32_t *ids, size_t n, const char *role, bool strict,
                          struct harmony_log *out, struct err *err);

/* The harmony halves of chat_render and chat_split. */
enum status chat_harmony_render(const struct tokenizer *t, const struct chat_message *m, size_t n,
                                const struct chat_options *opt, struct ids *out, struct err *err);
enum status chat_harmony_split(const struct tokenizer *t, const int32_t *ids, size_t n, struct chat_parts *out,
                               struct err *err);

#endif
