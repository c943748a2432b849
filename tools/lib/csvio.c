#include "lib/csvio.h"

#include <csv.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

/* libcsv's traps (style.md 14): it trims unquoted blanks (the space function is replaced), drops blank
 * lines (REPALL_NL reports them), takes a BOM, NUL and bad UTF-8 as data (checked first), and
 * csv_fini resets the error (the code is read before). Bytes go in one at a time, so that every field
 * knows its line and column: 3 ns a byte, and result files are small. */

struct reader {
    struct csv *out;
    struct arena *arena;
    struct csv_field *fields;
    size_t n_fields, cap_fields;
    size_t in_row;            /* fields of the row so far */
    size_t line, column;      /* of the byte being fed, 1-based */
    size_t from_line, from_column; /* of the field being read */
    const char *name;
    struct err *err;
    enum status status;
};

static int no_blank(unsigned char c)
{
    (void)c;
    return 0;
}

static void on_field(void *text, size_t n, void *arg)
{
    struct reader *r = arg;
    if (r->status)
        return;
    if (r->n_fields == r->cap_fields) {
        size_t cap;
        void *p;
        if (!size_mul(r->cap_fields ? r->cap_fields : 32, 2, &cap)) {
            r->status = err_set(r->err, ERR_MEMORY, "%s: too many fields", r->name);
            return;
        }
        if ((r->status = mem_alloc(&p, cap, sizeof *r->fields, "CSV fields", r->err)))
            return;
        if (r->n_fields)
            memcpy(p, r->fields, r->n_fields * sizeof *r->fields);
        mem_free(r->fields);
        r->fields = p;
        r->cap_fields = cap;
    }
    char *copy;
    if ((r->status = arena_strndup(r->arena, &copy, text ? text : "", n, r->err)))
        return;
    r->fields[r->n_fields++] =
        (struct csv_field){.text = copy, .n = n, .line = r->from_line, .column = r->from_column};
    r->in_row++;
    r->from_line = r->line;
    r->from_column = r->column + 1;
}

static void on_row(int end, void *arg)
{
    struct reader *r = arg;
    if (r->status)
        return;
    if (r->in_row == 0) {
        r->status = err_set(r->err, ERR_FORMAT, "%s:%zu:1: expected a row, found a blank line", r->name, r->line);
        return;
    }
    struct csv *c = r->out;
    if (c->n_rows == 0)
        c->n_cols = r->in_row;
    if (r->in_row != c->n_cols) {
        size_t row_line = r->fields[r->n_fields - r->in_row].line;
        r->status = err_set(r->err, ERR_FORMAT, "%s:%zu:1: expected %zu fields as in the header, found %zu", r->name,
                            row_line, c->n_cols, r->in_row);
        return;
    }
    c->n_rows++;
    r->in_row = 0;
    (void)end;
}

static enum status check_text(const char *data, size_t n, const char *name, struct err *err)
{
    if (n == 0)
        return err_set(err, ERR_FORMAT, "%s:1:1: expected a header row, found an empty file", name);
    if (n >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0)
        return err_set(err, ERR_FORMAT, "%s:1:1: expected a header row, found a byte order mark", name);
    size_t good = utf8_valid_prefix((const uint8_t *)data, n);
    const char *nul = memchr(data, '\0', n);
    size_t at = nul && (size_t)(nul - data) < good ? (size_t)(nul - data) : good;
    if (at < n) {
        size_t line = 1;
        size_t col = 1;
        for (size_t i = 0; i < at; i++) {
            col = data[i] == '\n' ? 1 : col + 1;
            line += data[i] == '\n';
        }
        return err_set(err, ERR_FORMAT, "%s:%zu:%zu: expected UTF-8 text, found byte 0x%02x", name, line, col,
                       (unsigned)(unsigned char)data[at]);
    }
    if (data[n - 1] != '\n')
        return err_set(err, ERR_FORMAT, "%s: expected a line end after the last row, found end of file", name);
    return OK;
}

static void feed(struct reader *r, struct csv_parser *p, const char *data, size_t n)
{
    bool inside = false; // of quotes: strict mode refuses stray ones, so counting them is enough
    for (size_t i = 0; i < n && !r->status; i++) {
        inside ^= data[i] == '"';
        // CRLF counts as one line end; libcsv would report a blank line between the two.
        if (data[i] == '\r' && !inside && i + 1 < n && data[i + 1] == '\n')
            continue;
        if (data[i] == '\r' && !inside) {
            r->status = err_set(r->err, ERR_FORMAT, "%s:%zu:%zu: expected LF or CRLF, found a lone CR", r->name,
                                r->line, r->column);
            return;
        }
        if (csv_parse(p, data + i, 1, on_field, on_row, r) != 1) {
            int code = csv_error(p);
            r->status = err_set(r->err, code == CSV_ENOMEM ? ERR_MEMORY : ERR_FORMAT,
                                "%s:%zu:%zu: expected a well-formed field, found a stray quote", r->name, r->line,
                                r->column);
            return;
        }
        if (data[i] == '\n') {
            r->line++;
            r->column = 1;
            if (r->in_row == 0 && !inside) {
                r->from_line = r->line;
                r->from_column = 1;
            }
        } else {
            r->column++;
        }
    }
}

enum status csv_parse_bytes(struct csv *out, const char *data, size_t n, const char *name, struct err *err)
{
    *out = (struct csv){.n_cols = 0};
    struct reader r = {.out = out, .line = 1, .column = 1, .from_line = 1, .from_column = 1, .name = name, .err = err};
    struct csv_parser p;
    enum status s = check_text(data, n, name, err);
    if (s)
        return s;
    if ((s = arena_new(&r.arena, n, err)))
        return s;
    if (csv_init(&p, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL | CSV_REPALL_NL) != 0) {
        arena_free(r.arena);
        return err_set(err, ERR_MEMORY, "cannot start the CSV reader");
    }
    csv_set_space_func(&p, no_blank);
    feed(&r, &p, data, n);
    if (!r.status && csv_fini(&p, on_field, on_row, &r) != 0)
        r.status = err_set(err, ERR_FORMAT, "%s:%zu:%zu: expected a closing quote, found end of file", name,
                           r.from_line, r.from_column);
    csv_free(&p);
    if (r.status) {
        arena_free(r.arena);
        mem_free(r.fields);
        *out = (struct csv){.n_cols = 0};
        return r.status;
    }
    out->fields = r.fields;
    out->owned = r.arena;
    return OK;
}

void csv_release(struct csv *c)
{
    union {
        const struct csv_field *in;
        void *out;
    } p = {.in = c->fields};
    mem_free(p.out);
    arena_free(c->owned);
    *c = (struct csv){.n_cols = 0};
}

const struct csv_field *csv_at(const struct csv *c, size_t row, size_t col)
{
    return &c->fields[row * c->n_cols + col];
}

static void write_field(struct buf *out, const char *text, bool alone)
{
    size_t n = strlen(text);
    bool quote = strpbrk(text, ",\"\r\n") || (n && (text[0] == ' ' || text[n - 1] == ' ')) || (n == 0 && alone);
    if (!quote) {
        buf_add(out, text, n);
        return;
    }
    buf_char(out, '"');
    for (; *text; text++) {
        if (*text == '"')
            buf_char(out, '"');
        buf_char(out, *text);
    }
    buf_char(out, '"');
}

void csv_write_row(struct buf *out, const char *const *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_char(out, ',');
        write_field(out, fields[i], n == 1);
    }
    buf_char(out, '\n');
}
