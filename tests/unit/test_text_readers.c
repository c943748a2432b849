/* The other forms of tokenizer files, small enough for a page: .tiktoken, vocab.json with merges.txt, Llama 3's
 * tokenizer.json; and which reader a file gets. Each damage is named. */
#include "tok_forms.h"

#include "base/mem.h"
#include "spm_build.h"
#include "tiny_tokenizer.h"
#include "tok_tables.h"

static void base64_of(const char *s, size_t n, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = 0;
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (i + k < n ? (unsigned char)s[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            buf_char(out, k > n - i ? '=' : digits[v >> (18 - 6 * k) & 63]);
    }
}

static void tiktoken_line(struct buf *out, const char *s, size_t n, int rank)
{
    base64_of(s, n, out);
    buf_printf(out, " %d\n", rank);
}

/* The bytes, then words by rank. */
static const char *const ranks[] = {"he", "ll", "hell", "hello", "aa", "aaaa", "ab", "bc", "abc", "12", "123", "\n\n", "is", NULL};

static void tiktoken_text(struct buf *out)
{
    int rank = 0;
    for (; rank < 256; rank++) {
        char c = (char)rank;
        tiktoken_line(out, &c, 1, rank);
    }
    for (size_t i = 0; ranks[i]; i++)
        tiktoken_line(out, ranks[i], strlen(ranks[i]), rank++);
}

/* The same tokenizer as a tokenizer.json that lists every split of every token. */
static void tiktoken_json(struct buf *out)
{
    struct tiny_merge all[TINY_MAX_MERGES];
    const char *added[22];
    char names[21][24];
    static const char *const named[21] = {[0] = "<|startoftext|>", [1] = "<|endoftext|>", [4] = "<|return|>",  [5] = "<|constrain|>",
                                          [7] = "<|channel|>",     [8] = "<|start|>",     [9] = "<|end|>",     [10] = "<|message|>",
                                          [14] = "<|call|>",       [20] = "<|endofprompt|>"};
    for (size_t i = 0; i < 21; i++) {
        (void)snprintf(names[i], sizeof names[i], "<|reserved_%zu|>", 269 + i);
        added[i] = named[i] ? named[i] : names[i];
    }
    added[21] = NULL;
    // tiny_json gives each merge a token of its own: the splits that are not its own are put in by hand below
    static const struct tiny_merge one_split[] = {{"h", "e"}, {"l", "l"},  {"he", "ll"}, {"hell", "o"}, {"a", "a"},   {"aa", "aa"}, {"a", "b"},
                                                  {"b", "c"}, {"ab", "c"}, {"1", "2"},   {"12", "3"},   {"\n", "\n"}, {"i", "s"},   {NULL, NULL}};
    memcpy(all, one_split, sizeof one_split);
    struct buf text = BUF_INIT;
    tiny_json(&text, TINY_O200K, all, added);
    const char *at = strstr(text.data, "[\"ab\",\"c\"]");
    assert_non_null(at);
    buf_add(out, text.data, (size_t)(at - text.data));
    buf_str(out, "[\"a\",\"bc\"],");
    buf_str(out, at);
    buf_release(&text);
}

static void test_tiktoken(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    struct buf json = BUF_INIT;
    struct tokfile f;
    struct tokfile g;
    struct err err = ERR_INIT;
    tiktoken_text(&text);
    tiktoken_json(&json);
    if (tokfile_read_tiktoken(&f, text.data, text.n, "tiny", &err) || tokfile_read_json(&g, json.data, json.n, "tiny", &err))
        fail_msg("%s", err.text);
    tok_tables_equal(&f, &g);
    assert_int_equal(f.n_reserved, 0); // of gpt-oss's own table only
    tokfile_release(&f);
    tokfile_release(&g);
    // any small file that is not o200k_base is another file
    struct tokenizer *t = NULL;
    assert_int_equal(tiny_open_text(&t, text.data, text.n, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "expected o200k_base.tiktoken (sha256 446a9538cb6c348e...), found another file (sha256 "));
    buf_release(&text);
    buf_release(&json);
}

static void tiktoken_refused(const char *text, size_t n, enum status want, const char *says)
{
    struct tokfile f;
    struct err err = ERR_INIT;
    enum status s = tokfile_read_tiktoken(&f, text, n, "x.tiktoken", &err);
    if (s != want || !strstr(err.text, says) || strncmp(err.text, "x.tiktoken:", 11) != 0)
        fail_msg("expected %s and '%s', found %s: %s", status_name(want), says, status_name(s), err.text);
}

static void test_tiktoken_damage(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum status status;
        const char *says;
    } c[] = {
        {"aGVsbG8=\n", ERR_FORMAT, ":270: expected base64, a blank and a rank"},
        {"aGVsbG8 269\n", ERR_FORMAT, ":270: expected base64"},
        {"aGVsb=8= 269\n", ERR_FORMAT, ":270: expected base64"},
        {"aGVsbG9= 269\n", ERR_FORMAT, ":270: expected base64"}, // bits past the end
        {"aGV*bG8= 269\n", ERR_FORMAT, ":270: expected base64"},
        {" 269\n", ERR_FORMAT, ":270: expected base64"},
        {"\n", ERR_FORMAT, ":270: expected base64"},
        {"enp6 0269\n", ERR_FORMAT, ":270: expected base64"},
        {"enp6 -1\n", ERR_FORMAT, ":270: expected base64"},
        {"enp6 269 \n", ERR_FORMAT, ":270: expected base64"},
        {"enp6 1048576\n", ERR_RANGE, ":270: expected an id from 0 to 1048575, found 1048576"},
        {"enp6 268\n", ERR_FORMAT, "expected each id once, found 268 twice"},
        {"aGVsbG8= 269\n", ERR_FORMAT, "expected each text once, found ids 259 and 269 for one"},
        {"enp6 300\n", ERR_FORMAT, "expected every id up to 300, found none with id 269"},
        {"PHxlbmR8Pg== 269\n", ERR_FORMAT, "contradicts another token of that text"}, // <|end|>
    };
    struct buf good = BUF_INIT;
    tiktoken_text(&good);
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        struct buf b = BUF_INIT;
        buf_add(&b, good.data, good.n);
        buf_str(&b, c[i].line);
        tiktoken_refused(b.data, b.n, c[i].status, c[i].says);
        buf_release(&b);
    }
    tiktoken_refused("", 0, ERR_FORMAT, "none for 0x00");
    for (size_t n = 0; n < good.n; n++) { // cut anywhere: refused, or whole lines only, of a smaller vocabulary
        struct tokfile f;
        struct err err = ERR_INIT;
        enum status s = tokfile_read_tiktoken(&f, good.data, n, "cut", &err);
        if (!s)
            tokfile_release(&f);
        assert_true(s || n > 256 * 8);
    }
    buf_release(&good);
}

