#ifndef TESTS_TOK_FORMS_H
#define TESTS_TOK_FORMS_H

/* The real tokenizers of the data folder in each form they come in, and in the forms that can be made from
 * those: a GGUF file, and vocab.json beside a tokenizer_config.json. Opened as a user would, by path. */
#include "text_support.h"

#include <sys/stat.h>

#include "base/json.h"
#include "format/tokletters.h"
#include "gguf_build.h"
#include "text/encode.h"
#include "text/nfc.h"
#include "text/utf8_text.h"

enum tok_form {
    FORM_O200K_JSON,
    FORM_O200K_TIKTOKEN,
    FORM_O200K_GGUF,
    FORM_QWEN3_JSON,
    FORM_QWEN3_VOCAB,  /* without tokenizer_config.json, as the folder has it */
    FORM_QWEN3_CONFIG, /* with one */
    FORM_QWEN3_GGUF,
    FORM_YI_JSON,
    FORM_YI_MODEL,
    FORM_YI_GGUF,
    FORM_LLAMA_GGUF
};

static inline const char *memmem_text(const char *s, size_t n, const char *needle)
{
    size_t k = strlen(needle);
    for (size_t i = 0; k <= n && i <= n - k; i++)
        if (s[i] == needle[0] && memcmp(s + i, needle, k) == 0)
            return s + i;
    return NULL;
}

static inline void put_file(const char *dir, const char *name, const void *data, size_t n)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static inline void drop_dir(const char *dir)
{
    char command[700];
    (void)snprintf(command, sizeof command, "rm -r '%s'", dir);
    assert_int_equal(system(command), 0);
}

static inline struct tokenizer *open_path(const char *path)
{
    struct tokenizer *t = NULL;
    struct err err = ERR_INIT;
    if (tokenizer_open(&t, path, &err))
        fail_msg("%s", err.text);
    return t;
}

/* A file of the tables f, as a converter writes it: pad_to rows. prefix false: as old converters, which do not say
 * whether a text gets a blank before it. */
static inline void gguf_of_tables(const struct tokfile *f, const char *pre, size_t pad_to, bool prefix, struct buf *out)
{
    bool spm = f->kind == TOKFILE_SPM;
    struct gguf_build g = GGUF_BUILD_INIT;
    struct buf text = BUF_INIT;
    put_str(&g, "tokenizer.ggml.model", spm ? "llama" : "gpt2");
    put_str(&g, "tokenizer.ggml.pre", pre);
    put_array(&g, "tokenizer.ggml.tokens", GGUF_STRING, pad_to);
    for (size_t id = 0; id < pad_to; id++) {
        size_t n = 0;
        const char *s = id < f->n_tokens ? tokfile_text(f, (int32_t)id, &n) : "";
        buf_clear(&text);
        if (n == 0)
            buf_printf(&text, "[PAD%zu]", id);
        else if (spm || f->flags[id] & TOKFILE_ADDED)
            buf_add(&text, s, n);
        else
            tokletters_write(s, n, &text);
        put_text(&g.kvs, text.data, text.n);
    }
    put_array(&g, "tokenizer.ggml.token_type", GGUF_I32, pad_to);
    for (size_t id = 0; id < pad_to; id++) {
        unsigned flags = id < f->n_tokens ? f->flags[id] : 0;
        int type = !(flags & TOKFILE_PRESENT) ? 5
                   : flags & TOKFILE_ADDED    ? flags & TOKFILE_SPECIAL ? 3 : 4
                   : flags & TOKFILE_USER     ? 4
                   : flags & TOKFILE_BYTE     ? 6
                                              : 1;
        put_int(&g.kvs, (uint64_t)type, 4);
    }
    if (prefix)
        put_bool(&g, "tokenizer.ggml.add_space_prefix", f->dummy_prefix);
    if (spm) {
        put_array(&g, "tokenizer.ggml.scores", GGUF_F32, pad_to);
        for (size_t id = 0; id < pad_to; id++) {
            uint32_t bits = 0;
            if (id < f->n_tokens)
                memcpy(&bits, &f->scores[id], 4);
            put_int(&g.kvs, bits, 4);
        }
    } else {
        put_array(&g, "tokenizer.ggml.merges", GGUF_STRING, f->n_merges);
        for (size_t i = 0; i < f->n_merges; i++) {
            size_t n;
            const char *s = tokfile_text(f, f->merges[i].left, &n);
            buf_clear(&text);
            tokletters_write(s, n, &text);
            buf_char(&text, ' ');
            s = tokfile_text(f, f->merges[i].right, &n);
            tokletters_write(s, n, &text);
            put_text(&g.kvs, text.data, text.n);
        }
    }
    gguf_build(&g, out);
    gguf_build_release(&g);
    buf_release(&text);
}

