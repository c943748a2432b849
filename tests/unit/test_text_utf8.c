/* Invalid UTF-8 in, text out; the stream decoder cut anywhere; NFC on small cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/utf8.h"
#include "text/nfc.h"
#include "text/tokenizer.h"
#include "text/utf8_text.h"

#define R "\xEF\xBF\xBD"

static const struct {
    const char *in, *out;
} lossy[] = {
    {"plain", "plain"},
    {"\xFF", R},
    {"a\x80" "b", "a" R "b"},
    {"\xC3", R},
    {"\xC3\x28", R "("},
    {"\xE2\x82", R},                       // a maximal subsequence is one replacement
    {"\xE2\x82\xE2\x82\xAC", R "\xE2\x82\xAC"},
    {"\xED\xA0\x80", R R R},               // a surrogate: no byte of it starts anything
    {"\xC0\xAF", R R},                     // overlong
    {"\xF4\x90\x80\x80", R R R R},         // beyond U+10FFFF
    {"\xF0\x9F\x98", R},
    {"\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80"},
    {"\xF0\x9F\x98x", R "x"},
    {"\xE0\x80\x80", R R R},
};

static void test_lossy(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lossy / sizeof *lossy; i++) {
        struct buf out = BUF_INIT;
        utf8_lossy(lossy[i].in, strlen(lossy[i].in), &out);
        assert_string_equal(out.data, lossy[i].out);
        buf_release(&out);
    }
}

/* Random bytes biased to what UTF-8 is made of. */
static size_t random_bytes(const struct rng_key *k, uint64_t from, char *out, size_t max)
{
    static const uint8_t interesting[] = {0x00, 0x20, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xDF,
                                          0xE0, 0xE2, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF, 0x81, 0xA1, 0xB0};
    size_t n = (size_t)(rng_u64(k, from) % max) + 1;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)interesting[rng_u64(k, from + 1 + i) % sizeof interesting];
    return n;
}

/* Whatever the cut, what the stream releases is the lossy text; nothing is held longer than needed. */
static void test_stream(void **state)
{
    (void)state;
    struct rng_key k = rng_key(7, "stream");
    for (uint64_t round = 0; round < 4000; round++) {
        char bytes[24];
        size_t n = random_bytes(&k, round * 64, bytes, sizeof bytes);
        struct buf want = BUF_INIT;
        utf8_lossy(bytes, n, &want);
        for (size_t cut = 0; cut <= n; cut++) {
            struct utf8_stream s = {.n = 0};
            struct buf got = BUF_INIT;
            utf8_stream_add(&s, bytes, cut, &got);
            // what is held can still become a character
            if (s.n) {
                bool can = false;
                uint8_t t[4];
                uint32_t cp;
                memcpy(t, s.held, s.n);
                for (unsigned next = 0x80; next < 0xC0; next++) {
                    t[s.n] = (uint8_t)next;
                    can = can || utf8_decode(t, s.n + 1, &cp) || cp == s.n + 1;
                }
                assert_true(can);
            }
            utf8_stream_add(&s, bytes + cut, n - cut, &got);
            utf8_stream_finish(&s, &got);
            assert_int_equal(got.n, want.n);
            assert_memory_equal(got.data, want.data, want.n);
            buf_release(&got);
        }
        buf_release(&want);
    }
}

static const struct {
    const char *in, *out;
} normal[] = {
    {"abc", "abc"},
    {"e\u0301", "\u00E9"},
    {"\u00E9", "\u00E9"},
    {"e\u0323\u0302", "\u1EC7"},           // two steps
    {"e\u0302\u0323", "\u1EC7"},           // reordered first
    {"\u212B", "\u00C5"},                  // singleton
    {"\u1100\u1161\u11A8", "\uAC01"},      // Hangul, algorithmic
    {"\uAC00\u11A8", "\uAC01"},
    {"\uAC01\u11A8", "\uAC01\u11A8"},
    {"\u0344", "\u0308\u0301"},            // excluded from composition
    {"a\u0345\u0301", "\u00E1\u0345"},
    {"\u0301e", "\u0301e"},                // a mark without a starter
    {"q\u0307\u0323", "q\u0323\u0307"},
    {"\u0958", "\u0915\u093C"},
    {"\u09C7\u09BE", "\u09CB"},
    {"\U0001D15E", "\U0001D157\U0001D165"}, // decomposes, and is excluded from composition
    {"\U00011935\U00011930", "\U00011935\U00011930"}, // composes since Unicode 13, not in 9.0
};

static void test_nfc(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof normal / sizeof *normal; i++) {
        struct buf out = BUF_INIT;
        assert_int_equal(nfc(normal[i].in, strlen(normal[i].in), &out, NULL), OK);
        assert_string_equal(out.data, normal[i].out);
        struct buf again = BUF_INIT; // a normal form is its own
        assert_int_equal(nfc(out.data, out.n, &again, NULL), OK);
        assert_string_equal(again.data, out.data);
        buf_release(&again);
        buf_release(&out);
    }
    assert_int_equal(nfc_find("na\u00EFve \u02FF", 9, 0), 9);
    assert_int_equal(nfc_find("\u201Ca\u201D \u4E2D\uAC00\u1EBF", 17, 0), 17); // their own NFC wherever they stand
    assert_int_equal(nfc_find("\u0300", 2, 0), 0);
    assert_int_equal(nfc_find("ae\u0301", 4, 1), 2);
    assert_int_equal(nfc_find("\u1100\u1161", 6, 0), 3); // a vowel joins the consonant before it
}

/* A quarter of a million marks in falling class order: sorting that is quadratic would take minutes. */
static void test_many_marks(void **state)
{
    (void)state;
    struct buf in = BUF_INIT;
    struct buf out = BUF_INIT;
    for (int i = 0; i < 250000; i++)
        buf_str(&in, i % 2 ? "\u0301" : "\u0323");
    assert_int_equal(nfc(in.data, in.n, &out, NULL), OK);
    assert_int_equal(out.n, in.n);
    assert_memory_equal(out.data, "\u0323\u0323", 4);
    buf_release(&in);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lossy), cmocka_unit_test(test_stream), cmocka_unit_test(test_nfc),
        cmocka_unit_test(test_many_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
