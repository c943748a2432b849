#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lib/canon.h"
#include "check/check.h"
#include "check/check_bands.h"
#include "lib/paths.h"
#include "lib/prov.h"

/* A new tree against a committed one. The walk starts at the leaves: a result whose inputs already
 * differ is DERIVED from that difference and not one more failure. */

struct comparison {
    const struct tree *a, *b; /* new, committed */
    const struct table *bands; /* NULL: keys only */
    struct report *report;
    enum verdict *verdicts; /* by index in a; N_VERDICTS = not judged yet */
};

static const cJSON *platform(const struct tree_file *f)
{
    return json_get(f->statement->predicate, "platform");
}

/* Both platforms, field by field, where they differ: a broken promise is a finding. */
static void platform_difference(const struct tree_file *a, const struct tree_file *b, char *out, size_t n)
{
    static const char *const parts[] = {"numeric", "machine"};
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < 2; i++) {
        const cJSON *pa = json_get(platform(a), parts[i]);
        const cJSON *pb = json_get(platform(b), parts[i]);
        const cJSON *v;
        cJSON_ArrayForEach(v, pa)
        {
            const cJSON *w = json_get(pb, v->string);
            if (at >= n || cJSON_Compare(v, w, 1))
                continue;
            struct buf x = BUF_INIT;
            struct buf y = BUF_INIT;
            if (!json_write_canonical(&x, v, NULL) && (!w || !json_write_canonical(&y, w, NULL))) {
                int k = snprintf(out + at, n - at, "; %s %.120s against %.120s", v->string, x.data, w ? y.data : "nothing");
                at += k > 0 ? (size_t)k : 0;
            }
            buf_release(&x);
            buf_release(&y);
        }
    }
}

static void first_difference(const struct comparison *c, const struct tree_file *a, const struct tree_file *b, char *out,
                             size_t n)
{
    struct buf x = BUF_INIT;
    struct buf y = BUF_INIT;
    size_t line = 0;
    size_t column = 0;
    if (tree_read(c->a, a, &x, NULL) || tree_read(c->b, b, &y, NULL))
        (void)snprintf(out, n, "the bytes differ");
    else if (canon_first_difference(x.data, x.n, y.data, y.n, &line, &column))
        (void)snprintf(out, n, "first difference at %zu:%zu", line, column);
    buf_release(&x);
    buf_release(&y);
}

static enum verdict judge(struct comparison *c, size_t i, int depth, struct err *err);

/* Name of the first input whose own comparison failed, or NULL. */
static const char *differing_input(struct comparison *c, const struct tree_file *f, int depth, struct err *err)
{
    const cJSON *in;
    cJSON_ArrayForEach(in, f->statement->inputs)
    {
        const char *name = cJSON_GetStringValue(json_get(in, "name"));
        const struct tree_file *from = name ? tree_find(c->a, name) : NULL;
        if (!from || !tree_is_payload(from))
            continue; // the manifest differs when any time in a statement does
        enum verdict v = judge(c, (size_t)(from - c->a->files), depth + 1, err);
        if (v == VERDICT_FAIL || v == VERDICT_DERIVED || v == VERDICT_MISSING)
            return name;
    }
    return NULL;
}

static enum verdict compare_measured(struct comparison *c, const struct tree_file *a, const struct tree_file *b,
                                     struct err *err)
{
    struct bands_result r;
    bool same_machine = cJSON_Compare(platform(a), platform(b), 1);
    struct err why = ERR_INIT;
    if (bands_compare(c->a, a, c->b, b, same_machine ? c->bands : NULL, &r, &why)) {
        report_add(c->report, VERDICT_FAIL, "compare", a->name, "measured: %s", why.text);
        return VERDICT_FAIL;
    }
    (void)err;
    if (r.n_keys_differ) {
        report_add(c->report, VERDICT_FAIL, "compare", a->name, "measured: %s", r.first);
        return VERDICT_FAIL;
    }
    if (!same_machine) {
        report_add(c->report, VERDICT_SKIP, "compare", a->name, "measured: other machine; %zu rows have equal keys; %s", r.n_rows,
                   r.first);
        return VERDICT_SKIP;
    }
    if (r.n_outside) {
        report_add(c->report, VERDICT_FAIL, "compare", a->name, "measured: %zu of %zu values outside their band; %s", r.n_outside,
                   r.n_judged, r.first);
        return VERDICT_FAIL;
    }
    if (r.n_judged == 0 && r.n_rows) {
        report_add(c->report, VERDICT_SKIP, "compare", a->name, "measured: no band applies to it");
        return VERDICT_SKIP;
    }
    report_add(c->report, VERDICT_PASS, "compare", a->name, "measured: %zu values within their bands", r.n_judged);
    return VERDICT_PASS;
}