/* Through a file, as a GGUF made from another form. */
static inline struct tokenizer *reopen_gguf(struct tokenizer *from, const char *pre, size_t pad_to)
{
    char dir[] = "/tmp/assay-gguf-XXXXXX";
    char path[64];
    struct buf out = BUF_INIT;
    assert_non_null(mkdtemp(dir));
    gguf_of_tables(&from->file, pre, pad_to, false, &out);
    put_file(dir, "vocab.gguf", out.data, out.n);
    (void)snprintf(path, sizeof path, "%s/vocab.gguf", dir);
    struct tokenizer *t = open_path(path);
    drop_dir(dir);
    buf_release(&out);
    tokenizer_free(from);
    return t;
}

/* vocab.json and merges.txt with a tokenizer_config.json made from special_tokens.json. */
static inline struct tokenizer *open_with_config(void)
{
    char dir[] = "/tmp/assay-vocab-XXXXXX";
    char path[600];
    struct buf config = BUF_INIT;
    struct err err = ERR_INIT;
    cJSON *special = NULL;
    assert_non_null(mkdtemp(dir));
    static const char *const names[] = {"vocab.json", "merges.txt"};
    for (size_t i = 0; i < 2; i++) {
        struct mapfile m;
        char rel[40];
        (void)snprintf(rel, sizeof rel, "qwen3/%s", names[i]);
        assert_int_equal(mapfile_open(&m, shared_path(path, rel), &err), OK);
        put_file(dir, names[i], m.data, m.size);
        mapfile_close(&m);
    }
    assert_int_equal(json_read_file(&special, shared_path(path, "qwen3/special_tokens.json"), &err), OK);
    buf_str(&config, "{\"tokenizer_class\":\"Qwen2Tokenizer\",\"added_tokens_decoder\":{");
    const cJSON *c;
    cJSON_ArrayForEach(c, json_get(special, "tokens"))
    {
        buf_printf(&config,
                   "%s\"%d\":{\"content\":\"%s\",\"lstrip\":false,\"normalized\":false,\"rstrip\":false,\"single_word\":false,"
                   "\"special\":%s}",
                   c == json_get(special, "tokens")->child ? "" : ",", json_get(c, "id")->valueint, c->string,
                   cJSON_IsTrue(json_get(c, "special")) ? "true" : "false");
    }
    buf_str(&config, "}}");
    put_file(dir, "tokenizer_config.json", config.data, config.n);
    (void)snprintf(path, sizeof path, "%s/merges.txt", dir); // either of the two names the pair
    struct tokenizer *t = open_path(path);
    drop_dir(dir);
    buf_release(&config);
    cJSON_Delete(special);
    return t;
}

static inline struct tokenizer *open_form(enum tok_form form)
{
    char path[512];
    switch (form) {
    case FORM_O200K_JSON:
        return open_gz("o200k/gpt-oss-tokenizer.json.gz");
    case FORM_O200K_TIKTOKEN:
        return open_path(shared_path(path, "o200k/o200k_base.tiktoken"));
    case FORM_O200K_GGUF:
        return reopen_gguf(open_form(FORM_O200K_JSON), "gpt-4o", 201088);
    case FORM_QWEN3_JSON:
        return open_gz("qwen3/tokenizer.json.gz");
    case FORM_QWEN3_VOCAB:
        return open_path(shared_path(path, "qwen3/vocab.json"));
    case FORM_QWEN3_CONFIG:
        return open_with_config();
    case FORM_QWEN3_GGUF:
        return reopen_gguf(open_form(FORM_QWEN3_JSON), "qwen2", 151936);
    case FORM_YI_JSON:
        return open_gz("yi/tokenizer.json.gz");
    case FORM_YI_MODEL:
        return open_path(shared_path(path, "yi/tokenizer.model"));
    case FORM_YI_GGUF:
        return reopen_gguf(open_form(FORM_YI_MODEL), "default", 64000);
    case FORM_LLAMA_GGUF:
        return open_path(shared_path(path, "llama-spm/ggml-vocab-llama-spm.gguf"));
    }
    return NULL;
}

#endif
