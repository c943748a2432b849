#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "drive/metrics.h"

/* A scripted run, two at a time: request 0 starts at 0, tokens at 10, 14, 24 ms; request 1 starts at
 * 1 ms, tokens at 12, 16, 20; request 2 starts when 1 ends. */
#define MS 1000000u
static const uint64_t stamps[3][3] = {
    {10 * MS, 14 * MS, 24 * MS}, {12 * MS, 16 * MS, 20 * MS}, {30 * MS, 32 * MS, 34 * MS}};

static struct load_cell cell(size_t concurrency)
{
    return (struct load_cell){.name = "t", .in_tok = 100, .out_tok = 3, .concurrency = concurrency, .n_requests = 3};
}

static void script(struct load_request r[3], struct load_result *res)
{
    const uint64_t start[3] = {0, 1 * MS, 21 * MS};
    const uint64_t done[3] = {25 * MS, 21 * MS, 35 * MS};
    for (size_t i = 0; i < 3; i++)
        r[i] = (struct load_request){
            .t_start_ns = start[i], .n_events = 3, .t_event_ns = stamps[i], .t_done_ns = done[i], .finish = FINISH_LENGTH};
    *res = (struct load_result){.requests = r, .n_requests = 3, .t_begin_ns = 0, .t_end_ns = 35 * MS};
}

static void near(double a, double b)
{
    assert_true(fabs(a - b) < 1e-9);
}

static void test_definitions(void **state)
{
    (void)state;
    struct load_request r[3];
    struct load_result res;
    script(r, &res);
    const struct load_cell c = cell(1);
    near(metric_value(METRIC_TTFT, &r[0], &c), 10);
    near(metric_value(METRIC_TPOT, &r[0], &c), 7);
    near(metric_value(METRIC_E2E, &r[0], &c), 24);
    near(metric_value(METRIC_NTPOT, &r[0], &c), 8);
    near(metric_value(METRIC_GAP_MAX, &r[0], &c), 10);
    near(metric_value(METRIC_DECODE_RATE, &r[0], &c), 1000.0 / 7);
    near(metric_value(METRIC_PREFILL_RATE, &r[0], &c), 10000);
}

static void test_empty_cells_stay_empty(void **state)
{
    (void)state;
    struct load_request r[3];
    struct load_result res;
    script(r, &res);
    const struct load_cell two = cell(2);
    assert_true(isnan(metric_value(METRIC_PREFILL_RATE, &r[0], &two)));
    r[0].n_events = 1;
    assert_true(isnan(metric_value(METRIC_TPOT, &r[0], &two)));
    assert_true(isnan(metric_value(METRIC_GAP_MAX, &r[0], &two)));
    assert_true(isnan(metric_value(METRIC_DECODE_RATE, &r[0], &two)));
    r[0].n_events = 0;
    assert_true(isnan(metric_value(METRIC_TTFT, &r[0], &two)));
    r[1].status = ERR_NUMERIC;
    assert_true(isnan(metric_value(METRIC_E2E, &r[1], &two)));
}

static void test_steady_window(void **state)
{
    (void)state;
    struct load_request r[3];
    struct load_result res;
    script(r, &res);
    struct window w;
    assert_int_equal(window_steady(&res, 2, &w, NULL), OK);
    assert_int_equal(w.begin_ns, 12 * MS); // second first token
    assert_int_equal(w.end_ns, 25 * MS);   // after it only request 2 is in flight
    assert_int_equal(window_tokens(&w, &res), 4);
    assert_false(window_holds(&w, &r[0]));
    assert_int_equal(window_steady(&res, 4, &w, NULL), OK);
    assert_int_equal(w.begin_ns, w.end_ns);
    w = window_full(&res);
    assert_int_equal(window_tokens(&w, &res), 9);
    assert_true(window_holds(&w, &r[2]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definitions),
        cmocka_unit_test(test_empty_cells_stay_empty),
        cmocka_unit_test(test_steady_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
