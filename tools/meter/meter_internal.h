#ifndef ASSAY_METER_METER_INTERNAL_H
#define ASSAY_METER_METER_INTERNAL_H

#include "meter/meter.h"

enum { METER_MAX_CHANNELS = 16 };

/* One way of reading registers. read() fills value[i] and ok[i] for every channel; t_ns is the time on
 * clock_ns, since_ns the time since the meter was opened. */
struct meter_driver {
    const char *source;
    void *state; /* owned; freed by close */
    size_t n_channels;
    struct meter_channel channels[METER_MAX_CHANNELS];
    void (*read)(void *state, uint64_t since_ns, uint64_t *values, bool *ok);
    void (*close)(void *state);
};

/* Each fills a zeroed driver. ERR_DEVICE with the reason when the machine has no such meter. */
enum status meter_nvml_open(struct meter_driver *d, const char *library, unsigned gpu_index, struct err *err);
enum status meter_rapl_open(struct meter_driver *d, const char *root, struct err *err);
enum status meter_trace_open(struct meter_driver *d, const char *path, struct err *err);

#endif
