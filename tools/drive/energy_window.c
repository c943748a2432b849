#include "drive/energy_window.h"

#include <math.h>

#include "base/mem.h"

static void add_segment(struct energy_window *w, struct meter *meter, const struct phase_segment *g)
{
    struct meter_window m;
    meter_window(meter, g->t0_ns, g->t1_ns, 0, &m);
    w->t1_ns = g->t1_ns;
    if (!m.valid && w->valid) {
        w->valid = false;
        w->reason = m.reason;
    }
    w->energy_uj += m.energy_uj;
    w->ns += m.window_ns;
    w->n_updates += m.n_updates;
    w->n_missing += m.n_missing;
    w->update_ns = m.update_ns > w->update_ns ? m.update_ns : w->update_ns;
    w->edge_ns += m.edge_ppm * (m.window_ns / 1000) / 1000;
    w->peak_uw = m.peak_uw > w->peak_uw ? m.peak_uw : w->peak_uw;
    w->suspect = w->suspect || m.suspect;
    w->in_tok += g->in_tok;
    w->out_tok += g->out_tok;
    w->n_req += g->n_req;
}

void energy_window_measure(struct energy_window *w, struct meter *meter, const struct phase_result *r,
                           size_t min_updates)
{
    *w = (struct energy_window){.done = true, .valid = r->n_segments > 0, .reason = ""};
    if (r->n_segments > 0)
        w->t0_ns = r->segments[0].t0_ns;
    for (size_t i = 0; i < r->n_segments; i++)
        add_segment(w, meter, &r->segments[i]);
    if (w->valid && w->n_updates < min_updates) {
        w->valid = false;
        w->reason = meter_fault_name(METER_FEW_UPDATES);
    }
    if (!w->valid)
        w->energy_uj = 0;
}

enum status energy_sums_init(struct energy_sums *u, size_t n, struct err *err)
{
    *u = (struct energy_sums){.n = 0};
    void *p = NULL;
    enum status s = mem_alloc(&p, n, 3 * sizeof(double), "window sums", err);
    if (s != OK)
        return s;
    u->joules = p;
    u->net = u->joules + n;
    u->tok = u->net + n;
    s = mem_alloc(&p, n + 1, sizeof(size_t), "window sums", err);
    if (s == OK)
        u->begin = p;
    return s;
}

void energy_sums_release(struct energy_sums *u)
{
    mem_free(u->joules); // net and tok lie behind it
    mem_free(u->begin);
}

void energy_sums_add_up(struct energy_sums *u, const struct energy_window *windows, size_t n, double idle_w,
                        bool per_input)
{
    *u = (struct energy_sums){.joules = u->joules, .net = u->net, .tok = u->tok, .begin = u->begin};
    for (size_t i = 0; i < n; i++) {
        const struct energy_window *w = &windows[i];
        if (!w->done)
            continue;
        if (!w->valid) {
            u->reason = u->reason ? u->reason : w->reason;
            continue;
        }
        const double seconds = (double)w->ns * 1e-9;
        u->joules[u->n] = (double)w->energy_uj * 1e-6;
        u->net[u->n] = u->joules[u->n] - idle_w * seconds;
        u->tok[u->n] = (double)(per_input ? w->in_tok : w->out_tok);
        u->begin[u->n] = u->n;
        u->j += u->joules[u->n];
        u->s += seconds;
        u->in_tok += (double)w->in_tok;
        u->out_tok += (double)w->out_tok;
        u->n_req += (double)w->n_req;
        u->edge_s += (double)w->edge_ns * 1e-9;
        u->n_updates += w->n_updates;
        u->update_ns = w->update_ns > u->update_ns ? w->update_ns : u->update_ns;
        u->peak_uw = w->peak_uw > u->peak_uw ? w->peak_uw : u->peak_uw;
        u->suspect = u->suspect || w->suspect;
        u->n++;
    }
    u->begin[u->n] = u->n;
}

enum status energy_sums_per_token(const struct energy_sums *u, const double *joules, uint64_t seed, const char *name,
                                  double *value, struct stats_interval *ci, struct err *err)
{
    *value = (double)NAN;
    *ci = (struct stats_interval){(double)NAN, (double)NAN, true, true};
    double sum = 0;
    double tok = 0;
    for (size_t i = 0; i < u->n; i++) {
        sum += joules[i];
        tok += u->tok[i];
    }
    if (!(tok > 0) || !isfinite(sum))
        return OK;
    *value = sum / tok;
    if (u->n < 2)
        return OK;
    const struct stats_blocks blocks = {.n_blocks = u->n, .begin = u->begin};
    const struct stats_pair pair = {.num = joules, .den = u->tok};
    const struct stats_statistic ratio = {.of = stats_of_ratio, .arg = &pair};
    return stats_bootstrap(&blocks, &ratio, STATS_WHOLE_BLOCK, STATS_DRAWS, seed, name, ci, err);
}
