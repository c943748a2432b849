/* bench - this machine's ceilings, and how near our engine and others come to them: load, first token,
 * prefill, decoding, peak memory, measured in turn in randomised complete blocks (performance.md 10). */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "drive/bench_rows.h"
#include "drive/blocks.h"
#include "lib/platform.h"
#include "lib/tool.h"

struct args {
    struct cli_texts models, isas, peers;
    struct cli_ints prefill, decode;
    int64_t decode_tok, blocks, prefill_chunk, read_mib, probe_ms;
    const char *runs_out;
    bool no_prefill, no_decode, draft;
};

static const struct cli_option options[] = {
    CLI_TEXTS(struct args, models, CLI_INPUT, "model", 'm', "SOURCE", "model; may be repeated; none: only the machine's ceilings"),
    CLI_TEXTS(struct args, isas, CLI_RECIPE, "isa", 0, "NAME", "instruction set: auto (default), scalar, avx2, avx512, avx512bf16; may be repeated"),
    CLI_TEXTS(struct args, peers, CLI_RECIPE, "peer", 0, "COMMAND", "another program that runs the same model (see PEERS); may be repeated"),
    CLI_INTS(struct args, prefill, CLI_RECIPE, "prefill", 0, "N,...", "128,512,2048", 1, 1 << 20, "prompt lengths (tokens)"),
    CLI_INTS(struct args, decode, CLI_RECIPE, "decode", 0, "N,...", "1,8,16", 1, 4096, "sequences that are decoded together"),
    CLI_INT(struct args, decode_tok, CLI_RECIPE, "decode-tok", 0, "N", "64", 1, 1 << 20, "tokens decoded of each sequence"),
    CLI_FLAG(struct args, no_prefill, CLI_RECIPE, "no-prefill", 0, "leave prefill out"),
    CLI_FLAG(struct args, no_decode, CLI_RECIPE, "no-decode", 0, "leave decoding out"),
    CLI_INT(struct args, blocks, CLI_RECIPE, "blocks", 0, "N", "5", 1, 10000, "randomised complete blocks; a median needs 5"),
    CLI_INT(struct args, prefill_chunk, CLI_RECIPE, "prefill-chunk", 0, "N", "0", 0, 1 << 20, "most prompt tokens of one sequence in a step (0 = what a step takes)"),
    CLI_INT(struct args, read_mib, CLI_RECIPE, "read-mib", 0, "N", "256", 1, 1 << 20, "memory that the read probe goes through (MiB): several times the last-level cache"),
    CLI_INT(struct args, probe_ms, CLI_RECIPE, "probe-ms", 0, "N", "40", 1, 10000, "time of one probe in a block (ms)"),
    CLI_TEXT(struct args, runs_out, CLI_OUTPUT, "runs-out", 0, "FILE", NULL, "one row a cell, engine and block (integers)"),
    CLI_FLAG(struct args, draft, CLI_RECIPE, "draft", 0, "mark the rows draft=1: short windows, for testing a pipeline"),
    CLI_END,
};

struct bench {
    struct tool *tool;
    const struct args *args;
    struct bench_run run;
    uint64_t *ceiling_values; // (n_ceilings, 2, n_blocks), backs run.ceilings
};

/* What the callback of a visit of ours needs. */
struct visit {
    struct bench *b;
    struct bench_contender *c;
    bool first;
};

static enum status alloc(void **out, size_t n, size_t size, struct err *err)
{
    return mem_alloc(out, n, size, "bench", err);
}

/* ---- what is to be run ---- */

static void add_cell(struct bench_run *r, enum bench_work work, const char *name, size_t in_tok, size_t out_tok, size_t batch)
{
    struct bench_cell *c = &r->cells[r->n_cells++];
    *c = (struct bench_cell){.work = work, .in_tok = in_tok, .out_tok = out_tok, .batch = batch};
    (void)snprintf(c->name, sizeof c->name, "%s", name);
}

