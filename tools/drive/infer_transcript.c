#include "drive/infer_transcript.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "lib/journal.h"
#include "lib/platform.h"

enum { LOGPROB_DECIMALS = 12 };

/* Members are added to a row that may already be lost for want of memory; checked once at the end. */
struct row {
    cJSON *obj;
    bool good;
};

static void add(struct row *w, const char *key, cJSON *v)
{
    if (!v || !cJSON_AddItemToObject(w->obj, key, v)) {
        cJSON_Delete(v);
        w->good = false;
    }
}

static void add_text(struct row *w, const char *key, const struct buf *b)
{
    w->good &= !b->failed;
    add(w, key, cJSON_CreateString(b->data ? b->data : ""));
}

static void add_ids(struct row *w, const char *key, const int32_t *ids, size_t n)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < n && list; i++) {
        cJSON *v = cJSON_CreateNumber(ids[i]);
        if (!v || !cJSON_AddItemToArray(list, v)) {
            cJSON_Delete(v);
            w->good = false;
        }
    }
    add(w, key, list);
}

/* Reasoning and final text of a chat answer. */
static enum status add_parts(struct row *w, const struct model *m, const struct infer_result *r, struct err *err)
{
    struct chat_parts parts = {.has_final = false};
    struct buf reasoning = BUF_INIT;
    struct buf final = BUF_INIT;
    enum status s = chat_split(model_chat_format(m), model_tokenizer(m), r->ids, r->n_ids, &parts, err);
    if (!s) {
        infer_clean(parts.reasoning.data ? parts.reasoning.data : "", parts.reasoning.n, &reasoning);
        infer_clean(parts.final.data ? parts.final.data : "", parts.final.n, &final);
        add_text(w, "reasoning", &reasoning);
        add_text(w, "final", &final);
        add(w, "has_final", cJSON_CreateBool(parts.has_final));
    }
    chat_parts_release(&parts);
    buf_release(&reasoning);
    buf_release(&final);
    return s;
}

static enum status add_answer(struct row *w, const struct model *m, const struct infer_request *q,
                              const struct infer_result *r, struct err *err)
{
    struct buf text = BUF_INIT;
    enum status s = OK;
    add_ids(w, "token_ids", r->ids, r->n_ids);
    add(w, "finish_reason", cJSON_CreateString(finish_reason_name(r->finish)));
    add(w, "logits_sha256", cJSON_CreateString(r->logits_sha256));
    if (q->r.n_score) {
        add(w, "logprob", cJSON_CreateNumber(num_round(r->logprob, LOGPROB_DECIMALS)));
        add(w, "is_greedy", cJSON_CreateBool(r->is_greedy));
        return OK;
    }
    if (!(s = infer_text(m, &q->r, r->ids, r->n_ids, &text, err)))
        add_text(w, "text", &text);
    if (!s && q->chat)
        s = add_parts(w, m, r, err);
    buf_release(&text);
    return s;
}

enum status infer_row(const struct model *m, const struct infer_request *q, const struct infer_result *r, cJSON **out,
                      struct err *err)
{
    struct row w = {.obj = cJSON_CreateObject(), .good = true};
    enum status s = OK;
    if (!w.obj)
        return err_set(err, ERR_MEMORY, "cannot build a transcript");
    add(&w, "id", cJSON_CreateString(q->r.id));
    add(&w, "status", cJSON_CreateString(status_name(r->status)));
    add_ids(&w, "prompt_token_ids", q->r.prompt, q->r.n_prompt);
    if (r->status) {
        add(&w, "error", cJSON_CreateString(r->message));
        add(&w, "finish_reason", cJSON_CreateString(finish_reason_name(r->finish)));
    } else {
        s = add_answer(&w, m, q, r, err);
    }
    if (!s && !w.good)
        s = err_set(err, ERR_MEMORY, "cannot build a transcript");
    if (s)
        cJSON_Delete(w.obj);
    else
        *out = w.obj;
    return s;
}

/* A run over a requests file. */
struct batch {
    struct tool *t;
    const struct model *m;
    const struct infer_list *l;
    struct journal *journal; /* NULL when the output is standard output: then rows are kept here */
    cJSON **rows;            /* (n) without a journal */
    size_t n_done;
    size_t n_fed, n_reused; // prompt tokens of this run
    uint64_t from_ns;
};

static cJSON *stamp(uint64_t t_ns, uint64_t from_ns)
{
    return cJSON_CreateNumber((double)(t_ns - from_ns));
}

