#ifndef ASSAY_CUDA_LAYOUT_H
#define ASSAY_CUDA_LAYOUT_H

#include "cuda/simt.h"

/* How weights lie in device memory. A tile is 8 output rows. One 16-byte load of a thread holds inputs of
 * one row; the 8 rows' loads lie side by side (128 bytes, a full line), blocks of 32 inputs follow one
 * another, so the 512-wide segment that a thread works off (numerics.md) is one contiguous stripe of
 * its tile: 8 KiB of BF16, 4 of Q8_0, 2 of MXFP4 and Q4_0. Scales lie in a stream of their own, one or two
 * loads a segment and row. Nothing here depends on the batch, and no bit of a result on anything here.
 *
 *   codes   [tile][block of 32][load][row 8][16 bytes]     inputs in ascending order within a load:
 *           BF16 8 (4 loads a block), Q8_0 16 (2), MXFP4 and Q4_0 32 nibbles, the even input low (1)
 *   scales  [tile][segment][row 8][16 blocks]               MXFP4: the scale byte; Q8_0, Q4_0: the half */

enum device_format { DEVICE_BF16, DEVICE_MXFP4, DEVICE_Q8_0, DEVICE_Q4_0 };

enum {
    TILE_ROWS = 8,
    LOAD_B = 16,
    BLOCK_INPUTS = 32,
    SEGMENT_INPUTS = 512,
    SEGMENT_BLOCKS = SEGMENT_INPUTS / BLOCK_INPUTS,
};

/* A matrix as kernels see it; lies in device memory. */
struct device_matrix {
    const uint8_t *codes, *scales; // dev; no scales for BF16
    uint64_t bytes;                // of both
    uint32_t n_rows, n_tiles;
    uint32_t n_blocks; // of 32 inputs
    uint32_t format;   // enum device_format
};

SIMT_FN uint32_t loads_of(uint32_t format) // loads of a block and row
{
    return format == DEVICE_BF16 ? 4 : format == DEVICE_Q8_0 ? 2 : 1;
}

SIMT_FN uint32_t scale_b_of(uint32_t format) // bytes of a block's scale
{
    return format == DEVICE_BF16 ? 0 : format == DEVICE_MXFP4 ? 1 : 2;
}

SIMT_FN uint32_t segments_of(uint32_t n_blocks)
{
    return (n_blocks + SEGMENT_BLOCKS - 1) / SEGMENT_BLOCKS;
}

SIMT_FN size_t code_at(uint32_t format, uint32_t n_blocks, uint32_t tile, uint32_t block, uint32_t load, uint32_t row)
{
    return ((((size_t)tile * n_blocks + block) * loads_of(format) + load) * TILE_ROWS + row) * LOAD_B;
}

SIMT_FN size_t scale_at(uint32_t format, uint32_t n_blocks, uint32_t tile, uint32_t block, uint32_t row)
{
    size_t group = ((size_t)tile * segments_of(n_blocks) + block / SEGMENT_BLOCKS) * TILE_ROWS + row;
    return (group * SEGMENT_BLOCKS + block % SEGMENT_BLOCKS) * scale_b_of(format);
}

/* A key-value page: 32 positions of one layer. For each kv head K, then V, h rounded up to 8 (`hp`):
 * K [hp / 8][position 32][8 inputs], V [position / 8][hp][8 positions]: loads of neighbouring threads
 * (positions for K, inputs of the head for V) lie side by side. */
enum { PAGE_POSITIONS = 32, KEY_BLOCK_KEYS = 256, HEAD_DIM_MAX = 512 };

SIMT_FN uint32_t head_pad(uint32_t h)
{
    return (h + 7) & ~7u;
}

SIMT_FN size_t page_values(uint32_t n_kv_heads, uint32_t h) // bf16 values of a page
{
    return (size_t)n_kv_heads * 2 * head_pad(h) * PAGE_POSITIONS;
}

SIMT_FN size_t k_at(uint32_t h, uint32_t head, uint32_t slot, uint32_t i)
{
    return (size_t)head * 2 * head_pad(h) * PAGE_POSITIONS + (i / 8 * PAGE_POSITIONS + slot) * 8 + i % 8;
}

SIMT_FN size_t v_at(uint32_t h, uint32_t head, uint32_t slot, uint32_t i)
{
    return ((size_t)head * 2 + 1) * head_pad(h) * PAGE_POSITIONS + (slot / 8 * head_pad(h) + i) * 8 + slot % 8;
}

#endif
