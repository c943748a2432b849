#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

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

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t start;
    pthread_cond_t done;
    void (*fn)(void *, size_t, size_t);
    void *arg;
    size_t round;     // counts calls; a worker runs once per new value
    size_t n_pending; // workers that have not finished this round
    bool quit;
    size_t n_threads;
    size_t n_started; // threads to join: n_threads - 1 unless start-up failed
    struct worker *workers;
    atomic_size_t round_hint;   // copy of round that a worker may spin on without the lock
    atomic_size_t pending_hint; // copy of n_pending for the caller to spin on
};

struct worker {
    struct pool *pool;
    pthread_t thread;
    size_t index;
};

enum { SPINS = 2000 }; // about 20 us: a decode step calls the pool hundreds of times, a sleep costs more

static void cpu_relax(void)
{
#if defined(__x86_64__)
    _mm_pause();
#endif
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;
    (void)pool_numeric_env_enter(); // the thread is ours, nothing to restore
    size_t seen = 0;
    for (;;) {
        for (int i = 0; i < SPINS && atomic_load_explicit(&p->round_hint, memory_order_acquire) == seen; i++)
            cpu_relax();
        (void)pthread_mutex_lock(&p->lock);
        while (p->round == seen && !p->quit)
            (void)pthread_cond_wait(&p->start, &p->lock);
        if (p->quit) {
            (void)pthread_mutex_unlock(&p->lock);
            return NULL;
        }
        seen = p->round;
        (void)pthread_mutex_unlock(&p->lock);
        p->fn(p->arg, w->index, p->n_threads);
        (void)pthread_mutex_lock(&p->lock);
        p->n_pending--;
        atomic_store_explicit(&p->pending_hint, p->n_pending, memory_order_release);
        if (p->n_pending == 0)
            (void)pthread_cond_signal(&p->done);
        (void)pthread_mutex_unlock(&p->lock);
    }
}

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
    for (size_t i = 1; i < n_threads; i++) {
        p->workers[i] = (struct worker){.pool = p, .index = i};
        int e = pthread_create(&p->workers[i].thread, NULL, work, &p->workers[i]);
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
    (void)pthread_mutex_lock(&p->lock);
    p->quit = true;
    atomic_store(&p->round_hint, p->round + 1);
    (void)pthread_cond_broadcast(&p->start);
    (void)pthread_mutex_unlock(&p->lock);
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
        (void)pthread_mutex_lock(&p->lock);
        p->fn = fn;
        p->arg = arg;
        p->n_pending = p->n_threads - 1;
        atomic_store_explicit(&p->pending_hint, p->n_pending, memory_order_release);
        p->round++;
        atomic_store_explicit(&p->round_hint, p->round, memory_order_release);
        (void)pthread_cond_broadcast(&p->start);
        (void)pthread_mutex_unlock(&p->lock);
    }
    fn(arg, 0, p->n_threads);
    if (p->n_threads > 1) {
        for (int i = 0; i < SPINS && atomic_load_explicit(&p->pending_hint, memory_order_acquire) != 0; i++)
            cpu_relax();
        (void)pthread_mutex_lock(&p->lock);
        while (p->n_pending != 0)
            (void)pthread_cond_wait(&p->done, &p->lock);
        (void)pthread_mutex_unlock(&p->lock);
    }
    pool_numeric_env_leave(saved);
}
