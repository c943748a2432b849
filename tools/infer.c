/* infer - run a model: one prompt by hand, or a file of requests into transcripts; every answer comes
 * with the digest of the logits that made it. Also tokenises. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "drive/infer_tokenize.h"
#include "drive/infer_transcript.h"
#include "drive/rows.h"
#include "lib/outfile.h"
#include "lib/paths.h"

struct args {
    const char *backend, *tile_cache;
    int64_t device_memory;
    const char *model, *prompt, *requests, *tokenizer;
    struct cli_ints tokens;
    int64_t max_tokens, top_k, prefill_chunk, parallel, kv_memory;
    double temperature, top_p, min_p;
    bool chat, tokenize, yarn_truncate;
    const char *isa, *numerics, *format, *logits_out, *positions, *timing_out, *journal, *prefix_reuse;
};

static const struct cli_option options[] = {
    CLI_TEXT(struct args, model, CLI_INPUT, "model", 'm', "SOURCE", NULL, "directory, .gguf file, or synthetic:NAME"),
    CLI_TEXT(struct args, prompt, CLI_RECIPE, "prompt", 'p', "TEXT", NULL, "text to continue"),
    CLI_INTS(struct args, tokens, CLI_RECIPE, "tokens", 0, "ID,...", NULL, 0, INT32_MAX, "token ids to continue"),
    CLI_TEXT(struct args, requests, CLI_INPUT, "requests", 'r', "FILE", NULL, "requests.jsonl to answer; - is standard input"),
    CLI_FLAG(struct args, chat, CLI_RECIPE, "chat", 0, "the prompt is a user's message in the model's chat format"),
    CLI_INT(struct args, max_tokens, CLI_RECIPE, "max-tokens", 'n', "N", "256", 0, INT32_MAX,
            "most tokens to generate, where a request does not say"),
    CLI_REAL(struct args, temperature, CLI_RECIPE, "temperature", 0, "T", "0", 0, 1e6, "0 takes the most likely token"),
    CLI_REAL(struct args, top_p, CLI_RECIPE, "top-p", 0, "P", "1", 1e-9, 1, "keep the most likely tokens that hold this mass"),
    CLI_REAL(struct args, min_p, CLI_RECIPE, "min-p", 0, "P", "0", 0, 1, "drop tokens below this part of the most likely"),
    CLI_INT(struct args, top_k, CLI_RECIPE, "top-k", 0, "K", "0", 0, INT32_MAX, "keep this many tokens; 0 keeps all"),
    CLI_INT(struct args, parallel, CLI_RUN, "parallel", 0, "N", "8", 1, 2048, "sequences in a step"),
    CLI_INT(struct args, prefill_chunk, CLI_RUN, "prefill-chunk", 0, "N", "0", 0, 1 << 20,
            "most prompt tokens of one sequence in a step; 0 is as many as fit"),
    CLI_SIZE(struct args, kv_memory, CLI_RUN, "kv-memory", 0, "0", 0, (int64_t)1 << 50,
             "most memory for K and V; requests wait for it; 0 is what --parallel of the longest take"),
    CLI_CHOICE(struct args, prefix_reuse, CLI_RUN, "prefix-reuse", 0, "off|on", "off",
               "keep K and V within that memory, for requests that begin with the same tokens: same bits, less time"),
    CLI_TEXT(struct args, isa, CLI_RUN, "isa", 0, "NAME", "auto", "instruction set: auto, scalar, avx2, avx512, avx512bf16"),
    DRIVE_BACKEND_OPTIONS(struct args, CLI_RUN),
    CLI_CHOICE(struct args, numerics, CLI_RECIPE, "numerics", 0, "exact|fast", "exact", "arithmetic contract"),
    CLI_FLAG(struct args, yarn_truncate, CLI_RECIPE, "yarn-truncate", 0,
             "round the ends of YaRN's ramp as llama.cpp does, to compare with it"),
    CLI_CHOICE(struct args, format, CLI_RUN, "format", 0, "text|json", "text", "form of a single answer"),
    CLI_TEXT(struct args, logits_out, CLI_OUTPUT, "logits-out", 0, "FILE", NULL,
             "raw fp32 logits of a single answer: positions x vocabulary, little-endian"),
    CLI_CHOICE(struct args, positions, CLI_RUN, "positions", 0, "generated|all", "generated",
               "rows of --logits-out: those that produced tokens, or those of the prompt too"),
    CLI_TEXT(struct args, timing_out, CLI_OUTPUT, "timing-out", 0, "FILE", NULL,
             "timings of --requests (default: beside --out, .timing.csv)"),
    CLI_TEXT(struct args, journal, CLI_RUN, "journal", 0, "FILE", NULL,
             "journal of --requests, for going on after a kill (default: beside --out, .journal)"),
    CLI_FLAG(struct args, tokenize, CLI_RUN, "tokenize", 0,
             "read {\"text\"} a line on standard input, write {\"ids\"} a line; special tokens are not parsed"),
    CLI_TEXT(struct args, tokenizer, CLI_INPUT, "tokenizer", 0, "FILE", NULL, "tokenizer for --tokenize without a model: tokenizer.json, tokenizer.model, .tiktoken, vocab.json, .gguf"),
    CLI_END,
};

/* Prompt tokens between two signs of life: seconds of a large model on a CPU. */
enum { WATCHED_CHUNK = 512 };

