#define _DEFAULT_SOURCE // madvise
#include "meter/ceiling.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "meter/ceiling_loops.h"

enum { HUGE_PAGE_B = 1 << 21 };

struct ceilings {
    struct pool *pool;
    struct ceiling *items;
    const struct ceiling_loop **loops; // (n) of each item
    size_t n;
    struct share *shares; // (threads of the pool)
    uint8_t *memory;      // (memory_b)
    size_t memory_b;
};

/* What one thread did of a probe. */
struct share {
    _Alignas(64) uint64_t begin_ns;
    uint64_t end_ns, work, kept;
};

/* A probe under way, as its threads see it. */
struct probe {
    const struct ceilings *c;
    const struct ceiling *what;
    const struct ceiling_loop *loop;
    uint64_t min_ns;
};

const char *ceiling_kind_name(enum ceiling_kind k)
{
    switch (k) {
    case CEILING_READ:
        return "read";
    case CEILING_FMA_FP32:
        return "fma_fp32";
    case CEILING_DOT_BF16:
        return "dot_bf16";
    case CEILING_AMX_BF16:
        return "amx_bf16";
    }
    return "unknown";
}

const char *ceiling_kind_unit(enum ceiling_kind k)
{
    return k == CEILING_READ ? "GB/s" : "GFLOP/s";
}

/* Bytes of one thread's part: a multiple of what the loops step by, whatever the number of streams. */
static size_t part_b(const struct ceilings *c, size_t n_threads)
{
    const size_t step = (size_t)CEILING_STEP_B * CEILING_MAX_STREAMS;
    return c->memory_b / n_threads / step * step;
}

static void touch(void *arg, size_t worker, size_t n_workers)
{
    const struct ceilings *c = arg;
    const size_t part = part_b(c, n_workers);
    memset(c->memory + worker * part, (int)worker + 1, worker + 1 < n_workers ? part : c->memory_b - worker * part);
}

/* The list: every kind with every loop, on one thread and on all; of READ only the best loop. */
static size_t list(struct ceilings *c, size_t n_threads, bool write)
{
    size_t n_loops;
    size_t n = 0;
    const struct ceiling_loop *loops = ceiling_loops(&n_loops);
    bool read_done = false;
    for (size_t i = 0; i < n_loops; i++) {
        const char *missing = loops[i].missing();
        const bool read = loops[i].kind == CEILING_READ;
        if (read && (read_done || missing))
            continue;
        read_done = read_done || read;
        for (size_t t = 1;; t = n_threads) {
            for (size_t s = 1; s <= (read ? CEILING_MAX_STREAMS : 1); s *= CEILING_MAX_STREAMS, n++)
                if (write) {
                    c->items[n] = (struct ceiling){
                        .kind = loops[i].kind, .isa = loops[i].isa, .n_threads = t, .n_streams = read ? s : 0, .missing = missing};
                    c->loops[n] = &loops[i];
                }
            if (t == n_threads)
                break;
        }
    }
    return n;
}

enum status ceilings_new(struct ceilings **out, size_t n_threads, size_t read_b, struct err *err)
{
    void *p;
    enum status s = mem_alloc(&p, 1, sizeof(struct ceilings), "ceilings", err);
    if (s)
        return s;
    struct ceilings *c = p;
    c->memory_b = read_b;
    if ((s = pool_new(&c->pool, n_threads, err)))
        goto fail;
    if (part_b(c, n_threads) == 0) {
        s = err_set(err, ERR_RANGE, "ceilings: expected at least %d bytes to read for each of %zu threads, found %zu",
                    CEILING_STEP_B * CEILING_MAX_STREAMS, n_threads, read_b);
        goto fail;
    }
    c->n = list(c, n_threads, false);
    if ((s = mem_alloc(&p, c->n, sizeof *c->items, "ceilings", err)))
        goto fail;
    c->items = p;
    if ((s = mem_alloc(&p, c->n, sizeof *c->loops, "ceilings", err)))
        goto fail;
    c->loops = p;
    (void)list(c, n_threads, true);
    if ((s = mem_alloc(&p, n_threads, sizeof *c->shares, "ceilings", err)))
        goto fail;
    c->shares = p;
    // Not mem_alloc: that zeroes on this thread, and on a machine of several nodes the pages would all
    // lie on this thread's. Huge pages, where the system gives them: small ones cost a third of the speed
    // on a virtual machine, and the ceiling is what a reader can have that does everything right.
    c->memory = aligned_alloc(HUGE_PAGE_B, (read_b + HUGE_PAGE_B - 1) / HUGE_PAGE_B * HUGE_PAGE_B);
    if (!c->memory) {
        s = err_set(err, ERR_MEMORY, "cannot allocate %zu bytes to read", read_b);
        goto fail;
    }
#ifdef MADV_HUGEPAGE
    (void)madvise(c->memory, read_b, MADV_HUGEPAGE);
#endif
    pool_run(c->pool, touch, c);
    *out = c;
    return OK;
fail:
    ceilings_free(c);
    return s;
}

void ceilings_free(struct ceilings *c)
{
    if (!c)
        return;
    free(c->memory);
    mem_free(c->shares);
    mem_free(c->loops);
    mem_free(c->items);
    pool_free(c->pool);
    mem_free(c);
}

size_t ceilings_count(const struct ceilings *c)
{
    return c->n;
}

const struct ceiling *ceilings_at(const struct ceilings *c, size_t i)
{
    return &c->items[i];
}

/* One thread's part: rounds that double until one lasts long enough would waste half the time, so the
 * clock is looked at after each pass (READ) or each 2^14 rounds. */
static void run_share(void *arg, size_t worker, size_t n_workers)
{
    const struct probe *p = arg;
    (void)n_workers;
    if (worker >= p->what->n_threads)
        return;
    struct share *mine = &p->c->shares[worker];
    const size_t part = part_b(p->c, p->what->n_threads);
    mine->begin_ns = clock_ns();
    do {
        if (p->loop->read) {
            mine->kept += p->loop->read(p->c->memory + worker * part, part, p->what->n_streams);
            mine->work += part;
        } else {
            enum { ROUNDS = 1 << 14 };
            mine->kept += p->loop->compute(ROUNDS);
            mine->work += ROUNDS * p->loop->round_flop;
        }
        mine->end_ns = clock_ns();
    } while (mine->end_ns - mine->begin_ns < p->min_ns);
}

void ceilings_run(struct ceilings *c, size_t i, uint64_t min_ns, uint64_t *work, uint64_t *ns)
{
    memset(c->shares, 0, pool_size(c->pool) * sizeof *c->shares);
    struct probe p = {.c = c, .what = &c->items[i], .loop = c->loops[i], .min_ns = min_ns};
    pool_run(c->pool, run_share, &p);
    uint64_t begin = UINT64_MAX;
    uint64_t end = 0;
    *work = 0;
    for (size_t t = 0; t < p.what->n_threads; t++) {
        begin = c->shares[t].begin_ns < begin ? c->shares[t].begin_ns : begin;
        end = c->shares[t].end_ns > end ? c->shares[t].end_ns : end;
        *work += c->shares[t].work;
    }
    *ns = end - begin;
}
