#include <string.h>

#include "base/fmath.h"
#include "base/mem.h"
#include "cpu/cpu.h"
#include "quant/mxfp4.h"

/* Packing of weights into tiles: validated, flushed as the operand rule says, transposed so that one
 * 64-byte load holds 16 output rows. The source is read once, row by row, and never copied whole. */

enum {
    SCALE_LO = 127 - 55, // the block's e + o may be multiplied by scales of these bytes (numerics.md)
    SCALE_HI = 127 + 60
};

struct row_source {
    const uint8_t *data, *scales; // scales: MXFP4 only
};

// the part that holds a row of the matrix; *row becomes the row within it
static const struct matrix_part *find_part(const struct matrix_source *src, size_t *row)
{
    size_t part = 0;
    if (src->interleave) {
        part = *row % src->n_parts;
        *row /= src->n_parts;
    } else {
        while (*row >= src->parts[part].n_rows)
            *row -= src->parts[part++].n_rows;
    }
    return &src->parts[part];
}

static struct row_source mxfp4_row(const struct matrix_source *src, size_t row)
{
    const struct matrix_part *p = find_part(src, &row);
    size_t n_blocks = src->n_cols / BLOCK;
    return (struct row_source){p->data + row * n_blocks * MXFP4_GROUP_B, p->scales + row * n_blocks};
}

static struct row_source source_row(const struct matrix_source *src, size_t row)
{
    if (src->format == WEIGHT_MXFP4)
        return mxfp4_row(src, row);
    const struct matrix_part *p = find_part(src, &row);
    return (struct row_source){p->data + row * src->n_cols * 2, NULL};
}

static unsigned mxfp4_code(const uint8_t *row, size_t k)
{
    return (unsigned)row[k / 2] >> (k % 2 * 4) & 15u;
}

static uint16_t source_value(const struct matrix_source *src, const struct row_source *r, size_t k)
{
    if (src->format == WEIGHT_MXFP4)
        return mxfp4_image(mxfp4_code(r->data, k), r->scales[k / BLOCK]);
    return (uint16_t)(r->data[2 * k] | r->data[2 * k + 1] << 8);
}

struct pack {
    const struct matrix_source *src;
    struct matrix *m;
    size_t bad_row; // first row with a bad value, SIZE_MAX if none; its column is found when reporting
    bool extreme_scale;
    bool flushed;
};

