#ifndef ASSAY_METER_METER_H
#define ASSAY_METER_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Energy of a window of time (measurement.md 10). A meter has channels; each is a register that some
 * hardware updates now and then and that we poll, with the raw readings kept. Everything is integer:
 * ns of clock_ns, uJ, uW. A window that cannot be trusted is invalid with a reason, never 0. */

/* ---- what the arithmetic works on: pure functions over readings (meter_account.c) ---- */

enum meter_kind {
    METER_COUNTER, /* cumulated energy in uJ */
    METER_POWER    /* power in uW, perhaps averaged by the sensor */
};

struct meter_reading {
    uint64_t t_ns;
    uint64_t value; /* uJ or uW */
    bool ok;        /* false: the register could not be read then */
};

struct meter_channel {
    char name[32];         /* "gpu0", "package-0", "dram-0", "trace" */
    const char *scope;     /* "gpu" "cpu_pkg" "dram" "wall" */
    enum meter_kind kind;
    uint64_t range_uj;     /* counters: the value after which it starts again at 0; 0 = never wraps */
    uint64_t averaging_ns; /* power: a reading is the mean of that long before it */
    bool check_only;       /* not part of the sum: compared with it (NVML power against its counter) */
};

struct meter_window {
    bool valid;
    const char *reason;  /* "" when valid, else one of the words of enum meter_fault, static */
    uint64_t energy_uj;  /* when valid */
    uint64_t window_ns;
    size_t n_readings;   /* inside, all channels of the sum */
    size_t n_missing;    /* failed readings inside */
    size_t n_updates;    /* changes of a counter, readings of a power; of the channel with the fewest */
    uint64_t update_ns;  /* mean time between updates, of the slowest channel; 0 when fewer than 2 */
    uint64_t edge_ppm;   /* (update + averaging) / window: the edges' share of the energy at steady power */
    uint64_t peak_uw;    /* highest mean of a second; 0 when the window is shorter */
    bool suspect;        /* counter and integrated power differ by more than 5 % */
};

enum meter_fault {
    METER_FINE,
    METER_NO_START,    /* "no_reading_at_start" */
    METER_NO_END,      /* "no_reading_at_end" */
    METER_RESET,       /* "counter_reset": fell, and a wrap is impossible or implausible */
    METER_JUMP,        /* "implausible_jump": more than 10 kW */
    METER_GAP,         /* "gap": readings so far apart that a wrap may be hidden, or power unknown for over 1 s */
    METER_FEW_UPDATES  /* "few_updates" */
};
const char *meter_fault_name(enum meter_fault f);

enum { METER_MIN_UPDATES = 100 }; /* of a window that carries a claim (measurement.md 10) */
#define METER_MAX_UW UINT64_C(10000000000) /* 10 kW: more is no power of one machine */
#define METER_MAX_GAP_NS UINT64_C(1000000000)

/* meter_account - energy of [t0, t1] from the readings of one channel, ascending in t.
 *   counter: sum of rises from the last reading at or before t0 to the last at or before t1; a fall is
 *            range - old + new if that is plausible (range is the last value before 0: error one unit)
 *   power:   sum of value_i x (t_i - t_i-1) clipped to the window: a reading tells of the time before it
 * Writes every field of *out but suspect. min_updates: fewer changes make it invalid. */
void meter_account(const struct meter_channel *channel, const struct meter_reading *readings, size_t n, uint64_t t0_ns,
                   uint64_t t1_ns, size_t min_updates, struct meter_window *out);

/* meter_account_sum - all channels as one: energies add, the worst edge, fewest updates and first fault
 * count. readings[i] holds n[i] readings of channel i. Check-only channels set `suspect`. */
void meter_account_sum(const struct meter_channel *channels, const struct meter_reading *const *readings,
                       const size_t *n, size_t n_channels, uint64_t t0_ns, uint64_t t1_ns, size_t min_updates,
                       struct meter_window *out);

/* ---- the meter itself (meter.c, meter_nvml.c, meter_rapl.c, meter_trace.c) ---- */

struct meter;

struct meter_spec {
    const char *source;    /* "auto" "nvml" "rapl" "none" "trace:FILE" */
    const char *nvml_lib;  /* NULL = libnvidia-ml.so.1 */
    const char *rapl_root; /* NULL = /sys/class/powercap */
    unsigned gpu_index;
    bool gpu;              /* auto: the work runs on the GPU, so its counter is the one; else RAPL */
    uint64_t poll_ns;      /* 0 = 50 ms */
};

/* meter_open - open the source and start polling in a thread of its own. "auto" takes what measures the
 * device that works and falls back to "none" with a reason; a source named outright that is not there is
 * ERR_DEVICE. trace:FILE replays a CSV of `t_ns,energy_uj[,range_uj]` or `t_ns,power_uw[,averaging_ns]`,
 * its time 0 being the moment of opening; damage in it is ERR_FORMAT. Caller closes. */
enum status meter_open(struct meter **out, const struct meter_spec *spec, struct err *err);
void meter_close(struct meter *m); /* NULL is fine */

const char *meter_source(const struct meter *m); /* "nvml" "rapl" "trace" "none": energy_src */
const char *meter_scope(const struct meter *m);  /* "gpu" "cpu_pkg" "sum" "wall"; "" for none */
const char *meter_reason(const struct meter *m); /* why there is none; "" otherwise; borrowed */

/* meter_mark - read every channel now and return the time: the edge of a window. */
uint64_t meter_mark(struct meter *m);

/* meter_window - energy between two marks. With source "none" it is invalid, reason "no_meter". */
void meter_window(struct meter *m, uint64_t t0_ns, uint64_t t1_ns, size_t min_updates, struct meter_window *out);

/* meter_stop - end polling; then the raw trace may be read: borrowed until meter_close. ERR_MEMORY if
 * readings were dropped for want of it. */
enum status meter_stop(struct meter *m, struct err *err);
size_t meter_n_channels(const struct meter *m);
const struct meter_channel *meter_channel_at(const struct meter *m, size_t i);
const struct meter_reading *meter_readings(const struct meter *m, size_t i, size_t *n);
uint64_t meter_opened_ns(const struct meter *m);

#endif