/* vocab.json, merges.txt and tokenizer_config.json of the tokenizer that tiny_json writes. */
struct trio {
    struct buf text[3];
};

static void make_trio(struct trio *o)
{
    struct buf json = BUF_INIT;
    struct tokfile f;
    struct err err = ERR_INIT;
    memset(o, 0, sizeof *o);
    tiny_json(&json, TINY_QWEN2, tiny_words, tiny_qwen_added);
    assert_int_equal(tokfile_read_json(&f, json.data, json.n, "tiny", &err), OK);
    buf_str(&o->text[0], "{");
    buf_str(&o->text[1], "#version: 0.2\n");
    buf_str(&o->text[2], "{\"tokenizer_class\":\"Qwen2Tokenizer\",\"chat_template\":\"x\",\"added_tokens_decoder\":{");
    for (size_t id = 0; id < f.n_tokens; id++) {
        size_t n;
        const char *s = tokfile_text(&f, (int32_t)id, &n);
        if (f.flags[id] & TOKFILE_ADDED) {
            buf_printf(&o->text[2], "%s\"%zu\":{\"content\":\"%.*s\",\"special\":%s,\"normalized\":false}", id == 271 ? "" : ",", id,
                       (int)n, s, f.flags[id] & TOKFILE_SPECIAL ? "true" : "false");
        } else {
            buf_str(&o->text[0], id ? "," : "");
            tiny_spelled(&o->text[0], TINY_QWEN2, s, n);
            buf_printf(&o->text[0], ":%zu", id);
        }
    }
    for (size_t i = 0; tiny_words[i].left; i++) {
        tiny_letters(&o->text[1], tiny_words[i].left, strlen(tiny_words[i].left));
        buf_char(&o->text[1], ' ');
        tiny_letters(&o->text[1], tiny_words[i].right, strlen(tiny_words[i].right));
        buf_char(&o->text[1], '\n');
    }
    buf_str(&o->text[0], "}");
    buf_str(&o->text[2], "}}");
    tokfile_release(&f);
    buf_release(&json);
}

