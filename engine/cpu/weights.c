#include <string.h>

#include "base/fmath.h"
#include "base/mem.h"
#include "cpu/cpu.h"
#include "quant/mxfp4.h"

/* Packing of weights into tiles: validated, flushed as the operand rule says, transposed so that one
 * 64-byte load holds 16 output rows. The source is read once, a tile's rows at a time, and never copied
 * whole. What is stored in no format that a tile can hold is decoded to fp32 and rounded to bf16. */

enum {
    SCALE_LO = 127 - 55, // the block's e + o may be multiplied by scales of these bytes (numerics.md)
    SCALE_HI = 127 + 60
};

static bool is_mxfp4(enum quant q)
{
    return q == QUANT_MXFP4 || q == QUANT_MXFP4_SPLIT;
}

static enum tile_format tile_format_of(enum quant q)
{
    return is_mxfp4(q) ? TILE_MXFP4 : q == QUANT_Q8_0 ? TILE_Q8_0 : q == QUANT_Q4_0 ? TILE_Q4_0 : TILE_BF16;
}

struct pack {
    const struct matrix_source *src;
    const struct quant_type *type;
    struct matrix *m;
    const struct cpu_kernels *kernels;
    enum tile_order order;
    struct pack_plan plan; // of the fast way
    void (*slow)(void *ctx, struct cpu_worker *w, size_t from, size_t to);
    size_t row_b, scale_row_b; // of the source; scale_row_b: MXFP4_SPLIT only
    uint8_t *scratch;          // (workers, TILE, row_b + scale_row_b) for rows that are not in place
    size_t bad_row; // first row with a bad value, SIZE_MAX if none; its column is found when reporting
    bool extreme_scale;
};

