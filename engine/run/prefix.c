#include "run/prefix.h"

#include <string.h>

#include "base/mem.h"

struct node {
    struct node *parent, *sibling, *children;
    struct node *newer, *older; // a ring through the root. A parent is newer than its children, so the oldest is a leaf
    struct kv_saved *saved;
    size_t n;
    int32_t *ids; // (n) behind the node
};

struct prefix {
    struct backend *b;
    struct kv *kv;
    uint64_t bytes;
    struct node root;
};

static size_t node_b(size_t n)
{
    return sizeof(struct node) + n * sizeof(int32_t);
}

enum status prefix_new(struct prefix **out, struct backend *b, struct kv *kv, struct err *err)
{
    void *mem;
    enum status s = mem_alloc(&mem, 1, sizeof(struct prefix), "retained prefixes", err);
    if (s)
        return s;
    struct prefix *p = mem;
    p->b = b;
    p->kv = kv;
    p->root.newer = p->root.older = &p->root;
    *out = p;
    return OK;
}

void prefix_free(struct prefix *p)
{
    while (p && prefix_evict(p))
        ;
    mem_free(p);
}

static void unlink_age(struct node *x)
{
    x->newer->older = x->older;
    x->older->newer = x->newer;
}

/* Make a node and all it stands behind the newest, the root's child last. */
static void touch(struct prefix *p, struct node *x)
{
    for (; x != &p->root; x = x->parent) {
        unlink_age(x);
        x->older = p->root.older;
        x->newer = &p->root;
        x->older->newer = x;
        p->root.older = x;
    }
}

bool prefix_evict(struct prefix *p)
{
    struct node *x = p->root.newer; // the oldest
    if (x == &p->root)
        return false;
    unlink_age(x);
    struct node **at = &x->parent->children;
    while (*at != x)
        at = &(*at)->sibling;
    *at = x->sibling;
    p->b->ops->kv_drop(p->kv, x->saved);
    p->bytes -= node_b(x->n);
    mem_free(x);
    return true;
}

static struct node *find(const struct node *parent, const int32_t *ids, size_t n)
{
    struct node *x = parent->children;
    while (x && (x->n != n || memcmp(x->ids, ids, n * sizeof *ids) != 0))
        x = x->sibling;
    return x;
}

/* The longest end of a sequence that stands behind parent and is how ids go on. */
static struct node *find_end(const struct node *parent, const int32_t *ids, size_t max)
{
    struct node *best = NULL;
    for (struct node *x = parent->children; x; x = x->sibling)
        if (x->n < PREFIX_BLOCK && x->n <= max && (!best || x->n > best->n) && memcmp(x->ids, ids, x->n * sizeof *ids) == 0)
            best = x;
    return best;
}

size_t prefix_load(struct prefix *p, size_t seq, const int32_t *ids, size_t n, size_t max)
{
    struct node *x = &p->root;
    size_t at = 0;
    for (struct node *next; at < max; x = next, at += next->n) {
        next = max - at < PREFIX_BLOCK ? NULL : find(x, ids + at, PREFIX_BLOCK);
        if (!next && at >= n)
            next = find_end(x, ids + at, max - at);
        if (!next || (at >= n && p->b->ops->kv_load(p->kv, seq, next->saved, NULL) != OK))
            break;
    }
    touch(p, x);
    return at > n ? at : n;
}

void prefix_keep(struct prefix *p, size_t seq, const int32_t *ids, size_t n)
{
    struct node *parent = &p->root;
    size_t at = 0;
    for (; n - at > PREFIX_BLOCK && parent; at += PREFIX_BLOCK)
        parent = find(parent, ids + at, PREFIX_BLOCK);
    if (!parent || n == 0)
        return;
    struct node *x = find(parent, ids + at, n - at);
    if (!x) {
        void *mem;
        if (mem_alloc(&mem, 1, node_b(n - at), "retained prefix", NULL))
            return;
        x = mem;
        if (p->b->ops->kv_save(p->kv, &x->saved, seq, at, n, NULL)) {
            mem_free(x);
            return;
        }
        x->parent = parent;
        x->sibling = parent->children;
        parent->children = x;
        x->newer = x->older = x;
        x->n = n - at;
        x->ids = (int32_t *)(x + 1);
        memcpy(x->ids, ids + at, x->n * sizeof *ids);
        p->bytes += node_b(x->n);
    }
    touch(p, x);
}

uint64_t prefix_bytes(const struct prefix *p)
{
    return p->bytes + sizeof *p;
}
