/* The tokenizer on tiny files of each kind: ids, specials, round trips, long runs, failures. */
#include "text_support.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "text/bpe.h"
#include "text/nfc.h"
#include "tiny_tokenizer.h"

/* Byte-level ids of tiny_words: he 256 ll 257 hell 258 hello 259 aa 260 aaaa 261 ab 262 bc 263 abc 264
 * 12 265 123 266 LFLF 267 is 268 th 269 this 270; added from 271. */
enum { HELLO = 259, FIRST_ADDED = 271 };

static void check_ids(const struct tokenizer *t, const char *text, bool parse, const int32_t *want, size_t n_want)
{
    struct ids got = {.v = NULL};
    struct err err = ERR_INIT;
    enum status s = parse ? tokenizer_encode_parsed(t, text, strlen(text), &got, &err)
                          : tokenizer_encode(t, text, strlen(text), &got, &err);
    if (s)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < got.n || i < n_want; i++)
        if (i >= got.n || i >= n_want || got.v[i] != want[i])
            fail_msg("'%s': at %zu want %d, got %d", text, i, i < n_want ? (int)want[i] : -1, i < got.n ? (int)got.v[i] : -1);
    ids_release(&got);
}

#define IDS(...) (const int32_t[]){__VA_ARGS__}, sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t)

static void test_byte_level(void **state)
{
    (void)state;
    struct tokenizer *o = tiny_open(TINY_O200K);
    struct tokenizer *q = tiny_open(TINY_QWEN2);
    check_ids(o, "hello", false, IDS(HELLO));
    check_ids(o, "hello hello", false, IDS(HELLO, ' ', HELLO)); // " hello" is one piece, but no token
    check_ids(o, "hellx", false, IDS(258, 'x'));
    check_ids(o, "abcb", false, IDS(264, 'b')); // ab, then abc
    check_ids(o, "abc", false, IDS(264));                       // ignore_merges: the whole piece first
    check_ids(q, "abc", false, IDS(264));
    check_ids(o, "aaaaaaa", false, IDS(261, 260, 'a'));         // leftmost on ties
    check_ids(o, "1234", false, IDS(266, '4'));
    check_ids(q, "1234", false, IDS('1', '2', '3', '4'));       // single digits never meet
    check_ids(o, "\n\n\n", false, IDS(267, '\n'));
    check_ids(q, "e\u0301", false, IDS(0xC3, 0xA9));            // NFC before splitting
    check_ids(o, "e\u0301", false, IDS('e', 0xCC, 0x81));
    check_ids(o, "a\xFFz", false, IDS('a', 0xEF, 0xBF, 0xBD, 'z'));
    struct ids none = {.v = NULL};
    assert_int_equal(tokenizer_encode(o, "", 0, &none, NULL), OK);
    assert_int_equal(none.n, 0);
    assert_int_equal(tokenizer_encode(o, "a\0b", 3, &none, NULL), OK); // NUL is an ordinary character
    assert_int_equal(none.n, 3);
    ids_release(&none);
    tokenizer_free(o);
    tokenizer_free(q);
}

/* A merge that the file does not list is not made, though its bytes are a token: abc is ab + c only. */
static void test_only_listed_merges(void **state)
{
    (void)state;
    static const struct tiny_merge m[] = {{"b", "c"}, {"a", "b"}, {"ab", "c"}, {NULL, NULL}};
    struct buf text = BUF_INIT;
    struct tokenizer *t = NULL;
    tiny_json(&text, TINY_QWEN2, m, tiny_qwen_added);
    assert_int_equal(tiny_open_text(&t, text.data, text.n, NULL), OK);
    check_ids(t, "abc", false, IDS('a', 256)); // bc goes first, and a + bc is no merge
    tokenizer_free(t);
    buf_release(&text);
}

