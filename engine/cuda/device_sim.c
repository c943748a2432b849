#define _DEFAULT_SOURCE // MAP_ANONYMOUS, MAP_NORESERVE
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "base/pool.h"
#include "cuda/device.h"
#include "cuda/simt.h"

/* The host as a device: one queue, worked off late; memory that only queued work may touch; blocks and
 * threads in an order of the caller's choice. Slow and simple. */

enum { ARGS_B = 512, QUEUE = 256, MAX_REGIONS = 16, POISON = 0xff };

enum sim_verb { SIM_COPY, SIM_FILL, SIM_LAUNCH };

struct command {
    enum sim_verb verb;
    void *to;
    const void *from;
    size_t n;
    uint8_t byte;
    enum cuda_kernel kernel;
    size_t grid_x, grid_y;
    _Alignas(16) uint8_t args[ARGS_B];
};

struct region {
    void *at;
    size_t n;
};

struct sim {
    struct device base; // first
    struct sim_options opt;
    struct command *queue; // (QUEUE)
    size_t n_queued;
    uint64_t n_launches;
    struct region regions[MAX_REGIONS];
    uint64_t used_b;
    uint8_t *shared; // (SIMT_SHARED_B)
    uint32_t order[SIMT_MAX_THREADS];
};

static struct sim *sim_of(struct device *d)
{
    return (struct sim *)d;
}

static uint64_t next_random(uint64_t *state) // splitmix64
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void fill_order(enum sim_order how, uint64_t *state, uint32_t *order, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        order[i] = how == SIM_DOWN ? n - 1 - i : i;
    for (uint32_t i = n; how == SIM_SHUFFLED && i > 1; i--) {
        uint32_t j = (uint32_t)(next_random(state) % i);
        uint32_t x = order[i - 1];
        order[i - 1] = order[j];
        order[j] = x;
    }
}

