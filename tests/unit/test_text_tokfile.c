/* The tokenizer.json reader on files that fit in a page: what is read, and that every damage is named. */
#include "text_support.h"

#include "base/mem.h"
#include "format/tokfile.h"
#include "tiny_tokenizer.h"

static void make(struct buf *out, enum tiny_kind k)
{
    tiny_json(out, k, k == TINY_SPM ? tiny_spm_words : tiny_words, k == TINY_O200K ? tiny_gptoss_added : tiny_qwen_added);
}

/* Put `with` in place of the first `what`. */
static void replace(struct buf *text, const char *what, const char *with)
{
    char *at = strstr(text->data, what);
    if (!at)
        fail_msg("the test's own text lacks %s", what);
    struct buf out = BUF_INIT;
    buf_add(&out, text->data, (size_t)(at - text->data));
    buf_str(&out, with);
    buf_str(&out, at + strlen(what));
    buf_release(text);
    *text = out;
}

static void test_reads(void **state)
{
    (void)state;
    for (int k = TINY_O200K; k <= TINY_SPM; k++) {
        struct buf text = BUF_INIT;
        struct tokfile f;
        struct err err = ERR_INIT;
        make(&text, (enum tiny_kind)k);
        if (tokfile_read_json(&f, text.data, text.n, "tiny", &err))
            fail_msg("%s", err.text);
        assert_int_equal(f.kind, k == TINY_SPM ? TOKFILE_SPM : TOKFILE_BYTE_LEVEL);
        assert_int_equal(f.split, k == TINY_SPM     ? TOKFILE_SPLIT_NONE
                                  : k == TINY_O200K ? TOKFILE_SPLIT_O200K
                                                    : TOKFILE_SPLIT_QWEN2);
        assert_int_equal(f.nfc, k == TINY_QWEN2);
        assert_int_equal(f.ignore_merges, k == TINY_O200K);
        int32_t hello = tokfile_find(&f, "hello", 5);
        assert_int_equal(hello, k == TINY_SPM ? 259 + 27 + 3 : 259);
        assert_true(f.flags[hello] & TOKFILE_MERGED);
        assert_int_equal(f.merges[3].result, hello);
        assert_int_equal(f.byte_id[0x20], k == TINY_SPM ? 3 + 0x20 : 0x20);
        assert_int_equal(f.n_added, k == TINY_O200K ? 10 : k == TINY_QWEN2 ? 7 : 3);
        if (k != TINY_SPM) {
            size_t n;
            const char *s = tokfile_text(&f, 0x0A, &n); // spelled U+010A in the file
            assert_int_equal(n, 1);
            assert_int_equal(*s, '\n');
            assert_int_equal(f.flags[f.added[0]] & (TOKFILE_ADDED | TOKFILE_SPECIAL), TOKFILE_ADDED | TOKFILE_SPECIAL);
        }
        tokfile_release(&f);
        buf_release(&text);
    }
}

/* Files differ in the order of members, in how merges are written, and in blanks. */
static void test_other_layouts(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    struct tokfile f;
    struct err err = ERR_INIT;
    make(&text, TINY_O200K);
    replace(&text, "[\"h\",\"e\"]", "\"h e\"");
    replace(&text, "[\"l\",\"l\"]", "[ \"\\u006c\" ,\n\t\"l\"]");
    assert_int_equal(tokfile_read_json(&f, text.data, text.n, "tiny", &err), OK);
    assert_int_equal(f.merges[0].result, 256);
    assert_int_equal(f.merges[1].result, 257);
    tokfile_release(&f);
    // the model first, its vocabulary last
    char *model = strstr(text.data, "\"model\":{");
    char *merges = strstr(text.data, ",\"merges\":");
    struct buf out = BUF_INIT;
    buf_str(&out, "{\"model\":{");
    buf_add(&out, merges + 1, (size_t)(text.data + text.n - 2 - (merges + 1)));
    buf_char(&out, ',');
    buf_add(&out, model + 9, (size_t)(merges - model - 9));
    buf_str(&out, "},");
    buf_add(&out, text.data + 1, (size_t)(model - text.data - 2));
    buf_str(&out, "}\n");
    if (tokfile_read_json(&f, out.data, out.n, "tiny", &err))
        fail_msg("%s", err.text);
    assert_int_equal(f.n_merges, 15);
    tokfile_release(&f);
    buf_release(&text);
    buf_release(&out);
}

