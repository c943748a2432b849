/* latency - TTFT, TPOT, end-to-end time and throughput of models on the in-process engine, from one
 * stream of time stamps, in randomised complete blocks (measurement.md 2, 3, 6-8). */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "drive/blocks.h"
#include "drive/latency_rows.h"
#include "drive/rows.h"
#include "lib/tool.h"

struct args {
    const char *backend, *tile_cache;
    int64_t device_memory;
    struct cli_texts models;
    struct cli_ints in_tok, out_tok, concurrency;
    int64_t blocks, requests, warmup, prefill_chunk;
    const char *isa;
    const char *requests_out, *events_out, *throughput_out;
    bool chat, draft;
};

static const struct cli_option options[] = {
    CLI_TEXTS(struct args, models, CLI_INPUT, "model", 'm', "SOURCE", "directory, .gguf file, or synthetic:NAME; several share every block"),
    CLI_INTS(struct args, in_tok, CLI_RECIPE, "in-tok", 0, "N,...", "128", 1, 1 << 20, "prompt lengths (tokens)"),
    CLI_INTS(struct args, out_tok, CLI_RECIPE, "out-tok", 0, "N,...", "64", 2, 1 << 20, "generated lengths (tokens)"),
    CLI_INTS(struct args, concurrency, CLI_RECIPE, "concurrency", 'c', "N,...", "1", 1, 4096, "requests in flight"),
    CLI_INT(struct args, blocks, CLI_RECIPE, "blocks", 0, "N", "5", 1, 10000, "randomised complete blocks"),
    CLI_INT(struct args, requests, CLI_RECIPE, "requests", 'n', "N", "20", 1, 1000000, "requests of each cell in a block"),
    CLI_INT(struct args, warmup, CLI_RECIPE, "warmup", 0, "N", "3", 0, 100000, "unmeasured requests of each cell before the first block (at least the concurrency, unless 0)"),
    CLI_INT(struct args, prefill_chunk, CLI_RECIPE, "prefill-chunk", 0, "N", "0", 0, 1 << 20, "most prompt tokens of one sequence in a step (0 = what a step takes)"),
    CLI_FLAG(struct args, chat, CLI_RECIPE, "chat", 0, "prompts are one user message in the model's chat format, of --in-tok tokens with its markup"),
    CLI_TEXT(struct args, isa, CLI_RECIPE, "isa", 0, "NAME", "auto", "instruction set: auto, scalar, avx2, avx512, avx512bf16"),
    DRIVE_BACKEND_OPTIONS(struct args, CLI_RECIPE),
    CLI_TEXT(struct args, requests_out, CLI_OUTPUT, "requests-out", 0, "FILE", NULL, "one row a request (integers, ns)"),
    CLI_TEXT(struct args, events_out, CLI_OUTPUT, "events-out", 0, "FILE", NULL, "one row a token (integers, ns)"),
    CLI_TEXT(struct args, throughput_out, CLI_OUTPUT, "throughput-out", 0, "FILE", NULL, "one row a cell and window"),
    CLI_FLAG(struct args, draft, CLI_RECIPE, "draft", 0, "mark the rows draft=1: short windows, for testing a pipeline"),
    CLI_END,
};

struct bench {
    struct tool *tool;
    const struct args *args;
    char (*names)[64]; /* of the cells */
    struct chat_frame *frames; /* (n_models) with --chat, else empty */
    struct latency_run run;
};

