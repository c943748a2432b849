#ifndef TESTS_TOK_TABLES_H
#define TESTS_TOK_TABLES_H

/* Whether two files gave the same tables; cmocka fails with the first difference. Texts are compared, not where
 * they lie; merges as a set with priorities, since forms list them in different orders. */
#include <stdlib.h>

#include "format/tokfile.h"
#include "text_support.h"

static inline int tok_merge_order(const void *a, const void *b)
{
    const struct tokfile_merge *x = a;
    const struct tokfile_merge *y = b;
    if (x->left != y->left)
        return x->left < y->left ? -1 : 1;
    return x->right < y->right ? -1 : x->right > y->right;
}

static inline struct tokfile_merge *tok_sorted(const struct tokfile *f)
{
    struct tokfile_merge *m = calloc(f->n_merges + 1, sizeof *m);
    assert_non_null(m);
    if (f->n_merges)
        memcpy(m, f->merges, f->n_merges * sizeof *m);
    qsort(m, f->n_merges, sizeof *m, tok_merge_order);
    return m;
}

static inline void tok_tables_equal(const struct tokfile *f, const struct tokfile *g)
{
    assert_int_equal(f->kind, g->kind);
    assert_int_equal(f->split, g->split);
    assert_int_equal(f->nfc, g->nfc);
    assert_int_equal(f->ignore_merges, g->ignore_merges);
    assert_int_equal(f->dummy_prefix, g->dummy_prefix);
    assert_int_equal(f->bos_id, g->bos_id);
    assert_int_equal(f->n_reserved, g->n_reserved);
    assert_int_equal(f->n_tokens, g->n_tokens);
    for (size_t id = 0; id < f->n_tokens; id++) {
        size_t n;
        size_t k;
        const char *s = tokfile_text(f, (int32_t)id, &n);
        const char *t = tokfile_text(g, (int32_t)id, &k);
        if (n != k || (n && memcmp(s, t, n) != 0) || ((f->flags[id] ^ g->flags[id]) & ~TOKFILE_UNUSED) != 0)
            fail_msg("id %zu: '%.*s' with flags %x and '%.*s' with flags %x", id, (int)n, s, f->flags[id], (int)k, t,
                     g->flags[id]);
    }
    assert_memory_equal(f->byte_id, g->byte_id, sizeof f->byte_id);
    assert_int_equal(f->n_added, g->n_added);
    for (size_t i = 0; i < f->n_added; i++)
        assert_int_equal(f->added[i], g->added[i]);
    assert_int_equal(f->n_merges, g->n_merges);
    struct tokfile_merge *a = tok_sorted(f);
    struct tokfile_merge *b = tok_sorted(g);
    for (size_t i = 0; i < f->n_merges; i++)
        if (a[i].left != b[i].left || a[i].right != b[i].right || a[i].result != b[i].result || a[i].prio != b[i].prio)
            fail_msg("merge %zu: %d + %d = %d at %u and %d + %d = %d at %u", i, (int)a[i].left, (int)a[i].right,
                     (int)a[i].result, (unsigned)a[i].prio, (int)b[i].left, (int)b[i].right, (int)b[i].result,
                     (unsigned)b[i].prio);
    free(a);
    free(b);
}

#endif
