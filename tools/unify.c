/* unify - the result files of every stage and model as one long table, a figure a row (measurement.md
 * 15); or, with --compat, the published study's raw files as its own unified files, with the headlines
 * re-derived and corrected (design/study.md). A file that is named must be there: nothing is skipped. */

#include "base/mem.h"
#include "study/study.h"
#include "lib/tool.h"
#include "study/unify_import.h"
#include "study/unify_rows.h"

struct args {
    struct cli_texts latency, throughput, memory, energy, accuracy, accuracy_cost, safety, ablation;
    bool compat;
    const char *study;
    const char *latency_out, *memory_out, *energy_out, *corrected_out, *headlines_out;
};

static const struct cli_option options[] = {
    CLI_TEXTS(struct args, latency, CLI_INPUT, "latency", 0, "FILE", "latency.csv"),
    CLI_TEXTS(struct args, throughput, CLI_INPUT, "throughput", 0, "FILE", "throughput.csv"),
    CLI_TEXTS(struct args, memory, CLI_INPUT, "memory", 0, "FILE", "memory.csv"),
    CLI_TEXTS(struct args, energy, CLI_INPUT, "energy", 0, "FILE", "energy.csv"),
    CLI_TEXTS(struct args, accuracy, CLI_INPUT, "accuracy", 0, "FILE", "accuracy.csv"),
    CLI_TEXTS(struct args, accuracy_cost, CLI_INPUT, "accuracy-cost", 0, "FILE", "accuracy_cost.csv"),
    CLI_TEXTS(struct args, safety, CLI_INPUT, "safety", 0, "FILE", "safety.csv"),
    CLI_TEXTS(struct args, ablation, CLI_INPUT, "ablation", 0, "FILE", "ablation.csv"),
    CLI_FLAG(struct args, compat, CLI_RECIPE, "compat", 0, "read the published study's raw files (--latency, --memory, --energy) and write its own formats"),
    CLI_TEXT(struct args, study, CLI_INPUT, "study", 0, "DIR", NULL, "with --compat: results folder of the study, in place of naming its files"),
    CLI_TEXT(struct args, latency_out, CLI_OUTPUT, "latency-out", 0, "FILE", NULL, "with --compat: the study's unified latency file"),
    CLI_TEXT(struct args, memory_out, CLI_OUTPUT, "memory-out", 0, "FILE", NULL, "with --compat: its unified memory file"),
    CLI_TEXT(struct args, energy_out, CLI_OUTPUT, "energy-out", 0, "FILE", NULL, "with --compat: its unified energy file"),
    CLI_TEXT(struct args, corrected_out, CLI_OUTPUT, "corrected-out", 0, "FILE", NULL, "with --compat: every cell with its figures corrected"),
    CLI_TEXT(struct args, headlines_out, CLI_OUTPUT, "headlines-out", 0, "FILE", NULL, "with --compat: its headlines: published, re-derived, corrected"),
    CLI_END,
};

enum { N_MEASURED = 5 }; /* the first five stages know their model */

static void stage_files(const struct args *a, struct cli_texts out[UNIFY_N_STAGES])
{
    out[0] = a->latency;
    out[1] = a->throughput;
    out[2] = a->memory;
    out[3] = a->energy;
    out[4] = a->ablation;
    out[5] = a->accuracy_cost;
    out[6] = a->accuracy;
    out[7] = a->safety;
}

static enum status unify(struct tool *t, const struct args *a, struct err *err)
{
    struct cli_texts files[UNIFY_N_STAGES];
    stage_files(a, files);
    size_t n_files = 0;
    size_t n_measured = 0;
    for (size_t k = 0; k < UNIFY_N_STAGES; k++) {
        n_files += files[k].n;
        n_measured += k < N_MEASURED ? files[k].n : 0;
    }
    if (n_files == 0)
        return err_set(err, ERR_USAGE, "no input: name at least one result file (--latency FILE, ...)");
    void *p = NULL;
    enum status s = mem_alloc(&p, n_files, sizeof(struct table *), "tables", err);
    if (s != OK)
        return s;
    struct table **tables = p;
    struct unifier u = {.facts = tables, .n_facts = n_measured};
    size_t at = 0;
    for (size_t k = 0; k < UNIFY_N_STAGES && s == OK; k++)
        for (size_t i = 0; i < files[k].n && s == OK; i++, at++) {
            s = tool_read_table(t, files[k].items[i], unify_stage(k)->schema, &tables[at], err);
            if (s == OK && table_n_rows(tables[at]) == 0) // a stage that found nothing is no silent gap
                s = err_set(err, ERR_FORMAT, "%s:2: expected at least one row, found none", files[k].items[i]);
        }
    if (s == OK)
        s = table_new(&u.out, "unified", err);
    at = 0;
    for (size_t k = 0; k < UNIFY_N_STAGES && s == OK; k++)
        for (size_t i = 0; i < files[k].n; i++, at++)
            for (size_t row = 0; row < table_n_rows(tables[at]); row++)
                unify_stage(k)->rows(&u, tables[at], row);
    if (s == OK)
        s = tool_put_table(t, tool_out(t), u.out, err);
    table_free(u.out);
    for (size_t i = 0; i < n_files; i++)
        table_free(tables[i]);
    mem_free(tables);
    return s;
}