static enum status timing_of(const struct batch *b, const struct infer_result *r, cJSON **out, struct err *err)
{
    struct row w = {.obj = cJSON_CreateObject(), .good = true};
    if (!w.obj)
        return err_set(err, ERR_MEMORY, "cannot build a timing row");
    add(&w, "in_tok", cJSON_CreateNumber((double)b->l->items[r->index].r.n_prompt));
    add(&w, "in_cached_tok", cJSON_CreateNumber((double)r->n_reused));
    add(&w, "out_tok", cJSON_CreateNumber((double)r->n_ids));
    add(&w, "t_start_ns", stamp(r->t_start_ns, b->from_ns));
    if (r->t_tok1_ns) {
        add(&w, "t_tok1_ns", stamp(r->t_tok1_ns, b->from_ns));
        add(&w, "t_tokn_ns", stamp(r->t_tokn_ns, b->from_ns));
    }
    add(&w, "t_done_ns", stamp(r->t_done_ns, b->from_ns));
    *out = w.obj;
    if (w.good)
        return OK;
    cJSON_Delete(w.obj);
    return err_set(err, ERR_MEMORY, "cannot build a timing row");
}

static enum status done(void *ctx, const struct infer_result *r, struct err *err)
{
    struct batch *b = ctx;
    const struct infer_request *q = &b->l->items[r->index];
    cJSON *row = NULL;
    cJSON *timing = NULL;
    enum status s;
    if ((s = infer_row(b->m, q, r, &row, err)) || (s = timing_of(b, r, &timing, err))) {
        cJSON_Delete(row);
        return s;
    }
    struct row w = {.obj = cJSON_CreateObject(), .good = true};
    if (!w.obj) {
        cJSON_Delete(row);
        cJSON_Delete(timing);
        return err_set(err, ERR_MEMORY, "cannot build a record");
    }
    add(&w, "id", cJSON_CreateString(q->r.id));
    add(&w, "row", row);
    add(&w, "timing", timing);
    b->n_fed += q->r.n_prompt + (q->r.n_score ? q->r.n_score - 1 : 0);
    b->n_reused += r->n_reused;
    progress_step(tool_progress(b->t), ++b->n_done, NULL);
    if (!w.good) {
        cJSON_Delete(w.obj);
        return err_set(err, ERR_MEMORY, "cannot build a record");
    }
    if (b->journal)
        return journal_add(b->journal, w.obj, err);
    b->rows[r->index] = w.obj;
    return OK;
}

static bool stopped(void *ctx)
{
    return tool_interrupted(((const struct batch *)ctx)->t);
}

/* What decides the bytes of the transcripts, so that a journal is only continued by the same run. */
static enum status recipe_of(struct tool *t, const char *key, const struct buf *requests, char out[DIGEST_HEX_LEN + 1],
                             struct err *err)
{
    uint8_t d[DIGEST_B];
    char hex[DIGEST_HEX_LEN + 1];
    struct buf b = BUF_INIT;
    enum status s = digest_bytes(requests->data, requests->n, d, err);
    if (s)
        return s;
    digest_hex(d, hex);
    buf_printf(&b, "infer\nengine %s\ntools %s\nmodel %s\nrequests %s\n%s\n", build_info()->engine, build_info()->tools,
               prov_model_digest(tool_prov(t)), hex, key);
    if (!(s = buf_status(&b, "recipe", err)) && !(s = digest_bytes(b.data, b.n, d, err)))
        digest_hex(d, out);
    buf_release(&b);
    return s;
}

static void put_timing(struct table *timing, const char *id, const cJSON *record)
{
    static const char *const columns[] = {"in_tok", "in_cached_tok", "out_tok", "t_start_ns", "t_tok1_ns", "t_tokn_ns", "t_done_ns"};
    const cJSON *v = json_get(record, "timing");
    table_row(timing);
    table_set_text(timing, "id", id);
    table_set_text(timing, "status", cJSON_GetStringValue(json_get(json_get(record, "row"), "status")));
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        if (cJSON_IsNumber(json_get(v, columns[i])))
            table_set_i64(timing, columns[i], (int64_t)json_get(v, columns[i])->valuedouble);
}

