#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "meter/meter_internal.h"

struct list {
    struct meter_reading *v;
    size_t n, cap;
};

struct meter {
    struct meter_driver driver;
    struct err reason; // why there is no meter
    const char *scope;
    uint64_t opened_ns, poll_ns;
    struct list lists[METER_MAX_CHANNELS];
    bool dropped; // a reading was lost for want of memory
    bool polling, stop;
    pthread_t thread;
    pthread_mutex_t lock; // guards lists, dropped, stop and the driver's registers
    pthread_cond_t wake;
};

static bool push(struct list *l, struct meter_reading r)
{
    if (l->n == l->cap) {
        const size_t cap = l->cap ? 2 * l->cap : 1024;
        void *v = NULL;
        if (mem_alloc(&v, cap, sizeof *l->v, "meter readings", NULL) != OK)
            return false;
        if (l->n > 0)
            memcpy(v, l->v, l->n * sizeof *l->v);
        mem_free(l->v);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = r;
    return true;
}

/* One reading of every channel; the lock is held. Readings keep strictly ascending times. */
static uint64_t read_all(struct meter *m)
{
    uint64_t values[METER_MAX_CHANNELS] = {0};
    bool ok[METER_MAX_CHANNELS] = {false};
    const uint64_t now = clock_ns();
    m->driver.read(m->driver.state, now - m->opened_ns, values, ok);
    for (size_t i = 0; i < m->driver.n_channels; i++) {
        struct list *l = &m->lists[i];
        if (l->n > 0 && l->v[l->n - 1].t_ns >= now)
            continue; // the clock did not move: that reading stands
        if (!push(l, (struct meter_reading){.t_ns = now, .value = values[i], .ok = ok[i]}))
            m->dropped = true;
    }
    return now;
}

static void *poll_loop(void *arg)
{
    struct meter *m = arg;
    (void)pthread_mutex_lock(&m->lock);
    uint64_t next = m->opened_ns;
    while (!m->stop) {
        (void)read_all(m);
        const uint64_t now = clock_ns();
        while (next <= now)
            next += m->poll_ns;
        const struct timespec until = {.tv_sec = (time_t)(next / 1000000000), .tv_nsec = (long)(next % 1000000000)};
        while (!m->stop && pthread_cond_timedwait(&m->wake, &m->lock, &until) != ETIMEDOUT)
            ; // woken without reason, or to stop
    }
    (void)pthread_mutex_unlock(&m->lock);
    return NULL;
}

static enum status start(struct meter *m, struct err *err)
{
    pthread_condattr_t attr;
    int e = pthread_condattr_init(&attr);
    if (e != 0)
        return err_set_errno(err, ERR_DEVICE, e, "cannot start the meter");
    e = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (e == 0)
        e = pthread_mutex_init(&m->lock, NULL);
    if (e == 0) {
        e = pthread_cond_init(&m->wake, &attr);
        if (e != 0)
            (void)pthread_mutex_destroy(&m->lock);
    }
    (void)pthread_condattr_destroy(&attr);
    if (e != 0)
        return err_set_errno(err, ERR_DEVICE, e, "cannot start the meter");
    m->opened_ns = clock_ns();
    e = pthread_create(&m->thread, NULL, poll_loop, m);
    if (e != 0) {
        (void)pthread_cond_destroy(&m->wake);
        (void)pthread_mutex_destroy(&m->lock);
        return err_set_errno(err, ERR_DEVICE, e, "cannot start the meter's thread");
    }
    m->polling = true;
    return OK;
}

static void no_meter(struct meter *m)
{
    m->driver = (struct meter_driver){.source = "none"};
}

static enum status open_driver(struct meter *m, const struct meter_spec *spec, struct err *err)
{
    struct meter_driver *d = &m->driver;
    const char *source = spec->source;
    if (strcmp(source, "none") == 0) {
        no_meter(m);
        (void)err_set(&m->reason, ERR_DEVICE, "no meter was asked for");
        return OK;
    }
    if (strcmp(source, "nvml") == 0)
        return meter_nvml_open(d, spec->nvml_lib, spec->gpu_index, err);
    if (strcmp(source, "rapl") == 0)
        return meter_rapl_open(d, spec->rapl_root, err);
    if (strncmp(source, "trace:", 6) == 0)
        return meter_trace_open(d, source + 6, err);
    if (strcmp(source, "auto") != 0)
        return err_set(err, ERR_USAGE, "--meter: expected auto, nvml, rapl, none or trace:FILE, found '%s'", source);
    const enum status s = spec->gpu ? meter_nvml_open(d, spec->nvml_lib, spec->gpu_index, &m->reason)
                                    : meter_rapl_open(d, spec->rapl_root, &m->reason);
    if (s != OK)
        no_meter(m); // a machine without a meter is no failure: its rows say so
    return OK;
}

static const char *scope_of(const struct meter_driver *d)
{
    const char *scope = "";
    for (size_t i = 0; i < d->n_channels; i++) {
        if (d->channels[i].check_only)
            continue;
        if (scope[0] == '\0')
            scope = d->channels[i].scope;
        else if (strcmp(scope, d->channels[i].scope) != 0)
            return "sum";
    }
    return scope;
}

enum status meter_open(struct meter **out, const struct meter_spec *spec, struct err *err)
{
    void *p = NULL;
    enum status s = mem_alloc(&p, 1, sizeof(struct meter), "meter", err);
    if (s != OK)
        return s;
    struct meter *m = p;
    m->poll_ns = spec->poll_ns > 0 ? spec->poll_ns : UINT64_C(50000000);
    s = open_driver(m, spec, err);
    if (s == OK) {
        m->scope = scope_of(&m->driver);
        m->opened_ns = clock_ns();
        if (m->driver.n_channels > 0)
            s = start(m, err);
    }
    if (s != OK) {
        meter_close(m);
        return s;
    }
    *out = m;
    return OK;
}

enum status meter_stop(struct meter *m, struct err *err)
{
    if (m->polling) {
        (void)pthread_mutex_lock(&m->lock);
        m->stop = true;
        (void)pthread_cond_signal(&m->wake);
        (void)pthread_mutex_unlock(&m->lock);
        (void)pthread_join(m->thread, NULL);
        (void)pthread_cond_destroy(&m->wake);
        (void)pthread_mutex_destroy(&m->lock);
        m->polling = false;
    }
    return m->dropped ? err_set(err, ERR_MEMORY, "the meter's trace is not whole: out of memory") : OK;
}

void meter_close(struct meter *m)
{
    if (!m)
        return;
    (void)meter_stop(m, NULL);
    if (m->driver.close)
        m->driver.close(m->driver.state);
    for (size_t i = 0; i < METER_MAX_CHANNELS; i++)
        mem_free(m->lists[i].v);
    mem_free(m);
}

uint64_t meter_mark(struct meter *m)
{
    if (!m->polling)
        return clock_ns();
    (void)pthread_mutex_lock(&m->lock);
    const uint64_t t = read_all(m);
    (void)pthread_mutex_unlock(&m->lock);
    return t;
}

void meter_window(struct meter *m, uint64_t t0_ns, uint64_t t1_ns, size_t min_updates, struct meter_window *out)
{
    const struct meter_reading *readings[METER_MAX_CHANNELS] = {NULL};
    size_t n[METER_MAX_CHANNELS] = {0};
    const bool locked = m->polling;
    if (locked)
        (void)pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->driver.n_channels; i++) {
        readings[i] = m->lists[i].v;
        n[i] = m->lists[i].n;
    }
    meter_account_sum(m->driver.channels, readings, n, m->driver.n_channels, t0_ns, t1_ns, min_updates, out);
    if (locked)
        (void)pthread_mutex_unlock(&m->lock);
}

const char *meter_source(const struct meter *m)
{
    return m->driver.source;
}

const char *meter_scope(const struct meter *m)
{
    return m->scope;
}

const char *meter_reason(const struct meter *m)
{
    return m->reason.text;
}

size_t meter_n_channels(const struct meter *m)
{
    return m->driver.n_channels;
}

const struct meter_channel *meter_channel_at(const struct meter *m, size_t i)
{
    return &m->driver.channels[i];
}

const struct meter_reading *meter_readings(const struct meter *m, size_t i, size_t *n)
{
    *n = m->lists[i].n;
    return m->lists[i].v;
}

uint64_t meter_opened_ns(const struct meter *m)
{
    return m->opened_ns;
}