/* A single answer on its way. */
struct single {
    struct tool *t;
    const struct args *a;
    const struct model *m;
    const struct infer_list *l;
    struct outfile *logits;     /* NULL without --logits-out */
    struct utf8_stream stream;  /* text on its way to the terminal */
};

static enum status print_text(const struct buf *b, struct err *err)
{
    if (b->n && (fwrite(b->data, 1, b->n, stdout) != b->n || fflush(stdout) != 0))
        return err_set_errno(err, ERR_IO, errno, "cannot write standard output");
    return buf_status(b, "text", err);
}

static enum status print_token(struct single *u, int32_t id, struct err *err)
{
    struct buf bytes = BUF_INIT;
    struct buf text = BUF_INIT;
    enum status s = tokenizer_decode(model_tokenizer(u->m), &id, 1, true, &bytes, err);
    if (!s && bytes.n)
        utf8_stream_add(&u->stream, bytes.data, bytes.n, &text);
    if (!s)
        s = print_text(&text, err);
    buf_release(&bytes);
    buf_release(&text);
    return s;
}

static bool prints_text(const struct single *u)
{
    return strcmp(u->a->format, "text") == 0 && model_tokenizer(u->m) && !tool_out(u->t);
}

static void on_step(void *ctx, size_t prompt_tok)
{
    const struct single *u = ctx;
    if (prompt_tok < u->l->items[0].r.n_prompt)
        progress_step(tool_progress(u->t), prompt_tok, NULL);
    else
        progress_drop(tool_progress(u->t)); // text follows
}

static enum status on_row(void *ctx, size_t index, const struct event *e, struct err *err)
{
    struct single *u = ctx;
    (void)index;
    enum status s = OK;
    if (u->logits)
        s = outfile_write(u->logits, e->logits, model_info(u->m)->vocab_size * sizeof(float), err);
    if (!s && e->kind == EVENT_TOKEN && prints_text(u))
        s = print_token(u, e->token, err);
    return s;
}

/* Figures of one answer; NaN where there is none. */
struct timings {
    double load_ms, ttft_ms, tpot_ms, total_ms, prefill_tok_s, decode_tok_s;
};

static double ms(uint64_t from_ns, uint64_t to_ns)
{
    return (double)(to_ns - from_ns) / 1e6;
}