static enum status make_cells(struct bench *b, struct err *err)
{
    const struct args *a = b->args;
    char name[32];
    void *p;
    enum status s = alloc(&p, 3 + a->prefill.n + a->decode.n, sizeof *b->run.cells, err);
    if (s)
        return s;
    b->run.cells = p;
    add_cell(&b->run, BENCH_LOAD, "load", 0, 0, 1);
    add_cell(&b->run, BENCH_FIRST, "first", 1, 1, 1);
    for (size_t i = 0; i < a->prefill.n && !a->no_prefill; i++) {
        (void)snprintf(name, sizeof name, "prefill/%lld", (long long)a->prefill.items[i]);
        add_cell(&b->run, BENCH_PREFILL, name, (size_t)a->prefill.items[i], 0, 1);
    }
    for (size_t i = 0; i < a->decode.n && !a->no_decode; i++) {
        (void)snprintf(name, sizeof name, "decode/%lld/%lld", (long long)a->decode_tok, (long long)a->decode.items[i]);
        add_cell(&b->run, BENCH_DECODE, name, 1, (size_t)a->decode_tok, (size_t)a->decode.items[i]);
    }
    add_cell(&b->run, BENCH_PEAK, "peak", 0, 0, 1);
    for (size_t i = 0; i < b->run.n_cells; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(b->run.cells[i].name, b->run.cells[k].name) == 0)
                return err_set(err, ERR_USAGE, "expected each cell once, found '%s' twice", b->run.cells[i].name);
    return OK;
}

static enum status make_contenders(struct bench *b, struct err *err)
{
    static const char *const default_isa[] = {"auto"};
    const struct args *a = b->args;
    const size_t n_isas = a->isas.n ? a->isas.n : 1;
    void *p;
    if (a->models.n == 0 && (a->isas.n || a->peers.n))
        return err_set(err, ERR_USAGE, "--isa and --peer need a --model");
    for (size_t i = 0; i < a->isas.n; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(a->isas.items[i], a->isas.items[k]) == 0)
                return err_set(err, ERR_USAGE, "--isa: expected each once, found '%s' twice", a->isas.items[i]);
    b->run.n_contenders = a->models.n * (n_isas + a->peers.n);
    enum status s;
    if ((s = alloc(&p, b->run.n_contenders, sizeof *b->run.contenders, err)))
        return s;
    b->run.contenders = p;
    struct bench_contender *c = b->run.contenders;
    for (size_t m = 0; m < a->models.n; m++) {
        const size_t first = (size_t)(c - b->run.contenders);
        for (size_t i = 0; i < n_isas; i++)
            *c++ = (struct bench_contender){.source = a->models.items[m], .isa = a->isas.n ? a->isas.items[i] : default_isa[0], .same_model = first};
        for (size_t i = 0; i < a->peers.n; i++)
            *c++ = (struct bench_contender){.source = a->models.items[m], .command = a->peers.items[i], .same_model = first};
    }
    if ((s = alloc(&p, b->run.n_blocks * b->run.n_contenders * b->run.n_cells, sizeof *b->run.samples, err)))
        return s;
    b->run.samples = p;
    if ((s = alloc(&p, b->run.n_blocks * b->run.n_contenders, sizeof *b->run.visit_idx, err)))
        return s;
    b->run.visit_idx = p;
    return OK;
}

/* ---- the machine ---- */

static enum status list_ceilings(struct bench *b, const struct ceilings *probes, struct err *err)
{
    struct bench_run *r = &b->run;
    void *p;
    enum status s;
    const size_t n = ceilings_count(probes);
    if ((s = alloc(&p, n, sizeof *r->ceilings, err)))
        return s;
    r->ceilings = p;
    if ((s = alloc(&p, n * 2 * r->n_blocks, sizeof(uint64_t), err)))
        return s;
    b->ceiling_values = p;
    r->n_ceilings = n;
    for (size_t i = 0; i < n; i++) {
        struct bench_ceiling *c = &r->ceilings[i];
        c->what = *ceilings_at(probes, i);
        c->work = b->ceiling_values + 2 * i * r->n_blocks;
        c->ns = c->work + r->n_blocks;
        const char *threads = c->what.n_threads == r->n_threads ? "all" : "one";
        if (c->what.n_streams)
            (void)snprintf(c->name, sizeof c->name, "%s/%s/%zus", ceiling_kind_name(c->what.kind), threads, c->what.n_streams);
        else
            (void)snprintf(c->name, sizeof c->name, "%s/%s", ceiling_kind_name(c->what.kind), threads);
    }
    return OK;
}

