#include "kv/pages.h"

#include <string.h>

#include "base/mem.h"

struct kv_page_state {
    uint32_t refs;  // sequences and saved stretches that hold it
    uint32_t next;  // in the free list
    uint32_t seen;  // kv_pages_count: slots that a later query of some holder can see
    uint32_t in_seq; // kv_pages_count: a sequence holds it
};

struct kv_saved {
    struct kv_saved *next, **link; // all of a cache; *link points here
    size_t from, to;
    size_t n_pages;
    uint32_t pages[]; // layer after layer, each by position
};

static size_t page_end(size_t n_pos)
{
    return (n_pos + KV_PAGE_POS - 1) / KV_PAGE_POS;
}

static uint32_t *ring_of(const struct kv_pages *p, size_t seq, size_t layer)
{
    return p->table + seq * p->seq_pages + p->first[layer];
}

static uint32_t *slot_of(const struct kv_pages *p, size_t seq, size_t layer, size_t page)
{
    return ring_of(p, seq, layer) + page % p->ring[layer];
}

/* First position that a sequence of n_pos keeps for later queries in this layer. */
static size_t first_seen(const struct kv_pages *p, size_t layer, size_t n_pos)
{
    size_t window = p->windows[layer];
    return window && window < n_pos ? n_pos - window : 0;
}

static enum status grow_state(struct kv_pages *p, struct err *err)
{
    void *mem;
    size_t cap = p->cap_state ? 2 * (size_t)p->cap_state : 64;
    cap = cap < p->max_pages ? cap : p->max_pages;
    enum status s = mem_alloc(&mem, cap, sizeof *p->state, "key-value cache pages", err);
    if (s)
        return s;
    if (p->n_made)
        memcpy(mem, p->state, p->n_made * sizeof *p->state);
    mem_free(p->state);
    p->state = mem;
    p->cap_state = (uint32_t)cap;
    return OK;
}

enum status kv_pages_make(struct kv_pages *p, uint32_t n, struct err *err)
{
    while (p->n_made < n) {
        enum status s;
        if (p->n_made == p->max_pages)
            return err_set(err, ERR_MEMORY, "key-value cache: expected to need at most %llu bytes, found more",
                           (unsigned long long)(p->max_pages * p->page_b));
        if ((p->n_made == p->cap_state && (s = grow_state(p, err))) || (s = p->memory.make(p->memory.ctx, p->n_made, err)))
            return s;
        p->state[p->n_made].next = p->free_page;
        p->free_page = p->n_made++;
    }
    return OK;
}

static uint32_t take_page(struct kv_pages *p)
{
    uint32_t page = p->free_page;
    p->free_page = p->state[page].next;
    p->state[page].refs = 1;
    p->n_live++;
    return page;
}

static void return_page(struct kv_pages *p, uint32_t *slot)
{
    uint32_t page = *slot;
    if (page == KV_NO_PAGE)
        return;
    *slot = KV_NO_PAGE;
    if (--p->state[page].refs)
        return;
    p->state[page].next = p->free_page;
    p->free_page = page;
    p->n_live--;
}

static void plan_layers(struct kv_pages *p, const struct kv_shape *shape)
{
    for (size_t i = 0; i < p->n_layers; i++) {
        size_t keep = p->n_pos;
        p->windows[i] = shape->windows ? shape->windows[i] : 0;
        if (p->windows[i] && p->windows[i] < keep && p->chunk < keep - p->windows[i])
            keep = p->windows[i] + p->chunk;
        p->ring[i] = page_end(keep);
        p->first[i] = p->seq_pages;
        p->seq_pages += p->ring[i];
    }
}

