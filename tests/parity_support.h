#ifndef TESTS_PARITY_SUPPORT_H
#define TESTS_PARITY_SUPPORT_H

/* Our logits of a prompt against another program's: relative L2 and KL of each row. Include cmocka.h first. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine.h"

static inline int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

enum { MOST_ROWS = 256 };

struct row_errors {
    size_t n;
    double l2[MOST_ROWS], kl[MOST_ROWS];
};

static inline double log_sum_exp(const float *x, size_t n)
{
    double most = (double)x[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        most = (double)x[i] > most ? (double)x[i] : most;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - most);
    return most + log(sum);
}

/* Relative L2, and KL(reference || ours), of one row. */
static inline void add_row(struct row_errors *e, const float *reference, const float *ours, size_t n)
{
    double dd = 0, rr = 0, kl = 0;
    double zr = log_sum_exp(reference, n), zo = log_sum_exp(ours, n);
    for (size_t i = 0; i < n; i++) {
        double r = (double)reference[i], o = (double)ours[i];
        dd += (o - r) * (o - r);
        rr += r * r;
        kl += exp(r - zr) * ((r - zr) - (o - zo));
    }
    assert_true(e->n < MOST_ROWS);
    e->l2[e->n] = sqrt(dd / rr);
    e->kl[e->n++] = kl;
}

struct prompt {
    int32_t *ids;
    size_t n_ids;
    const cJSON *positions;
    uint16_t *routing; /* (layers, tokens, k) or NULL */
};

/* One prompt through a session; rows at the golden positions are compared as they come. */
static inline void run_prompt(struct model *m, const struct prompt *p, const float *reference, struct row_errors *e)
{
    struct err err = ERR_INIT;
    struct session *s = NULL;
    size_t vocab = model_info(m)->vocab_size, found = 0;
    const struct session_options options = {.n_parallel = 1, .context_tok = p->n_ids + 1, .prefill_chunk = 256};
    const struct request r = {.id = "", .prompt = p->ids, .n_prompt = p->n_ids, .max_tokens = 1,
                              .sampling = {.top_p = 1}, .ignore_stop_ids = true, .all_positions = true,
                              .forced_experts = p->routing};
    uint64_t handle = 0;
    if (session_new(&s, m, &options, &err) != OK || session_submit(s, &r, &handle, &err) != OK)
        fail_msg("%s", err.text);
    while (!session_idle(s)) {
        const struct event *events = NULL;
        size_t n = 0;
        if (session_step(s, &events, &n, &err) != OK)
            fail_msg("%s", err.text);
        for (size_t i = 0; i < n; i++) {
            if (events[i].kind == EVENT_DONE) {
                if (events[i].finish == FINISH_ERROR)
                    fail_msg("%s", events[i].message);
                continue;
            }
            const cJSON *position = cJSON_GetArrayItem(p->positions, (int)found);
            if (position == NULL || (size_t)position->valuedouble != events[i].position)
                continue;
            add_row(e, reference + found++ * vocab, events[i].logits, vocab);
        }
    }
    assert_int_equal(found, cJSON_GetArraySize(p->positions));
    session_free(s);
}

static inline struct prompt prompt_of(const cJSON *json, const uint8_t *routing, size_t n_layers, size_t k)
{
    struct prompt p = {.positions = json_get(json, "positions")};
    const cJSON *ids = json_get(json, "ids"), *id = NULL;
    p.n_ids = (size_t)cJSON_GetArraySize(ids);
    p.ids = calloc(p.n_ids, sizeof *p.ids);
    assert_non_null(p.ids);
    size_t i = 0;
    cJSON_ArrayForEach(id, ids)
        p.ids[i++] = (int32_t)id->valuedouble;
    if (routing != NULL) {
        p.routing = calloc(n_layers * p.n_ids * k, sizeof *p.routing);
        assert_non_null(p.routing);
        for (i = 0; i < n_layers * p.n_ids * k; i++)
            p.routing[i] = routing[i];
    }
    return p;
}

#endif
