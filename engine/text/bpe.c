#include "text/bpe.h"

#include <string.h>

#include "base/mem.h"

enum { SMALL = 100 };

static size_t slot_of(int32_t left, int32_t right)
{
    uint64_t k = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    k *= 0x9E3779B97F4A7C15u;
    k ^= k >> 32;
    k *= 0xD6E8FEB86659FD93u;
    return (size_t)(k >> 24);
}

static const struct bpe_pair *find(const struct bpe *b, int32_t left, int32_t right)
{
    for (size_t i = slot_of(left, right) & b->mask;; i = (i + 1) & b->mask) {
        const struct bpe_pair *p = &b->pairs[i];
        if (p->left < 0)
            return NULL;
        if (p->left == left && p->right == right)
            return p;
    }
}

enum status bpe_init(struct bpe *b, const struct tokfile *f, const char *name, struct err *err)
{
    size_t slots = 16;
    while (slots < f->n_merges * 2)
        slots *= 2;
    void *p;
    enum status s = mem_alloc(&p, slots, sizeof(struct bpe_pair), "merge table", err);
    if (s)
        return s;
    *b = (struct bpe){.pairs = p, .mask = slots - 1};
    for (size_t i = 0; i < slots; i++)
        b->pairs[i].left = -1;
    for (size_t i = 0; i < f->n_merges; i++) {
        const struct tokfile_merge *m = &f->merges[i];
        if (find(b, m->left, m->right)) {
            bpe_release(b);
            return err_set(err, ERR_FORMAT,
                           "%s: merges: expected each merge once, found that of ids %d and %d twice", name,
                           (int)m->left, (int)m->right);
        }
        size_t at = slot_of(m->left, m->right) & b->mask;
        while (b->pairs[at].left >= 0)
            at = (at + 1) & b->mask;
        b->pairs[at] = (struct bpe_pair){.left = m->left, .right = m->right, .result = m->result, .prio = m->prio};
    }
    return OK;
}

void bpe_release(struct bpe *b)
{
    mem_free(b->pairs);
    *b = (struct bpe){.pairs = NULL, .mask = 0};
}

static size_t join_small(const struct bpe *b, int32_t *ids, size_t n)
{
    const struct bpe_pair *pair[SMALL]; // that starts at i; NULL: no merge joins it
    for (size_t i = 0; i + 1 < n; i++)
        pair[i] = find(b, ids[i], ids[i + 1]);
    for (;;) {
        const struct bpe_pair *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++)
            if (pair[i] && (!best || pair[i]->prio < best->prio)) {
                best = pair[i];
                at = i;
            }
        if (!best)
            return n;
        ids[at] = best->result;
        n--;
        memmove(ids + at + 1, ids + at + 2, (n - at - 1) * sizeof *ids);
        if (at + 1 < n) {
            memmove(pair + at + 1, pair + at + 2, (n - at - 2) * sizeof *pair);
            pair[at] = find(b, ids[at], ids[at + 1]);
        }
        if (at)
            pair[at - 1] = find(b, ids[at - 1], ids[at]);
    }
}

/* A binary heap of (priority << 32 | position): smallest first, so leftmost on ties. */
struct heap {
    uint64_t *v;
    size_t n, cap;
};

static enum status heap_push(struct heap *h, uint64_t x, struct err *err)
{
    if (h->n == h->cap) {
        void *p;
        enum status s = mem_alloc(&p, h->cap * 2, sizeof *h->v, "merge queue", err);
        if (s)
            return s;
        memcpy(p, h->v, h->n * sizeof *h->v);
        mem_free(h->v);
        h->v = p;
        h->cap *= 2;
    }
    size_t i = h->n++;
    while (i && h->v[(i - 1) / 2] > x) {
        h->v[i] = h->v[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->v[i] = x;
    return OK;
}

static uint64_t heap_pop(struct heap *h)
{
    uint64_t top = h->v[0];
    uint64_t x = h->v[--h->n];
    size_t i = 0;
    for (;;) {
        size_t kid = 2 * i + 1;
        if (kid >= h->n)
            break;
        if (kid + 1 < h->n && h->v[kid + 1] < h->v[kid])
            kid++;
        if (h->v[kid] >= x)
            break;
        h->v[i] = h->v[kid];
        i = kid;
    }
    h->v[i] = x;
    return top;
}

struct node {
    const struct bpe_pair *pair; /* (this, next), or NULL; a heap entry counts only while it has its priority */
    uint32_t prev, next;         /* NONE at the ends */
};
static const uint32_t NONE = UINT32_MAX;

static enum status set_pair(const struct bpe *b, const int32_t *ids, struct node *list, uint32_t i, struct heap *h,
                            struct err *err)
{
    uint32_t next = list[i].next;
    const struct bpe_pair *p = next == NONE ? NULL : find(b, ids[i], ids[next]);
    list[i].pair = p;
    return p ? heap_push(h, (uint64_t)p->prio << 32 | i, err) : OK;
}

static enum status join_large(const struct bpe *b, int32_t *ids, size_t *n_io, struct err *err)
{
    size_t n = *n_io;
    void *p;
    void *q = NULL;
    struct heap h = {.v = NULL, .n = 0, .cap = n};
    enum status s = mem_alloc(&p, n, sizeof(struct node), "merge list", err);
    if (s)
        return s;
    struct node *list = p;
    if ((s = mem_alloc(&q, n, sizeof *h.v, "merge queue", err)))
        goto done;
    h.v = q;
    for (uint32_t i = 0; i < n; i++) {
        list[i] = (struct node){.prev = i ? i - 1 : NONE, .next = i + 1 < n ? i + 1 : NONE};
        if ((s = set_pair(b, ids, list, i, &h, err)))
            goto done;
    }
    while (h.n) {
        uint64_t top = heap_pop(&h);
        uint32_t i = (uint32_t)top;
        const struct bpe_pair *pair = list[i].pair;
        if (!pair || pair->prio != (uint32_t)(top >> 32))
            continue; // the pair has changed since
        uint32_t gone = list[i].next;
        ids[i] = pair->result;
        list[i].next = list[gone].next;
        list[gone].pair = NULL;
        if (list[i].next != NONE)
            list[list[i].next].prev = i;
        if ((s = set_pair(b, ids, list, i, &h, err)))
            goto done;
        if (list[i].prev != NONE && (s = set_pair(b, ids, list, list[i].prev, &h, err)))
            goto done;
    }
    size_t m = 0;
    for (uint32_t i = 0; i != NONE; i = list[i].next)
        ids[m++] = ids[i];
    *n_io = m;
done:
    mem_free(h.v);
    mem_free(list);
    return s;
}

enum status bpe_join(const struct bpe *b, int32_t *ids, size_t *n, struct err *err)
{
    if (*n <= SMALL) {
        *n = join_small(b, ids, *n);
        return OK;
    }
    if (*n > INT32_MAX)
        return err_set(err, ERR_RANGE, "cannot tokenise a piece of %zu parts: expected at most %d", *n, INT32_MAX);
    return join_large(b, ids, n, err);
}
