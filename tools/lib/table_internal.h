#ifndef ASSAY_LIB_TABLE_INTERNAL_H
#define ASSAY_LIB_TABLE_INTERNAL_H

#include "base/mem.h"
#include "base/num.h"
#include "lib/table.h"

/* What table.c (rows in memory) and table_io.c (CSV and JSON) share. */

struct table_cell {
    bool set;
    int64_t i;        /* INT, BOOL */
    double f;         /* REAL */
    const char *text; /* as in the CSV; in the arena */
};

struct table_row {
    struct table_cell *cells; /* (n_columns), in the arena */
    size_t line;
    const struct schema *schema; /* for the comparison function */
};

struct table {
    struct schema *schema; /* owned */
    struct arena *arena;
    struct table_row *rows;
    size_t n_rows, cap_rows;
    char *name; /* of the file read, or NULL */
    bool finished;
    struct err first; /* first mistake of a setter */
};

enum status table_spell(struct table *t, enum column_type type, struct table_cell *c, struct err *err);
enum status table_add_row(struct table *t, size_t line, struct err *err);

#endif