enum status kv_pages_init(struct kv_pages *p, const struct kv_shape *shape, uint64_t page_b,
                          const struct kv_memory *memory, struct err *err)
{
    void *mem;
    enum status s;
    size_t n;
    size_t all_b;
    *p = (struct kv_pages){.n_layers = shape->n_layers, .n_seqs = shape->n_seqs, .n_pos = shape->n_pos,
                           .chunk = shape->chunk, .changed = true, .memory = *memory, .page_b = page_b,
                           .pos_b = shape->n_kv_heads * shape->head_dim * 2 * sizeof(uint16_t), .free_page = KV_NO_PAGE};
    if (p->n_pos == 0 || p->n_pos > UINT32_MAX || p->n_layers == 0 || p->n_seqs == 0 || p->chunk == 0)
        return err_set(err, ERR_SHAPE,
                       "key-value cache: expected sizes, found %zu layers, %zu sequences, %zu positions, chunks of %zu",
                       p->n_layers, p->n_seqs, p->n_pos, p->chunk);
    if ((s = mem_alloc(&mem, p->n_layers, 3 * sizeof(size_t), "key-value cache layers", err)))
        return s;
    p->windows = mem;
    p->ring = p->windows + p->n_layers;
    p->first = p->ring + p->n_layers;
    plan_layers(p, shape);
    if (!size_mul(p->seq_pages, p->n_seqs, &n) || n >= KV_NO_PAGE || !size_mul(n, page_b, &all_b))
        return err_set(err, ERR_MEMORY, "key-value cache: %zu sequences of %zu pages overflow", p->n_seqs, p->seq_pages);
    uint64_t max = shape->limit_b ? shape->limit_b / page_b : n;
    p->max_pages = max < KV_NO_PAGE ? (uint32_t)max : KV_NO_PAGE - 1;
    if ((s = mem_alloc(&mem, n, sizeof *p->table, "key-value cache page table", err)))
        return s;
    p->table = mem;
    for (size_t i = 0; i < n; i++)
        p->table[i] = KV_NO_PAGE;
    if ((s = mem_alloc(&mem, p->n_seqs, 2 * sizeof(size_t), "key-value cache sequences", err)))
        return s;
    p->held_pos = mem;
    p->loaded_pos = p->held_pos + p->n_seqs;
    return OK;
}

void kv_pages_release(struct kv_pages *p)
{
    mem_free(p->state);
    mem_free(p->held_pos);
    mem_free(p->table);
    mem_free(p->windows);
    *p = (struct kv_pages){.n_layers = 0};
}

static size_t pages_for(const struct kv_pages *p, size_t layer, size_t n_pos)
{
    size_t n = page_end(n_pos);
    return n < p->ring[layer] ? n : p->ring[layer];
}

uint64_t kv_pages_need(const struct kv_pages *p, size_t n_pos)
{
    uint64_t n = 0;
    for (size_t layer = 0; layer < p->n_layers; layer++)
        n += pages_for(p, layer, n_pos);
    return n * p->page_b;
}

static void shrink(struct kv_pages *p, size_t seq, size_t n_pos)
{
    for (size_t layer = 0; layer < p->n_layers; layer++)
        for (size_t i = pages_for(p, layer, n_pos); i < p->ring[layer]; i++)
            return_page(p, &ring_of(p, seq, layer)[i]);
    p->loaded_pos[seq] = 0;
}

/* The pages that positions [held, n_pos) are written to: the last of them where a ring goes round. */
static size_t first_written(const struct kv_pages *p, size_t seq, size_t layer, size_t n_pos)
{
    size_t from = p->held_pos[seq] / KV_PAGE_POS;
    size_t end = page_end(n_pos);
    return end - from > p->ring[layer] ? end - p->ring[layer] : from;
}

static enum status reserve(struct kv_pages *p, size_t seq, size_t n_pos, struct err *err)
{
    uint64_t need = p->n_live;
    for (size_t layer = 0; layer < p->n_layers; layer++)
        for (size_t i = first_written(p, seq, layer, n_pos); i < page_end(n_pos); i++) {
            uint32_t page = *slot_of(p, seq, layer, i);
            need += page == KV_NO_PAGE || p->state[page].refs > 1;
        }
    return kv_pages_make(p, need < KV_NO_PAGE ? (uint32_t)need : KV_NO_PAGE, err);
}