/* Rows and timings in two files; transcripts last, so that they are only there when all is. */
static enum status write_files(struct batch *b, const struct infer_files *f, struct err *err)
{
    struct records *rows = NULL;
    struct table *timing = NULL;
    struct buf path = BUF_INIT;
    enum status s = records_new(&rows, "transcripts", err);
    if (!s)
        s = table_new(&timing, "transcripts_timing", err);
    for (size_t i = 0; i < b->l->n && !s; i++) {
        const cJSON *record = b->journal ? journal_at(b->journal, i) : b->rows[i];
        const cJSON *row = json_get(record, "row");
        const char *status = cJSON_GetStringValue(json_get(row, "status"));
        put_timing(timing, cJSON_GetStringValue(json_get(record, "id")), record);
        if (!status || strcmp(status, status_name(OK)) != 0)
            tool_answer_no(b->t);
        s = records_add(rows, cJSON_Duplicate(row, true), err);
    }
    size_t n = f->out ? strlen(f->out) : 0;
    size_t stem = n > 6 && strcmp(f->out + n - 6, ".jsonl") == 0 ? n - 6 : n;
    if (f->timing_out)
        buf_str(&path, f->timing_out);
    else if (f->out)
        buf_printf(&path, "%.*s.timing.csv", (int)stem, f->out);
    if (!s)
        s = buf_status(&path, "path", err);
    if (!s && path.n)
        s = tool_put_table(b->t, path.data, timing, err);
    if (!s)
        s = tool_put_records(b->t, f->out, rows, err);
    records_free(rows);
    table_free(timing);
    buf_release(&path);
    return s;
}

static enum status open_journal(struct batch *b, const struct infer_files *f, const char *recipe, bool *skip,
                                struct err *err)
{
    struct buf path = BUF_INIT;
    if (!f->out)
        return OK;
    if (f->journal)
        buf_str(&path, f->journal);
    else
        buf_printf(&path, "%s.journal", f->out);
    enum status s = buf_status(&path, "path", err);
    if (!s)
        s = journal_open(&b->journal, path.data, recipe, err);
    buf_release(&path);
    for (size_t i = 0; i < b->l->n && !s; i++) {
        skip[i] = journal_has(b->journal, b->l->items[i].r.id);
        b->n_done += skip[i];
    }
    if (!s && b->n_done)
        tool_note(b->t, "%zu of %zu requests are in the journal and are not run again", b->n_done, b->l->n);
    return s;
}

static enum status run_batch(struct batch *b, struct model *m, const struct infer_files *f,
                             const struct session_options *opt, const char *recipe, struct err *err)
{
    const struct infer_hooks hooks = {.ctx = b, .done = done, .stop = stopped};
    void *skip = NULL;
    void *rows = NULL;
    enum status s = mem_alloc(&skip, b->l->n, sizeof(bool), "request marks", err);
    if (!s && !(s = mem_alloc(&rows, b->l->n, sizeof(cJSON *), "transcripts", err)))
        b->rows = rows;
    if (!s && !(s = open_journal(b, f, recipe, skip, err))) {
        progress_stage(tool_progress(b->t), "requests", b->l->n);
        progress_step(tool_progress(b->t), b->n_done, NULL);
        b->from_ns = clock_ns();
        s = infer_run(m, b->l, skip, opt, &hooks, err);
        char detail[80] = "";
        if (b->n_reused)
            (void)snprintf(detail, sizeof detail, "%zu of %zu prompt tok reused", b->n_reused, b->n_fed);
        if (!s)
            progress_end(tool_progress(b->t), detail);
    }
    if (!s)
        s = write_files(b, f, err);
    if (!s)
        s = tool_commit(b->t, err); // before the journal goes
    if (b->journal) {
        bool over = s == OK || journal_count(b->journal) == 0; // a journal of nothing helps nobody
        enum status closed = journal_close(b->journal, over, s ? NULL : err);
        s = s ? s : closed;
    }
    for (size_t i = 0; i < b->l->n && rows; i++)
        cJSON_Delete(b->rows[i]);
    mem_free(rows);
    mem_free(skip);
    return s;
}

enum status infer_transcribe(struct tool *t, struct model *m, const struct infer_files *files,
                             const struct infer_defaults *d, const struct session_options *opt, const char *recipe_key,
                             struct err *err)
{
    struct buf text = BUF_INIT;
    struct records *rows = NULL;
    struct infer_list l = {.n = 0};
    struct session_options so = *opt;
    char recipe[DIGEST_HEX_LEN + 1];
    const char *name = strcmp(files->requests, "-") == 0 ? "<stdin>" : files->requests;
    enum status s = tool_read(t, files->requests, &text, err);
    if (!s && text.n == 0)
        s = err_set(err, ERR_FORMAT, "%s: expected at least one request, found an empty file", name);
    if (!s && !(s = records_parse(&rows, "requests", text.data, text.n, name, RECORDS_ANY, err)) &&
        !(s = infer_list_parse(&l, m, rows, files->requests, d, err)) &&
        !(s = recipe_of(t, recipe_key, &text, recipe, err))) {
        so.context_tok = l.context_tok;
        struct batch b = {.t = t, .m = m, .l = &l};
        tool_catch_interrupt(t);
        s = run_batch(&b, m, files, &so, recipe, err);
    }
    infer_list_release(&l);
    records_free(rows);
    buf_release(&text);
    return s;
}
