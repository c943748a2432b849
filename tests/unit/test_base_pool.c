#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <stdatomic.h>

#include "base/mem.h"
#include "base/pool.h"

struct work {
    atomic_int calls;
    atomic_size_t sum;
    _Atomic unsigned seen[POOL_MAX_THREADS];
    unsigned mxcsr_bad;
};

static void count(void *arg, size_t worker, size_t n)
{
    struct work *w = arg;
    atomic_fetch_add(&w->calls, 1);
    atomic_fetch_add(&w->sum, worker * n);
    atomic_fetch_add(&w->seen[worker], 1);
}

static void each_worker_once(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 5; n++) {
        struct pool *p;
        static struct work w;
        memset(&w, 0, sizeof w);
        assert_int_equal(pool_new(&p, n, NULL), OK);
        assert_int_equal(pool_size(p), n);
        for (int i = 0; i < 200; i++)
            pool_run(p, count, &w);
        assert_int_equal(w.calls, 200 * (int)n);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(w.seen[i], 200);
        pool_free(p);
    }
    pool_free(NULL);
}

static void nap(long us)
{
    struct timespec t = {.tv_nsec = us * 1000};
    (void)nanosleep(&t, NULL);
}

static void slow(void *arg, size_t worker, size_t n)
{
    struct work *w = arg;
    (void)n;
    if (worker > 0)
        nap(300);
    atomic_fetch_add(&w->calls, 1);
}

/* Workers that have gone to sleep between calls, and a caller that sleeps for them, are woken. */
static void sleepers(void **state)
{
    (void)state;
    for (size_t n = 2; n <= 4; n++) {
        struct pool *p;
        static struct work w;
        memset(&w, 0, sizeof w);
        assert_int_equal(pool_new(&p, n, NULL), OK);
        for (int i = 0; i < 60; i++) {
            nap(i % 3 * 100);
            pool_run(p, i % 2 ? slow : count, &w);
            assert_int_equal(w.calls, (i + 1) * (int)n);
        }
        nap(1000);
        pool_free(p);
    }
}

static void limits(void **state)
{
    (void)state;
    struct pool *p;
    assert_int_equal(pool_new(&p, 0, NULL), ERR_RANGE);
    assert_int_equal(pool_new(&p, POOL_MAX_THREADS + 1, NULL), ERR_RANGE);
    enum status s = ERR_MEMORY;
    for (size_t n = 1; s == ERR_MEMORY; n++) {
        mem_fail_after(n);
        s = pool_new(&p, 2, NULL);
        mem_fail_after(0);
    }
    assert_int_equal(s, OK);
    pool_free(p);
}

static volatile float tiny = 1e-20f;

static void multiply(void *arg, size_t worker, size_t n)
{
    struct work *w = arg;
    (void)n;
    float product = tiny * tiny; // subnormal; 0 when FTZ is set
    atomic_fetch_add(&w->seen[worker], product == 0.0f);
}

/* Workers flush subnormals; the caller's own arithmetic is untouched afterwards. */
static void numeric_environment(void **state)
{
    (void)state;
#if defined __x86_64__
    struct pool *p;
    static struct work w;
    memset(&w, 0, sizeof w);
    assert_true(tiny * tiny > 0.0f);
    assert_int_equal(pool_new(&p, 3, NULL), OK);
    pool_run(p, multiply, &w);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(w.seen[i], 1);
    assert_true(tiny * tiny > 0.0f);
    unsigned saved = pool_numeric_env_enter();
    assert_true(tiny * tiny == 0.0f);
    pool_numeric_env_leave(saved);
    assert_true(tiny * tiny > 0.0f);
    pool_free(p);
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_worker_once), cmocka_unit_test(sleepers), cmocka_unit_test(limits),
        cmocka_unit_test(numeric_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
