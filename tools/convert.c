#define _XOPEN_SOURCE 700
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "convert/convert_file.h"
#include "lib/tool.h"

/* convert: a model as a GGUF v3 file. */

struct args {
    const char *model, *out, *type, *output_type, *experts, *name;
};

#define TYPES "q8_0|q4_0|bf16|f16|f32"

static const struct cli_option options[] = {
    CLI_TEXT(struct args, model, CLI_INPUT, "model", 'm', "SOURCE", CLI_REQUIRED,
             "a Hugging Face directory, a GGUF file, or synthetic:NAME[,seed=N]"),
    CLI_TEXT(struct args, out, CLI_OUTPUT, "out", 'o', "FILE", CLI_REQUIRED, "the GGUF file to write; - is standard output"),
    CLI_CHOICE(struct args, type, CLI_RECIPE, "type", 0, TYPES, "q8_0",
               "matrices; vectors and routers are always f32"),
    CLI_CHOICE(struct args, output_type, CLI_RECIPE, "output-type", 0, TYPES, NULL,
               "output matrix, or the embedding that serves as one (default: q8_0 with --type q4_0, else as --type)"),
    CLI_CHOICE(struct args, experts, CLI_RECIPE, "experts", 0, "mxfp4|" TYPES, NULL,
               "matrices of experts (default: mxfp4, bit for bit where the source has it)"),
    CLI_TEXT(struct args, name, CLI_RECIPE, "name", 0, "TEXT", NULL, "general.name (default: the source's own)"),
    CLI_END,
};

static enum quant quant_named(const char *name)
{
    for (enum quant q = QUANT_F32; q < QUANT_MXFP4_SPLIT; q++)
        if (quant_type(q) && strcmp(quant_type(q)->name, name) == 0)
            return q;
    return QUANT_NONE;
}

static struct plan_types types_of(const struct args *a)
{
    struct plan_types t = {.matrices = quant_named(a->type)};
    t.head = a->output_type ? quant_named(a->output_type) : t.matrices == QUANT_Q4_0 ? QUANT_Q8_0 : t.matrices;
    t.experts = a->experts ? quant_named(a->experts) : QUANT_MXFP4;
    return t;
}

static enum status run(struct tool *t, const void *vargs, struct err *err)
{
    const struct args *a = vargs;
    const struct convert_options o = {.types = types_of(a), .name = a->name, .n_threads = tool_threads(t)};
    uint64_t from_ns = clock_ns();
    struct convert_source s;
    struct convert_result r;
    struct rusage used = {.ru_maxrss = 0};
    enum status st = source_open(&s, a->model, err);
    if (st)
        return st;
    if (a->experts && !s.config.n_experts)
        st = err_set(err, ERR_USAGE, "--experts: expected a model with experts, found '%s' without", s.name);
    if (!st && !(st = convert_file(&s, a->out, &o, tool_progress(t), &r, err))) {
        (void)getrusage(RUSAGE_SELF, &used);
        tool_note(t, "%s %s: %zu tensors, %zu bytes, %.1f s, at most %ld KiB of memory", a->out,
                  r.changed ? "written" : "is up to date", r.n_tensors, r.n_bytes, (double)(clock_ns() - from_ns) * 1e-9,
                  used.ru_maxrss);
    }
    source_close(&s);
    return st;
}

int main(int argc, char **argv)
{
    static const struct tool_def def = {
        .name = "convert",
        .summary = "write a model as a GGUF file, re-quantised",
        .options = options,
        .common = TOOL_THREADS,
        .args_b = sizeof(struct args),
        .run = run,
    };
    return tool_main(&def, argc, argv);
}
