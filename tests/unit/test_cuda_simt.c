/* The shim that runs CUDA kernels on the host: what its words do, and that it sees what it says it sees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cuda/device.h"
#include "cuda/simt.h"

enum { N = 64 };

struct words_args {
    float *out;
};

#define race_args words_args
#define stray_args words_args
void sim_words(struct simt *simt, const void *args);
void sim_race(struct simt *simt, const void *args);
void sim_stray(struct simt *simt, const void *args);

struct words_shared {
    float v[N];
};

/* A block barrier between writing and reading: every order gives the same. */
SIMT_KERNEL(words)
{
    SIMT_SHARED(struct words_shared, s);
    REG(float, mine);
    REG(float, from);
    PHASE(t)
    {
        s->v[t] = (float)t;
    }
    LANES(t)
    {
        R(mine, t) = s->v[THREADS - 1 - t];
    }
    SHUFFLE_DOWN(from, mine, 3);
    PHASE(t)
    {
        if (t % 2 == 0)
            continue; // ends this thread's part only
        a.out[t] = R(from, t);
    }
}

/* The same without the barrier: a race. */
SIMT_KERNEL(race)
{
    SIMT_SHARED(struct words_shared, s);
    PHASE(t)
    {
        s->v[t] = (float)t;
        a.out[t] = s->v[THREADS - 1 - t];
    }
}
SIMT_KERNEL(stray) // LANES that write shared memory
{
    SIMT_SHARED(struct words_shared, s);
    LANES(t)
    {
        s->v[t] = (float)t;
    }
    PHASE(t)
    {
        a.out[t] = s->v[t];
    }
}
static bool run(void (*kernel)(struct simt *, const void *), bool up, bool check, float *out)
{
    uint32_t order[N];
    uint8_t *shared = calloc(1, SIMT_SHARED_B);
    for (uint32_t i = 0; i < N; i++)
        order[i] = up ? i : N - 1 - i;
    struct simt simt = {.n_threads = N, .order = order, .shared = shared, .check = check};
    const struct words_args a = {out};
    kernel(&simt, &a);
    free(shared);
    return simt.wrote;
}

static void test_words(void **state)
{
    (void)state;
    for (int up = 0; up < 2; up++) {
        float out[N] = {0};
        assert_false(run(sim_words, up, true, out));
        for (uint32_t t = 0; t < N; t++) {
            uint32_t lane = t % 32 + 3 < 32 ? t + 3 : t;
            assert_true(out[t] == (t % 2 ? (float)(N - 1 - lane) : 0.0f));
        }
    }
}

static void test_race_shows(void **state)
{
    (void)state;
    float up[N];
    float down[N];
    (void)run(sim_race, true, true, up);
    (void)run(sim_race, false, true, down);
    assert_memory_not_equal(up, down, sizeof up);
    assert_true(up[0] != up[0]); // and what was not written is NaN
}

static void test_stray_write_shows(void **state)
{
    (void)state;
    float out[N];
    assert_true(run(sim_stray, true, true, out));
    assert_false(run(sim_stray, true, false, out));
}

/* Device memory is nobody's but the queue's, and the queue runs late. */
static void test_device(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    const struct sim_options opt = {.memory_b = 1 << 20};
    struct device *d = NULL;
    void *dev = NULL;
    void *more = NULL;
    uint64_t free_b = 0;
    uint64_t total_b = 0;
    assert_int_equal(sim_device_new(&d, &opt, &err), OK);
    assert_int_equal(d->ops->alloc(d, &dev, 1 << 19, &err), OK);
    assert_int_equal(d->ops->alloc(d, &more, 1 << 20, &err), ERR_MEMORY);
    assert_int_equal(d->ops->memory(d, &free_b, &total_b, &err), OK);
    assert_int_equal(free_b, 1 << 19);
    assert_int_equal(total_b, 1 << 20);
    char in[8] = "first";
    char out[8] = "";
    assert_int_equal(d->ops->copy_in(d, dev, in, sizeof in, &err), OK);
    assert_int_equal(d->ops->copy_out(d, out, dev, sizeof out, &err), OK);
    assert_string_equal(out, ""); // not yet
    memcpy(in, "second", 7);      // too early: the copy must see it, or nobody would notice
    assert_int_equal(d->ops->sync(d, &err), OK);
    assert_string_equal(out, "second");
    d->ops->free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_race_shows),
                                       cmocka_unit_test(test_stray_write_shows), cmocka_unit_test(test_device)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
