#include <string.h>

#include "meter/meter.h"

const char *meter_fault_name(enum meter_fault f)
{
    switch (f) {
    case METER_FINE:
        return "";
    case METER_NO_START:
        return "no_reading_at_start";
    case METER_NO_END:
        return "no_reading_at_end";
    case METER_RESET:
        return "counter_reset";
    case METER_JUMP:
        return "implausible_jump";
    case METER_GAP:
        return "gap";
    case METER_FEW_UPDATES:
        return "few_updates";
    }
    return "";
}

#define NS_PER_S UINT64_C(1000000000)

/* value x ns / 1e9 without losing the remainder between additions: uW x ns / 1e9 = fJ-exact uJ. */
struct integral {
    uint64_t whole;     /* uJ */
    uint64_t remainder; /* uJ x 1e-9 */
};

static void add_power(struct integral *e, uint64_t uw, uint64_t ns)
{
    // uw <= 1e10 and ns <= 1e9 (a longer stretch is a gap): the product fits.
    const uint64_t product = uw * ns + e->remainder;
    e->whole += product / NS_PER_S;
    e->remainder = product % NS_PER_S;
}

static bool plausible(uint64_t uj, uint64_t ns)
{
    // uJ <= 10 kW x (time + 250 ms): a register that is updated every 100 ms shows the energy of all of
    // them between two readings a microsecond apart.
    return uj / (METER_MAX_UW / 1000000) <= (ns + UINT64_C(250000000)) / 1000;
}

/* last ok reading at or before t; n when there is none. */
static size_t last_before(const struct meter_reading *r, size_t n, uint64_t t)
{
    size_t found = n;
    for (size_t i = 0; i < n && r[i].t_ns <= t; i++)
        if (r[i].ok)
            found = i;
    return found;
}

/* What both kinds count: readings, failures and updates inside (t0, t1]. A counter's update is a change
 * of its value; power may stay what it was, so there every reading counts as one. */
static void count(enum meter_kind kind, const struct meter_reading *r, size_t n, uint64_t t0, uint64_t t1,
                  struct meter_window *out)
{
    uint64_t first = 0;
    uint64_t last = 0;
    const struct meter_reading *before = NULL;
    for (size_t i = 0; i < n && r[i].t_ns <= t1; i++) {
        const bool inside = r[i].t_ns > t0;
        out->n_readings += inside;
        out->n_missing += inside && !r[i].ok;
        if (!r[i].ok)
            continue;
        if (inside && (kind == METER_POWER || (before && before->value != r[i].value))) {
            last = r[i].t_ns;
            if (out->n_updates++ == 0)
                first = last;
        }
        before = &r[i];
    }
    if (out->n_updates > 1)
        out->update_ns = (last - first) / (out->n_updates - 1);
}

static enum meter_fault counter_energy(const struct meter_channel *c, const struct meter_reading *r, size_t n,
                                       uint64_t t0, uint64_t t1, uint64_t *uj)
{
    const size_t from = last_before(r, n, t0);
    const size_t to = last_before(r, n, t1);
    if (from == n || t0 - r[from].t_ns > METER_MAX_GAP_NS)
        return METER_NO_START;
    if (t1 - r[to].t_ns > METER_MAX_GAP_NS)
        return METER_NO_END;
    uint64_t sum = 0;
    const struct meter_reading *before = &r[from];
    for (size_t i = from + 1; i <= to; i++) {
        if (!r[i].ok)
            continue;
        const uint64_t ns = r[i].t_ns - before->t_ns;
        uint64_t rise;
        if (c->range_uj > 0 && plausible(c->range_uj, ns))
            return METER_GAP; // a whole turn may lie between the two
        if (r[i].value >= before->value) {
            rise = r[i].value - before->value;
            if (!plausible(rise, ns))
                return METER_JUMP;
        } else {
            if (c->range_uj == 0 || before->value > c->range_uj)
                return METER_RESET;
            rise = c->range_uj - before->value + r[i].value;
            if (!plausible(rise, ns))
                return METER_RESET;
        }
        sum += rise;
        before = &r[i];
    }
    *uj = sum;
    return METER_FINE;
}

