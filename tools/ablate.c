/* ablate - change one factor at a time against a baseline, in the same randomised blocks, and print
 * ratios with intervals (measurement.md 8, 14). A level that cannot run is a row with its reason. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "drive/ablate_rows.h"
#include "drive/blocks.h"
#include "drive/rows.h"
#include "lib/stats.h"
#include "lib/tool.h"

struct args {
    const char *backend, *tile_cache;
    int64_t device_memory;
    const char *model, *factors, *alt_model, *isa;
    struct cli_ints contexts, threads, chunks, concurrency;
    int64_t in_tok, out_tok, blocks, requests, prefill_chunk;
    bool draft;
};

static const struct cli_option options[] = {
    CLI_TEXT(struct args, model, CLI_INPUT, "model", 'm', "SOURCE", CLI_REQUIRED, "directory, .gguf file, or synthetic:NAME"),
    CLI_TEXT(struct args, factors, CLI_RECIPE, "factors", 0, "LIST", "decoding,context,weight-format,threads,isa,prefill-chunk,concurrency", "factors to ablate, comma-separated"),
    CLI_TEXT(struct args, alt_model, CLI_INPUT, "alt-model", 0, "SOURCE", NULL, "the same model in another weight format (factor weight-format)"),
    CLI_INTS(struct args, contexts, CLI_RECIPE, "contexts", 0, "N,...", "512,1024,2048,4096", 1, 1 << 20, "prompt lengths of factor context (tokens)"),
    CLI_INTS(struct args, threads, CLI_RECIPE, "thread-levels", 0, "N,...", "1,2", 1, 1024, "levels of factor threads"),
    CLI_INTS(struct args, chunks, CLI_RECIPE, "chunk-levels", 0, "N,...", "16,64", 1, 1 << 20, "levels of factor prefill-chunk (tokens)"),
    CLI_INTS(struct args, concurrency, CLI_RECIPE, "concurrency-levels", 0, "N,...", "2,4,8", 1, 4096, "levels of factor concurrency"),
    CLI_INT(struct args, in_tok, CLI_RECIPE, "in-tok", 0, "N", "128", 1, 1 << 20, "prompt length of the baseline (tokens)"),
    CLI_INT(struct args, out_tok, CLI_RECIPE, "out-tok", 0, "N", "32", 2, 1 << 20, "generated length (tokens)"),
    CLI_INT(struct args, blocks, CLI_RECIPE, "blocks", 0, "N", "5", 1, 10000, "randomised complete blocks"),
    CLI_INT(struct args, requests, CLI_RECIPE, "requests", 'n', "N", "5", 1, 1000000, "requests of each level in a block"),
    CLI_INT(struct args, prefill_chunk, CLI_RECIPE, "prefill-chunk", 0, "N", "0", 0, 1 << 20, "prefill chunk of the baseline (tokens, 0 = what a step takes)"),
    CLI_TEXT(struct args, isa, CLI_RECIPE, "isa", 0, "NAME", "auto", "instruction set of the baseline"),
    DRIVE_BACKEND_OPTIONS(struct args, CLI_RECIPE),
    CLI_FLAG(struct args, draft, CLI_RECIPE, "draft", 0, "mark the rows draft=1"),
    CLI_END,
};

enum { MAX_VARIANTS = 64, MAX_MODELS = 16 };

struct job {
    struct tool *tool;
    const struct args *args;
    struct ablate_variant variants[MAX_VARIANTS];
    size_t n_variants;
    struct model *models[MAX_MODELS];
    size_t n_models;
    char shape[32]; /* cell name of the baseline's shape: equal shapes get equal prompts */
};

static bool asked(const struct job *j, const char *factor)
{
    const char *p = j->args->factors;
    size_t n = strlen(factor);
    while ((p = strstr(p, factor))) {
        bool starts = p == j->args->factors || p[-1] == ',';
        if (starts && (p[n] == ',' || p[n] == '\0'))
            return true;
        p += n;
    }
    return false;
}