// Tiles are packed by several workers; what they find is folded in with these two.
static void note_bad(struct pack *p, size_t row)
{
    size_t seen = __atomic_load_n(&p->bad_row, __ATOMIC_RELAXED);
    while (row < seen &&
           !__atomic_compare_exchange_n(&p->bad_row, &seen, row, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

static void note(bool *flag)
{
    __atomic_store_n(flag, true, __ATOMIC_RELAXED);
}

static bool bad_value(const struct matrix_source *src, const struct row_source *r, size_t k)
{
    if (src->format == WEIGHT_MXFP4 && r->scales[k / BLOCK] == MXFP4_SCALE_NAN)
        return true;
    return !bf16_in_range(source_value(src, r, k));
}

// MXFP4 only, before the layout is chosen: NaN scales, values of 2^60 and more, extreme scales
static void scan_rows(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    (void)w;
    struct pack *p = ctx;
    for (size_t row = from; row < to; row++) {
        struct row_source r = mxfp4_row(p->src, row);
        for (size_t b = 0; b < p->m->n_blocks; b++) {
            unsigned s = r.scales[b];
            if (s < SCALE_LO || s > SCALE_HI)
                note(&p->extreme_scale);
            if (s < SCALE_HI - 2) // 6 x 2^(s - 127) is below 2^60
                continue;
            for (size_t k = b * BLOCK; k < (b + 1) * BLOCK; k++)
                if (bad_value(p->src, &r, k))
                    note_bad(p, row);
        }
    }
}

static void pack_bf16(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    (void)w;
    struct pack *p = ctx;
    struct matrix *m = p->m;
    for (size_t row = from * TILE; row < to * TILE && row < m->n_rows; row++) {
        struct row_source r = source_row(p->src, row);
        uint16_t *tile = (uint16_t *)(void *)(m->data + row / TILE * m->tile_b);
        for (size_t k = 0; k < m->n_cols; k++) {
            uint16_t v = source_value(p->src, &r, k);
            unsigned magnitude = v & 0x7fffu;
            if (magnitude >= BF16_OPERAND_END)
                note_bad(p, row);
            if (magnitude < BF16_OPERAND_MIN && magnitude != 0) {
                note(&p->flushed);
                v = 0;
            }
            tile[(k / 2 * TILE + row % TILE) * 2 + k % 2] = v;
        }
    }
}

static void pack_mxfp4(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    (void)w;
    struct pack *p = ctx;
    struct matrix *m = p->m;
    for (size_t row = from * TILE; row < to * TILE && row < m->n_rows; row++) {
        struct row_source r = mxfp4_row(p->src, row);
        uint8_t *tile = m->data + row / TILE * m->tile_b;
        uint8_t *scales = tile + m->n_blocks * MXFP4_GROUP_B * TILE;
        // the file's 4 bytes of 8 inputs are, little-endian, the word the kernels want
        for (size_t i = 0; i < m->n_blocks * MXFP4_GROUP_B / 4; i++)
            memcpy(tile + (i * TILE + row % TILE) * 4, r.data + 4 * i, 4);
        for (size_t b = 0; b < m->n_blocks; b++)
            scales[b * TILE + row % TILE] = r.scales[b];
    }
}

static void copy_rows(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    (void)w;
    struct pack *p = ctx;
    for (size_t row = from; row < to; row++) {
        struct row_source r = source_row(p->src, row);
        memcpy(p->m->unflushed + row * p->m->n_cols, r.data, p->m->n_cols * 2);
    }
}

static enum status report_bad(const struct pack *p, struct err *err)
{
    struct row_source r = source_row(p->src, p->bad_row);
    size_t k = 0;
    while (!bad_value(p->src, &r, k))
        k++;
    if (p->src->format == WEIGHT_MXFP4 && r.scales[k / BLOCK] == MXFP4_SCALE_NAN)
        return err_set(err, ERR_RANGE, "matrix '%s' row %zu column %zu: expected a number, found scale byte 255 (NaN)",
                       p->src->name, p->bad_row, k);
    return err_set(err, ERR_RANGE, "matrix '%s' row %zu column %zu: expected a magnitude below 2^60, found %g",
                   p->src->name, p->bad_row, k, (double)bf16_to_f32(source_value(p->src, &r, k)));
}

static enum status count_rows(const struct matrix_source *src, size_t *n_rows, struct err *err)
{
    *n_rows = 0;
    if (src->n_parts < 1 || src->n_parts > sizeof src->parts / sizeof src->parts[0])
        return err_set(err, ERR_SHAPE, "matrix '%s': expected 1 to 3 parts, found %zu", src->name, src->n_parts);
    for (size_t i = 0; i < src->n_parts; i++) {
        if (src->interleave && src->parts[i].n_rows != src->parts[0].n_rows)
            return err_set(err, ERR_SHAPE, "matrix '%s': expected interleaved parts of %zu rows, found %zu",
                           src->name, src->parts[0].n_rows, src->parts[i].n_rows);
        if (src->format == WEIGHT_MXFP4 && !src->parts[i].scales)
            return err_set(err, ERR_SHAPE, "matrix '%s': expected scales with MXFP4 blocks, found none", src->name);
        if (!size_add(*n_rows, src->parts[i].n_rows, n_rows))
            return err_set(err, ERR_SHAPE, "matrix '%s': row count overflows", src->name);
    }
    if (*n_rows == 0 || src->n_cols == 0)
        return err_set(err, ERR_SHAPE, "matrix '%s': expected a size, found %zu x %zu", src->name, *n_rows,
                       src->n_cols);
    if (src->format == WEIGHT_MXFP4 && src->n_cols % BLOCK != 0)
        return err_set(err, ERR_SHAPE, "matrix '%s': expected a multiple of 32 columns for MXFP4, found %zu",
                       src->name, src->n_cols);
    if (src->format == WEIGHT_MXFP4 && src->rows_addressable)
        return err_set(err, ERR_UNSUPPORTED, "matrix '%s': an embedding table in MXFP4", src->name);
    return OK;
}

enum status cpu_matrix_new(struct backend *base, struct matrix **out, const struct matrix_source *src,
                           struct err *err)
{
    struct cpu_backend *b = cpu_of(base);
    size_t n_rows;
    enum status s = count_rows(src, &n_rows, err);
    if (s)
        return s;
    void *mem;
    s = mem_alloc(&mem, 1, sizeof(struct matrix), "matrix", err);
    if (s)
        return s;
    struct matrix *m = mem;
    m->format = src->format;
    m->n_rows = n_rows;
    m->n_cols = src->n_cols;
    m->n_blocks = (src->n_cols - 1) / BLOCK + 1;
    m->n_tiles = (n_rows - 1) / TILE + 1;
    struct pack p = {.src = src, .m = m, .bad_row = SIZE_MAX};
    if (src->format == WEIGHT_MXFP4) {
        cpu_run(b, n_rows, src->n_cols / 32, scan_rows, &p);
        if (p.bad_row != SIZE_MAX) {
            s = report_bad(&p, err);
            goto fail;
        }
        if (p.extreme_scale)
            m->format = WEIGHT_BF16;
    }
    size_t block_b = m->format == WEIGHT_BF16 ? TILE * BLOCK * 2 : TILE * (MXFP4_GROUP_B + 1);
    if (!size_mul(m->n_blocks, block_b, &m->tile_b) || !size_add(m->tile_b, 63, &m->tile_b) ||
        !size_mul(m->n_tiles, m->tile_b &= ~(size_t)63, &m->bytes)) {
        s = err_set(err, ERR_MEMORY, "matrix '%s': %zu x %zu overflows", src->name, n_rows, src->n_cols);
        goto fail;
    }
    s = cpu_alloc(b, &mem, m->bytes, src->name, err);
    if (s)
        goto fail;
    m->data = mem;
    cpu_run(b, m->n_tiles, 4 * TILE * src->n_cols, m->format == WEIGHT_BF16 ? pack_bf16 : pack_mxfp4, &p);
    if (p.bad_row != SIZE_MAX) {
        s = report_bad(&p, err);
        goto fail;
    }
    if (src->rows_addressable && p.flushed) {
        size_t raw_b = n_rows * src->n_cols * 2; // no overflow: the tiles are larger
        s = cpu_alloc(b, &mem, raw_b, src->name, err);
        if (s)
            goto fail;
        m->unflushed = mem;
        m->bytes += raw_b;
        cpu_run(b, n_rows, src->n_cols / 4, copy_rows, &p);
    }
    *out = m;
    return OK;
fail:
    cpu_matrix_free(base, m);
    return s;
}

void cpu_matrix_free(struct backend *b, struct matrix *m)
{
    if (!m)
        return;
    cpu_release(cpu_of(b), m->unflushed);
    cpu_release(cpu_of(b), m->data);
    mem_free(m);
}

size_t cpu_matrix_bytes(const struct matrix *m)
{
    return m->bytes;
}

/* What has no scales (BF16, or MXFP4 decoded for its extreme scales) gets NaN weights instead. */
void cpu_matrix_poison(struct matrix *m)
{
    for (size_t i = 0; i < m->n_tiles; i++) {
        uint8_t *tile = m->data + i * m->tile_b;
        if (m->format == WEIGHT_MXFP4)
            memset(tile + m->n_blocks * MXFP4_GROUP_B * TILE, MXFP4_SCALE_NAN, m->n_blocks * TILE);
        else
            memset(tile, 0xff, m->tile_b);
    }
}