struct damage {
    enum tiny_kind kind;
    const char *what, *with;
    enum status status;
    const char *says;
};

static const struct damage damages[] = {
    // the format's grammar
    {TINY_O200K, "}}", "}", ERR_FORMAT, "found end of input"},
    {TINY_O200K, "\"version\"", "\"version\":1,\"version\"", ERR_FORMAT, "\"version\" twice"},
    {TINY_O200K, "\"version\":", "\"colour\":1,\"version\":", ERR_UNSUPPORTED, "unknown member \"colour\""},
    {TINY_O200K, "\"dropout\":", "\"heat\":1,\"dropout\":", ERR_UNSUPPORTED, "unknown member \"heat\""},
    {TINY_O200K, "\"version\":", "\"model\":", ERR_FORMAT, "\"model\" twice"},
    {TINY_O200K, "\"hell\"", "\"he\xFFl\"", ERR_FORMAT, "valid UTF-8"},
    {TINY_O200K, "\"hell\"", "\"he\\ud800l\"", ERR_FORMAT, "surrogates in a pair"},
    {TINY_O200K, "\"hell\"", "\"he\\x\"", ERR_FORMAT, "known escape"},
    {TINY_O200K, "\"hell\"", "\"he\nll\"", ERR_FORMAT, "end of a string"},
    // vocabulary
    {TINY_O200K, "\"hell\":258", "\"hell\":257", ERR_FORMAT, "257 twice"},
    {TINY_O200K, "\"hell\":258", "\"ll\":258", ERR_FORMAT, "each text once"},
    {TINY_O200K, "\"hell\":258", "\"hell\":-1", ERR_RANGE, "found -1"},
    {TINY_O200K, "\"hell\":258", "\"hell\":1048576", ERR_RANGE, "found 1048576"},
    {TINY_O200K, "\"hell\":258", "\"hell\":99999999999999999999", ERR_RANGE, "99999999999999999999"},
    {TINY_O200K, "\"hell\":258", "\"hell\":2.5", ERR_FORMAT, "an integer"},
    {TINY_O200K, "\"hell\":258", "\"hell\":1000", ERR_FORMAT, "none with id 258"},
    {TINY_O200K, "\"hell\":258", "\"hell\":null", ERR_FORMAT, "a number"},
    {TINY_O200K, "\"hell\":258", "\"\":258", ERR_FORMAT, "empty string"},
    {TINY_O200K, "\"hell\":258", "\"\xE4\xB8\xAD\":258", ERR_FORMAT, "U+4E2D"},
    {TINY_O200K, "\"A\":65", "\"A\xC4\xA0" "B\":65", ERR_FORMAT, "none for 0x41"},
    {TINY_SPM, "\"<0x41>\":68", "\"<0x4G>\":68", ERR_FORMAT, "none for 0x41"},
    {TINY_O200K, "\"vocab\":{", "\"vocab\":[", ERR_FORMAT, "',' or ']'"},
    {TINY_O200K, "\"vocab\":{", "\"vocab\":3,\"unk_token\":{", ERR_FORMAT, "\"unk_token\" twice"},
    // merges
    {TINY_O200K, "[\"h\",\"e\"]", "[\"h\",\"q\"]", ERR_FORMAT, "whose result is a piece"},
    {TINY_O200K, "[\"h\",\"e\"]", "[\"h\",\"zz\"]", ERR_FORMAT, "known pieces, found \"zz\""},
    {TINY_O200K, "[\"h\",\"e\"]", "[\"h\"]", ERR_FORMAT, "second piece"},
    {TINY_O200K, "[\"h\",\"e\"]", "[\"h\",\"e\",\"l\"]", ERR_FORMAT, "two pieces"},
    {TINY_O200K, "[\"h\",\"e\"]", "[\"\",\"he\"]", ERR_FORMAT, "empty string"},
    {TINY_O200K, "[\"h\",\"e\"]", "\"he\"", ERR_FORMAT, "one blank between"},
    {TINY_O200K, "[\"h\",\"e\"]", "\"h e \"", ERR_FORMAT, "one blank between"},
    {TINY_O200K, "[\"h\",\"e\"]", "7", ERR_FORMAT, "a string"},
    {TINY_O200K, "[\"h\",\"e\"],[\"l\",\"l\"]", "[\"l\",\"l\"],[\"h\",\"e\"]", ERR_FORMAT, "never fall, found 256 after 257"},
    {TINY_O200K, "\"merges\":[", "\"merges\":{", ERR_FORMAT, "a string"},
    // added tokens
    {TINY_O200K, "\"id\":271", "\"id\":-3", ERR_RANGE, "found -3"},
    {TINY_O200K, "\"id\":271", "\"id\":272", ERR_FORMAT, "272 twice"},
    {TINY_O200K, "\"id\":271", "\"id\":65", ERR_FORMAT, "contradicts another token of that id"},
    {TINY_O200K, "\"content\":\"<|return|>\"", "\"content\":\"<|end|>\"", ERR_FORMAT, "of that text"},
    {TINY_O200K, "\"content\":\"<|return|>\"", "\"content\":\"\"", ERR_FORMAT, "empty string"},
    {TINY_O200K, "\"content\":\"<|return|>\"", "\"content\":5", ERR_FORMAT, "expected a string"},
    {TINY_O200K, "\"lstrip\":false", "\"lstrip\":true", ERR_UNSUPPORTED, "\"lstrip\""},
    {TINY_O200K, "\"normalized\":false", "\"normalized\":true", ERR_UNSUPPORTED, "\"normalized\""},
    {TINY_O200K, "\"added_tokens\":[", "\"added_tokens\":7,\"padding\":[", ERR_FORMAT, "\"padding\" twice"},
    // rules
    {TINY_O200K, "\\\\p{N}{1,3}", "\\\\p{N}{1,2}", ERR_UNSUPPORTED, "pre_tokenizer: expected the o200k, the qwen2"},
    {TINY_O200K, "\"Isolated\"", "\"Removed\"", ERR_UNSUPPORTED, "Isolated"},
    {TINY_O200K, "\"use_regex\":false", "\"use_regex\":true", ERR_UNSUPPORTED, "use_regex"},
    {TINY_O200K, "\"normalizer\":null", "\"normalizer\":{\"type\":\"NFKC\"}", ERR_UNSUPPORTED, "type NFKC"},
    {TINY_O200K, "\"decoder\":{\"type\":\"ByteLevel\"", "\"decoder\":{\"type\":\"WordPiece\"", ERR_UNSUPPORTED, "WordPiece"},
    {TINY_O200K, "\"post_processor\":{\"type\":\"ByteLevel\"", "\"post_processor\":{\"type\":\"TemplateProcessing\"",
     ERR_UNSUPPORTED, "TemplateProcessing"},
    {TINY_O200K, "\"type\":\"BPE\"", "\"type\":\"Unigram\"", ERR_UNSUPPORTED, "\"Unigram\""},
    {TINY_O200K, "\"type\":\"BPE\",", "", ERR_UNSUPPORTED, "type \"BPE\""},
    {TINY_O200K, "\"dropout\":null", "\"dropout\":0.1", ERR_UNSUPPORTED, "dropout"},
    {TINY_O200K, "\"end_of_word_suffix\":null", "\"end_of_word_suffix\":\"</w>\"", ERR_UNSUPPORTED, "end_of_word_suffix"},
    {TINY_O200K, "\"byte_fallback\":false", "\"byte_fallback\":true", ERR_UNSUPPORTED, "byte_fallback"},
    {TINY_O200K, "\"byte_fallback\":false", "\"byte_fallback\":0", ERR_FORMAT, "true or false"},
    {TINY_SPM, "\"byte_fallback\":true", "\"byte_fallback\":false", ERR_UNSUPPORTED, "byte_fallback"},
    {TINY_SPM, "\"ignore_merges\":false", "\"ignore_merges\":true", ERR_UNSUPPORTED, "ignore_merges"},
    {TINY_SPM, "\"type\":\"Replace\"", "\"type\":\"Prepend\"", ERR_UNSUPPORTED, "normalizer"},
    {TINY_SPM, "{\"type\":\"ByteFallback\"},", "", ERR_UNSUPPORTED, "decoder"},
    {TINY_SPM, "\"pre_tokenizer\":null", "\"pre_tokenizer\":{\"type\":\"Metaspace\"}", ERR_UNSUPPORTED, "normalizer"},
};

