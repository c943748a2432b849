#include "lib/cli.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

enum { N_SECTIONS = 3, LONG_BASE = 256 };

/* One option of any section, with the member it fills. */
struct entry {
    const struct cli_option *option;
    size_t section;
    void *at;
    bool given; /* typed or cli_set */
};

struct cli {
    struct cli_spec spec;
    struct arena *arena;
    size_t n_options;
    struct entry *entries;
    struct cli_texts operands;
    bool out_of_memory;
};

const struct cli_option *cli_at(const struct cli *c, size_t i, size_t *section)
{
    if (i >= c->n_options)
        return NULL;
    if (section)
        *section = c->entries[i].section;
    return c->entries[i].option;
}

static struct entry *find(const struct cli *c, const char *name)
{
    for (size_t i = 0; i < c->n_options; i++)
        if (strcmp(c->entries[i].option->name, name) == 0)
            return &c->entries[i];
    return NULL;
}

const struct cli_option *cli_find(const struct cli *c, const char *name)
{
    const struct entry *e = find(c, name);
    return e ? e->option : NULL;
}

static bool required(const struct cli_option *o)
{
    return o->dflt && strcmp(o->dflt, CLI_REQUIRED) == 0;
}

static bool one_of(const char *text, const char *choices)
{
    size_t n = strlen(text);
    for (const char *p = choices; *p;) {
        size_t len = strcspn(p, "|");
        if (len == n && memcmp(p, text, n) == 0)
            return true;
        p += len + (p[len] == '|');
    }
    return false;
}

/* A text list grows by one; the old array stays in the arena, which dies with the parse. */
static enum status append(struct arena *a, struct cli_texts *list, const char *text, struct err *err)
{
    void *p;
    char *copy;
    enum status s = arena_alloc(a, &p, list->n + 1, sizeof(const char *), err);
    if (!s)
        s = arena_strndup(a, &copy, text, strlen(text), err);
    if (s)
        return s;
    const char **items = p;
    for (size_t i = 0; i < list->n; i++)
        items[i] = list->items[i];
    items[list->n] = copy;
    *list = (struct cli_texts){.n = list->n + 1, .items = items};
    return OK;
}

static enum status set_list(struct cli *c, const struct cli_option *o, const char *label, void *at,
                            const char *text, struct err *err)
{
    size_t n = 1;
    for (const char *p = text; *p; p++)
        n += *p == ',';
    void *p;
    char *copy;
    enum status s = arena_alloc(c->arena, &p, n, 8, err);
    if (!s)
        s = arena_strndup(c->arena, &copy, text, strlen(text), err);
    if (s)
        return s;
    int64_t *ints = p;
    double *reals = p;
    for (size_t i = 0; i < n && !s; i++) {
        char *end = copy + strcspn(copy, ",");
        *end = '\0';
        if (o->kind == CLI_KIND_INTS)
            s = num_parse_i64(copy, o->int_lo, o->int_hi, label, &ints[i], err);
        else
            s = num_parse_f64(copy, o->real_lo, o->real_hi, label, &reals[i], err);
        copy = end + 1;
    }
    if (s)
        return s;
    if (o->kind == CLI_KIND_INTS)
        *(struct cli_ints *)at = (struct cli_ints){.n = n, .items = ints};
    else
        *(struct cli_reals *)at = (struct cli_reals){.n = n, .items = reals};
    return OK;
}

static enum status set_value(struct cli *c, const struct entry *e, const char *text, struct err *err)
{
    const struct cli_option *o = e->option;
    void *at = e->at;
    char label[80] = "--";
    strncat(label, o->name, sizeof label - 3);
    char *copy;
    enum status s = OK;
    switch (o->kind) {
    case CLI_KIND_FLAG:
        *(bool *)at = true;
        break;
    case CLI_KIND_CHOICE:
        if (!one_of(text, o->choices))
            return err_set(err, ERR_USAGE, "%s: expected %s, found '%.64s'", label, o->choices, text);
        // fall through
    case CLI_KIND_TEXT:
        if ((s = arena_strndup(c->arena, &copy, text, strlen(text), err)))
            return s;
        *(const char **)at = copy;
        break;
    case CLI_KIND_INT:
        s = num_parse_i64(text, o->int_lo, o->int_hi, label, at, err);
        break;
    case CLI_KIND_SIZE:
        s = num_parse_size(text, o->int_lo, o->int_hi, label, at, err);
        break;
    case CLI_KIND_REAL:
        s = num_parse_f64(text, o->real_lo, o->real_hi, label, at, err);
        break;
    case CLI_KIND_TEXTS:
        s = append(c->arena, at, text, err);
        break;
    case CLI_KIND_INTS:
    case CLI_KIND_REALS:
        s = set_list(c, o, label, at, text, err);
        break;
    }
    if (s == ERR_FORMAT || s == ERR_RANGE) {
        if (err)
            err->status = ERR_USAGE;
        s = ERR_USAGE;
    }
    return s;
}