static enum meter_fault power_energy(const struct meter_reading *r, size_t n, uint64_t t0, uint64_t t1, uint64_t *uj)
{
    struct integral e = {0, 0};
    uint64_t at = t0; // integrated up to here
    for (size_t i = 0; i < n && at < t1; i++) {
        if (!r[i].ok || r[i].t_ns <= t0)
            continue;
        const uint64_t upto = r[i].t_ns < t1 ? r[i].t_ns : t1;
        if (r[i].t_ns - at > METER_MAX_GAP_NS)
            return METER_GAP;
        if (r[i].value > METER_MAX_UW)
            return METER_JUMP;
        add_power(&e, r[i].value, upto - at);
        at = upto;
    }
    if (at < t1)
        return at == t0 ? METER_NO_START : METER_NO_END;
    *uj = e.whole;
    return METER_FINE;
}

static enum meter_fault energy(const struct meter_channel *c, const struct meter_reading *r, size_t n, uint64_t t0,
                               uint64_t t1, uint64_t *uj)
{
    *uj = 0;
    return c->kind == METER_COUNTER ? counter_energy(c, r, n, t0, t1, uj) : power_energy(r, n, t0, t1, uj);
}

static void fail(struct meter_window *out, enum meter_fault f)
{
    if (out->valid) {
        out->valid = false;
        out->reason = meter_fault_name(f);
        out->energy_uj = 0;
        out->peak_uw = 0;
    }
}

void meter_account(const struct meter_channel *channel, const struct meter_reading *readings, size_t n, uint64_t t0_ns,
                   uint64_t t1_ns, size_t min_updates, struct meter_window *out)
{
    meter_account_sum(channel, &readings, &n, 1, t0_ns, t1_ns, min_updates, out);
}

/* Highest mean of one second, stepping by whole seconds from t0. */
static uint64_t peak(const struct meter_channel *channels, const struct meter_reading *const *readings,
                     const size_t *n, size_t n_channels, uint64_t t0, uint64_t t1)
{
    uint64_t best = 0;
    for (uint64_t t = t0; t1 - t >= NS_PER_S; t += NS_PER_S) {
        uint64_t sum = 0;
        for (size_t c = 0; c < n_channels; c++) {
            uint64_t uj = 0;
            if (!channels[c].check_only)
                (void)energy(&channels[c], readings[c], n[c], t, t + NS_PER_S, &uj); // the window is valid already
            sum += uj;
        }
        best = sum > best ? sum : best;
    }
    return best;
}

void meter_account_sum(const struct meter_channel *channels, const struct meter_reading *const *readings,
                       const size_t *n, size_t n_channels, uint64_t t0_ns, uint64_t t1_ns, size_t min_updates,
                       struct meter_window *out)
{
    *out = (struct meter_window){.valid = true, .reason = "", .window_ns = t1_ns > t0_ns ? t1_ns - t0_ns : 0};
    if (n_channels == 0) {
        fail(out, METER_FINE);
        out->reason = "no_meter";
        return;
    }
    uint64_t check_uj = 0;
    bool checked = false;
    bool first = true;
    uint64_t edge_ns = 0;
    for (size_t c = 0; c < n_channels; c++) {
        uint64_t uj;
        const enum meter_fault f = energy(&channels[c], readings[c], n[c], t0_ns, t1_ns, &uj);
        if (channels[c].check_only) {
            checked = checked || f == METER_FINE;
            check_uj += uj;
            continue;
        }
        if (f != METER_FINE)
            fail(out, f);
        struct meter_window w = {.n_updates = 0};
        count(channels[c].kind, readings[c], n[c], t0_ns, t1_ns, &w);
        out->energy_uj += out->valid ? uj : 0;
        out->n_readings += w.n_readings;
        out->n_missing += w.n_missing;
        out->n_updates = first || w.n_updates < out->n_updates ? w.n_updates : out->n_updates;
        out->update_ns = w.update_ns > out->update_ns ? w.update_ns : out->update_ns;
        edge_ns = w.update_ns + channels[c].averaging_ns > edge_ns ? w.update_ns + channels[c].averaging_ns : edge_ns;
        first = false;
    }
    // A register that never moved has an unknown period: the edges are the whole window.
    if (out->n_updates < 2)
        edge_ns = out->window_ns;
    out->edge_ppm = out->window_ns > 0 ? edge_ns / 1000 * 1000000 / (out->window_ns / 1000 + 1) : 1000000;
    if (out->n_updates < min_updates)
        fail(out, METER_FEW_UPDATES);
    if (!out->valid)
        return;
    out->peak_uw = peak(channels, readings, n, n_channels, t0_ns, t1_ns);
    const uint64_t apart = check_uj > out->energy_uj ? check_uj - out->energy_uj : out->energy_uj - check_uj;
    out->suspect = checked && apart > out->energy_uj / 20;
}