static enum status check_factors(const struct job *j, struct err *err)
{
    static const char *const known[] = {"decoding", "context", "weight-format", "threads", "isa", "prefill-chunk", "concurrency"};
    for (const char *p = j->args->factors; *p;) {
        size_t n = strcspn(p, ",");
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found = found || (strlen(known[i]) == n && strncmp(known[i], p, n) == 0);
        if (!found)
            return err_set(err, ERR_USAGE, "--factors: expected decoding, context, weight-format, threads, isa, "
                           "prefill-chunk or concurrency, found '%.*s'", (int)n, p);
        p += n + (p[n] == ',');
    }
    return OK;
}

/* A new variant: a copy of the baseline to be changed. */
static struct ablate_variant *add(struct job *j, const char *factor, const char *level, struct err *err)
{
    if (j->n_variants == MAX_VARIANTS) {
        (void)err_set(err, ERR_RANGE, "expected at most %d levels over all factors", MAX_VARIANTS);
        return NULL;
    }
    struct ablate_variant *v = &j->variants[j->n_variants++];
    if (v != j->variants) {
        v->model = j->variants[0].model;
        v->cell = j->variants[0].cell;
    }
    v->factor = factor;
    (void)snprintf(v->level, sizeof v->level, "%s", level);
    return v;
}

/* A level that cannot run here keeps its reason; anything else is fatal. */
static enum status open_for(struct job *j, struct ablate_variant *v, const char *source, const char *isa, size_t n_threads,
                            struct err *err)
{
    struct err own = ERR_INIT;
    struct model *m = NULL;
    if (j->n_models == MAX_MODELS)
        return err_set(err, ERR_RANGE, "expected at most %d model configurations", MAX_MODELS);
    const struct model_options mo = {.isa = isa, DRIVE_BACKEND(j->args), .n_threads = n_threads};
    enum status s = j->n_models == 0 || source != j->args->model ? drive_open_model(j->tool, source, &mo, &m, &own)
                                                                   : model_open(&m, source, &mo, &own);
    v->model = m;
    if (s == ERR_DEVICE || s == ERR_MEMORY || s == ERR_UNSUPPORTED) {
        (void)snprintf(v->reason, sizeof v->reason, "%.150s", own.text);
        v->model = NULL;
        model_free(m);
        return OK;
    }
    if (s)
        return err_set(err, s, "%s", own.text);
    j->models[j->n_models++] = m;
    return OK;
}

static enum status decoding_levels(struct job *j, struct err *err)
{
    // The published study's five settings (study.md, Ablations); greedy is the baseline.
    static const struct {
        const char *name;
        struct sampling s;
    } levels[] = {
        {"t0.7-p0.9", {.temperature = 0.7, .top_p = 0.9}},
        {"t0.7-k50", {.temperature = 0.7, .top_p = 1, .top_k = 50}},
        {"t1-p0.95", {.temperature = 1, .top_p = 0.95}},
        {"t0.3-p0.8", {.temperature = 0.3, .top_p = 0.8}},
    };
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        struct ablate_variant *v = add(j, "decoding", levels[i].name, err);
        if (!v)
            return ERR_RANGE;
        v->cell.sampling = levels[i].s;
    }
    return OK;
}

static enum status number_levels(struct job *j, const char *factor, const struct cli_ints *list, struct err *err)
{
    for (size_t i = 0; i < list->n; i++) {
        char level[48];
        (void)snprintf(level, sizeof level, "%lld", (long long)list->items[i]);
        struct ablate_variant *v = add(j, factor, level, err);
        if (!v)
            return ERR_RANGE;
        size_t n = (size_t)list->items[i];
        if (list == &j->args->contexts) {
            v->cell.in_tok = n;
            v->cell.name = v->level;
        } else if (list == &j->args->chunks) {
            v->cell.prefill_chunk = n;
        } else if (list == &j->args->concurrency) {
            v->cell.concurrency = n;
        } else {
            enum status s = open_for(j, v, j->args->model, j->args->isa, n, err);
            if (s)
                return s;
        }
    }
    return OK;
}

