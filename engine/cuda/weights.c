#include <string.h>

#include "base/fmath.h"
#include "base/mem.h"
#include "cuda/cuda.h"
#include "quant/mxfp4.h"

/* Weights on the device. Stored rows go through pinned buffers as they are, a few at a time, and a kernel
 * puts them into tiles (layout.h); formats that no tile holds are decoded to bf16 by the host first. The
 * descriptor that kernels read lies before the tiles. */

enum { DESCRIPTOR_B = 256, VALUES_MAX = 256 /* of a block of any format */ };

struct pack {
    struct cuda_backend *b;
    const struct matrix_source *src;
    const struct quant_type *type;
    struct matrix *m;
    size_t row_b, scale_row_b; // as stored; scale_row_b: MXFP4_SPLIT only
    uint8_t *scratch;          // (workers, row_b + scale_row_b) for rows that are not in place
};

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
    if (*n_rows == 0 || src->n_cols == 0 || *n_rows > INT32_MAX || src->n_cols > STAGE_B / (TILE_ROWS * sizeof(float)))
        return err_set(err, ERR_SHAPE, "matrix '%s': expected a size, found %zu x %zu", src->name, *n_rows,
                       src->n_cols);
    return OK;
}

/* One row of the matrix as it is stored: data, and scales for MXFP4_SPLIT. Rows that are not in place are
 * made in the worker's scratch. */
static const uint8_t *stored_row(const struct pack *p, size_t worker, size_t row, const uint8_t **scales)
{
    const struct matrix_source *src = p->src;
    uint8_t *scratch = p->scratch + worker * (p->row_b + p->scale_row_b);
    size_t part = 0;
    if (src->interleave) {
        part = row % src->n_parts;
        row /= src->n_parts;
    } else {
        while (row >= src->parts[part].n_rows)
            row -= src->parts[part++].n_rows;
    }
    *scales = NULL;
    if (p->scale_row_b)
        *scales = row_reader_get(&src->parts[part].scales, row, 1, p->scale_row_b, scratch + p->row_b);
    return row_reader_get(&src->parts[part].rows, row, 1, p->row_b, scratch);
}

// block i of a stored row as fp32
static void decode_block(const struct pack *p, const uint8_t *data, const uint8_t *scales, size_t i, float *out)
{
    if (!scales) {
        p->type->decode(data + i * p->type->block_b, out);
        return;
    }
    for (size_t k = 0; k < MXFP4_GROUP; k++) {
        unsigned code = (unsigned)data[i * MXFP4_GROUP_B + k / 2] >> (k % 2 * 4) & 15u;
        out[k] = bf16_to_f32(scales[i] == MXFP4_SCALE_NAN ? 0x7fc0u : mxfp4_image(code, scales[i]));
    }
}

static enum status report_bad(const struct pack *p, size_t row, struct err *err)
{
    float values[VALUES_MAX];
    const uint8_t *scales;
    const uint8_t *data = stored_row(p, 0, row, &scales);
    bool mx = p->src->quant == QUANT_MXFP4 || p->src->quant == QUANT_MXFP4_SPLIT;
    for (size_t k = 0; k < p->src->n_cols; k += p->type->block) {
        decode_block(p, data, scales, k / p->type->block, values);
        for (size_t i = 0; i < p->type->block; i++) {
            uint16_t v = bf16_from_f32(values[i]);
            if (bf16_in_range(v))
                continue;
            if (mx && values[i] != values[i])
                return err_set(err, ERR_RANGE,
                               "matrix '%s' row %zu column %zu: expected a number, found scale byte 255 (NaN)",
                               p->src->name, row, k + i);
            return err_set(err, ERR_RANGE, "matrix '%s' row %zu column %zu: expected a magnitude below 2^60, found %g",
                           p->src->name, row, k + i, (double)bf16_to_f32(v));
        }
    }
    return err_set(err, ERR_RANGE, "matrix '%s' row %zu: expected finite scales, found others", p->src->name, row);
}