static enum status open_models(struct bench *b, struct err *err)
{
    const struct args *a = b->args;
    void *p;
    enum status s = mem_alloc(&p, a->models.n, sizeof(struct model *), "models", err);
    if (s)
        return s;
    b->run.models = p;
    if ((s = mem_alloc(&p, a->models.n, sizeof *b->frames, "chat formats", err)))
        return s;
    b->frames = p;
    struct progress *pr = tool_progress(b->tool);
    progress_stage(pr, "load", a->models.n);
    for (size_t i = 0; i < a->models.n && !s; i++) {
        const struct model_options mo = {.isa = a->isa, DRIVE_BACKEND(a), .n_threads = tool_threads(b->tool)};
        s = drive_open_model(b->tool, a->models.items[i], &mo, &b->run.models[i], err);
        for (size_t k = 0; k < i && !s; k++) // rows are keyed by it
            if (strcmp(model_info(b->run.models[k])->name, model_info(b->run.models[i])->name) == 0)
                s = err_set(err, ERR_USAGE, "--model: expected models of different names, found '%s' twice",
                            model_info(b->run.models[i])->name);
        if (!s && a->chat)
            s = chat_frame_of(b->run.models[i], &b->frames[i], err);
        progress_step(pr, i + 1, NULL);
    }
    for (size_t c = 0; c < b->run.n_cells && !s && a->chat; c++)
        b->run.cells[c].frame = &b->frames[b->run.cell_model[c]];
    return s;
}

static enum status make_cells(struct bench *b, struct err *err)
{
    const struct args *a = b->args;
    size_t grid = a->in_tok.n * a->out_tok.n * a->concurrency.n;
    b->run.n_cells = a->models.n * grid;
    void *p;
    enum status s;
    if ((s = mem_alloc(&p, b->run.n_cells, sizeof *b->run.cells, "cells", err)))
        return s;
    b->run.cells = p;
    if ((s = mem_alloc(&p, b->run.n_cells, sizeof *b->run.cell_model, "cells", err)))
        return s;
    b->run.cell_model = p;
    if ((s = mem_alloc(&p, b->run.n_cells, sizeof *b->names, "cells", err)))
        return s;
    b->names = p;
    if ((s = mem_alloc(&p, b->run.n_cells * b->run.n_blocks, sizeof *b->run.results, "results", err)))
        return s;
    b->run.results = p;
    if ((s = mem_alloc(&p, b->run.n_cells * b->run.n_blocks, sizeof *b->run.order_idx, "order", err)))
        return s;
    b->run.order_idx = p;
    size_t c = 0;
    for (size_t m = 0; m < a->models.n; m++)
        for (size_t i = 0; i < a->in_tok.n; i++)
            for (size_t o = 0; o < a->out_tok.n; o++)
                for (size_t k = 0; k < a->concurrency.n; k++, c++) {
                    (void)snprintf(b->names[c], sizeof b->names[c], "%lld/%lld/%lld", (long long)a->in_tok.items[i],
                                   (long long)a->out_tok.items[o], (long long)a->concurrency.items[k]);
                    b->run.cell_model[c] = m;
                    b->run.cells[c] = (struct load_cell){
                        .name = b->names[c],
                        .in_tok = (size_t)a->in_tok.items[i],
                        .out_tok = (size_t)a->out_tok.items[o],
                        .concurrency = (size_t)a->concurrency.items[k],
                        .n_requests = (size_t)a->requests,
                        .prefill_chunk = (size_t)a->prefill_chunk,
                        .sampling = {.temperature = 0, .top_p = 1},
                    };
                }
    return OK;
}

static enum status warm_up(struct bench *b, struct err *err)
{
    struct progress *pr = tool_progress(b->tool);
    enum status s = OK;
    if (b->args->warmup == 0)
        return OK;
    progress_stage(pr, "warm-up", b->run.n_cells);
    for (size_t c = 0; c < b->run.n_cells && !s; c++) {
        if (!latency_fits(&b->run, c))
            continue;
        struct load_cell w = b->run.cells[c];
        w.n_requests = (size_t)b->args->warmup > w.concurrency ? (size_t)b->args->warmup : w.concurrency;
        struct load_result r;
        s = load_run(&r, b->run.models[b->run.cell_model[c]], &w, tool_seed(b->tool), SIZE_MAX, err);
        load_result_release(&r);
        progress_step(pr, c + 1, b->names[c]);
    }
    return s;
}