/* One row as it is stored. */
struct stored_row {
    const uint8_t *data, *scales; // scales: MXFP4_SPLIT only
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

static struct stored_row get_row(const struct pack *p, size_t row, uint8_t *scratch)
{
    const struct matrix_part *part = find_part(p->src, &row);
    struct stored_row r = {.data = row_reader_get(&part->rows, row, 1, p->row_b, scratch), .scales = NULL};
    if (p->src->quant == QUANT_MXFP4_SPLIT)
        r.scales = row_reader_get(&part->scales, row, 1, p->scale_row_b, scratch + p->row_b);
    return r;
}

static uint8_t *scratch_of(const struct pack *p, const struct cpu_worker *w, size_t i)
{
    return p->scratch ? p->scratch + (w->index * TILE + i) * (p->row_b + p->scale_row_b) : NULL;
}

// block b of an MXFP4 row in the form of mxfp4.h, whichever way it is stored
static unsigned mxfp4_group(const struct pack *p, const struct stored_row *r, size_t b, uint8_t codes[MXFP4_GROUP_B])
{
    if (r->scales) {
        memcpy(codes, r->data + b * MXFP4_GROUP_B, MXFP4_GROUP_B);
        return r->scales[b];
    }
    const uint8_t *block = r->data + b * p->type->block_b; // byte 1 + j: values j and j + 16
    for (size_t i = 0; i < MXFP4_GROUP_B / 2; i++) {
        unsigned a = block[1 + 2 * i];
        unsigned c = block[2 + 2 * i];
        codes[i] = (uint8_t)((a & 15u) | (c & 15u) << 4);
        codes[i + MXFP4_GROUP_B / 2] = (uint8_t)(a >> 4 | (c & 0xf0u));
    }
    return block[0];
}

// block b of any row as fp32; a block is 32 values, or the type's own if it is larger
static void decode_block(const struct pack *p, const struct stored_row *r, size_t b, float *out)
{
    if (!r->scales) {
        p->type->decode(r->data + b * p->type->block_b, out);
        return;
    }
    uint8_t codes[MXFP4_GROUP_B];
    unsigned scale = mxfp4_group(p, r, b, codes);
    for (size_t i = 0; i < MXFP4_GROUP; i++) {
        unsigned code = (unsigned)codes[i / 2] >> (i % 2 * 4) & 15u;
        out[i] = bf16_to_f32(scale == MXFP4_SCALE_NAN ? 0x7fc0u : mxfp4_image(code, scale));
    }
}

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

/* Where block b of a tile begins, and its scales. */
struct block_place {
    uint8_t *codes, *scales;
};

static struct block_place block_at(const struct matrix *m, size_t tile, size_t b)
{
    size_t code_b = tile_code_b(m->format);
    size_t scale_b = tile_scale_b(m->format);
    size_t first = b / SEGMENT_BLOCKS * SEGMENT_BLOCKS;
    size_t n = m->n_blocks - first < SEGMENT_BLOCKS ? m->n_blocks - first : SEGMENT_BLOCKS;
    uint8_t *segment = m->data + tile * m->tile_b + first * (code_b + scale_b);
    return (struct block_place){segment + (b - first) * code_b, segment + n * code_b + (b - first) * scale_b};
}

static void put_bf16(struct pack *p, size_t row, size_t k, uint16_t v)
{
    unsigned magnitude = v & 0x7fffu;
    size_t place = tile_place(p->order, k % BLOCK);
    uint16_t *block = (uint16_t *)(void *)block_at(p->m, row / TILE, k / BLOCK).codes;
    if (magnitude >= BF16_OPERAND_END)
        note_bad(p, row);
    block[(place / 2 * TILE + row % TILE) * 2 + place % 2] = magnitude < BF16_OPERAND_MIN ? 0 : v;
}

/* Bytes and nibbles of a block by place (kernels.h), for the fast way. */
static void make_plan(struct pack *p, enum pack_kind kind)
{
    struct pack_plan *plan = &p->plan;
    *plan = (struct pack_plan){.kind = kind};
    memset(plan->low, 0x80, sizeof plan->low);
    memset(plan->high, 0x80, sizeof plan->high);
    for (size_t i = 0; i < 16; i++) {
        if (kind == PACK_BF16) { // 8 inputs
            plan->byte[i] = (uint8_t)(tile_input(p->order, i / 2) * 2 + i % 2);
        } else if (kind == PACK_BYTES) { // 4 inputs of 4 rows, row by row, to 4 rows of 4 inputs
            plan->byte[i] = (uint8_t)(i % 4 * 4 + tile_input(p->order, i / 4));
        } else {
            for (size_t high = 0; high < 2; high++) {
                size_t place = i / 4 * 8 + 2 * (i % 2 + 2 * high) + i % 4 / 2;
                size_t input = tile_input(p->order, place);
                size_t half = kind == PACK_NIBBLE_HALVES ? input / 16 : input % 2;
                size_t byte = kind == PACK_NIBBLE_HALVES ? input % 16 : input / 2;
                (high ? plan->high : plan->low)[half][i] = (uint8_t)byte;
            }
        }
    }
}

/* The fast way for stored rows whose blocks are a tile's: whole tiles of whole blocks. true: it is taken. */
static bool plan_fast(struct pack *p)
{
    const struct matrix *m = p->m;
    if (!p->kernels->pack || m->n_cols % BLOCK)
        return false;
    switch (p->src->quant) {
    case QUANT_BF16:
        make_plan(p, PACK_BF16);
        return true;
    case QUANT_Q8_0:
        make_plan(p, PACK_BYTES);
        return true;
    case QUANT_Q4_0:
        make_plan(p, PACK_NIBBLE_HALVES);
        return true;
    case QUANT_MXFP4:
    case QUANT_MXFP4_SPLIT:
        make_plan(p, p->src->quant == QUANT_MXFP4 ? PACK_NIBBLE_HALVES : PACK_NIBBLE_PAIRS);
        return m->format == TILE_MXFP4;
    case QUANT_F32:
    case QUANT_F16:
    case QUANT_Q4_1:
    case QUANT_Q5_0:
    case QUANT_Q5_1:
    case QUANT_Q2_K:
    case QUANT_Q3_K:
    case QUANT_Q4_K:
    case QUANT_Q5_K:
    case QUANT_Q6_K:
    case QUANT_NONE:
        break;
    }
    return false;
}

/* The scale of a block, and what it says: MXFP4's byte, or a half. */
static void put_scale(struct pack *p, size_t row, const uint8_t *stored, uint8_t *scales)
{
    if (p->m->format == TILE_MXFP4) {
        scales[row % TILE] = *stored;
        if (*stored < SCALE_LO || *stored > SCALE_HI - 3) // up to there 6 x 2^(s - 127) is below 2^60
            note(&p->extreme_scale);
    } else {
        memcpy(scales + 2 * (row % TILE), stored, 2);
        if ((stored[1] & 0x7c) == 0x7c) // the codes are exact, so only the scale can be no number
            note_bad(p, row);
    }
}

/* Whole tiles by the kernel's shuffles; the others, and one with a value out of range (whose row is wanted), by
 * the definition. */
static void pack_fast(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    struct pack *p = ctx;
    const struct matrix *m = p->m;
    size_t scale_b = p->scale_row_b || m->format == TILE_BF16 ? 0 : tile_scale_b(m->format) / TILE; // it goes first
    size_t block_b = m->format == TILE_BF16 ? BLOCK * 2 : p->type->block_b;
    for (size_t tile = from; tile < to; tile++) {
        struct stored_row r[TILE];
        const uint8_t *codes[TILE];
        bool good = tile * TILE + TILE <= m->n_rows;
        for (size_t i = 0; i < TILE && good; i++)
            r[i] = get_row(p, tile * TILE + i, scratch_of(p, w, i));
        for (size_t b = 0; b < m->n_blocks && good; b++) {
            struct block_place at = block_at(m, tile, b);
            for (size_t i = 0; i < TILE; i++)
                codes[i] = r[i].data + b * block_b + scale_b;
            good = p->kernels->pack(&p->plan, codes, at.codes);
            for (size_t i = 0; i < TILE && m->format != TILE_BF16; i++)
                put_scale(p, tile * TILE + i, p->scale_row_b ? r[i].scales + b : codes[i] - scale_b, at.scales);
        }
        if (!good)
            p->slow(ctx, w, tile, tile + 1);
    }
}

static void pack_bf16(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    struct pack *p = ctx;
    float values[256]; // the largest block of any format
    for (size_t row = from * TILE; row < to * TILE && row < p->m->n_rows; row++) {
        struct stored_row r = get_row(p, row, scratch_of(p, w, row % TILE));
        if (p->src->quant == QUANT_BF16) {
            for (size_t k = 0; k < p->m->n_cols; k++)
                put_bf16(p, row, k, (uint16_t)(r.data[2 * k] | r.data[2 * k + 1] << 8));
            continue;
        }
        for (size_t k = 0; k < p->m->n_cols; k += p->type->block) {
            decode_block(p, &r, k / p->type->block, values);
            for (size_t i = 0; i < p->type->block; i++)
                put_bf16(p, row, k + i, bf16_from_f32(values[i]));
        }
    }
}

static void put_nibble(uint8_t *block, enum tile_order order, size_t lane, size_t input, unsigned code)
{
    size_t place = tile_place(order, input);
    unsigned bit = tile_shift(place % 8 / 2);
    uint8_t *byte = block + (place / 8 * TILE + lane) * 4 + place % 2 * 2 + bit / 8;
    *byte = (uint8_t)(*byte | code << bit % 8);
}

static void pack_mxfp4(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    struct pack *p = ctx;
    struct matrix *m = p->m;
    for (size_t row = from * TILE; row < to * TILE && row < m->n_rows; row++) {
        struct stored_row r = get_row(p, row, scratch_of(p, w, row % TILE));
        for (size_t b = 0; b < m->n_blocks; b++) {
            uint8_t codes[MXFP4_GROUP_B];
            unsigned scale = mxfp4_group(p, &r, b, codes);
            struct block_place at = block_at(m, row / TILE, b);
            for (size_t i = 0; i < BLOCK; i++)
                put_nibble(at.codes, p->order, row % TILE, i, (unsigned)codes[i / 2] >> (i % 2 * 4) & 15u);
            const uint8_t stored = (uint8_t)scale;
            put_scale(p, row, &stored, at.scales);
        }
    }
}

// Q8_0 and Q4_0: half scale, then codes
static void pack_scaled(void *ctx, struct cpu_worker *w, size_t from, size_t to)
{
    struct pack *p = ctx;
    struct matrix *m = p->m;
    for (size_t row = from * TILE; row < to * TILE && row < m->n_rows; row++) {
        struct stored_row r = get_row(p, row, scratch_of(p, w, row % TILE));
        for (size_t b = 0; b < m->n_blocks; b++) {
            const uint8_t *stored = r.data + b * p->type->block_b;
            struct block_place at = block_at(m, row / TILE, b);
            put_scale(p, row, stored, at.scales);
            for (size_t i = 0; i < BLOCK; i++) {
                if (m->format == TILE_Q8_0)
                    at.codes[tile_place(p->order, i) * TILE + row % TILE] = stored[2 + i];
                else
                    put_nibble(at.codes, p->order, row % TILE, i, (unsigned)stored[2 + i % 16] >> (i / 16 * 4) & 15u);
            }
        }
    }
}

static enum status report_bad(struct pack *p, struct err *err)
{
    float values[256];
    uint8_t *scratch = p->scratch; // the workers are done with it
    struct stored_row r = get_row(p, p->bad_row, scratch);
    for (size_t k = 0; k < p->m->n_cols; k += p->type->block) {
        decode_block(p, &r, k / p->type->block, values);
        for (size_t i = 0; i < p->type->block; i++) {
            uint16_t v = bf16_from_f32(values[i]);
            if (bf16_in_range(v))
                continue;
            if (is_mxfp4(p->src->quant) && values[i] != values[i])
                return err_set(err, ERR_RANGE,
                               "matrix '%s' row %zu column %zu: expected a number, found scale byte 255 (NaN)",
                               p->src->name, p->bad_row, k + i);
            return err_set(err, ERR_RANGE, "matrix '%s' row %zu column %zu: expected a magnitude below 2^60, found %g",
                           p->src->name, p->bad_row, k + i, (double)bf16_to_f32(v));
        }
    }
    return err_set(err, ERR_RANGE, "matrix '%s' row %zu: expected the same values twice, found others", p->src->name,
                   p->bad_row);
}

static enum status count_rows(const struct matrix_source *src, size_t *n_rows, struct err *err)
{
    *n_rows = 0;
    if (src->n_parts < 1 || src->n_parts > sizeof src->parts / sizeof src->parts[0])
        return err_set(err, ERR_SHAPE, "matrix '%s': expected 1 to 3 parts, found %zu", src->name, src->n_parts);
    for (size_t i = 0; i < src->n_parts; i++) {
        const struct matrix_part *p = &src->parts[i];
        if (src->interleave && p->n_rows != src->parts[0].n_rows)
            return err_set(err, ERR_SHAPE, "matrix '%s': expected interleaved parts of %zu rows, found %zu",
                           src->name, src->parts[0].n_rows, p->n_rows);
        if (src->quant == QUANT_MXFP4_SPLIT && !p->scales.base && !p->scales.read)
            return err_set(err, ERR_SHAPE, "matrix '%s': expected scales with MXFP4 blocks, found none", src->name);
        if (!size_add(*n_rows, p->n_rows, n_rows))
            return err_set(err, ERR_SHAPE, "matrix '%s': row count overflows", src->name);
    }
    if (*n_rows == 0 || src->n_cols == 0)
        return err_set(err, ERR_SHAPE, "matrix '%s': expected a size, found %zu x %zu", src->name, *n_rows,
                       src->n_cols);
    return OK;
}

/* Sizes of the source's rows, and room for a tile of them where they are not in place. */
static enum status prepare(struct cpu_backend *b, struct pack *p, struct err *err)
{
    const struct matrix_source *src = p->src;
    bool in_place = true;
    p->type = quant_type(src->quant);
    if (!p->type)
        return err_set(err, ERR_UNSUPPORTED, "matrix '%s': expected a known weight format, found number %d", src->name,
                       (int)src->quant);
    if (!quant_row_b(src->quant, src->n_cols, &p->row_b))
        return err_set(err, ERR_SHAPE, "matrix '%s': expected a multiple of %zu columns for %s, found %zu", src->name,
                       p->type->block, p->type->name, src->n_cols);
    if (src->quant == QUANT_MXFP4_SPLIT)
        p->scale_row_b = src->n_cols / BLOCK;
    for (size_t i = 0; i < src->n_parts; i++)
        in_place = in_place && src->parts[i].rows.base && (!p->scale_row_b || src->parts[i].scales.base);
    if (in_place)
        return OK;
    void *mem;
    enum status s = mem_alloc(&mem, pool_size(b->pool) * TILE, p->row_b + p->scale_row_b, "rows of a matrix", err);
    if (!s)
        p->scratch = mem;
    return s;
}

/* Zeroed room for the tiles: of the backend's memory, or of its cache file. */
static enum status take_room(struct cpu_backend *b, struct matrix *m, const char *name, struct err *err)
{
    void *mem;
    enum status s;
    if (!b->cache) {
        if (!(s = cpu_alloc(b, &mem, m->bytes, name, err)))
            m->data = mem;
        return s;
    }
    struct tile_entry e = {.name = name, .format = m->format, .n_rows = m->n_rows, .n_cols = m->n_cols, .bytes = m->bytes};
    if (!(s = tile_cache_add(b->cache, &e, err))) {
        m->data = e.data;
        m->cached = true;
    }
    return s;
}

/* The last room taken is given back. */
static enum status give_back_room(struct cpu_backend *b, struct matrix *m, struct err *err)
{
    enum status s = OK;
    if (m->cached)
        s = tile_cache_undo(b->cache, err);
    else
        cpu_release(b, m->data);
    m->data = NULL;
    m->cached = false;
    return s;
}

/* Tiles of one format for the whole matrix. */
static enum status fill(struct cpu_backend *b, struct pack *p, enum tile_format format, struct err *err)
{
    struct matrix *m = p->m;
    m->format = format;
    p->kernels = b->kernels;
    p->order = b->kernels->order;
    if (!size_mul(m->n_blocks, tile_code_b(format) + tile_scale_b(format), &m->tile_b) ||
        !size_add(m->tile_b, 63, &m->tile_b) || !size_mul(m->n_tiles, m->tile_b &= ~(size_t)63, &m->bytes))
        return err_set(err, ERR_MEMORY, "matrix '%s': %zu x %zu overflows", p->src->name, m->n_rows, m->n_cols);
    enum status s = take_room(b, m, p->src->name, err);
    if (s)
        return s;
    p->slow = format == TILE_BF16 ? pack_bf16 : format == TILE_MXFP4 ? pack_mxfp4 : pack_scaled;
    cpu_run(b, m->n_tiles, 4 * TILE * m->n_cols, plan_fast(p) ? pack_fast : p->slow, p);
    return OK;
}

/* The matrix as the cache has it. */
static enum status find_tiles(struct cpu_backend *b, struct matrix *m, const char *name, struct err *err)
{
    struct tile_entry e;
    if (!tile_cache_find(b->cache, name, &e) || e.n_rows != m->n_rows || e.n_cols != m->n_cols ||
        e.bytes % m->n_tiles != 0)
        return err_set(err, ERR_FORMAT, "matrix '%s': expected its tiles of %zu x %zu in the tile cache, found none", name,
                       m->n_rows, m->n_cols);
    m->format = (enum tile_format)e.format;
    m->bytes = e.bytes;
    m->tile_b = e.bytes / m->n_tiles;
    m->data = e.data;
    m->cached = true;
    return OK;
}

/* The layout's name: raise the number when kernels.h changes what a tile looks like. */
enum status cpu_cache_open(struct backend *base, const char *dir, const char *key, struct err *err)
{
    struct cpu_backend *b = cpu_of(base);
    return tile_cache_open(&b->cache, dir, key, b->kernels->order == ORDER_PAIRS ? "cpu2-pairs" : "cpu2-chains", err);
}

enum status cpu_cache_finish(struct backend *base, struct err *err)
{
    struct cpu_backend *b = cpu_of(base);
    return b->cache ? tile_cache_finish(b->cache, err) : OK;
}

enum status cpu_matrix_new(struct backend *base, struct matrix **out, const struct matrix_source *src,
                           struct err *err)
{
    struct cpu_backend *b = cpu_of(base);
    size_t n_rows;
    void *mem;
    enum status s = count_rows(src, &n_rows, err);
    if (s || (s = mem_alloc(&mem, 1, sizeof(struct matrix), "matrix", err)))
        return s;
    struct matrix *m = mem;
    m->n_rows = n_rows;
    m->n_cols = src->n_cols;
    m->n_blocks = (src->n_cols - 1) / BLOCK + 1;
    m->n_tiles = (n_rows - 1) / TILE + 1;
    struct pack p = {.src = src, .m = m, .bad_row = SIZE_MAX};
    if (b->cache && tile_cache_is_full(b->cache))
        s = find_tiles(b, m, src->name, err);
    else if (!(s = prepare(b, &p, err)))
        s = fill(b, &p, tile_format_of(src->quant), err);
    if (!s && p.extreme_scale) { // rare: again, and this time each value is checked
        s = give_back_room(b, m, err);
        s = s ? s : fill(b, &p, TILE_BF16, err);
    }
    if (!s && p.bad_row != SIZE_MAX)
        s = report_bad(&p, err);
    mem_free(p.scratch);
    if (s)
        cpu_matrix_free(base, m);
    else
        *out = m;
    return s;
}

void cpu_matrix_free(struct backend *b, struct matrix *m)
{
    if (!m)
        return;
    if (!m->cached)
        cpu_release(cpu_of(b), m->data);
    mem_free(m);
}

size_t cpu_matrix_bytes(const struct matrix *m)
{
    return m->bytes;
}

/* BF16 tiles have no scales: they get NaN weights instead. */
void cpu_matrix_poison(struct matrix *m)
{
    for (size_t i = 0; i < m->n_tiles; i++)
        for (size_t b = 0; b < m->n_blocks; b++) {
            struct block_place at = block_at(m, i, b);
            if (m->format == TILE_BF16)
                memset(at.codes, 0xff, tile_code_b(m->format));
            else
                memset(at.scales, 0xff, tile_scale_b(m->format)); // a NaN as byte and as half
        }
}
