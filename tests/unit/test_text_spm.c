/* SentencePiece models small enough for a page: what is read, each damage named, and encoding against the
 * definition, which joins the best pair of the whole text until there is none. */
#include "text_support.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "spm_build.h"
#include "text/encode.h"
#include "tiny_tokenizer.h"

enum { FIRST_USER = 259, N_USER = 8, FIRST_WORD = FIRST_USER + N_USER };

static struct tokenizer *open_model(bool dummy_prefix)
{
    struct buf b = BUF_INIT;
    struct tokenizer *t = NULL;
    struct err err = ERR_INIT;
    spm_model(&b, dummy_prefix);
    if (tiny_open_text(&t, b.data, b.n, &err))
        fail_msg("%s", err.text);
    buf_release(&b);
    return t;
}

/* Pieces by name, blank-separated; U+2581 written as _. */
static void check_pieces(const struct tokenizer *t, const char *text, bool content, const char *want)
{
    struct ids ids = {.v = NULL};
    struct buf got = BUF_INIT;
    assert_int_equal((content ? tokenizer_encode_content : tokenizer_encode)(t, text, strlen(text), &ids, NULL), OK);
    for (size_t i = 0; i < ids.n; i++) {
        size_t n;
        const char *s = tokfile_text(&t->file, ids.v[i], &n);
        buf_str(&got, i ? " " : "");
        for (size_t k = 0; k < n; k++) {
            bool blank = n - k >= 3 && memcmp(s + k, SPM_BLANK, 3) == 0;
            buf_char(&got, blank ? '_' : s[k]);
            k += blank ? 2 : 0;
        }
    }
    assert_string_equal(got.data ? got.data : "", want);
    ids_release(&ids);
    buf_release(&got);
}

static void test_reads(void **state)
{
    (void)state;
    struct tokenizer *t = open_model(false);
    const struct tokfile *f = &t->file;
    assert_int_equal(f->kind, TOKFILE_SPM);
    assert_false(f->dummy_prefix);
    assert_int_equal(f->bos_id, -1);
    assert_int_equal(f->byte_id['A'], 3 + 'A');
    assert_int_equal(tokenizer_special(t, "<s>"), 1);
    assert_int_equal(tokenizer_special(t, "<|im_end|>"), FIRST_USER + 1); // user defined, and a mark by its shape
    assert_int_equal(tokenizer_special(t, "<br>"), -1);
    assert_true(tokenizer_is_special(t, FIRST_USER));
    assert_false(tokenizer_is_special(t, FIRST_USER + 2));
    assert_true(tokenizer_has_text(t, FIRST_USER + 1)); // a stop id has to be generated
    assert_true(f->flags[FIRST_USER + 2] & TOKFILE_USER);
    assert_int_equal((int)f->scores[FIRST_WORD], -1);
    tokenizer_free(t);
    t = open_model(true);
    assert_true(t->file.dummy_prefix);
    tokenizer_free(t);
}

static void test_encode(void **state)
{
    (void)state;
    struct tokenizer *t = open_model(false);
    check_pieces(t, "hello", false, "hello");
    check_pieces(t, "hello hello", false, "hello _hello"); // hello is joined before _h could be
    check_pieces(t, "hehe", false, "he he");
    check_pieces(t, "helo", false, "he lo");
    check_pieces(t, "aaaaaaa", false, "aaaa aaa");          // aa thrice, then aa+a, which beats aa+aa
    check_pieces(t, "a  b", false, "a __ b");               // two blanks are a piece of their own
    check_pieces(t, "a     b", false, "a ___ __ b");        // longest first
    check_pieces(t, "<br><b<br>", false, "<br> < b <br>");
    check_pieces(t, "10,1", false, "1 0 , 1");
    check_pieces(t, "x\n", false, "<0x78> <0x0A>");
    check_pieces(t, "\u4E2D\u6587\u4E2D", false, "\u4E2D\u6587 \u4E2D");
    check_pieces(t, "\u6587\u5B57", false, "\u6587 <0xE5> <0xAD> <0x97>");
    check_pieces(t, "<0x41>", false, "< 0 <0x78> <0x34> 1 >"); // spelled, not meant
    check_pieces(t, "</s>", false, "< <0x2F> <0x73> >");
    check_pieces(t, "<|im_end|>", false, "<|im_end|>");
    check_pieces(t, "<|im_end|>", true, "< <0x7C> <0x69> <0x6D> <0x5F> e <0x6E> d <0x7C> >");
    check_pieces(t, "a<br>", true, "a <br>"); // a tag is no mark
    check_pieces(t, "", false, "");
    tokenizer_free(t);
}

