/* The fuzz entry of the tokenizer reader on seeded damage, so that every run of the tests fuzzes a
 * little: bytes changed, cut out, doubled and swapped in good files of each kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "fuzz/fuzz_tokfile.c" // the entry itself: it has no main and lives outside the library
#include "tiny_tokenizer.h"

static void test_damaged(void **state)
{
    (void)state;
    struct rng_key key = rng_key(5, "damage");
    for (int k = TINY_O200K; k <= TINY_SPM; k++) {
        struct buf text = BUF_INIT;
        tiny_json(&text, (enum tiny_kind)k, k == TINY_SPM ? tiny_spm_words : tiny_words, tiny_qwen_added);
        assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)text.data, text.n), 0);
        for (uint64_t round = 0; round < 1500; round++) {
            uint64_t r = ((uint64_t)k << 40) + round * 8;
            size_t at = (size_t)rng_below(&key, r, text.n);
            size_t len = (size_t)rng_below(&key, r + 1, 12) + 1;
            size_t from = (size_t)rng_below(&key, r + 2, text.n);
            len = len < text.n - at ? len : text.n - at;
            size_t copy = len < text.n - from ? len : text.n - from;
            struct buf bad = BUF_INIT;
            buf_add(&bad, text.data, at);
            switch (rng_below(&key, r + 3, 4)) {
            case 0: // another byte
                buf_char(&bad, (char)rng_below(&key, r + 4, 256));
                buf_add(&bad, text.data + at + 1, text.n - at - 1);
                break;
            case 1: // cut out
                buf_add(&bad, text.data + at + len, text.n - at - len);
                break;
            case 2: // a piece from elsewhere put in
                buf_add(&bad, text.data + from, copy);
                buf_add(&bad, text.data + at, text.n - at);
                break;
            default: // a piece from elsewhere put over
                buf_add(&bad, text.data + from, copy);
                if (text.n - at > copy)
                    buf_add(&bad, text.data + at + copy, text.n - at - copy);
                break;
            }
            assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)bad.data, bad.n), 0);
            buf_release(&bad);
        }
        buf_release(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_damaged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