/* The sections' tables as one list. */
static enum status flatten(struct cli *c, struct err *err)
{
    void *p;
    size_t n = 0;
    for (size_t k = 0; k < N_SECTIONS; k++)
        for (const struct cli_option *o = c->spec.sections[k].options; o && o->name; o++)
            n++;
    enum status s = arena_alloc(c->arena, &p, n, sizeof(struct entry), err);
    if (s)
        return s;
    c->entries = p;
    for (size_t k = 0; k < N_SECTIONS; k++)
        for (const struct cli_option *o = c->spec.sections[k].options; o && o->name; o++)
            c->entries[c->n_options++] =
                (struct entry){.option = o, .section = k, .at = (char *)c->spec.sections[k].args + o->at};
    return OK;
}

enum status cli_new(struct cli **out, const struct cli_spec *spec, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct cli), "options", err);
    if (s)
        return s;
    struct cli *c = p;
    c->spec = *spec;
    s = arena_new(&c->arena, 0, err);
    if (!s)
        s = flatten(c, err);
    for (size_t i = 0; i < c->n_options && !s; i++) {
        const struct cli_option *o = c->entries[i].option;
        if (o->dflt && !required(o))
            s = set_value(c, &c->entries[i], o->dflt, err);
    }
    if (s) {
        cli_free(c);
        return s;
    }
    *out = c;
    return OK;
}

void cli_free(struct cli *c)
{
    if (!c)
        return;
    arena_free(c->arena);
    mem_free(c);
}

/* Edit distance (Levenshtein). */
static size_t distance(const char *a, size_t na, const char *b)
{
    size_t nb = strlen(b);
    size_t row[64];
    if (nb >= 64 || na >= 64)
        return SIZE_MAX;
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diag = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = diag + (a[i - 1] != b[j - 1]);
            diag = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[nb];
}

size_t cli_distance(const char *word, size_t n, const char *name)
{
    if (n >= 3 && strncmp(name, word, n) == 0)
        return 1; // a prefix is as good as one wrong letter
    size_t d = distance(word, n, name);
    return d < n / 3 + 2 ? d : SIZE_MAX;
}

static enum status unknown(const struct cli *c, const char *word, struct err *err)
{
    size_t n = strcspn(word, "=");
    const char *best = NULL;
    size_t best_d = SIZE_MAX;
    for (size_t i = 0; i < c->n_options; i++) {
        const char *name = c->entries[i].option->name;
        size_t d = cli_distance(word, n, name);
        if (d < best_d) {
            best_d = d;
            best = name;
        }
    }
    if (best)
        return err_set(err, ERR_USAGE, "unknown option '--%.*s'; the nearest is '--%s'", (int)n, word, best);
    return err_set(err, ERR_USAGE, "unknown option '--%.*s'; --help lists them", (int)n, word);
}

static enum status bad_option(const struct cli *c, const char *word, int letter, bool missing, struct err *err)
{
    if (strncmp(word, "--", 2) != 0) {
        if (missing)
            return err_set(err, ERR_USAGE, "option '-%c' needs a value", letter);
        return err_set(err, ERR_USAGE, "unknown option '-%c'; --help lists them", letter);
    }
    char name[64] = {0};
    size_t n = strcspn(word + 2, "=");
    if (n < sizeof name)
        memcpy(name, word + 2, n);
    if (!find(c, name))
        return unknown(c, word + 2, err);
    return err_set(err, ERR_USAGE, missing ? "option '--%s' needs a value" : "option '--%s' takes no value", name);
}

static enum status parse(struct cli *c, int argc, char **argv, const struct option *longs, const char *letters,
                         struct err *err)
{
    opterr = 0;
    optind = 0; // glibc: start afresh, also after an earlier parse in this process
    for (;;) {
        int before = optind ? optind : 1;
        int r = getopt_long(argc, argv, letters, longs, NULL);
        if (r == -1)
            break;
        const char *word = before < argc ? argv[before] : "";
        enum status s = OK;
        if (r == 1) {
            s = append(c->arena, &c->operands, optarg, err);
        } else if (r == '?' || r == ':') {
            s = bad_option(c, word, optopt, r == ':', err);
        } else {
            struct entry *e = NULL;
            for (size_t i = 0; i < c->n_options && !e; i++)
                if (r == LONG_BASE + (int)i || r == c->entries[i].option->letter)
                    e = &c->entries[i];
            // getopt also takes abbreviations; we do not
            if (!e || (r >= LONG_BASE && strcspn(word + 2, "=") != strlen(e->option->name)))
                return unknown(c, word + 2, err);
            s = set_value(c, e, optarg, err);
            e->given = true;
        }
        if (s)
            return s;
    }
    for (int i = optind; i < argc; i++) {
        enum status s = append(c->arena, &c->operands, argv[i], err);
        if (s)
            return s;
    }
    return OK;
}