static struct timings timings_of(const struct single *u, const struct infer_result *r)
{
    struct timings v = {.load_ms = (double)model_info(u->m)->load_ns / 1e6, .total_ms = ms(r->t_start_ns, r->t_done_ns)};
    if (r->n_ids) {
        v.ttft_ms = ms(r->t_start_ns, r->t_tok1_ns);
        v.prefill_tok_s = (double)u->l->items[0].r.n_prompt / v.ttft_ms * 1e3;
    }
    if (r->n_ids > 1) {
        v.tpot_ms = ms(r->t_tok1_ns, r->t_tokn_ns) / (double)(r->n_ids - 1);
        v.decode_tok_s = 1e3 / v.tpot_ms;
    }
    return v;
}

static bool add_real(cJSON *obj, const char *key, double v)
{
    return v > 0 && v < 1e300 ? cJSON_AddNumberToObject(obj, key, num_round(v, 3)) != NULL : true;
}

static enum status print_json(const struct single *u, const struct infer_result *r, const struct timings *v,
                              struct err *err)
{
    const struct model_info *i = model_info(u->m);
    struct buf b = BUF_INIT;
    cJSON *row = NULL;
    enum status s = infer_row(u->m, &u->l->items[0], r, &row, err);
    if (s)
        return s;
    cJSON_DeleteItemFromObjectCaseSensitive(row, "id");
    cJSON *t = cJSON_AddObjectToObject(row, "timings");
    bool good = t && cJSON_AddStringToObject(row, "model", i->name) && cJSON_AddStringToObject(row, "numerics", i->numerics) &&
                cJSON_AddStringToObject(row, "isa", i->isa) && cJSON_AddNumberToObject(row, "threads", (double)i->n_threads) &&
                cJSON_AddNumberToObject(t, "in_cached_tok", (double)r->n_reused) && add_real(t, "load_ms", v->load_ms) && add_real(t, "ttft_ms", v->ttft_ms) &&
                add_real(t, "tpot_ms", v->tpot_ms) && add_real(t, "total_ms", v->total_ms) &&
                add_real(t, "prefill_tok_s", v->prefill_tok_s) && add_real(t, "decode_tok_s", v->decode_tok_s);
    if (!good)
        s = err_set(err, ERR_MEMORY, "cannot build the answer");
    if (!s && !(s = json_write_canonical(&b, row, err))) {
        buf_char(&b, '\n');
        if (!(s = buf_status(&b, "answer", err)))
            s = outfile_put(tool_out(u->t), b.data, b.n, NULL, err);
    }
    buf_release(&b);
    cJSON_Delete(row);
    return s;
}

static enum status end_text(struct single *u, const struct infer_result *r, struct err *err)
{
    struct buf text = BUF_INIT;
    enum status s;
    if (tool_out(u->t) || !model_tokenizer(u->m)) { // to a file at once; without a tokenizer the ids are the answer
        s = infer_text(u->m, &u->l->items[0].r, r->ids, r->n_ids, &text, err);
        for (size_t i = 0; i < r->n_ids && !model_tokenizer(u->m); i++)
            buf_printf(&text, i ? ",%d" : "%d", r->ids[i]);
    } else {
        utf8_stream_finish(&u->stream, &text);
        s = OK;
    }
    buf_char(&text, '\n');
    if (!s && !(s = buf_status(&text, "text", err)))
        s = tool_out(u->t) ? outfile_put(tool_out(u->t), text.data, text.n, NULL, err) : print_text(&text, err);
    buf_release(&text);
    return s;
}

