/* A pattern of a task file, a line `---`, a model's reply. Whatever both are: the search ends, matches lie
 * inside the text on character bounds, and the next one is further on. */
#include <stdint.h>

#include "base/utf8.h"
#include "fuzz/scratch.h"
#include "eval/extract_regex.h"
#include "text/utf8_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_bounds(const char *text, size_t n, size_t at)
{
    demand(at <= n && (at == n || ((unsigned char)text[at] & 0xC0) != 0x80));
}

static void search_all(const struct regex *r, const char *text, size_t n)
{
    struct regex_match m;
    struct regex_match last;
    struct err err = ERR_INIT;
    bool found;
    for (size_t i = 0; i <= 2 * n + 1; i++) {
        enum status s = regex_search(r, text, n, i ? &last : NULL, &found, &m, &err);
        demand(s == OK || s == ERR_RANGE);
        if (s || !found)
            return;
        demand(m.start[0] <= m.end[0]);
        if (i)
            demand(m.start[0] >= last.end[0] && m.end[0] + m.start[0] > last.end[0] + last.start[0]);
        for (size_t g = 0; g <= regex_n_groups(r); g++)
            if (m.start[g] != REGEX_UNSET) {
                on_bounds(text, n, m.start[g]);
                on_bounds(text, n, m.end[g]);
            }
        last = m;
    }
    demand(0); // more matches than places to be
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *rest;
    size_t n_rest;
    size_t n = scratch_cut((const char *)data, size, &rest, &n_rest);
    struct buf pattern = BUF_INIT;
    struct buf text = BUF_INIT;
    struct regex *r;
    struct err err = ERR_INIT;
    utf8_lossy((const char *)data, n && data[n - 1] == '\n' ? n - 1 : n, &pattern);
    utf8_lossy(rest, n_rest, &text);
    enum status s = regex_new(&r, pattern.data ? pattern.data : "", &err);
    if (s) {
        demand(err.text[0] != '\0' && (s == ERR_FORMAT || s == ERR_UNSUPPORTED || s == ERR_RANGE));
    } else {
        demand(regex_n_groups(r) < REGEX_MAX_GROUPS);
        search_all(r, text.data ? text.data : "", text.n);
        regex_free(r);
    }
    buf_release(&pattern);
    buf_release(&text);
    return 0;
}
