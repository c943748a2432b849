/* The tables made from a GGUF file's arrays: equal to those of the same tokenizer's tokenizer.json, and every
 * damage named. */
#include "tok_tables.h"

#include "base/mem.h"
#include "format/tokletters.h"
#include "tiny_tokenizer.h"

enum { MAX_ROWS = 400 };

/* Arrays with texts of their own. */
struct rows {
    struct tokfile_arrays a;
    struct tokfile_span tokens[MAX_ROWS], merges[TINY_MAX_MERGES];
    int32_t types[MAX_ROWS];
    float scores[MAX_ROWS];
    struct buf text[MAX_ROWS + TINY_MAX_MERGES];
    size_t n_text;
};

static struct tokfile_span keep(struct rows *r, const char *s, size_t n, bool letters)
{
    struct buf *b = &r->text[r->n_text++];
    if (letters)
        tokletters_write(s, n, b);
    else
        buf_add(b, s, n);
    return (struct tokfile_span){.s = b->data, .n = b->n};
}

static void put(struct rows *r, struct tokfile_span t, int32_t type, float score)
{
    size_t i = r->a.n_tokens++;
    assert_true(i < MAX_ROWS);
    r->tokens[i] = t;
    r->types[i] = type;
    r->scores[i] = score;
}

static struct tokfile_span span(const char *s)
{
    return (struct tokfile_span){.s = s, .n = strlen(s)};
}

/* What a converter writes for the tokenizer that tiny_json writes. */
static struct rows *make_rows(enum tiny_kind k)
{
    struct rows *r = calloc(1, sizeof *r);
    struct buf text = BUF_INIT;
    struct tokfile f;
    struct err err = ERR_INIT;
    assert_non_null(r);
    tiny_json(&text, k, tiny_words, k == TINY_O200K ? tiny_gptoss_added : tiny_qwen_added);
    if (tokfile_read_json(&f, text.data, text.n, "tiny", &err))
        fail_msg("%s", err.text);
    for (size_t id = 0; id < f.n_tokens; id++) {
        size_t n;
        const char *s = tokfile_text(&f, (int32_t)id, &n);
        bool added = f.flags[id] & TOKFILE_ADDED;
        put(r, keep(r, s, n, !added), !added ? 1 : f.flags[id] & TOKFILE_SPECIAL ? 3 : 4, 0);
    }
    for (size_t i = 0; tiny_words[i].left; i++) {
        struct buf both = BUF_INIT;
        tokletters_write(tiny_words[i].left, strlen(tiny_words[i].left), &both);
        buf_char(&both, ' ');
        tokletters_write(tiny_words[i].right, strlen(tiny_words[i].right), &both);
        r->merges[r->a.n_merges++] = keep(r, both.data, both.n, false);
        buf_release(&both);
    }
    r->a.model = span("gpt2");
    r->a.pre = span(k == TINY_O200K ? "gpt-4o" : "qwen2");
    r->a.tokens = r->tokens;
    r->a.types = r->types;
    r->a.merges = r->merges;
    r->a.bos_id = -1;
    tokfile_release(&f);
    buf_release(&text);
    return r;
}

/* <unk> <s> </s>, the bytes, U+2581 and a..e, a user-defined mark, then pieces by falling score. */
static struct rows *make_spm(void)
{
    static const char *const chars[] = {"\xE2\x96\x81", "a", "b", "c", "d", "e", NULL};
    static const char *const pieces[] = {"ab", "bc", "abc", "\xE2\x96\x81" "a", "\xE2\x96\x81\xE2\x96\x81", NULL};
    struct rows *r = calloc(1, sizeof *r);
    assert_non_null(r);
    put(r, span("<unk>"), 2, 0);
    put(r, span("<s>"), 3, 0);
    put(r, span("</s>"), 3, 0);
    for (unsigned b = 0; b < 256; b++) {
        char name[8];
        int n = snprintf(name, sizeof name, "<0x%02X>", b);
        put(r, keep(r, name, (size_t)n, false), 6, 0);
    }
    for (size_t i = 0; chars[i]; i++)
        put(r, span(chars[i]), 1, -100.0f - (float)i);
    put(r, span("<br>"), 4, 0);
    for (size_t i = 0; pieces[i]; i++)
        put(r, span(pieces[i]), 1, -1.0f - (float)i);
    r->a.model = span("llama");
    r->a.pre = span("default");
    r->a.tokens = r->tokens;
    r->a.types = r->types;
    r->a.scores = r->scores;
    r->a.bos_id = 1;
    r->a.add_space_prefix = TOKFILE_YES;
    return r;
}