static void free_trio(struct trio *o)
{
    for (size_t i = 0; i < 3; i++)
        buf_release(&o->text[i]);
}

static enum status read_trio(const struct trio *o, bool config, struct tokfile *f, struct err *err)
{
    static const char *const names[3] = {"vocab.json", "merges.txt", "tokenizer_config.json"};
    struct tokfile_part p[3];
    for (size_t i = 0; i < 3; i++)
        p[i] = (struct tokfile_part){.name = names[i], .text = o->text[i].data, .n = o->text[i].n};
    return tokfile_read_vocab(f, &p[0], &p[1], config ? &p[2] : NULL, err);
}

static void test_vocab(void **state)
{
    (void)state;
    struct trio o;
    struct buf json = BUF_INIT;
    struct tokfile f;
    struct tokfile g;
    struct err err = ERR_INIT;
    make_trio(&o);
    tiny_json(&json, TINY_QWEN2, tiny_words, tiny_qwen_added);
    if (tokfile_read_json(&f, json.data, json.n, "tiny", &err) || read_trio(&o, true, &g, &err))
        fail_msg("%s", err.text);
    tok_tables_equal(&f, &g);
    tokfile_release(&f);
    tokfile_release(&g);
    assert_int_equal(read_trio(&o, false, &g, &err), ERR_UNSUPPORTED); // nothing says the rule
    assert_non_null(strstr(err.text, "vocab.json: expected a tokenizer_config.json that names the tokenizer_class"));
    buf_release(&json);
    free_trio(&o);
}

static void test_vocab_damage(void **state)
{
    (void)state;
    static const struct {
        size_t file;
        const char *what, *with;
        enum status status;
        const char *says;
    } c[] = {
        {0, "\"hell\":258", "\"hell\":257", ERR_FORMAT, "vocab.json: vocabulary: expected each id once, found 257 twice"},
        {0, "\"hell\":258", "\"hell\":\"258\"", ERR_FORMAT, "vocab.json:1:"},
        {0, "\"hell\":258", "\"\":258", ERR_FORMAT, "vocab.json:1:"},
        {0, "\"hell\":258", "\"hell\":258}", ERR_FORMAT, "vocab.json:1:"},
        {1, "h e\n", "h  e\n", ERR_FORMAT, "merges.txt:2: expected a merge of two pieces with one blank between"},
        {1, "h e\n", "he\n", ERR_FORMAT, "merges.txt:2: expected a merge of two pieces"},
        {1, "h e\n", "\n", ERR_FORMAT, "merges.txt:2: expected a merge of two pieces"},
        {1, "h e\n", "h e\r\n", ERR_FORMAT, "merges.txt:2: expected letters of the byte alphabet, found U+000D"},
        {1, "h e\n", "h \xFF\n", ERR_FORMAT, "merges.txt:2: expected valid UTF-8"},
        {1, "h e\n", "h zz\n", ERR_FORMAT, "merges.txt:2: expected a merge of known pieces, found \"zz\""},
        {1, "#version: 0.2", "#version: 0.3", ERR_FORMAT, "merges.txt:1: expected a merge"},
        {2, "Qwen2Tokenizer", "GPT2Tokenizer", ERR_UNSUPPORTED, "found GPT2Tokenizer"},
        {2, "\"271\"", "\"2x1\"", ERR_FORMAT, "added_tokens_decoder: expected an id, found \"2x1\""},
        {2, "\"271\"", "\"65\"", ERR_FORMAT, "contradicts another token of that id"},
        {2, "\"271\"", "\"9999999999999999999999\"", ERR_RANGE, "expected an id from 0 to"},
        {2, "\"normalized\":false", "\"normalized\":true", ERR_UNSUPPORTED, "has \"normalized\""},
        {2, "\"added_tokens_decoder\":{", "\"added_tokens_decoder\":7,\"x\":{", ERR_FORMAT, "expected an object"},
        {2, "}}", "}", ERR_FORMAT, "tokenizer_config.json:1:"},
    };
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        struct trio o;
        struct tokfile f;
        struct err err = ERR_INIT;
        make_trio(&o);
        struct buf b = BUF_INIT;
        const char *at = strstr(o.text[c[i].file].data, c[i].what);
        assert_non_null(at);
        buf_add(&b, o.text[c[i].file].data, (size_t)(at - o.text[c[i].file].data));
        buf_str(&b, c[i].with);
        buf_str(&b, at + strlen(c[i].what));
        buf_release(&o.text[c[i].file]);
        o.text[c[i].file] = b;
        enum status s = read_trio(&o, true, &f, &err);
        if (s != c[i].status || !strstr(err.text, c[i].says))
            fail_msg("%s -> %s: expected %s and '%s', found %s: %s", c[i].what, c[i].with, status_name(c[i].status), c[i].says,
                     status_name(s), err.text);
        free_trio(&o);
    }
}

