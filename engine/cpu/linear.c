#include <string.h>

#include "cpu/cpu.h"

/* Products. Weight tiles are the outer loop and rows the inner one, so that a tile is fetched from
 * memory once for all rows; within a tile, segments are outer, so that 16 KiB of weights stay in the
 * first cache while the rows pass by. Threads divide tiles, never K. */

void cpu_product(const struct cpu_kernels *k, struct cpu_worker *w, const struct matrix *a, size_t tile,
                 const float *x, size_t ldx, size_t m, float *total, float *part)
{
    const uint8_t *data = a->data + tile * a->tile_b;
    const uint8_t *scales = data + a->n_blocks * TILE * BLOCK / 2; // MXFP4
    size_t n_segments = (a->n_blocks + SEGMENT_BLOCKS - 1) / SEGMENT_BLOCKS;
    for (size_t i = 0; i < n_segments; i++) {
        size_t block = (k->wrong_segments ? n_segments - 1 - i : i) * SEGMENT_BLOCKS;
        size_t n = a->n_blocks - block < SEGMENT_BLOCKS ? a->n_blocks - block : SEGMENT_BLOCKS;
        float *c = i == 0 || k->wrong_segments ? total : part;
        if (i == 0 || c == part)
            memset(c, 0, m * TILE * sizeof *c);
        if (a->format == TILE_BF16)
            k->dot_bf16((const uint32_t *)(const void *)(data + block * TILE * BLOCK * 2), n * BLOCK / 2,
                        x + block * BLOCK, ldx, m, c, TILE);
        else
            k->dot_mxfp4((const uint32_t *)(const void *)(data + block * TILE * BLOCK / 2), scales + block * TILE, n,
                         x + block * BLOCK, ldx, m, c, TILE);
        if (c == part)
            for (size_t j = 0; j < m * TILE; j++)
                total[j] = total[j] + part[j];
    }
    w->weight_bytes_read += a->tile_b;
    w->dots += m * (a->n_rows - tile * TILE < TILE ? a->n_rows - tile * TILE : TILE);
}

struct linear {
    const struct cpu_kernels *k;
    const struct matrix *a;
    const uint16_t *x16;
    float *x; // (m, ld) widened
    size_t ld, m;
    const float *bias;
    bool add;
    float *y;     // (m, n_rows)
    float *total; // (workers, m, TILE)
    float *part;
};

static void widen(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    (void)w;
    struct linear *l = ctx;
    l->k->expand(l->x16 + from * l->ld, (to - from) * l->ld, l->x + from * l->ld);
}

static void tiles(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    struct linear *l = ctx;
    float *total = l->total + w->index * l->m * TILE;
    float *part = l->part + w->index * l->m * TILE;
    size_t n_rows = l->a->n_rows;
    for (size_t tile = from; tile < to; tile++) {
        cpu_product(l->k, w, l->a, tile, l->x, l->ld, l->m, total, part);
        size_t r0 = tile * TILE;
        size_t n = n_rows - r0 < TILE ? n_rows - r0 : TILE;
        for (size_t t = 0; t < l->m; t++) {
            float *y = l->y + t * n_rows + r0;
            const float *v = total + t * TILE;
            for (size_t i = 0; i < n; i++) {
                float r = l->bias ? v[i] + l->bias[r0 + i] : v[i];
                y[i] = l->add ? y[i] + r : r;
            }
        }
    }
}

enum status cpu_linear(struct backend *base, const struct matrix *w, const uint16_t *x, size_t n, const float *bias,
                       bool add, float *y, struct err *err)
{
    struct cpu_backend *b = cpu_of(base);
    size_t workers = pool_size(b->pool);
    size_t pass = n < PASS_ROWS ? n : PASS_ROWS;
    struct linear l = {.k = b->kernels, .a = w, .ld = w->n_blocks * BLOCK, .bias = bias, .add = add};
    void *widened, *total, *part;
    const struct cpu_piece pieces[] = {
        {&widened, pass, l.ld * sizeof(float)},
        {&total, workers * pass, TILE * sizeof(float)},
        {&part, workers * pass, TILE * sizeof(float)},
    };
    enum status s = cpu_scratch(b, pieces, 3, err);
    if (s)
        return s;
    l.x = widened;
    l.total = total;
    l.part = part;
    for (size_t t = 0; t < n; t += pass) {
        l.m = n - t < pass ? n - t : pass;
        l.x16 = x + t * l.ld;
        l.y = y + t * w->n_rows;
        cpu_run(b, l.m, l.ld / 4, widen, &l);
        cpu_run(b, w->n_tiles, l.m * l.ld * TILE, tiles, &l);
    }
    return OK;
}