static void test_dummy_prefix(void **state)
{
    (void)state;
    struct tokenizer *t = open_model(true);
    struct buf out = BUF_INIT;
    check_pieces(t, "b", false, "_ b");
    check_pieces(t, " b", false, "__ b");
    check_pieces(t, "", false, "");
    check_pieces(t, "b", true, "b"); // between a chat's marks no text starts
    struct ids ids = {.v = NULL};
    assert_int_equal(tokenizer_encode_parsed(t, "b</s>b", 6, &ids, NULL), OK);
    assert_int_equal(ids.n, 4); // _ b </s> b: only the text's own start
    assert_int_equal(tokenizer_decode_text(t, ids.v, ids.n, true, &out, NULL), OK);
    assert_string_equal(out.data, "bb");
    buf_clear(&out);
    assert_int_equal(tokenizer_decode(t, ids.v, ids.n, false, &out, NULL), OK); // as they follow other ids
    assert_string_equal(out.data, " b</s>b");
    buf_clear(&out);
    assert_int_equal(tokenizer_decode_text(t, ids.v + 1, 1, true, &out, NULL), OK);
    assert_string_equal(out.data, "b");
    ids_release(&ids);
    buf_release(&out);
    tokenizer_free(t);
}

/* The definition: symbols by user-defined pieces and characters, then the neighbours whose joined text is the
 * piece of the highest score, leftmost, until none is; what is no piece becomes bytes. */
struct symbol {
    size_t at, n;
    bool user;
};

static size_t longest_user(const char *s, size_t n)
{
    size_t best = 0;
    for (size_t i = 0; spm_user[i]; i++) {
        size_t k = strlen(spm_user[i]);
        if (k <= n && k > best && memcmp(s, spm_user[i], k) == 0)
            best = k;
    }
    return best;
}

static void encode_plain(const struct tokenizer *t, const char *text, size_t n, struct ids *out)
{
    const struct tokfile *f = &t->file;
    struct buf s = BUF_INIT;
    struct symbol v[800];
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        text[i] == ' ' ? buf_str(&s, SPM_BLANK) : buf_char(&s, text[i]);
    for (size_t i = 0; i < s.n; i += v[m++].n) {
        uint32_t cp;
        size_t user = longest_user(s.data + i, s.n - i);
        assert_true(m < 800);
        v[m] = (struct symbol){.at = i, .n = user ? user : utf8_decode((const uint8_t *)s.data + i, s.n - i, &cp), .user = user};
    }
    for (;;) {
        size_t best = m;
        float score = 0;
        for (size_t i = 0; i + 1 < m; i++) {
            int32_t id = v[i].user || v[i + 1].user ? -1 : tokfile_find(f, s.data + v[i].at, v[i].n + v[i + 1].n);
            bool normal = id >= 0 && !(f->flags[id] & (TOKFILE_USER | TOKFILE_ADDED | TOKFILE_BYTE));
            if (normal && (best == m || f->scores[id] > score)) {
                best = i;
                score = f->scores[id];
            }
        }
        if (best == m)
            break;
        v[best].n += v[best + 1].n;
        memmove(v + best + 1, v + best + 2, (m - best - 2) * sizeof *v);
        m--;
    }
    for (size_t i = 0; i < m; i++) {
        int32_t id = tokfile_find(f, s.data + v[i].at, v[i].n);
        for (size_t k = 0; id < 0 && k < v[i].n; k++)
            ids_add(out, f->byte_id[(unsigned char)s.data[v[i].at + k]]);
        if (id >= 0)
            ids_add(out, id);
    }
    buf_release(&s);
}