static void free_rows(struct rows *r)
{
    for (size_t i = 0; i < r->n_text; i++)
        buf_release(&r->text[i]);
    free(r);
}

static void test_equal(void **state)
{
    (void)state;
    for (int k = TINY_O200K; k <= TINY_QWEN2; k++) {
        struct rows *r = make_rows((enum tiny_kind)k);
        struct buf text = BUF_INIT;
        struct tokfile f;
        struct tokfile g;
        struct err err = ERR_INIT;
        tiny_json(&text, (enum tiny_kind)k, tiny_words, k == TINY_O200K ? tiny_gptoss_added : tiny_qwen_added);
        assert_int_equal(tokfile_read_json(&f, text.data, text.n, "tiny", &err), OK);
        // a padded table: rows past the last token, of type 5
        put(r, span("[PAD300]"), 5, 0);
        put(r, span("[PAD301]"), 5, 0);
        if (tokfile_read_arrays(&g, &r->a, "tiny.gguf", &err))
            fail_msg("%s", err.text);
        tok_tables_equal(&f, &g);
        tokfile_release(&f);
        tokfile_release(&g);
        buf_release(&text);
        free_rows(r);
    }
}

static void test_spm(void **state)
{
    (void)state;
    struct rows *r = make_spm();
    struct tokfile f;
    struct err err = ERR_INIT;
    if (tokfile_read_arrays(&f, &r->a, "tiny.gguf", &err))
        fail_msg("%s", err.text);
    assert_int_equal(f.kind, TOKFILE_SPM);
    assert_true(f.dummy_prefix);
    assert_int_equal(f.bos_id, -1);
    assert_int_equal(f.n_added, 3);
    assert_int_equal(f.byte_id[0x41], 3 + 0x41);
    assert_true(f.flags[tokfile_find(&f, "<br>", 4)] & TOKFILE_USER);
    assert_int_equal(f.n_merges, 6); // a+b, b+c, a+bc, ab+c, _+a, _+_
    uint32_t ab = 0;
    uint32_t abc = 0;
    for (size_t i = 0; i < f.n_merges; i++) {
        ab = f.merges[i].result == tokfile_find(&f, "ab", 2) ? f.merges[i].prio : ab;
        abc = f.merges[i].result == tokfile_find(&f, "abc", 3) ? f.merges[i].prio : abc;
    }
    assert_true(ab < abc); // the higher score goes first
    tokfile_release(&f);
    r->a.add_bos = TOKFILE_YES;
    r->a.add_space_prefix = TOKFILE_NO;
    assert_int_equal(tokfile_read_arrays(&f, &r->a, "tiny.gguf", &err), OK);
    assert_int_equal(f.bos_id, 1);
    assert_false(f.dummy_prefix);
    tokfile_release(&f);
    free_rows(r);
}

static void refused(const struct rows *r, enum status want, const char *says)
{
    struct tokfile f;
    struct err err = ERR_INIT;
    enum status s = tokfile_read_arrays(&f, &r->a, "x.gguf", &err);
    if (s != want || !strstr(err.text, says) || strncmp(err.text, "x.gguf: ", 8) != 0)
        fail_msg("expected %s and '%s', found %s: %s", status_name(want), says, status_name(s), err.text);
}