/* One block of probes. The memory they read is given back before a model is loaded: it would count into
 * the peak. */
static enum status probe(struct bench *b, size_t block, struct err *err)
{
    struct ceilings *probes = NULL;
    enum status s = ceilings_new(&probes, b->run.n_threads, (size_t)b->args->read_mib << 20, err);
    if (!s && !b->run.ceilings)
        s = list_ceilings(b, probes, err);
    for (size_t i = 0; i < b->run.n_ceilings && !s; i++) {
        const struct bench_ceiling *c = &b->run.ceilings[i];
        if (!c->what.missing)
            ceilings_run(probes, i, (uint64_t)b->args->probe_ms * 1000000u, &c->work[block], &c->ns[block]);
    }
    ceilings_free(probes);
    return s;
}

/* ---- engines ---- */

/* Called while a model of ours is open: the first time it is recorded in the statement. */
static enum status see(void *ctx, struct model *m, struct err *err)
{
    struct visit *v = ctx;
    const struct bench_run *r = &v->b->run;
    if (!v->first)
        return OK;
    drive_facts_of(m, &v->c->facts);
    (void)snprintf(v->c->version, sizeof v->c->version, "%s", build_info()->version);
    for (const struct bench_contender *c = r->contenders; c < r->contenders + r->n_contenders; c++)
        if (c->same_model != v->c->same_model && strcmp(c->facts.model, v->c->facts.model) == 0) // rows are keyed by it
            return err_set(err, ERR_USAGE, "--model: expected models of different names, found '%s' twice", v->c->facts.model);
    return v->c == &r->contenders[v->c->same_model] ? drive_record_model(v->b->tool, v->c->source, m, err) : OK;
}

static enum status visit(struct bench *b, size_t block, size_t contender, size_t position, struct err *err)
{
    struct bench_run *r = &b->run;
    struct bench_contender *c = &r->contenders[contender];
    struct bench_sample *samples = &r->samples[(block * r->n_contenders + contender) * r->n_cells];
    void *p;
    enum status s = alloc(&p, r->n_cells, sizeof(size_t), err);
    if (s)
        return s;
    size_t *order = p;
    block_order(tool_seed(b->tool), block, r->n_cells, order);
    r->visit_idx[block * r->n_contenders + contender] = position;
    const struct bench_cells cells = {.items = r->cells, .order = order, .n = r->n_cells};
    if (c->command) {
        struct bench_peer_name name;
        s = bench_visit_peer(c->command, c->source, r->n_threads, &cells, samples, &name, err);
        if (!s && (block == 0 || strcmp(c->facts.engine, "peer") == 0)) {
            (void)snprintf(c->facts.engine, sizeof c->facts.engine, "%s", name.engine);
            (void)snprintf(c->version, sizeof c->version, "%s", name.version);
            (void)snprintf(c->facts.device, sizeof c->facts.device, "cpu/%zut", r->n_threads);
        }
    } else {
        struct visit v = {.b = b, .c = c, .first = block == 0};
        const struct bench_own own = {.source = c->source, .isa = c->isa, .n_threads = r->n_threads,
                                      .prefill_chunk = (size_t)b->args->prefill_chunk, .seed = tool_seed(b->tool), .block = block};
        s = bench_visit_own(&own, &cells, samples, see, &v, err);
    }
    mem_free(order);
    return s;
}