static void test_definition(void **state)
{
    (void)state;
    static const char *const bits[] = {"a", "aa", "aaa", "b", "c", "h", "e", "l", "o", "hello", " ", "  ", "\n", "0", "<br>", "<b", "r>",
                                       ",", "\u4E2D", "\u6587", "\u5B57", "x", "<|im_end|>", "\u2581", "\U0001F600"};
    struct tokenizer *t = open_model(false);
    struct rng_key key = rng_key(21, "spm");
    for (uint64_t round = 0; round < 3000; round++) {
        struct buf text = BUF_INIT;
        struct ids want = {.v = NULL};
        struct ids got = {.v = NULL};
        // short ones mostly; some so long that one run has to go through the heap
        uint64_t n = rng_below(&key, round * 512, round % 8 ? 20 : 220) + 1;
        uint64_t kinds = round % 16 ? sizeof bits / sizeof *bits : 3;
        for (uint64_t i = 0; i < n; i++)
            buf_str(&text, bits[rng_below(&key, round * 512 + 1 + i, kinds)]);
        encode_plain(t, text.data, text.n, &want);
        assert_int_equal(tokenizer_encode(t, text.data, text.n, &got, NULL), OK);
        if (got.n != want.n || memcmp(got.v, want.v, got.n * sizeof *got.v) != 0)
            fail_msg("'%s': other ids than by the definition", text.data);
        buf_release(&text);
        ids_release(&want);
        ids_release(&got);
    }
    tokenizer_free(t);
}

static void refused(const struct buf *b, enum status want, const char *says)
{
    struct tokfile f;
    struct err err = ERR_INIT;
    char *exact = malloc(b->n ? b->n : 1); // so that a step too far is out of bounds
    assert_non_null(exact);
    memcpy(exact, b->data, b->n);
    enum status s = tokfile_read_spm(&f, exact, b->n, "x.model", &err);
    if (s != want || !strstr(err.text, says) || strncmp(err.text, "x.model: ", 9) != 0)
        fail_msg("expected %s and '%s', found %s: %s", status_name(want), says, status_name(s), err.text);
    free(exact);
}

static void test_rules(void **state)
{
    (void)state;
    static const struct {
        struct spm_rules r;
        const char *says;
    } c[] = {
        {{.model_type = 1, .byte_fallback = true, .escape_spaces = true}, "found type unigram"},
        {{.model_type = 3, .byte_fallback = true, .escape_spaces = true}, "found another type"},
        {{.model_type = 2, .escape_spaces = true}, "found no byte_fallback"},
        {{.model_type = 2, .byte_fallback = true, .escape_spaces = true, .charsmap = "x"}, "found a precompiled_charsmap"},
        {{.model_type = 2, .byte_fallback = true, .escape_spaces = true, .remove_spaces = true}, "found remove_extra_whitespaces"},
        {{.model_type = 2, .byte_fallback = true, .escape_spaces = true, .space_as_suffix = true}, "treat_whitespace_as_suffix"},
        {{.model_type = 2, .byte_fallback = true}, "found escape_whitespaces off"},
    };
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        struct buf b = BUF_INIT;
        spm_pieces(&b);
        spm_rules(&b, &c[i].r);
        refused(&b, ERR_UNSUPPORTED, c[i].says);
        buf_release(&b);
    }
    struct buf b = BUF_INIT; // no rules at all: the format's defaults, which are not ours
    spm_pieces(&b);
    refused(&b, ERR_UNSUPPORTED, "found type unigram");
    buf_release(&b);
}