static enum status run_blocks(struct bench *b, struct err *err)
{
    struct progress *pr = tool_progress(b->tool);
    void *p;
    enum status s = mem_alloc(&p, b->run.n_cells, sizeof(size_t), "block order", err);
    if (s)
        return s;
    size_t *order = p;
    progress_stage(pr, "measure", b->run.n_blocks * b->run.n_cells);
    for (size_t block = 0; block < b->run.n_blocks && !s; block++) {
        block_order(tool_seed(b->tool), block, b->run.n_cells, order);
        for (size_t i = 0; i < b->run.n_cells && !s; i++) {
            size_t c = order[i];
            b->run.order_idx[block * b->run.n_cells + c] = i;
            if (latency_fits(&b->run, c))
                s = load_run(&b->run.results[block * b->run.n_cells + c], b->run.models[b->run.cell_model[c]], &b->run.cells[c],
                             tool_seed(b->tool), block, err);
            progress_step(pr, block * b->run.n_cells + i + 1, b->names[c]);
            if (tool_interrupted(b->tool))
                s = err_set(err, ERR_CANCELLED, "interrupted in block %zu of %zu: a block must be complete, nothing is written",
                            block + 1, b->run.n_blocks);
        }
    }
    if (!s)
        progress_end(pr, NULL);
    mem_free(order);
    return s;
}

static enum status write_tables(struct bench *b, struct err *err)
{
    const struct args *a = b->args;
    struct latency_tables t;
    enum status s = latency_rows(&b->run, &t, err);
    if (!s && a->requests_out)
        s = tool_put_table(b->tool, a->requests_out, t.requests, err);
    if (!s && a->events_out)
        s = tool_put_table(b->tool, a->events_out, t.events, err);
    if (!s && a->throughput_out)
        s = tool_put_table(b->tool, a->throughput_out, t.throughput, err);
    if (!s)
        s = tool_put_table(b->tool, tool_out(b->tool), t.latency, err);
    latency_tables_free(&t);
    return s;
}

static enum status run(struct tool *tool, const void *args, struct err *err)
{
    const struct args *a = args;
    struct bench b = {.tool = tool,
                      .args = a,
                      .run = {.n_blocks = (size_t)a->blocks,
                              .n_requests = (size_t)a->requests,
                              .draft = a->draft,
                              .want_events = a->events_out != NULL,
                              .seed = tool_seed(tool)}};
    enum status s;
    if (a->models.n == 0)
        return err_set(err, ERR_USAGE, "expected --model SOURCE at least once, found none");
    tool_catch_interrupt(tool);
    if (!(s = make_cells(&b, err)) && !(s = open_models(&b, err)) && !(s = warm_up(&b, err)) && !(s = run_blocks(&b, err)))
        s = write_tables(&b, err);
    if (!s && latency_n_failed(&b.run))
        tool_answer_no(tool); // a fault while running: counted in its row, exit 1
    for (size_t i = 0; b.run.results && i < b.run.n_cells * b.run.n_blocks; i++)
        load_result_release(&b.run.results[i]);
    for (size_t i = 0; b.run.models && i < a->models.n; i++)
        model_free(b.run.models[i]);
    for (size_t i = 0; b.frames && i < a->models.n; i++)
        chat_frame_release(&b.frames[i]);
    mem_free(b.frames);
    mem_free(b.run.order_idx);
    mem_free(b.run.results);
    mem_free(b.names);
    mem_free(b.run.cell_model);
    mem_free(b.run.cells);
    mem_free(b.run.models);
    return s;
}

static const struct tool_def latency = {
    .name = "latency",
    .summary = "measure TTFT, TPOT, end-to-end time and throughput in randomised complete blocks",
    .options = options,
    .common = TOOL_OUT | TOOL_FORMAT | TOOL_SEED | TOOL_THREADS,
    .args_b = sizeof(struct args),
    .run = run,
};

int main(int argc, char **argv)
{
    return tool_main(&latency, argc, argv);
}