static enum status run_blocks(struct bench *b, struct err *err)
{
    struct bench_run *r = &b->run;
    struct progress *pr = tool_progress(b->tool);
    void *p;
    enum status s = alloc(&p, r->n_contenders, sizeof(size_t), err);
    if (s)
        return s;
    size_t *order = p;
    progress_stage(pr, "measure", r->n_blocks * (1 + r->n_contenders));
    for (size_t block = 0; block < r->n_blocks && !s; block++) {
        s = probe(b, block, err);
        progress_step(pr, block * (1 + r->n_contenders) + 1, "machine");
        block_order(tool_seed(b->tool), block, r->n_contenders, order);
        for (size_t i = 0; i < r->n_contenders && !s; i++) {
            s = visit(b, block, order[i], i, err);
            progress_step(pr, block * (1 + r->n_contenders) + 2 + i, r->contenders[order[i]].facts.engine);
            if (!s && tool_interrupted(b->tool))
                s = err_set(err, ERR_CANCELLED, "interrupted in block %zu of %zu: a block must be complete, nothing is written",
                            block + 1, r->n_blocks);
        }
    }
    if (!s)
        progress_end(pr, NULL);
    mem_free(order);
    return s;
}

/* A peer's rows say which model it ran, in the words of ours. Peers of one name would share keys. */
static enum status name_peers(struct bench_run *r, struct err *err)
{
    for (size_t i = 0; i < r->n_contenders; i++) {
        struct drive_facts *f = &r->contenders[i].facts;
        const struct drive_facts *own = &r->contenders[r->contenders[i].same_model].facts;
        if (!r->contenders[i].command)
            continue;
        memcpy(f->model, own->model, sizeof f->model);
        memcpy(f->arch, own->arch, sizeof f->arch);
        memcpy(f->weights, own->weights, sizeof f->weights);
        memcpy(f->weight_format, own->weight_format, sizeof f->weight_format);
        for (size_t k = 0; k < i; k++)
            if (r->contenders[k].command && strcmp(r->contenders[k].facts.engine, f->engine) == 0 && strcmp(r->contenders[k].facts.model, f->model) == 0)
                return err_set(err, ERR_USAGE, "--peer: expected peers that name themselves differently, found '%s' twice", f->engine);
    }
    return OK;
}

static enum status run(struct tool *tool, const void *args, struct err *err)
{
    const struct args *a = args;
    struct bench b = {.tool = tool, .args = a,
                      .run = {.n_blocks = (size_t)a->blocks, .n_threads = tool_threads(tool), .draft = a->draft, .seed = tool_seed(tool)}};
    struct table *bench = NULL;
    struct table *runs = NULL;
    enum status s;
    tool_catch_interrupt(tool);
    if (!(s = make_cells(&b, err)) && !(s = make_contenders(&b, err)) && !(s = run_blocks(&b, err)) && !(s = name_peers(&b.run, err)) &&
        !(s = bench_rows(&b.run, &bench, &runs, err)) && a->runs_out)
        s = tool_put_table(tool, a->runs_out, runs, err);
    if (!s)
        s = tool_put_table(tool, tool_out(tool), bench, err);
    if (!s && bench_n_failed(&b.run))
        tool_answer_no(tool);
    table_free(runs);
    table_free(bench);
    mem_free(b.ceiling_values);
    mem_free(b.run.ceilings);
    mem_free(b.run.visit_idx);
    mem_free(b.run.samples);
    mem_free(b.run.contenders);
    mem_free(b.run.cells);
    return s;
}

static const struct tool_def bench_tool = {
    .name = "bench",
    .summary = "measure the engine, and others beside it, against this machine's ceilings",
    .options = options,
    .common = TOOL_OUT | TOOL_FORMAT | TOOL_SEED | TOOL_THREADS,
    .args_b = sizeof(struct args),
    .run = run,
};

int main(int argc, char **argv)
{
    return tool_main(&bench_tool, argc, argv);
}