static enum device_format format_of(enum quant q)
{
    if (q == QUANT_MXFP4 || q == QUANT_MXFP4_SPLIT)
        return DEVICE_MXFP4;
    return q == QUANT_Q8_0 ? DEVICE_Q8_0 : q == QUANT_Q4_0 ? DEVICE_Q4_0 : DEVICE_BF16;
}

/* What the staging buffer holds for one row: the stored row, or its values as bf16. */
static bool is_decoded(const struct pack *p)
{
    return p->m->at.format == DEVICE_BF16 && p->src->quant != QUANT_BF16;
}

static void put_row(const struct pack *p, size_t worker, size_t row, uint8_t *to, uint8_t *scales_to)
{
    float values[VALUES_MAX];
    const uint8_t *scales;
    const uint8_t *data = stored_row(p, worker, row, &scales);
    if (!is_decoded(p)) {
        memcpy(to, data, p->row_b);
        if (scales)
            memcpy(scales_to, scales, p->scale_row_b);
        return;
    }
    for (size_t k = 0; k < p->src->n_cols; k += p->type->block) {
        decode_block(p, data, scales, k / p->type->block, values);
        for (size_t i = 0; i < p->type->block; i++) {
            uint16_t v = bf16_from_f32(values[i]);
            memcpy(to + 2 * (k + i), &v, sizeof v);
        }
    }
}

/* The kernel that puts n staged rows, from row0 on, into tiles. scales: where the staged scales begin. */
static enum status retile(const struct pack *p, const uint8_t *staged, const uint8_t *scales, size_t row_b, size_t row0,
                          size_t n, struct err *err)
{
    const struct device_matrix *m = &p->m->at;
    uint8_t *codes = (uint8_t *)p->m->dev + DESCRIPTOR_B;
    uint8_t *to_scales = codes + (m->scales - m->codes); // meaningless for BF16, which has none
    uint32_t *words = p->b->words;
    size_t tiles = (n + TILE_ROWS - 1) / TILE_ROWS;
    switch ((enum device_format)m->format) {
    case DEVICE_BF16:
        return LAUNCH(p->b, retile_bf16, tiles, 1, .rows = staged, .codes = codes, .bad = words + WORD_BAD_ROW,
                      .row0 = (uint32_t)row0, .n = (uint32_t)n, .n_rows = m->n_rows, .n_cols = (uint32_t)p->src->n_cols,
                      .n_blocks = m->n_blocks, .row_b = (uint32_t)row_b);
    case DEVICE_MXFP4:
        return LAUNCH(p->b, retile_mxfp4, tiles, 1, .rows = staged, .scale_rows = p->scale_row_b ? scales : NULL,
                      .codes = codes, .scales = to_scales, .extreme = words + WORD_EXTREME, .row0 = (uint32_t)row0,
                      .n = (uint32_t)n, .n_rows = m->n_rows, .n_blocks = m->n_blocks, .row_b = (uint32_t)row_b,
                      .scale_row_b = (uint32_t)p->scale_row_b);
    case DEVICE_Q8_0:
    case DEVICE_Q4_0:
        break;
    }
    return LAUNCH(p->b, retile_q, tiles, 1, .rows = staged, .codes = codes, .scales = to_scales,
                  .bad = words + WORD_BAD_ROW, .row0 = (uint32_t)row0, .n = (uint32_t)n, .n_rows = m->n_rows,
                  .n_blocks = m->n_blocks, .row_b = (uint32_t)row_b, .format = m->format);
}

/* One staging buffer being filled by the pool: n rows, and behind them their scales. */
struct staged {
    const struct pack *p;
    uint8_t *to;
    size_t row0, n, row_b;
};

static void put_rows(void *arg, size_t worker, size_t n_workers)
{
    const struct staged *g = arg;
    size_t end = g->n * (worker + 1) / n_workers;
    for (size_t r = g->n * worker / n_workers; r < end; r++)
        put_row(g->p, worker, g->row0 + r, g->to + r * g->row_b, g->to + g->n * g->row_b + r * g->p->scale_row_b);
}

