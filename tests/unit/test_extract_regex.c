#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "eval/extract_regex.h"
#include "lib/extract_text.h"

/* Expected matches were printed by Python 3.11's re.finditer: "start-end|group|group;...", byte
 * offsets, ~ for a group that took no part. Our own patterns and texts beside those of the tasks. */
static const struct {
    const char *pattern;
    const char *text;
    const char *matches;
} vectors[] = {
    {"The answer is (\\-\?[0-9\\.\\,]+).", "So 18 eggs. The answer is 18.", "12-29|18"},
    {"The answer is (\\-\?[0-9\\.\\,]+).", "The answer is 3", ""},
    {"The answer is (\\-\?[0-9\\.\\,]+).", "The answer is $5.", ""},
    {"The answer is (\\-\?[0-9\\.\\,]+).", "the answer is 20.", ""},
    {"The answer is (\\-\?[0-9\\.\\,]+).", "The answer is 366.00.", "0-21|366.00"},
    {"The answer is (\\-\?[0-9\\.\\,]+).", "The answer is 1,575. The answer is -7!", "0-21|1,575.;21-38|-7"},
    {"The answer is (\\-\?[0-9\\.\\,]+).", "The answer is\n7.", ""},
    {"The answer is (\\-\?[0-9\\.\\,]+).", "The answer is 2\302\240.", "0-17|2"},
    {"(-\?[$0-9.,]{2,})|(-\?[0-9]+)", "Cost $.50 and 3 % 14", "5-9|$.50|~;14-15|~|3;18-20|14|~"},
    {"(-\?[$0-9.,]{2,})|(-\?[0-9]+)", "a-5", "1-3|~|-5"},
    {"(-\?[$0-9.,]{2,})|(-\?[0-9]+)", "$5", "0-2|$5|~"},
    {"(-\?[$0-9.,]{2,})|(-\?[0-9]+)", "-12,5 7", "0-5|-12,5|~;6-7|~|7"},
    {"(-\?[$0-9.,]{2,})|(-\?[0-9]+)", "It is 230...", "6-12|230...|~"},
    {"(-\?[$0-9.,]{2,})|(-\?[0-9]+)", "\357\274\221\357\274\222 243", "7-10|243|~"},
    {"(-\?[$0-9.,]{2,})|(-\?[0-9]+)", "", ""},
    {"(-\?[$0-9.,]{2,})|(-\?[0-9]+)", "1-2-3", "0-1|~|1;1-3|~|-2;3-5|~|-3"},
    {"#### (\\-\?[0-9\\.\\,]+)", "#### 260.", "0-9|260."},
    {"#### (\\-\?[0-9\\.\\,]+)", "We get 12.\n#### 160\n", "11-19|160"},
    {"#### (\\-\?[0-9\\.\\,]+)", "###1", ""},
    {"(\?<=the answer is )(.*)(\?=.)", "So the answer is False.", "17-22|False"},
    {"(\?<=the answer is )(.*)(\?=.)", "the answer is True", "14-17|Tru"},
    {"(\?<=the answer is )(.*)(\?=.)", "the answer is .", "14-14|"},
    {"(\?<=the answer is )(.*)(\?=.)", "the answer is True.\r\n", "14-19|True."},
    {"(\?<=the answer is )(.*)(\?=.)", "the answer is \nTrue.", ""},
    {"(\?<=the answer is )(.*)(\?=.)", "the answer is caf\303\251.", "14-19|caf\303\251"},
    {"^(.*\?)(\?=\\n|$)", "B\nC", "0-1|B"},
    {"^(.*\?)(\?=\\n|$)", "", "0-0|"},
    {"^(.*\?)(\?=\\n|$)", "B", "0-1|B"},
    {"^(.*\?)(\?=\\n|$)", "\nB", "0-0|"},
    {"^(.*\?)\\s*$", "B  ", "0-3|B"},
    {"^(.*\?)\\s*$", "  B \302\240\n", "0-7|  B"},
    {"^(.*\?)\\s*$", "", "0-0|"},
    {"(\?s).*#### ", "a\nb #### c #### d", "0-16"},
    {"(\?s).*#### ", "none", ""},
    {"\\.$", "5.", "1-2"},
    {"\\.$", "5.\n", "1-2"},
    {"\\.$", "5.5", ""},
    {"\\.$", "5..", "2-3"},
    {"(\\([A-Z]\\))", "(A) then (Z)", "0-3|(A);9-12|(Z)"},
    {"(\\([A-Z]\\))", "( A )", ""},
    {"(\?<=The answer is )(.*)(\?=.)", "The answer is (B).", "14-17|(B)"},
    {"(\?<=The answer is )(.*)(\?=.)", "The answer is", ""},
    {":[\\s]*(A|B|C|D)", "Answer:\342\200\203 C", "6-12|C"},
    {":[\\s]*(A|B|C|D)", "x: E", ""},
    {":[\\s]*(A|B|C|D)", "::D", "1-3|D"},
    {"a|ab", "ab ab", "0-1;3-4"},
    {"(a|ab)(c|bcd)(d*)", "abcd", "0-4|a|bcd|"},
    {"(\?:ab)+\?", "ababab", "0-2;2-4;4-6"},
    {"(ab)*c", "ababc", "0-5|ab"},
    {"(ab)*c", "c", "0-1|~"},
    {"(ab)*c", "abab", ""},
    {"(a*)*", "aab", "0-2|;2-2|;3-3|"},
    {"(a*)+b", "aaab", "0-4|"},
    {"|a", "aa", "0-0;0-1;1-1;1-2;2-2"},
    {"a*\?", "aa", "0-0;0-1;1-1;1-2;2-2"},
    {"[^a-c\\]]+", "abxyz]d", "2-5;6-7"},
    {"[]x-]+", "a]-x-", "1-5"},
    {"x{2,3}", "xxxxxxx", "0-3;3-6"},
    {"x{,2}y", "xxxy", "1-4"},
    {"a{b", "a{b", "0-3"},
    {"(\?i)answer:\\s*([a-d])", "ANSWER: b aNsWeR:D", "0-9|b;10-18|D"},
    {"(\?!foo)[a-z]+", "foobar", "1-6"},
    {"(\?<!x)y", "xy y zy", "3-4;6-7"},
    {"(\303\251+)", "caf\303\251\303\251s", "3-7|\303\251\303\251"},
    {"\\S+$", "one two\n", "4-7"},
    {"^b", "a\nb", ""},
    {"^b", "b", "0-1"},
    {"\\Aa\\Z", "a", "0-1"},
    {"\\Aa\\Z", "a\n", ""},
    {"((a)|b)*", "ab", "0-2|b|a;2-2|~|~"},
    {"\\$|,", "$1,000", "0-1;2-3"},
};

