/* kernels - products of the CPU backend alone: GB/s of weights and GFLOP/s, by instruction set, stored
 * format and rows of x, beside the speed at which the same threads read memory.
 *   build/release/tests/bench/kernels [THREADS [MIB [ISA]]]
 * Each matrix is MIB (default 192, well beyond the caches), 2880 inputs wide; medians of repeats. CSV to
 * stdout, for people who work on the kernels; `bench` measures whole models. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "cpu/cpu.h"

enum { N_COLS = 2880, MAX_ROWS = 512, MAX_REPEATS = 25 };

static int by_value(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;
    return (d > 0) - (d < 0);
}

/* Stored rows made up on the spot: any codes, scales near 1 / 16. */
struct source {
    enum quant quant;
    size_t row_b;
};

static void read_rows(const void *ctx, size_t row, size_t n, uint8_t *out)
{
    const struct source *s = ctx;
    const struct quant_type *type = quant_type(s->quant);
    uint64_t state = row + 1;
    for (size_t i = 0; i < n * s->row_b; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(state >> 56);
    }
    for (size_t i = 0; i < n * s->row_b; i += type->block_b) {
        if (s->quant == QUANT_MXFP4)
            out[i] = (uint8_t)(120 + out[i] % 8);
        else
            out[i + 1] = s->quant == QUANT_BF16 ? 0x3d : 0x2b;
    }
}

struct sweep {
    const uint8_t *data;
    size_t n_b;
    uint64_t sum[POOL_MAX_THREADS];
};

static void read_all(void *arg, size_t worker, size_t n)
{
    struct sweep *s = arg;
    size_t part = s->n_b / n / 64 * 64;
    const uint64_t *p = (const uint64_t *)(const void *)(s->data + worker * part);
    uint64_t sum[8] = {0};
    for (size_t i = 0; i < part / 8; i += 8)
        for (size_t j = 0; j < 8; j++)
            sum[j] ^= p[i + j];
    for (size_t j = 0; j < 8; j++)
        s->sum[worker] += sum[j];
}

static double median_s(double *t, size_t n)
{
    qsort(t, n, sizeof *t, by_value);
    return t[n / 2];
}

static double read_speed(const struct matrix *m, size_t threads)
{
    static struct sweep s;
    struct pool *pool;
    double t[9];
    s.data = m->data;
    s.n_b = m->bytes;
    if (pool_new(&pool, threads, NULL))
        exit(3);
    for (size_t i = 0; i < 9; i++) {
        uint64_t t0 = clock_ns();
        pool_run(pool, read_all, &s);
        t[i] = (double)(clock_ns() - t0) * 1e-9;
    }
    pool_free(pool);
    return (double)m->bytes / median_s(t, 9) * 1e-9;
}

static void measure(const char *isa, size_t threads, enum quant quant, size_t mib)
{
    static const size_t rows[] = {1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 256, MAX_ROWS};
    struct err err = ERR_INIT;
    struct backend *b;
    struct matrix *m;
    struct source source = {.quant = quant};
    (void)quant_row_b(quant, N_COLS, &source.row_b);
    struct matrix_source src = {.name = quant_type(quant)->name, .quant = quant, .n_cols = N_COLS, .n_parts = 1};
    src.parts[0] = (struct matrix_part){.n_rows = (mib << 20) / source.row_b / 64 * 64,
                                        .rows = {.read = read_rows, .ctx = &source}};
    size_t n_rows = src.parts[0].n_rows;
    void *x, *y;
    if (cpu_backend_new(&b, isa, threads, &err) || b->ops->matrix_new(b, &m, &src, &err) ||
        mem_alloc(&x, MAX_ROWS * N_COLS, sizeof(uint16_t), "x", &err) ||
        mem_alloc(&y, MAX_ROWS * n_rows, sizeof(float), "y", &err)) {
        fprintf(stderr, "kernels: %s\n", err.text);
        exit(3);
    }
    for (size_t i = 0; i < MAX_ROWS * N_COLS; i++)
        ((uint16_t *)x)[i] = (uint16_t)(0x3f80 + i % 97 - i % 2 * 0x8000);
    double ceiling = read_speed(m, threads);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double t[MAX_REPEATS], total = 0;
        size_t n = 0;
        for (size_t warm = 0; n < MAX_REPEATS && (n < 3 || total < 0.2); warm++) {
            uint64_t t0 = clock_ns();
            if (b->ops->linear(b, m, x, rows[i], NULL, false, y, &err))
                exit(3);
            if (warm > 0)
                total += t[n++] = (double)(clock_ns() - t0) * 1e-9;
        }
        double s = median_s(t, n);
        double bytes = (double)b->ops->matrix_bytes(m);
        printf("%s,%zu,%s,%zu,%.3f,%.1f,%.1f,%.1f\n", b->ops->isa(b), threads, src.name, rows[i], s * 1e3, bytes / s * 1e-9,
               2.0 * N_COLS * (double)n_rows * (double)rows[i] / s * 1e-9, ceiling);
        fflush(stdout);
    }
    mem_free(x);
    mem_free(y);
    b->ops->matrix_free(b, m);
    b->ops->free(b);
}

int main(int argc, char **argv)
{
    static const enum quant formats[] = {QUANT_BF16, QUANT_MXFP4, QUANT_Q8_0, QUANT_Q4_0};
    size_t threads = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    size_t mib = argc > 2 ? strtoul(argv[2], NULL, 10) : 192;
    printf("isa,threads,format,rows,ms,weights_gb_s,gflop_s,read_gb_s\n");
    for (const char *const *isa = cpu_isa_list(); *isa; isa++)
        for (size_t f = 0; f < sizeof formats / sizeof formats[0]; f++)
            if (argc > 3 ? strcmp(*isa, argv[3]) == 0 : strcmp(*isa, "scalar") != 0)
                measure(*isa, threads, formats[f], mib);
    return 0;
}