/* Rows stream through the two staging buffers: while one is on its way the other is being filled. */
static enum status stream_rows(const struct pack *p, struct err *err)
{
    const struct device_ops *ops = p->b->device->ops;
    size_t row_b = is_decoded(p) ? 2 * p->src->n_cols : p->row_b;
    size_t each = row_b + (is_decoded(p) ? 0 : p->scale_row_b);
    size_t fit = STAGE_B / each / TILE_ROWS * TILE_ROWS;
    enum status s = OK;
    for (size_t row0 = 0; row0 < p->m->at.n_rows && !s; row0 += fit) {
        size_t left = p->m->at.n_rows - row0;
        size_t n = left < fit ? left : fit;
        size_t i = 0;
        if ((s = cuda_stage(p->b, &i, err)))
            break;
        struct staged g = {.p = p, .to = p->b->stage[i], .row0 = row0, .n = n, .row_b = row_b};
        pool_run(p->b->pool, put_rows, &g);
        if (!(s = ops->copy_in(p->b->device, p->b->stage_dev[i], p->b->stage[i], n * each, err)) &&
            !(s = cuda_stage_sent(p->b, i, err)))
            s = retile(p, p->b->stage_dev[i], p->b->stage_dev[i] + n * row_b, row_b, row0, n, err);
    }
    return s;
}

/* Tiles of one format for the whole matrix. */
static enum status fill(const struct pack *p, enum device_format format, uint32_t words[2], struct err *err)
{
    const struct device_ops *ops = p->b->device->ops;
    struct matrix *m = p->m;
    const uint32_t clear[2] = {UINT32_MAX, 0}; // WORD_BAD_ROW, WORD_EXTREME
    m->at.format = format;
    size_t blocks = (size_t)m->at.n_tiles * TILE_ROWS * m->at.n_blocks;
    size_t codes_b = blocks * loads_of(format) * LOAD_B;
    size_t groups = (size_t)m->at.n_tiles * TILE_ROWS * segments_of(m->at.n_blocks);
    size_t scales_b = groups * SEGMENT_BLOCKS * scale_b_of(format);
    enum status s = cuda_take(p->b, &m->dev, DESCRIPTOR_B + codes_b + scales_b, p->src->name, err);
    if (s)
        return s;
    m->at.codes = (uint8_t *)m->dev + DESCRIPTOR_B;
    m->at.scales = scales_b ? m->at.codes + codes_b : NULL;
    m->at.bytes = codes_b + scales_b;
    if (scales_b && (s = ops->fill(p->b->device, (uint8_t *)m->dev + DESCRIPTOR_B + codes_b, 0, scales_b, err)))
        return s;
    if ((s = cuda_upload(&p->b->base, p->b->words, clear, sizeof clear, err)) ||
        (s = cuda_upload(&p->b->base, m->dev, &m->at, sizeof m->at, err)) || (s = stream_rows(p, err)))
        return s;
    return cuda_download(&p->b->base, words, p->b->words, sizeof clear, err);
}

static enum status prepare(struct pack *p, struct err *err)
{
    const struct matrix_source *src = p->src;
    void *mem;
    p->type = quant_type(src->quant);
    if (!p->type)
        return err_set(err, ERR_UNSUPPORTED, "matrix '%s': expected a known weight format, found number %d", src->name,
                       (int)src->quant);
    if (!quant_row_b(src->quant, src->n_cols, &p->row_b))
        return err_set(err, ERR_SHAPE, "matrix '%s': expected a multiple of %zu columns for %s, found %zu", src->name,
                       p->type->block, p->type->name, src->n_cols);
    if (src->quant == QUANT_MXFP4_SPLIT)
        p->scale_row_b = src->n_cols / MXFP4_GROUP;
    enum status s = mem_alloc(&mem, pool_size(p->b->pool), p->row_b + p->scale_row_b, "rows of a matrix", err);
    if (!s)
        p->scratch = mem;
    return s;
}