enum status cli_parse(struct cli *c, int argc, char **argv, struct err *err)
{
    void *longs_p;
    void *letters_p;
    enum status s = arena_alloc(c->arena, &longs_p, c->n_options + 1, sizeof(struct option), err);
    if (!s)
        s = arena_alloc(c->arena, &letters_p, 2 * c->n_options + 3, 1, err);
    if (s)
        return s;
    struct option *longs = longs_p;
    char *letters = letters_p;
    size_t n = 0;
    letters[n++] = '-'; // operands come back in order, argv is not permuted
    letters[n++] = ':'; // a missing value is told from an unknown option
    for (size_t i = 0; i < c->n_options; i++) {
        const struct cli_option *o = c->entries[i].option;
        bool flag = o->kind == CLI_KIND_FLAG;
        longs[i] = (struct option){.name = o->name, .has_arg = flag ? no_argument : required_argument,
                                   .val = LONG_BASE + (int)i};
        if (o->letter) {
            letters[n++] = o->letter;
            if (!flag)
                letters[n++] = ':';
        }
    }
    return parse(c, argc, argv, longs, letters, err);
}

enum status cli_check(const struct cli *c, struct err *err)
{
    if (c->out_of_memory)
        return err_set(err, ERR_MEMORY, "cannot allocate operands");
    for (size_t i = 0; i < c->n_options; i++) {
        const struct cli_option *o = c->entries[i].option;
        if (required(o) && !c->entries[i].given)
            return err_set(err, ERR_USAGE, "option '--%s %s' is required", o->name, o->arg);
    }
    size_t n = c->operands.n;
    if (n > c->spec.max_operands)
        return err_set(err, ERR_USAGE, "unexpected operand '%.200s'", c->operands.items[c->spec.max_operands]);
    if (n < c->spec.min_operands)
        return err_set(err, ERR_USAGE, "expected %s, found %zu operand%s", c->spec.operands, n, n == 1 ? "" : "s");
    return OK;
}

enum status cli_set(struct cli *c, const char *name, const char *text, struct err *err)
{
    struct entry *e = find(c, name);
    if (!e)
        return unknown(c, name, err);
    enum status s = set_value(c, e, text, err);
    if (!s)
        e->given = true;
    return s;
}

bool cli_given(const struct cli *c, const char *name)
{
    const struct entry *e = find(c, name);
    return e && e->given;
}

struct cli_texts cli_operands(const struct cli *c)
{
    return c->operands;
}

void cli_add_operand(struct cli *c, const char *text)
{
    if (append(c->arena, &c->operands, text, NULL))
        c->out_of_memory = true;
}

cJSON *cli_value(const struct cli *c, const struct cli_option *o)
{
    const struct entry *e = find(c, o->name);
    const void *at = e ? e->at : NULL;
    cJSON *list;
    if (!e || ((!o->dflt || required(o)) && !e->given && o->kind != CLI_KIND_FLAG && o->kind != CLI_KIND_TEXTS))
        return cJSON_CreateNull();
    switch (o->kind) {
    case CLI_KIND_FLAG:
        return cJSON_CreateBool(*(const bool *)at);
    case CLI_KIND_TEXT:
    case CLI_KIND_CHOICE:
        return cJSON_CreateString(*(const char *const *)at);
    case CLI_KIND_INT:
    case CLI_KIND_SIZE:
        return cJSON_CreateNumber((double)*(const int64_t *)at);
    case CLI_KIND_REAL:
        return cJSON_CreateNumber(*(const double *)at);
    case CLI_KIND_TEXTS: {
        const struct cli_texts *v = at;
        return v->n ? cJSON_CreateStringArray(v->items, (int)v->n) : cJSON_CreateArray();
    }
    case CLI_KIND_REALS: {
        const struct cli_reals *v = at;
        return cJSON_CreateDoubleArray(v->items, (int)v->n);
    }
    case CLI_KIND_INTS: {
        const struct cli_ints *v = at;
        list = cJSON_CreateArray();
        for (size_t k = 0; k < v->n; k++)
            if (!cJSON_AddItemToArray(list, cJSON_CreateNumber((double)v->items[k]))) {
                cJSON_Delete(list);
                return NULL;
            }
        return list;
    }
    }
    return NULL;
}
