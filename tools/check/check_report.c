#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "check/check.h"
#include "lib/paths.h"

struct report {
    struct arena *arena;
    struct finding *items;
    size_t n, cap;
    bool incomplete; /* a finding could not be kept */
};

static const char *const names[N_VERDICTS] = {"PASS", "FAIL", "MISSING", "SKIP", "OLD", "DERIVED"};

const char *verdict_name(enum verdict v)
{
    return names[v];
}

enum status report_new(struct report **out, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct report), "report", err);
    if (s)
        return s;
    struct report *r = p;
    if ((s = arena_new(&r->arena, 0, err))) {
        mem_free(r);
        return s;
    }
    *out = r;
    return OK;
}

void report_free(struct report *r)
{
    if (!r)
        return;
    arena_free(r->arena);
    mem_free(r->items);
    mem_free(r);
}

static const char *keep(struct report *r, const char *text)
{
    char *copy;
    if (arena_strndup(r->arena, &copy, text, strlen(text), NULL)) {
        r->incomplete = true;
        return "";
    }
    return copy;
}

void report_add(struct report *r, enum verdict v, const char *check, const char *subject, const char *fmt, ...)
{
    if (r->n == r->cap) {
        void *p;
        size_t cap = r->cap ? 2 * r->cap : 64;
        if (mem_alloc(&p, cap, sizeof(struct finding), "report", NULL)) {
            r->incomplete = true;
            return;
        }
        if (r->n)
            memcpy(p, r->items, r->n * sizeof(struct finding));
        mem_free(r->items);
        r->items = p;
        r->cap = cap;
    }
    char detail[1200];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    r->items[r->n++] = (struct finding){
        .verdict = v, .check = keep(r, check), .subject = keep(r, subject), .detail = keep(r, detail)};
}

size_t report_count(const struct report *r)
{
    return r->n;
}

const struct finding *report_at(const struct report *r, size_t i)
{
    return &r->items[i];
}

size_t report_total(const struct report *r, enum verdict v)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n += r->items[i].verdict == v;
    return n;
}

bool report_good(const struct report *r)
{
    size_t n = 0; // the list of allowed skips is no check of a tree
    for (size_t i = 0; i < r->n; i++) {
        const struct finding *f = &r->items[i];
        n += strcmp(f->check, "allow") != 0;
        bool good = f->verdict == VERDICT_PASS || f->verdict == VERDICT_OLD || (f->verdict == VERDICT_SKIP && f->allowed);
        if (!good)
            return false;
    }
    return n > 0 && !r->incomplete;
}

/* One line `CHECK GLOB reason`; marks the SKIPs it covers. */
static enum status allow_line(struct report *r, char *line, const char *where, struct err *err)
{
    char *check = line + strspn(line, " \t");
    if (!*check || *check == '#')
        return OK;
    char *glob = check + strcspn(check, " \t");
    glob += *glob ? (*glob = '\0', 1) : 0;
    glob += strspn(glob, " \t");
    char *reason = glob + strcspn(glob, " \t");
    reason += *reason ? (*reason = '\0', 1) : 0;
    reason += strspn(reason, " \t");
    if (!*glob || !*reason)
        return err_set(err, ERR_FORMAT, "%s: expected CHECK GLOB and a reason, found '%.80s'", where, check);
    for (size_t i = 0; i < r->n; i++) {
        struct finding *f = &r->items[i];
        if (f->verdict == VERDICT_SKIP && strcmp(f->check, check) == 0 && fnmatch(glob, f->subject, 0) == 0)
            f->allowed = true;
    }
    return OK;
}

enum status report_allow(struct report *r, const char *path, struct err *err)
{
    struct buf b = BUF_INIT;
    uint8_t d[DIGEST_B];
    char hex[DIGEST_HEX_LEN + 1];
    enum status s = path_read(path, &b, err);
    if (!s)
        s = digest_bytes(b.data, b.n, d, err);
    size_t line = 1;
    for (size_t at = 0; !s && at < b.n; line++) {
        size_t len = strcspn(b.data + at, "\n");
        char where[300];
        (void)snprintf(where, sizeof where, "%.200s:%zu", path, line);
        b.data[at + len] = '\0'; // the byte after the last line is the buffer's own NUL
        s = allow_line(r, b.data + at, where, err);
        at += len + 1;
    }
    if (!s) {
        digest_hex(d, hex);
        report_add(r, VERDICT_PASS, "allow", path_base(path), "sha256 %s", hex);
    }
    buf_release(&b);
    return s;
}

void report_text(const struct report *r, const char *program, bool all, struct buf *out)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct finding *f = &r->items[i];
        if ((f->verdict == VERDICT_PASS || f->verdict == VERDICT_OLD) && !all)
            continue; // OLD passes and is counted: after any edit of a tool it holds for every file
        buf_printf(out, "%-7s %-9s %s%s%s%s\n", names[f->verdict], f->check, f->subject, *f->detail ? ": " : "", f->detail,
                   f->verdict == VERDICT_SKIP && !f->allowed ? " (not allowed)" : "");
    }
    buf_printf(out, "%s:", program);
    for (int v = 0; v < N_VERDICTS; v++)
        buf_printf(out, "%s %zu %s", v ? "," : "", report_total(r, (enum verdict)v), names[v]);
    buf_char(out, '\n');
}

static bool add_finding(cJSON *list, const struct finding *f)
{
    cJSON *o = cJSON_CreateObject();
    if (!o || !cJSON_AddItemToArray(list, o)) {
        cJSON_Delete(o);
        return false;
    }
    return cJSON_AddStringToObject(o, "verdict", names[f->verdict]) && cJSON_AddStringToObject(o, "check", f->check) &&
           cJSON_AddStringToObject(o, "subject", f->subject) && cJSON_AddStringToObject(o, "detail", f->detail) &&
           cJSON_AddBoolToObject(o, "allowed", f->allowed);
}

enum status report_json(const struct report *r, struct buf *out, struct err *err)
{
    cJSON *doc = cJSON_CreateObject();
    cJSON *counts = doc ? cJSON_AddObjectToObject(doc, "counts") : NULL;
    cJSON *list = counts ? cJSON_AddArrayToObject(doc, "findings") : NULL;
    bool good = list && cJSON_AddBoolToObject(doc, "good", report_good(r));
    for (int v = 0; v < N_VERDICTS && good; v++)
        good = cJSON_AddNumberToObject(counts, names[v], (double)report_total(r, (enum verdict)v)) != NULL;
    for (size_t i = 0; i < r->n && good; i++)
        good = add_finding(list, &r->items[i]);
    enum status s = good ? json_write_canonical(out, doc, err) : err_set(err, ERR_MEMORY, "cannot build the report");
    buf_char(out, '\n');
    cJSON_Delete(doc);
    return s;
}
