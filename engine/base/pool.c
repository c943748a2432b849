#ifdef __linux__
#define _GNU_SOURCE 1 // affinity
#include <sched.h>
#endif
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/pool.h"

#include "base/mem.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#define MXCSR_CANONICAL 0x9FC0u // all exceptions masked, round to nearest even, FTZ and DAZ on
unsigned pool_numeric_env_enter(void)
{
    unsigned old = _mm_getcsr();
    _mm_setcsr(MXCSR_CANONICAL);
    return old;
}
void pool_numeric_env_leave(unsigned saved)
{
    _mm_setcsr(saved);
}
#else
unsigned pool_numeric_env_enter(void)
{
    return 0;
}
void pool_numeric_env_leave(unsigned saved)
{
    (void)saved;
}
#endif

/* A call is handed over by two words: `round`, which the caller counts up, and `pending`, which the workers
 * count down. Both sides spin on them for a while, because a decode step calls the pool hundreds of times
 * and a sleep costs more than a call; then they sleep. Who is about to sleep says so before it looks for
 * the last time, and who changes a word looks for sleepers afterwards (all of it sequentially
 * consistent), so nobody sleeps through a change and nobody takes the lock for a partner that is awake. */
struct pool {
    void (*fn)(void *, size_t, size_t);
    void *arg;
    size_t n_threads;
    int spins;
    _Alignas(64) atomic_size_t round;   // calls so far; a worker runs once per new value
    atomic_bool quit;
    _Alignas(64) atomic_size_t pending; // workers that have not finished this round
    _Alignas(64) atomic_size_t n_asleep; // workers
    atomic_bool caller_asleep;
    pthread_mutex_t lock; // of sleeping and waking only
    pthread_cond_t start, done;
    size_t n_started; // threads to join: n_threads - 1 unless start-up failed
    struct worker *workers;
};

struct worker {
    struct pool *pool;
    pthread_t thread;
    size_t index;
};

enum { SPINS = 4000 }; // some 50 us

static void cpu_relax(void)
{
#if defined(__x86_64__)
    _mm_pause();
#endif
}

static void wait_for_round(struct pool *p, size_t seen)
{
    for (int i = 0; i < p->spins; i++) {
        if (atomic_load(&p->round) != seen)
            return;
        cpu_relax();
    }
    (void)pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->n_asleep, 1);
    while (atomic_load(&p->round) == seen)
        (void)pthread_cond_wait(&p->start, &p->lock);
    atomic_fetch_sub(&p->n_asleep, 1);
    (void)pthread_mutex_unlock(&p->lock);
}

static void wait_for_workers(struct pool *p)
{
    for (int i = 0; i < p->spins; i++) {
        if (atomic_load(&p->pending) == 0)
            return;
        cpu_relax();
    }
    (void)pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_asleep, true);
    while (atomic_load(&p->pending) != 0)
        (void)pthread_cond_wait(&p->done, &p->lock);
    atomic_store(&p->caller_asleep, false);
    (void)pthread_mutex_unlock(&p->lock);
}

static void start_round(struct pool *p)
{
    atomic_store(&p->pending, p->n_threads - 1);
    atomic_fetch_add(&p->round, 1);
    if (atomic_load(&p->n_asleep) == 0)
        return;
    (void)pthread_mutex_lock(&p->lock);
    (void)pthread_cond_broadcast(&p->start);
    (void)pthread_mutex_unlock(&p->lock);
}

static void end_round(struct pool *p)
{
    if (atomic_fetch_sub(&p->pending, 1) != 1 || !atomic_load(&p->caller_asleep))
        return;
    (void)pthread_mutex_lock(&p->lock);
    (void)pthread_cond_signal(&p->done);
    (void)pthread_mutex_unlock(&p->lock);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;
    (void)pool_numeric_env_enter(); // the thread is ours, nothing to restore
    for (size_t seen = 0;; seen++) {
        wait_for_round(p, seen);
        if (atomic_load(&p->quit))
            return NULL;
        p->fn(p->arg, w->index, p->n_threads);
        end_round(p);
    }
}