static void test_spm(void **state)
{
    (void)state;
    struct tokenizer *t = tiny_open(TINY_SPM);
    int32_t a = 260; // after 3 marks, 256 bytes and U+2581
    int32_t m = a + 26;
    check_ids(t, "hello", false, IDS(m + 3));
    check_ids(t, " hello", false, IDS(259, m + 3));           // hello is complete before _h could be made
    check_ids(t, " hx", false, IDS(m + 10, a + 23));
    check_ids(t, "  h", false, IDS(m + 9, a + 7));            // the blanks' merge comes first in the file
    check_ids(t, "a\n", false, IDS(a, 3 + '\n'));             // no piece: its byte
    check_ids(t, "\u4E2D", false, IDS(3 + 0xE4, 3 + 0xB8, 3 + 0xAD));
    check_ids(t, "\u2581", false, IDS(259));
    check_ids(t, "<0x41>", false, IDS(3 + '<', 3 + '0', a + 23, 3 + '4', 3 + '1', 3 + '>')); // spelled, not meant
    check_ids(t, "<|im_end|>", false,
              IDS(3 + '<', 3 + '|', a + 8, a + 12, 3 + '_', a + 4, a + 13, a + 3, 3 + '|', 3 + '>'));
    check_ids(t, "<|endoftext|>b", true, IDS(2, a + 1));
    assert_int_equal(tokenizer_special(t, "<|im_end|>"), m + 12); // a plain piece no text can become
    assert_int_equal(tokenizer_special(t, "a"), -1);
    assert_int_equal(tokenizer_special(t, "hello"), -1);
    assert_int_equal(tokenizer_special(t, "<0x41>"), -1);
    struct buf out = BUF_INIT;
    int32_t ids[] = {1, 259, m + 3, 3 + '\n', m + 12};
    assert_int_equal(tokenizer_decode(t, ids, 5, true, &out, NULL), OK);
    assert_string_equal(out.data, " hello\n<|im_end|>");
    buf_release(&out);
    tokenizer_free(t);
}

static void test_special(void **state)
{
    (void)state;
    struct tokenizer *t = tiny_open(TINY_O200K);
    int32_t start = tokenizer_special(t, "<|start|>");
    int32_t end = tokenizer_special(t, "<|end|>");
    assert_int_equal(start, FIRST_ADDED + 5);
    assert_int_equal(tokenizer_special(t, "<|nothing|>"), -1);
    assert_int_equal(tokenizer_special(t, "hello"), -1);
    assert_int_equal(tokenizer_special(t, ""), -1);
    check_ids(t, "<|start|>hello<|end|>", true, IDS(start, HELLO, end));
    check_ids(t, "<|end|><|end|>", true, IDS(end, end));
    check_ids(t, "<|<|end|>", true, IDS('<', '|', end));
    check_ids(t, "<|end|", true, IDS('<', '|', 'e', 'n', 'd', '|'));
    check_ids(t, "<|end|>", false, IDS('<', '|', 'e', 'n', 'd', '|', '>')); // text stays text
    assert_true(tokenizer_is_special(t, end));
    assert_false(tokenizer_is_special(t, HELLO));
    assert_false(tokenizer_is_special(t, -1));
    assert_false(tokenizer_is_special(t, 100000));
    assert_true(tokenizer_has_text(t, HELLO));
    assert_false(tokenizer_has_text(t, tokenizer_special(t, "<|reserved_300|>")));
    assert_false(tokenizer_has_text(t, 100000));
    assert_int_equal(tokenizer_size(t), FIRST_ADDED + 10);
    tokenizer_free(t);
}

static void test_longest_special(void **state)
{
    (void)state;
    static const char *const added[] = {"<|a|>", "<|a|>b", "<|", NULL};
    struct buf text = BUF_INIT;
    struct tokenizer *t = NULL;
    tiny_json(&text, TINY_QWEN2, tiny_words, added);
    assert_int_equal(tiny_open_text(&t, text.data, text.n, NULL), OK);
    check_ids(t, "<|a|>b<|a|>c<|x", true, IDS(272, 271, 'c', 273, 'x'));
    // normalised between special tokens, never across them
    check_ids(t, "e<|a|>\u0301", true, IDS('e', 271, 0xCC, 0x81));
    tokenizer_free(t);
    buf_release(&text);
}