/* Pieces of their own after good ones, or bytes that are no message. */
static void test_damage(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        float score;
        unsigned type;
        enum status status;
        const char *says;
    } c[] = {
        {"", 0, 1, ERR_FORMAT, "piece 295: expected a text for id 295"},
        {"a\xFF", 0, 1, ERR_FORMAT, "piece 295: expected valid UTF-8"},
        {"zz", 0, 5, ERR_UNSUPPORTED, "piece 295: expected a type from 1 to 4 or 6, found 5"},
        {"zz", 0, 7, ERR_FORMAT, "piece 295: expected a type from 1 to 4 or 6, found 7"},
        {"hello", 0, 1, ERR_FORMAT, "expected each text once"},
        {"<s>", 0, 3, ERR_FORMAT, "contradicts another token of that text"},
        {"qq", 0, 6, ERR_FORMAT, "expected 256 byte tokens, found 257"},
        {"qa", 0, 1, ERR_UNSUPPORTED, "found none for U+0071 of id 295"},
    };
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        struct buf b = BUF_INIT;
        spm_model(&b, false);
        spm_piece(&b, c[i].text, c[i].score, c[i].type);
        refused(&b, c[i].status, c[i].says);
        buf_release(&b);
    }
    static const struct {
        const char *bytes;
        size_t n;
        const char *says;
    } raw[] = {
        {"\x0A\x05" "abc", 5, "byte 2: expected as many bytes as the field says"},
        {"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11, "expected as many bytes"},
        {"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", 11, "byte 10: expected a protobuf number"},
        {"\x0A\x80", 2, "byte 2: expected a protobuf number"},
        {"\x0B", 1, "expected a protobuf field"},
        {"\x02\x00", 2, "expected a protobuf field"},
        {"\x0D" "abcd", 5, "a field of its own wire type"},
        {"\x0A\x02\x08\x01", 4, "a field of its own wire type"},
        {"\x0A\x03\x0A\x09" "a", 5, "byte 4: expected as many bytes"},
    };
    for (size_t i = 0; i < sizeof raw / sizeof *raw; i++) {
        struct buf b = BUF_INIT;
        buf_add(&b, raw[i].bytes, raw[i].n);
        refused(&b, ERR_FORMAT, raw[i].says);
        buf_release(&b);
    }
}

/* Every prefix is refused or, cut between pieces, says what is missing; none reads past its end. */
static void test_truncated(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    spm_model(&b, true);
    for (size_t n = 0; n < b.n; n += n + 300 > b.n ? 1 : 7) {
        struct tokfile f;
        struct err err = ERR_INIT;
        char *exact = malloc(n + 1);
        assert_non_null(exact);
        memcpy(exact, b.data, n);
        assert_int_not_equal(tokfile_read_spm(&f, exact, n, "cut", &err), OK);
        free(exact);
    }
    buf_release(&b);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    size_t fails = 0;
    spm_model(&b, true);
    for (size_t n = 1; n < 1000; n++) {
        struct tokenizer *t = NULL;
        struct ids ids = {.v = NULL};
        struct buf out = BUF_INIT;
        struct err err = ERR_INIT;
        mem_fail_after(n);
        enum status s = tiny_open_text(&t, b.data, b.n, &err);
        if (!s)
            s = tokenizer_encode(t, "hello  x", 8, &ids, &err);
        if (!s)
            s = tokenizer_decode_text(t, ids.v, ids.n, false, &out, &err);
        mem_fail_after(0);
        tokenizer_free(t);
        ids_release(&ids);
        buf_release(&out);
        if (!s)
            break;
        assert_int_equal(s, ERR_MEMORY);
        fails++;
    }
    assert_true(fails > 10 && fails < 900);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),  cmocka_unit_test(test_encode), cmocka_unit_test(test_dummy_prefix),
        cmocka_unit_test(test_definition), cmocka_unit_test(test_rules), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_truncated),  cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