static void test_damage(void **state)
{
    (void)state;
    struct rows *r = make_rows(TINY_O200K);
    struct tokfile_arrays good = r->a;
    r->a.model = span("bert");
    refused(r, ERR_UNSUPPORTED, "model: expected gpt2 or llama, found bert");
    r->a = good;
    r->a.pre = (struct tokfile_span){.s = NULL};
    refused(r, ERR_UNSUPPORTED, "pre: expected gpt-4o, qwen2 or llama-bpe, found none");
    r->a.pre = span("default");
    refused(r, ERR_UNSUPPORTED, "found default");
    r->a = good;
    r->a.add_space_prefix = TOKFILE_YES;
    refused(r, ERR_UNSUPPORTED, "add_space_prefix");
    r->a = good;
    r->a.add_bos = TOKFILE_YES;
    refused(r, ERR_FORMAT, "bos_token_id: expected the id of a token below 281, found -1");
    r->a.bos_id = 281;
    refused(r, ERR_FORMAT, "found 281");
    r->a = good;
    struct tokfile_span token = r->tokens[258];
    r->tokens[258] = span("");
    refused(r, ERR_FORMAT, "token 258: expected a token, found an empty string");
    r->tokens[258] = span("a\xC3");
    refused(r, ERR_FORMAT, "token 258: expected valid UTF-8");
    r->tokens[258] = span("\xE4\xB8\xAD");
    refused(r, ERR_FORMAT, "token 258: expected letters of the byte alphabet, found U+4E2D");
    r->tokens[258] = span("a");
    refused(r, ERR_FORMAT, "ids 97 and 258 for one");
    r->tokens[258] = token;
    r->types[65] = 5;
    refused(r, ERR_FORMAT, "none for 0x41");
    r->types[65] = 7;
    refused(r, ERR_FORMAT, "token 65: expected a token_type from 1 to 5, found 7");
    r->types[65] = 6;
    refused(r, ERR_FORMAT, "token 65: expected a token_type from 1 to 5, found 6");
    r->types[65] = 1;
    r->merges[3] = span("hell o x");
    refused(r, ERR_FORMAT, "merge 3: expected a merge of two pieces with one blank between, found \"hell o x\"");
    r->merges[3] = span("hell q");
    refused(r, ERR_FORMAT, "merge 3: expected a merge whose result is a piece");
    r->merges[3] = span("hell zz");
    refused(r, ERR_FORMAT, "merge 3: expected a merge of known pieces, found \"zz\"");
    r->merges[3] = span("h e");
    refused(r, ERR_FORMAT, "merge 3: expected merges whose result ids never fall");
    free_rows(r);

    r = make_spm();
    good = r->a;
    r->a.add_space_prefix = TOKFILE_ABSENT;
    refused(r, ERR_UNSUPPORTED, "add_space_prefix: expected true or false, found none");
    r->a = good;
    r->a.scores = NULL;
    refused(r, ERR_FORMAT, "found no .scores");
    r->a = good;
    r->a.types = NULL;
    refused(r, ERR_FORMAT, "found no .token_type");
    r->a = good;
    r->a.pre = span("qwen2");
    refused(r, ERR_UNSUPPORTED, "expected default with model llama");
    r->a = good;
    r->a.remove_extra_whitespaces = TOKFILE_YES;
    refused(r, ERR_UNSUPPORTED, "remove_extra_whitespaces");
    r->a = good;
    r->types[3] = 4;
    refused(r, ERR_FORMAT, "none for 0x00");
    r->types[3] = 6;
    r->types[r->a.n_tokens - 1] = 6;
    refused(r, ERR_FORMAT, "expected 256 byte tokens, found 257");
    r->types[r->a.n_tokens - 1] = 1;
    memcpy(&r->scores[r->a.n_tokens - 1], "\x00\x00\xC0\x7F", 4);
    refused(r, ERR_FORMAT, "expected a score, found a NaN");
    r->scores[r->a.n_tokens - 1] = 0;
    char big[300];
    memset(big, 'a', sizeof big);
    r->tokens[r->a.n_tokens - 1] = (struct tokfile_span){.s = big, .n = sizeof big};
    refused(r, ERR_RANGE, "expected pieces of at most 256 bytes, found 300");
    free_rows(r);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct rows *r[2] = {make_rows(TINY_QWEN2), make_spm()};
    for (size_t i = 0; i < 2; i++) {
        size_t fails = 0;
        for (size_t n = 1; n < 1000; n++) {
            struct tokfile f;
            struct err err = ERR_INIT;
            mem_fail_after(n);
            enum status s = tokfile_read_arrays(&f, &r[i]->a, "tiny", &err);
            mem_fail_after(0);
            if (!s) {
                tokfile_release(&f);
                break;
            }
            assert_int_equal(s, ERR_MEMORY);
            fails++;
        }
        assert_true(fails > 10 && fails < 900);
        free_rows(r[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_equal), cmocka_unit_test(test_spm),
                                       cmocka_unit_test(test_damage), cmocka_unit_test(test_out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
