/* The two split rules, case by case; each names the clause of the pattern it stands for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/split.h"

/* Pieces with '|' between (no case has a bar in its text); o200k and qwen2. */
struct split_case {
    const char *text, *o200k, *qwen2;
};

static const struct split_case cases[] = {
    {"hello world", "hello| world", "hello| world"},
    {"HelloWorld", "Hello|World", "HelloWorld"},                   // upper ends at a lower-to-upper edge
    {"HTTPServer", "HTTPServer", "HTTPServer"},                    // upper* lower+ takes the whole run
    {"ABC", "ABC", "ABC"},                                         // second alternative: upper+ alone
    {"don't DON'T", "don't| DON'T", "don|'t| DON|'T"},             // contraction inside, or its own piece
    {"we'll we're I'm I'd I've", "we'll| we're| I'm| I'd| I've", "we|'ll| we|'re| I|'m| I|'d| I|'ve"},
    {"it\u2019s", "it|\u2019s", "it|\u2019s"},                     // only the ASCII apostrophe contracts
    {"x'\u017F", "x'\u017F", "x|'\u017F"},                         // long s folds to s
    {"'sx", "'sx", "'s|x"},                                        // qwen2 tries the contraction first
    {"'xs", "'xs", "'xs"},
    {"12345", "123|45", "1|2|3|4|5"},                              // digits in threes, or single
    {"\u00BD\u0663a", "\u00BD\u0663|a", "\u00BD|\u0663|a"},        // N is not only 0-9
    {"a  b", "a| | b", "a| | b"},                                  // last blank becomes the prefix
    {"a   ", "a|   ", "a|   "},                                    // blanks to the end in one piece
    {" \n  x", " \n| | x", " \n| | x"},                            // up to the last newline
    {"a\r\n\r\nb", "a|\r\n\r\n|b", "a|\r\n\r\n|b"},
    {"\tx", "\tx", "\tx"},                                         // any blank but CR, LF is a prefix
    {"\t!", "\t|!", "\t|!"},                                       // only U+0020 goes before a symbol
    {" !", " !", " !"},
    {"!!\n\n/x", "!!\n\n/|x", "!!\n\n|/x"},                        // o200k: slashes after the newlines
    {"a/b//\n/", "a|/b|//\n/", "a|/b|//\n|/"},
    {"$x $$x", "$x| $$|x", "$x| $$|x"},                            // one symbol may be a prefix, two not
    {"\u0301ABC", "\u0301|ABC", "\u0301ABC"},                      // a mark as prefix gives way (o200k)
    {"\u0301abc", "\u0301abc", "\u0301abc"},
    {"e\u0301x", "e\u0301x", "e|\u0301x"},                         // marks continue a word (o200k)
    {"\u4E2DABC", "\u4E2D|ABC", "\u4E2DABC"},                      // ends at the last Lo; the tail starts anew
    {"A\u4E2Dbc", "A\u4E2Dbc", "A\u4E2Dbc"},
    {"\u01C5a", "\u01C5a", "\u01C5a"},                             // Lt counts as upper
    {"a\u01C5", "a|\u01C5", "a\u01C5"},
    {"a\u00A0b", "a|\u00A0b", "a|\u00A0b"},                        // White_Space
    {"a\u200Bb", "a|\u200Bb", "a|\u200Bb"},                        // not White_Space, but a prefix
    {"\u180E\u180Ex", "\u180E\u180E|x", "\u180E\u180E|x"},         // not White_Space since Unicode 6.3
    {"\xC2\x85" "x", "\xC2\x85" "x", "\xC2\x85" "x"},
    {"\U000E0100x", "\U000E0100x", "\U000E0100x"},                 // a mark of plane 14
    {"\U0001F600\U0001F600 ok", "\U0001F600\U0001F600| ok", "\U0001F600\U0001F600| ok"},
};

static void check(enum split_rule rule, const char *text, const char *want)
{
    char got[256];
    size_t k = 0;
    size_t n = strlen(text);
    for (size_t at = 0; at < n;) {
        size_t len = split_next(rule, (const uint8_t *)text + at, n - at);
        assert_in_range(len, 1, n - at);
        if (k)
            got[k++] = '|';
        memcpy(got + k, text + at, len);
        k += len;
        at += len;
    }
    got[k] = '\0';
    assert_string_equal(got, want);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check(SPLIT_O200K, cases[i].text, cases[i].o200k);
        check(SPLIT_QWEN2, cases[i].text, cases[i].qwen2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
