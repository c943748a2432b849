#ifndef TESTS_TEXT_SUPPORT_H
#define TESTS_TEXT_SUPPORT_H

/* Shared by the tests of engine/text: the data folder, JSONL by line (strings may hold U+0000, which
 * base/json.h refuses), and gunzip through the gzip program. Static on purpose: each test is a program. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/jsonpull.h"
#include "base/mapfile.h"
#include "text/tokenizer.h"

static inline const char *shared_path(char out[512], const char *rel)
{
    const char *root = getenv("ASSAY_SHARED");
    (void)snprintf(out, 512, "%s/data/tokenizers/%s", root ? root : "../shared", rel);
    return out;
}

static inline bool shared_there(void)
{
    char path[512];
    return access(shared_path(path, "SHA256SUMS"), R_OK) == 0;
}

/* Open a gzipped tokenizer.json of the data folder; fails the test when that does not work. */
static inline struct tokenizer *open_gz(const char *rel)
{
    char path[512];
    char tmp[] = "/tmp/assay-tokenizer-XXXXXX";
    char command[1200];
    int fd = mkstemp(tmp);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)snprintf(command, sizeof command, "gzip -dc '%s' > '%s'", shared_path(path, rel), tmp);
    assert_int_equal(system(command), 0);
    struct tokenizer *t = NULL;
    struct err err = ERR_INIT;
    enum status s = tokenizer_open(&t, tmp, &err);
    (void)unlink(tmp);
    if (s)
        fail_msg("%s", err.text);
    return t;
}

/* One JSONL file, line by line. */
struct lines {
    struct mapfile m;
    size_t at;
};

static inline void lines_open(struct lines *l, const char *rel)
{
    char path[512];
    struct err err = ERR_INIT;
    *l = (struct lines){.at = 0};
    if (mapfile_open(&l->m, shared_path(path, rel), &err))
        fail_msg("%s", err.text);
}

static inline bool lines_next(struct lines *l, const char **s, size_t *n)
{
    if (l->at >= l->m.size)
        return false;
    *s = (const char *)l->m.data + l->at;
    const char *end = memchr(*s, '\n', l->m.size - l->at);
    *n = end ? (size_t)(end - *s) : l->m.size - l->at;
    l->at += *n + 1;
    return true;
}

/* Readers for a pull parser inside a test: any error fails the test. */
static inline void must(enum status s, const struct jsonpull *p)
{
    if (s)
        fail_msg("%s", p->err ? p->err->text : "bad JSON");
}

static inline void pull_text(struct jsonpull *p, struct buf *out)
{
    struct jsonpull_text t;
    must(jsonpull_string(p, &t), p);
    buf_clear(out);
    buf_add(out, t.s, t.n);
}

static inline void pull_ids(struct jsonpull *p, struct ids *out)
{
    bool first = true;
    bool more;
    out->n = 0;
    must(jsonpull_enter(p, '['), p);
    for (;;) {
        must(jsonpull_next(p, '[', &first, &more), p);
        if (!more)
            return;
        int64_t v;
        must(jsonpull_int(p, 0, INT32_MAX, &v), p);
        ids_add(out, (int32_t)v);
    }
}

static inline void pull_skip(struct jsonpull *p)
{
    size_t from;
    size_t to;
    must(jsonpull_skip(p, &from, &to), p);
}

static inline bool key_is(struct jsonpull_text k, const char *name)
{
    return strlen(name) == k.n && memcmp(k.s, name, k.n) == 0;
}

static inline void base64(const char *s, size_t n, struct buf *out)
{
    const char *letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned v = 0;
    unsigned bits = 0;
    buf_clear(out);
    for (size_t i = 0; i < n && s[i] != '='; i++) {
        const char *at = strchr(letters, s[i]);
        assert_non_null(at);
        v = v << 6 | (unsigned)(at - letters);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            buf_char(out, (char)(v >> bits & 255));
        }
    }
}

#endif