static enum status grow(struct kv_pages *p, size_t seq, size_t n_pos, struct err *err)
{
    enum status s = OK;
    for (size_t layer = 0; layer < p->n_layers; layer++)
        for (size_t i = first_written(p, seq, layer, n_pos); i < page_end(n_pos) && !s; i++) {
            uint32_t *slot = slot_of(p, seq, layer, i);
            uint32_t shared = *slot;
            if (shared != KV_NO_PAGE && p->state[shared].refs == 1)
                continue;
            *slot = take_page(p);
            p->changed = true;
            if (shared == KV_NO_PAGE) {
                s = p->memory.zero(p->memory.ctx, *slot, err); // masked keys meet p = 0: what lies there must be finite
            } else {
                s = p->memory.copy(p->memory.ctx, *slot, shared, err);
                return_page(p, &shared);
            }
        }
    return s;
}

enum status kv_pages_resize(struct kv_pages *p, size_t seq, size_t n_pos, struct err *err)
{
    enum status s;
    if (seq >= p->n_seqs)
        return err_set(err, ERR_RANGE, "key-value cache: expected a sequence below %zu, found %zu", p->n_seqs, seq);
    if (n_pos > p->n_pos)
        return err_set(err, ERR_CONTEXT, "key-value cache: expected at most %zu positions, found %zu", p->n_pos, n_pos);
    if (n_pos < p->held_pos[seq])
        shrink(p, seq, n_pos);
    else if (n_pos > p->held_pos[seq] && ((s = reserve(p, seq, n_pos, err)) || (s = grow(p, seq, n_pos, err))))
        return s;
    p->held_pos[seq] = n_pos;
    return OK;
}

/* The pages of a layer that a saved stretch holds: [*first, return value). */
static size_t saved_pages(const struct kv_pages *p, size_t layer, size_t from, size_t to, size_t *first)
{
    *first = (p->windows[layer] ? first_seen(p, layer, to) : from) / KV_PAGE_POS;
    return page_end(to);
}

enum status kv_pages_save(struct kv_pages *p, struct kv_saved **out, size_t seq, size_t from, size_t to,
                          struct err *err)
{
    if (seq >= p->n_seqs || from % KV_PAGE_POS != 0 || from >= to || to > p->held_pos[seq] ||
        p->held_pos[seq] - to > p->chunk || to < p->loaded_pos[seq])
        return err_set(err, ERR_RANGE, "key-value cache: expected to save up to the last %zu positions, found %zu to %zu",
                       p->chunk, from, to);
    size_t n = 0;
    for (size_t layer = 0; layer < p->n_layers; layer++) {
        size_t first;
        size_t end = saved_pages(p, layer, from, to, &first);
        n += end - first;
    }
    void *mem;
    enum status s = mem_alloc(&mem, 1, sizeof(struct kv_saved) + n * sizeof(uint32_t), "saved prefix", err);
    if (s)
        return s;
    struct kv_saved *v = mem;
    *v = (struct kv_saved){.next = p->saved, .link = &p->saved, .from = from, .to = to};
    for (size_t layer = 0; layer < p->n_layers; layer++) {
        size_t i;
        size_t end = saved_pages(p, layer, from, to, &i);
        for (; i < end; i++) {
            uint32_t page = *slot_of(p, seq, layer, i);
            p->state[page].refs++;
            v->pages[v->n_pages++] = page;
        }
    }
    if (v->next)
        v->next->link = &v->next;
    p->saved = v;
    *out = v;
    return OK;
}

enum status kv_pages_load(struct kv_pages *p, size_t seq, const struct kv_saved *saved, struct err *err)
{
    if (seq >= p->n_seqs || p->held_pos[seq] != saved->from)
        return err_set(err, ERR_RANGE, "key-value cache: expected a sequence of %zu positions to continue", saved->from);
    const uint32_t *from = saved->pages;
    for (size_t layer = 0; layer < p->n_layers; layer++) {
        size_t i;
        size_t end = saved_pages(p, layer, saved->from, saved->to, &i);
        for (size_t j = 0; p->windows[layer] && j < p->ring[layer]; j++)
            return_page(p, &ring_of(p, seq, layer)[j]);
        for (; i < end; i++) {
            p->state[*from].refs++;
            *slot_of(p, seq, layer, i) = *from++;
        }
    }
    p->held_pos[seq] = p->loaded_pos[seq] = saved->to;
    p->changed = true;
    return OK;
}

