#ifndef ASSAY_TESTS_CUDA_TEST_H
#define ASSAY_TESTS_CUDA_TEST_H

#include <stdio.h>

#include "cpu_test.h"
#include "cuda/device.h"

/* The same operator on the CPU's scalar twin and on the CUDA kernels run by the host (or, with
 * ASSAY_TEST_DEVICE=cuda, on a GPU): same inputs, poisoned outputs, all bytes compared. */

struct twins {
    struct backend *of[2]; // scalar, cuda
    void *dev[2][32];      // allocated on each, in the same order
    size_t n_dev;
};

static inline void check_ok(enum status s, const struct err *err)
{
    if (s)
        fail_msg("%s", err->text);
}

static inline struct backend *new_cuda(enum sim_order order, uint64_t seed)
{
    const struct sim_options opt = {.order = order, .seed = seed, .check_lanes = order == SIM_UP};
    const char *which = getenv("ASSAY_TEST_DEVICE");
    struct err err = ERR_INIT;
    struct device *d = NULL;
    struct backend *b = NULL;
    if (which && strcmp(which, "cuda") == 0)
        check_ok(cuda_device_new(&d, &err), &err);
    else
        check_ok(sim_device_new(&d, &opt, &err), &err);
    check_ok(cuda_backend_on(&b, d, 2, (uint64_t)192 << 20, &err), &err);
    return b;
}

static inline void twins_new(struct twins *w, enum sim_order order, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->of[0] = new_backend("scalar", 1);
    w->of[1] = new_cuda(order, seed);
}

/* twins_take - n bytes on both, from host, or poisoned where host is NULL; names them by a number. */
static inline size_t twins_take(struct twins *w, const void *host, size_t n)
{
    struct err err = ERR_INIT;
    uint8_t *poison = new_mem(n, 1);
    memset(poison, 0xff, n);
    for (size_t i = 0; i < 2; i++) {
        void **p = &w->dev[i][w->n_dev];
        check_ok(w->of[i]->ops->alloc(w->of[i], p, n, "test", &err), &err);
        check_ok(w->of[i]->ops->upload(w->of[i], *p, host ? host : poison, n, &err), &err);
    }
    mem_free(poison);
    return w->n_dev++;
}

static inline void twins_drop(struct twins *w)
{
    while (w->n_dev > 0) {
        w->n_dev--;
        for (size_t i = 0; i < 2; i++)
            w->of[i]->ops->release(w->of[i], w->dev[i][w->n_dev]);
    }
}

static inline void twins_free(struct twins *w)
{
    twins_drop(w);
    for (size_t i = 0; i < 2; i++)
        w->of[i]->ops->free(w->of[i]);
}

/* twins_same - the n bytes under a number, on both; msg names the case. */
static inline void twins_same(struct twins *w, size_t number, size_t n, const char *msg)
{
    struct err err = ERR_INIT;
    uint8_t *host[2];
    for (size_t i = 0; i < 2; i++) {
        host[i] = new_mem(n, 1);
        check_ok(w->of[i]->ops->download(w->of[i], host[i], w->dev[i][number], n, &err), &err);
    }
    for (size_t i = 0; i < n; i++)
        if (host[0][i] != host[1][i])
            fail_msg("%s: byte %zu of %zu: scalar %02x, cuda %02x", msg, i, n, host[0][i], host[1][i]);
    mem_free(host[0]);
    mem_free(host[1]);
}

/* Rows of one sequence from position pos0 on, or of several. */
struct step_rows {
    struct rows rows[2];
    uint32_t seq[64], pos[64], fault[2][64];
};

static inline void step_begin(struct twins *w, struct step_rows *s, size_t n)
{
    struct err err = ERR_INIT;
    for (size_t i = 0; i < 2; i++) {
        memset(s->fault[i], 0, sizeof s->fault[i]);
        s->rows[i] = (struct rows){.n = n, .seq = s->seq, .pos = s->pos, .fault = s->fault[i]};
        check_ok(w->of[i]->ops->begin(w->of[i], &s->rows[i], &err), &err);
    }
}

static inline void step_end(struct twins *w, struct step_rows *s, const char *msg)
{
    struct err err = ERR_INIT;
    for (size_t i = 0; i < 2; i++)
        check_ok(w->of[i]->ops->end(w->of[i], &s->rows[i], &err), &err);
    for (size_t t = 0; t < s->rows[0].n; t++)
        if (s->fault[0][t] != s->fault[1][t])
            fail_msg("%s: fault of row %zu: scalar %x, cuda %x", msg, t, s->fault[0][t], s->fault[1][t]);
}

/* Every order in which the host may run threads; a GPU has one of its own. */
static inline void each_order(void (*fn)(struct twins *w))
{
    static const enum sim_order orders[] = {SIM_UP, SIM_DOWN, SIM_SHUFFLED};
    const char *which = getenv("ASSAY_TEST_DEVICE");
    size_t n = which && strcmp(which, "cuda") == 0 ? 1 : 3;
    for (size_t i = 0; i < n; i++) {
        struct twins w;
        twins_new(&w, orders[i], i);
        fn(&w);
        twins_free(&w);
    }
}

#endif