/* Read the study's raw files of one kind and stack them. files->n 0: where --study has them. */
static enum status read_study(struct tool *t, const struct args *a, const struct cli_texts *files, size_t kind,
                              struct table **out, struct err *err)
{
    static const char *const schemas[3] = {"study_latency", "study_memory", "study_energy"};
    enum status (*const stack[3])(const struct table *const *, size_t, struct table **, struct err *) = {
        study_unify_latency, study_unify_memory, study_unify_energy};
    struct table *raw[STUDY_MODELS] = {NULL};
    const size_t n = a->study ? STUDY_MODELS : files->n;
    enum status s = OK;
    if (n == 0 || n > STUDY_MODELS)
        return err_set(err, ERR_USAGE, "--compat: expected --study DIR, or 1 to %d files each of --latency, --memory and --energy",
                       STUDY_MODELS);
    for (size_t i = 0; i < n && s == OK; i++) {
        const struct study_files *f = study_files(i);
        struct buf path = BUF_INIT;
        if (a->study)
            buf_printf(&path, "%s/%s", a->study, kind == 0 ? f->latency : kind == 1 ? f->memory : f->energy);
        else
            buf_str(&path, files->items[i]);
        s = buf_status(&path, "path", err);
        if (s == OK)
            s = tool_read_table(t, path.data, schemas[kind], &raw[i], err);
        buf_release(&path);
    }
    if (s == OK)
        s = stack[kind]((const struct table *const *)raw, n, out, err);
    for (size_t i = 0; i < STUDY_MODELS; i++)
        table_free(raw[i]);
    return s;
}

static enum status put(struct tool *t, const char *path, struct table *table, struct err *err)
{
    return path ? tool_put_table(t, path, table, err) : OK;
}

static enum status compat(struct tool *t, const struct args *a, struct err *err)
{
    if (!a->latency_out && !a->memory_out && !a->energy_out && !a->corrected_out && !a->headlines_out)
        return err_set(err, ERR_USAGE, "--compat: name at least one output (--headlines-out FILE, ...)");
    if (tool_out(t))
        return err_set(err, ERR_USAGE, "--compat writes through --latency-out and its kin; --out is for our own unified file");
    struct table *latency = NULL;
    struct table *memory = NULL;
    struct table *energy = NULL;
    struct table *corrected = NULL;
    struct table *headlines = NULL;
    enum status s;
    if ((s = read_study(t, a, &a->latency, 0, &latency, err)) == OK &&
        (s = read_study(t, a, &a->memory, 1, &memory, err)) == OK &&
        (s = read_study(t, a, &a->energy, 2, &energy, err)) == OK &&
        (s = study_corrected(latency, memory, energy, &corrected, err)) == OK &&
        (s = study_headlines(latency, memory, energy, &headlines, err)) == OK &&
        (s = put(t, a->latency_out, latency, err)) == OK && (s = put(t, a->memory_out, memory, err)) == OK &&
        (s = put(t, a->energy_out, energy, err)) == OK && (s = put(t, a->corrected_out, corrected, err)) == OK)
        s = put(t, a->headlines_out, headlines, err);
    table_free(headlines);
    table_free(corrected);
    table_free(energy);
    table_free(memory);
    table_free(latency);
    return s;
}

static enum status run(struct tool *t, const void *args, struct err *err)
{
    const struct args *a = args;
    if (a->compat)
        return compat(t, a, err);
    if (a->study || a->latency_out || a->memory_out || a->energy_out || a->corrected_out || a->headlines_out)
        return err_set(err, ERR_USAGE, "--study and its outputs need --compat");
    return unify(t, a, err);
}

static const struct tool_def unify_tool = {
    .name = "unify",
    .summary = "put the results of every stage and model into one long table",
    .options = options,
    .common = TOOL_OUT | TOOL_FORMAT,
    .args_b = sizeof(struct args),
    .run = run,
    .commands = (const struct tool_def *const[]){&unify_import, NULL},
};

int main(int argc, char **argv)
{
    return tool_main(&unify_tool, argc, argv);
}
