#ifndef TESTS_VEC_SUPPORT_H
#define TESTS_VEC_SUPPORT_H

/* One line of the reference vectors (shared/data/tokenizers/vectors), whichever file it is of. */
#include "text_support.h"

#include "base/digest.h"

struct vec {
    struct buf id, text, tok, nfc, flush;
    struct ids ids, special, json, head, tail;
    bool has_ids, has_special, has_json, has_sha, has_bytes, lossy;
    char sha[DIGEST_HEX_LEN + 1];
    int64_t n;
    struct buf deltas; /* each followed by U+0000 */
    size_t n_deltas;
};

static inline void vec_release(struct vec *v)
{
    struct buf *b[] = {&v->id, &v->text, &v->tok, &v->nfc, &v->flush, &v->deltas};
    struct ids *a[] = {&v->ids, &v->special, &v->json, &v->head, &v->tail};
    for (size_t i = 0; i < sizeof b / sizeof *b; i++)
        buf_release(b[i]);
    for (size_t i = 0; i < sizeof a / sizeof *a; i++)
        ids_release(a[i]);
}

/* [[string, count], ...] or [[id, count], ...], run-length coded. */
static inline void pull_runs(struct jsonpull *p, struct buf *text, struct ids *ids)
{
    bool first = true;
    bool more;
    struct buf piece = BUF_INIT;
    must(jsonpull_enter(p, '['), p);
    for (;;) {
        must(jsonpull_next(p, '[', &first, &more), p);
        if (!more)
            break;
        bool f = true;
        int64_t id = 0;
        int64_t count;
        must(jsonpull_enter(p, '['), p);
        must(jsonpull_next(p, '[', &f, &more), p);
        if (text)
            pull_text(p, &piece);
        else
            must(jsonpull_int(p, 0, INT32_MAX, &id), p);
        must(jsonpull_next(p, '[', &f, &more), p);
        must(jsonpull_int(p, 0, 1 << 30, &count), p);
        must(jsonpull_next(p, '[', &f, &more), p);
        assert_false(more);
        for (int64_t i = 0; i < count; i++) {
            if (text)
                buf_add(text, piece.data, piece.n);
            else
                ids_add(ids, (int32_t)id);
        }
    }
    buf_release(&piece);
}

static inline void pull_deltas(struct jsonpull *p, struct vec *v)
{
    bool first = true;
    bool more;
    struct buf piece = BUF_INIT;
    must(jsonpull_enter(p, '['), p);
    for (;;) {
        must(jsonpull_next(p, '[', &first, &more), p);
        if (!more)
            break;
        pull_text(p, &piece);
        buf_add(&v->deltas, piece.data, piece.n);
        buf_char(&v->deltas, '\0');
        v->n_deltas++;
    }
    buf_release(&piece);
}

