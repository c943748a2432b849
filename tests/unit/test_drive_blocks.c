#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "drive/blocks.h"

enum { N = 13 };

static void test_every_block_is_complete(void **state)
{
    (void)state;
    for (size_t block = 0; block < 20; block++) {
        size_t order[N];
        int seen[N] = {0};
        block_order(7, block, N, order);
        for (size_t i = 0; i < N; i++) {
            assert_true(order[i] < N);
            seen[order[i]]++;
        }
        for (size_t i = 0; i < N; i++)
            assert_int_equal(seen[i], 1);
    }
}

static void test_odd_blocks_are_reversed(void **state)
{
    (void)state;
    size_t a[N];
    size_t b[N];
    block_order(7, 4, N, a);
    block_order(7, 5, N, b);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(a[i], b[N - 1 - i]);
}

static void test_order_depends_on_seed_and_pair(void **state)
{
    (void)state;
    size_t a[N];
    size_t b[N];
    size_t c[N];
    block_order(7, 0, N, a);
    block_order(8, 0, N, b);
    block_order(7, 2, N, c);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    block_order(7, 0, N, b);
    assert_memory_equal(a, b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_block_is_complete),
        cmocka_unit_test(test_odd_blocks_are_reversed),
        cmocka_unit_test(test_order_depends_on_seed_and_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