/* Threads that have a CPU each spin, others would spin on each other's time. Where the pool has as many
 * threads as the process has CPUs each worker is tied to one, since the scheduler now and then puts two
 * threads on one CPU for a while and leaves the other idle. The caller's thread is not ours to tie:
 * whatever it starts would inherit that. With CPUs to spare nothing is tied, because another process
 * might tie its threads to the same ones. */
#ifdef __linux__
struct places {
    cpu_set_t allowed;
    int cpu; // of the thread before; -1: nothing is tied
};

static struct places find_places(struct pool *p)
{
    struct places at = {.cpu = -1};
    if (pthread_getaffinity_np(pthread_self(), sizeof at.allowed, &at.allowed))
        return at;
    size_t n = (size_t)CPU_COUNT(&at.allowed);
    p->spins = n < p->n_threads ? 0 : SPINS;
    if (n == p->n_threads)
        at.cpu = sched_getcpu();
    return at;
}

static int start_thread(struct worker *w, struct places *at)
{
    pthread_attr_t attr;
    int e = pthread_attr_init(&attr);
    if (e)
        return e;
    if (at->cpu >= 0) {
        cpu_set_t one;
        do
            at->cpu = (at->cpu + 1) % CPU_SETSIZE;
        while (!CPU_ISSET((size_t)at->cpu, &at->allowed));
        CPU_ZERO(&one);
        CPU_SET((size_t)at->cpu, &one);
        (void)pthread_attr_setaffinity_np(&attr, sizeof one, &one); // a wish
    }
    e = pthread_create(&w->thread, &attr, work, w);
    (void)pthread_attr_destroy(&attr);
    return e;
}
#else
struct places {
    int unused;
};

static struct places find_places(struct pool *p)
{
    p->spins = SPINS;
    return (struct places){0};
}

static int start_thread(struct worker *w, struct places *at)
{
    (void)at;
    return pthread_create(&w->thread, NULL, work, w);
}
#endif

enum status pool_new(struct pool **out, size_t n_threads, struct err *err)
{
    if (n_threads < 1 || n_threads > POOL_MAX_THREADS)
        return err_set(err, ERR_RANGE, "threads: expected 1 to %d, found %zu", POOL_MAX_THREADS, n_threads);
    void *mem;
    enum status s = mem_alloc(&mem, 1, sizeof(struct pool), "thread pool", err);
    if (s)
        return s;
    struct pool *p = mem;
    p->n_threads = n_threads;
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->start, NULL);
    (void)pthread_cond_init(&p->done, NULL);
    s = mem_alloc(&mem, n_threads, sizeof(struct worker), "thread pool", err);
    if (s) {
        pool_free(p);
        return s;
    }
    p->workers = mem;
    struct places at = find_places(p);
    for (size_t i = 1; i < n_threads; i++) {
        p->workers[i] = (struct worker){.pool = p, .index = i};
        int e = start_thread(&p->workers[i], &at);
        if (e) {
            pool_free(p);
            return err_set_errno(err, ERR_DEVICE, e, "cannot start thread %zu of %zu", i + 1, n_threads);
        }
        p->n_started++;
    }
    *out = p;
    return OK;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    atomic_store(&p->quit, true);
    start_round(p);
    for (size_t i = 1; i <= p->n_started; i++)
        (void)pthread_join(p->workers[i].thread, NULL);
    (void)pthread_cond_destroy(&p->start);
    (void)pthread_cond_destroy(&p->done);
    (void)pthread_mutex_destroy(&p->lock);
    mem_free(p->workers);
    mem_free(p);
}

size_t pool_size(const struct pool *p)
{
    return p->n_threads;
}

void pool_run(struct pool *p, void (*fn)(void *, size_t, size_t), void *arg)
{
    unsigned saved = pool_numeric_env_enter();
    if (p->n_threads > 1) {
        p->fn = fn;
        p->arg = arg;
        start_round(p);
    }
    fn(arg, 0, p->n_threads);
    if (p->n_threads > 1)
        wait_for_workers(p);
    pool_numeric_env_leave(saved);
}
