#include "text/special.h"

#include "base/mem.h"

static uint32_t new_node(struct special *sp, uint32_t *n, uint8_t byte)
{
    sp->node[*n] = (struct special_node){.id = -1, .byte = byte};
    return (*n)++;
}

static uint32_t find_child(const struct special *sp, uint32_t of, uint8_t byte)
{
    uint32_t at = sp->node[of].child;
    while (at && sp->node[at].byte != byte)
        at = sp->node[at].sibling;
    return at;
}

static void add(struct special *sp, uint32_t *n_nodes, const char *s, size_t n, int32_t id)
{
    uint32_t *root = &sp->first[(unsigned char)s[0]];
    if (!*root)
        *root = new_node(sp, n_nodes, (uint8_t)s[0]);
    uint32_t at = *root;
    for (size_t i = 1; i < n; i++) {
        uint32_t next = find_child(sp, at, (uint8_t)s[i]);
        if (!next) {
            next = new_node(sp, n_nodes, (uint8_t)s[i]);
            sp->node[next].sibling = sp->node[at].child;
            sp->node[at].child = next;
        }
        at = next;
    }
    sp->node[at].id = id;
}

enum status special_init(struct special *sp, const struct tokfile *f, unsigned flag, struct err *err)
{
    size_t n_bytes = 0;
    uint32_t n_nodes = 1;
    void *p;
    *sp = (struct special){.node = NULL};
    for (size_t id = 0; id < f->n_tokens; id++)
        n_bytes += f->flags[id] & flag ? f->tokens[id].n : 0;
    enum status s = mem_alloc(&p, n_bytes + 1, sizeof *sp->node, "special tokens", err);
    if (s)
        return s;
    sp->node = p;
    for (size_t id = 0; id < f->n_tokens; id++) {
        size_t n;
        const char *text = tokfile_text(f, (int32_t)id, &n);
        if (f->flags[id] & flag)
            add(sp, &n_nodes, text, n, (int32_t)id);
    }
    return OK;
}

void special_release(struct special *sp)
{
    mem_free(sp->node);
    *sp = (struct special){.node = NULL};
}

int32_t special_at(const struct special *sp, const struct tokfile *f, const char *s, size_t n, unsigned without)
{
    int32_t id = -1;
    uint32_t at = sp->first[(unsigned char)s[0]];
    for (size_t i = 1; at; i++) {
        int32_t here = sp->node[at].id;
        if (here >= 0 && !(f->flags[here] & without))
            id = here;
        at = i < n ? find_child(sp, at, (uint8_t)s[i]) : 0;
    }
    return id;
}

size_t special_find(const struct special *sp, const struct tokfile *f, const char *s, size_t n, size_t from,
                    int32_t *id)
{
    for (size_t i = from; i < n; i++)
        if ((*id = special_at(sp, f, s + i, n - i, 0)) >= 0)
            return i;
    *id = -1;
    return n;
}