static enum status isa_levels(struct job *j, struct err *err)
{
    for (const char *const *isa = isa_list(); *isa; isa++) {
        struct ablate_variant *v = add(j, "isa", *isa, err);
        if (!v)
            return ERR_RANGE;
        enum status s = open_for(j, v, j->args->model, *isa, tool_threads(j->tool), err);
        if (s)
            return s;
    }
    return OK;
}

static enum status format_level(struct job *j, struct err *err)
{
    struct ablate_variant *v = add(j, "weight-format", "alternative", err);
    if (!v)
        return ERR_RANGE;
    v->model = NULL;
    (void)snprintf(v->reason, sizeof v->reason, "no second weight format was given (--alt-model)");
    if (!j->args->alt_model)
        return OK;
    enum status s = open_for(j, v, j->args->alt_model, j->args->isa, tool_threads(j->tool), err);
    if (v->model)
        (void)snprintf(v->level, sizeof v->level, "%s", model_info(v->model)->weight_format);
    return s;
}

static enum status plan(struct job *j, struct err *err)
{
    const struct args *a = j->args;
    (void)snprintf(j->shape, sizeof j->shape, "%lld", (long long)a->in_tok);
    struct ablate_variant *base = add(j, "baseline", "baseline", err);
    base->cell = (struct load_cell){
        .name = j->shape,
        .in_tok = (size_t)a->in_tok,
        .out_tok = (size_t)a->out_tok,
        .concurrency = 1,
        .n_requests = (size_t)a->requests,
        .prefill_chunk = (size_t)a->prefill_chunk,
        .sampling = {.temperature = 0, .top_p = 1},
    };
    enum status s = open_for(j, base, a->model, a->isa, tool_threads(j->tool), err);
    if (!s && !base->model)
        s = err_set(err, ERR_DEVICE, "%s", base->reason);
    if (!s && asked(j, "decoding"))
        s = decoding_levels(j, err);
    if (!s && asked(j, "context"))
        s = number_levels(j, "context", &a->contexts, err);
    if (!s && asked(j, "weight-format"))
        s = format_level(j, err);
    if (!s && asked(j, "threads"))
        s = number_levels(j, "threads", &a->threads, err);
    if (!s && asked(j, "isa"))
        s = isa_levels(j, err);
    if (!s && asked(j, "prefill-chunk"))
        s = number_levels(j, "prefill-chunk", &a->chunks, err);
    if (!s && asked(j, "concurrency"))
        s = number_levels(j, "concurrency", &a->concurrency, err);
    for (size_t i = 0; i < j->n_variants && !s; i++) {
        struct ablate_variant *v = &j->variants[i];
        size_t max = v->model ? model_info(v->model)->max_context_tok : 0;
        if (v->model && v->cell.in_tok + v->cell.out_tok > max) {
            (void)snprintf(v->reason, sizeof v->reason, "beyond the model's context of %zu tokens", max);
            v->model = NULL;
        }
        // A level needs enough requests to fill its concurrency at least twice.
        if (v->cell.n_requests < 2 * v->cell.concurrency)
            v->cell.n_requests = 2 * v->cell.concurrency;
        void *p;
        for (size_t m = 0; m <= N_METRICS && !s; m++) {
            s = mem_alloc(&p, (size_t)a->blocks, sizeof(double), "block values", err);
            v->value[m] = s ? NULL : p;
        }
    }
    return s;
}

static double block_median(enum metric m, const struct load_result *r, const struct load_cell *cell, double *x)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_requests; i++) {
        double v = metric_value(m, &r->requests[i], cell);
        if (isfinite(v))
            x[n++] = v;
    }
    stats_sort(x, n);
    return stats_percentile(x, n, 500, PCT_NEAREST_RANK);
}

