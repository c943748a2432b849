#include "drive/rows.h"

#include <math.h>
#include <stdio.h>

enum status drive_open_model(struct tool *t, const char *source, const struct model_options *opt, struct model **out,
                             struct err *err)
{
    const enum status s = model_open(out, source, opt, err);
    return s ? s : drive_record_model(t, source, *out, err);
}

enum status drive_record_model(struct tool *t, const char *source, const struct model *m, struct err *err)
{
    const struct model_info *i = model_info(m);
    prov_backend(tool_prov(t), i->backend, i->isa);
    prov_numerics(tool_prov(t), i->numerics);
    if (i->chat_note)
        tool_warn(t, "%s", i->chat_note);
    return i->definition ? tool_input_definition(t, source, i->name, i->definition, err)
                         : tool_input_model(t, source, i->name, i->dir, i->files, i->n_files, err);
}

static void set_text(struct table *t, const char *column, const char *v)
{
    if (schema_column(table_schema(t), column) != SIZE_MAX)
        table_set_text(t, column, v);
}

static void set_i64(struct table *t, const char *column, uint64_t v)
{
    if (v && schema_column(table_schema(t), column) != SIZE_MAX)
        table_set_i64(t, column, (int64_t)v);
}

void drive_facts_of(const struct model *m, struct drive_facts *out)
{
    const struct model_info *i = model_info(m);
    *out = (struct drive_facts){.engine = "assay",
                                .weight_b = i->weights_b,
                                .active_params = i->active_params,
                                .total_params = i->total_params,
                                .decode_weights_b = i->decode_weights_b,
                                .expert_b = i->expert_b,
                                .n_experts = i->n_experts,
                                .n_experts_used = i->n_experts_used};
    (void)snprintf(out->model, sizeof out->model, "%s", i->name);
    (void)snprintf(out->arch, sizeof out->arch, "%s", i->arch);
    (void)snprintf(out->weights, sizeof out->weights, "%s", i->synthetic ? "synthetic" : "real");
    (void)snprintf(out->weight_format, sizeof out->weight_format, "%s", i->weight_format);
    (void)snprintf(out->numerics, sizeof out->numerics, "%s", i->numerics);
    (void)snprintf(out->device, sizeof out->device, "%s/%s/%zut", i->backend, i->isa, i->n_threads);
}

void drive_row_of(struct table *t, const struct drive_facts *f, bool draft)
{
    table_row(t);
    set_text(t, "engine", f->engine);
    set_text(t, "model", f->model);
    set_text(t, "arch", f->arch);
    set_text(t, "weights", f->weights);
    set_text(t, "weight_format", f->weight_format);
    set_i64(t, "weight_b", f->weight_b);
    set_i64(t, "active_params", f->active_params);
    set_i64(t, "total_params", f->total_params);
    set_text(t, "numerics", f->numerics);
    set_text(t, "device", f->device);
    if (schema_column(table_schema(t), "draft") != SIZE_MAX)
        table_set_bool(t, "draft", draft);
}

void drive_row(struct table *t, const struct model *m, bool draft)
{
    struct drive_facts f;
    drive_facts_of(m, &f);
    drive_row_of(t, &f, draft);
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