static inline void read_vec(struct vec *v, const char *line, size_t n)
{
    struct err err = ERR_INIT;
    struct jsonpull p;
    struct buf b64 = BUF_INIT;
    jsonpull_init(&p, line, n, "vector", &err);
    *v = (struct vec){.n = -1};
    bool first = true;
    bool more;
    must(jsonpull_enter(&p, '{'), &p);
    for (;;) {
        must(jsonpull_next(&p, '{', &first, &more), &p);
        if (!more)
            break;
        struct jsonpull_text k;
        must(jsonpull_key(&p, &k), &p);
        if (key_is(k, "id")) {
            pull_text(&p, &v->id);
        } else if (key_is(k, "tok")) {
            pull_text(&p, &v->tok);
        } else if (key_is(k, "nfc")) {
            pull_text(&p, &v->nfc);
        } else if (key_is(k, "flush")) {
            pull_text(&p, &v->flush);
        } else if (key_is(k, "text")) {
            if (v->has_bytes) {
                pull_skip(&p);
            } else {
                pull_text(&p, &v->text);
            }
        } else if (key_is(k, "bytes_b64")) {
            pull_text(&p, &b64);
            base64(b64.data, b64.n, &v->text);
            v->has_bytes = true;
        } else if (key_is(k, "parts")) {
            pull_runs(&p, &v->text, NULL);
        } else if (key_is(k, "ids")) {
            pull_ids(&p, &v->ids);
            v->has_ids = true;
        } else if (key_is(k, "ids_rle")) {
            pull_runs(&p, NULL, &v->ids);
            v->has_ids = true;
        } else if (key_is(k, "ids_special")) {
            pull_ids(&p, &v->special);
            v->has_special = true;
        } else if (key_is(k, "ids_json")) {
            pull_ids(&p, &v->json);
            v->has_json = true;
        } else if (key_is(k, "ids_head")) {
            pull_ids(&p, &v->head);
        } else if (key_is(k, "ids_tail")) {
            pull_ids(&p, &v->tail);
        } else if (key_is(k, "ids_sha256_le32")) {
            struct buf hex = BUF_INIT;
            pull_text(&p, &hex);
            assert_int_equal(hex.n, DIGEST_HEX_LEN);
            memcpy(v->sha, hex.data, DIGEST_HEX_LEN + 1);
            v->has_sha = true;
            buf_release(&hex);
        } else if (key_is(k, "n")) {
            must(jsonpull_int(&p, 0, 1 << 30, &v->n), &p);
        } else if (key_is(k, "deltas")) {
            pull_deltas(&p, v);
        } else if (key_is(k, "lossy_roundtrip")) {
            pull_skip(&p);
            v->lossy = true;
        } else if (key_is(k, "cat") || key_is(k, "unicode_sensitive")) {
            pull_skip(&p); // what sort of text it is
        } else {
            fail_msg("a vector has the unknown member \"%.*s\"", (int)k.n, k.s);
        }
    }
    buf_release(&b64);
    jsonpull_release(&p);
}

static inline bool same_ids(const struct ids *a, const struct ids *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->v, b->v, a->n * sizeof *a->v) == 0);
}

static inline void sha_le32(const struct ids *a, char hex[DIGEST_HEX_LEN + 1])
{
    struct buf b = BUF_INIT;
    uint8_t d[DIGEST_B];
    for (size_t i = 0; i < a->n; i++)
        for (unsigned k = 0; k < 4; k++)
            buf_char(&b, (char)((uint32_t)a->v[i] >> (8 * k) & 255));
    assert_int_equal(digest_bytes(b.data ? b.data : "", b.n, d, NULL), OK);
    digest_hex(d, hex);
    buf_release(&b);
}

static inline void show_ids(const char *what, const struct ids *a)
{
    print_message("#   %s (%zu):", what, a->n);
    for (size_t i = 0; i < a->n && i < 40; i++)
        print_message(" %d", (int)a->v[i]);
    print_message("\n");
}

/* Whether got is what the line says of these ids: all of them, or number, ends and digest of a long list. */
static inline bool vec_ids_are(const struct vec *v, const struct ids *got)
{
    char hex[DIGEST_HEX_LEN + 1];
    if (v->has_ids && !same_ids(got, &v->ids))
        return false;
    if (v->n >= 0 && got->n != (size_t)v->n)
        return false;
    struct ids head = {.v = got->v, .n = v->head.n};
    if (v->head.n && (got->n < v->head.n || !same_ids(&head, &v->head)))
        return false;
    struct ids tail = {.v = got->v + (got->n - v->tail.n), .n = v->tail.n};
    if (v->tail.n && (got->n < v->tail.n || !same_ids(&tail, &v->tail)))
        return false;
    if (v->has_sha)
        sha_le32(got, hex);
    assert_true(v->has_ids || v->has_sha);
    return !v->has_sha || strcmp(hex, v->sha) == 0;
}

static inline const char *vec_text(const struct vec *v)
{
    return v->text.data ? v->text.data : "";
}

/* Test body's first line: without the data folder the test is skipped, by name. */
static inline void need_shared(void)
{
    if (!shared_there()) {
        print_message("# SKIP: no ../shared/data/tokenizers\n");
        skip();
    }
}

#endif
