#include "drive/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

const char *metric_name(enum metric m)
{
    switch (m) {
    case METRIC_TTFT:
        return "ttft_ms";
    case METRIC_TPOT:
        return "tpot_ms";
    case METRIC_E2E:
        return "e2e_ms";
    case METRIC_NTPOT:
        return "ntpot_ms";
    case METRIC_GAP_MAX:
        return "gap_max_ms";
    case METRIC_DECODE_RATE:
        return "decode_tok_s";
    case METRIC_PREFILL_RATE:
        return "prefill_tok_s";
    }
    return "unknown";
}

const char *metric_unit(enum metric m)
{
    return m == METRIC_DECODE_RATE || m == METRIC_PREFILL_RATE ? "tok/s" : "ms";
}

static double ms(uint64_t from_ns, uint64_t to_ns)
{
    return (double)(to_ns - from_ns) / 1e6;
}

static double gap_max_ms(const struct load_request *r)
{
    uint64_t longest = 0;
    for (size_t i = 1; i < r->n_events; i++) {
        uint64_t gap = r->t_event_ns[i] - r->t_event_ns[i - 1];
        if (gap > longest)
            longest = gap;
    }
    return (double)longest / 1e6;
}

double metric_value(enum metric m, const struct load_request *r, const struct load_cell *cell)
{
    if (r->status || r->n_events == 0)
        return (double)NAN;
    uint64_t first = r->t_event_ns[0];
    uint64_t last = r->t_event_ns[r->n_events - 1];
    double ttft = ms(r->t_start_ns, first);
    double e2e = ms(r->t_start_ns, last);
    double tpot = r->n_events > 1 ? ms(first, last) / (double)(r->n_events - 1) : (double)NAN;
    switch (m) {
    case METRIC_TTFT:
        return ttft;
    case METRIC_TPOT:
        return tpot;
    case METRIC_E2E:
        return e2e;
    case METRIC_NTPOT:
        return e2e / (double)r->n_events;
    case METRIC_GAP_MAX:
        return r->n_events > 1 ? gap_max_ms(r) : (double)NAN;
    case METRIC_DECODE_RATE:
        return 1000 / tpot;
    case METRIC_PREFILL_RATE:
        return cell->concurrency == 1 ? 1000 * (double)cell->in_tok / ttft : (double)NAN;
    }
    return (double)NAN;
}

struct window window_full(const struct load_result *r)
{
    return (struct window){.begin_ns = r->t_begin_ns, .end_ns = r->t_end_ns};
}

static int cmp_u64(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

enum status window_steady(const struct load_result *r, size_t concurrency, struct window *out, struct err *err)
{
    *out = (struct window){.begin_ns = r->t_begin_ns, .end_ns = r->t_begin_ns};
    if (r->n_requests < concurrency)
        return OK;
    void *p;
    enum status s = mem_alloc(&p, 2 * r->n_requests, sizeof(uint64_t), "steady window", err);
    if (s)
        return s;
    uint64_t *first = p;
    uint64_t *done = first + r->n_requests;
    size_t n_first = 0;
    for (size_t i = 0; i < r->n_requests; i++) {
        if (r->requests[i].n_events)
            first[n_first++] = r->requests[i].t_event_ns[0];
        done[i] = r->requests[i].t_done_ns;
    }
    if (n_first >= concurrency) {
        qsort(first, n_first, sizeof *first, cmp_u64);
        qsort(done, r->n_requests, sizeof *done, cmp_u64);
        // After all requests were sent, the (n - C + 1)-th end leaves fewer than C in flight.
        uint64_t begin = first[concurrency - 1];
        uint64_t end = done[r->n_requests - concurrency];
        if (end > begin)
            *out = (struct window){.begin_ns = begin, .end_ns = end};
    }
    mem_free(p);
    return OK;
}

bool window_holds(const struct window *w, const struct load_request *r)
{
    return r->t_start_ns >= w->begin_ns && r->t_done_ns <= w->end_ns;
}

uint64_t window_tokens(const struct window *w, const struct load_result *r)
{
    uint64_t n = 0;
    for (size_t i = 0; i < r->n_requests; i++)
        for (size_t j = 0; j < r->requests[i].n_events; j++) {
            uint64_t t = r->requests[i].t_event_ns[j];
            n += t > w->begin_ns && t <= w->end_ns;
        }
    return n;
}