enum status cuda_matrix_new(struct backend *base, struct matrix **out, const struct matrix_source *src, struct err *err)
{
    struct cuda_backend *b = cuda_of(base);
    size_t n_rows;
    uint32_t words[2] = {0, 0};
    void *mem;
    enum status s = count_rows(src, &n_rows, err);
    if (s || (s = mem_alloc(&mem, 1, sizeof(struct matrix), "matrix", err)))
        return s;
    struct matrix *m = mem;
    m->owner = b;
    m->id = ++b->next_id;
    m->n_cols = src->n_cols;
    m->at.n_rows = (uint32_t)n_rows;
    m->at.n_tiles = (uint32_t)((n_rows + TILE_ROWS - 1) / TILE_ROWS);
    m->at.n_blocks = (uint32_t)((src->n_cols + BLOCK_INPUTS - 1) / BLOCK_INPUTS);
    struct pack p = {.b = b, .src = src, .m = m};
    if (!(s = prepare(&p, err)))
        s = fill(&p, format_of(src->quant), words, err);
    if (!s && words[WORD_EXTREME]) { // rare: again as bf16, and this time each value is checked
        cuda_release(base, m->dev);
        m->dev = NULL;
        s = fill(&p, DEVICE_BF16, words, err);
    }
    if (!s && words[WORD_BAD_ROW] != UINT32_MAX)
        s = report_bad(&p, words[WORD_BAD_ROW], err);
    mem_free(p.scratch);
    if (s)
        cuda_matrix_free(base, m);
    else
        *out = m;
    return s;
}

void cuda_matrix_free(struct backend *b, struct matrix *m)
{
    if (!m)
        return;
    cuda_release(b, m->dev);
    cuda_release(b, m->experts);
    mem_free(m->expert_ids);
    mem_free(m);
}

size_t cuda_matrix_bytes(const struct matrix *m)
{
    return m->at.bytes;
}

/* NaN: the scales, or the weights where there are none. */
void cuda_matrix_poison(struct matrix *m)
{
    struct device *d = m->owner->device;
    size_t codes_b = m->at.scales ? (size_t)(m->at.scales - m->at.codes) : 0;
    (void)d->ops->fill(d, (uint8_t *)m->dev + DESCRIPTOR_B + codes_b, 0xff, m->at.bytes - codes_b, NULL);
}

static bool same_list(const struct matrix *first, struct matrix *const *list, size_t n)
{
    bool same = first->experts && first->n_experts == n;
    for (size_t e = 0; e < n && same; e++)
        same = first->expert_ids[e] == list[e]->id;
    return same;
}

enum status cuda_experts(struct cuda_backend *b, struct matrix *const *list, size_t n,
                         const struct device_matrix **out, struct err *err)
{
    struct matrix *first = list[0];
    void *host = NULL;
    void *mem;
    enum status s = OK;
    if (same_list(first, list, n)) {
        *out = first->experts;
        return OK;
    }
    cuda_release(&b->base, first->experts);
    mem_free(first->expert_ids);
    first->experts = NULL;
    first->expert_ids = NULL;
    if ((s = mem_alloc(&host, n, sizeof(struct device_matrix), "experts", err)) ||
        (s = mem_alloc(&mem, n, sizeof *first->expert_ids, "experts", err)))
        goto done;
    first->expert_ids = mem;
    first->n_experts = n;
    for (size_t e = 0; e < n; e++) {
        ((struct device_matrix *)host)[e] = list[e]->at;
        first->expert_ids[e] = list[e]->id;
    }
    if ((s = cuda_take(b, &mem, n * sizeof(struct device_matrix), "experts", err)))
        goto done;
    first->experts = mem;
    if (!(s = cuda_upload(&b->base, mem, host, n * sizeof(struct device_matrix), err)))
        *out = first->experts;
done:
    mem_free(host);
    return s;
}