/* Llama 3: its own digits rule, and one special token before every text. */
static void llama3_json(struct buf *out, const char *bos, const char *bos_id)
{
    static const char *const added[] = {"<|begin_of_text|>", "<|end_of_text|>", NULL};
    struct buf text = BUF_INIT;
    tiny_json(&text, TINY_QWEN2, tiny_words, added);
    const char *digit = strstr(text.data, "|\\\\p{N}| ?");
    const char *post = strstr(text.data, "\"post_processor\":");
    const char *decoder = strstr(text.data, "\"decoder\":");
    const char *nfc = strstr(text.data, "{\"type\":\"NFC\"}");
    assert_true(digit && post && decoder && nfc && nfc < digit);
    buf_add(out, text.data, (size_t)(nfc - text.data));
    buf_str(out, "null");
    nfc += strlen("{\"type\":\"NFC\"}");
    buf_add(out, nfc, (size_t)(digit - nfc));
    buf_str(out, "|\\\\p{N}{1,3}| ?");
    digit += strlen("|\\\\p{N}| ?");
    buf_add(out, digit, (size_t)(post - digit));
    buf_printf(out,
               "\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\",\"add_prefix_space\":true,"
               "\"trim_offsets\":false,\"use_regex\":true},{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
               "\"%s\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],\"special_tokens\":{\"%s\":{\"id\":"
               "\"%s\",\"ids\":[%s],\"tokens\":[\"%s\"]}}}]},", bos, bos, bos, bos_id, bos);
    buf_str(out, decoder);
    buf_release(&text);
}

