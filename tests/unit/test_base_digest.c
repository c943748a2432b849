#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/mapfile.h"
#include "base/utf8.h"

static void hex_of(const char *text, size_t n, char out[65])
{
    uint8_t d[DIGEST_B];
    assert_int_equal(digest_bytes(text, n, d, NULL), OK);
    digest_hex(d, out);
}

/* FIPS 180-4 examples. */
static void known_digests(void **state)
{
    (void)state;
    char hex[65];
    hex_of("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hex_of("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hex_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void running_hash_starts_again(void **state)
{
    (void)state;
    struct digest *d;
    uint8_t a[DIGEST_B];
    uint8_t b[DIGEST_B];
    assert_int_equal(digest_new(&d, NULL), OK);
    assert_int_equal(digest_add(d, "a", 1, NULL), OK);
    assert_int_equal(digest_add(d, "bc", 2, NULL), OK);
    assert_int_equal(digest_finish(d, a, NULL), OK);
    assert_int_equal(digest_add(d, "abc", 3, NULL), OK);
    assert_int_equal(digest_finish(d, b, NULL), OK);
    assert_memory_equal(a, b, DIGEST_B);
    digest_free(d);
    digest_free(NULL);
}

static void files(void **state)
{
    (void)state;
    char path[] = "/tmp/assay-test-XXXXXX";
    struct mapfile m;
    struct err err = ERR_INIT;
    uint8_t a[DIGEST_B];
    uint8_t b[DIGEST_B];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(mapfile_open(&m, path, &err), OK); // empty
    assert_int_equal(m.size, 0);
    mapfile_close(&m);
    static char text[200000];
    memset(text, 'x', sizeof text);
    assert_int_equal(write(fd, text, sizeof text), sizeof text);
    (void)close(fd);
    assert_int_equal(digest_file(path, a, &err), OK);
    assert_int_equal(digest_bytes(text, sizeof text, b, &err), OK);
    assert_memory_equal(a, b, DIGEST_B);
    assert_int_equal(mapfile_open(&m, path, &err), OK);
    assert_int_equal(m.size, sizeof text);
    assert_memory_equal(m.data, text, sizeof text);
    mapfile_drop(&m, 0, m.size);
    mapfile_drop(&m, 5000, SIZE_MAX);
    assert_int_equal(m.data[6000], 'x'); // dropped pages come back from the file
    mapfile_close(&m);
    mapfile_close(&m);
    (void)unlink(path);
    assert_int_equal(mapfile_open(&m, path, &err), ERR_MISSING);
    assert_int_equal(digest_file(path, a, &err), ERR_MISSING);
    assert_int_equal(mapfile_open(&m, "/tmp", &err), ERR_IO);
    assert_int_equal(digest_file("/tmp", a, &err), ERR_IO);
}

/* Every code point there is, and every byte pair that must not be one. */
static void utf8_exhaustive(void **state)
{
    (void)state;
    for (uint32_t cp = 1; cp <= 0x10FFFF; cp++) {
        uint8_t s[4];
        uint32_t back;
        if (cp >= 0xD800 && cp <= 0xDFFF)
            continue;
        size_t n = utf8_encode(cp, s);
        if (utf8_decode(s, n, &back) != n || back != cp || (n > 1 && utf8_decode(s, n - 1, &back) != 0))
            fail_msg("U+%04X", cp);
    }
    static const struct {
        const char *text;
        uint32_t bad; // length of the maximal invalid subsequence
    } cases[] = {
        {"\x80", 1}, {"\xBF\xBF", 1}, {"\xC0\x80", 1}, {"\xC1\xBF", 1}, {"\xE0\x80\x80", 1}, {"\xE0\x9F\xBF", 1},
        {"\xED\xA0\x80", 1}, {"\xF0\x80\x80\x80", 1}, {"\xF4\x90\x80\x80", 1}, {"\xF5", 1}, {"\xFF", 1},
        {"\xE2\x82", 2}, {"\xF0\x9F\x98", 3}, {"\xE2\x28\xA1", 1}, {"\xF0\x9F\x28", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t cp = 99;
        assert_int_equal(utf8_decode((const uint8_t *)cases[i].text, strlen(cases[i].text), &cp), 0);
        assert_int_equal(cp, cases[i].bad);
    }
    assert_int_equal(utf8_valid_prefix((const uint8_t *)"ab\xC3\xA9\xFFz", 6), 4);
    assert_int_equal(utf8_valid_prefix((const uint8_t *)"", 0), 0);
}

static void the_clock_does_not_go_back(void **state)
{
    (void)state;
    uint64_t last = clock_ns();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_ns();
        assert_true(now >= last);
        last = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_digests), cmocka_unit_test(running_hash_starts_again), cmocka_unit_test(files),
        cmocka_unit_test(utf8_exhaustive), cmocka_unit_test(the_clock_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
