/* A power trace that some meter wrote, and the energy of windows of it: damage is named, and no window is
 * valid with more energy than METER_MAX_UW could have brought. */
#include <stdint.h>

#include "fuzz/scratch.h"
#include "meter/meter_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_READINGS = 64 };

static void check_window(const struct meter_channel *c, const struct meter_reading *r, size_t n, uint64_t t0, uint64_t t1)
{
    struct meter_window w;
    meter_account(c, r, n, t0, t1, 0, &w);
    demand(w.valid == (w.reason[0] == '\0') && w.n_readings <= n && w.n_missing <= n);
    if (w.valid)
        demand((double)w.energy_uj <= 1.01 * (double)METER_MAX_UW / 1e9 * ((double)(t1 - t0) + 2.0 * (double)METER_MAX_GAP_NS));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct meter_driver d = {.source = NULL};
    struct meter_reading r[N_READINGS];
    struct err err = ERR_INIT;
    char path[128];
    scratch_put("trace.csv", data, size, path);
    if (meter_trace_open(&d, path, &err)) {
        demand(strncmp(err.text, path, strlen(path)) == 0);
        return 0;
    }
    for (uint64_t step = 1000000; step <= 1000000000; step *= 10) {
        for (size_t i = 0; i < N_READINGS; i++) {
            r[i].t_ns = step * (i + 1);
            d.read(d.state, r[i].t_ns, &r[i].value, &r[i].ok);
        }
        check_window(&d.channels[0], r, N_READINGS, step, step * N_READINGS);
        check_window(&d.channels[0], r, N_READINGS, step * 5 + 1, step * 9 - 1);
        check_window(&d.channels[0], r, N_READINGS, step * 3, step * 3);
    }
    d.close(d.state);
    return 0;
}
