// Meters against fakes: a RAPL tree of files, an NVML library compiled here, a trace file. All time is
// real, so windows are short; the arithmetic itself is tested in test_meter.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "meter/meter.h"

#define MS UINT64_C(1000000)
#define W UINT64_C(1000000)

struct dir {
    char path[128];
};

static int make_dir(void **state)
{
    static struct dir d;
    (void)snprintf(d.path, sizeof d.path, "/tmp/assay-meter-XXXXXX");
    *state = &d;
    return mkdtemp(d.path) ? 0 : 1;
}

static int remove_dir(void **state)
{
    const struct dir *d = *state;
    char command[256];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", d->path);
    return system(command);
}

static void put(const struct dir *d, const char *file, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", d->path, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void zone(const struct dir *d, const char *name, const char *what, uint64_t uj, uint64_t range)
{
    char file[256];
    char text[64];
    (void)snprintf(file, sizeof file, "%s/%s", d->path, name);
    (void)mkdir(file, 0755);
    (void)snprintf(file, sizeof file, "%s/name", name);
    (void)snprintf(text, sizeof text, "%s\n", what);
    put(d, file, text);
    (void)snprintf(file, sizeof file, "%s/energy_uj", name);
    (void)snprintf(text, sizeof text, "%llu\n", (unsigned long long)uj);
    put(d, file, text);
    (void)snprintf(file, sizeof file, "%s/max_energy_range_uj", name);
    (void)snprintf(text, sizeof text, "%llu\n", (unsigned long long)range);
    put(d, file, text);
}

static void wait_ms(unsigned ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}

static struct meter *open_ok(const struct meter_spec *spec)
{
    struct meter *m = NULL;
    struct err err = ERR_INIT;
    if (meter_open(&m, spec, &err) != OK)
        fail_msg("%s", err.text);
    return m;
}

static void test_rapl(void **state)
{
    const struct dir *d = *state;
    const uint64_t range = UINT64_C(262143328850);
    zone(d, "intel-rapl:0", "package-0", range - 5 * W, range); // about to wrap
    zone(d, "intel-rapl:0:0", "core", 100, range);              // inside the package: must not count
    zone(d, "intel-rapl:0:1", "dram", 1000, range);
    zone(d, "intel-rapl:1", "psys", 7, range);           // around it
    zone(d, "intel-rapl-mmio:0", "package-0", 9, range); // the same package again
    struct meter *m = open_ok(&(struct meter_spec){.source = "rapl", .rapl_root = d->path, .poll_ns = 5 * MS});
    assert_string_equal(meter_source(m), "rapl");
    assert_string_equal(meter_scope(m), "sum");
    assert_int_equal(meter_n_channels(m), 2);
    assert_string_equal(meter_channel_at(m, 0)->name, "package-0");
    assert_string_equal(meter_channel_at(m, 1)->name, "dram-0");
    const uint64_t t0 = meter_mark(m);
    zone(d, "intel-rapl:0", "package-0", 2 * W, range); // 7 J on, past the wrap
    zone(d, "intel-rapl:0:1", "dram", 1000 + 1 * W, range);
    wait_ms(20);
    zone(d, "intel-rapl:0", "package-0", 3 * W, range);
    zone(d, "intel-rapl:0:1", "dram", 1000 + 2 * W, range);
    const uint64_t t1 = meter_mark(m);
    struct meter_window w;
    meter_window(m, t0, t1, 2, &w);
    assert_string_equal(w.reason, "");
    assert_int_equal(w.energy_uj, 8 * W + 2 * W);
    meter_window(m, t0, t1, METER_MIN_UPDATES, &w);
    assert_string_equal(w.reason, "few_updates");
    // The counter disappears and comes back: the window across is whole, the one that ends inside is not.
    char path[256];
    (void)snprintf(path, sizeof path, "%s/intel-rapl:0/energy_uj", d->path);
    assert_int_equal(unlink(path), 0);
    wait_ms(30);
    zone(d, "intel-rapl:0", "package-0", 4 * W, range);
    const uint64_t t2 = meter_mark(m);
    meter_window(m, t0, t2, 2, &w);
    assert_true(w.valid && w.n_missing >= 1);
    assert_int_equal(w.energy_uj, 9 * W + 2 * W);
    // It starts again at nothing: no wrap looks like that. Invalid, and no number.
    zone(d, "intel-rapl:0", "package-0", 10, range);
    const uint64_t t3 = meter_mark(m);
    meter_window(m, t0, t3, 2, &w);
    assert_false(w.valid);
    assert_string_equal(w.reason, "counter_reset");
    assert_int_equal(w.energy_uj, 0);
    // The raw trace is kept, failures and all.
    struct err err = ERR_INIT;
    assert_int_equal(meter_stop(m, &err), OK);
    size_t n;
    const struct meter_reading *r = meter_readings(m, 0, &n);
    size_t n_bad = 0;
    for (size_t i = 0; i < n; i++) {
        n_bad += !r[i].ok;
        assert_true(i == 0 || r[i].t_ns > r[i - 1].t_ns);
    }
    assert_true(n >= 10 && n_bad >= 1);
    assert_int_equal(r[n - 1].value, 10);
    meter_close(m);
}

static void test_no_rapl(void **state)
{
    const struct dir *d = *state;
    struct meter *m = NULL;
    struct err err = ERR_INIT;
    char empty[256];
    (void)snprintf(empty, sizeof empty, "%s/none", d->path);
    assert_int_equal(meter_open(&m, &(struct meter_spec){.source = "rapl", .rapl_root = empty}, &err), ERR_DEVICE);
    (void)mkdir(empty, 0755);
    assert_int_equal(meter_open(&m, &(struct meter_spec){.source = "rapl", .rapl_root = empty}, &err), ERR_DEVICE);
    assert_non_null(strstr(err.text, "no package zone"));
    // auto: no failure, but a meter that measures nothing and says why.
    m = open_ok(&(struct meter_spec){.source = "auto", .rapl_root = empty});
    assert_string_equal(meter_source(m), "none");
    assert_string_equal(meter_scope(m), "");
    assert_non_null(strstr(meter_reason(m), "no package zone"));
    struct meter_window w;
    const uint64_t t0 = meter_mark(m);
    meter_window(m, t0, meter_mark(m), 1, &w);
    assert_false(w.valid);
    assert_string_equal(w.reason, "no_meter");
    meter_close(m);
    assert_int_equal(meter_open(&m, &(struct meter_spec){.source = "thermometer"}, &err), ERR_USAGE);
}

/* A counter in mJ that rises by 100 W, updated every 20 ms; FAKE_NVML=reset makes it start again after
 * 200 ms, =none has no counter. Power reads as 100 W, or as 60 W with FAKE_NVML=wrong_power. */
static const char fake_nvml[] =
    "#define _POSIX_C_SOURCE 200809L\n"
    "#include <stdlib.h>\n#include <string.h>\n#include <time.h>\n"
    "static long long start;\n"
    "static long long now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000LL + "
    "t.tv_nsec / 1000000; }\n"
    "static int is(const char *s) { const char *e = getenv(\"FAKE_NVML\"); return e && strcmp(e, s) == 0; }\n"
    "int nvmlInit_v2(void) { start = now(); return 0; }\n"
    "int nvmlShutdown(void) { return 0; }\n"
    "int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { *d = &start; return i == 0 ? 0 : 2; }\n"
    "int nvmlDeviceGetTotalEnergyConsumption(void *d, unsigned long long *mj) {\n"
    "    long long ms = (now() - start) / 20 * 20;\n"
    "    (void)d;\n"
    "    if (is(\"none\")) return 3;\n"
    "    if (is(\"reset\") && ms > 200) ms -= 200; else ms += 1000000;\n"
    "    *mj = (unsigned long long)ms * 100; return 0; }\n"
    "int nvmlDeviceGetPowerUsage(void *d, unsigned *mw) { (void)d; *mw = is(\"wrong_power\") ? 60000 : 100000; return 0; }\n";

static void test_nvml(void **state)
{
    const struct dir *d = *state;
    char lib[256];
    char command[1024];
    put(d, "fake_nvml.c", fake_nvml);
    (void)snprintf(lib, sizeof lib, "%s/libfake.so", d->path);
    (void)snprintf(command, sizeof command, "cc -std=c17 -shared -fPIC -o '%s' '%s/fake_nvml.c'", lib, d->path);
    if (system(command) != 0)
        fail_msg("cannot compile the fake: %s", command);
    struct meter_window w;
    struct err err = ERR_INIT;

    (void)unsetenv("FAKE_NVML");
    struct meter *m = open_ok(&(struct meter_spec){.source = "nvml", .nvml_lib = lib, .poll_ns = 5 * MS});
    assert_string_equal(meter_source(m), "nvml");
    assert_string_equal(meter_scope(m), "gpu");
    assert_int_equal(meter_n_channels(m), 2);
    uint64_t t0 = meter_mark(m);
    wait_ms(400);
    uint64_t t1 = meter_mark(m);
    meter_window(m, t0, t1, 5, &w);
    assert_string_equal(w.reason, "");
    // 100 W, give or take an update (and the poll that sees it) at each edge.
    const double j = (double)w.energy_uj * 1e-6;
    const double expected = 100.0 * (double)(t1 - t0) * 1e-9;
    if (!(j > expected - 3 && j < expected + 3))
        fail_msg("found %g J, expected %g", j, expected);
    assert_true(w.update_ns > 15 * MS && w.update_ns < 40 * MS);
    assert_false(w.suspect);
    meter_close(m);

    assert_int_equal(setenv("FAKE_NVML", "wrong_power", 1), 0);
    m = open_ok(&(struct meter_spec){.source = "auto", .gpu = true, .nvml_lib = lib, .poll_ns = 5 * MS});
    t0 = meter_mark(m);
    wait_ms(200);
    meter_window(m, t0, meter_mark(m), 5, &w);
    assert_true(w.valid && w.suspect);
    meter_close(m);

    assert_int_equal(setenv("FAKE_NVML", "reset", 1), 0);
    m = open_ok(&(struct meter_spec){.source = "nvml", .nvml_lib = lib, .poll_ns = 5 * MS});
    t0 = meter_mark(m);
    wait_ms(400);
    meter_window(m, t0, meter_mark(m), 1, &w);
    assert_string_equal(w.reason, "counter_reset");
    assert_int_equal(w.energy_uj, 0);
    meter_close(m);

    assert_int_equal(setenv("FAKE_NVML", "none", 1), 0);
    assert_int_equal(meter_open(&m, &(struct meter_spec){.source = "nvml", .nvml_lib = lib}, &err), ERR_DEVICE);
    assert_non_null(strstr(err.text, "no energy counter"));
    (void)unsetenv("FAKE_NVML");
    assert_int_equal(meter_open(&m, &(struct meter_spec){.source = "nvml", .nvml_lib = lib, .gpu_index = 1}, &err), ERR_DEVICE);
    assert_int_equal(meter_open(&m, &(struct meter_spec){.source = "nvml", .nvml_lib = "/none/libnvml.so"}, &err), ERR_DEVICE);
    m = open_ok(&(struct meter_spec){.source = "auto", .gpu = true, .nvml_lib = "/none/libnvml.so"});
    assert_string_equal(meter_source(m), "none");
    meter_close(m);
}

static void refuse_trace(const struct dir *d, const char *text, const char *why)
{
    put(d, "bad.csv", text);
    char source[256];
    struct meter *m = NULL;
    struct err err = ERR_INIT;
    (void)snprintf(source, sizeof source, "trace:%s/bad.csv", d->path);
    assert_int_equal(meter_open(&m, &(struct meter_spec){.source = source}, &err), ERR_FORMAT);
    if (!strstr(err.text, why))
        fail_msg("expected '%s' in '%s'", why, err.text);
}

static void test_trace(void **state)
{
    const struct dir *d = *state;
    char text[65536];
    size_t n = (size_t)snprintf(text, sizeof text, "t_ns,power_uw,averaging_ns\n");
    for (unsigned i = 0; i < 1000; i++) // 30 W, every 10 ms for 10 s
        n += (size_t)snprintf(text + n, sizeof text - n, "%llu,30000000,100000000\n", (unsigned long long)(i * 10 * MS));
    put(d, "trace.csv", text);
    char source[256];
    (void)snprintf(source, sizeof source, "trace:%s/trace.csv", d->path);
    struct meter *m = open_ok(&(struct meter_spec){.source = source, .poll_ns = 5 * MS});
    assert_string_equal(meter_source(m), "trace");
    assert_string_equal(meter_scope(m), "wall");
    const uint64_t t0 = meter_mark(m);
    wait_ms(200);
    const uint64_t t1 = meter_mark(m);
    struct meter_window w;
    meter_window(m, t0, t1, 10, &w);
    assert_string_equal(w.reason, "");
    // Constant power has no edges: exact but for the last microjoule.
    const uint64_t expected = (t1 - t0) / 1000 * 30;
    assert_true(w.energy_uj + 60 >= expected && w.energy_uj <= expected + 60);
    meter_close(m);

    // A trace that ends is a gap, not zero power.
    put(d, "trace.csv", "t_ns,energy_uj,range_uj\n0,10,0\n1,20,0\n");
    m = open_ok(&(struct meter_spec){.source = source, .poll_ns = 5 * MS});
    const uint64_t t2 = meter_mark(m);
    wait_ms(1200);
    const uint64_t t3 = meter_mark(m);
    wait_ms(1100);
    meter_window(m, t2, t3, 0, &w);
    assert_true(w.valid && w.energy_uj <= 10); // within a second of the last row it still shows
    meter_window(m, t2, meter_mark(m), 0, &w);
    assert_string_equal(w.reason, "no_reading_at_end");
    meter_close(m);

    refuse_trace(d, "t_ns,watts\n0,1\n", "bad.csv:1: expected t_ns,energy_uj");
    refuse_trace(d, "t_ns,power_uw\n", "at least one row");
    refuse_trace(d, "t_ns,power_uw\n0,1\n5,abc\n", "bad.csv:3:3");
    refuse_trace(d, "t_ns,power_uw\n5,1\n5,2\n", "bad.csv:3: t_ns must rise");
    refuse_trace(d, "t_ns,power_uw,averaging_ns\n5,1,0\n6,2,9\n", "must not change");
    refuse_trace(d, "t_ns,power_uw\n5,1\n6,2", "expected a line end");
    struct err err = ERR_INIT;
    assert_int_equal(meter_open(&m, &(struct meter_spec){.source = "trace:/none.csv"}, &err), ERR_MISSING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rapl, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_no_rapl, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_nvml, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_trace, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