static enum status on_done(void *ctx, const struct infer_result *r, struct err *err)
{
    struct single *u = ctx;
    const struct model_info *i = model_info(u->m);
    struct timings v = timings_of(u, r);
    enum status s = u->logits ? outfile_flush(u->logits, err) : OK; // no answer without its logits
    if (s)
        return s;
    s = strcmp(u->a->format, "json") == 0 ? print_json(u, r, &v, err) : end_text(u, r, err);
    if (s)
        return s;
    if (r->status) {
        tool_warn(u->t, "%s", r->message);
        tool_answer_no(u->t);
        return OK;
    }
    char speed[96] = ""; // what was not measured is left out, never 0
    if (r->n_ids > 1)
        (void)snprintf(speed, sizeof speed, ", ttft %.1f ms, tpot %.2f ms, decode %.1f tok/s", v.ttft_ms, v.tpot_ms,
                       v.decode_tok_s);
    else if (r->n_ids)
        (void)snprintf(speed, sizeof speed, ", ttft %.1f ms", v.ttft_ms);
    tool_note(u->t, "%s, %s/%s, %zu threads: %zu prompt tok, %zu out tok (%s)%s, logits %.16s", i->name, i->backend, i->isa,
              i->n_threads, u->l->items[0].r.n_prompt, r->n_ids, finish_reason_name(r->finish), speed, r->logits_sha256);
    return OK;
}

static enum status run_single(struct tool *t, const struct args *a, struct model *m, const struct infer_defaults *d,
                              const struct session_options *opt, struct err *err)
{
    struct infer_list l = {.n = 0};
    struct single u = {.t = t, .a = a, .m = m, .l = &l};
    const struct infer_hooks hooks = {.ctx = &u, .row = on_row, .step = on_step, .done = on_done};
    struct session_options so = *opt;
    void *ids = NULL;
    enum status s = mem_alloc(&ids, a->tokens.n, sizeof(int32_t), "token ids", err);
    for (size_t i = 0; i < a->tokens.n && !s; i++)
        ((int32_t *)ids)[i] = (int32_t)a->tokens.items[i];
    if (!s)
        s = infer_one(&l, m, a->prompt, ids, a->tokens.n, a->chat, d, err);
    if (!s && a->logits_out)
        s = outfile_open(&u.logits, a->logits_out, err);
    if (!s) {
        l.items[0].r.all_positions = strcmp(a->positions, "all") == 0;
        so.n_parallel = 1;
        so.context_tok = l.context_tok;
        progress_stage(tool_progress(t), "prompt", l.items[0].r.n_prompt);
        progress_step(tool_progress(t), 0, NULL);
        if (progress_live(tool_progress(t)) && so.prefill_chunk == 0)
            so.prefill_chunk = WATCHED_CHUNK;
        s = infer_run(m, &l, NULL, &so, &hooks, err);
        progress_drop(tool_progress(t));
    }
    if (s)
        outfile_abort(u.logits);
    else if (u.logits)
        s = outfile_commit(u.logits, NULL, err);
    infer_list_release(&l);
    mem_free(ids);
    return s;
}

/* The tokenizer named, or the one of the model; the weights are not touched. */
static enum status tokenize(struct tool *t, const struct args *a, struct err *err)
{
    struct tokenizer *tok = NULL;
    struct buf in = BUF_INIT;
    struct buf out = BUF_INIT;
    enum status s = tokenizer_open(&tok, a->tokenizer ? a->tokenizer : a->model, err);
    if (!s && !(s = path_read("-", &in, err)) && !(s = infer_tokenize(tok, in.n ? in.data : "", in.n, "<stdin>", &out, err)))
        s = outfile_put(tool_out(t), out.n ? out.data : "", out.n, NULL, err);
    buf_release(&in);
    buf_release(&out);
    tokenizer_free(tok);
    return s;
}

