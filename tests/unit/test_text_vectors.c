/* The reference texts of shared/data/tokenizers against the real vocabularies in every form they come in:
 * encoding with special tokens off and on, and back. Skipped, each by name, without that folder. */
#include "vec_support.h"

#include "tok_forms.h"

enum { MAX_SHOWN = 8 };

/* What a form of the tokenizer is expected to differ in from the plain vectors. */
enum quirks {
    EXACT = 0,
    YI_JSON = 1,    /* ids_json, where tokenizer.json without user-defined pieces gives other ids */
    NO_ADDED = 2,   /* the form lists no added tokens, so none is parsed */
    ADDED_OWN = 4,  /* no vectors with special tokens parsed */
    NFC_TEXT = 8    /* decoding gives the text's NFC, not the text */
};

static void differ(const struct vec *v, const char *what, const struct ids *want, const struct ids *got)
{
    print_message("# %s: %s\n", v->id.data, what);
    show_ids("want", want);
    show_ids("got ", got);
}

/* Yi's tokenizer.json recognises its three added tokens in ids_json, as the reference library does. */
static bool names_yi_added(const struct vec *v)
{
    const char *s = vec_text(v);
    return strstr(s, "<unk>") || strstr(s, "<|startoftext|>") || strstr(s, "<|endoftext|>");
}

static bool plain_holds(const struct tokenizer *t, const struct vec *v, unsigned quirks)
{
    struct ids got = {.v = NULL};
    struct err err = ERR_INIT;
    bool json = quirks & YI_JSON && v->has_json;
    if (tokenizer_encode(t, vec_text(v), v->text.n, &got, &err))
        fail_msg("%s: %s", v->id.data, err.text);
    bool good = json ? names_yi_added(v) || same_ids(&got, &v->json) : vec_ids_are(v, &got);
    if (!good)
        differ(v, "plain ids", json ? &v->json : &v->ids, &got);
    ids_release(&got);
    return good;
}

/* tiktoken parses reserved names above 200018 too; ours, as the model's own file, keeps them as text. Both
 * spell the same text. */
static bool reserved_holds(const struct tokenizer *t, const struct vec *v, const struct ids *got)
{
    struct buf a = BUF_INIT;
    struct buf b = BUF_INIT;
    int32_t top = 0;
    for (size_t i = 0; i < got->n; i++)
        top = got->v[i] > top ? got->v[i] : top;
    assert_int_equal(tokenizer_decode(t, got->v, got->n, false, &a, NULL), OK);
    assert_int_equal(tokenizer_decode(t, v->special.v, v->special.n, false, &b, NULL), OK);
    bool good = top <= 200018 && strcmp(a.data, vec_text(v)) == 0 && strcmp(b.data, a.data) == 0;
    buf_release(&a);
    buf_release(&b);
    return good;
}

static bool parsed_holds(const struct tokenizer *t, const struct vec *v, unsigned quirks)
{
    struct ids got = {.v = NULL};
    struct err err = ERR_INIT;
    if (tokenizer_encode_parsed(t, vec_text(v), v->text.n, &got, &err))
        fail_msg("%s: %s", v->id.data, err.text);
    int32_t top = 0;
    for (size_t i = 0; i < v->special.n; i++)
        top = v->special.v[i] > top ? v->special.v[i] : top;
    const struct ids *want = v->has_special ? &v->special : &v->ids;
    bool good;
    if (quirks & YI_JSON && v->has_json)
        good = same_ids(&got, want = &v->json);
    else if (top > 200018)
        good = reserved_holds(t, v, &got);
    else
        good = v->has_special && !(quirks & NO_ADDED) ? same_ids(&got, &v->special) : vec_ids_are(v, &got);
    if (!good)
        differ(v, "parsed ids", want, &got);
    ids_release(&got);
    return good;
}

static bool round_trip_holds(const struct tokenizer *t, const struct vec *v, unsigned quirks)
{
    struct ids ids = {.v = NULL};
    struct buf got = BUF_INIT;
    struct buf want = BUF_INIT;
    struct buf normal = BUF_INIT;
    utf8_lossy(vec_text(v), v->text.n, &want);
    if (quirks & NFC_TEXT)
        assert_int_equal(nfc(want.data ? want.data : "", want.n, &normal, NULL), OK);
    const struct buf *b = quirks & NFC_TEXT ? &normal : &want;
    assert_int_equal(tokenizer_encode(t, vec_text(v), v->text.n, &ids, NULL), OK);
    assert_int_equal(tokenizer_decode_text(t, ids.v, ids.n, false, &got, NULL), OK);
    bool same = got.n == b->n && (got.n == 0 || memcmp(got.data, b->data, got.n) == 0);
    bool lossy = v->lossy && t->file.kind == TOKFILE_SPM;
    if (same == lossy)
        print_message("# %s: decoding gives %s\n", v->id.data, same ? "the text, unexpectedly" : "another text");
    ids_release(&ids);
    buf_release(&got);
    buf_release(&want);
    buf_release(&normal);
    return same != lossy;
}

