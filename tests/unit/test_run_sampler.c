#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run/sampler.h"

enum { V = 97 };

struct fixture {
    struct sampler *s;
    float logits[V];
    bool allowed[V];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f || sampler_new(&f->s, V, NULL) != OK)
        return -1;
    struct rng_key k = rng_key(7, "logits");
    for (size_t i = 0; i < V; i++) {
        f->logits[i] = (float)(2.0 * rng_normal(&k, i));
        f->allowed[i] = i % 10 != 3;
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    sampler_free(f->s);
    free(f);
    return 0;
}

static void argmax_takes_the_lowest(void **state)
{
    (void)state;
    const float l[5] = {1, 3, -2, 3, 3};
    const bool allowed[5] = {true, false, true, true, true};
    const bool none[5] = {false, false, false, false, false};
    assert_int_equal(logits_argmax(l, 5, NULL), 1);
    assert_int_equal(logits_argmax(l, 5, allowed), 3);
    assert_int_equal(logits_argmax(l, 5, none), -1);
    assert_true(logits_finite(l, 5));
    const float bad[2] = {1, INFINITY};
    assert_false(logits_finite(bad, 2));
    const float nan[2] = {NAN, 0};
    assert_false(logits_finite(nan, 2));
}

static void logprob_is_log_softmax(void **state)
{
    struct fixture *f = *state;
    double sum = 0;
    for (size_t i = 0; i < V; i++)
        sum += exp((double)f->logits[i]);
    double total = 0;
    for (int32_t i = 0; i < V; i++) {
        double got = logits_logprob(f->logits, V, i);
        assert_true(fabs(got - ((double)f->logits[i] - log(sum))) < 1e-12);
        total += exp(got);
    }
    assert_true(fabs(total - 1) < 1e-12);
}

/* Probabilities the filters should leave, in the plainest double arithmetic. */
static void expected(const struct fixture *f, const struct sampling *p, double out[V])
{
    int order[V];
    int n = 0;
    double max = -1e30;
    for (int i = 0; i < V; i++) {
        out[i] = 0;
        if (!f->allowed[i])
            continue;
        max = (double)f->logits[i] > max ? (double)f->logits[i] : max;
        int at = n++;
        while (at > 0 && f->logits[order[at - 1]] < f->logits[i]) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
    int keep = n;
    while (p->top_k && keep > (int)p->top_k && f->logits[order[keep - 1]] < f->logits[order[p->top_k - 1]])
        keep--;
    double total = 0;
    for (int j = 0; j < keep; j++)
        total += exp(((double)f->logits[order[j]] - max) / p->temperature);
    double mass = 0;
    for (int j = 0; j < keep && (p->top_p >= 1 || mass < p->top_p * total); j++) {
        double e = exp(((double)f->logits[order[j]] - max) / p->temperature);
        mass += e;
        if (e >= p->min_p)
            out[order[j]] = e;
    }
    double kept = 0;
    for (int i = 0; i < V; i++)
        kept += out[i];
    for (int i = 0; i < V; i++)
        out[i] /= kept;
}

/* Frequencies of many draws against the plain distribution, for each filter alone and all together. */
static void draws_follow_the_distribution(void **state)
{
    struct fixture *f = *state;
    static const struct sampling cases[] = {
        {.temperature = 1, .top_p = 1},
        {.temperature = 0.7, .top_p = 1, .top_k = 5},
        {.temperature = 1.3, .top_p = 0.6},
        {.temperature = 1, .top_p = 1, .min_p = 0.1},
        {.temperature = 1, .top_p = 0.8, .top_k = 20, .min_p = 0.05},
        {.temperature = 1e-3, .top_p = 1},
        {.temperature = 1, .top_p = 1e-9},
        {.temperature = 1, .top_p = 1, .top_k = 500},
    };
    enum { N = 20000 };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        double want[V];
        size_t count[V] = {0};
        struct rng_key key = rng_key(c, "draws");
        expected(f, &cases[c], want);
        for (uint64_t i = 0; i < N; i++) {
            int32_t id = sampler_draw(f->s, f->logits, f->allowed, &cases[c], &key, i);
            assert_true(f->allowed[id]);
            count[id]++;
        }
        double chi = 0;
        for (size_t i = 0; i < V; i++) {
            if (want[i] == 0)
                assert_int_equal(count[i], 0);
            else if (want[i] * N >= 5)
                chi += pow((double)count[i] - want[i] * N, 2) / (want[i] * N);
        }
        if (chi > 160) // 99.99 % of a chi-square with 88 degrees of freedom is below 146
            fail_msg("case %zu: chi-square %g", c, chi);
    }
}

static void draw_depends_on_key_and_position_only(void **state)
{
    struct fixture *f = *state;
    const struct sampling p = {.temperature = 1, .top_p = 0.95};
    struct rng_key a = rng_key(1, "a");
    struct rng_key b = rng_key(1, "b");
    struct rng_key c = rng_key(2, "a");
    size_t same_b = 0;
    size_t same_c = 0;
    for (uint64_t i = 0; i < 200; i++) {
        int32_t first = sampler_draw(f->s, f->logits, f->allowed, &p, &a, i);
        same_b += sampler_draw(f->s, f->logits, f->allowed, &p, &b, i) == first;
        same_c += sampler_draw(f->s, f->logits, f->allowed, &p, &c, i) == first;
        assert_int_equal(sampler_draw(f->s, f->logits, f->allowed, &p, &a, i), first);
    }
    assert_true(same_b < 100 && same_c < 100);
}

/* Equal logits: top-p keeps the lowest ids of those that tie, top-k keeps all of them. */
static void ties(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < V; i++)
        f->logits[i] = 1.0f;
    struct sampling p = {.temperature = 1, .top_p = 0.02};
    struct rng_key key = rng_key(1, "ties");
    for (uint64_t i = 0; i < 50; i++)
        assert_true(sampler_draw(f->s, f->logits, f->allowed, &p, &key, i) <= 1); // 2 of 87 hold 0.02
    p = (struct sampling){.temperature = 1, .top_p = 1, .top_k = 1};
    int32_t largest = 0;
    for (uint64_t i = 0; i < 500; i++) {
        int32_t id = sampler_draw(f->s, f->logits, f->allowed, &p, &key, i);
        largest = id > largest ? id : largest;
    }
    assert_true(largest > 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(argmax_takes_the_lowest),
        cmocka_unit_test_setup_teardown(logprob_is_log_softmax, setup, teardown),
        cmocka_unit_test_setup_teardown(draws_follow_the_distribution, setup, teardown),
        cmocka_unit_test_setup_teardown(draw_depends_on_key_and_position_only, setup, teardown),
        cmocka_unit_test_setup_teardown(ties, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
