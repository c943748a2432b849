// A recorded trace replayed: for meters that write files (a wall meter), and for tests.
#include <string.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "base/num.h"
#include "lib/csvio.h"
#include "meter/meter_internal.h"

struct trace {
    size_t n;
    uint64_t *t_ns;   // ascending, from the moment of opening
    uint64_t *values; // uJ or uW
};

/* The register's state: the last row at or before now. Before the first row and once the trace is over
 * by more than the gap limit there is nothing to read. */
static void trace_read(void *state, uint64_t since_ns, uint64_t *values, bool *ok)
{
    const struct trace *t = state;
    size_t from = 0;
    size_t to = t->n; // rows before `from` are at or before now
    while (from < to) {
        const size_t mid = from + (to - from) / 2;
        if (t->t_ns[mid] <= since_ns)
            from = mid + 1;
        else
            to = mid;
    }
    ok[0] = from > 0 && since_ns - t->t_ns[from - 1] <= METER_MAX_GAP_NS;
    values[0] = ok[0] ? t->values[from - 1] : 0;
}

static void trace_close(void *state)
{
    struct trace *t = state;
    mem_free(t->t_ns);
    mem_free(t->values);
    mem_free(t);
}

static enum status cell(const struct csv *csv, size_t row, size_t col, const char *path, const char *what, uint64_t *out,
                        struct err *err)
{
    const struct csv_field *f = csv_at(csv, row, col);
    int64_t v;
    const enum status s = num_parse_i64(f->text, 0, INT64_MAX, what, &v, err);
    if (s != OK) {
        err_prefix(err, "%s:%zu:%zu", path, f->line, f->column);
        return ERR_FORMAT;
    }
    *out = (uint64_t)v;
    return OK;
}

static enum status header(struct meter_channel *c, const struct csv *csv, const char *path, struct err *err)
{
    const char *first = csv_at(csv, 0, 0)->text;
    const char *second = csv->n_cols >= 2 ? csv_at(csv, 0, 1)->text : "";
    const char *third = csv->n_cols == 3 ? csv_at(csv, 0, 2)->text : "";
    const bool power = strcmp(second, "power_uw") == 0;
    if (strcmp(first, "t_ns") != 0 || (!power && strcmp(second, "energy_uj") != 0) || csv->n_cols > 3 ||
        (csv->n_cols == 3 && strcmp(third, power ? "averaging_ns" : "range_uj") != 0))
        return err_set(err, ERR_FORMAT,
                       "%s:1: expected t_ns,energy_uj[,range_uj] or t_ns,power_uw[,averaging_ns], found '%s,%s'", path,
                       first, second);
    *c = (struct meter_channel){.name = "trace", .scope = "wall", .kind = power ? METER_POWER : METER_COUNTER};
    return OK;
}

static enum status fill(struct meter_driver *d, struct trace *t, const struct csv *csv, const char *path,
                        struct err *err)
{
    enum status s = header(&d->channels[0], csv, path, err);
    if (s != OK)
        return s;
    if (csv->n_rows < 2)
        return err_set(err, ERR_FORMAT, "%s: a trace needs at least one row", path);
    void *times = NULL;
    void *values = NULL;
    if ((s = mem_alloc(&times, csv->n_rows - 1, sizeof(uint64_t), "trace", err)) != OK)
        return s;
    t->t_ns = times;
    if ((s = mem_alloc(&values, csv->n_rows - 1, sizeof(uint64_t), "trace", err)) != OK)
        return s;
    t->values = values;
    const bool power = d->channels[0].kind == METER_POWER;
    for (size_t r = 1; r < csv->n_rows && s == OK; r++) {
        const size_t i = t->n++;
        uint64_t third = 0;
        if ((s = cell(csv, r, 0, path, "t_ns", &t->t_ns[i], err)) != OK ||
            (s = cell(csv, r, 1, path, power ? "power_uw" : "energy_uj", &t->values[i], err)) != OK ||
            (csv->n_cols == 3 && (s = cell(csv, r, 2, path, power ? "averaging_ns" : "range_uj", &third, err)) != OK))
            return s;
        uint64_t *constant = power ? &d->channels[0].averaging_ns : &d->channels[0].range_uj;
        if (r > 1 && third != *constant)
            return err_set(err, ERR_FORMAT, "%s:%zu: the third column must not change", path, csv_at(csv, r, 0)->line);
        *constant = third;
        if (i > 0 && t->t_ns[i] <= t->t_ns[i - 1])
            return err_set(err, ERR_FORMAT, "%s:%zu: t_ns must rise, found %llu after %llu", path,
                           csv_at(csv, r, 0)->line, (unsigned long long)t->t_ns[i],
                           (unsigned long long)t->t_ns[i - 1]);
    }
    return s;
}

enum status meter_trace_open(struct meter_driver *d, const char *path, struct err *err)
{
    struct mapfile file;
    struct csv csv = {.n_cols = 0};
    void *p = NULL;
    enum status s = mapfile_open(&file, path, err);
    if (s != OK)
        return s;
    if ((s = mem_alloc(&p, 1, sizeof(struct trace), "trace", err)) == OK &&
        (s = csv_parse_bytes(&csv, (const char *)file.data, file.size, path, err)) == OK)
        s = fill(d, p, &csv, path, err);
    csv_release(&csv);
    mapfile_close(&file);
    if (s != OK) {
        if (p)
            trace_close(p);
        return s;
    }
    d->source = "trace";
    d->state = p;
    d->n_channels = 1;
    d->read = trace_read;
    d->close = trace_close;
    return OK;
}