static void check(struct tokenizer *t, const char *vectors, unsigned quirks)
{
    struct lines l;
    const char *line;
    size_t n;
    size_t bad = 0;
    size_t all = 0;
    lines_open(&l, vectors);
    while (lines_next(&l, &line, &n) && bad < MAX_SHOWN) {
        struct vec v;
        read_vec(&v, line, n);
        bool good = plain_holds(t, &v, quirks);
        if (!(quirks & ADDED_OWN))
            good = parsed_holds(t, &v, quirks) && good;
        good = round_trip_holds(t, &v, quirks) && good;
        all++;
        bad += !good;
        vec_release(&v);
    }
    mapfile_close(&l.m);
    tokenizer_free(t);
    print_message("# %s: %zu lines\n", vectors, all);
    assert_int_equal(bad, 0);
    assert_int_equal(all, 1650);
}

static void test_o200k(void **state)
{
    (void)state;
    need_shared();
    check(open_form(FORM_O200K_JSON), "vectors/o200k.jsonl", EXACT);
}

static void test_o200k_tiktoken(void **state)
{
    (void)state;
    need_shared();
    check(open_form(FORM_O200K_TIKTOKEN), "vectors/o200k.jsonl", EXACT);
}

static void test_qwen3(void **state)
{
    (void)state;
    need_shared();
    check(open_form(FORM_QWEN3_JSON), "vectors/qwen3.jsonl", NFC_TEXT);
}

/* vocab.json and merges.txt as the folder has them, without tokenizer_config.json: a known vocabulary. */
static void test_qwen3_vocab(void **state)
{
    (void)state;
    need_shared();
    check(open_form(FORM_QWEN3_VOCAB), "vectors/qwen3.jsonl", NFC_TEXT | NO_ADDED);
}

static void test_qwen3_gguf(void **state)
{
    (void)state;
    need_shared();
    check(open_form(FORM_QWEN3_GGUF), "vectors/qwen3.jsonl", NFC_TEXT);
}

static void test_yi(void **state)
{
    (void)state;
    need_shared();
    check(open_form(FORM_YI_MODEL), "vectors/yi-spm.jsonl", ADDED_OWN);
}

static void test_yi_json(void **state)
{
    (void)state;
    need_shared();
    check(open_form(FORM_YI_JSON), "vectors/yi-spm.jsonl", YI_JSON);
}

static void test_llama(void **state)
{
    (void)state;
    need_shared();
    check(open_form(FORM_LLAMA_GGUF), "vectors/llama-spm.jsonl", ADDED_OWN);
}

/* llama.cpp's own tests: texts between marks, a line of ids each. */
static void check_ggml(struct tokenizer *t, const char *texts, const char *ids)
{
    static const char mark[] = "\n__ggml_vocab_test__\n";
    struct lines in;
    struct lines out;
    const char *line;
    size_t n;
    size_t all = 0;
    lines_open(&in, texts);
    lines_open(&out, ids);
    const char *s = (const char *)in.m.data;
    const char *file_end = s + in.m.size;
    while (lines_next(&out, &line, &n)) {
        const char *end = memmem_text(s, (size_t)(file_end - s), mark);
        struct ids got = {.v = NULL};
        struct buf want = BUF_INIT;
        struct buf have = BUF_INIT;
        assert_non_null(end);
        assert_int_equal(tokenizer_encode(t, s, (size_t)(end - s), &got, NULL), OK);
        for (size_t i = 0; i < got.n; i++)
            buf_printf(&have, " %d", (int)got.v[i]);
        buf_add(&want, line, n);
        assert_string_equal(have.data ? have.data : "", want.data ? want.data : "");
        buf_release(&have);
        buf_release(&want);
        ids_release(&got);
        s = end + sizeof mark - 1;
        all++;
    }
    mapfile_close(&in.m);
    mapfile_close(&out.m);
    tokenizer_free(t);
    assert_int_equal(all, 46);
}

static void test_ggml(void **state)
{
    (void)state;
    need_shared();
    check_ggml(open_form(FORM_QWEN3_JSON), "qwen3/ggml-vocab-qwen2.gguf.inp", "qwen3/ggml-vocab-qwen2.gguf.out");
    check_ggml(open_form(FORM_LLAMA_GGUF), "llama-spm/ggml-vocab-llama-spm.gguf.inp", "llama-spm/ggml-vocab-llama-spm.gguf.out");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_o200k),       cmocka_unit_test(test_o200k_tiktoken), cmocka_unit_test(test_qwen3),
        cmocka_unit_test(test_qwen3_vocab), cmocka_unit_test(test_qwen3_gguf),     cmocka_unit_test(test_yi),
        cmocka_unit_test(test_yi_json),     cmocka_unit_test(test_llama),          cmocka_unit_test(test_ggml),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
