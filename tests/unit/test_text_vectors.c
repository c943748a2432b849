/* The reference vectors of shared/data/tokenizers against the real vocabularies: encoding with special
 * tokens off and on, decoding, streaming, NFC. Skipped, each by name, without that folder. */
#include "text_support.h"

#include "base/clock.h"
#include "base/digest.h"
#include "text/nfc.h"

enum { MAX_SHOWN = 8 };

struct vec {
    struct buf id, text, tok, nfc, flush;
    struct ids ids, special, json, head, tail;
    bool has_ids, has_special, has_json, has_sha, has_text, has_rle, has_bytes;
    char sha[DIGEST_HEX_LEN + 1];
    int64_t n;
    struct buf deltas; /* each followed by U+0000 */
    size_t n_deltas;
};

static void vec_release(struct vec *v)
{
    struct buf *b[] = {&v->id, &v->text, &v->tok, &v->nfc, &v->flush, &v->deltas};
    struct ids *a[] = {&v->ids, &v->special, &v->json, &v->head, &v->tail};
    for (size_t i = 0; i < sizeof b / sizeof *b; i++)
        buf_release(b[i]);
    for (size_t i = 0; i < sizeof a / sizeof *a; i++)
        ids_release(a[i]);
}

/* [[string, count], ...] or [[id, count], ...], run-length coded. */
static void pull_runs(struct jsonpull *p, struct buf *text, struct ids *ids)
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

static void pull_deltas(struct jsonpull *p, struct vec *v)
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

static void read_vec(struct vec *v, const char *line, size_t n)
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
                v->has_text = true;
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
            v->has_ids = v->has_rle = true;
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
        } else {
            pull_skip(&p);
        }
    }
    buf_release(&b64);
    jsonpull_release(&p);
}

static bool same_ids(const struct ids *a, const struct ids *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->v, b->v, a->n * sizeof *a->v) == 0);
}

static void sha_le32(const struct ids *a, char hex[DIGEST_HEX_LEN + 1])
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

static void show_ids(const char *what, const struct ids *a)
{
    print_message("#   %s (%zu):", what, a->n);
    for (size_t i = 0; i < a->n && i < 40; i++)
        print_message(" %d", (int)a->v[i]);
    print_message("\n");
}

/* Encode and compare with what the line says; true when all of it holds. */
static bool encode_holds(const struct tokenizer *t, const struct vec *v, bool json_ids)
{
    struct ids got = {.v = NULL};
    struct err err = ERR_INIT;
    const struct ids *want = json_ids && v->has_json ? &v->json : &v->ids;
    if (tokenizer_encode(t, v->text.data ? v->text.data : "", v->text.n, &got, &err))
        fail_msg("%s: %s", v->id.data, err.text);
    bool good = true;
    bool has_want = json_ids && v->has_json ? true : v->has_ids;
    if (has_want)
        good = same_ids(&got, want);
    if (v->n >= 0 && !(json_ids && v->has_json))
        good = good && got.n == (size_t)v->n;
    if (v->has_sha && !(json_ids && v->has_json)) {
        char hex[DIGEST_HEX_LEN + 1];
        sha_le32(&got, hex);
        good = good && strcmp(hex, v->sha) == 0;
    }
    if (!good) {
        print_message("# %s: plain ids differ\n", v->id.data);
        show_ids("want", want);
        show_ids("got ", &got);
    }
    ids_release(&got);
    return good;
}

static bool special_holds(const struct tokenizer *t, const struct vec *v, bool json_ids)
{
    struct ids got = {.v = NULL};
    struct err err = ERR_INIT;
    const struct ids *want = v->has_special && !json_ids ? &v->special : v->has_json && json_ids ? &v->json : &v->ids;
    if (tokenizer_encode_parsed(t, v->text.data ? v->text.data : "", v->text.n, &got, &err))
        fail_msg("%s: %s", v->id.data, err.text);
    bool good = !v->has_ids || same_ids(&got, want); // long texts without ids: their digest, above
    if (!good) {
        print_message("# %s: parsed ids differ\n", v->id.data);
        show_ids("want", want);
        show_ids("got ", &got);
    }
    ids_release(&got);
    return good;
}

static void need_shared(void)
{
    if (!shared_there()) {
        print_message("# SKIP: no ../shared/data/tokenizers\n");
        skip();
    }
}

/* reserved_above: names of reserved ids that tokenizer.json does not list; tiktoken knows them. */
static bool names_reserved_above(const struct vec *v)
{
    for (const char *s = v->text.data; s && (s = strstr(s, "<|reserved_2")); s++)
        if (strtol(s + 11, NULL, 10) > 200018)
            return true;
    return false;
}

static bool names_added(const struct vec *v)
{
    return v->text.data && (strstr(v->text.data, "<unk>") || strstr(v->text.data, "<|startoftext|>") ||
                            strstr(v->text.data, "<|endoftext|>"));
}

static void check_encode(const char *gz, const char *vectors, bool yi)
{
    need_shared();
    uint64_t t0 = clock_ns();
    struct tokenizer *t = open_gz(gz);
    uint64_t t1 = clock_ns();
    struct lines l;
    const char *line;
    size_t n;
    size_t bad = 0;
    size_t all = 0;
    lines_open(&l, vectors);
    while (lines_next(&l, &line, &n)) {
        struct vec v;
        read_vec(&v, line, n);
        // Yi's ids by tokenizer.json recognise its three added tokens; ids_special is tokenizer.model's
        bool good = (yi && names_added(&v)) || encode_holds(t, &v, yi);
        if (yi || !names_reserved_above(&v))
            good = special_holds(t, &v, yi) && good;
        all++;
        bad += !good;
        if (bad >= MAX_SHOWN)
            break;
        vec_release(&v);
    }
    mapfile_close(&l.m);
    tokenizer_free(t);
    print_message("# %s: %zu lines, gunzip and load %.0f ms, encode %.0f ms\n", vectors, all,
                  (double)(t1 - t0) / 1e6, (double)(clock_ns() - t1) / 1e6);
    assert_true(all > 1000 || bad);
    assert_int_equal(bad, 0);
}