static enum status check_args(struct tool *t, const struct args *a, struct err *err)
{
    int sources = (a->prompt != NULL) + tool_given(t, "tokens") + (a->requests != NULL) + a->tokenize;
    if (sources != 1)
        return err_set(err, ERR_USAGE, "expected one of --prompt, --tokens, --requests, --tokenize, found %s",
                       sources ? "several" : "none");
    if (!a->model && !(a->tokenize && a->tokenizer))
        return err_set(err, ERR_USAGE, "expected --model SOURCE%s, found none", a->tokenize ? " or --tokenizer FILE" : "");
    if (a->tokenizer && !a->tokenize)
        return err_set(err, ERR_USAGE, "--tokenizer: expected --tokenize beside it, found none");
    if (a->requests && (a->logits_out || a->chat || strcmp(a->format, "json") == 0))
        return err_set(err, ERR_USAGE, "--requests: expected no --logits-out, --chat or --format json beside it, found one");
    if (!a->requests && (a->timing_out || a->journal))
        return err_set(err, ERR_USAGE, "--timing-out and --journal: expected --requests beside them, found none");
    if (a->chat && !a->prompt)
        return err_set(err, ERR_USAGE, "--chat: expected --prompt beside it, found none");
    if (strcmp(a->positions, "all") == 0 && !a->logits_out)
        return err_set(err, ERR_USAGE, "--positions all: expected --logits-out beside it, found none");
    if (strcmp(a->numerics, "exact") != 0)
        return err_set(err, ERR_UNSUPPORTED, "--numerics: expected exact on the cpu backend, found '%s'", a->numerics);
    return OK;
}

/* Defaults that reach transcripts: part of what a journal belongs to. */
static void key_of(const struct infer_defaults *d, bool yarn_truncate, char out[200])
{
    char t[NUM_TEXT_B];
    char p[NUM_TEXT_B];
    char q[NUM_TEXT_B];
    num_format_f64(d->sampling.temperature, t);
    num_format_f64(d->sampling.top_p, p);
    num_format_f64(d->sampling.min_p, q);
    (void)snprintf(out, 200, "max_tokens %zu %d temperature %s top_p %s min_p %s top_k %zu seed %llu%s", d->max_tokens,
                   d->max_tokens_given, t, p, q, d->sampling.top_k, (unsigned long long)d->sampling.seed,
                   yarn_truncate ? " yarn-truncate" : "");
}

static enum status run(struct tool *t, const void *args, struct err *err)
{
    const struct args *a = args;
    enum status s = check_args(t, a, err);
    if (s || a->tokenize)
        return s ? s : tokenize(t, a, err);
    const struct infer_defaults d = {.max_tokens = (size_t)a->max_tokens,
                                     .max_tokens_given = tool_given(t, "max-tokens"),
                                     .sampling = {.temperature = a->temperature,
                                                  .top_p = a->top_p,
                                                  .min_p = a->min_p,
                                                  .top_k = (size_t)a->top_k,
                                                  .seed = tool_seed(t)}};
    const struct model_options mo = {.isa = a->isa, DRIVE_BACKEND(a), .n_threads = tool_threads(t),
                                     .yarn_truncate = a->yarn_truncate};
    const struct session_options so = {.n_parallel = (size_t)a->parallel,
                                       .prefill_chunk = (size_t)a->prefill_chunk,
                                       .kv_limit_b = (uint64_t)a->kv_memory,
                                       .prefix_reuse = strcmp(a->prefix_reuse, "on") == 0 &&
                                                       strcmp(a->positions, "all") != 0};
    struct model *m = NULL;
    char key[200];
    if ((s = drive_open_model(t, a->model, &mo, &m, err)))
        goto done;
    if (a->requests) {
        const struct infer_files files = {
            .requests = a->requests, .out = tool_out(t), .timing_out = a->timing_out, .journal = a->journal};
        key_of(&d, a->yarn_truncate, key);
        s = infer_transcribe(t, m, &files, &d, &so, key, err);
    } else {
        s = run_single(t, a, m, &d, &so, err);
    }
done:
    model_free(m);
    return s;
}

static const struct tool_def infer = {
    .name = "infer",
    .summary = "run a model on a prompt, or on a file of requests; answers carry the digest of their logits",
    .options = options,
    .common = TOOL_OUT | TOOL_SEED | TOOL_THREADS,
    .args_b = sizeof(struct args),
    .run = run,
};

int main(int argc, char **argv)
{
    return tool_main(&infer, argc, argv);
}