static void test_damage(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        const struct damage *d = &damages[i];
        struct buf text = BUF_INIT;
        struct tokfile f;
        struct err err = ERR_INIT;
        make(&text, d->kind);
        replace(&text, d->what, d->with);
        enum status s = tokfile_read_json(&f, text.data, text.n, "x.json", &err);
        if (s != d->status || !strstr(err.text, d->says) || strncmp(err.text, "x.json:", 7) != 0)
            fail_msg("%s -> %s: expected %s and '%s', found %s: %s", d->what, d->with, status_name(d->status), d->says,
                     status_name(s), err.text);
        buf_release(&text);
    }
}

/* Every prefix of a good file is bad, and none reads past its end (the sanitizers watch). */
static void test_truncated(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    make(&text, TINY_QWEN2);
    for (size_t n = 0; n < text.n; n += n < 700 || n + 700 > text.n ? 1 : 37) {
        struct tokfile f;
        struct err err = ERR_INIT;
        char *exact = malloc(n ? n : 1); // so that one byte too far is out of bounds
        assert_non_null(exact);
        memcpy(exact, text.data, n);
        assert_int_not_equal(tokfile_read_json(&f, exact, n, "cut", &err), OK);
        free(exact);
    }
    buf_release(&text);
}

static void test_where(void **state)
{
    (void)state;
    struct tokfile f;
    struct err err = ERR_INIT;
    const char *text = "{\n  \"version\": tru\n}";
    assert_int_equal(tokfile_read_json(&f, text, strlen(text), "dir/tokenizer.json", &err), ERR_FORMAT);
    assert_string_equal(err.text, "dir/tokenizer.json:2:14: expected a JSON value, found 't'");
    assert_int_equal(tokfile_read_json(&f, "", 0, "empty", &err), ERR_FORMAT);
    assert_string_equal(err.text, "empty:1:1: expected an object, found end of input");
}

/* Nesting as deep as the file is long must not reach the stack's end. */
static void test_depth(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    struct tokfile f;
    struct err err = ERR_INIT;
    buf_str(&text, "{\"version\":");
    for (int i = 0; i < 100000; i++)
        buf_char(&text, '[');
    assert_int_equal(tokfile_read_json(&f, text.data, text.n, "deep", &err), ERR_RANGE);
    assert_non_null(strstr(err.text, "64 levels"));
    buf_release(&text);
}

/* Each allocation in turn fails: the status says so and nothing leaks (the sanitizers watch). */
static void test_out_of_memory(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    make(&text, TINY_SPM);
    size_t fails = 0;
    for (size_t n = 1; n < 1000; n++) {
        struct tokfile f;
        struct err err = ERR_INIT;
        mem_fail_after(n);
        enum status s = tokfile_read_json(&f, text.data, text.n, "tiny", &err);
        mem_fail_after(0);
        if (!s) {
            tokfile_release(&f);
            break;
        }
        assert_int_equal(s, ERR_MEMORY);
        fails++;
    }
    assert_true(fails > 10 && fails < 900);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads), cmocka_unit_test(test_other_layouts), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_where), cmocka_unit_test(test_depth),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