static void add_group(struct buf *out, const char *text, const struct regex_match *m, size_t g)
{
    buf_char(out, '|');
    if (m->start[g] == REGEX_UNSET)
        buf_char(out, '~');
    else
        buf_add(out, text + m->start[g], m->end[g] - m->start[g]);
}

static void test_like_python(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct err err = ERR_INIT;
        struct regex *re = NULL;
        struct regex_match m;
        struct buf out = BUF_INIT;
        bool found = false;
        bool first = true;
        size_t n = strlen(vectors[i].text);
        assert_int_equal(regex_new(&re, vectors[i].pattern, &err), OK);
        buf_str(&out, "");
        for (;;) {
            assert_int_equal(regex_search(re, vectors[i].text, n, first ? NULL : &m, &found, &m, &err), OK);
            if (!found)
                break;
            buf_printf(&out, "%s%zu-%zu", first ? "" : ";", m.start[0], m.end[0]);
            for (size_t g = 1; g <= regex_n_groups(re); g++)
                add_group(&out, vectors[i].text, &m, g);
            first = false;
        }
        if (strcmp(out.data ? out.data : "", vectors[i].matches) != 0)
            fail_msg("%s on \"%s\": expected %s, found %s", vectors[i].pattern, vectors[i].text, vectors[i].matches,
                     out.data);
        buf_release(&out);
        regex_free(re);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        enum status status;
    } cases[] = {
        {"(a", ERR_FORMAT},        {"a)", ERR_FORMAT},      {"[a", ERR_FORMAT},       {"*a", ERR_FORMAT},
        {"a**", ERR_FORMAT},       {"\\", ERR_FORMAT},      {"[z-a]", ERR_FORMAT},    {"(?<=a*)b", ERR_FORMAT},
        {"\\d", ERR_UNSUPPORTED},  {"\\w", ERR_UNSUPPORTED}, {"\\bA", ERR_UNSUPPORTED}, {"(a)\\1", ERR_UNSUPPORTED},
        {"(?P<x>a)", ERR_UNSUPPORTED}, {"a{3,2}", ERR_FORMAT}, {"a\xff", ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = ERR_INIT;
        struct regex *re = NULL;
        assert_int_equal(regex_new(&re, cases[i].pattern, &err), cases[i].status);
        assert_null(re);
        assert_non_null(strstr(err.text, "expected"));
    }
}

static void test_bounded(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct regex *re = NULL;
    struct regex_match m;
    bool found;
    char text[64];
    memset(text, 'a', sizeof text);
    assert_int_equal(regex_new(&re, "(a|a)*b", &err), OK);
    assert_int_equal(regex_search(re, text, sizeof text, NULL, &found, &m, &err), ERR_RANGE);
    regex_free(re);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (size_t i = 1;; i++) {
        struct err err = ERR_INIT;
        struct regex *re = NULL;
        mem_fail_after(i);
        enum status s = regex_new(&re, "(a|[b-d])+x{2}", &err);
        mem_fail_after(0);
        if (s == OK) {
            regex_free(re);
            break;
        }
        assert_int_equal(s, ERR_MEMORY);
        assert_null(re);
    }
}

static void test_text(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct text_span s = text_strip("\xc2\xa0 a b\n\xe3\x80\x80", 10);
    assert_int_equal(s.n, 3);
    assert_memory_equal(s.at, "a b", 3);
    assert_int_equal(text_strip(" \n", 2).n, 0);
    assert_true(text_ends_space("a\xc2\xa0", 3));
    assert_false(text_ends_space("", 0));
    assert_int_equal(text_n_chars("caf\xc3\xa9", 5), 4);
    text_lower(&b, "AbZ\xc3\x89", 5);
    assert_string_equal(b.data, "abz\xc3\x89");
    buf_clear(&b);
    text_drop_punctuation(&b, "**(C).**", 8);
    assert_string_equal(b.data, "C");
    buf_release(&b);
    const char *stops[] = {"Q:", "", "\n\n"};
    assert_int_equal(text_cut_at_stops("a\n\nb Q: c", 9, stops, 3), 1);
    assert_int_equal(text_cut_at_stops("plain", 5, stops, 3), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_like_python), cmocka_unit_test(test_refused), cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_no_memory),   cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests_name("extract_regex", tests, NULL, NULL);
}