static void test_llama3(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    struct tokenizer *t = NULL;
    struct ids ids = {.v = NULL};
    struct err err = ERR_INIT;
    llama3_json(&text, "<|begin_of_text|>", "271");
    if (tiny_open_text(&t, text.data, text.n, &err))
        fail_msg("%s", err.text);
    assert_int_equal(t->file.split, TOKFILE_SPLIT_LLAMA3);
    assert_int_equal(tokenizer_bos(t), 271);
    assert_int_equal(tokenizer_encode(t, "1234'S", 6, &ids, NULL), OK);
    assert_int_equal(ids.n, 4); // 123 4 ' S: digits in threes; encoding itself adds nothing before
    assert_int_equal(ids.v[0], 266);
    ids_release(&ids);
    tokenizer_free(t);
    static const struct {
        const char *bos, *id, *says;
        enum status status;
    } c[] = {
        {"<|begin_of_text|>", "272", "expected the id of an added token", ERR_FORMAT},
        {"<|begin_of_text|>", "271,272", "expected the id of an added token", ERR_FORMAT},
        {"hello", "259", "expected the id of an added token", ERR_FORMAT},
        {"", "271", "post_processor: expected null, ByteLevel, or one special token", ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        buf_clear(&text);
        llama3_json(&text, c[i].bos, c[i].id);
        enum status s = tiny_open_text(&t, text.data, text.n, &err);
        if (s != c[i].status || !strstr(err.text, c[i].says))
            fail_msg("%s %s: expected %s and '%s', found %s: %s", c[i].bos, c[i].id, status_name(c[i].status), c[i].says,
                     status_name(s), err.text);
    }
    buf_release(&text);
}

/* A file gets the reader that its content asks for, whatever its name. */
static void test_open(void **state)
{
    (void)state;
    char dir[] = "/tmp/assay-forms-XXXXXX";
    char path[64];
    struct trio o;
    struct buf spm = BUF_INIT;
    struct buf json = BUF_INIT;
    struct tokenizer *t;
    struct err err = ERR_INIT;
    make_trio(&o);
    spm_model(&spm, true);
    tiny_json(&json, TINY_O200K, tiny_words, tiny_gptoss_added);
    assert_non_null(mkdtemp(dir));
    put_file(dir, "vocab.json", o.text[0].data, o.text[0].n);
    put_file(dir, "merges.txt", o.text[1].data, o.text[1].n);
    put_file(dir, "a", spm.data, spm.n);
    put_file(dir, "b", json.data, json.n);
    put_file(dir, "c", "hello\n", 6);
    put_file(dir, "d", "", 0);
    put_file(dir, "e", "GGUF", 4);
    static const struct {
        const char *name;
        enum status status;
        const char *says;
    } bad[] = {{"c", ERR_FORMAT, "expected a tokenizer.json, vocab.json beside merges.txt"},
               {"d", ERR_FORMAT, "expected a tokenizer.json, vocab.json beside merges.txt"},
               {"e", ERR_FORMAT, "/e"},
               {"f", ERR_MISSING, "/f"},
               {"vocab.json", ERR_UNSUPPORTED, "tokenizer_config.json"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, bad[i].name);
        enum status s = tokenizer_open(&t, path, &err);
        if (s != bad[i].status || !strstr(err.text, bad[i].says))
            fail_msg("%s: %s: %s", bad[i].name, status_name(s), err.text);
    }
    put_file(dir, "tokenizer_config.json", o.text[2].data, o.text[2].n);
    static const struct {
        const char *name;
        size_t n_tokens;
    } good[] = {{"vocab.json", 278}, {"merges.txt", 278}, {"a", 295}, {"b", 281}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, good[i].name);
        t = open_path(path);
        assert_int_equal(tokenizer_size(t), good[i].n_tokens);
        tokenizer_free(t);
    }
    (void)snprintf(path, sizeof path, "%s/merges.txt", dir);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof path, "%s/vocab.json", dir);
    assert_int_equal(tokenizer_open(&t, path, &err), ERR_MISSING);
    assert_non_null(strstr(err.text, "merges.txt"));
    drop_dir(dir);
    buf_release(&spm);
    buf_release(&json);
    free_trio(&o);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    struct trio o;
    tiktoken_text(&text);
    make_trio(&o);
    for (int which = 0; which < 2; which++) {
        size_t fails = 0;
        for (size_t n = 1; n < 1000; n++) {
            struct tokfile f;
            struct err err = ERR_INIT;
            mem_fail_after(n);
            enum status s = which ? read_trio(&o, true, &f, &err) : tokfile_read_tiktoken(&f, text.data, text.n, "tiny", &err);
            mem_fail_after(0);
            if (!s) {
                tokfile_release(&f);
                break;
            }
            assert_int_equal(s, ERR_MEMORY);
            fails++;
        }
        assert_true(fails > 8 && fails < 900);
    }
    free_trio(&o);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiktoken),     cmocka_unit_test(test_tiktoken_damage), cmocka_unit_test(test_vocab),
        cmocka_unit_test(test_vocab_damage), cmocka_unit_test(test_llama3),          cmocka_unit_test(test_open),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
