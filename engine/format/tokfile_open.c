#include <string.h>
#include <sys/stat.h>

#include "base/jsonpull.h"
#include "base/mapfile.h"
#include "base/mem.h"
#include "format/gguf.h"
#include "format/tokfile.h"

/* Which reader a file is for, by its content: extensions lie (Llama 3's original tokenizer.model is a tiktoken
 * file), and the first bytes of the forms differ. */

enum form { FORM_JSON, FORM_VOCAB, FORM_MERGES, FORM_SPM, FORM_TIKTOKEN, FORM_GGUF, FORM_UNKNOWN };

/* Both are one JSON object; a vocabulary's members are numbers, tokenizer.json has none among its own. */
static enum form json_form(const char *text, size_t n)
{
    struct jsonpull p;
    struct jsonpull_text key;
    struct err dropped = ERR_INIT;
    bool first = true;
    bool more = false;
    jsonpull_init(&p, text, n, "", &dropped);
    bool number = !jsonpull_enter(&p, '{') && !jsonpull_next(&p, '{', &first, &more) && more && !jsonpull_key(&p, &key);
    char c = number ? jsonpull_peek(&p) : '\0';
    jsonpull_release(&p);
    return c == '-' || (c >= '0' && c <= '9') ? FORM_VOCAB : FORM_JSON;
}

static enum form form_of(const char *text, size_t n)
{
    size_t i = 0;
    while (i < n && strchr(" \t\r\n", text[i]) && text[i])
        i++;
    if (i < n && text[i] == '{')
        return json_form(text, n);
    if (n >= 4 && memcmp(text, "GGUF", 4) == 0)
        return FORM_GGUF;
    if (n && text[0] == '\n') // field 1 of ModelProto, a message
        return FORM_SPM;
    if (n > 9 && memcmp(text, "#version:", 9) == 0)
        return FORM_MERGES;
    const char *blank = memchr(text, ' ', n < 1000 ? n : 1000);
    return blank && blank + 1 < text + n && blank[1] >= '0' && blank[1] <= '9' ? FORM_TIKTOKEN : FORM_UNKNOWN;
}

/* A file of the same folder. */
static void beside(const char *path, const char *name, struct buf *out)
{
    const char *slash = strrchr(path, '/');
    buf_add(out, path, slash ? (size_t)(slash - path) + 1 : 0);
    buf_str(out, name);
}

static enum status map_beside(const char *path, const char *name, bool optional, struct mapfile *m, struct buf *full,
                              struct err *err)
{
    beside(path, name, full);
    enum status s = buf_status(full, "path", err);
    if (s)
        return s;
    struct err missing = ERR_INIT;
    s = mapfile_open(m, full->data, &missing);
    if (s == ERR_MISSING && optional) {
        buf_clear(full);
        return OK;
    }
    return s ? err_set(err, s, "%s", missing.text) : OK;
}

static struct tokfile_part part(const struct buf *name, const struct mapfile *m)
{
    return (struct tokfile_part){.name = name->data, .text = m->data ? (const char *)m->data : "", .n = m->size};
}

static enum status open_vocab(struct tokfile *out, const char *path, struct err *err)
{
    static const char *const names[3] = {"vocab.json", "merges.txt", "tokenizer_config.json"};
    struct mapfile m[3] = {{.data = NULL}};
    struct buf full[3] = {BUF_INIT, BUF_INIT, BUF_INIT};
    struct tokfile_part p[3];
    enum status s = OK;
    for (size_t i = 0; i < 3 && !s; i++) {
        s = map_beside(path, names[i], i == 2, &m[i], &full[i], err);
        p[i] = part(&full[i], &m[i]);
    }
    if (!s)
        s = tokfile_read_vocab(out, &p[0], &p[1], full[2].n ? &p[2] : NULL, err);
    for (size_t i = 0; i < 3; i++) {
        mapfile_close(&m[i]);
        buf_release(&full[i]);
    }
    return s;
}

