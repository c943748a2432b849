#include "drive/rows.h"

#include <math.h>
#include <stdio.h>

enum status drive_open_model(struct tool *t, const char *source, const struct model_options *opt, struct model **out,
                             struct err *err)
{
    enum status s = model_open(out, source, opt, err);
    if (s)
        return s;
    const struct model_info *i = model_info(*out);
    prov_backend(tool_prov(t), i->backend, i->isa);
    prov_numerics(tool_prov(t), i->numerics);
    return tool_input_model(t, source, i->name, i->dir, i->files, i->n_files, err);
}

static void set_text(struct table *t, const char *column, const char *v)
{
    if (schema_column(table_schema(t), column) != SIZE_MAX)
        table_set_text(t, column, v);
}

static void set_i64(struct table *t, const char *column, uint64_t v)
{
    if (schema_column(table_schema(t), column) != SIZE_MAX)
        table_set_i64(t, column, (int64_t)v);
}

void drive_row(struct table *t, const struct model *m, bool draft)
{
    const struct model_info *i = model_info(m);
    char device[64];
    (void)snprintf(device, sizeof device, "%s/%s/%zut", i->backend, i->isa, i->n_threads);
    table_row(t);
    set_text(t, "engine", "assay");
    set_text(t, "model", i->name);
    set_text(t, "arch", i->arch);
    set_text(t, "weights", i->synthetic ? "synthetic" : "real");
    set_text(t, "weight_format", i->weight_format);
    set_i64(t, "weight_b", i->weights_b);
    set_i64(t, "active_params", i->active_params);
    set_i64(t, "total_params", i->total_params);
    set_text(t, "numerics", i->numerics);
    set_text(t, "device", device);
    if (schema_column(table_schema(t), "draft") != SIZE_MAX)
        table_set_bool(t, "draft", draft);
}

void drive_real(struct table *t, const char *column, double v)
{
    if (isfinite(v))
        table_set_f64(t, column, v);
}

void drive_interval(struct table *t, const struct stats_interval *ci, const char *method)
{
    if (!ci->lo_open)
        drive_real(t, "ci_lo", ci->lo);
    if (!ci->hi_open)
        drive_real(t, "ci_hi", ci->hi);
    if (method)
        table_set_text(t, "ci_method", method);
}

void drive_digest(struct table *t, const char *column, const uint8_t d[DIGEST_B])
{
    char hex[DIGEST_HEX_LEN + 1];
    digest_hex(d, hex);
    table_set_text(t, column, hex);
}
