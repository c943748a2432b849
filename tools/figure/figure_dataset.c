#include <float.h>
#include <string.h>

#include "base/buf.h"
#include "base/num.h"
#include "figure/figure_query.h"

/* The rows of one clause that hold something, as indices into its table. */
struct picked {
    const struct grid *t;
    const char **key; /* (t->n_rows, n_keys) key cells; set for the rows picked */
    const long *take; /* table column of each taken column */
    size_t *row;
    size_t n;
};

struct order {
    const struct picked *p;
    size_t n_keys;
};

long grid_col(const struct grid *t, const char *col)
{
    for (size_t i = 0; i < t->n_cols; i++)
        if (strcmp(t->cols[i], col) == 0)
            return (long)i;
    return -1;
}

static const char *cell(const struct grid *t, size_t row, long col)
{
    return t->cells[row * t->n_cols + (size_t)col];
}

static bool as_number(const char *s, double *x)
{
    return num_parse_f64(s, -DBL_MAX, DBL_MAX, "", x, NULL) == OK;
}

/* Words by bytes, but runs of digits by their value: "context 256" before "context 1024". */
static int compare_words(const char *a, const char *b)
{
    while (*a && *b) {
        size_t na = strspn(a, "0123456789"), nb = strspn(b, "0123456789");
        if (na && nb) {
            size_t za = strspn(a, "0"), zb = strspn(b, "0");
            za = za < na ? za : na - 1; // keep the last digit
            zb = zb < nb ? zb : nb - 1;
            if (na - za != nb - zb)
                return na - za < nb - zb ? -1 : 1;
            int c = strncmp(a + za, b + zb, na - za);
            if (c)
                return c;
            a += na;
            b += nb;
        } else if (*a != *b) {
            break;
        } else {
            a++;
            b++;
        }
    }
    return (unsigned char)*a - (unsigned char)*b;
}

/* Numbers first, by value; then words; bytes decide between words that count as equal ("1", "01"). */
static int compare_cells(const char *a, const char *b)
{
    double x = 0, y = 0;
    bool nx = as_number(a, &x), ny = as_number(b, &y);
    if (nx && ny)
        return (x > y) - (x < y);
    if (nx != ny)
        return nx ? -1 : 1;
    int c = compare_words(a, b);
    return c ? c : strcmp(a, b);
}

static int compare_rows(const struct order *o, size_t a, size_t b)
{
    for (size_t k = 0; k < o->n_keys; k++) {
        int c = compare_cells(o->p->key[a * o->n_keys + k], o->p->key[b * o->n_keys + k]);
        if (c)
            return c;
    }
    return 0;
}

/* Stable bottom-up merge sort of row indices; tmp has room for n. */
static void sort_rows(size_t *row, size_t *tmp, size_t n, const struct order *o)
{
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * run) {
            size_t mid = lo + run < n ? lo + run : n, hi = lo + 2 * run < n ? lo + 2 * run : n;
            size_t i = lo, j = mid;
            for (size_t k = lo; k < hi; k++)
                tmp[k] = i < mid && (j >= hi || compare_rows(o, row[i], row[j]) <= 0) ? row[i++] : row[j++];
        }
        memcpy(row, tmp, n * sizeof *row);
    }
}

static bool term_matches(const struct query_term *t, const char *value)
{
    bool among = false;
    for (size_t i = 0; i < t->n_values; i++)
        among = among || strcmp(t->value[i], value) == 0;
    return among != t->differs;
}

static enum status find_grid(const struct grid **out, const struct grids *ts, const char *name,
                              const char *where, struct err *err)
{
    for (size_t i = 0; i < ts->n; i++) {
        if (strcmp(ts->grid[i].name, name) == 0) {
            *out = &ts->grid[i];
            return OK;
        }
    }
    return err_set(err, ERR_FORMAT, "%s: no input is called '%s'", where, name);
}

static enum status find_col(const struct grid *t, const char *col, const char *where, long *out,
                            struct err *err)
{
    *out = grid_col(t, col);
    if (*out < 0)
        return err_set(err, ERR_FORMAT, "%s: '%s' has no column '%s'", where, t->path, col);
    return OK;
}

static enum status find_cols(const struct grid *t, const char *const *name, size_t n, const char *where,
                             struct arena *a, const long **out, struct err *err)
{
    void *mem = NULL;
    enum status st = arena_alloc(a, &mem, n + 1, sizeof(long), err);
    long *col = mem;
    for (size_t i = 0; !st && i < n; i++)
        st = find_col(t, name[i], where, &col[i], err);
    *out = col;
    return st;
}