static uint64_t digest(const uint8_t *p, size_t n) // a word at a time: it is taken around every LANES
{
    uint64_t h = n;
    for (size_t i = 0; i < n; i += sizeof h) {
        uint64_t word = 0;
        memcpy(&word, p + i, n - i < sizeof word ? n - i : sizeof word);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return h;
}

void simt_lanes(struct simt *simt)
{
    if (simt->check)
        simt->before = digest(simt->shared, simt->shared_b);
}

bool simt_same(struct simt *simt)
{
    if (simt->check)
        simt->wrote = simt->wrote || simt->before != digest(simt->shared, simt->shared_b);
    return false;
}

void *simt_shared(struct simt *simt, size_t n)
{
    simt->shared_b = n;
    memset(simt->shared, POISON, n);
    return simt->shared;
}

void simt_shuffle_down(const struct simt *simt, float *to, const float *from, uint32_t delta)
{
    for (uint32_t t = 0; t < simt->n_threads; t++) // ascending: to may be from
        to[t] = t % SIMT_WARP + delta < SIMT_WARP && t + delta < simt->n_threads ? from[t + delta] : from[t];
}

static void (*entry(enum cuda_kernel k))(struct simt *, const void *)
{
    static void (*const table[N_CUDA_KERNELS])(struct simt *, const void *) = {
#define X(name, n) [KERNEL_##name] = sim_##name,
        CUDA_KERNELS(X)
#undef X
    };
    return table[k];
}

static enum status run_launch(struct sim *s, const struct command *c, struct err *err)
{
    uint32_t n_threads = cuda_kernel_threads(c->kernel);
    uint64_t state = s->opt.seed + s->n_launches++;
    size_t n = c->grid_x * c->grid_y;
    struct simt simt = {.n_threads = n_threads, .order = s->order, .shared = s->shared, .check = s->opt.check_lanes};
    size_t shift = s->opt.order == SIM_SHUFFLED ? (size_t)(next_random(&state) % n) : 0;
    fill_order(s->opt.order, &state, s->order, n_threads);
    for (size_t i = 0; i < n; i++) { // shuffled: from a random one on, round
        size_t block = s->opt.order == SIM_DOWN ? n - 1 - i : (i + shift) % n;
        simt.block[0] = (uint32_t)(block % c->grid_x);
        simt.block[1] = (uint32_t)(block / c->grid_x);
        simt.shared_b = 0;
        entry(c->kernel)(&simt, c->args);
        if (simt.wrote)
            return err_set(err, ERR_DEVICE, "kernel %s: expected LANES that only read shared memory, found a write",
                           cuda_kernel_name(c->kernel));
    }
    return OK;
}

static enum status run_all(struct sim *s, struct err *err)
{
    enum status st = OK;
    for (size_t i = 0; i < MAX_REGIONS; i++)
        if (s->regions[i].at && mprotect(s->regions[i].at, s->regions[i].n, PROT_READ | PROT_WRITE))
            return err_set(err, ERR_MEMORY, "cuda-sim: cannot open device memory");
    unsigned env = pool_numeric_env_enter();
    for (size_t i = 0; i < s->n_queued && !st; i++) {
        const struct command *c = &s->queue[i];
        switch (c->verb) {
        case SIM_COPY:
            memcpy(c->to, c->from, c->n);
            break;
        case SIM_FILL:
            memset(c->to, c->byte, c->n);
            break;
        case SIM_LAUNCH:
            st = run_launch(s, c, err);
            break;
        }
    }
    pool_numeric_env_leave(env);
    s->n_queued = 0;
    for (size_t i = 0; i < MAX_REGIONS; i++)
        if (s->regions[i].at && mprotect(s->regions[i].at, s->regions[i].n, PROT_NONE))
            return err_set(err, ERR_MEMORY, "cuda-sim: cannot close device memory");
    return st;
}

static enum status put(struct sim *s, const struct command *c, struct err *err)
{
    if (s->n_queued == QUEUE) {
        enum status st = run_all(s, err);
        if (st)
            return st;
    }
    s->queue[s->n_queued++] = *c;
    return OK;
}

static const char *sim_arch(const struct device *d)
{
    (void)d;
    return "simt";
}

static uint64_t sim_total(const struct sim *s)
{
    return s->opt.memory_b ? s->opt.memory_b : (uint64_t)8 << 30;
}

static enum status sim_memory(struct device *d, uint64_t *free_b, uint64_t *total_b, struct err *err)
{
    (void)err;
    *total_b = sim_total(sim_of(d));
    *free_b = *total_b - sim_of(d)->used_b;
    return OK;
}

static enum status sim_alloc(struct device *d, void **dev, size_t n, struct err *err)
{
    struct sim *s = sim_of(d);
    size_t i = 0;
    while (i < MAX_REGIONS && s->regions[i].at)
        i++;
    if (i == MAX_REGIONS || n == 0 || n > sim_total(s) - s->used_b)
        return err_set(err, ERR_MEMORY, "cuda-sim: expected at most %llu bytes, found %zu",
                       (unsigned long long)(sim_total(s) - s->used_b), n);
    void *p = mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return err_set(err, ERR_MEMORY, "cuda-sim: cannot map %zu bytes", n);
    s->regions[i] = (struct region){p, n};
    s->used_b += n;
    *dev = p;
    return OK;
}

static void sim_release(struct device *d, void *dev)
{
    struct sim *s = sim_of(d);
    (void)run_all(s, NULL);
    for (size_t i = 0; i < MAX_REGIONS; i++) {
        if (!dev || s->regions[i].at != dev)
            continue;
        (void)munmap(dev, s->regions[i].n);
        s->used_b -= s->regions[i].n;
        s->regions[i].at = NULL;
    }
}

static enum status sim_pin(struct device *d, void **host, size_t n, struct err *err)
{
    (void)d;
    return mem_alloc(host, n, 1, "pinned memory", err);
}

static void sim_unpin(struct device *d, void *host)
{
    (void)run_all(sim_of(d), NULL);
    mem_free(host);
}

static enum status sim_copy(struct device *d, void *to, const void *from, size_t n, struct err *err)
{
    return put(sim_of(d), &(struct command){.verb = SIM_COPY, .to = to, .from = from, .n = n}, err);
}

static enum status sim_fill(struct device *d, void *dev, uint8_t byte, size_t n, struct err *err)
{
    return put(sim_of(d), &(struct command){.verb = SIM_FILL, .to = dev, .byte = byte, .n = n}, err);
}

static enum status sim_launch(struct device *d, enum cuda_kernel k, size_t grid_x, size_t grid_y, const void *args,
                              size_t args_b, struct err *err)
{
    struct command c = {.verb = SIM_LAUNCH, .kernel = k, .grid_x = grid_x, .grid_y = grid_y};
    if (args_b > ARGS_B || grid_x > INT32_MAX || grid_y > UINT16_MAX) // CUDA's limits
        return err_set(err, ERR_DEVICE, "kernel %s: expected a grid up to %d x %d, found %zu x %zu", cuda_kernel_name(k),
                       INT32_MAX, UINT16_MAX, grid_x, grid_y);
    memcpy(c.args, args, args_b);
    return put(sim_of(d), &c, err);
}

/* Late: only a wait does what lies before the event, and as much after it as is queued. */
static enum status sim_record(struct device *d, size_t event, struct err *err)
{
    (void)d;
    (void)event;
    (void)err;
    return OK;
}

static enum status sim_wait(struct device *d, size_t event, struct err *err)
{
    (void)event;
    return run_all(sim_of(d), err);
}

static enum status sim_sync(struct device *d, struct err *err)
{
    return run_all(sim_of(d), err);
}

static void sim_free(struct device *d)
{
    struct sim *s = sim_of(d);
    for (size_t i = 0; i < MAX_REGIONS; i++)
        sim_release(d, s->regions[i].at);
    mem_free(s->queue);
    mem_free(s->shared);
    mem_free(s);
}

static const struct device_ops sim_ops = {
    .name = "cuda-sim",
    .free = sim_free,
    .arch = sim_arch,
    .memory = sim_memory,
    .alloc = sim_alloc,
    .release = sim_release,
    .pin = sim_pin,
    .unpin = sim_unpin,
    .copy_in = sim_copy,
    .copy_out = sim_copy,
    .move = sim_copy,
    .fill = sim_fill,
    .launch = sim_launch,
    .record = sim_record,
    .wait = sim_wait,
    .sync = sim_sync,
};

enum status sim_device_new(struct device **out, const struct sim_options *opt, struct err *err)
{
    void *p;
    enum status st = mem_alloc(&p, 1, sizeof(struct sim), "cuda-sim", err);
    if (st)
        return st;
    struct sim *s = p;
    s->base.ops = &sim_ops;
    s->opt = *opt;
    if (!(st = mem_alloc(&p, QUEUE, sizeof(struct command), "cuda-sim queue", err))) {
        s->queue = p;
        if (!(st = mem_alloc(&p, SIMT_SHARED_B, 1, "shared memory", err)))
            s->shared = p;
    }
    if (st)
        sim_free(&s->base);
    else
        *out = &s->base;
    return st;
}