static enum verdict compare_bytes(struct comparison *c, const struct tree_file *a, const struct tree_file *b,
                                  const char *class)
{
    char where[64] = "";
    char platforms[700];
    if (strcmp(a->sha256, b->sha256) == 0) {
        report_add(c->report, VERDICT_PASS, "compare", a->name, "%s", class);
        return VERDICT_PASS;
    }
    const char *pa = cJSON_GetStringValue(json_get(a->statement->predicate, "platformDigest"));
    const char *pb = cJSON_GetStringValue(json_get(b->statement->predicate, "platformDigest"));
    if (strcmp(class, "pinned") == 0 && (!pa || !pb || strcmp(pa, pb) != 0)) {
        report_add(c->report, VERDICT_SKIP, "compare", a->name, "pinned: other platform");
        return VERDICT_SKIP;
    }
    first_difference(c, a, b, where, sizeof where);
    platform_difference(a, b, platforms, sizeof platforms);
    report_add(c->report, VERDICT_FAIL, "compare", a->name, "%s: %s%s", class, where, platforms);
    return VERDICT_FAIL;
}

/* Why a file may be in one tree alone: its platform was not measured there, or it is made from files of
 * other people, who were not at hand. NULL when nothing excuses it. */
static const char *excuse(const struct tree_file *f, const struct tree *other)
{
    size_t n = strcspn(f->name, "/") + 1;
    size_t i = 0;
    if (f->statement && f->statement->class && strcmp(f->statement->class, "external") == 0)
        return "external: made where other people's files are at hand";
    while (i < other->n && strncmp(other->files[i].name, f->name, n) != 0)
        i++;
    bool measured = f->statement && f->statement->class && strcmp(f->statement->class, "measured") == 0;
    return measured && i == other->n ? "measured: the other tree has no such platform" : NULL;
}

static void alone(struct comparison *c, const struct tree_file *f, const struct tree *other, const char *what)
{
    const char *why = excuse(f, other);
    report_add(c->report, why ? VERDICT_SKIP : VERDICT_MISSING, "compare", f->name, "%s", why ? why : what);
}

static enum verdict judge(struct comparison *c, size_t i, int depth, struct err *err)
{
    const struct tree_file *a = &c->a->files[i];
    const struct tree_file *b = tree_find(c->b, a->name);
    if (c->verdicts[i] != N_VERDICTS)
        return c->verdicts[i];
    enum verdict v = VERDICT_FAIL;
    if (depth > 64) {
        report_add(c->report, v, "compare", a->name, "its inputs form a circle");
    } else if (!b) {
        v = excuse(a, c->b) ? VERDICT_SKIP : VERDICT_MISSING;
        alone(c, a, c->b, "the other tree does not have it");
    } else if (!a->statement || !a->statement->sound || !b->statement || !b->statement->sound) {
        report_add(c->report, v, "compare", a->name, "it has no sound statement in both trees");
    } else if (strcmp(a->statement->class, b->statement->class) != 0) {
        report_add(c->report, v, "compare", a->name, "class %.20s here, %.20s there", a->statement->class, b->statement->class);
    } else {
        bool equal = strcmp(a->sha256, b->sha256) == 0;
        const char *from = equal ? NULL : differing_input(c, a, depth, err);
        if (from) {
            v = VERDICT_DERIVED;
            report_add(c->report, v, "compare", a->name, "%s: from '%s'", a->statement->class, from);
        } else if (!equal && strcmp(a->statement->class, "measured") == 0) {
            v = compare_measured(c, a, b, err);
        } else {
            v = compare_bytes(c, a, b, a->statement->class);
        }
    }
    c->verdicts[i] = v;
    return v;
}

enum status check_compare(const struct tree *a, const struct tree *b, const char *bands, struct report *r,
                          struct err *err)
{
    struct comparison c = {.a = a, .b = b, .report = r};
    struct table *w = NULL;
    void *p;
    enum status s = bands ? bands_read(bands, &w, err) : OK;
    if (s)
        return s;
    c.bands = w;
    if ((s = mem_alloc(&p, a->n, sizeof(enum verdict), "comparison", err))) {
        table_free(w);
        return s;
    }
    c.verdicts = p;
    for (size_t i = 0; i < a->n; i++)
        c.verdicts[i] = N_VERDICTS;
    for (size_t i = 0; i < a->n; i++)
        if (tree_is_payload(&a->files[i]))
            (void)judge(&c, i, 0, err);
    for (size_t i = 0; i < b->n; i++)
        if (tree_is_payload(&b->files[i]) && !tree_find(a, b->files[i].name))
            alone(&c, &b->files[i], a, "only the other tree has it");
    mem_free(c.verdicts);
    table_free(w);
    return OK;
}