static enum status open_tiktoken(struct tokfile *out, const char *text, size_t n, const char *path, struct err *err)
{
    enum status s = tokfile_check_o200k(text, n, path, err);
    return s ? s : tokfile_read_tiktoken(out, text, n, path, err);
}

static enum status open_gguf(struct tokfile *out, const struct mapfile *m, const char *path, struct err *err)
{
    struct arena *a = NULL;
    struct gguf g;
    enum status s = arena_new(&a, 0, err);
    if (!s && !(s = gguf_parse(&g, a, m->data, m->size, path, err)))
        s = tokfile_read_gguf(out, &g, err);
    arena_free(a);
    return s;
}

/* Whether a file is there; of tokenizer.model, whether it is SentencePiece's. */
static bool is_there(const char *path, enum form wanted)
{
    struct mapfile m;
    if (mapfile_open(&m, path, NULL))
        return false;
    bool good = wanted == FORM_UNKNOWN || form_of(m.data ? (const char *)m.data : "", m.size) == wanted;
    mapfile_close(&m);
    return good;
}

enum status tokfile_of_dir(const char *dir, const char *const **out, struct err *err)
{
    static const char *const spm[] = {"tokenizer.model", NULL};
    static const char *const json[] = {"tokenizer.json", NULL};
    static const char *const vocab[] = {"vocab.json", "merges.txt", NULL};
    static const char *const tiktoken[] = {"o200k_base.tiktoken", NULL};
    static const char *const *const forms[] = {spm, json, vocab, tiktoken};
    *out = NULL;
    for (size_t i = 0; i < sizeof forms / sizeof *forms && !*out; i++) {
        struct buf path = BUF_INIT;
        buf_printf(&path, "%s/%s", dir, forms[i][0]);
        enum status s = buf_status(&path, "path", err);
        if (!s && is_there(path.data, forms[i] == spm ? FORM_SPM : FORM_UNKNOWN))
            *out = forms[i];
        buf_release(&path);
        if (s)
            return s;
    }
    return OK;
}

static enum status open_dir(struct tokfile *out, const char *dir, struct err *err)
{
    const char *const *names;
    struct buf path = BUF_INIT;
    enum status s = tokfile_of_dir(dir, &names, err);
    if (!s && !names)
        s = err_set(err, ERR_MISSING, "'%s': expected a tokenizer.json, tokenizer.model, vocab.json or o200k_base.tiktoken, found "
                    "none", dir);
    if (!s) {
        buf_printf(&path, "%s/%s", dir, names[0]);
        if (!(s = buf_status(&path, "path", err)))
            s = tokfile_open(out, path.data, err);
    }
    buf_release(&path);
    return s;
}

enum status tokfile_open(struct tokfile *out, const char *path, struct err *err)
{
    struct mapfile m;
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return open_dir(out, path, err);
    enum status s = mapfile_open(&m, path, err);
    if (s)
        return s;
    const char *text = m.data ? (const char *)m.data : "";
    switch (form_of(text, m.size)) {
    case FORM_JSON:
        s = tokfile_read_json(out, text, m.size, path, err);
        break;
    case FORM_VOCAB:
    case FORM_MERGES:
        s = open_vocab(out, path, err);
        break;
    case FORM_SPM:
        s = tokfile_read_spm(out, text, m.size, path, err);
        break;
    case FORM_TIKTOKEN:
        s = open_tiktoken(out, text, m.size, path, err);
        break;
    case FORM_GGUF:
        s = open_gguf(out, &m, path, err);
        break;
    case FORM_UNKNOWN:
        s = err_set(err, ERR_FORMAT,
                    "%s: expected a tokenizer.json, vocab.json beside merges.txt, tokenizer.model, .tiktoken or .gguf file, "
                    "found something else", path);
        break;
    }
    mapfile_close(&m);
    return s;
}
