/* The reference vectors beside encoding: NFC, decoding, streams of tokens, and what the tables say against what the
 * folder's lists say. Skipped, each by name, without that folder. */
#include "vec_support.h"

#include "tok_forms.h"

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

/* Lines of a file whose "tok" is name, decoded from one form. */
static void check_decode(const char *file, enum tok_form form, const char *name, bool skip_special, size_t at_least)
{
    struct tokenizer *t = open_form(form);
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
        if (strcmp(v.tok.data, name) == 0) {
            if (tokenizer_decode_text(t, v.ids.v, v.ids.n, skip_special, &got, &err))
                fail_msg("%s: %s", v.id.data, err.text);
            if (got.n != v.text.n || (got.n && memcmp(got.data, v.text.data, got.n) != 0))
                fail_msg("%s: want '%s', got '%s'", v.id.data, v.text.data, got.data);
            all++;
        }
        buf_release(&got);
        vec_release(&v);
    }
    mapfile_close(&l.m);
    tokenizer_free(t);
    assert_true(all >= at_least);
}

static void test_decode(void **state)
{
    (void)state;
    need_shared();
    check_decode("vectors/decode.jsonl", FORM_O200K_JSON, "o200k", false, 40);
    check_decode("vectors/decode.jsonl", FORM_O200K_TIKTOKEN, "o200k", false, 40);
    check_decode("vectors/decode.jsonl", FORM_QWEN3_JSON, "qwen3", false, 40);
}

static void test_decode_spm(void **state)
{
    (void)state;
    need_shared();
    check_decode("vectors/decode-spm.jsonl", FORM_YI_MODEL, "yi-spm", true, 20);
    check_decode("vectors/decode-spm.jsonl", FORM_YI_JSON, "yi-spm", true, 20);
    check_decode("vectors/decode-spm.jsonl", FORM_LLAMA_GGUF, "llama-spm", true, 20);
}

static void test_stream(void **state)
{
    (void)state;
    need_shared();
    struct tokenizer *o200k = open_form(FORM_O200K_JSON);
    struct tokenizer *qwen3 = open_form(FORM_QWEN3_JSON);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nfc), cmocka_unit_test(test_decode),
                                       cmocka_unit_test(test_decode_spm), cmocka_unit_test(test_stream)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