static void test_decode(void **state)
{
    (void)state;
    struct tokenizer *t = tiny_open(TINY_O200K);
    struct buf out = BUF_INIT;
    struct err err = ERR_INIT;
    int32_t ids[] = {tokenizer_special(t, "<|start|>"), HELLO, 0xE4};
    assert_int_equal(tokenizer_decode(t, ids, 3, false, &out, &err), OK);
    assert_string_equal(out.data, "<|start|>hello\xE4"); // may end inside a character
    buf_clear(&out);
    assert_int_equal(tokenizer_decode(t, ids, 3, true, &out, &err), OK);
    assert_string_equal(out.data, "hello\xE4");
    ids[1] = -1;
    assert_int_equal(tokenizer_decode(t, ids, 3, false, &out, &err), ERR_RANGE);
    ids[1] = (int32_t)tokenizer_size(t);
    assert_int_equal(tokenizer_decode(t, ids, 3, false, &out, &err), ERR_RANGE);
    assert_non_null(strstr(err.text, "token 1"));
    tokenizer_free(t);
    t = tiny_open(TINY_QWEN2); // added but not special: printed all the same
    ids[0] = tokenizer_special(t, "<think>");
    buf_clear(&out);
    assert_int_equal(tokenizer_decode(t, ids, 1, true, &out, &err), OK);
    assert_string_equal(out.data, "<think>");
    tokenizer_free(t);
    buf_release(&out);
}

/* decode(encode(x)) = x, NFC(x) for Qwen, x with blanks for U+2581 for SPM, for any valid text. */
static void test_round_trip(void **state)
{
    (void)state;
    static const char *const bits[] = {"hello", "a",      "b",      "c",      " ",   "  ",     "\n",         "\r\n",       "'s",
                                       "1",     "23",     "\u00E9", "e\u0301", "\u4E2D", "\u3042", "\U0001F600", "\u0301\u0323", "!/",
                                       "<|end|>", "this", "X",      "\t",      "\u00A0", "\u1100\u1161", "\u2581"};
    struct rng_key key = rng_key(11, "round trip");
    for (int k = TINY_O200K; k <= TINY_SPM; k++) {
        struct tokenizer *t = tiny_open((enum tiny_kind)k);
        for (uint64_t round = 0; round < 2000; round++) {
            struct buf text = BUF_INIT;
            struct buf want = BUF_INIT;
            struct buf got = BUF_INIT;
            struct ids ids = {.v = NULL};
            uint64_t n = rng_below(&key, round * 512, 40) + 1;
            for (uint64_t i = 0; i < n; i++)
                buf_str(&text, bits[rng_below(&key, round * 512 + 1 + i, sizeof bits / sizeof *bits)]);
            if (k == TINY_QWEN2) {
                assert_int_equal(nfc(text.data, text.n, &want, NULL), OK);
            } else {
                for (size_t i = 0; i < text.n; i++) {
                    bool mark = k == TINY_SPM && strncmp(text.data + i, "\u2581", 3) == 0;
                    buf_char(&want, mark ? ' ' : text.data[i]);
                    i += mark ? 2 : 0;
                }
            }
            assert_int_equal(tokenizer_encode(t, text.data, text.n, &ids, NULL), OK);
            assert_int_equal(tokenizer_decode(t, ids.v, ids.n, false, &got, NULL), OK);
            assert_string_equal(got.data, want.data);
            buf_release(&text);
            buf_release(&want);
            buf_release(&got);
            ids_release(&ids);
        }
        tokenizer_free(t);
    }
}

/* The definition, as slow as it is plain: join the best pair until there is none. */
static size_t join_plain(const struct tokfile *f, int32_t *ids, size_t n)
{
    for (;;) {
        size_t at = n;
        uint32_t best = UINT32_MAX;
        int32_t result = -1;
        for (size_t i = 0; i + 1 < n; i++)
            for (size_t m = 0; m < f->n_merges; m++) {
                uint32_t prio = f->merges[m].prio;
                if (f->merges[m].left == ids[i] && f->merges[m].right == ids[i + 1] && prio < best) {
                    best = prio;
                    at = i;
                    result = f->merges[m].result;
                }
            }
        if (at == n)
            return n;
        ids[at] = result;
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
        n--;
    }
}