/* The key cells of the rows picked. A key `A+B` is the cells of both columns with a blank between. */
static enum status fill_keys(struct picked *p, const struct query *q, const char *where, struct arena *a,
                             struct err *err)
{
    void *mem = NULL;
    size_t n = 0;
    if (!size_mul(p->t->n_rows + 1, q->n_keys + 1, &n))
        return err_set(err, ERR_MEMORY, "'%s' is too large", p->t->path);
    enum status st = arena_alloc(a, &mem, n, sizeof(char *), err);
    p->key = mem;
    for (size_t k = 0; k < q->n_keys && !st; k++) {
        const char *plus = strchr(q->key[k], '+');
        char *first = NULL;
        long col = 0, second = 0;
        st = arena_strndup(a, &first, q->key[k], plus ? (size_t)(plus - q->key[k]) : strlen(q->key[k]), err);
        if (!st)
            st = find_col(p->t, first, where, &col, err);
        if (!st && plus)
            st = find_col(p->t, plus + 1, where, &second, err);
        for (size_t i = 0; i < p->n && !st; i++) {
            const char **out = &p->key[p->row[i] * q->n_keys + k];
            struct buf joined = BUF_INIT;
            char *text = NULL;
            *out = cell(p->t, p->row[i], col);
            if (!plus)
                continue;
            buf_printf(&joined, "%s %s", *out, cell(p->t, p->row[i], second));
            st = buf_status(&joined, "key", err);
            if (!st)
                st = arena_strndup(a, &text, joined.data, joined.n, err);
            *out = text;
            buf_release(&joined);
        }
    }
    return st;
}

/* Keep of row[0..*n) those whose number in the term's column is the extreme one. */
static enum status keep_extreme(const struct query_term *term, const struct grid *t, size_t *row,
                                size_t *n, const char *where, struct err *err)
{
    long col = 0;
    enum status st = find_col(t, term->col, where, &col, err);
    if (st)
        return st;
    double best = 0, x = 0;
    bool any = false;
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++) {
        if (as_number(cell(t, row[i], col), &x) && (!any || (term->extreme > 0 ? x > best : x < best))) {
            best = x;
            any = true;
        }
    }
    for (size_t i = 0; i < *n; i++)
        if (as_number(cell(t, row[i], col), &x) && any && !(x < best) && !(x > best))
            row[kept++] = row[i];
    *n = kept;
    return OK;
}

/* Add the reason of one empty row to those known, each once. */
static void add_reason(struct buf *reasons, const char *text)
{
    if (!*text || (reasons->data && strstr(reasons->data, text)))
        return;
    if (reasons->n)
        buf_str(reasons, "; ");
    buf_str(reasons, text);
}

static enum status pick(struct picked *p, const struct query *q, const struct query_clause *c,
                        const struct grids *ts, const char *where, struct arena *a, struct buf *reasons,
                        struct err *err)
{
    enum status st = find_grid(&p->t, ts, c->table, where, err);
    if (st)
        return st;
    if (p->t->absent) {
        add_reason(reasons, p->t->absent);
        return OK;
    }
    const struct grid *t = p->t;
    const long *term_col = NULL;
    const char **term_name = NULL;
    void *mem = NULL;
    st = find_cols(t, c->take, c->n_take, where, a, &p->take, err);
    if (!st)
        st = arena_alloc(a, &mem, c->n_terms + 1, sizeof(char *), err);
    term_name = mem;
    for (size_t i = 0; !st && i < c->n_terms; i++)
        term_name[i] = c->term[i].col;
    if (!st)
        st = find_cols(t, term_name, c->n_terms, where, a, &term_col, err);
    if (!st)
        st = arena_alloc(a, &mem, t->n_rows + 1, sizeof(size_t), err);
    if (st)
        return st;
    p->row = mem;
    long reason_col = grid_col(t, "reason");
    for (size_t r = 0; r < t->n_rows; r++) {
        bool match = true;
        for (size_t i = 0; match && i < c->n_terms; i++)
            match = c->term[i].extreme || term_matches(&c->term[i], cell(t, r, term_col[i]));
        if (match && *cell(t, r, p->take[0]))
            p->row[p->n++] = r;
        else if (match && reason_col >= 0)
            add_reason(reasons, cell(t, r, reason_col));
    }
    for (size_t i = 0; !st && i < c->n_terms; i++)
        if (c->term[i].extreme)
            st = keep_extreme(&c->term[i], t, p->row, &p->n, where, err);
    return st ? st : fill_keys(p, q, where, a, err);
}

