// Energy arithmetic on synthetic registers (measurement.md 19): counters that are updated every 100 ms,
// wrap, restart and go missing; power averaged over a second. The truth is known in closed form.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "meter/meter.h"

#define MS UINT64_C(1000000)
#define S (1000 * MS)
#define W UINT64_C(1000000) /* uW */

enum { MAX = 4096 };

/* True energy in uJ at t: 50 W, and 250 W more between 20 s and 40 s. */
static uint64_t truth(uint64_t t)
{
    uint64_t uj = t / 1000 * 50;
    if (t > 20 * S)
        uj += ((t < 40 * S ? t : 40 * S) - 20 * S) / 1000 * 250;
    return uj;
}

/* What a register shows at t that is updated every 100 ms, at a phase of 37 ms. */
static uint64_t last_update(uint64_t t)
{
    return t < 37 * MS ? 0 : (t - 37 * MS) / (100 * MS) * (100 * MS) + 37 * MS;
}

/* A counter polled every 50 ms for a minute, starting at offset and wrapping after range (0 = not). */
static size_t counter(struct meter_reading *r, uint64_t offset, uint64_t range)
{
    size_t n = 0;
    for (uint64_t t = 0; t <= 60 * S; t += 50 * MS) {
        uint64_t v = offset + truth(last_update(t));
        if (range > 0)
            v %= range;
        r[n++] = (struct meter_reading){.t_ns = t, .value = v, .ok = true};
    }
    return n;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static void check_energy(const struct meter_window *w, uint64_t true_uj)
{
    assert_string_equal(w->reason, "");
    assert_true(w->valid);
    // The stated bound: the edges' share of the energy, at the window's highest power.
    const uint64_t bound = (uint64_t)((double)w->edge_ppm * 1e-6 * 300e6 * (double)w->window_ns * 1e-9) + 1;
    if (distance(w->energy_uj, true_uj) > bound)
        fail_msg("found %llu uJ, expected %llu within %llu", (unsigned long long)w->energy_uj,
                 (unsigned long long)true_uj, (unsigned long long)bound);
}

static void test_counter(void **state)
{
    (void)state;
    const struct meter_channel c = {.name = "gpu0", .scope = "gpu", .kind = METER_COUNTER};
    static struct meter_reading r[MAX];
    const size_t n = counter(r, 7, 0);
    struct meter_window w;
    meter_account(&c, r, n, 10 * S, 50 * S, METER_MIN_UPDATES, &w);
    check_energy(&w, 40 * S / 1000 * 50 + 20 * S / 1000 * 250);
    assert_int_equal(w.update_ns, 100 * MS);
    assert_int_equal(w.edge_ppm, 2499); // 100 ms of 40 s, and one microsecond of rounding
    assert_int_equal(w.n_updates, 400);
    assert_int_equal(w.n_missing, 0);
    assert_int_equal(w.peak_uw / W, 300);
    // Edges that fall between polls use the last reading before them.
    meter_account(&c, r, n, 10 * S + 13 * MS, 30 * S + 49 * MS, METER_MIN_UPDATES, &w);
    check_energy(&w, truth(30 * S + 49 * MS) - truth(10 * S + 13 * MS));
    // The same bound must be able to fail.
    w.energy_uj += 61 * W; // twice the edges' 30 J
    assert_true(distance(w.energy_uj, truth(30 * S + 49 * MS) - truth(10 * S + 13 * MS)) >
                (uint64_t)((double)w.edge_ppm * 1e-6 * 300e6 * 20));
}

static void test_wrap(void **state)
{
    (void)state;
    const uint64_t range = UINT64_C(262143328850); // a real max_energy_range_uj
    const struct meter_channel c = {.name = "package-0", .kind = METER_COUNTER, .range_uj = range};
    static struct meter_reading r[MAX];
    const size_t n = counter(r, range - 3000 * W, range); // wraps inside the fast part
    struct meter_window w;
    meter_account(&c, r, n, 10 * S, 50 * S, METER_MIN_UPDATES, &w);
    check_energy(&w, truth(50 * S) - truth(10 * S));
    // Without the range the same readings are a restart: invalid, and no number.
    const struct meter_channel none = {.name = "gpu0", .kind = METER_COUNTER};
    meter_account(&none, r, n, 10 * S, 50 * S, METER_MIN_UPDATES, &w);
    assert_false(w.valid);
    assert_string_equal(w.reason, "counter_reset");
    assert_int_equal(w.energy_uj, 0);
}

static void test_reset(void **state)
{
    (void)state;
    const uint64_t range = UINT64_C(262143328850);
    const struct meter_channel c = {.name = "package-0", .kind = METER_COUNTER, .range_uj = range};
    static struct meter_reading r[MAX];
    const size_t n = counter(r, range / 2, range);
    for (size_t i = 500; i < n; i++)
        r[i].value -= range / 2; // starts again at 0 in the middle: no wrap could look like that
    struct meter_window w;
    meter_account(&c, r, n, 10 * S, 50 * S, METER_MIN_UPDATES, &w);
    assert_false(w.valid);
    assert_string_equal(w.reason, "counter_reset");
    for (size_t i = 500; i < n; i++)
        r[i].value += range; // and the opposite: a leap of 131 kJ
    meter_account(&c, r, n, 10 * S, 50 * S, METER_MIN_UPDATES, &w);
    assert_string_equal(w.reason, "implausible_jump");
    // Windows that do not touch the fault stay good.
    meter_account(&c, r, n, 1 * S, 20 * S, METER_MIN_UPDATES, &w);
    assert_true(w.valid);
}

static void test_gaps(void **state)
{
    (void)state;
    struct meter_channel c = {.name = "gpu0", .kind = METER_COUNTER};
    static struct meter_reading r[MAX];
    const size_t n = counter(r, 0, 0);
    for (size_t i = 0; i < n; i++)
        if (r[i].t_ns > 20 * S && r[i].t_ns < 39 * S)
            r[i].ok = false;
    struct meter_window w;
    // A counter goes on counting while nobody reads it.
    meter_account(&c, r, n, 10 * S, 50 * S, METER_MIN_UPDATES, &w);
    check_energy(&w, truth(50 * S) - truth(10 * S));
    assert_int_equal(w.n_missing, 379);
    // Unless it could have wrapped unseen: 19 s at 10 kW is more than 100 kJ.
    c.range_uj = UINT64_C(100000000000);
    meter_account(&c, r, n, 10 * S, 50 * S, METER_MIN_UPDATES, &w);
    assert_string_equal(w.reason, "gap");
    // An edge inside the gap has no reading of its own.
    c.range_uj = 0;
    meter_account(&c, r, n, 10 * S, 30 * S, METER_MIN_UPDATES, &w);
    assert_string_equal(w.reason, "no_reading_at_end");
    meter_account(&c, r, n, 30 * S, 50 * S, METER_MIN_UPDATES, &w);
    assert_string_equal(w.reason, "no_reading_at_start");
    // Power is unknown in a gap.
    c.kind = METER_POWER;
    for (size_t i = 0; i < n; i++)
        r[i].value = 50 * W;
    meter_account(&c, r, n, 10 * S, 50 * S, METER_MIN_UPDATES, &w);
    assert_string_equal(w.reason, "gap");
    meter_account(&c, r, n, 41 * S, 59 * S, METER_MIN_UPDATES, &w);
    assert_true(w.valid);
    assert_int_equal(w.energy_uj, 18 * 50 * W);
    meter_account(&c, r, n, 50 * S, 70 * S, METER_MIN_UPDATES, &w);
    assert_string_equal(w.reason, "no_reading_at_end");
    meter_account(&c, r, 0, 50 * S, 70 * S, METER_MIN_UPDATES, &w);
    assert_string_equal(w.reason, "no_reading_at_start");
}

static void test_averaged_power(void **state)
{
    (void)state;
    const struct meter_channel c = {.name = "gpu0", .kind = METER_POWER, .averaging_ns = 1 * S};
    static struct meter_reading r[MAX];
    size_t n = 0;
    for (uint64_t t = 0; t <= 60 * S; t += 100 * MS) {
        const uint64_t from = t > S ? t - S : 0;
        const uint64_t uw = t > 0 ? (truth(t) - truth(from)) * 1000000 / ((t - from) / 1000) : 50 * W;
        r[n++] = (struct meter_reading){.t_ns = t, .value = uw, .ok = true};
    }
    struct meter_window w;
    // A step inside the window comes late but whole; at an edge it is off by up to the averaging.
    meter_account(&c, r, n, 10 * S, 50 * S, METER_MIN_UPDATES, &w);
    check_energy(&w, truth(50 * S) - truth(10 * S));
    assert_true(distance(w.energy_uj, truth(50 * S) - truth(10 * S)) < 1 * W);
    meter_account(&c, r, n, 20 * S, 40 * S, METER_MIN_UPDATES, &w);
    check_energy(&w, 20 * 300 * W);
    assert_true(distance(w.energy_uj, 20 * 300 * W) > 100 * W); // half a second of 250 W
    assert_int_equal(w.update_ns, 100 * MS);
    assert_true(w.edge_ppm >= 54990 && w.edge_ppm <= 55000); // 1.1 s of 20 s
    assert_int_equal(w.peak_uw, 300 * W);
}

static void test_few_updates(void **state)
{
    (void)state;
    const struct meter_channel c = {.name = "gpu0", .kind = METER_COUNTER};
    static struct meter_reading r[MAX];
    const size_t n = counter(r, 0, 0);
    struct meter_window w;
    meter_account(&c, r, n, 10 * S, 12 * S, METER_MIN_UPDATES, &w);
    assert_false(w.valid);
    assert_string_equal(w.reason, "few_updates");
    assert_int_equal(w.n_updates, 20);
    meter_account(&c, r, n, 10 * S, 12 * S, 10, &w);
    assert_true(w.valid);
    // A stuck register: not 0 J, but no measurement.
    for (size_t i = 0; i < n; i++)
        r[i].value = 5;
    meter_account(&c, r, n, 10 * S, 50 * S, 1, &w);
    assert_string_equal(w.reason, "few_updates");
    assert_true(w.edge_ppm > 999000);
}

static void test_sum(void **state)
{
    (void)state;
    const struct meter_channel channels[3] = {
        {.name = "package-0", .scope = "cpu_pkg", .kind = METER_COUNTER},
        {.name = "dram-0", .scope = "dram", .kind = METER_COUNTER},
        {.name = "check", .scope = "gpu", .kind = METER_POWER, .check_only = true},
    };
    static struct meter_reading a[MAX];
    static struct meter_reading b[MAX];
    static struct meter_reading p[MAX];
    const size_t n[3] = {counter(a, 0, 0), counter(b, 99, 0), counter(p, 0, 0)};
    for (size_t i = 0; i < n[2]; i++)
        p[i].value = 400 * W; // what both together draw on average over the window
    const struct meter_reading *const readings[3] = {a, b, p};
    struct meter_window w;
    meter_account_sum(channels, readings, n, 3, 20 * S, 40 * S, METER_MIN_UPDATES, &w);
    assert_true(w.valid);
    assert_true(distance(w.energy_uj, 2 * 20 * 300 * W) <= 2 * 30 * W);
    assert_true(w.suspect); // 8 kJ by power against 12 kJ by counter
    for (size_t i = 0; i < n[2]; i++)
        p[i].value = 600 * W;
    meter_account_sum(channels, readings, n, 3, 20 * S, 40 * S, METER_MIN_UPDATES, &w);
    assert_true(w.valid && !w.suspect);
    for (size_t i = 600; i < n[1]; i++)
        b[i].value = 0;
    meter_account_sum(channels, readings, n, 3, 20 * S, 40 * S, METER_MIN_UPDATES, &w);
    assert_string_equal(w.reason, "counter_reset");
    assert_int_equal(w.energy_uj, 0);
    meter_account_sum(channels, readings, n, 0, 20 * S, 40 * S, METER_MIN_UPDATES, &w);
    assert_string_equal(w.reason, "no_meter");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counter),        cmocka_unit_test(test_wrap),        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_gaps),           cmocka_unit_test(test_averaged_power), cmocka_unit_test(test_few_updates),
        cmocka_unit_test(test_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
