#include <string.h>

#include "cpu/cpu.h"

/* Products. Groups of tiles are the outer loop, so that weights come from memory once for all rows; then
 * blocks of rows that stay in the second cache with the group's weights; then segments, whose weights stay in
 * the first cache while the rows pass by. Threads divide tiles, never K. */

size_t cpu_strips(const struct matrix *a, size_t n_tiles)
{
    return (a->n_tiles + n_tiles - 1) / n_tiles;
}

struct strip cpu_strip(const struct matrix *a, size_t n_tiles, size_t i)
{
    struct strip s = {.a = a, .tile = i * n_tiles};
    s.n_tiles = a->n_tiles - s.tile < n_tiles ? a->n_tiles - s.tile : n_tiles;
    s.r0 = s.tile * TILE;
    s.n = a->n_rows - s.r0 < s.n_tiles * TILE ? a->n_rows - s.r0 : s.n_tiles * TILE;
    return s;
}

size_t cpu_strip_tiles(const struct cpu_backend *b, size_t n_tiles)
{
    return n_tiles < 4 * STRIP_TILES * pool_size(b->pool) ? 1 : STRIP_TILES;
}

void cpu_product(const struct cpu_kernels *k, struct cpu_worker *w, const struct strip *s, const void *x, size_t ldx,
                 size_t m, struct product_room *room)
{
    const struct matrix *a = s->a;
    size_t n_segments = (a->n_blocks + SEGMENT_BLOCKS - 1) / SEGMENT_BLOCKS;
    struct dot d = {.format = a->format, .tile_b = a->tile_b, .n_tiles = s->n_tiles, .ldx = ldx, .m = m,
                    .ldc = STRIP_LANES};
    for (size_t i = 0; i < n_segments; i++) {
        size_t block = (k->wrong_segments ? n_segments - 1 - i : i) * SEGMENT_BLOCKS;
        size_t n = a->n_blocks - block < SEGMENT_BLOCKS ? a->n_blocks - block : SEGMENT_BLOCKS;
        d.c = i == 0 || k->wrong_segments ? room->total : room->part;
        if (i == 0 || d.c == room->part)
            for (size_t t = 0; t < m; t++)
                memset(d.c + t * STRIP_LANES, 0, s->n_tiles * TILE * sizeof *d.c);
        d.w = cpu_segment(a, s->tile, block);
        d.x = (const uint8_t *)x + block * BLOCK * k->staged_b;
        d.n = n * BLOCK;
        d.ahead = block + n < a->n_blocks ? cpu_segment(a, s->tile, block + n) : s->ahead;
        k->dot(&d);
        for (size_t t = 0; t < m && d.c == room->part; t++)
            for (size_t j = t * STRIP_LANES; j < t * STRIP_LANES + s->n_tiles * TILE; j++)
                room->total[j] = room->total[j] + room->part[j];
    }
    w->dots += m * s->n;
}

struct linear {
    const struct cpu_kernels *k;
    const struct matrix *a;
    const uint16_t *x16;
    uint8_t *x; // (m, ld) staged
    size_t ld, m;
    const float *bias;
    bool add;
    float *y; // (m, n_rows)
    size_t strip_tiles;
    struct product_room *room; // (workers)
};

static void stage(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    (void)w;
    struct linear *l = ctx;
    l->k->stage(l->x16 + from * l->ld, (to - from) * l->ld, l->x + from * l->ld * l->k->staged_b);
}

static void put_rows(const struct linear *l, const struct strip *s, size_t row, size_t m, const float *total)
{
    for (size_t t = 0; t < m; t++, total += STRIP_LANES) {
        float *y = l->y + (row + t) * l->a->n_rows + s->r0;
        for (size_t i = 0; i < s->n; i++) {
            float r = l->bias ? total[i] + l->bias[s->r0 + i] : total[i];
            y[i] = l->add ? y[i] + r : r;
        }
    }
}

static void strips(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    struct linear *l = ctx;
    struct product_room *room = l->room + w->index;
    for (size_t i = from; i < to; i++) {
        struct strip s = cpu_strip(l->a, l->strip_tiles, i);
        if (i + 1 < to)
            s.ahead = cpu_segment(l->a, s.tile + s.n_tiles, 0);
        for (size_t row = 0; row < l->m; row += PRODUCT_ROWS) {
            size_t m = l->m - row < PRODUCT_ROWS ? l->m - row : PRODUCT_ROWS;
            cpu_product(l->k, w, &s, l->x + row * l->ld * l->k->staged_b, l->ld, m, room);
            put_rows(l, &s, row, m, room->total);
        }
        w->weight_bytes_read += s.n_tiles * l->a->tile_b;
    }
}

enum status cpu_linear(struct backend *base, const struct matrix *w, const uint16_t *x, size_t n, const float *bias,
                       bool add, float *y, struct err *err)
{
    struct cpu_backend *b = cpu_of(base);
    size_t pass = n < PASS_ROWS ? n : PASS_ROWS;
    struct linear l = {.k = b->kernels, .a = w, .ld = w->n_blocks * BLOCK, .bias = bias, .add = add};
    void *staged, *room;
    const struct cpu_piece pieces[] = {
        {&staged, pass, l.ld * b->kernels->staged_b},
        {&room, pool_size(b->pool), sizeof(struct product_room)},
    };
    enum status s = cpu_scratch(b, pieces, 2, err);
    if (s)
        return s;
    l.x = staged;
    l.room = room;
    for (size_t t = 0; t < n; t += pass) {
        l.m = n - t < pass ? n - t : pass;
        l.strip_tiles = cpu_strip_tiles(b, w->n_tiles);
        l.x16 = x + t * l.ld;
        l.y = y + t * w->n_rows;
        cpu_run(b, l.m, l.ld / 4, stage, &l);
        cpu_run(b, cpu_strips(w, l.strip_tiles), l.strip_tiles * l.m * l.ld * TILE, strips, &l);
    }
    return OK;
}