static enum status measure(struct job *j, size_t i, size_t block, struct err *err)
{
    struct ablate_variant *v = &j->variants[i];
    struct load_result r;
    void *p;
    if (!v->model)
        return OK;
    enum status s = load_run(&r, v->model, &v->cell, tool_seed(j->tool), block, err);
    if (s)
        return s;
    s = mem_alloc(&p, r.n_requests, sizeof(double), "block values", err);
    if (!s) {
        for (int m = 0; m < N_METRICS; m++)
            v->value[m][block] = block_median((enum metric)m, &r, &v->cell, p);
        struct window w = window_full(&r);
        v->value[N_METRICS][block] = (double)window_tokens(&w, &r) * 1e9 / (double)(w.end_ns - w.begin_ns);
        for (size_t k = 0; k < r.n_requests; k++) {
            v->n_err += r.requests[k].status != OK;
            v->failed = v->failed ? v->failed : r.requests[k].status;
        }
        if (block == 0)
            memcpy(v->tokens_sha256, r.tokens_sha256, DIGEST_B);
        mem_free(p);
    }
    load_result_release(&r);
    return s;
}

static enum status run_blocks(struct job *j, struct err *err)
{
    size_t order[MAX_VARIANTS];
    size_t n_blocks = (size_t)j->args->blocks;
    enum status s = OK;
    progress_stage(tool_progress(j->tool), "measure", n_blocks * j->n_variants);
    for (size_t i = 0; i < j->n_variants && !s; i++) { // warm-up: one request of each level, not kept
        struct ablate_variant *v = &j->variants[i];
        struct load_cell w = v->cell;
        struct load_result r;
        w.n_requests = w.concurrency;
        if (v->model && !(s = load_run(&r, v->model, &w, tool_seed(j->tool), SIZE_MAX, err)))
            load_result_release(&r);
    }
    for (size_t block = 0; block < n_blocks && !s; block++) {
        block_order(tool_seed(j->tool), block, j->n_variants, order);
        for (size_t i = 0; i < j->n_variants && !s; i++) {
            s = measure(j, order[i], block, err);
            progress_step(tool_progress(j->tool), block * j->n_variants + i + 1, NULL);
            if (!s && tool_interrupted(j->tool))
                s = err_set(err, ERR_CANCELLED, "interrupted in block %zu of %zu: a block must be complete, nothing is written",
                            block + 1, n_blocks);
        }
    }
    if (!s)
        progress_end(tool_progress(j->tool), NULL);
    return s;
}

static enum status write(struct job *j, struct err *err)
{
    const struct ablate_run done = {.variants = j->variants,
                                    .n_variants = j->n_variants,
                                    .n_blocks = (size_t)j->args->blocks,
                                    .draft = j->args->draft,
                                    .seed = tool_seed(j->tool)};
    struct table *t = NULL;
    enum status s = ablate_rows(&done, &t, err);
    if (!s)
        s = tool_put_table(j->tool, tool_out(j->tool), t, err);
    for (size_t i = 0; i < j->n_variants && !s; i++)
        if (j->variants[i].n_err)
            tool_answer_no(j->tool); // a fault while running: counted in its row, exit 1
    table_free(t);
    return s;
}

static enum status run(struct tool *tool, const void *args, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct job), "ablation", err);
    if (s)
        return s;
    struct job *j = p;
    j->tool = tool;
    j->args = args;
    tool_catch_interrupt(tool);
    s = check_factors(j, err);
    if (!s)
        s = plan(j, err);
    if (!s)
        s = run_blocks(j, err);
    if (!s)
        s = write(j, err);
    for (size_t i = 0; i < j->n_variants; i++)
        for (size_t m = 0; m <= N_METRICS; m++)
            mem_free(j->variants[i].value[m]);
    for (size_t i = 0; i < j->n_models; i++)
        model_free(j->models[i]);
    mem_free(j);
    return s;
}

static const struct tool_def ablate = {
    .name = "ablate",
    .summary = "change one factor at a time against a baseline and print ratios with intervals",
    .options = options,
    .common = TOOL_OUT | TOOL_FORMAT | TOOL_SEED | TOOL_THREADS,
    .args_b = sizeof(struct args),
    .run = run,
};

int main(int argc, char **argv)
{
    return tool_main(&ablate, argc, argv);
}