void kv_pages_drop(struct kv_pages *p, struct kv_saved *saved)
{
    if (!saved)
        return;
    for (size_t i = 0; i < saved->n_pages; i++)
        return_page(p, &saved->pages[i]);
    *saved->link = saved->next;
    if (saved->next)
        saved->next->link = saved->link;
    mem_free(saved);
}

/* Mark what a holder of the positions [from, to) sees; pages[0] is page number `base` of the sequence. */
static void mark(const struct kv_pages *p, const uint32_t *pages, size_t base, size_t ring, size_t from, size_t to)
{
    for (size_t i = from / KV_PAGE_POS; i < page_end(to); i++) {
        size_t at = i * KV_PAGE_POS;
        size_t lo = at < from ? from - at : 0;
        size_t hi = to - at < KV_PAGE_POS ? to - at : KV_PAGE_POS;
        p->state[pages[(i - base) % ring]].seen |= (uint32_t)(((uint64_t)1 << hi) - ((uint64_t)1 << lo));
    }
}

static void mark_all(const struct kv_pages *p)
{
    for (size_t i = 0; i < p->n_seqs * p->seq_pages; i++)
        if (p->table[i] != KV_NO_PAGE)
            p->state[p->table[i]].in_seq = true;
    for (size_t seq = 0; seq < p->n_seqs; seq++)
        for (size_t layer = 0; layer < p->n_layers; layer++)
            mark(p, ring_of(p, seq, layer), 0, p->ring[layer], first_seen(p, layer, p->held_pos[seq]), p->held_pos[seq]);
    for (const struct kv_saved *v = p->saved; v; v = v->next) {
        const uint32_t *pages = v->pages;
        for (size_t layer = 0; layer < p->n_layers; layer++) {
            size_t first;
            size_t n = saved_pages(p, layer, v->from, v->to, &first) - first;
            mark(p, pages, first, n, p->windows[layer] ? first_seen(p, layer, v->to) : v->from, v->to);
            pages += n;
        }
    }
}

/* used: a position of a window layer counts while a later query can still see it; the rest of a ring
 * (room for the chunk, rounding to pages) is padding. What is shared counts once. */
void kv_pages_count(const struct kv_pages *p, struct kv_bytes *out)
{
    uint64_t positions = 0;
    uint64_t n_saved = 0;
    for (uint32_t i = 0; i < p->n_made; i++)
        p->state[i].seen = p->state[i].in_seq = 0;
    mark_all(p);
    for (uint32_t i = 0; i < p->n_made; i++) {
        positions += (uint64_t)__builtin_popcount(p->state[i].seen);
        n_saved += p->state[i].refs && !p->state[i].in_seq;
    }
    *out = (struct kv_bytes){
        .limit = p->max_pages * p->page_b,
        .reserved = p->n_made * p->page_b,
        .live = p->n_live * p->page_b,
        .saved = n_saved * p->page_b,
        .used = positions * p->pos_b,
    };
}

enum status kv_pages_check(const struct kv_pages *p, const struct rows *rows, struct err *err)
{
    size_t run = 0;
    for (size_t t = 0; t < rows->n; t++) {
        if (rows->seq[t] >= p->n_seqs || rows->pos[t] >= p->held_pos[rows->seq[t]])
            return err_set(err, ERR_RANGE, "row %zu: no room in the cache for position %u of sequence %u", t,
                           (unsigned)rows->pos[t], (unsigned)rows->seq[t]);
        run = t > 0 && rows->seq[t] == rows->seq[t - 1] ? run + 1 : 1;
        if (run > p->chunk)
            return err_set(err, ERR_RANGE, "row %zu: expected at most %zu rows of sequence %u in a step", t, p->chunk,
                           (unsigned)rows->seq[t]);
    }
    return OK;
}