/* Short pieces (stack) and long ones (heap) against the definition, around the length where they part. */
static void test_join(void **state)
{
    (void)state;
    struct rng_key key = rng_key(3, "join");
    for (int k = TINY_O200K; k <= TINY_SPM; k += 2) {
        struct buf text = BUF_INIT;
        struct tokfile f;
        struct bpe b;
        tiny_json(&text, (enum tiny_kind)k, k == TINY_SPM ? tiny_spm_words : tiny_words, NULL);
        assert_int_equal(tokfile_read_json(&f, text.data, text.n, "tiny", NULL), OK);
        assert_int_equal(bpe_init(&b, &f, "tiny", NULL), OK);
        for (uint64_t round = 0; round < 600; round++) {
            int32_t x[240];
            int32_t y[240];
            size_t n = (size_t)rng_below(&key, round * 512, 240) + 1;
            for (size_t i = 0; i < n; i++) {
                char c = "aaaabchelo"[rng_below(&key, round * 512 + 1 + i, 10)];
                x[i] = y[i] = tokfile_find(&f, &c, 1);
            }
            size_t want = join_plain(&f, x, n);
            assert_int_equal(bpe_join(&b, y, &n, NULL), OK);
            assert_int_equal(n, want);
            assert_memory_equal(x, y, n * sizeof *x);
        }
        bpe_release(&b);
        tokfile_release(&f);
        buf_release(&text);
    }
}

/* A million of one letter: quadratic merging would take minutes. */
static void test_long_runs(void **state)
{
    (void)state;
    for (int k = TINY_O200K; k <= TINY_SPM; k++) {
        struct tokenizer *t = tiny_open((enum tiny_kind)k);
        static const char letters[] = {'a', ' ', '<', '\n'};
        for (size_t i = 0; i < sizeof letters; i++) {
            enum { N = 1000000 };
            char *text = malloc(N);
            struct ids ids = {.v = NULL};
            assert_non_null(text);
            memset(text, letters[i], N);
            assert_int_equal(tokenizer_encode_parsed(t, text, N, &ids, NULL), OK);
            if (letters[i] == 'a')
                assert_int_equal(ids.n, N / 4);
            ids_release(&ids);
            free(text);
        }
        tokenizer_free(t);
    }
}

static void test_files(void **state)
{
    (void)state;
    struct tokenizer *t = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(tokenizer_open(&t, "/nonexistent/tokenizer.json", &err), ERR_MISSING);
    assert_int_equal(tiny_open_text(&t, "", 0, &err), ERR_FORMAT);
    assert_int_equal(tiny_open_text(&t, "{}", 2, &err), ERR_FORMAT);
    struct buf text = BUF_INIT; // the same pair twice: only the merge table sees it
    tiny_json(&text, TINY_O200K, tiny_words, tiny_gptoss_added);
    char *at = strstr(text.data, "[\"h\",\"e\"],");
    struct buf twice = BUF_INIT;
    buf_add(&twice, text.data, (size_t)(at - text.data));
    buf_str(&twice, "[\"h\",\"e\"],");
    buf_str(&twice, at);
    assert_int_equal(tiny_open_text(&t, twice.data, twice.n, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "each merge once"));
    assert_null(t);
    buf_release(&text);
    buf_release(&twice);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    tiny_json(&text, TINY_QWEN2, tiny_words, tiny_qwen_added);
    size_t fails = 0;
    for (size_t n = 1; n < 1000; n++) {
        struct tokenizer *t = NULL;
        struct ids ids = {.v = NULL};
        struct buf out = BUF_INIT;
        struct err err = ERR_INIT;
        char long_text[300];
        memset(long_text, 'e', sizeof long_text);
        memcpy(long_text, "\u0301\xFF", 3);
        mem_fail_after(n);
        enum status s = tiny_open_text(&t, text.data, text.n, &err);
        if (!s)
            s = tokenizer_encode(t, long_text, sizeof long_text, &ids, &err);
        if (!s)
            s = tokenizer_decode(t, ids.v, ids.n, false, &out, &err);
        mem_fail_after(0);
        tokenizer_free(t);
        ids_release(&ids);
        buf_release(&out);
        if (!s)
            break;
        assert_int_equal(s, ERR_MEMORY);
        fails++;
    }
    assert_true(fails > 20 && fails < 900);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_byte_level), cmocka_unit_test(test_only_listed_merges),
        cmocka_unit_test(test_spm),        cmocka_unit_test(test_special),
        cmocka_unit_test(test_longest_special), cmocka_unit_test(test_decode),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_join),
        cmocka_unit_test(test_long_runs),  cmocka_unit_test(test_files),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
