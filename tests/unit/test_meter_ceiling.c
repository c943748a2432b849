#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "meter/ceiling.h"

/* The machine's probes: what they return is theirs, so only counts and bounds that hold everywhere. */

static void test_every_kind_is_listed(void **state)
{
    (void)state;
    struct ceilings *c = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(ceilings_new(&c, 2, 1 << 20, &err), OK);
    size_t n_kind[CEILING_AMX_BF16 + 1] = {0};
    for (size_t i = 0; i < ceilings_count(c); i++) {
        const struct ceiling *p = ceilings_at(c, i);
        assert_true(p->n_threads == 1 || p->n_threads == 2);
        assert_true((p->kind == CEILING_READ) == (p->n_streams > 0));
        n_kind[p->kind]++;
    }
    assert_int_equal(n_kind[CEILING_READ], 4);
    assert_true(n_kind[CEILING_FMA_FP32] >= 2);
#if defined(__x86_64__)
    assert_int_equal(n_kind[CEILING_DOT_BF16], 2);
    assert_int_equal(n_kind[CEILING_AMX_BF16], 2);
#endif
    ceilings_free(c);
}

/* Work is whole passes or rounds, lasts at least as long as asked, and no thread works alone when two do. */
static void test_work_is_counted(void **state)
{
    (void)state;
    struct ceilings *c = NULL;
    struct err err = ERR_INIT;
    const uint64_t min_ns = 200000;
    const size_t memory_b = (1 << 20) + 5000;
    assert_int_equal(ceilings_new(&c, 2, memory_b, &err), OK);
    for (size_t i = 0; i < ceilings_count(c); i++) {
        const struct ceiling *p = ceilings_at(c, i);
        uint64_t work = 0;
        uint64_t ns = 0;
        if (p->missing) {
            assert_true(strlen(p->missing) > 10);
            continue;
        }
        ceilings_run(c, i, min_ns, &work, &ns);
        assert_true(ns >= min_ns);
        assert_true(work > 0);
        if (p->kind == CEILING_READ)
            assert_int_equal(work % ((memory_b / p->n_threads) / 1024 * 1024), 0); // whole passes over whole steps
        assert_true((double)work / (double)ns < 1e6); // a petabyte a second would be a loop that was left out
    }
    ceilings_free(c);
}

static void test_refusals(void **state)
{
    (void)state;
    struct ceilings *c = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(ceilings_new(&c, 0, 1 << 20, &err), ERR_RANGE);
    assert_int_equal(ceilings_new(&c, 2, 2047, &err), ERR_RANGE);
    assert_non_null(strstr(err.text, "expected at least 1024 bytes"));
    size_t n_failures = 0;
    for (size_t k = 1; k < 20; k++) { // each allocation fails once: a status, nothing lost
        mem_fail_after(k);
        const enum status s = ceilings_new(&c, 2, 1 << 16, &err);
        mem_fail_after(0);
        if (s == OK) {
            ceilings_free(c);
            break;
        }
        assert_int_equal(s, ERR_MEMORY);
        n_failures++;
    }
    assert_true(n_failures >= 3);
    ceilings_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_is_listed),
        cmocka_unit_test(test_work_is_counted),
        cmocka_unit_test(test_refusals),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