static void test_o200k(void **state)
{
    (void)state;
    check_encode("o200k/gpt-oss-tokenizer.json.gz", "vectors/o200k.jsonl", false);
}

static void test_qwen3(void **state)
{
    (void)state;
    check_encode("qwen3/tokenizer.json.gz", "vectors/qwen3.jsonl", false);
}

static void test_yi(void **state)
{
    (void)state;
    check_encode("yi/tokenizer.json.gz", "vectors/yi-spm.jsonl", true);
}

static void test_nfc(void **state)
{
    (void)state;
    need_shared();
    struct lines l;
    const char *line;
    size_t n;
    size_t all = 0;
    lines_open(&l, "vectors/nfc.jsonl");
    while (lines_next(&l, &line, &n)) {
        struct vec v;
        struct buf got = BUF_INIT;
        read_vec(&v, line, n);
        assert_int_equal(nfc(v.text.data, v.text.n, &got, NULL), OK);
        if (got.n != v.nfc.n || memcmp(got.data, v.nfc.data, got.n) != 0)
            fail_msg("%s: want '%s', got '%s'", v.id.data, v.nfc.data, got.data);
        all++;
        buf_release(&got);
        vec_release(&v);
    }
    mapfile_close(&l.m);
    assert_true(all > 100);
}

static void check_decode(const char *file, const char *gz[2], const char *tok[2], bool skip_special)
{
    need_shared();
    struct tokenizer *t[2] = {NULL, NULL};
    for (size_t i = 0; i < 2 && gz[i]; i++)
        t[i] = open_gz(gz[i]);
    struct lines l;
    const char *line;
    size_t n;
    size_t all = 0;
    lines_open(&l, file);
    while (lines_next(&l, &line, &n)) {
        struct vec v;
        struct buf got = BUF_INIT;
        struct err err = ERR_INIT;
        read_vec(&v, line, n);
        for (size_t i = 0; i < 2 && gz[i]; i++) {
            if (strcmp(v.tok.data, tok[i]) != 0)
                continue;
            if (tokenizer_decode(t[i], v.ids.v, v.ids.n, skip_special, &got, &err))
                fail_msg("%s: %s", v.id.data, err.text);
            if (got.n != v.text.n || (got.n && memcmp(got.data, v.text.data, got.n) != 0))
                fail_msg("%s: want '%s', got '%s'", v.id.data, v.text.data, got.data);
            all++;
        }
        buf_release(&got);
        vec_release(&v);
    }
    mapfile_close(&l.m);
    for (size_t i = 0; i < 2; i++)
        tokenizer_free(t[i]);
    assert_true(all > 20);
}

static void test_decode(void **state)
{
    (void)state;
    check_decode("vectors/decode.jsonl",
                 (const char *[]){"o200k/gpt-oss-tokenizer.json.gz", "qwen3/tokenizer.json.gz"},
                 (const char *[]){"o200k", "qwen3"}, false);
}

static void test_decode_spm(void **state)
{
    (void)state;
    check_decode("vectors/decode-spm.jsonl", (const char *[]){"yi/tokenizer.json.gz", NULL},
                 (const char *[]){"yi-spm", NULL}, true);
}

static void test_stream(void **state)
{
    (void)state;
    need_shared();
    struct tokenizer *o200k = open_gz("o200k/gpt-oss-tokenizer.json.gz");
    struct tokenizer *qwen3 = open_gz("qwen3/tokenizer.json.gz");
    struct lines l;
    const char *line;
    size_t n;
    size_t all = 0;
    lines_open(&l, "vectors/stream.jsonl");
    while (lines_next(&l, &line, &n)) {
        struct vec v;
        struct utf8_stream s = {.n = 0};
        read_vec(&v, line, n);
        const struct tokenizer *t = strcmp(v.tok.data, "o200k") == 0 ? o200k : qwen3;
        struct buf got = BUF_INIT;
        assert_int_equal(v.n_deltas, v.ids.n);
        for (size_t i = 0; i < v.ids.n; i++) {
            struct buf bytes = BUF_INIT;
            assert_int_equal(tokenizer_decode(t, v.ids.v + i, 1, false, &bytes, NULL), OK);
            utf8_stream_add(&s, bytes.data ? bytes.data : "", bytes.n, &got);
            buf_char(&got, '\0');
            buf_release(&bytes);
        }
        if (got.n != v.deltas.n || (got.n && memcmp(got.data, v.deltas.data, got.n) != 0))
            fail_msg("%s: deltas differ", v.id.data);
        buf_clear(&got);
        utf8_stream_finish(&s, &got);
        if (got.n != v.flush.n || (got.n && memcmp(got.data, v.flush.data, got.n) != 0))
            fail_msg("%s: flush differs", v.id.data);
        all++;
        buf_release(&got);
        vec_release(&v);
    }
    mapfile_close(&l.m);
    tokenizer_free(o200k);
    tokenizer_free(qwen3);
    assert_true(all > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nfc),    cmocka_unit_test(test_o200k),      cmocka_unit_test(test_qwen3),
        cmocka_unit_test(test_yi),     cmocka_unit_test(test_decode),     cmocka_unit_test(test_decode_spm),
        cmocka_unit_test(test_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
