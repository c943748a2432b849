#include <stdio.h>

#include "base/buf.h"
#include "synth/synth_config.h"
#include "synth/synth_json.h"
#include "synth/synth_safetensors.h"

/* Chat templates, written for this project from the formats as tokenizers-and-chat.md 8-10 fixes them:
 * plain conversations, no tools. Variables: messages, add_generation_prompt, and the options named in
 * each. */

/* harmony; reasoning_effort (medium), current_date (no line unless given). The caller's system text is
 * the developer message; analysis of finished turns is dropped; <|return|> never enters a prompt. */
static const char harmony_template[] =
    "{{- '<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\\n"
    "Knowledge cutoff: 2024-06\\n' }}\n"
    "{%- if current_date is defined and current_date %}{{- 'Current date: ' + current_date + '\\n' }}{%- endif %}\n"
    "{{- '\\nReasoning: ' + (reasoning_effort | default('medium', true)) + '\\n\\n"
    "# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|>' }}\n"
    "{%- for message in messages %}\n"
    "{%- if message.role == 'system' or message.role == 'developer' %}\n"
    "{{- '<|start|>developer<|message|># Instructions\\n\\n' + message.content + '<|end|>' }}\n"
    "{%- elif message.role == 'user' %}\n"
    "{{- '<|start|>user<|message|>' + message.content + '<|end|>' }}\n"
    "{%- elif message.role == 'assistant' %}\n"
    "{{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|end|>' }}\n"
    "{%- else %}\n"
    "{{- raise_exception('unknown role ' + message.role) }}\n"
    "{%- endif %}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}\n";

/* Qwen3; enable_thinking (true). Reasoning survives only after the last user message. */
static const char qwen3_template[] =
    "{%- set last = namespace(user=-1) %}\n"
    "{%- for message in messages %}\n"
    "{%- if message.role == 'user' %}{%- set last.user = loop.index0 %}{%- endif %}\n"
    "{%- endfor %}\n"
    "{%- for message in messages %}\n"
    "{%- set content = message.content %}\n"
    "{%- set reasoning = message.reasoning_content if message.reasoning_content is string else '' %}\n"
    "{%- if message.role == 'assistant' and not reasoning and '</think>' in content %}\n"
    "{%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}\n"
    "{%- set content = content.split('</think>')[-1].lstrip('\\n') %}\n"
    "{%- endif %}\n"
    "{%- if message.role == 'assistant' and loop.index0 > last.user and (loop.last or reasoning) %}\n"
    "{{- '<|im_start|>assistant\\n<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n')"
    " + '<|im_end|>\\n' }}\n"
    "{%- elif message.role in ['system', 'user', 'assistant'] %}\n"
    "{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}\n"
    "{%- else %}\n"
    "{{- raise_exception('unknown role ' + message.role) }}\n"
    "{%- endif %}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "{{- '<|im_start|>assistant\\n' }}\n"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}\n"
    "{%- endif %}\n";

static const char yi_template[] =
    "{%- for message in messages %}\n"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}\n";

static void write_added_decoder(struct jsonw *w, const struct synth_tokenizer *t)
{
    jsonw_open(w, "added_tokens_decoder", '{');
    for (size_t i = 0; i < t->n_added; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "%zu", t->added[i].id);
        jsonw_open(w, key, '{');
        jsonw_str(w, "content", t->added[i].name);
        jsonw_raw(w, "lstrip", "false");
        jsonw_raw(w, "normalized", "false");
        jsonw_raw(w, "rstrip", "false");
        jsonw_raw(w, "single_word", "false");
        jsonw_raw(w, "special", t->added[i].special ? "true" : "false");
        jsonw_close(w, '}');
    }
    jsonw_close(w, '}');
}

static void gptoss_keys(struct jsonw *w)
{
    jsonw_str(w, "bos_token", "<|startoftext|>");
    jsonw_str(w, "chat_template", harmony_template);
    jsonw_str(w, "eos_token", "<|return|>");
    jsonw_str(w, "pad_token", "<|endoftext|>");
    jsonw_str(w, "tokenizer_class", "PreTrainedTokenizerFast");
}

static void qwen3_keys(struct jsonw *w)
{
    jsonw_raw(w, "add_bos_token", "false");
    jsonw_raw(w, "add_prefix_space", "false");
    jsonw_raw(w, "bos_token", "null");
    jsonw_str(w, "chat_template", qwen3_template);
    jsonw_str(w, "eos_token", "<|im_end|>");
    jsonw_str(w, "errors", "replace");
    jsonw_str(w, "pad_token", "<|endoftext|>");
    jsonw_raw(w, "split_special_tokens", "false");
    jsonw_str(w, "tokenizer_class", "Qwen2Tokenizer");
    jsonw_raw(w, "unk_token", "null");
}

/* LlamaTokenizer would put a rule of its own in place of tokenizer.json's: hence the plain class. */
static void yi_keys(struct jsonw *w)
{
    jsonw_raw(w, "add_bos_token", "false");
    jsonw_raw(w, "add_eos_token", "false");
    jsonw_str(w, "bos_token", "<|startoftext|>");
    jsonw_str(w, "chat_template", yi_template);
    jsonw_str(w, "eos_token", "<|endoftext|>");
    jsonw_str(w, "pad_token", "<unk>");
    jsonw_str(w, "tokenizer_class", "PreTrainedTokenizerFast");
    jsonw_str(w, "unk_token", "<unk>");
}

enum status synth_tokenizer_config_write(const struct synth_shape *s, const struct synth_tokenizer *t,
                                         const char *dir, struct err *err)
{
    struct buf text = BUF_INIT;
    struct jsonw w = {.out = &text};
    jsonw_open(&w, NULL, '{');
    write_added_decoder(&w, t);
    switch (s->family) {
    case SYNTH_GPTOSS:
        gptoss_keys(&w);
        break;
    case SYNTH_QWEN3:
        qwen3_keys(&w);
        break;
    case SYNTH_YI:
        yi_keys(&w);
        break;
    }
    jsonw_raw(&w, "clean_up_tokenization_spaces", "false");
    jsonw_int(&w, "model_max_length", (int64_t)s->max_context_tok);
    jsonw_close(&w, '}');
    enum status st = buf_status(&text, "tokenizer_config.json", err);
    st = st ? st : synth_file_write(dir, "tokenizer_config.json", text.data, text.n, err);
    buf_release(&text);
    return st;
}