static enum status sort_and_check(struct picked *p, const struct query *q, const char *where,
                                  struct arena *a, struct err *err)
{
    struct order o = {.p = p, .n_keys = q->n_keys};
    void *tmp = NULL;
    enum status st = arena_alloc(a, &tmp, p->n + 1, sizeof(size_t), err);
    if (st)
        return st;
    sort_rows(p->row, tmp, p->n, &o);
    for (size_t i = 1; !q->keyless && i < p->n; i++) {
        if (compare_rows(&o, p->row[i - 1], p->row[i]) == 0) {
            // +2: the header is line 1 and rows count from 0
            return err_set(err, ERR_FORMAT,
                           "%s: query '%s' means two rows with equal keys: rows %zu and %zu of '%s'", where,
                           q->name, p->row[i - 1] + 2, p->row[i] + 2, p->t->path);
        }
    }
    return OK;
}

/* The row of p with the same keys as row r of first, or SIZE_MAX. */
static size_t find_row(const struct picked *p, const struct picked *first, size_t r, size_t n_keys)
{
    for (size_t i = 0; i < p->n; i++) {
        bool equal = true;
        for (size_t k = 0; equal && k < n_keys; k++)
            equal = strcmp(p->key[p->row[i] * n_keys + k], first->key[r * n_keys + k]) == 0;
        if (equal)
            return p->row[i];
    }
    return SIZE_MAX;
}

static enum status join(struct dataset *d, const struct picked *p, struct arena *a, struct err *err)
{
    const struct query *q = d->query;
    void *mem = NULL;
    d->n_cols = q->n_keys;
    for (size_t c = 0; c < q->n_clauses; c++)
        d->n_cols += q->clause[c].n_take;
    enum status st = arena_alloc(a, &mem, d->n_cols, sizeof(char *), err);
    d->cols = mem;
    if (!st)
        st = arena_alloc(a, &mem, (p[0].n + 1) * d->n_cols, sizeof(char *), err);
    d->cells = mem;
    if (st)
        return st;
    size_t at = 0;
    for (size_t k = 0; k < q->n_keys; k++)
        d->cols[at++] = q->key[k];
    for (size_t c = 0; c < q->n_clauses; c++)
        for (size_t i = 0; i < q->clause[c].n_take; i++)
            d->cols[at++] = q->clause[c].take[i];

    for (size_t i = 0; i < p[0].n; i++) {
        const char **out = &d->cells[d->n_rows * d->n_cols];
        bool whole = true;
        for (size_t k = 0; k < q->n_keys; k++)
            *out++ = p[0].key[p[0].row[i] * q->n_keys + k];
        for (size_t c = 0; c < q->n_clauses; c++) {
            size_t r = c == 0 ? p[0].row[i] : find_row(&p[c], &p[0], p[0].row[i], q->n_keys);
            whole = whole && (r != SIZE_MAX || q->clause[c].optional);
            for (size_t j = 0; j < q->clause[c].n_take; j++)
                *out++ = r == SIZE_MAX ? "" : cell(p[c].t, r, p[c].take[j]);
        }
        if (!whole)
            continue;
        const char **row = &d->cells[d->n_rows * d->n_cols];
        if (d->n_rows == 0 || (q->by && strcmp(row[0], row[-(long)d->n_cols]) != 0))
            d->n_blocks++;
        d->n_rows++;
    }
    return OK;
}

enum status query_run(struct dataset *out, const struct query *q, const struct grids *grids,
                      const char *where, struct arena *a, struct err *err)
{
    struct buf reasons = BUF_INIT;
    void *mem = NULL;
    char *text = NULL;
    *out = (struct dataset){.query = q};
    enum status st = arena_alloc(a, &mem, q->n_clauses, sizeof(struct picked), err);
    struct picked *p = mem;
    for (size_t c = 0; !st && c < q->n_clauses; c++) {
        st = pick(&p[c], q, &q->clause[c], grids, where, a, &reasons, err);
        if (!st)
            st = sort_and_check(&p[c], q, where, a, err);
        out->absent = out->absent || (!st && p[c].t->absent);
    }
    if (!st)
        st = join(out, p, a, err);
    if (!st)
        st = buf_status(&reasons, "reasons", err);
    if (!st && out->n_rows == 0 && reasons.n) {
        st = arena_strndup(a, &text, reasons.data, reasons.n, err);
        out->reason = text;
    }
    buf_release(&reasons);
    return st;
}
