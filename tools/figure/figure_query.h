#ifndef ASSAY_FIGURE_FIGURE_QUERY_H
#define ASSAY_FIGURE_FIGURE_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

/* From a long CSV to the few columns a figure or a table of the paper shows. A query is one line:
 *
 *   NAME [by COL] [key COL...] from FILE where COL=VALUE... take COL...
 *                             [with FILE where ... take COL...]...
 *
 * by     splits the rows into blocks (one curve each); it is the first key column.
 * key    what makes a row one row (A+B: the cells of both columns with a blank between); `key *` takes every row as it comes (raw samples).
 * from   an input by its name; a row is kept only if the first column it takes is not empty.
 * with   more columns for the same keys; a row without them is kept with empty cells.
 * More than one `from` keeps the keys that all of them have.
 * where  COL=A|B, COL!=A|B; an empty VALUE is an empty cell; COL=@min, COL=@max: the rows whose number
 *        is the least or greatest among those that the other terms let through, and that are not empty.
 * A word with blanks stands in double quotes.
 *
 * Two rows of one clause with equal keys are an error: a query that means two numbers means none.
 * Blocks and rows are sorted by key, numbers by value, words by bytes with runs
 * of digits by value. */

/* A CSV file in memory: every cell a string, "" when empty. Borrowed from its arena. */
struct grid {
    const char *name; /* as queries call it */
    const char *path; /* for messages */
    size_t n_cols, n_rows;
    const char **cols;
    const char **cells;      /* (n_rows, n_cols) */
    const char *absent; /* not NULL: there is no file, and this is the reason */
};

struct grids {
    const struct grid *grid;
    size_t n;
};

/* grid_col - index of a column, or -1. */
long grid_col(const struct grid *t, const char *col);

struct query_term {
    const char *col;
    bool differs;  /* != */
    int extreme;   /* -1 @min, +1 @max, else 0 */
    const char **value;
    size_t n_values;
};

struct query_clause {
    const char *table;
    bool optional; /* `with` */
    struct query_term *term;
    size_t n_terms;
    const char **take;
    size_t n_take;
};

struct query {
    const char *name;
    bool by;      /* key[0] splits into blocks */
    bool keyless; /* `key *` */
    const char **key;
    size_t n_keys;
    struct query_clause *clause;
    size_t n_clauses;
};

/* query_parse - read one query from text; where stands before messages (file:line). Returns
 * ERR_FORMAT with what was expected and found. Everything lives in the arena. */
enum status query_parse(struct query *q, const char *text, const char *where, struct arena *a,
                        struct err *err);

/* What a query found. Column order: keys, then the taken columns of each clause. */
struct dataset {
    const struct query *query;
    const char **cols;
    size_t n_cols;
    const char **cells; /* (n_rows, n_cols), sorted; "" = missing */
    size_t n_rows;
    size_t n_blocks;    /* distinct values of key[0] when `by`, else 1 if there are rows */
    bool absent;        /* one of its inputs does not exist here */
    const char *reason; /* why there are no rows, as the matching rows themselves say; or NULL */
};

/* query_run - run q over the grids. No row at all is OK with n_rows = 0 and a reason if the rows
 * that matched but held nothing give one (their `reason` column, or the absent input's).
 * Returns ERR_FORMAT for an unknown table or column, or two rows with equal keys. */
enum status query_run(struct dataset *out, const struct query *q, const struct grids *grids,
                      const char *where, struct arena *a, struct err *err);

#endif
